"""What a person sees of a running training: a progress line, pictures at intervals, and a way to stop it in peace."""

from __future__ import annotations

import math
import signal
import sys
import time
from typing import Any

import click

from minigan import pictures
from minigan.backends import cuda
from minigan.cli.run_folder import RunError, RunFolder, explained
from minigan.configuration import config, no_backprop_mode, using_config
from minigan.datasets import ring_coverage
from minigan.reporter import report
from minigan.training.extension import Extension
from minigan.training.extensions.guards import FailOnNonNumber

BAR = 24  # characters
SHORT = {
    "gen/loss": "G", "dis/loss": "D", "dis/real": "D(real)", "dis/fake": "D(fake)",
    "dis/distance": "distance", "gen/modes": "modes", "gen/good": "good",
}  # fmt: skip


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
    """Draw the same noise with the generator as it is now: `samples/iter_0000500.png`.

    A picture that cannot be written is no reason to stop: a warning is given, and the training goes on.
    """

    priority = 0

    def __init__(self, run: RunFolder, z: Any) -> None:
        self.run, self.z = run, z

    def __call__(self, trainer: Any) -> None:
        try:
            self.draw(trainer)
        except OSError as error:
            if not self.run.path.is_dir():
                raise
            click.echo(f"warning: {explained(error)}; the training goes on without the picture", err=True)

    def draw(self, trainer: Any) -> None:
        """Draw; raises `OSError` if the picture cannot be written."""
        with using_config("train", False), no_backprop_mode():
            images = trainer.updater.sampler(self.z).array
        self.run.samples.mkdir(exist_ok=True)
        pictures.save_png(self.run.sample(trainer.updater.iteration), pictures.sheet(images))


class RingCoverage(Extension):
    """Report how many modes of the ring the generator has found, `gen/modes`, and the share `gen/good` of its points.

    They are those that it makes of the noise z.
    """

    priority = 300  # before they are logged

    def __init__(self, z: Any) -> None:
        self.z = z

    def __call__(self, trainer: Any) -> None:
        with using_config("train", False), no_backprop_mode():
            points = trainer.updater.sampler(self.z).array
        modes, good = ring_coverage(cuda.to_cpu(points))
        report({"gen/modes": modes, "gen/good": good})


class Sanity(FailOnNonNumber):
    """Stop with a sentence as soon as a loss or a weight is no number any more: nothing good can follow.

    It comes before all that writes, so what is on the disk is from before.
    """

    priority = 400

    def __init__(self, run: RunFolder) -> None:
        self.run = run

    def _fail(self, trainer: Any, what: str) -> None:
        """Raise `RunError` instead of the library's error, which speaks of Python."""
        raise RunError(self.told(self._found(trainer, what)))

    def told(self, what: str) -> str:
        """Say what to do about it."""
        where = "" if config.debug else " (--debug shows where it begins)"
        good = self.run.snapshots()
        kept = f"; {good[0]} is from before" if good else ""
        return f"{what}: the training has diverged{where}; start again with a smaller --alpha{kept}"


class Stop:
    """The trainer's stop trigger: enough iterations, a `metric` that no longer gets better, or Ctrl-C or SIGTERM.

    A second signal ends at once.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.received: signal.Signals | None = None
        self.metric: Any = None
        self._before: dict[signal.Signals, Any] = {}

    def __call__(self, trainer: Any) -> bool:
        return self.received is not None or trainer.updater.iteration >= self.steps or self.early

    @property
    def early(self) -> bool:
        """Whether the metric has not got better for long enough."""
        return self.metric is not None and self.metric.exhausted

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
