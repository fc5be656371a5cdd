"""How far the training is, how fast it goes and when it will end, redrawn in place on the terminal."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from minigan.training.extension import Extension
from minigan.training.extensions import util


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
        self._update_interval = update_interval
        self._pbar = _Bars(training_length, bar_length, out)

    def initialize(self, trainer: Any) -> None:
        """Start the clock."""
        self._pbar.trainer = trainer
        self._pbar.update_speed(trainer.updater.iteration, trainer.updater.epoch_detail)
        if self._pbar.training_length is None and hasattr(trainer.stop_trigger, "get_training_length"):
            self._pbar.training_length = trainer.stop_trigger.get_training_length()

    def __call__(self, trainer: Any) -> None:
        """Draw, if it is time."""
        self._pbar.trainer = trainer
        if trainer.updater.iteration % self._update_interval == 0:
            self._pbar.update()

    def finalize(self) -> None:
        """Remove the bar, so that the shell's prompt comes where it was."""
        self._pbar.close()


class _Bars(util.ProgressBar):
    trainer: Any = None

    def __init__(self, training_length: tuple[float, str] | None, bar_length: int, out: Any) -> None:
        super().__init__(bar_length, out)
        self.training_length = training_length

    def get_lines(self) -> list[str]:
        updater = self.trainer.updater
        iteration, epoch, detail = updater.iteration, updater.epoch, updater.epoch_detail
        speed, epochs = self.update_speed(iteration, detail)
        this_epoch = self.bar("this epoch", detail - int(detail))
        if self.training_length is None:
            return [this_epoch, f"{iteration:10} iter, {epoch} epoch\n", f"{speed:10.5g} iters/sec.\n"]
        length, unit = self.training_length
        done = (iteration if unit == "iteration" else detail) / length
        left = max(length * (1 - done), 0.0) / max(speed if unit == "iteration" else epochs, 1e-9)
        return [
            self.bar("     total", min(done, 1.0)),
            this_epoch,
            f"{iteration:10} iter, {epoch} epoch / {length} {unit}s\n",
            f"{speed:10.5g} iters/sec. Estimated time to finish: {timedelta(seconds=left)}.\n",
        ]
