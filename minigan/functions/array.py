"""Array chapter of F: the same numbers in another shape, order or selection.

`core` has the five nodes that are each other's derivatives (reshape, transpose, broadcast_to with sum_to, get_item and
cast); the rest is said with them, and only concat, the joining of several arrays, needs a node of its own.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np

from minigan.backend import get_array_module
from minigan.core import (
    FunctionNode,
    Variable,
    as_variable,
    broadcast_to,
    cast,
    get_item,
    reshape,
    sum_to,
    transpose,
)
from minigan.functions.math import normalize_axis
from minigan.utils.type_check import InvalidType

__all__ = [
    "broadcast", "broadcast_to", "cast", "concat", "expand_dims", "flatten", "get_item", "reshape", "split_axis",
    "squeeze", "stack", "sum_to", "transpose",
]  # fmt: skip


class Concat(FunctionNode):
    """y = [x_0, x_1, ...] along one axis; each x_i gets back its own slice of gy."""

    name = "concat"

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        self.ends = np.cumsum([0, *(x.shape[self.axis] for x in inputs)]).tolist()
        return (get_array_module(*inputs).concatenate(inputs, axis=self.axis),)

    def backward(self, indexes: Any, grad_outputs: tuple) -> tuple:  # noqa: D102
        before = (slice(None),) * self.axis
        return tuple(get_item(grad_outputs[0], (*before, slice(self.ends[i], self.ends[i + 1]))) for i in indexes)


def concat(xs: Iterable[Any], axis: int = 1) -> Variable:
    """Join arrays along `axis`, (N, C_0, ...), (N, C_1, ...) -> (N, C_0 + C_1, ...).

    Raises `InvalidType` if there are none, if their dtypes differ, or their shapes elsewhere than in `axis`.
    """
    variables = [as_variable(x) for x in xs]
    if not variables:
        raise InvalidType("concat: xs is empty; give at least one array.")
    first = variables[0]
    (axis,) = normalize_axis("concat", _index("concat", axis), first.ndim)
    for i, x in enumerate(variables[1:], 1):
        if x.shape[:axis] + x.shape[axis + 1 :] != first.shape[:axis] + first.shape[axis + 1 :] or x.ndim != first.ndim:
            raise InvalidType(
                f"concat: xs[{i}] has shape {x.shape} but xs[0] has {first.shape}; only axis {axis} may differ."
            )
        if x.dtype != first.dtype:
            raise InvalidType(f"concat: xs[{i}] is {x.dtype} but xs[0] is {first.dtype}; cast one of them.")
    return Concat(axis).apply(tuple(variables))[0]


def stack(xs: Iterable[Any], axis: int = 0) -> Variable:
    """Join K arrays of one shape along a new axis, `axis` of the result: (N, C) -> (K, N, C) for 0."""
    variables = [as_variable(x) for x in xs]
    for i, x in enumerate(variables):
        if x.shape != variables[0].shape:
            raise InvalidType(f"stack: xs[{i}] has shape {x.shape} but xs[0] {variables[0].shape}; wanted one shape.")
    return concat([expand_dims(x, axis) for x in variables], axis=axis)


def split_axis(x: Any, indices_or_sections: Any, axis: int, force_tuple: bool = True) -> Any:
    """Cut x along `axis` into equal parts (an int) or before each of the given indices; a tuple of Variables.

    One part is returned by itself if `force_tuple` is false. Raises `InvalidType` if the number of sections does not
    divide the axis or an index is beyond its end.
    """
    x = as_variable(x)
    (axis,) = normalize_axis("split_axis", _index("split_axis", axis), x.ndim)
    size = x.shape[axis]
    if np.ndim(indices_or_sections) == 0:
        sections = operator.index(indices_or_sections)
        if sections < 1 or size % sections:
            raise InvalidType(f"split_axis: {sections} sections do not divide axis {axis}, of size {size}.")
        ends = [size // sections * i for i in range(sections + 1)]
    else:
        ends = [0, *(operator.index(i) for i in indices_or_sections), size]
        if max(ends) > size:
            raise InvalidType(f"split_axis: index {max(ends)} is beyond the end of axis {axis}, of size {size}.")
    before = (slice(None),) * axis
    parts = tuple(get_item(x, (*before, slice(a, b))) for a, b in pairwise(ends))
    return parts if force_tuple or len(parts) > 1 else parts[0]


def broadcast(*args: Any) -> Any:
    """Stretch all arguments to their common shape; a tuple of Variables, or one Variable for one argument."""
    variables = [as_variable(x) for x in args]
    try:
        shape = np.broadcast_shapes(*(x.shape for x in variables))
    except ValueError:
        shapes = [x.shape for x in variables]
        raise InvalidType(f"broadcast: shapes {shapes} do not fit; sizes must be equal, or 1, from the end.") from None
    if not variables:
        raise InvalidType("broadcast: no arguments; give at least one array.")
    result = tuple(broadcast_to(x, shape) for x in variables)
    return result if len(result) > 1 else result[0]


def expand_dims(x: Any, axis: int) -> Variable:
    """Insert an axis of size 1 so that it is axis `axis` of the result: (N, C), 1 -> (N, 1, C)."""
    x = as_variable(x)
    axis = _index("expand_dims", axis)
    if not -x.ndim - 1 <= axis <= x.ndim:
        raise InvalidType(f"expand_dims: axis {axis} for shape {x.shape}; wanted -{x.ndim + 1} to {x.ndim}.")
    axis %= x.ndim + 1
    return reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]))


def squeeze(x: Any, axis: Any = None) -> Variable:
    """Drop axes of size 1: all of them (None), or those named by an int or a tuple. `ValueError` for a larger axis."""
    x = as_variable(x)
    if axis is None:
        axes = tuple(a for a, n in enumerate(x.shape) if n == 1)
    else:
        axes = normalize_axis("squeeze", axis, x.ndim)
    for a in axes:
        if x.shape[a] != 1:
            raise ValueError(f"squeeze: axis {a} has size {x.shape[a]} (shape {x.shape}); only size 1 can be dropped.")
    return reshape(x, tuple(n for a, n in enumerate(x.shape) if a not in axes))


def flatten(x: Any) -> Variable:
    """All entries in one axis: shape (x.size,). (To keep the batch axis: reshape(x, (len(x), -1)).)"""
    x = as_variable(x)
    return reshape(x, (x.size,))


def _index(function: str, axis: Any) -> int:
    try:
        return operator.index(axis)
    except TypeError:
        raise TypeError(f"{function}: axis must be an int, got {axis!r}.") from None
