"""Activations and their gradients by the kernels of activation.cu; the formulas of the functions are their twins."""

from __future__ import annotations

from typing import Any

from minigan.kernels.launch import MOST_INDEX, THREADS, at_once, available_for, kernel, launch, stored, types
from minigan.kernels.workspace import array_module


def fused(entry: str, *arrays: Any, numbers: tuple[float, ...] = ()) -> Any:
    """What the kernel ``entry`` gives for one array or two; None where there is no kernel for them.

    There is none on the CPU, and for arrays that do not lie in memory alike, without gaps.
    """
    x = arrays[0]
    if not available_for(*arrays, halves=True) or not 0 < x.size <= MOST_INDEX:
        return None
    order = tuple(range(x.ndim))
    if not all(a.flags.c_contiguous for a in arrays):
        order = tuple(sorted(order, key=lambda i: -x.strides[i]))
    flat = [a.transpose(order) for a in arrays]
    if not all(a.shape == x.shape for a in arrays) or not all(a.flags.c_contiguous for a in flat):
        return None
    out = array_module(x).empty(flat[0].shape, x.dtype)
    pack = at_once(x.size, *flat)
    name = "y" if len(arrays) == 1 else "gx"
    grid = (-(-x.size // (THREADS * pack)),)
    args = *map(stored, (*flat, out)), x.size, *numbers
    launch(kernel("activation.cu", entry, (name,), **types(x.dtype), VEC=pack), grid, (THREADS,), args)
    return out.transpose([order.index(i) for i in range(x.ndim)])
