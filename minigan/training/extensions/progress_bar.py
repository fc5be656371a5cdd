"""How far the training is, how fast it goes and when it will end, redrawn in place on the terminal."""

from __future__ import annotations

import sys
import time
from collections import deque
from datetime import timedelta
from typing import Any

from minigan.training.extension import Extension

_CLEAR_BELOW = "\033[J"
_UP = "\033[{}A"
_SPEED_WINDOW = 100  # updates of the bar over which the speed is taken


class ProgressBar(Extension):
    """Draws a bar for the whole training and one for the present epoch, the speed and the time that is left.

    Args:
        training_length: `(period, unit)`; None asks the trainer's stop trigger. If that does not know (a function),
            there is no bar for the whole and no time left.
        update_interval: Iterations from one drawing to the next.
        bar_length: Characters in a bar.
        out: File to draw on, a terminal or not; None is `sys.stdout` as it is at that moment.
    """

    def __init__(
        self, training_length: tuple[float, str] | None = None, update_interval: int = 100, bar_length: int = 50,
        out: Any = None,
    ) -> None:  # fmt: skip
        self._training_length = training_length
        self._update_interval = update_interval
        self._bar_length = bar_length
        self._out = out
        self._times: deque[tuple[int, float]] = deque(maxlen=_SPEED_WINDOW)

    def initialize(self, trainer: Any) -> None:
        """Start the clock."""
        self._times.append((trainer.updater.iteration, time.perf_counter()))
        if self._training_length is None and hasattr(trainer.stop_trigger, "get_training_length"):
            self._training_length = trainer.stop_trigger.get_training_length()

    def __call__(self, trainer: Any) -> None:
        """Draw, if it is time."""
        updater = trainer.updater
        if updater.iteration % self._update_interval:
            return
        self._times.append((updater.iteration, time.perf_counter()))
        lines = self._lines(updater.iteration, updater.epoch, updater.epoch_detail)
        # The cursor goes back to the top of the bar, so that whatever is printed next takes its place.
        self._write(_CLEAR_BELOW + "".join(f"{line}\n" for line in lines) + _UP.format(len(lines)))

    def finalize(self) -> None:
        """Remove the bar, so that the shell's prompt comes where it was."""
        self._write(_CLEAR_BELOW)

    def _lines(self, iteration: int, epoch: int, epoch_detail: float) -> list[str]:
        (first_iteration, first_time), (_, now) = self._times[0], self._times[-1]
        speed = (iteration - first_iteration) / max(now - first_time, 1e-9)
        this_epoch = self._bar("this epoch", epoch_detail - int(epoch_detail))
        if self._training_length is None:
            return [this_epoch, f"{iteration:10} iter, {epoch} epoch", f"{speed:10.5g} iters/sec."]
        length, unit = self._training_length
        done = (iteration if unit == "iteration" else epoch_detail) / length
        left = iteration * (1 / done - 1) / speed if done and speed else 0.0
        return [
            self._bar("     total", min(done, 1.0)),
            this_epoch,
            f"{iteration:10} iter, {epoch} epoch / {length} {unit}s",
            f"{speed:10.5g} iters/sec. Estimated time to finish: {timedelta(seconds=max(left, 0.0))}.",
        ]

    def _bar(self, name: str, rate: float) -> str:
        marks = "#" * int(rate * self._bar_length)
        return f"{name} [{marks:.<{self._bar_length}}] {rate:6.2%}"

    def _write(self, text: str) -> None:
        out = sys.stdout if self._out is None else self._out
        out.write(text)
        if hasattr(out, "flush"):
            out.flush()
