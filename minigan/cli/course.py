"""The course of a run: from a snapshot, through the training, to its last files; what stops it becomes a sentence."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from minigan import pictures
from minigan.backends.cuda import memory_left
from minigan.cli.run_folder import Damaged, RunError, RunFolder, explained, iteration_of, load
from minigan.cli.vitals import answers
from minigan.cli.watch import Progress, Stop
from minigan.configuration import config
from minigan.cuda_graph import CaptureError
from minigan.kernels.gemm import CublasError
from minigan.kernels.source import CompileError
from minigan.serializers import save_npz
from minigan.training import Trainer
from minigan.utils.files import atomic_write


def restore(trainer: Trainer, run: RunFolder, snapshots: list[Path], steps: int, say: Any) -> None:
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


def go(trainer: Trainer, run: RunFolder, stop: Stop, settings: dict[str, Any], quiet: bool) -> None:
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
            if done >= steps or stop.early or not pictures.frames_in(run.samples):
                grid.draw(trainer)  # the end need not be a multiple of the interval
            log = trainer.get_extension("LogReport").log
            pictures.save_curves(run.curves, log, trainer.get_extension("Diagnosis").lines)
            pictures.save_gradients(run.gradients, log)
            pictures.save_answers(run.answers, *answers(trainer.updater), getattr(trainer.updater.gan, "ZERO", True))
            pictures.save_gif(run.animation, pictures.frames_in(run.samples))
        except OSError as error:
            raise RunError(
                f"{done} steps are done and saved in {run.snapshot(done)}, but not all that is made of them: "
                f"{explained(error)}; then write it with: minigan train --resume {run.path}"
            ) from error
    if stop.received is not None and done < steps and not stop.early:
        progress.finish_line()
        click.echo(
            f"stopped by {stop.received.name} after iteration {done} of {steps}; all is in {run.path}. "
            f"Go on with: minigan train --resume {run.path}", err=True,
        )  # fmt: skip
        raise SystemExit(128 + stop.received)
    if quiet:
        click.echo(run.path)
        return
    if stop.metric is not None and stop.metric.at:
        click.echo(stop.metric.told())
    if stop.early:
        progress.finish_line()
        click.echo(f"ended early, after {done} of {steps} steps: none of {stop.metric.waited} measurements was better")
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
