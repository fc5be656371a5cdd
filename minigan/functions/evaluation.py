"""Measures for people to read: nothing here has a gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigan.backend import get_array_module
from minigan.core import Variable, as_variable
from minigan.utils.type_check import InvalidType

__all__ = ["accuracy"]


def accuracy(y: Any, t: Any, ignore_label: int | None = None) -> Variable:
    """Share of the positions where the largest score is that of the right class.

    Args:
        y: scores (N, C) or (N, C, d1, d2, ...), floating point; the result has their dtype and shape ().
        t: classes, integers (N, d1, d2, ...); axes of length 1 at the end of ``y`` may be missing.
        ignore_label: positions of this class are left out; the result is 0 if none remains.
    """
    y, t = as_variable(y).array, as_variable(t).array
    if y.dtype.kind != "f" or t.dtype.kind not in "iu":
        raise InvalidType(f"accuracy: y is {y.dtype} and t is {t.dtype}; wanted floating point and integers")
    wanted = y.shape[:1] + y.shape[2:]
    if y.ndim < 2 or wanted[: t.ndim] != t.shape or any(length != 1 for length in wanted[t.ndim :]):
        raise InvalidType(
            f"accuracy: y has shape {y.shape} and t has shape {t.shape}; wanted (N, C, d1, ...) and (N, d1, ...)"
        )
    xp = get_array_module(y)
    correct = y.argmax(axis=1).reshape(t.shape) == t
    if ignore_label is None:
        share = correct.sum() / t.size if t.size else np.nan
    else:
        counted = t != ignore_label
        share = (correct & counted).sum() / xp.maximum(counted.sum(), 1)
    return Variable(xp.asarray(share, dtype=y.dtype), requires_grad=False)
