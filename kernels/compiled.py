"""Loops in machine code, by numba, where ``MINIGAN_NUMBA=1`` asks for them.

NumPy goes through memory once for every operation, a loop here once for all of them. Each loop has a twin in NumPy,
which is the one to read, and does what that does, in the same order and rounded as often: the results are the same to
the last bit (with NumPy 1, but for the sign of zeros behind a ReLU). numba compiles a loop in every process anew, when
it is first called, which takes a second.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

#: Additions along an axis, (moves, 9) integers and (moves, 3) signs: a number, the first place in the image, the first
#: tile, the tile behind the last, the step from tile to tile, how many terms there are, and which, three at most.
Moves = tuple[np.ndarray, np.ndarray]


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
    """The twin of `rectifier.rectify`; with slope 0 it keeps -0, as NumPy 2 does."""
    for i in range(x.size):
        if x[i] < 0:
            y[i] = x[i] * slope if slope else slope
        else:
            y[i] = x[i]


@loop
def choose(side: np.ndarray, gy: np.ndarray, slope: Any, gx: np.ndarray) -> None:
    """The twin of `rectifier.choose`."""
    for i in range(side.size):
        gx[i] = gy[i] if side[i] > 0 else slope * gy[i]


def moves(found: Sequence[tuple[int, slice, slice, list[tuple[bool, int]]]], step: int) -> Moves:
    """(a number, places in the image, tiles, terms: whether added, and which) as arrays."""
    table, signs = np.zeros((len(found), 9), np.int64), np.zeros((len(found), 3), np.float32)
    for row, sign, (number, places, tiles, terms) in zip(table, signs, found):
        row[:6] = number, places.start, tiles.start, tiles.stop, step, len(terms)
        row[6 : 6 + len(terms)] = [which for _, which in terms]
        sign[: len(terms)] = [1 if plus else -1 for plus, _ in terms]
    return table, signs


@loop
def total(terms: int, one: Any, two: Any, three: Any) -> Any:
    """The sum of the first one, two or three."""
    return one if terms == 1 else one + two if terms == 2 else one + two + three


@loop
def analyse(x: Any, table: Any, signs: Any, sums: Any) -> None:
    """The twin of `winograd._analyse`: x (A, length, B), sums (products, A, tiles, B)."""
    for a in range(x.shape[0]):
        for m in range(len(table)):
            number, _, first, last, step, terms, i, j, k = table[m]
            p, q, r = signs[m]
            if not terms:
                sums[number, a, first:last] = 0
                continue
            j, k = (j if terms > 1 else i), (k if terms > 2 else i)  # nothing is read outside
            for t in range(first, last):
                target, at = sums[number, a, t], (t - first) * step
                one, two, three = x[a, i + at], x[a, j + at], x[a, k + at]
                for b in range(len(target)):
                    target[b] = total(terms, p * one[b], q * two[b], r * three[b])


@loop
def synthesise(products: Any, table: Any, signs: Any, y: Any) -> None:
    """The twin of `winograd._synthesise`: products (products, A, tiles, B), y (A, length, B)."""
    for a in range(y.shape[0]):
        for m in range(len(table)):
            fresh, start, first, last, step, terms, i, j, k = table[m]
            p, q, r = signs[m]
            for t in range(first, last):
                target = y[a, start + (t - first) * step]
                one, two, three = products[i, a, t], products[j, a, t], products[k, a, t]
                for b in range(len(target)):
                    found = total(terms, p * one[b], q * two[b], r * three[b])
                    target[b] = found if fresh else target[b] + found


@loop
def adam(p: Any, g: Any, m: Any, v: Any, towards_g: Any, towards_square: Any, eps: Any, rate: Any, eta: Any,
         kept: Any) -> None:  # fmt: skip
    """The twin of `minigan.optimizers.AdamRule`; ``kept`` is the share of p that weight decay leaves."""
    for i in range(p.size):
        m[i] += (g[i] - m[i]) * towards_g
        v[i] += (g[i] * g[i] - v[i]) * towards_square
        p[i] = p[i] * kept - rate / (np.sqrt(v[i]) + eps) * m[i] * eta
