"""Rows of the test table: functions.activation."""

import numpy as np
from functions.table import normal, off_zero, row


def softmax(x, axis=1):
    e = np.exp(x)
    return e / e.sum(axis=axis, keepdims=True)


ROWS = [
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
