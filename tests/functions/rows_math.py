"""Rows of the test table: functions.math."""

import numpy as np
from functions.table import distinct, normal, off_zero, positive, row

import minigan.functions as F


def swap(a, wanted):
    return np.swapaxes(a, -1, -2) if wanted and a.ndim > 1 else a


def multiply(a, b, transa=False, transb=False):
    return np.matmul(swap(a, transa), swap(b, transb))


def weighted(x, axis=None, weights=None, keepdims=False):
    return np.mean(x, axis=axis, keepdims=keepdims)


ROWS = [
    row("absolute", off_zero(2, 3), lambda x: np.where(x > 0, x, -x)),
    row("add", (normal(2, 3), normal(3)), lambda a, b: a + b),
    row("add", (normal(2, 3), normal(2, 1), normal(3)), lambda a, b, c: a + b + c),
    row("average", normal(2, 3, 4), weighted),
    row("average", normal(2, 3, 4), weighted, axis=(0, -1), keepdims=True),
    row("average", normal(2, 3), weighted, axis=()),
    row("average", (normal(2, 3, 2), positive(3)), lambda x, w: np.average(x, 1, w), lambda x, w: F.average(x, 1, w),
        note="weights"),
    row("average", (normal(2, 3), positive(2, 3)), lambda x, w: (x * w).sum() / w.sum(),
        lambda x, w: F.average(x, weights=w), note="weights-everywhere"),
    row("clip", distinct(3, 4), lambda x, x_min, x_max: np.where(x < x_min, x_min, np.where(x > x_max, x_max, x)),
        x_min=-0.25, x_max=0.375),
    row("clip", distinct(3, 4), lambda x, x_min, x_max: np.where(x > x_max, x_max, x), x_min=None, x_max=0.0),
    row("exp", normal(2, 3), np.exp),
    row("log", positive(2, 3), np.log),
    row("matmul", (normal(2, 3), normal(3, 4)), multiply),
    row("matmul", (normal(3, 2), normal(4, 3)), multiply, transa=True, transb=True),
    row("matmul", (normal(2, 1, 2, 3), normal(4, 2, 3)), multiply, transb=True),
    row("matmul", (normal(3), normal(3)), multiply, note="1-1"),
    row("matmul", (normal(3), normal(2, 3, 2)), multiply, note="1-3"),
    row("matmul", (normal(2, 3), normal(3)), multiply, note="2-1"),
    row("max", distinct(2, 3, 2), lambda x: np.array(sorted(x.ravel().tolist())[-1])),
    row("max", distinct(2, 3, 2), lambda x, axis, keepdims: np.max(x, axis, keepdims=keepdims), axis=(0, -1),
        keepdims=True),
    row("maximum", (distinct(2, 3), distinct(3, shift=1 / 32)), lambda a, b: np.where(a > b, a, b)),
    row("mean", normal(2, 3), weighted, axis=0),
    row("min", distinct(2, 3, 2), lambda x, axis: -np.max(-x, axis), axis=-2),
    row("minimum", (distinct(2, 3), distinct(2, 1, shift=1 / 32)), lambda a, b: np.where(a < b, a, b)),
    row("sqrt", positive(2, 3), lambda x: x**0.5),
    row("square", normal(2, 3), lambda x: x**2),
    row("sum", normal(2, 3, 4), lambda x: np.array(sum(x.ravel().tolist()))),
    row("sum", normal(2, 3, 4), np.sum, axis=(0, -1)),
    row("sum", normal(2, 3), np.sum, axis=-1, keepdims=True),
    row("sum", normal(2, 3), np.sum, axis=()),
    row("sum", normal(), lambda x: x, note="0-d"),
]
