"""Loops in machine code, by numba, where ``MINIGAN_NUMBA=1`` asks for them.

NumPy goes through memory once for every operation, a loop here once for all of them. Each loop has a twin in NumPy,
which is the one to read, and does what that does, in the same order and rounded as often: the results are the same to
the last bit. numba compiles a loop in every process anew, when it is first called, which takes a second.
"""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np


def _numba() -> Any:
    """numba, if it is wished for and there is one; without it the digits are the same, so that is worth a warning."""
    if os.environ.get("MINIGAN_NUMBA") != "1":
        return None
    try:
        import numba
    except ImportError as error:
        warnings.warn(
            f"MINIGAN_NUMBA is 1, but numba cannot be imported ({error}): NumPy computes; "
            "install it (python -m pip install numba), or leave the variable unset", RuntimeWarning, 2,
        )  # fmt: skip
        return None
    return numba


numba = _numba()
on = numba is not None  #: whether the twins call the loops


def loop(function: Any) -> Any:
    """The function in machine code; as it is, if nobody will call it."""
    # njit's arithmetic is that of IEEE 754: no sums are reordered, no product and sum rounded as one
    return numba.njit(nogil=True, error_model="numpy")(function) if on else function


def flat(*arrays: Any) -> list[np.ndarray] | None:
    """Each array as its run of memory; None unless the loops are on and take these.

    They take NumPy arrays of float32 or of float64, of one shape, that lie in memory alike and without gaps.
    """
    first = arrays[0]
    if (
        not on
        or first.dtype.char not in "fd"
        or any(
            type(a) is not np.ndarray or a.dtype != first.dtype or a.shape != first.shape or a.strides != first.strides
            for a in arrays
        )
    ):
        return None
    runs = [a.ravel(order="K") for a in arrays]
    return None if any(run.base is None for run in runs) else runs  # a copy: there were gaps


@loop
def rectify(x: np.ndarray, slope: Any, y: np.ndarray) -> None:
    """The twin of `rectifier.rectify`."""
    for i in range(x.size):
        if x[i] < 0:
            y[i] = x[i] * slope if slope else slope
        else:
            y[i] = x[i]


@loop
def choose(side: np.ndarray, gy: np.ndarray, slope: Any, one: Any, gx: np.ndarray) -> None:
    """The twin of `rectifier.choose`."""
    for i in range(side.size):
        gx[i] = (one if side[i] > 0 else slope) * gy[i]


@loop
def adam(p: Any, g: Any, m: Any, v: Any, towards_g: Any, towards_square: Any, eps: Any, rate: Any, eta: Any,
         kept: Any) -> None:  # fmt: skip
    """The twin of `minigan.optimizers.AdamRule`; ``kept`` is the share of p that weight decay leaves."""
    for i in range(p.size):
        m[i] += (g[i] - m[i]) * towards_g
        v[i] += (g[i] * g[i] - v[i]) * towards_square
        p[i] = p[i] * kept - rate / (np.sqrt(v[i]) + eps) * m[i] * eta
