"""What extensions share: a limit on what costs time, bars that are drawn over themselves, and what NaN is."""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from typing import Any

from minigan.backend import get_array_module
from minigan.core import as_array

_SPEED_WINDOW = 100  # updates of the bar over which the speed is taken


def is_finite(value: Any) -> bool:
    """Say whether a number, an array or a Variable is free of NaN and infinity; what is no number is."""
    array = as_array(value)
    if isinstance(array, float):  # NumPy's float64, too
        return math.isfinite(array)
    if getattr(getattr(array, "dtype", None), "kind", "") != "f":
        return True
    return bool(get_array_module(array).isfinite(array).all())


class Ration:
    """Gives work that takes longer and longer a share of the time, and no more: it is done less and less often.

    Args:
        share: Of the time since the work was done last, what it may take, as far as that last time tells.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._ended, self._took = float("-inf"), 0.0

    def allows(self) -> bool:
        """Say whether the work may be done now."""
        return time.perf_counter() - self._ended >= self._took / self._share

    def __enter__(self) -> None:
        self._ended = time.perf_counter()

    def __exit__(self, *error: Any) -> None:
        started, self._ended = self._ended, time.perf_counter()
        self._took = self._ended - started


class ProgressBar:
    """Draws lines and puts the cursor back to the first of them, so that whatever is printed next takes their place.

    Args:
        bar_length: Characters in a bar, 50 by default.
        out: File to draw on, a terminal or not; None is `sys.stdout` as it is at that moment.
    """

    def __init__(self, bar_length: int | None = None, out: Any = None) -> None:
        self._bar_length = 50 if bar_length is None else bar_length
        self._out = out
        self._recent_timing: deque[tuple[float, float, float]] = deque(maxlen=_SPEED_WINDOW)

    def update_speed(self, iteration: float, epoch_detail: float) -> tuple[float, float]:
        """Note where the work stands, and return iterations and epochs per second."""
        now = time.perf_counter()
        self._recent_timing.append((iteration, epoch_detail, now))
        first_iteration, first_epoch, first_time = self._recent_timing[0]
        seconds = max(now - first_time, 1e-9)
        return (iteration - first_iteration) / seconds, max((epoch_detail - first_epoch) / seconds, 1e-9)

    def get_lines(self) -> list[str]:
        """Return the lines to draw, with line ends."""
        raise NotImplementedError(f"{type(self).__name__} must define get_lines()")

    def bar(self, name: str, rate: float) -> str:
        """Return a line with a bar that is full at `rate` 1."""
        marks = "#" * int(rate * self._bar_length)
        return f"{name} [{marks:.<{self._bar_length}}] {rate:6.2%}\n"

    def update(self) -> None:
        """Draw."""
        lines = self.get_lines()
        self.erase_console()
        self._write("".join(lines))
        self.move_cursor_up(len(lines))
        self.flush()

    def close(self) -> None:
        """Remove the lines, so that the shell's prompt comes where they were."""
        self.erase_console()
        self.flush()

    def erase_console(self) -> None:
        """Remove everything below the cursor."""
        self._write("\033[J")

    def move_cursor_up(self, n: int) -> None:
        """Go up by `n` lines."""
        self._write(f"\033[{n}A")

    def flush(self) -> None:
        """Flush the file, if it can be."""
        out = sys.stdout if self._out is None else self._out
        if hasattr(out, "flush"):
            out.flush()

    def _write(self, text: str) -> None:
        (sys.stdout if self._out is None else self._out).write(text)
