"""Rows of the test table: functions.normalization."""

import numpy as np
from functions.table import normal, positive, row


def normalize(x, gamma, beta, eps=2e-5, axis=None):
    axis = axis or tuple(a for a in range(x.ndim) if a != 1)
    return standardize(x, gamma, beta, x.mean(axis=axis), x.var(axis=axis), eps, axis)


def standardize(x, gamma, beta, mean, var, eps=2e-5, axis=None):
    axis = axis or tuple(a for a in range(x.ndim) if a != 1)
    gamma, beta, mean, var = (np.expand_dims(v, axis) for v in (gamma, beta, mean, var))
    return gamma * (x - mean) / np.sqrt(var + eps) + beta


ROWS = [
    row("batch_normalization", (normal(5, 3), normal(3), normal(3)), normalize),
    row("batch_normalization", (normal(2, 3, 2, 3), normal(3), normal(3)), normalize, eps=0.1),
    row("batch_normalization", (normal(4, 2, 3), normal(2, 3), normal(2, 3)), normalize, eps=0.1, axis=(0,)),
    row("fixed_batch_normalization", (normal(2, 3), normal(3), normal(3), normal(3), positive(3)), standardize),
    row("fixed_batch_normalization", (normal(2, 3, 2, 2), normal(3), normal(3), normal(3), positive(3)), standardize,
        eps=0.1),
    row("fixed_batch_normalization", (normal(2, 3, 2), normal(2), normal(2), normal(2), positive(2)), standardize,
        axis=(1, 2)),
]
