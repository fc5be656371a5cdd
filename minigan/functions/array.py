"""Array chapter of F: the same numbers in another shape, order or selection.

`core` has the nodes that are each other's derivatives (reshape, transpose, broadcast_to with sum_to, get_item, cast).
Joining and cutting are each other's derivatives too, and are the two nodes of this file that everyone meets. Nearly
all the rest is said with these: an order of the axes is a transpose, a selection is a get_item.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from minigan import core
from minigan.backend import get_array_module, get_device, get_device_from_array
from minigan.configuration import config
from minigan.core import Variable, add, as_variable, broadcast_to, get_item, reshape, sum_to, transpose
from minigan.functions.reduction import Select, normalize_axis
from minigan.utils.type_check import InvalidType

__all__ = [
    "as_strided", "broadcast", "broadcast_to", "cast", "concat", "copy", "diagonal", "dstack", "expand_dims",
    "flatten", "flip", "fliplr", "flipud", "get_item", "hstack", "moveaxis", "pad", "pad_sequence", "permutate",
    "repeat", "reshape", "rollaxis", "scatter_add", "select_item", "separate", "split_axis", "squeeze", "stack",
    "sum_to", "swapaxes", "tile", "transpose", "transpose_sequence", "vstack", "where",
]  # fmt: skip

# Joining and cutting ------------------------------------------------------------------------------------------------


class Concat(core.FunctionNode):
    """y = [x_0, x_1, ...] along one axis; gy is cut at the same places."""

    name = "concat"

    def __init__(self, axis: int = 1) -> None:
        self.axis = axis

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        self.ends = np.cumsum([x.shape[self.axis] for x in inputs[:-1]]).tolist()
        return (get_array_module(*inputs).concatenate(inputs, axis=self.axis),)

    def backward(self, indexes: Any, grad_outputs: tuple) -> tuple:  # noqa: D102
        parts = SplitAxis(self.ends, self.axis).apply(grad_outputs)
        return tuple(parts[i] for i in indexes)


class SplitAxis(core.FunctionNode):
    """y_0, y_1, ... = views of x, cut along one axis; the gy are joined, with zeros for a part that has none."""

    name = "split_axis"

    def __init__(self, indices_or_sections: Any, axis: int) -> None:
        self.indices_or_sections, self.axis = indices_or_sections, axis

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        (x,) = inputs
        size, where = x.shape[self.axis], self.indices_or_sections
        ends = [0, *where, size] if np.ndim(where) else [size // where * i for i in range(where + 1)]
        before = (slice(None),) * self.axis
        self.slices = [(*before, slice(a, b)) for a, b in pairwise(ends)]
        ys = tuple(x[part] for part in self.slices)
        self.in_order = ends == sorted(ends) and ends[0] >= 0
        self.shapes, self.xp, self.dtype = [y.shape for y in ys], get_array_module(x), x.dtype
        return ys

    def backward(self, indexes: Any, grad_outputs: tuple) -> tuple:  # noqa: D102
        if not self.in_order:  # parts overlap, or do not cover x
            gys = [(part, gy) for part, gy in zip(self.slices, grad_outputs) if gy is not None]
            return (add(*[core.GetItemGrad(part, self.inputs[0].shape).apply((gy,))[0] for part, gy in gys]),)
        whole = [
            Variable(self.xp.zeros(shape, self.dtype), requires_grad=False) if gy is None else gy
            for shape, gy in zip(self.shapes, grad_outputs)
        ]
        return Concat(self.axis).apply(whole)


def concat(xs: Iterable[Any], axis: int = 1) -> Variable:
    """Join arrays along `axis`, (N, C_0, ...), (N, C_1, ...) -> (N, C_0 + C_1, ...).

    Raises `InvalidType` if there are none, if their dtypes differ, or their shapes elsewhere than in `axis`.
    """
    variables = [as_variable(x) for x in xs]
    if not variables:
        raise InvalidType("concat: xs is empty; give at least one array.")
    first = variables[0]
    axis = _axis("concat", axis, first.ndim)
    for i, x in enumerate(variables[1:], 1):
        if x.shape[:axis] + x.shape[axis + 1 :] != first.shape[:axis] + first.shape[axis + 1 :] or x.ndim != first.ndim:
            raise InvalidType(
                f"concat: xs[{i}] has shape {x.shape} but xs[0] has {first.shape}; only axis {axis} may differ."
            )
        if x.dtype != first.dtype:
            raise InvalidType(f"concat: xs[{i}] is {x.dtype} but xs[0] is {first.dtype}; cast one of them.")
    return Concat(axis).apply(variables)[0]


def stack(xs: Iterable[Any], axis: int = 0) -> Variable:
    """Join K arrays of one shape along a new axis, `axis` of the result: (N, C) -> (K, N, C) for 0."""
    variables = [as_variable(x) for x in xs]
    for i, x in enumerate(variables):
        if x.shape != variables[0].shape:
            raise InvalidType(f"stack: xs[{i}] has shape {x.shape} but xs[0] {variables[0].shape}; wanted one shape.")
    return concat([expand_dims(x, axis) for x in variables], axis=axis)


def _join(function: str, xs: Iterable[Any], numpy_function: Callable, axis: int) -> Variable:
    """Give every x the axes that NumPy gives it, and join them."""
    variables = [as_variable(x) for x in xs]
    if len({x.ndim for x in variables}) > 1:
        raise InvalidType(f"{function}: shapes {[x.shape for x in variables]}; wanted one number of axes.")
    return concat([reshape(x, numpy_function(np.broadcast_to(0, x.shape)).shape) for x in variables], axis)


def hstack(xs: Iterable[Any]) -> Variable:
    """Join along axis 1, vectors and numbers along axis 0."""
    variables = [as_variable(x) for x in xs]
    return _join("hstack", variables, np.atleast_1d, 1 if variables and variables[0].ndim > 1 else 0)


def vstack(xs: Iterable[Any]) -> Variable:
    """Join along axis 0; vectors are rows."""
    return _join("vstack", xs, np.atleast_2d, 0)


def dstack(xs: Iterable[Any]) -> Variable:
    """Join along axis 2; vectors (N,) count as (1, N, 1), matrices (M, N) as (M, N, 1)."""
    return _join("dstack", xs, np.atleast_3d, 2)


def split_axis(x: Any, indices_or_sections: Any, axis: int, force_tuple: bool = True) -> Any:
    """Cut x along `axis` into equal parts (an int) or before each of the given indices; a tuple of Variables.

    One part is returned by itself if `force_tuple` is false. Raises `InvalidType` if the number of sections does not
    divide the axis or an index is beyond its end, and `ValueError` for falling indices while `config.debug`.
    """
    x = as_variable(x)
    axis = _axis("split_axis", axis, x.ndim)
    size = x.shape[axis]
    how: Any
    if np.ndim(indices_or_sections) == 0:
        how = operator.index(indices_or_sections)
        if how < 1 or size % how:
            raise InvalidType(f"split_axis: {how} sections do not divide axis {axis}, of size {size}.")
    else:
        how = [operator.index(i) for i in indices_or_sections]
        if config.debug and how != sorted(how):
            raise ValueError(f"split_axis: indices {how} must not fall.")
        if max(how, default=0) > size:
            raise InvalidType(f"split_axis: index {max(how)} is beyond the end of axis {axis}, of size {size}.")
    parts = SplitAxis(how, axis).apply((x,))
    return parts if force_tuple or len(parts) > 1 else parts[0]


def separate(x: Any, axis: int = 0) -> tuple:
    """Return the slices of x along `axis`, which they have lost, as a tuple: the reverse of `stack`."""
    x = as_variable(x)
    axis = _axis("separate", axis, x.ndim)
    if not x.shape[axis]:
        return ()
    return tuple(squeeze(part, axis) for part in split_axis(x, x.shape[axis], axis))


def cast(x: Any, typ: Any) -> Variable:
    """x in the floating-point type `typ`; gx comes back in the type of x.

    A Variable of its own, whose gradient can be asked for, also where x has the type, while `config.enable_backprop`.
    """
    x = as_variable(x)
    return core.Cast(typ).apply((x,))[0] if x.dtype == typ and config.enable_backprop else core.cast(x, typ)


# Axes in another order, or more or fewer of them ----------------------------------------------------------------------


def _reorder(function: str, x: Any, numpy_function: Callable, *arguments: Any) -> Variable:
    """Transpose x as NumPy's function does: an array whose shape is 0, 1, 2, ... shows where each axis goes."""
    x = as_variable(x)
    try:
        axes = numpy_function(np.empty(tuple(range(x.ndim))), *arguments).shape
    except np.exceptions.AxisError as error:
        raise InvalidType(f"{function}: {error} (x has shape {x.shape})") from error
    return transpose(x, axes)


def rollaxis(x: Any, axis: int, start: int = 0) -> Variable:
    """Move `axis` before the axis `start`. `moveaxis` says it more clearly."""
    return _reorder("rollaxis", x, np.rollaxis, _index("rollaxis", axis), _index("rollaxis", start))


def moveaxis(x: Any, source: Any, destination: Any) -> Variable:
    """Move the axes `source` (an int or a tuple) to the places `destination`; the others keep their order."""
    return _reorder("moveaxis", x, np.moveaxis, source, destination)


def swapaxes(x: Any, axis1: int, axis2: int) -> Variable:
    """Exchange two axes. Raises NumPy's `AxisError` for an axis that x does not have."""
    x = as_variable(x)
    return transpose(x, np.swapaxes(np.empty(tuple(range(x.ndim))), axis1, axis2).shape)


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


# Selections: get_item with the right index --------------------------------------------------------------------------


def _take(x: Variable, index: Any, axis: int) -> Variable:
    return get_item(x, (slice(None),) * axis + (index,))


def flip(x: Any, axis: int) -> Variable:
    """Reverse the order along `axis`; a view."""
    x = as_variable(x)
    axis = _axis("flip", axis, x.ndim)
    return _take(x, slice(None, None, -1), axis)


def flipud(a: Any) -> Variable:
    """Reverse the first axis, up and down."""
    return flip(a, 0)


def fliplr(a: Any) -> Variable:
    """Reverse the second axis, left and right."""
    return flip(a, 1)


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Variable:
    """The diagonal of the planes spanned by two axes, as the last axis; `offset` shifts it towards `axis2`."""
    x = as_variable(x)
    x = moveaxis(x, (axis1, axis2), (-2, -1))
    rows, columns = x.shape[-2:]
    first, second = max(-offset, 0), max(offset, 0)
    steps = x.xp.arange(max(min(rows - first, columns - second), 0))
    return get_item(x, (Ellipsis, steps + first, steps + second))


def permutate(x: Any, indices: Any, axis: int = 0, inv: bool = False) -> Variable:
    """Reorder x along `axis`: y_i = x_{indices[i]}, or y_{indices[i]} = x_i if `inv`.

    `indices` is a vector of signed integers. Raises `ValueError` for another; with `config.debug` also unless it is a
    permutation.
    """
    x, order = as_variable(x), as_variable(indices).array
    axis = _axis("permutate", axis, x.ndim)
    if order.dtype.kind != "i" or order.ndim != 1:
        raise ValueError(f"permutate: indices is {order.dtype} {order.shape}; wanted a vector of signed integers.")
    if config.debug and sorted(order.tolist()) != list(range(order.size)):
        raise ValueError(f"permutate: indices is no permutation of 0..{order.size - 1}.")
    return _take(x, order.argsort() if inv else order, axis)


def select_item(x: Any, t: Any) -> Variable:
    """From each row of x (N, C) the entry that t (N,) names: y_n = x[n, t_n].

    Raises `InvalidType` for other shapes, `ValueError` for a t outside of 0..C-1 while `config.debug`.
    """
    x, t = as_variable(x), as_variable(t).array
    if x.ndim != 2 or t.dtype.kind != "i" or t.shape != x.shape[:1]:
        raise InvalidType(
            f"select_item: x has shape {x.shape} and t is {t.dtype} {t.shape}; wanted (N, C) and integers (N,)."
        )
    if config.debug and ((t < 0) | (t >= x.shape[1])).any():
        raise ValueError(f"select_item: t goes from {t.min()} to {t.max()}; wanted 0 to {x.shape[1] - 1}.")
    return get_item(x, (get_array_module(t).arange(t.size), t))


def scatter_add(a: Any, slices: Any, b: Any) -> Variable:
    """A copy of a with b added at `a[slices]`; a place that is named twice receives both.

    Raises `InvalidType` for more indices than a has axes, `ValueError` unless b has the shape of `a[slices]`.
    """
    a, b, index = as_variable(a), as_variable(b), core.as_index("scatter_add", slices)
    try:
        shape = a.array[index].shape
    except IndexError as error:
        raise InvalidType(f"scatter_add: a has shape {a.shape}: {error}") from error
    if b.shape != shape:
        raise ValueError(f"scatter_add: b has shape {b.shape}, but a[slices] has {shape}; wanted the same.")
    return add(a, core.cast(core.GetItemGrad(index, a.shape).apply((b,))[0], a.dtype))


# Repetitions ----------------------------------------------------------------------------------------------------------


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Variable:
    """Repeat each entry along `axis` (of the flattened x for None): [a, b], 2 -> [a, a, b, b].

    `repeats` is a number for all, or a tuple with one for each entry.
    """
    x, counts = as_variable(x), _counts("repeat", repeats)
    if axis is None or not x.ndim:
        x, axis = flatten(x), axis or 0
    if not isinstance(axis, int) or isinstance(axis, bool):
        raise TypeError(f"repeat: axis must be an int or None, got {axis!r}.")
    if not -x.ndim <= axis < x.ndim:
        raise np.exceptions.AxisError(axis, x.ndim)
    axis %= x.ndim
    before, size, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    if len(counts) == 1:
        stretched = broadcast_to(reshape(x, (*before, size, 1, *after)), (*before, size, counts[0], *after))
        return reshape(stretched, (*before, size * counts[0], *after))
    if len(counts) != size:
        raise ValueError(f"repeat: {len(counts)} repeats for axis {axis} of size {size}; wanted one, or one for each.")
    return _take(x, x.xp.asarray(np.repeat(np.arange(size), counts)), axis)


def tile(x: Any, reps: Any) -> Variable:
    """Lay x out `reps` times along each axis, from the last one on: [a, b], 2 -> [a, b, a, b]."""
    x, counts = as_variable(x), _counts("tile", reps)
    ndim = max(len(counts), x.ndim)
    shape = (1,) * (ndim - x.ndim) + x.shape
    counts = (1,) * (ndim - len(counts)) + counts
    apart = tuple(size for n in shape for size in (1, n))
    stretched = broadcast_to(reshape(x, apart), tuple(size for pair in zip(counts, shape) for size in pair))
    return reshape(stretched, tuple(n * m for n, m in zip(counts, shape)))


def _counts(function: str, counts: Any) -> tuple[int, ...]:
    """An int or a tuple of ints, none negative, as a tuple."""
    result = counts if isinstance(counts, tuple) else (counts,)
    if not all(isinstance(n, (int, np.integer)) for n in result):
        raise TypeError(f"{function}: got {counts!r}; wanted an int or a tuple of ints.")
    if min(result, default=0) < 0:
        raise ValueError(f"{function}: got {counts!r}; wanted 0 or more.")
    return tuple(int(n) for n in result)


# What needs a node of its own -----------------------------------------------------------------------------------------


class Where(core.FunctionNode):
    """y = x1 where `condition`, else x2; each receives gy where it was taken."""

    name = "where"

    def __init__(self, condition: Any) -> None:
        self.condition = condition

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        try:
            return (get_array_module(*inputs).where(self.condition, *inputs),)
        except ValueError as error:
            shapes = [a.shape for a in (self.condition, *inputs)]
            raise InvalidType(f"where: shapes {shapes} of condition, x and y do not broadcast.") from error

    def backward(self, indexes: Any, grad_outputs: tuple) -> tuple:  # noqa: D102
        masks = self.condition, ~self.condition
        return tuple(sum_to(Select(masks[i]).apply(grad_outputs)[0], self.inputs[i].shape) for i in indexes)


def where(condition: Any, x: Any, y: Any) -> Variable:
    """x where `condition` (booleans) holds, else y; all three broadcast. Raises `InvalidType` for mixed dtypes."""
    x, y = as_variable(x), as_variable(y)
    condition = x.xp.asarray(condition.array if isinstance(condition, Variable) else condition)
    if condition.dtype != bool or x.dtype != y.dtype:
        raise InvalidType(f"where: got {condition.dtype}, {x.dtype} and {y.dtype}; wanted bool, and x and y alike.")
    return Where(condition).apply((x, y))[0]


class Pad(core.FunctionNode):
    """y = numpy.pad(x, ...); an entry of x receives what its copies receive."""

    name = "pad"

    def __init__(self, pad_width: Any, mode: Any, **keywords: Any) -> None:
        self.pad_width, self.mode, self.keywords = pad_width, mode, keywords

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        (x,) = inputs
        self.pad_width = np.broadcast_to(self.pad_width, (x.ndim, 2)).tolist()  # CuPy refuses what NumPy spreads out
        return (get_array_module(x).pad(x, self.pad_width, mode=self.mode, **self.keywords),)

    def backward(self, indexes: Any, grad_outputs: tuple) -> tuple:  # noqa: D102
        shape, (gy,) = self.inputs[0].shape, grad_outputs
        if self.mode == "constant":
            return (get_item(gy, tuple(slice(a, a + n) for (a, _), n in zip(self.pad_width, shape))),)
        if self.mode not in ("edge", "reflect", "symmetric", "wrap") or self.keywords.get("reflect_type") == "odd":
            raise NotImplementedError(f"pad: mode {self.mode!r} has no derivative here; use constant, edge or reflect.")
        size = int(np.prod(shape))
        places = gy.xp.pad(gy.xp.arange(size).reshape(shape), self.pad_width, mode=self.mode).ravel()
        return (reshape(core.GetItemGrad(places, (size,)).apply((flatten(gy),))[0], shape),)


def pad(x: Any, pad_width: Any, mode: Any, **keywords: Any) -> Variable:
    """Add entries before and after each axis, as `numpy.pad` does, with its modes and keywords.

    The derivative is right for "constant" and for the modes that repeat entries of x ("edge", "reflect", "symmetric",
    "wrap"), whose gradient goes to the entry that was repeated. The other modes raise `NotImplementedError` there.
    """
    return Pad(pad_width, mode, **keywords).apply((x,))[0]


class Copy(core.FunctionNode):
    """The same numbers on another device; the gradient travels back."""

    name = "copy"

    def __init__(self, in_device: Any, out_device: Any) -> None:
        self.in_device, self.out_device = in_device, out_device

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        (x,) = inputs
        return (x.copy() if self.in_device == self.out_device else self.out_device.send(x),)

    def backward(self, indexes: Any, grad_outputs: tuple) -> tuple:  # noqa: D102
        return Copy(self.out_device, self.in_device).apply(grad_outputs)


def copy(x: Any, dst: Any) -> Variable:
    """Copy x to the device `dst`: a device, its name, or Chainer's number (-1 is the CPU)."""
    x = as_variable(x)
    return Copy(get_device_from_array(x.array), get_device(dst)).apply((x,))[0]


class AsStrided(core.FunctionNode):
    """A view of x's memory by strides in entries; where it names a number k times, that receives k gradients."""

    name = "as_strided"

    def __init__(self, shape: Any, strides: Any, storage_offset: int | None = None) -> None:
        self.shape, self.strides, self.storage_offset = tuple(shape), tuple(strides), storage_offset

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        (x,) = inputs
        memory, start = _memory(x)
        if self.storage_offset is None:
            self.storage_offset = start
        self.size, self.source = memory.size, (x.shape, [n // x.itemsize for n in x.strides], start)
        return (_view(memory, self.shape, self.strides, self.storage_offset),)

    def backward(self, indexes: Any, grad_outputs: tuple) -> tuple:  # noqa: D102
        (gy,) = grad_outputs
        if gy.dtype.kind != "f":
            raise TypeError(f"as_strided: x is {gy.dtype}; only floating point has a gradient.")
        assert self.storage_offset is not None
        places = gy.xp.arange(self.size)
        y_places = _view(places, self.shape, self.strides, self.storage_offset)
        x_places = _view(places, *self.source)
        # several entries of x that are one number in memory share its gradient
        shares = gy.xp.bincount(x_places.ravel(), minlength=self.size).clip(1, None).astype(gy.dtype)
        total = core.GetItemGrad(y_places, (self.size,)).apply((gy,))[0]
        return (get_item(total / shares, x_places),)


def _memory(x: Any) -> tuple[Any, int]:
    """All the memory that x is a view of, as a vector, and the place of x's first entry in it."""
    owner = base = x
    while (base := getattr(base, "base", None)) is not None:  # NumPy's as_strided puts another object in between
        owner = base if isinstance(base, type(x)) else owner
    interface = "__array_interface__" if isinstance(x, np.ndarray) else "__cuda_array_interface__"
    first, start = (getattr(a, interface)["data"][0] for a in (owner, x))
    strided = get_array_module(x).lib.stride_tricks.as_strided
    return strided(owner, (owner.size,), (owner.itemsize,)), (start - first) // x.itemsize


def _view(memory: Any, shape: Sequence[int], strides: Sequence[int], offset: int) -> Any:
    reach = [(n - 1) * stride for n, stride in zip(shape, strides)]
    low, high = offset + sum(r for r in reach if r < 0), offset + sum(r for r in reach if r > 0)
    if len(shape) != len(strides) or (0 not in shape and (low < 0 or high >= memory.size)):
        raise ValueError(
            f"as_strided: shape {shape}, strides {strides} and offset {offset} reach entries {low} to {high}; "
            f"the memory has {memory.size}."
        )
    strided = get_array_module(memory).lib.stride_tricks.as_strided
    return strided(memory[offset:], tuple(shape), [n * memory.itemsize for n in strides])


def _stride_array(array: Any, shape: Sequence[int], strides: Sequence[int], storage_offset: int) -> Any:
    return _view(_memory(array)[0], shape, strides, storage_offset)


def as_strided(x: Any, shape: Any, strides: Any, storage_offset: int | None = None) -> Variable:
    """A view of the memory under x by `shape` and `strides`, counted in entries, not bytes.

    `storage_offset` is the first entry's place in the memory that x itself is a view of (None: where x begins).
    Raises `ValueError` where the view would leave that memory.
    """
    return AsStrided(shape, strides, storage_offset).apply((x,))[0]


# Sequences of several lengths -----------------------------------------------------------------------------------------


class PadSequence(core.FunctionNode):
    """y[i, :L_i] = x_i, and `padding` in the rest."""

    name = "pad_sequence"
    arguments = ("xs",)
    floating = False

    def __init__(self, length: int, padding: Any) -> None:
        self.length, self.padding = length, padding

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        y = get_array_module(*inputs).empty((len(inputs), self.length, *inputs[0].shape[1:]), inputs[0].dtype)
        y[...] = np.asarray(self.padding).astype(y.dtype)[()]  # -1 in unsigned integers is their largest
        for row, x in zip(y, inputs):
            row[: len(x)] = x
        return (y,)

    def backward(self, indexes: Any, grad_outputs: tuple) -> tuple:  # noqa: D102
        return tuple(get_item(grad_outputs[0], (i, slice(self.inputs[i].shape[0]))) for i in indexes)


def pad_sequence(xs: Sequence[Any], length: int | None = None, padding: Any = 0) -> Variable:
    """Stack arrays (L_i, ...) into (len(xs), length, ...), filled up with `padding`; `length` is the longest.

    Raises `InvalidType` for an empty list, mixed dtypes or shapes, or a `length` that is too short.
    """
    variables = [as_variable(x) for x in xs]
    shapes = [x.shape for x in variables]
    if not shapes or () in shapes or len({shape[1:] for shape in shapes}) > 1:
        raise InvalidType(f"pad_sequence: shapes {shapes}; wanted one array or more, alike but for the first axis.")
    longest = max(shape[0] for shape in shapes)
    if length is not None and length < longest:
        raise InvalidType(f"pad_sequence: length is {length} but the longest array has {longest}.")
    return PadSequence(longest if length is None else length, padding).apply(variables)[0]


def transpose_sequence(xs: Sequence[Any]) -> tuple:
    """From sequences, longest first, to steps: the i-th result has the i-th entry of every x that is long enough."""
    lengths = np.array([len(x) for x in xs])
    if (lengths[:-1] < lengths[1:]).any():
        raise InvalidType(f"transpose_sequence: lengths {lengths.tolist()}; wanted the longest first.")
    if not lengths.any():
        return ()
    starts = np.cumsum(lengths) - lengths
    steps = [starts[lengths > i] + i for i in range(lengths[0])]
    whole = concat(xs, 0)
    turned = get_item(whole, whole.xp.asarray(np.concatenate(steps)))
    return split_axis(turned, np.cumsum([len(step) for step in steps[:-1]], dtype=int), 0)


def _index(function: str, axis: Any) -> int:
    try:
        return operator.index(axis)
    except TypeError:
        raise TypeError(f"{function}: axis must be an int, got {axis!r}.") from None


def _axis(function: str, axis: Any, ndim: int) -> int:
    return normalize_axis(function, _index(function, axis), ndim)[0]
