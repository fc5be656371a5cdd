"""Comparing arrays, and arrays that lie in memory as few do: what a test wants beside the values."""

from __future__ import annotations

from typing import Any

from minigan.backend import get_array_module
from minigan.gradient_check import assert_allclose

__all__ = ["assert_allclose"]


def _as_noncontiguous_array(array: Any) -> Any:
    """Return a copy with steps of minus two elements along each axis; a list or tuple of such copies; None for None.

    Arrays with fewer than two elements, which are contiguous anyhow, come back themselves.
    """
    if array is None:
        return None
    if isinstance(array, list | tuple):
        return type(array)(map(_as_noncontiguous_array, array))
    if array.size < 2:
        return array
    wide = get_array_module(array).zeros([2 * n for n in array.shape], array.dtype)
    copy = wide[(slice(None, None, -2),) * array.ndim]
    copy[...] = array
    return copy
