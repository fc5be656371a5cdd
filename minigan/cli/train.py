"""`minigan train`: from options to settings, from settings to a trainer, from a trainer to a run folder.

A run is decided by its settings and its data alone. Both stand in config.json, so `--resume` needs nothing else: it
rebuilds the trainer, reads the newest snapshot into it and goes on bit for bit as if it had never stopped.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import numpy

from minigan import optimizer_hooks, optimizers, pictures, random
from minigan.backends.cuda import memory_left
from minigan.cli.data import data_option, load_images
from minigan.cli.gan_options import knob_options, tricks
from minigan.cli.options import Number, device_option, named_device, read_config_file
from minigan.cli.run_folder import RUNS, Damaged, RunError, RunFolder, build, explained, iteration_of, load
from minigan.cli.settings import (
    AUTO,
    check_length,
    described,
    effective_settings,
    resumed_settings,
    run_to_resume,
    settle_length,
)
from minigan.cli.watch import Progress, RingCoverage, SampleGrid, Sanity, Stop
from minigan.configuration import DebugMode, config, using_config
from minigan.cuda_graph import WARM_UP, CaptureError
from minigan.datasets import TupleDataset
from minigan.gans import ARCHITECTURES, GANS, GANUpdater
from minigan.gans.nets import NORMS
from minigan.iterators import SerialIterator
from minigan.kernels.gemm import CublasError
from minigan.kernels.source import CompileError
from minigan.serializers import save_npz
from minigan.training import Trainer, extensions
from minigan.utils.files import atomic_write, folder_lock

GRID = 64  # images in a sample grid
POINTS = 2000  # points in a picture of the ring


@click.command()
@click.argument("gan", type=click.Choice(list(GANS)), required=False)
@click.option(
    "--arch", type=click.Choice(list(ARCHITECTURES)),
    help="Nets.  [default: mlp for gan, ring for --data ring, else small]",
)  # fmt: skip
@data_option
@click.option("--steps", type=click.IntRange(1), help=f"Iterations: steps of G.  {described('steps')}")
@click.option("--epochs", type=Number(0, min_open=True), help="Passes over the data, instead of --steps.")
@click.option("--batch-size", type=click.IntRange(2), help=f"Real images per step.  {described('batch_size')}")
@click.option(
    "--alpha", "--lr", "alpha", type=Number(0, min_open=True), help=f"Adam's step size.  {described('alpha')}"
)
@click.option(
    "--alpha-dis", "--lr-dis", "alpha_dis", type=Number(0, min_open=True),
    help=f"Step size of D, if another.  {described('alpha_dis')}",
)  # fmt: skip
@click.option("--beta1", type=Number(0, 1, max_open=True), help=f"Adam's momentum.  {described('beta1')}")
@click.option("--beta2", type=Number(0, 1, max_open=True), help=f"Adam's memory.  {described('beta2')}")
@click.option("--z-dim", type=click.IntRange(1), help="Size of the noise.  [default: 100]")
@click.option("--width", type=click.IntRange(1), help=f"Width of the nets.  {described('width')}")
@click.option(
    "--n-dis", type=click.IntRange(1), help="Steps of D for one of G.  [default: 5 for wgan and wgan-gp, else 1]"
)
@click.option("--norm-dis", type=click.Choice(NORMS), help="Normalization in D.  [default: as the GAN's paper has it]")
@knob_options
@click.option(
    "--ema", type=Number(0, 1, max_open=True), help=f"Draw with G's averaged weights: the decay.  {described('ema')}"
)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Decides everything random.  [default: 0]")
@device_option
@click.option("--graph", is_flag=True, default=None, help="Launch each iteration as one CUDA graph.")
@click.option("--out", type=click.Path(path_type=Path), help="The run folder.  [default: runs/GAN-DATE-TIME]")
@click.option(
    "--resume", is_flag=False, flag_value=AUTO, metavar="[RUN]",
    help="Go on with a run: that of RUN (a folder, or one of its snapshots), of --out, or the newest in runs/ (auto). "
    "Nothing else need be given.",
)  # fmt: skip
@click.option("--snapshot-every", type=click.IntRange(1), help="Iterations between snapshots.  [default: steps / 4]")
@click.option("--sample-every", type=click.IntRange(1), help="Iterations between sample grids.  [default: steps / 20]")
@click.option("--log-every", type=click.IntRange(1), help="Iterations per log entry.  [default: steps / 40]")
@click.option(
    "--config", type=click.Path(dir_okay=False, path_type=Path), is_eager=True, expose_value=False,
    callback=read_config_file, help="TOML file of options; environment and command line come first.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Check everything, do some iterations in memory, write nothing.")
@click.option("--debug", is_flag=True, help="Name the function and link that give the first NaN. Slow.")
@click.option("--quiet", is_flag=True, help="Print the run folder only.")
def train(**given: Any) -> None:
    """Train a GAN: `dcgan` is the default.

    With no option: a small DCGAN learns the built-in handwritten digits, in less than 3 minutes on two CPU cores.

    Ctrl-C or SIGTERM end the iteration, save a snapshot and say how to go on (exit status 130 or 143).
    """
    out, resume, dry_run, quiet, debug = (given.pop(key) for key in ("out", "resume", "dry_run", "quiet", "debug"))
    say = _silent if quiet else _remark
    check_length(given)
    run = snapshot = None
    if resume is not None:
        run, snapshot = run_to_resume(resume, out)
        settings = resumed_settings(run, given)
    else:
        settings = effective_settings(given)
    place = named_device(settings["device"])
    _check_graph(settings, place, debug)
    images: Any
    images, labels, source = load_images(settings["data"])
    settings.update(channels=images.shape[1], size=images.shape[2] if images.ndim == 4 else 1)
    settle_length(settings, len(images))
    if settings.get("condition"):
        if labels is None:
            raise click.UsageError(f"{settings['gan']} wants images with classes; --data {settings['data']} has none")
        settings["n_classes"] = int(labels.max()) + 1
        images = TupleDataset(images, labels)
    say(f"data: {source['description']}")
    say(f"{settings['gan']}, {settings['arch']} nets, {settings['steps']} steps of {settings['batch_size']} on {place}")
    stop = Stop(settings["steps"])
    with ExitStack() as stack:
        stack.enter_context(place)
        stack.enter_context(DebugMode(debug))
        stack.enter_context(using_config("cuda_graph", settings["graph"]))
        if dry_run:
            return _dry_run(settings, images, place)
        if run is None:
            name = f"{settings['gan']}-{datetime.now():%Y%m%d-%H%M%S}"
            run = RunFolder.create(out or RUNS / name, settings, source)
            stack.enter_context(folder_lock(run.path))
            trainer = _trainer(settings, images, place, run, stop)
        else:
            stack.enter_context(folder_lock(run.path))  # before anything of another process could be touched
            run.tidy()
            if source["crc32"] != run.read_config()["data"]["crc32"]:
                raise RunError(f"the data is not that with which {run.path} began; pass the old data with --data")
            trainer = _trainer(settings, images, place, run, stop)
            _restore(trainer, run, [snapshot] if snapshot else run.snapshots(), settings["steps"], say)
            run.write_config({**run.read_config(), "settings": settings})
        _run(trainer, run, stop, settings, quiet)


def _check_graph(settings: dict[str, Any], place: Any, debug: bool) -> None:
    """Refuse `--graph` where there can be none; a run that is from before the option has none."""
    if not settings.setdefault("graph", False):
        return
    if place.xp is numpy:
        raise click.UsageError("--graph is for a GPU; pass --device cuda:0, too, or leave it out")
    if debug:
        raise click.UsageError("--debug looks at every result, which a --graph does not let; leave one of them out")


def _run(trainer: Trainer, run: RunFolder, stop: Stop, settings: dict[str, Any], quiet: bool) -> None:
    """Train until enough or interrupted; then write what belongs at the end, and say where it is."""
    steps = settings["steps"]
    progress = Progress(steps, quiet)
    trainer.extend(progress)
    grid = trainer.get_extension("SampleGrid")
    done = trainer.updater.iteration
    if done % settings["sample_every"] == 0 and not run.sample(done).exists():
        grid(trainer)  # before the first iteration, or because it could not be written when its time was
    with stop:  # the last files are written in peace, too
        _train(trainer, run, settings)
        done = trainer.updater.iteration
        try:
            with atomic_write(run.weights) as file:
                save_npz(file, trainer.updater.sampler)
            if done >= steps or not pictures.frames_in(run.samples):
                grid.draw(trainer)  # the end need not be a multiple of the interval
            pictures.save_curves(run.curves, trainer.get_extension("LogReport").log)
            pictures.save_gif(run.animation, pictures.frames_in(run.samples))
        except OSError as error:
            raise RunError(
                f"{done} steps are done and saved in {run.snapshot(done)}, but not all that is made of them: "
                f"{explained(error)}; then write it with: minigan train --resume {run.path}"
            ) from error
    if stop.received is not None and done < steps:
        progress.finish_line()
        click.echo(
            f"stopped by {stop.received.name} after iteration {done} of {steps}; all is in {run.path}. "
            f"Go on with: minigan train --resume {run.path}", err=True,
        )  # fmt: skip
        raise SystemExit(128 + stop.received)
    if quiet:
        click.echo(run.path)
        return
    click.echo(
        f"{done} steps in {trainer.elapsed_time:.0f} s. Look at {run.animation} and "
        f"{pictures.frames_in(run.samples)[-1]}; draw more with: minigan sample {run.path}"
    )


def _train(trainer: Trainer, run: RunFolder, settings: dict[str, Any]) -> None:
    """Run the trainer and save its last iteration; whatever stops it becomes a sentence about this run."""
    try:
        trainer.run(show_loop_exception_msg=False)
        _save(trainer, run)
        return
    except OSError as error:
        raise RunError(_stopped_by(error, trainer, run)) from error
    except MemoryError as error:
        cause: Exception = error
        left, smaller = memory_left(), max(2, settings["batch_size"] // 2)
        text = f"{str(error).rstrip('.')}{left and f'; {left}'}; try --batch-size {smaller}, or a smaller --width"
    except (CaptureError, CompileError, CublasError) as error:
        cause, text = error, f"{error}; or leave out --graph" if settings["graph"] else str(error)
    except RuntimeError as error:
        if not config.debug or "NaN" not in str(error):
            raise
        cause, text = error, trainer.get_extension("Sanity").told(str(error).partition("\n")[0])
    raise RunError(f"iteration {trainer.updater.iteration + 1}: {text}") from cause


def _save(trainer: Trainer, run: RunFolder) -> None:
    """Save a snapshot of the last iteration, unless there is one."""
    if not run.snapshot(trainer.updater.iteration).exists():
        trainer.get_extension("_Snapshot")(trainer)


def _stopped_by(error: OSError, trainer: Trainer, run: RunFolder) -> str:
    """Try to save what was learnt when a file could not be written, and say what came of it."""
    text = f"stopped after iteration {trainer.updater.iteration}: {explained(error)}"
    if not run.path.is_dir():
        return f"{text}; the folder {run.path} has vanished, so nothing could be saved"
    for entry in trainer._extensions.values():
        entry.trigger(trainer)  # the rest of the iteration is left out, and must not be made up for in the next one
    with suppress(OSError):  # as is to be expected on a full disk
        _save(trainer, run)
    newest = run.snapshots()
    kept = f"the newest snapshot is {newest[0]}" if newest else "there is no snapshot yet"
    return f"{text}. {kept[0].upper()}{kept[1:]}; then go on with: minigan train --resume {run.path}"


def _trainer(settings: dict[str, Any], images: Any, place: Any, run: RunFolder | None, stop: Any) -> Trainer:
    """Build nets, optimizers, updater and extensions: the whole of the training but its state."""
    random.seed(settings["seed"])
    gen, dis = build(settings)
    optimizer = {}
    for name, net in (("gen", gen), ("dis", dis)):
        net.to_device(place)
        alpha = settings["alpha" if name == "gen" else "alpha_dis"]
        optimizer[name] = optimizers.Adam(alpha=alpha, beta1=settings["beta1"], beta2=settings["beta2"])
        optimizer[name].setup(net)
        if settings.get("clip_gradient"):
            optimizer[name].add_hook(optimizer_hooks.GradientClipping(settings["clip_gradient"]))
        if settings.get("weight_decay"):
            optimizer[name].add_hook(optimizer_hooks.WeightDecay(settings["weight_decay"]))
    iterator = SerialIterator(images, settings["batch_size"])
    updater = GANUpdater(
        iterator, optimizer, GANS[settings["gan"]], n_dis=settings["n_dis"], options=settings,
        tricks=tricks(settings), ema_decay=settings["ema"], device=place,
    )  # fmt: skip
    if run is None:
        return Trainer(updater, stop)
    trainer = Trainer(updater, stop, out=str(run.path))
    for name, each in optimizer.items():
        if schedule := _schedule(settings, each):
            trainer.extend(schedule, name=f"schedule of {name}", trigger=(1, "iteration"))
    trainer.extend(extensions.LogReport(trigger=(settings["log_every"], "iteration")))

    def due(trainer: Trainer) -> bool:
        """Whether something is written; reading the losses at every launch of a graph would make the GPU wait."""
        places = (settings[f"{what}_every"] for what in ("log", "sample", "snapshot"))
        return stop(trainer) or any(trainer.updater.iteration % every == 0 for every in places)

    trainer.extend(Sanity(run), trigger=due if settings["graph"] else None)
    ring = settings["data"] == "ring"
    classes = settings["n_classes"] if settings.get("condition") else 0
    shape = (POINTS if ring else 10 * classes or GRID, settings["z_dim"])
    noise = numpy.random.RandomState(settings["seed"]).standard_normal(shape).astype(numpy.float32)
    if classes:  # a class in each column
        code = numpy.eye(classes, dtype=numpy.float32)[numpy.arange(len(noise)) % classes]
        noise = numpy.concatenate([noise, code], 1)
    noise = place.send(noise)
    if ring:
        trainer.extend(RingCoverage(noise), trigger=(settings["log_every"], "iteration"))
    trainer.extend(SampleGrid(run, noise), name="SampleGrid", trigger=(settings["sample_every"], "iteration"))
    trainer.extend(extensions.snapshot(n_retains=3), trigger=(settings["snapshot_every"], "iteration"))
    return trainer


def _schedule(settings: dict[str, Any], optimizer: Any) -> Any:
    """The extension that changes the step size, if it is to change."""
    kind, steps, alpha = settings.get("schedule"), settings["steps"], optimizer.alpha
    if kind == "linear":
        return extensions.LinearShift("alpha", (alpha, 0.0), (steps / 2, steps), optimizer)
    if kind == "step":
        return extensions.StepShift("alpha", settings["decay_factor"], settings["decay_every"], alpha, None, optimizer)
    return None


def _restore(trainer: Trainer, run: RunFolder, snapshots: list[Path], steps: int, say: Any) -> None:
    """Read the first snapshot that is whole into the trainer; a run that had none yet begins again."""
    problems: dict[Path, Damaged] = {}
    for file in snapshots:
        try:
            load(file, trainer)
        except Damaged as error:
            problems[file] = error
            continue
        for bad, problem in problems.items():
            aside = bad.rename(bad.with_name(f"unusable_{bad.name}"))  # else it would stand for a good one later
            say(f"warning: {problem}; it is now {aside}")
        say(f"going on with {run.path} after iteration {iteration_of(file)}")
        if trainer.updater.iteration >= steps:
            say("all of its steps are done; pass a larger --steps to train longer")
        return
    if len(problems) == 1:
        raise next(iter(problems.values()))
    if problems:
        raise RunError(
            f"none of the snapshots of {run.path} is whole: {next(iter(problems.values()))}; start another run"
        )
    if run.weights.exists():
        raise RunError(f"{run.path} has no snapshots any more; start another run, or put one of them back")
    say(f"{run.path} was stopped before its first snapshot: it begins again")


def _dry_run(settings: dict[str, Any], images: Any, place: Any) -> None:
    """Do some iterations in memory, so that what could fail fails now; print the settings and the time to expect."""
    trainer = _trainer(settings, images, place, None, Stop(2))
    for _ in range(WARM_UP + 1 if settings["graph"] else 1):
        trainer.updater.update()
    started = time.perf_counter()
    trainer.updater.update()
    step = time.perf_counter() - started
    click.echo(json.dumps(settings, indent=2))
    click.echo(
        f"dry run: {trainer.updater.iteration} iterations went well; "
        f"at {step:.2f} s each all take about {step * settings['steps']:.0f} s"
    )


def _remark(text: str) -> None:
    click.echo(text, err=True)


def _silent(_text: str) -> None:
    pass
