"""Triggers that watch a reported value: fire at a new best one, or stop when it gets no better."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable
from typing import Any

from minigan.reporter import DictSummary
from minigan.training.trigger import get_trigger, serialize_trigger


class _Watch:
    """The mean of an observed value over each interval of a trigger."""

    def __init__(self, key: str, trigger: Any) -> None:
        self.key = key
        self.interval = get_trigger(trigger)
        self.summary = DictSummary()

    def add(self, trainer: Any) -> None:
        """Take in what was observed in this iteration, if it was."""
        if self.key in trainer.observation:
            self.summary.add({self.key: trainer.observation[self.key]})

    def mean_if_due(self, trainer: Any) -> float | None:
        """Return the mean at the end of an interval in which there was something to observe, else None."""
        if not self.interval(trainer):
            return None
        mean = self.summary.compute_mean().get(self.key)
        self.summary = DictSummary()
        if mean is None:
            warnings.warn(f"{self.key} is not in observation, so the trigger that watches it has nothing to see")
        return None if mean is None else float(mean)

    def serialize(self, serializer: Any) -> None:
        serialize_trigger(self.interval, serializer, "interval_trigger")
        self.summary.serialize(serializer["summary"])


class BestValueTrigger:
    """Fires when the mean of a value over an interval is better than in every interval before.

    Args:
        key: Name of the observed value, such as `"main/loss"`.
        compare: `compare(best, new)` says whether `new` is better.
        trigger: The interval.
    """

    def __init__(self, key: str, compare: Callable[[Any, Any], bool], trigger: Any = (1, "epoch")) -> None:
        self._watch = _Watch(key, trigger)
        self._compare = compare
        self._best_value: float | None = None

    def __call__(self, trainer: Any) -> bool:
        """Say whether an interval ends here whose mean is the best so far."""
        self._watch.add(trainer)
        value = self._watch.mean_if_due(trainer)
        if value is None or (self._best_value is not None and not self._compare(self._best_value, value)):
            return False
        self._best_value = value
        return True

    def serialize(self, serializer: Any) -> None:
        """Write or read the best value and what has been seen of the present interval."""
        self._watch.serialize(serializer)
        best = serializer("best_value", self._best_value)
        self._best_value = None if best is None else float(best)


class MaxValueTrigger(BestValueTrigger):
    """Fires when the mean of a value over an interval is larger than ever before."""

    def __init__(self, key: str, trigger: Any = (1, "epoch")) -> None:
        super().__init__(key, operator.lt, trigger)


class MinValueTrigger(BestValueTrigger):
    """Fires when the mean of a value over an interval is smaller than ever before."""

    def __init__(self, key: str, trigger: Any = (1, "epoch")) -> None:
        super().__init__(key, operator.gt, trigger)


class EarlyStoppingTrigger:
    """A stop trigger: fires when a value has not improved for a while, or when training has been long enough.

    Args:
        check_trigger: The interval over which the value is averaged and after which it is looked at.
        monitor: Name of the value.
        patience: How many intervals without improvement are borne (3 by default); `patients` is the old name.
        mode: `"min"` (smaller is better), `"max"`, or `"auto"`: max if the name has `accuracy` in it.
        verbose: Whether to print a line when it fires.
        max_trigger: When to stop in any case.
    """

    def __init__(
        self, check_trigger: Any = (1, "epoch"), monitor: str = "main/loss", patience: int | None = None,
        mode: str = "auto", verbose: bool = False, max_trigger: Any = (100, "epoch"), **kwargs: Any,
    ) -> None:  # fmt: skip
        old = kwargs.pop("patients", None)
        if kwargs:
            raise TypeError(f"EarlyStoppingTrigger: there is no argument {next(iter(kwargs))!r}")
        if None not in (patience, old):
            raise TypeError("EarlyStoppingTrigger: patience and patients are one thing by two names; pass patience")
        if mode not in ("auto", "min", "max"):
            warnings.warn(f"EarlyStoppingTrigger: mode is {mode!r}; wanted 'auto', 'min' or 'max'; 'auto' is taken")
        larger = mode == "max" or (mode != "min" and "accuracy" in monitor)
        self._compare = operator.gt if larger else operator.lt
        self.patience = next(n for n in (patience, old, 3) if n is not None)
        self.monitor = monitor
        self.verbose = verbose
        self.count = 0
        self.best = float("-inf" if larger else "inf")
        self._watch = _Watch(monitor, check_trigger)
        self._max_trigger = get_trigger(max_trigger)

    def __call__(self, trainer: Any) -> bool:
        """Say whether training should stop here."""
        self._watch.add(trainer)
        if self._max_trigger(trainer):
            return True
        value = self._watch.mean_if_due(trainer)
        if value is None:
            return False
        if self._compare(value, self.best):
            self.best, self.count = value, 0
        else:
            self.count += 1
        stop = self.count >= self.patience
        if stop and self.verbose:
            print(f"Epoch {trainer.updater.epoch}: early stopping")
        return stop

    def get_training_length(self) -> tuple[float, str]:
        """Return the length of `max_trigger`."""
        return self._max_trigger.get_training_length()  # type: ignore[attr-defined]

    def serialize(self, serializer: Any) -> None:
        """Write or read all that it has seen; Chainer stores nothing of it, so from its files it starts anew."""
        try:
            count = serializer("count", self.count)
        except KeyError:
            return
        self.count = int(count)
        self.best = float(serializer("best", self.best))
        self._watch.serialize(serializer)
        serialize_trigger(self._max_trigger, serializer, "max_trigger")
