"""Triggers that fire by a plan: once, at given points, or every so many seconds."""

from __future__ import annotations

from typing import Any

from minigan.serializer import Serializer
from minigan.training.trigger import SincePreviousCall, read_known


class OnceTrigger:
    """Fires at the first call, and, with `call_on_resume`, at the first call of a resumed run as well."""

    def __init__(self, call_on_resume: bool = False) -> None:
        self._flag_first = True
        self._flag_resumed = call_on_resume

    @property
    def finished(self) -> bool:
        """Whether it will not fire any more."""
        return not (self._flag_first or self._flag_resumed)

    def __call__(self, trainer: Any) -> bool:
        """Say whether this is the first call."""
        fires = not self.finished
        self._flag_first = self._flag_resumed = False
        return fires

    def serialize(self, serializer: Any) -> None:
        """Write or read whether it has fired; where an old file does not say, it has."""
        if isinstance(serializer, Serializer):
            serializer("_flag_first", self._flag_first)
        else:
            self._flag_first = bool(read_known(self, serializer, "_flag_first", bool))


class ManualScheduleTrigger(SincePreviousCall):
    """Fires when a point of the schedule has been passed since the previous call.

    Args:
        points: An iteration or epoch (a fraction is fine for epochs), or a list of them.
        unit: `"iteration"` or `"epoch"`.
    """

    def __init__(self, points: Any, unit: str) -> None:
        super().__init__(unit)
        self.points = points if isinstance(points, list) else [points]
        self.finished = False

    def __call__(self, trainer: Any) -> bool:
        """Say whether a point lies between the previous call and now."""
        previous, now = self._stretch(trainer)
        self.finished = now >= max(self.points)
        return any(previous < point <= now for point in self.points)

    def serialize(self, serializer: Any) -> None:
        """Write or read what the previous call saw."""
        super().serialize(serializer)
        if isinstance(serializer, Serializer):
            serializer("finished", self.finished)
        else:
            self.finished = bool(read_known(self, serializer, "finished", bool))


class TimeTrigger:
    """Fires every `period` seconds of training."""

    def __init__(self, period: float) -> None:
        self._period = period
        self._next_time = period

    def __call__(self, trainer: Any) -> bool:
        """Say whether the next multiple of the period has passed."""
        fires = self._next_time < trainer.elapsed_time
        if fires:
            self._next_time += self._period
        return fires

    def serialize(self, serializer: Any) -> None:
        """Write or read the time at which it fires next."""
        if isinstance(serializer, Serializer):
            serializer("next_time", self._next_time)
        else:
            self._next_time = float(serializer("next_time", self._next_time))
