"""Arithmetic chapter of F: what is not an operator but reads like school mathematics.

The nodes that other derivatives are made of (add, matmul, sum, exp, log, absolute) live in `core`. Where a function
has a kink (maximum, clip, max), the derivative at a tie follows Chainer; each docstring says what that is.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from minigan import core
from minigan.backend import get_array_module
from minigan.core import FunctionNode, Variable, absolute, add, as_variable, exp, log
from minigan.utils.type_check import InvalidType

__all__ = [
    "absolute", "add", "average", "clip", "exp", "log", "matmul", "max", "maximum", "mean", "min", "minimum", "sqrt",
    "square", "sum",
]  # fmt: skip


def normalize_axis(function: str, axis: Any, ndim: int) -> tuple[int, ...]:
    """The axes that `axis` (None for all, an int or a tuple, negative from the end) means, all in 0..ndim-1.

    Raises `TypeError` for other types, `InvalidType` for an axis that x does not have, `ValueError` for a repeated one.
    """
    if axis is None:
        return tuple(range(ndim))
    try:
        axes = tuple(operator.index(a) for a in (axis if isinstance(axis, tuple) else (axis,)))
    except TypeError:
        raise TypeError(f"{function}: axis must be None, an int or a tuple of ints, got {axis!r}.") from None
    for a in axes:
        if not -ndim <= a < ndim:
            raise InvalidType(f"{function}: axis {a} does not exist; x has {ndim} axes, so -{ndim} to {ndim - 1}.")
    result = tuple(a % ndim for a in axes)
    if len(set(result)) < len(result):
        raise ValueError(f"{function}: an axis occurs twice in {axis!r} (x has {ndim} axes).")
    return result


def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """Sum over `axis`: all axes for None, none of them for the empty tuple; `keepdims` leaves axes of length 1."""
    x = as_variable(x)
    return core.sum(x, axis=normalize_axis("sum", axis, x.ndim), keepdims=keepdims)


def average(x: Any, axis: Any = None, weights: Any = None, keepdims: bool = False) -> Variable:
    """Mean over `axis`, sum_i w_i x_i / sum_i w_i with `weights`; float16 is added up in float32.

    `weights` is of shape (x.shape[axis],) for an int `axis`, or of x's shape for None. Raises `ValueError` for weights
    with a tuple of axes, `InvalidType` for weights of another shape.
    """
    x = as_variable(x)
    if x.dtype.kind != "f":
        raise InvalidType(f"average: x is {x.dtype}; wanted floating point; cast it with x.astype('float32').")
    axes = normalize_axis("average", axis, x.ndim)
    count: Any = float(np.prod([x.shape[a] for a in axes]))
    wide = np.dtype(np.float32) if x.dtype == np.float16 else x.dtype
    z = core.cast(x, wide)
    if weights is not None:
        if isinstance(axis, tuple):
            raise ValueError(f"average: axis is {axis!r}; with weights it must be an int or None.")
        weights = as_variable(weights)
        wanted = x.shape if axis is None else (x.shape[axes[0]],)
        if weights.shape != wanted:
            raise InvalidType(f"average: weights has shape {weights.shape}; x {x.shape} and axis {axis} want {wanted}.")
        w = core.cast(weights, wide)
        count = core.sum(w)
        if axis is not None:
            w = core.reshape(w, tuple(x.shape[a] if a in axes else 1 for a in range(x.ndim)))
        z = core.mul(z, core.broadcast_to(w, x.shape))
    total = core.sum(z, axis=axes, keepdims=keepdims)
    if weights is not None:
        count = core.broadcast_to(count, total.shape)
    return core.cast(core.div(total, count), x.dtype)


mean = average


class Square(FunctionNode):
    """y = x^2; gx = 2 x gy."""

    name = "square"
    arguments = ("x",)

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        (x,) = inputs
        self.retain_inputs((0,))
        return (x * x,)

    def backward(self, indexes: Any, grad_outputs: tuple) -> tuple:  # noqa: D102
        (x,) = self.get_retained_inputs()
        return (grad_outputs[0] * (x * 2.0),)


def square(x: Any) -> Variable:
    """Elementwise x^2."""
    return Square().apply((x,))[0]


class Sqrt(FunctionNode):
    """y = x^(1/2); gx = gy / (2 y): the output is what its derivative needs."""

    name = "sqrt"
    arguments = ("x",)

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        (x,) = inputs
        self.retain_outputs((0,))
        return (get_array_module(x).sqrt(x),)

    def backward(self, indexes: Any, grad_outputs: tuple) -> tuple:  # noqa: D102
        (y,) = self.get_retained_outputs()
        return (grad_outputs[0] / (y * 2.0),)


def sqrt(x: Any) -> Variable:
    """Elementwise square root."""
    return Sqrt().apply((x,))[0]


def matmul(a: Any, b: Any, transa: bool = False, transb: bool = False) -> Variable:
    """Matrix product over the last two axes, earlier axes broadcast: (..., M, K) @ (..., K, N) -> (..., M, N).

    `transa` and `transb` swap the last two axes first. A 1-D argument is a row on the left, a column on the right, and
    its axis is gone from the result; transposing it changes nothing.
    """
    return core.matmul(_swap_last(as_variable(a), transa), _swap_last(as_variable(b), transb))


def _swap_last(x: Variable, wanted: bool) -> Variable:
    if not wanted or x.ndim < 2:
        return x
    return core.transpose(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


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


class Maximum(FunctionNode):
    """y = max(x1, x2) by broadcasting; where x1 = x2 the gradient goes to x1, as in Chainer."""

    name = "maximum"
    arguments = ("x1", "x2")
    first_wins = "greater_equal"

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        x1, x2 = inputs
        xp = get_array_module(x1)
        try:
            self.first = getattr(xp, self.first_wins)(x1, x2)
        except ValueError as error:
            raise InvalidType(f"{self.name}: shapes {x1.shape} and {x2.shape} do not broadcast.") from error
        return (getattr(xp, self.name)(x1, x2),)

    def backward(self, indexes: Any, grad_outputs: tuple) -> tuple:  # noqa: D102
        assert self.inputs is not None
        masks = self.first, ~self.first
        return tuple(core.sum_to(Select(masks[i]).apply(grad_outputs)[0], self.inputs[i].shape) for i in indexes)


class Minimum(Maximum):
    """y = min(x1, x2) by broadcasting; where x1 = x2 the gradient goes to x1, as in Chainer."""

    name = "minimum"
    first_wins = "less_equal"


def maximum(x1: Any, x2: Any) -> Variable:
    """Elementwise larger of x1 and x2, broadcast against each other; at a tie the gradient goes to x1."""
    return Maximum().apply((x1, x2))[0]


def minimum(x1: Any, x2: Any) -> Variable:
    """Elementwise smaller of x1 and x2, broadcast against each other; at a tie the gradient goes to x1."""
    return Minimum().apply((x1, x2))[0]


class Clip(FunctionNode):
    """y = min(max(x, x_min), x_max); gx = gy where x_min <= x <= x_max, else 0."""

    name = "clip"
    arguments = ("x",)

    def __init__(self, x_min: float | None, x_max: float | None) -> None:
        self.x_min, self.x_max = x_min, x_max

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        (x,) = inputs
        y = get_array_module(x).clip(x, self.x_min, self.x_max)
        self.inside = x == y
        return (y,)

    def backward(self, indexes: Any, grad_outputs: tuple) -> tuple:  # noqa: D102
        return Select(self.inside).apply(grad_outputs)


def clip(x: Any, x_min: float | None, x_max: float | None) -> Variable:
    """Elementwise x, but x_min where it is below and x_max where it is above; None leaves that side open.

    The gradient is 1 inside and on the bounds. Raises `ValueError` unless x_min < x_max.
    """
    if x_min is None and x_max is None:
        raise ValueError("clip: x_min and x_max are both None; give at least one.")
    if x_min is not None and x_max is not None and not x_min < x_max:
        raise ValueError(f"clip: x_min is {x_min} and x_max is {x_max}; x_min must be less than x_max.")
    return Clip(x_min, x_max).apply((x,))[0]


class Max(FunctionNode):
    """y = max of x over axes; every entry that equals it receives the whole gradient, as in Chainer."""

    name = "max"
    arguments = ("x",)

    def __init__(self, axis: Any, keepdims: bool) -> None:
        self.axis, self.keepdims = axis, keepdims

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        (x,) = inputs
        self.axes = normalize_axis(self.name, self.axis, x.ndim)
        y = getattr(x, self.name)(axis=self.axes, keepdims=True)
        self.chosen = x == y
        return (y if self.keepdims else y.squeeze(self.axes),)

    def backward(self, indexes: Any, grad_outputs: tuple) -> tuple:  # noqa: D102
        shape = self.chosen.shape
        gy = core.reshape(grad_outputs[0], tuple(1 if a in self.axes else n for a, n in enumerate(shape)))
        return Select(self.chosen).apply((core.broadcast_to(gy, shape),))


class Min(Max):
    """y = min of x over axes; every entry that equals it receives the whole gradient, as in Chainer."""

    name = "min"


def max(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """Largest value over `axis`; each of several equal ones receives the whole gradient. Empty x: `ValueError`."""
    return Max(axis, keepdims).apply((x,))[0]


def min(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """Smallest value over `axis`; each of several equal ones receives the whole gradient. Empty x: `ValueError`."""
    return Min(axis, keepdims).apply((x,))[0]
