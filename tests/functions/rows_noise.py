"""Rows of the test table: functions.noise."""

import numpy as np
from functions.table import in_test_mode, normal, row

import minigan.functions as F

MASK = np.array([[0.0, 2.0, 2.0], [2.0, 0.0, 2.0]])
WEIGHTS_KEPT = np.array([[True, False, True], [True, True, False]])


def seeded(function):
    """The same draw every time, so that a numeric derivative can be taken."""

    def call(*xs, **arguments):
        np.random.seed(0)
        return function(*xs, **arguments)

    return call


def drawn(log_pi, tau, axis):
    """By the formula; -log(-log(u)) of NumPy's generator is what it calls gumbel."""
    e = np.exp((log_pi + np.random.RandomState(0).gumbel(size=log_pi.shape)) / tau)
    return e / e.sum(axis=axis, keepdims=True)


def dropped(x, W, b=None, mask=None, ratio=0.5, use_batchwise_mask=True):
    masks = mask if use_batchwise_mask else [mask] * len(x)
    y = np.array([(W * m) @ v.ravel() / (1 - ratio) for m, v in zip(masks, x, strict=True)])
    return y if b is None else y + b


ROWS = [
    row("dropout", normal(2, 3), lambda x, ratio, mask: x * mask, ratio=0.5, mask=MASK),
    row("dropout", normal(2, 3), lambda x: x, in_test_mode(lambda x: F.dropout(x)), note="test-mode"),
    row("gaussian", (normal(2, 3), normal(2, 3)), lambda mean, ln_var, eps: mean + np.sqrt(np.exp(ln_var)) * eps,
        eps=MASK - 1.5),
    row("gumbel_softmax", normal(2, 3), drawn, seeded(lambda x, **k: F.gumbel_softmax(x, **k)), tau=0.7, axis=1),
    row("simplified_dropconnect", (normal(3, 3), normal(2, 3), normal(2)), dropped,
        mask=np.random.RandomState(0).rand(3, 2, 3) > 0.4, ratio=0.4),
    row("simplified_dropconnect", (normal(4, 3, 1), normal(2, 3)), dropped, mask=WEIGHTS_KEPT,
        use_batchwise_mask=False),
    row("zoneout", (normal(2, 3), normal(2, 3)),
        lambda h, x, ratio: np.where(np.random.RandomState(0).rand(2, 3) < ratio, h, x),
        seeded(lambda h, x, ratio: F.zoneout(h, x, ratio)), ratio=0.4),
    row("zoneout", (normal(2, 3), normal(2, 3)), lambda h, x: x * 1, in_test_mode(lambda h, x: F.zoneout(h, x) * 1
        + h * 0), note="test-mode"),
]
