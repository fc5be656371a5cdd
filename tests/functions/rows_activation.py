"""Rows of the test table: functions.activation."""

import numpy as np
from functions.table import distinct, like, normal, off_zero, row

import minigan.functions as F
from minigan.core import as_array


def softmax(x, axis=1):
    e = np.exp(x)
    return e / e.sum(axis=axis, keepdims=True)


def along(x, axis, pool_size):
    """The neighbours along an axis as parts of a list."""
    return [x.take(range(i, x.shape[axis], pool_size), axis) for i in range(pool_size)]


def with_given_slopes(x):
    return F.rrelu(x, r=like(SLOPES, as_array(x)))


SLOPES = np.array([[0.125, 0.25, 0.5], [0.75, 0.25, 0.125]])

ROWS = [
    row("clipped_relu", off_zero(2, 3, 2), lambda x: np.where(x > 0, x, 0)),
    row("clipped_relu", distinct(2, 3, shift=0.5), lambda x, z: np.clip(x, 0, z), z=0.5),
    row("relu6", lambda rng: np.array([-1.0, 2, 7]), lambda x: np.array([0.0, 2, 6])),
    row("hard_sigmoid", lambda rng: np.array([-3.0, -2, 0.5, 2.25, 4]), lambda x: np.array([0.0, 0.1, 0.6, 0.95, 1])),
    row("crelu", off_zero(2, 3), lambda x: np.concatenate((np.where(x > 0, x, 0), np.where(x < 0, -x, 0)), 1)),
    row("crelu", off_zero(2, 3, 2), lambda x, axis: np.concatenate((np.where(x > 0, x, 0), np.where(x < 0, -x, 0)), 2),
        axis=-1),
    row("selu", off_zero(2, 3), lambda x: np.where(x > 0, 1.0507009873554805 * x, 1.7580993408473766 * np.expm1(x))),
    row("selu", off_zero(2, 3), lambda x, alpha, scale: np.where(x > 0, 3 * x, 6 * np.expm1(x)), alpha=2.0, scale=3.0),
    row("rrelu", off_zero(2, 3), lambda x: np.where(x > 0, x, SLOPES * x), with_given_slopes),
    row("maxout", distinct(2, 6), lambda x, pool_size: np.maximum.reduce(along(x, 1, 3)), pool_size=3),
    row("maxout", distinct(4, 2, 3), lambda x, pool_size, axis: np.maximum(*along(x, 0, 2)), pool_size=2, axis=-3),
    row("prelu", (off_zero(2, 3), normal()), lambda x, W: np.where(x > 0, x, W * x)),
    row("prelu", (off_zero(2, 3, 2), normal(3)), lambda x, W: np.where(x > 0, x, W[:, None] * x)),
    row("prelu", (off_zero(2, 3, 2), normal(3, 2)), lambda x, W: np.where(x > 0, x, W * x)),
    row("swish", (normal(2, 3, 2), normal(3)), lambda x, b: x / (1 + np.exp(-b[:, None] * x))),
    row("swish", (normal(2, 3), normal()), lambda x, b: x / (1 + np.exp(-b * x))),
    row("relu", off_zero(2, 3, 2), lambda x: np.where(x > 0, x, 0)),
    row("leaky_relu", off_zero(2, 3), lambda x: np.where(x > 0, x, 0.2 * x)),
    row("leaky_relu", off_zero(2, 3, 2, 2), lambda x, slope: np.where(x > 0, x, slope * x), slope=0.01),
    row("sigmoid", normal(2, 3, 2), lambda x: 1 / (1 + np.exp(-x))),
    row("tanh", normal(2, 3, 2), lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))),
    row("softplus", normal(2, 3), lambda x: np.log(1 + np.exp(x))),
    row("softplus", normal(2, 3), lambda x, beta: np.log(1 + np.exp(beta * x)) / beta, beta=2.0),
    row("softmax", normal(2, 3, 2), softmax),
    row("softmax", normal(2, 3), softmax, axis=-2),
    row("log_softmax", normal(2, 3, 2), lambda x: np.log(softmax(x))),
    row("log_softmax", normal(2, 3), lambda x, axis: np.log(softmax(x, axis)), axis=0),
    row("elu", off_zero(2, 3), lambda x: np.where(x > 0, x, np.exp(x) - 1)),
    row("elu", off_zero(2, 3, 2), lambda x, alpha: np.where(x > 0, x, alpha * (np.exp(x) - 1)), alpha=0.5),
]
