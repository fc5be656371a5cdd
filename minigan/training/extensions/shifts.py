"""Schedules: extensions that move a hyperparameter of an optimizer, such as its learning rate, as training goes on.

Each is a function of the number of calls t (iterations, unless `trigger=` says otherwise): the base class counts, sets
the attribute and keeps its state in the snapshot; the subclasses give `value_at(t)`.
"""

from __future__ import annotations

import math
from typing import Any

from minigan.training.extension import Extension


class _Shift(Extension):
    """Sets the attribute to `value_at(0)` before training and to `value_at(t)` at the t-th call.

    Args of all subclasses:
        attr: Name of the hyperparameter, `"alpha"` or `"lr"` for example.
        init: The value at t = 0; None takes what the optimizer has.
        target: A bound at which the value stops; None for no bound.
        optimizer: Whose attribute it is; None takes the updater's `"main"`.
    """

    _state: tuple[str, ...] = ("_t", "_last_value")

    def __init__(self, attr: str, init: float | None, target: float | None = None, optimizer: Any = None) -> None:
        self._attr = attr
        self._init: Any = init
        self._target = target
        self._optimizer = optimizer
        self._t = 0
        self._last_value: Any = None

    def value_at(self, t: int) -> float:
        """Return the value after `t` calls."""
        raise NotImplementedError(f"{type(self).__name__} must define value_at(t)")

    def initialize(self, trainer: Any) -> None:
        """Set the first value, or, in a resumed run, the one that was set last."""
        optimizer = self._find(trainer)
        if self._init is None:
            self._init = getattr(optimizer, self._attr)
        self._set(optimizer, self._bounded(self._t) if self._last_value is None else self._last_value)

    def __call__(self, trainer: Any) -> None:
        """Count the call and set the value."""
        self._t += 1
        self._set(self._find(trainer), self._bounded(self._t))

    def _find(self, trainer: Any) -> Any:
        return self._optimizer or trainer.updater.get_optimizer("main")

    def _set(self, optimizer: Any, value: float) -> None:
        setattr(optimizer, self._attr, value)
        self._last_value = value

    def _bounded(self, t: int) -> float:
        """The value, or the target once it has been passed on the way from `init`."""
        value = self.value_at(t)
        if self._target is None:
            return value
        return min(value, self._target) if self._init < self._target else max(value, self._target)

    def serialize(self, serializer: Any) -> None:
        """Write or read the number of calls and the last value."""
        self._t = int(serializer("_t", self._t))
        if "_last_value" in self._state:
            value = serializer("_last_value", self._last_value)
            self._last_value = None if value is None else float(value)


class ExponentialShift(_Shift):
    """init * rate^t. Raises `ValueError` for a negative rate."""

    def __init__(self, attr: str, rate: float, init: float | None = None, target: float | None = None,
                 optimizer: Any = None) -> None:  # fmt: skip
        if rate < 0:
            raise ValueError(f"ExponentialShift: rate is {rate}; wanted 0 or more, since a sign cannot alternate")
        super().__init__(attr, init, target, optimizer)
        self._rate = rate

    def value_at(self, t: int) -> float:
        """Return init * rate^t."""
        return self._init * self._rate**t


class InverseShift(_Shift):
    """init * (1 + gamma t)^-power. Raises `ValueError` for a negative gamma."""

    def __init__(self, attr: str, gamma: float, power: float, init: float | None = None, target: float | None = None,
                 optimizer: Any = None) -> None:  # fmt: skip
        if gamma < 0:
            raise ValueError(f"InverseShift: gamma is {gamma}; wanted 0 or more")
        super().__init__(attr, init, target, optimizer)
        self._gamma, self._power = gamma, power

    def value_at(self, t: int) -> float:
        """Return init * (1 + gamma t)^-power."""
        return self._init * (1 + self._gamma * t) ** -self._power


class PolynomialShift(_Shift):
    """init * (1 - t / max_count)^rate, and 0 from `max_count` on."""

    def __init__(self, attr: str, rate: float, max_count: int, init: float | None = None, target: float | None = None,
                 optimizer: Any = None) -> None:  # fmt: skip
        super().__init__(attr, init, target, optimizer)
        self._rate, self._max_count = rate, max_count

    def value_at(self, t: int) -> float:
        """Return init * max(1 - t / max_count, 0)^rate."""
        return self._init * max(1 - t / self._max_count, 0) ** self._rate


class StepShift(_Shift):
    """init * gamma^floor(t / step)."""

    def __init__(self, attr: str, gamma: float, step: int, init: float | None = None, target: float | None = None,
                 optimizer: Any = None) -> None:  # fmt: skip
        super().__init__(attr, init, target, optimizer)
        self._gamma, self._step = gamma, step

    def value_at(self, t: int) -> float:
        """Return init * gamma^floor(t / step)."""
        return self._init * self._gamma ** math.floor(t / self._step)


class MultistepShift(_Shift):
    """init * gamma^k, where k is how many of the numbers `step_value` are not above t."""

    _state = ("_t", "_current_step")

    def __init__(self, attr: str, gamma: float, step_value: list[int], init: float, optimizer: Any = None) -> None:
        super().__init__(attr, init, None, optimizer)
        self._gamma, self._step_value = gamma, step_value

    def value_at(self, t: int) -> float:
        """Return init * gamma^k."""
        return self._init * self._gamma ** self._steps(t)

    def _steps(self, t: int) -> int:
        return sum(step <= t for step in self._step_value) if t else 0

    def serialize(self, serializer: Any) -> None:
        """Write or read the number of calls; the number of steps follows from it."""
        super().serialize(serializer)
        serializer("_current_step", self._steps(self._t))


class LinearShift(_Shift):
    """From `value_range[0]` until t = `time_range[0]` straight to `value_range[1]` at t = `time_range[1]`."""

    def __init__(self, attr: str, value_range: tuple[float, float], time_range: tuple[float, float],
                 optimizer: Any = None) -> None:  # fmt: skip
        super().__init__(attr, value_range[0], None, optimizer)
        self._value_range, self._time_range = value_range, time_range

    def value_at(self, t: int) -> float:
        """Return the value on the line."""
        (start, end), (begin, finish) = self._value_range, self._time_range
        if t <= begin:
            return start
        return end if t >= finish else start + (t - begin) / (finish - begin) * (end - start)


class CosineShift(_Shift):
    """init * (1 + cos(pi t / length)) / 2, and 0 from `length` on (Loshchilov and Hutter 2017, equation 5)."""

    def __init__(self, attr: str, length: float, init: float | None = None, optimizer: Any = None) -> None:
        super().__init__(attr, init, None, optimizer)
        self._length = length

    def value_at(self, t: int) -> float:
        """Return the value on the half wave."""
        return self._init * (1 + math.cos(math.pi * min(t / self._length, 1))) / 2


class WarmupShift(_Shift):
    """From `warmup_start` straight to `init` at t = `warmup_iter`, and `init` after that."""

    _state = ("_t",)

    def __init__(self, attr: str, warmup_start: float, warmup_iter: int, init: float, optimizer: Any = None) -> None:
        super().__init__(attr, init, None, optimizer)
        self._warmup_start, self._warmup_iter = warmup_start, warmup_iter

    def value_at(self, t: int) -> float:
        """Return the value on the line."""
        if t >= self._warmup_iter:
            return self._init
        return self._warmup_start + (self._init - self._warmup_start) / self._warmup_iter * t
