"""The leaky rectifier, max(x, 0) + slope min(x, 0) with 0 <= slope <= 1, and its gradient, on NumPy arrays.

Few passes over memory, and each of them one that NumPy does with vector instructions: choosing between two arrays by a
third, ``numpy.where``, takes as long as thirty additions, and a maximum with a single number as long as two clips.
"""

from __future__ import annotations

import numpy as np

from minigan.kernels import compiled
from minigan.kernels.parallel import piecewise


def forward(x: np.ndarray, slope: float) -> np.ndarray:
    """The rectified x, which lies in memory as x does."""
    y = np.empty_like(x)
    piecewise(lambda x, y: rectify(x, slope, y), x, y)
    return y


def backward(side: np.ndarray, gy: np.ndarray, slope: float) -> np.ndarray:
    """gy where ``side`` > 0, elsewhere slope gy; it lies in memory as ``side`` does."""
    gx = np.empty_like(side, gy.dtype)
    piecewise(lambda gx, side, gy: choose(side, gy, slope, gx), gx, side, gy)
    return gx


def rectify(x: np.ndarray, slope: float, y: np.ndarray) -> None:
    """y <- the rectified x; y must be another array than x."""
    if runs := compiled.flat(x, y):
        compiled.rectify(runs[0], x.dtype.type(slope), runs[1])
    elif x.dtype.type(slope) == 0:  # as float16 has it
        x.clip(0, np.inf, out=y)
    else:  # the line of slope 1 is above the other one where x > 0
        np.maximum(x, np.multiply(x, x.dtype.type(slope), out=y), out=y)


def choose(side: np.ndarray, gy: np.ndarray, slope: float, gx: np.ndarray) -> None:
    """gx <- gy where ``side`` > 0, elsewhere slope gy; gx must be another array than the rest."""
    if runs := compiled.flat(side, gy, gx):
        compiled.choose(*runs[:2], gx.dtype.type(slope), runs[2])
        return
    gx[...] = side > 0
    if slope:
        gx.clip(gx.dtype.type(slope), gx.dtype.type(1), out=gx)
    gx *= gy
