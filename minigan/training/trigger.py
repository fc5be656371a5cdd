"""From what a script writes, `(1, "epoch")`, to what the loop asks: a callable that says whether it is time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigan.training.triggers.interval_trigger import IntervalTrigger


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
