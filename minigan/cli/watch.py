"""What a person sees of a running training: a progress line, pictures at intervals, and a way to stop it in peace."""

from __future__ import annotations

import math
import signal
import sys
import time
from typing import Any

import click

from minigan import pictures
from minigan.cli.run_folder import RunError, RunFolder
from minigan.configuration import no_backprop_mode, using_config
from minigan.training.extension import Extension

BAR = 24  # characters
SHORT = {"gen/loss": "G", "dis/loss": "D", "dis/real": "D(real)", "dis/fake": "D(fake)"}


class Progress(Extension):
    """A line on standard error: how far, how long still, the latest losses.

    On a terminal it is drawn over and over, five times a second; elsewhere a new line appears
    after the first iteration and at every tenth of the way.
    """

    trigger = (1, "iteration")
    priority = 50

    def __init__(self, steps: int, quiet: bool) -> None:
        self.steps, self.quiet = steps, quiet
        self.terminal = sys.stderr is not None and sys.stderr.isatty()
        self.drawn = self.started = time.monotonic()
        self.first: int | None = None

    def __call__(self, trainer: Any) -> None:
        now, done = time.monotonic(), trainer.updater.iteration
        if self.first is None:
            self.first, self.started = done - 1, self.drawn
        last = done >= self.steps
        if self.terminal:
            due = last or now - self.drawn >= 0.2
        else:
            due = last or done == self.first + 1 or done % max(1, self.steps // 10) == 0
        if self.quiet or not due:
            return
        self.drawn = now
        left = (now - self.started) / (done - self.first) * (self.steps - done)
        losses = "  ".join(
            f"{name} {_number(trainer.observation[key]):.2f}"
            for key, name in SHORT.items()
            if key in trainer.observation
        )
        line = f"{done:>6}/{self.steps}  {_clock(left)} left  {losses}"
        if self.terminal:
            full = BAR * done // self.steps
            click.echo(f"\r[{'#' * full}{'-' * (BAR - full)}] {line}  ", err=True, nl=last)
        else:
            click.echo(line, err=True)

    def on_error(self, trainer: Any, exception: Exception, traceback: Any) -> None:
        self.finish_line()

    def finish_line(self) -> None:
        """Leave a line that is half drawn."""
        if self.terminal and not self.quiet:
            click.echo(err=True)


def _number(value: Any) -> float:
    return float(getattr(value, "array", value))


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class SampleGrid(Extension):
    """Draw the same noise with the generator as it is now: `samples/iter_0000500.png`."""

    priority = 0

    def __init__(self, run: RunFolder, z: Any) -> None:
        self.run, self.z = run, z

    def __call__(self, trainer: Any) -> None:
        with using_config("train", False), no_backprop_mode():
            images = trainer.updater.sampler(self.z).array
        name = f"iter_{trainer.updater.iteration:07}.png"
        pictures.save_png(self.run.samples / name, pictures.grid(pictures.to_uint8(images)))


class Sanity(Extension):
    """Stop with a sentence as soon as a loss is no number any more: nothing good can follow."""

    priority = 60

    def __call__(self, trainer: Any) -> None:
        for key, value in trainer.observation.items():
            if not math.isfinite(_number(value)):
                raise RunError(
                    f"{key} is {_number(value)} at iteration {trainer.updater.iteration}: the training has diverged; "
                    f"start again with a smaller --alpha"
                )


class Stop:
    """The trainer's stop trigger: enough iterations, or the first Ctrl-C or SIGTERM; a second one ends at once."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __call__(self, trainer: Any) -> bool:
        return self.received is not None or trainer.updater.iteration >= self.steps

    def get_training_length(self) -> tuple[int, str]:
        """Tell extensions such as a progress bar how long the training is."""
        return self.steps, "iteration"

    def _note(self, number: int, _frame: Any) -> None:
        self.received = signal.Signals(number)
        self._restore()

    def _restore(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

    def __enter__(self) -> Stop:
        self._before = {s: signal.signal(s, self._note) for s in self.SIGNALS}
        return self

    def __exit__(self, *_: Any) -> None:
        self._restore()
