"""`minigan train`: from options to settings, from these to a trainer (`assemble.py`), from it to a run (`course.py`).

A run is decided by its settings and its data alone. Both stand in config.json, so `--resume` needs nothing else: it
rebuilds the trainer, reads the newest snapshot into it and goes on bit for bit as if it had never stopped.
"""

from __future__ import annotations

import json
import time
import warnings
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import numpy

from minigan.cli.assemble import assemble
from minigan.cli.course import go, restore
from minigan.cli.data import data_options, load_images
from minigan.cli.gan_options import knob_options
from minigan.cli.metric import check_metric, metric_options
from minigan.cli.options import Number, Sectioned, device_option, named_device, read_config_file
from minigan.cli.presets import preset_option
from minigan.cli.run_folder import RUNS, RunError, RunFolder, build
from minigan.cli.settings import (
    AUTO,
    check_length,
    described,
    effective_settings,
    resumed_settings,
    run_to_resume,
    settle_length,
)
from minigan.cli.watch import Stop
from minigan.configuration import DebugMode, config, mixed16, using_config
from minigan.cuda_graph import WARM_UP
from minigan.datasets import TupleDataset
from minigan.gans import ARCHITECTURES, GANS
from minigan.gans.nets import NORMS
from minigan.utils.files import folder_lock

SECTIONS = {
    "Images": "data size channels labels skip_bad",
    "Nets": "arch width z_dim doublings attention norm_dis minibatch_dis pack",
    "Numbers of some GANs": "n_dis lam lam_codes n_classes n_codes gamma lam_k condition clip spread",
    "Training": "steps epochs batch_size accumulate alpha alpha_dis schedule decay_every decay_factor beta1 beta2 "
    "clip_gradient weight_decay ema seed device graph mixed",
    "What D sees and is told": "augment ada instance_noise smooth smooth_fake label_noise r1 r1_every",
    "The run": "out resume snapshot_every sample_every log_every",
    "Measuring": "metric metric_every metric_n patience",
}  # fmt: skip
"""The headings of the command's help, and what stands under them."""


@click.command(cls=Sectioned, sections=SECTIONS, epilog=f"GAN is one of {', '.join(GANS)}.")
@click.argument("gan", type=click.Choice(list(GANS)), required=False, metavar="[GAN]")
@click.option(
    "--arch", type=click.Choice(list(ARCHITECTURES)),
    help="Nets.  [default: mlp for gan, ring for --data ring, fine where D has batch normalization, else small]",
)  # fmt: skip
@preset_option
@data_options
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
    "--config", type=click.Path(exists=True, dir_okay=False, path_type=Path), is_eager=True, expose_value=False,
    callback=read_config_file, help="TOML file of options; environment and command line come first.",
)  # fmt: skip
@metric_options
@click.option("--dry-run", is_flag=True, help="Check everything, do some iterations in memory, write nothing.")
@click.option("--debug", is_flag=True, help="Name the function and link that give the first NaN. Slow.")
@click.option("--quiet", is_flag=True, help="Print the run folder only.")
def train(**given: Any) -> None:
    """Train a GAN: `dcgan` is the default. All are named at the end.

    With no option: a small DCGAN learns the built-in handwritten digits, in less than 5 minutes on two CPU cores.

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
    images, labels, source = load_images(settings, quiet)
    settings.update(channels=images.shape[1], size=[*images.shape, 1][2])
    settle_length(settings, len(images))
    check_metric(settings)
    if settings.get("condition") not in (None, "codes"):
        if labels is None:
            raise click.UsageError(
                f"{settings['gan']} wants images with classes; --data {settings['data']} has none: sort pictures into "
                f"sub-folders, pass --labels FILE, or take another GAN"
            )
        settings["n_classes"] = _check_classes(settings, labels)
        images = TupleDataset(images, labels)
    build(settings)  # nets that cannot make such images say so before a folder is made
    if run is None:
        path = out or RUNS / f"{settings['gan']}-{datetime.now():%Y%m%d-%H%M%S}"
        RunFolder.check_free(path)
    elif source["crc32"] != run.read_config()["data"]["crc32"]:
        raise RunError(f"the data is not that with which {run.path} began; pass the old data with --data")
    say(f"data: {source['description']}")
    say(f"{settings['gan']}, {settings['arch']} nets, {settings['steps']} steps of {settings['batch_size']} on {place}")
    stop = Stop(settings["steps"])
    with ExitStack() as stack:
        stack.enter_context(place)
        stack.enter_context(DebugMode(debug))
        stack.enter_context(using_config("cuda_graph", settings["graph"]))
        if settings.get("mixed"):  # the loss scale is moved until nothing overflows, which the optimizer reports
            stack.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", "(overflow|invalid value) encountered", RuntimeWarning)
        stack.enter_context(using_config("dtype", mixed16 if settings.get("mixed") else config.dtype))
        if dry_run:
            return _dry_run(settings, images, place)
        if run is None:
            run = RunFolder.create(path, settings, source)
            stack.enter_context(folder_lock(run.path))
            trainer = assemble(settings, images, place, run, stop, say)
        else:
            stack.enter_context(folder_lock(run.path))  # before anything of another process could be touched
            run.tidy()
            trainer = assemble(settings, images, place, run, stop, say)
            restore(trainer, run, [snapshot] if snapshot else run.snapshots(), settings["steps"], say)
            run.write_config({**run.read_config(), "settings": settings})
        go(trainer, run, stop, settings, quiet)


def _check_graph(settings: dict[str, Any], place: Any, debug: bool) -> None:
    """Refuse `--graph` where there can be none; a run that is from before the option has none."""
    if not settings.setdefault("graph", False):
        return
    if place.xp is numpy:
        raise click.UsageError("--graph is for a GPU; pass --device cuda:0, too, or leave it out")
    if debug:
        raise click.UsageError("--debug looks at every result, which a --graph does not let; leave one of them out")


def _check_classes(settings: dict[str, Any], labels: numpy.ndarray) -> int:
    """Return how many classes there are; refuse one without any image, which a GAN would learn from nothing."""
    missing = numpy.flatnonzero(numpy.bincount(labels) == 0)
    if len(missing):
        more = f" and {len(missing) - 1} more" * (len(missing) > 1)
        raise click.UsageError(
            f"{settings['gan']} learns a class from its images; --data {settings['data']} has classes up to "
            f"{labels.max()}, and no image of class {missing[0]}{more}: number the classes from 0 without gaps"
        )
    return int(labels.max()) + 1


def _dry_run(settings: dict[str, Any], images: Any, place: Any) -> None:
    """Do some iterations in memory, so that what could fail fails now; print the settings and the time to expect."""
    trainer = assemble(settings, images, place, None, Stop(2), _silent)
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
