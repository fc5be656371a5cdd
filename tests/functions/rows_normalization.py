"""Rows of the test table: functions.normalization."""

import numpy as np
import pytest
from functions.table import like, normal, positive, row

import minigan.functions as F
from minigan.core import as_array


def normalize(x, gamma, beta, eps=2e-5, axis=None):
    axis = axis or tuple(a for a in range(x.ndim) if a != 1)
    return standardize(x, gamma, beta, x.mean(axis=axis), x.var(axis=axis), eps, axis)


def standardize(x, gamma, beta, mean, var, eps=2e-5, axis=None):
    axis = axis or tuple(a for a in range(x.ndim) if a != 1)
    gamma, beta, mean, var = (np.expand_dims(v, axis) for v in (gamma, beta, mean, var))
    return gamma * (x - mean) / np.sqrt(var + eps) + beta


def over_groups(x, groups, gamma, beta, eps=1e-5):
    ys = [normalize(part.reshape(1, 1, -1), gamma[:1] * 0 + 1, beta[:1] * 0, eps).reshape(part.shape)
          for sample in x for part in np.split(sample, groups)]  # fmt: skip
    y = np.concatenate(ys).reshape(x.shape)
    return np.moveaxis(np.moveaxis(y, 1, -1) * gamma + beta, -1, 1)


def over_layer(x, gamma, beta, eps=1e-5):
    return over_groups(x, 1, gamma, beta, eps)


def over_instance(x, gamma=None, beta=None, eps=1e-5):
    ones = np.ones(x.shape[1])
    return over_groups(x, x.shape[1], ones if gamma is None else gamma, 0 * ones if beta is None else beta, eps)


def in_groups(function, groups):
    return lambda x, gamma, beta, **arguments: function(x, groups, gamma, beta, **arguments)


def renormalize(x, gamma, beta, mean, var, rmax, dmax, eps=2e-5):
    axis = tuple(a for a in range(x.ndim) if a != 1)
    std = np.sqrt(x.var(axis=axis) + eps)
    r = np.clip(std / np.sqrt(var + eps), 1 / rmax, rmax)
    d = np.clip((x.mean(axis=axis) - mean) / np.sqrt(var + eps), -dmax, dmax)
    return normalize(x, gamma * r, gamma * d + beta, eps)


def renormalization(x, gamma, beta, mean, var, **arguments):
    mean, var = (like(v, as_array(x)) for v in (mean, var))
    return F.batch_renormalization(x, gamma, beta, running_mean=mean, running_var=var, **arguments)


def deprecated(function):
    def call(*inputs, **arguments):
        with pytest.warns(DeprecationWarning, match="use fixed_batch_normalization"):
            return function(*inputs, **arguments)

    return call


# Far enough from the statistics of the batch for r and d to be clipped: they are constants for the gradient.
VALUES = (np.array([9.0, -9.0, 9.0]), np.array([0.01, 0.01, 90.0]))

ROWS = [
    row("batch_normalization", (normal(5, 3), normal(3), normal(3)), normalize),
    row("batch_normalization", (normal(2, 3, 2, 3), normal(3), normal(3)), normalize, eps=0.1),
    row("batch_normalization", (normal(4, 2, 3), normal(2, 3), normal(2, 3)), normalize, eps=0.1, axis=(0,)),
    row("fixed_batch_normalization", (normal(2, 3), normal(3), normal(3), normal(3), positive(3)), standardize),
    row("fixed_batch_normalization", (normal(2, 3, 2, 2), normal(3), normal(3), normal(3), positive(3)), standardize,
        eps=0.1),
    row("fixed_batch_normalization", (normal(2, 3, 2), normal(2), normal(2), normal(2), positive(2)), standardize,
        axis=(1, 2)),
    row("batch_renormalization", (normal(5, 3), normal(3), normal(3)), lambda *xs, **a: renormalize(*xs, *VALUES, **a),
        call=lambda *xs, **a: renormalization(*xs, *VALUES, **a), rmax=2.0, dmax=0.5),
    row("batch_renormalization", (normal(2, 3, 2, 2), normal(3), normal(3)),
        lambda *xs, **a: renormalize(*xs, *VALUES, **a), call=lambda *xs, **a: renormalization(*xs, *VALUES, **a),
        rmax=1.5, dmax=0.5, eps=0.1),
    row("fixed_batch_renormalization", (normal(2, 3, 2), normal(3), normal(3), normal(3), positive(3)), standardize,
        call=deprecated(F.fixed_batch_renormalization)),
    row("group_normalization", (normal(2, 4, 3), normal(4), normal(4)), in_groups(over_groups, 2),
        call=in_groups(F.group_normalization, 2), note="2 groups", eps=0.1),
    row("group_normalization", (normal(2, 3, 2, 2), normal(3), normal(3)), in_groups(over_groups, 1),
        call=in_groups(F.group_normalization, 1), note="1 group"),
    row("group_normalization", (normal(2, 6), normal(6), normal(6)), in_groups(over_groups, 2),
        call=in_groups(F.group_normalization, 2), note="no positions", eps=0.1),
    row("instance_normalization", (normal(2, 3, 2, 2), normal(3), normal(3)), over_instance, eps=0.1),
    row("instance_normalization", normal(2, 3, 4), over_instance, eps=0.1),
    row("layer_normalization", (normal(3, 5), normal(5), normal(5)), over_layer, eps=0.1),
]
