"""Shapes and types of plain arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigan.backend import get_array_module, is_array


def as_vec(x: Any) -> Any:
    """`x` with one axis."""
    return x.reshape(-1)


def as_mat(x: Any) -> Any:
    """`x` with two axes: the first, and all others."""
    return x.reshape(len(x), -1)


def empty_like(x: Any) -> Any:
    """A new array of the shape, the dtype and the module of `x`."""
    return get_array_module(x).empty_like(x)


def size_of_shape(shape: Sequence[int]) -> int:
    """The number of elements of an array of that shape."""
    return math.prod(shape)


def sum_to(x: Any, shape: Sequence[int]) -> Any:
    """The array `x` summed over the axes along which an array of that shape would be repeated to become `x`."""
    lead = x.ndim - len(shape)
    axes = tuple(i for i in range(x.ndim) if i < lead or shape[i - lead] == 1)
    return get_array_module(x).asarray(x.sum(axes, keepdims=True).reshape(shape))


def force_array(x: Any, dtype: Any = None) -> Any:
    """A number as an array without axes; an array as it is, or in the type `dtype`."""
    array = x if is_array(x) else np.asarray(x)
    return array if dtype is None else array.astype(dtype, copy=False)


def force_type(dtype: Any, value: Any) -> Any:
    """`value`, a number or an array, in the type `dtype`; a Python number stays as it is."""
    return value.astype(dtype, copy=False) if is_array(value) or isinstance(value, np.generic) else value
