"""The leaky rectifier, max(x, 0) + slope min(x, 0) with 0 <= slope <= 1, and its gradient, on NumPy arrays.

Few passes over memory, and each of them one that NumPy does with vector instructions: choosing between two arrays by a
third, ``numpy.where``, takes as long as thirty additions, and a maximum with a single number as long as two clips.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigan.kernels.parallel import spread

# Arrays of this size and more are cut into pieces of at most this size. In much smaller ones a thread more often finds
# Python's lock taken than it computes.
PIECE_BYTES = 2 << 20


def forward(x: np.ndarray, slope: float) -> np.ndarray:
    """The rectified x, which lies in memory as x does."""
    y = np.empty_like(x)
    _piecewise(lambda x, y: rectify(x, slope, y), x, y)
    return y


def backward(side: np.ndarray, gy: np.ndarray, slope: float) -> np.ndarray:
    """gy where ``side`` > 0, elsewhere slope gy."""
    gx = np.empty_like(gy)
    _piecewise(lambda gy, side, gx: choose(side, gy, slope, gx), gy, side, gx)
    return gx


def rectify(x: np.ndarray, slope: float, y: np.ndarray) -> None:
    """y <- the rectified x; y must be another array than x."""
    if slope == 0:
        np.clip(x, 0, np.inf, out=y)
    else:  # the line of slope 1 is above the other one where x > 0
        np.maximum(x, np.multiply(x, x.dtype.type(slope), out=y), out=y)


def choose(side: np.ndarray, gy: np.ndarray, slope: float, gx: np.ndarray) -> None:
    """gx <- gy where ``side`` > 0, elsewhere slope gy; gx must be another array than the rest."""
    gx[...] = side > 0
    if slope:
        np.clip(gx, gx.dtype.type(slope), gx.dtype.type(1), out=gx)
    gx *= gy


def _piecewise(task: Callable[..., Any], *arrays: np.ndarray) -> None:
    """task(*arrays), for large arrays that lie in memory alike in pieces, on several cores."""
    first = arrays[0]
    if first.nbytes >= PIECE_BYTES and all(a.strides == first.strides for a in arrays):
        order = sorted(range(first.ndim), key=lambda i: -first.strides[i])
        if first.transpose(order).flags.c_contiguous:
            flat = [a.transpose(order).reshape(-1) for a in arrays]
            count = -(-first.nbytes // (2 * PIECE_BYTES)) * 2  # as many for either of two threads
            step = -(-first.size // count)
            spread(lambda i: task(*(a[i : i + step] for a in flat)), range(0, first.size, step))
            return
    task(*arrays)
