"""When: the interval trigger of nearly every extension, and what makes a trigger of `(1, "epoch")`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from minigan.serializer import Serializer
from minigan.utils.stored import FileError


class SincePreviousCall:
    """Base of triggers that look at the stretch since their previous call, so that they fire late rather than never.

    Where that call was is in the snapshot: a resumed run fires when the uninterrupted one does.
    """

    def __init__(self, unit: str) -> None:
        if unit not in ("epoch", "iteration"):
            raise ValueError(f"{type(self).__name__}: unit is {unit!r}; wanted 'epoch' or 'iteration'")
        self.unit = unit
        self._previous_iteration: int | None = 0  # None: an old file did not say
        self._previous_epoch_detail: float | None = 0.0

    def _stretch(self, trainer: Any) -> tuple[float, float]:
        """Return where the training stood at the previous call, and where it stands, in the unit."""
        updater = trainer.updater
        previous: float | None
        if self.unit == "epoch":
            previous, now = self._previous_epoch_detail, updater.epoch_detail
            if previous is None:
                previous = updater.previous_epoch_detail
        else:
            previous, now = self._previous_iteration, updater.iteration
            if previous is None:
                previous = now - 1
        self._previous_iteration = updater.iteration
        self._previous_epoch_detail = getattr(updater, "epoch_detail", None)
        return previous or 0, now

    def serialize(self, serializer: Any) -> None:
        """Write or read what the previous call saw; where a file does not say, the next call takes the step before."""
        if isinstance(serializer, Serializer):
            serializer("previous_iteration", self._previous_iteration)
            serializer("previous_epoch_detail", self._previous_epoch_detail)
        else:
            self._previous_iteration = read_known(self, serializer, "previous_iteration", int)
            self._previous_epoch_detail = read_known(self, serializer, "previous_epoch_detail", float)


class IntervalTrigger(SincePreviousCall):
    """Fires whenever the iteration (or the epoch, with its fraction) has passed a multiple of `period`.

    Args:
        period: Length of the interval, a positive number; a fraction is fine for epochs.
        unit: `"iteration"` or `"epoch"`.
    """

    def __init__(self, period: float, unit: str) -> None:
        super().__init__(unit)
        if isinstance(period, str) or not period > 0:
            raise ValueError(f"IntervalTrigger: period is {period!r}; wanted a number above 0")
        self.period = period

    def __call__(self, trainer: Any) -> bool:
        """Say whether a multiple of the period lies between the previous call and now."""
        previous, now = self._stretch(trainer)
        return previous // self.period != now // self.period

    def get_training_length(self) -> tuple[float, str]:
        """Return `(period, unit)`: how long a training with this stop trigger is."""
        return self.period, self.unit

    def __repr__(self) -> str:
        return f"IntervalTrigger({self.period!r}, {self.unit!r})"


def read_known(trigger: Any, serializer: Any, key: str, number: Callable[[Any], Any]) -> Any:
    """Read what the previous call saw; None, with a warning, where an old file does not say; or raise `FileError`."""
    try:
        value = serializer(key, None)
    except KeyError:
        warnings.warn(f"{type(trigger).__name__}: the file has no {key}; it is guessed from where the training stands")
        return None
    try:
        known = None if value is None else number(value)
        if isinstance(known, int) and abs(known) >= 2**63:
            raise OverflowError("too large to be saved again")
    except (ValueError, TypeError, OverflowError) as error:  # infinity is no int
        found = " ".join(repr(value).split())  # an array takes several lines
        raise FileError(f"{key} is {found:.60} in the file ({error}); the file is damaged, take another") from error
    return known


def _never(trainer: Any) -> bool:
    return False


def get_trigger(trigger: Any) -> Callable[[Any], bool]:
    """Return a trigger: a callable as it is, `(period, unit)` as an `IntervalTrigger`, None as one that never fires.

    Raises:
        TypeError: anything else.
    """
    if trigger is None:
        return _never
    if callable(trigger):
        return trigger
    if isinstance(trigger, (tuple, list)) and len(trigger) == 2:
        return IntervalTrigger(*trigger)
    raise TypeError(
        f"get_trigger: trigger is {trigger!r}; wanted a callable or a pair (period, 'iteration' or 'epoch') such as "
        f"(1, 'epoch')"
    )


def serialize_trigger(trigger: Any, serializer: Any, key: str) -> None:
    """Write or read a trigger under `key`, if it has anything to remember; a plain function has not."""
    if hasattr(trigger, "serialize"):
        trigger.serialize(serializer[key])
