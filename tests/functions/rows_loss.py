"""Rows of the test table: functions.loss."""

import numpy as np
from functions.rows_activation import softmax
from functions.table import distinct, labels, normal, row

import minigan.functions as F


def binary_cross_entropy(x, t, normalize=True, reduce="mean"):
    p = 1 / (1 + np.exp(-x))
    loss = np.where(t == -1, 0.0, -np.where(t == 1, np.log(p), np.log(1 - p)))
    return loss if reduce == "no" else loss.sum() / ((t != -1).sum() if normalize else len(x))


def cross_entropy(x, t, normalize=True, class_weight=None, ignore_label=-1, reduce="mean", **rest):
    loss = np.zeros(t.shape)
    for i in np.ndindex(*t.shape):
        scores = x[(i[0], slice(None), *i[1:])]
        if t[i] != ignore_label:
            weight = 1.0 if class_weight is None else class_weight[t[i]]
            loss[i] = -weight * np.log(np.exp(scores[t[i]]) / np.exp(scores).sum())
    return loss if reduce == "no" else loss.sum() / ((t != ignore_label).sum() if normalize else len(x))


def soft_cross_entropy(x, soft_target_loss="cross-entropy", reduce="mean"):
    entropy = (SOFT * np.log(SOFT)).sum(axis=1) if soft_target_loss == "kl-divergence" else 0.0
    loss = entropy - (SOFT * np.log(softmax(x))).sum(axis=1)
    return loss if reduce == "no" else loss.mean()


def against_soft_targets(x, **arguments):
    return F.softmax_cross_entropy(x, SOFT.astype(x.dtype), **arguments)


SOFT = np.array([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125]])

ROWS = [
    row("sigmoid_cross_entropy", (normal(4, 3), labels(-1, 2, 4, 3)), binary_cross_entropy),
    row("sigmoid_cross_entropy", (normal(4, 3), labels(-1, 2, 4, 3)), binary_cross_entropy, normalize=False),
    row("sigmoid_cross_entropy", (normal(4), labels(-1, 2, 4)), binary_cross_entropy, reduce="no"),
    row("softmax_cross_entropy", (normal(4, 3), labels(0, 3, 4)), cross_entropy),
    row("softmax_cross_entropy", (normal(4, 3), labels(-1, 3, 4)), cross_entropy, normalize=False),
    row("softmax_cross_entropy", (normal(4, 3), labels(0, 3, 4)), cross_entropy, ignore_label=1,
        enable_double_backprop=True),
    row("softmax_cross_entropy", (normal(2, 3, 2, 2), labels(-1, 3, 2, 2, 2)), cross_entropy, reduce="no"),
    row("softmax_cross_entropy", (normal(4, 3), labels(-1, 3, 4)), cross_entropy, note="class_weight",
        class_weight=np.array([1.0, 2.0, 0.5])),
    row("softmax_cross_entropy", normal(2, 3), soft_cross_entropy, against_soft_targets, note="soft"),
    row("softmax_cross_entropy", normal(2, 3), soft_cross_entropy, against_soft_targets, note="soft", reduce="no",
        soft_target_loss="kl-divergence"),
    row("mean_squared_error", (normal(2, 3), normal(2, 3)), lambda x, y: np.mean((x - y) ** 2)),
    row("mean_absolute_error", (distinct(2, 3), distinct(2, 3, shift=1 / 32)), lambda x, y: np.mean(np.abs(x - y))),
]
