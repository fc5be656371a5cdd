"""Rows of the test table: functions.reduction."""

import itertools

import numpy as np
from functions.table import distinct, fixed, normal, positive, row

import minigan.functions as F


def weighted(x, axis=None, weights=None, keepdims=False):
    return np.mean(x, axis=axis, keepdims=keepdims)


def running(operation):
    """The sums or products of ever more entries, added up or multiplied one by one."""

    def compute(x, axis=None):
        rows = x.ravel() if axis is None else x
        return np.apply_along_axis(lambda r: np.array(list(itertools.accumulate(r, operation))), axis or 0, rows)

    return compute


def logsumexp(x, axis=None):
    return np.log(np.exp(x).sum(axis))


WITH_ZEROS = fixed([[0.0, 1.5, -2.0, 0.5], [2.0, 0.0, 0.0, 3.0], [1.0, -1.5, 0.5, 2.0]])

ROWS = [
    row("argmax", distinct(2, 3), lambda x, axis: np.array([list(r).index(max(r)) for r in x]), differentiable=False,
        call=lambda x, axis: F.cast(F.argmax(x, axis), x.dtype), axis=-1),
    row("argmin", distinct(2, 3), lambda x: np.array(list(x.ravel()).index(x.min())), differentiable=False,
        call=lambda x: F.cast(F.argmin(x), x.dtype)),
    row("average", normal(2, 3, 4), weighted),
    row("average", normal(2, 3, 4), weighted, axis=(0, -1), keepdims=True),
    row("average", normal(2, 3), weighted, axis=()),
    row("average", (normal(2, 3, 2), positive(3)), lambda x, w: np.average(x, 1, w), lambda x, w: F.average(x, 1, w),
        note="weights"),
    row("average", (normal(2, 3), positive(2, 3)), lambda x, w: (x * w).sum() / w.sum(),
        lambda x, w: F.average(x, weights=w), note="weights-everywhere"),
    row("average", (normal(2, 3), positive(3)), lambda x, w: (x * w).sum() / w.sum(),
        lambda x, w: F.average(x, weights=w), note="weights-broadcast"),
    row("batch_l2_norm_squared", normal(2, 3, 2), lambda x: (x * x).sum((1, 2))),
    row("cumprod", normal(2, 3), running(lambda a, b: a * b)),
    row("cumprod", normal(2, 3, 2), running(lambda a, b: a * b), axis=-2),
    row("cumprod", WITH_ZEROS, running(lambda a, b: a * b), axis=1, note="zeros"),
    row("cumsum", normal(2, 3), running(lambda a, b: a + b)),
    row("cumsum", normal(2, 3, 2), running(lambda a, b: a + b), axis=-2),
    row("logsumexp", normal(2, 3, 2), logsumexp),
    row("logsumexp", normal(2, 3, 2), logsumexp, axis=(0, -1)),
    row("max", distinct(2, 3, 2), lambda x: np.array(sorted(x.ravel().tolist())[-1])),
    row("max", distinct(2, 3, 2), lambda x, axis, keepdims: np.max(x, axis, keepdims=keepdims), axis=(0, -1),
        keepdims=True),
    row("mean", normal(2, 3), weighted, axis=0),
    row("min", distinct(2, 3, 2), lambda x, axis: -np.max(-x, axis), axis=-2),
    row("prod", normal(2, 3), lambda x: np.array(np.exp(np.log(np.abs(x)).sum()) * np.sign(x).prod())),
    row("prod", normal(2, 3, 2), np.prod, axis=(0, -1), keepdims=True),
    row("prod", WITH_ZEROS, np.prod, axis=1, note="zeros"),
    row("prod", WITH_ZEROS, np.prod, note="zeros"),
    row("sum", normal(2, 3, 4), lambda x: np.array(sum(x.ravel().tolist()))),
    row("sum", normal(2, 3, 4), np.sum, axis=(0, -1)),
    row("sum", normal(2, 3), np.sum, axis=-1, keepdims=True),
    row("sum", normal(2, 3), np.sum, axis=()),
    row("sum", normal(), lambda x: x, note="0-d"),
]
