"""Functions along axes: sums, products, extremes, means, and their running versions.

`Reduction` does what they share: axes are checked when the node is made and counted from the front when it runs, and
the gradient arrives in a shape that broadcasts against the input.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from minigan import core
from minigan.backend import get_array_module
from minigan.core import FunctionNode, Variable, as_variable, broadcast_to, get_item
from minigan.utils.type_check import InvalidType

__all__ = [
    "argmax", "argmin", "average", "batch_l2_norm_squared", "cumprod", "cumsum", "logsumexp", "max", "mean", "min",
    "prod", "sum",
]  # fmt: skip


def normalize_axis(function: str, axis: Any, ndim: int) -> tuple[int, ...]:
    """The axes that `axis` (None for all, an int or a tuple, negative from the end) means, all in 0..ndim-1.

    Raises `TypeError` for other types, `InvalidType` for an axis that x does not have, `ValueError` for a repeated one.
    """
    if axis is None:
        return tuple(range(ndim))
    axes = _as_axes(function, axis)
    for a in axes:
        if not -ndim <= a < ndim:
            raise InvalidType(f"{function}: axis {a} does not exist; x has {ndim} axes, so -{ndim} to {ndim - 1}.")
    result = tuple(a % ndim for a in axes)
    if len(set(result)) < len(result):
        raise ValueError(f"{function}: an axis occurs twice in {axis!r} (x has {ndim} axes).")
    return result


def _as_axes(function: str, axis: Any) -> tuple[int, ...]:
    try:
        axes = tuple(operator.index(a) for a in (axis if isinstance(axis, tuple) else (axis,)))
    except TypeError:
        raise TypeError(f"{function}: axis must be None, an int or a tuple of ints, got {axis!r}.") from None
    if len(set(axes)) < len(axes):
        raise ValueError(f"{function}: an axis occurs twice in {axis!r}.")
    return axes


class Reduction(FunctionNode):
    """y = value(xp, x) over `axis`; `value` leaves axes of length 1, and `gradient(gy)` gets gy in that shape."""

    arguments = ("x",)

    def __init__(self, axis: Any = None, keepdims: bool = False) -> None:
        if axis is not None:
            _as_axes(type(self).__name__.lower(), axis)
        self.axis, self.keepdims = axis, keepdims

    def value(self, xp: Any, x: Any) -> Any:
        """Reduce the array `x` over `self.axes`, leaving axes of length 1."""
        raise NotImplementedError

    def gradient(self, gy: Variable) -> Variable:
        """Return the gradient of x."""
        raise NotImplementedError

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        (x,) = inputs
        self.axes = normalize_axis(self._title(), self.axis, x.ndim)
        y = self.value(get_array_module(x), x)
        self.shape = y.shape
        return (y if self.keepdims else y.squeeze(self.axes),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:  # noqa: D102
        return (self.gradient(core.reshape(grad_outputs[0], self.shape)),)


def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """Sum over `axis`: all axes for None, none of them for the empty tuple; `keepdims` leaves axes of length 1."""
    x = as_variable(x)
    return core.sum(x, axis=normalize_axis("sum", axis, x.ndim), keepdims=keepdims)


def average(x: Any, axis: Any = None, weights: Any = None, keepdims: bool = False) -> Variable:
    """Mean over `axis`, sum_i w_i x_i / sum_i w_i with `weights`; float16 is added up in float32.

    `weights` has x.shape[axis] elements for one `axis`; for None it broadcasts against x. Raises `ValueError` for
    weights with several axes, `InvalidType` for weights that do not fit, `ZeroDivisionError` for the mean of nothing.
    """
    x = as_variable(x)
    if x.dtype.kind != "f":
        raise InvalidType(f"average: x is {x.dtype}; wanted floating point; cast it with x.astype('float32').")
    axes = normalize_axis("average", axis, x.ndim)
    wide = np.dtype(np.float32) if x.dtype == np.float16 else x.dtype
    z = core.cast(x, wide)
    if weights is None:
        total = core.Sum(axes, keepdims).apply((z,))[0]
        return core.cast(total * (1.0 / math.prod([x.shape[a] for a in axes])), x.dtype)
    if isinstance(axis, tuple) and len(axis) != 1:
        raise ValueError(f"average: axis is {axis!r}; with weights it must be an int or None.")
    w = core.cast(weights, wide)
    if axis is not None:
        if w.size != x.shape[axes[0]]:
            raise InvalidType(f"average: weights has shape {w.shape}; x {x.shape} and axis {axis} do not fit it.")
        w = core.reshape(w, tuple(n if a in axes else 1 for a, n in enumerate(x.shape)))
    total = core.sum(core.mul(z, broadcast_to(w, x.shape)), axis=axes, keepdims=keepdims)
    return core.cast(total / broadcast_to(core.sum(w), total.shape), x.dtype)


mean = average


class Select(FunctionNode):
    """y = x where `mask` is true, else 0 (also where x is infinite); linear, so it is its own derivative."""

    name = "select"
    arguments = ("x",)

    def __init__(self, mask: Any) -> None:
        self.mask = mask

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        (x,) = inputs
        return (get_array_module(x).where(self.mask, x, x.dtype.type(0)),)

    def backward(self, indexes: Any, grad_outputs: tuple) -> tuple:  # noqa: D102
        return Select(self.mask).apply(grad_outputs)


class Max(Reduction):
    """y = max of x over axes; every entry that equals it receives the whole gradient, as in Chainer."""

    name = "max"

    def value(self, xp: Any, x: Any) -> Any:  # noqa: D102
        y = getattr(x, self.name)(axis=self.axes, keepdims=True)
        self.chosen = x == y
        return y

    def gradient(self, gy: Variable) -> Variable:  # noqa: D102
        return Select(self.chosen).apply((broadcast_to(gy, self.chosen.shape),))[0]


class Min(Max):
    """y = min of x over axes; every entry that equals it receives the whole gradient, as in Chainer."""

    name = "min"


def max(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """Largest value over `axis`; each of several equal ones receives the whole gradient. Empty x: `ValueError`."""
    return Max(axis, keepdims).apply((x,))[0]


def min(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """Smallest value over `axis`; each of several equal ones receives the whole gradient. Empty x: `ValueError`."""
    return Min(axis, keepdims).apply((x,))[0]


class _OneAxis(FunctionNode):
    """What takes one axis, or None for x laid out in a row."""

    arguments = ("x",)

    def __init__(self, axis: int | None = None) -> None:
        if axis is not None and (isinstance(axis, tuple) or len(_as_axes(self._title(), axis)) != 1):
            raise TypeError(f"{self._title()}: axis must be None or an int, got {axis!r}.")
        self.axis = axis


class ArgMax(_OneAxis):
    """The place of the largest value along `axis`, int32; it has no gradient."""

    name = "argmax"

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        (x,) = inputs
        normalize_axis(self.name, self.axis, x.ndim)
        return (get_array_module(x).asarray(getattr(x, self.name)(self.axis)).astype(np.int32),)


class ArgMin(ArgMax):
    """The place of the smallest value along `axis`, int32; it has no gradient."""

    name = "argmin"


def argmax(x: Any, axis: int | None = None) -> Variable:
    """Place of the largest value along `axis` (None: in x laid out in a row), int32; the first of several."""
    return ArgMax(axis).apply((x,))[0]


def argmin(x: Any, axis: int | None = None) -> Variable:
    """Place of the smallest value along `axis` (None: in x laid out in a row), int32; the first of several."""
    return ArgMin(axis).apply((x,))[0]


class LogSumExp(Reduction):
    """y = log(sum(exp(x))) over axes, with the largest x taken out of the exponent; gx = gy exp(x - y)."""

    name = "logsumexp"

    def value(self, xp: Any, x: Any) -> Any:  # noqa: D102
        self.retain_inputs((0,))
        self.retain_outputs((0,))
        top = x.max(axis=self.axes, keepdims=True)
        return xp.log(xp.exp(x - top).sum(axis=self.axes, keepdims=True)) + top

    def gradient(self, gy: Variable) -> Variable:  # noqa: D102
        (x,), (y,) = self.get_retained_inputs(), self.get_retained_outputs()
        return gy * core.exp(x - core.reshape(y, self.shape))


def logsumexp(x: Any, axis: Any = None) -> Variable:
    """log(sum(exp(x))) over `axis`, safe against overflow."""
    return LogSumExp(axis).apply((x,))[0]


class Prod(Reduction):
    """y = product of x over axes; the gradient is right for zeros among them, to every order."""

    name = "prod"

    def value(self, xp: Any, x: Any) -> Any:  # noqa: D102
        self.retain_inputs((0,))
        self.retain_outputs((0,))
        return x.prod(axis=self.axes, keepdims=True)

    def gradient(self, gy: Variable) -> Variable:  # noqa: D102
        (x,), (y,) = self.get_retained_inputs(), self.get_retained_outputs()
        if not (x.array == 0).any():
            return gy * core.reshape(y, self.shape) / x
        order = (*(a for a in range(x.ndim) if a not in self.axes), *self.axes)
        moved = core.transpose(x, order)
        row = core.reshape(moved, (*moved.shape[: x.ndim - len(self.axes)], -1))
        others = _product_before(row) * _product_before(row[..., ::-1])[..., ::-1]
        return gy * core.transpose(core.reshape(others, moved.shape), np.argsort(order).tolist())


def prod(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """Product over `axis`."""
    return Prod(axis, keepdims).apply((x,))[0]


class Recurrence(FunctionNode):
    """s[k] = a[k] s[k-1] + b[k] along the last axis, from s[-1] = 0; its gradient is such a recurrence, backwards."""

    arguments = ("a", "b")

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        a, b = inputs
        self.retain_inputs((0,))
        self.retain_outputs((0,))
        s = b.copy()
        for k in range(1, s.shape[-1]):
            s[..., k] += a[..., k] * s[..., k - 1]
        return (s,)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:  # noqa: D102
        (a,), (s,) = self.get_retained_inputs(), self.get_retained_outputs()
        gb = _recur_backwards(a, grad_outputs[0])
        before = s.xp.arange(s.shape[-1]) > 0  # s[-1] is 0, and a[0] has no effect
        return tuple(gb if i else gb * Select(before).apply((_roll(s),))[0] for i in indexes)


def _recur_backwards(a: Variable, b: Variable) -> Variable:
    """s[k] = a[k+1] s[k+1] + b[k] along the last axis."""
    return Recurrence().apply((_roll(a[..., ::-1]), b[..., ::-1]))[0][..., ::-1]


def _roll(x: Variable) -> Variable:
    """x[k-1] in place k; the last one comes first."""
    return get_item(x, (..., x.xp.arange(-1, x.shape[-1] - 1)))


def _product_before(x: Variable) -> Variable:
    """Product of x[j] for j < k along the last axis."""
    start = x.xp.zeros_like(x.array)
    start[..., :1] = 1
    return Recurrence().apply((_roll(x), start))[0]


class Cumsum(_OneAxis):
    """y[k] = x[0] + ... + x[k] along `axis`; None lays x out in a row."""

    name = "cumsum"

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        (x,) = inputs
        normalize_axis(self.name, self.axis, x.ndim)
        return (getattr(x, self.name)(self.axis),)

    def backward(self, indexes: Any, grad_outputs: tuple) -> tuple:  # noqa: D102
        (gy,) = grad_outputs
        flip = (slice(None),) * ((self.axis or 0) % gy.ndim) + (slice(None, None, -1),)
        return (core.reshape(cumsum(gy[flip], self.axis)[flip], self.inputs[0].shape),)


class Cumprod(Cumsum):
    """y[k] = x[0] ... x[k] along `axis`; None lays x out in a row."""

    name = "cumprod"

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        self.retain_inputs((0,))
        return super().forward(inputs)

    def backward(self, indexes: Any, grad_outputs: tuple) -> tuple:  # noqa: D102
        (x,), (gy,) = self.get_retained_inputs(), grad_outputs
        order = list(range(gy.ndim))
        order.append(order.pop((self.axis or 0) % gy.ndim))  # exchanging the axes would not be simpler
        row = core.transpose(core.reshape(x, gy.shape), order)
        gx = _product_before(row) * _recur_backwards(row, core.transpose(gy, order))
        return (core.reshape(core.transpose(gx, np.argsort(order).tolist()), x.shape),)


def cumsum(x: Any, axis: int | None = None) -> Variable:
    """Running sum along `axis`; None lays x out in a row."""
    return Cumsum(axis).apply((x,))[0]


def cumprod(x: Any, axis: int | None = None) -> Variable:
    """Running product along `axis`; None lays x out in a row."""
    return Cumprod(axis).apply((x,))[0]


def batch_l2_norm_squared(x: Any) -> Variable:
    """Sum of the squares of each x[i]: (B, ...) -> (B,)."""
    x = as_variable(x)
    if x.ndim < 2 or x.dtype.kind != "f":
        raise InvalidType(f"batch_l2_norm_squared: x is {x.shape}, {x.dtype}; wanted two axes or more and floats.")
    return core.sum(x * x, axis=tuple(range(1, x.ndim)))
