"""Rows of the test table: functions.evaluation."""

import numpy as np
from functions.table import distinct, labels, normal, row

import minigan.functions as F


def right_answers(y, t, ignore_label=None):
    pairs = [(np.argmax(y[(i[0], slice(None), *i[1:])]), t[i]) for i in np.ndindex(*t.shape) if t[i] != ignore_label]
    return np.mean([guess == truth for guess, truth in pairs]) if pairs else np.array(0.0)


def right_signs(y, t):
    return np.mean([(a >= 0) == b for a, b in zip(y.ravel(), t.ravel(), strict=True) if b != -1])


def summary(y, t, label_num=3, beta=1.0, ignore_label=-1):
    guess = np.argmax(y, axis=1)
    table = np.zeros((4, label_num))
    for k in range(label_num):
        guessed = [b for a, b in zip(guess.ravel(), t.ravel(), strict=True) if a == k and b != ignore_label]
        present = [a for a, b in zip(guess.ravel(), t.ravel(), strict=True) if b == k and b != ignore_label]
        p = guessed.count(k) / len(guessed) if guessed else np.nan
        r = present.count(k) / len(present) if present else np.nan
        f = (1 + beta**2) * p * r / (beta**2 * p + r) if p + r else np.nan
        table[:, k] = p, r, f, len(present)
    return tuple(table)


def in_the_dtype_of_y(function):
    """These answer in float64 and integers whatever y is."""
    return lambda y, t, **arguments: tuple(F.cast(z, y.dtype) for z in function(y, t, **arguments))


def parts_of_summary(*parts):
    return lambda y, t, **arguments: tuple(summary(y, t, **arguments)[i] for i in parts)


def determination(pred, true, multioutput="uniform_average"):
    scores = [
        1 - sum((p - t) ** 2) / sum((t - np.mean(t)) ** 2) if np.ptp(t) else 0.0
        for p, t in zip(pred.T, true.T, strict=True)
    ]
    return np.mean(scores) if multioutput == "uniform_average" else np.array(scores)


SCORES = distinct(9, 3), labels(0, 3, 9)

ROWS = [
    row("accuracy", (distinct(4, 3), labels(0, 3, 4)), right_answers, differentiable=False),
    row("accuracy", (distinct(3, 3, 2), labels(0, 3, 3, 2)), right_answers, differentiable=False, ignore_label=0),
    row("binary_accuracy", (distinct(3, 4), labels(-1, 2, 3, 4)), right_signs, differentiable=False),
    row("classification_summary", SCORES, summary, in_the_dtype_of_y(F.classification_summary), differentiable=False),
    row("classification_summary", (distinct(5, 3, 2), labels(0, 3, 5, 2)), summary,
        in_the_dtype_of_y(F.classification_summary), differentiable=False, label_num=4, beta=2.0, ignore_label=0),
    row("f1_score", SCORES, parts_of_summary(2, 3), in_the_dtype_of_y(F.f1_score), differentiable=False),
    row("precision", SCORES, parts_of_summary(0, 3), in_the_dtype_of_y(F.precision), differentiable=False),
    row("recall", SCORES, parts_of_summary(1, 3), in_the_dtype_of_y(F.recall), differentiable=False, label_num=3),
    row("r2_score", (normal(6, 3), normal(6, 3)), determination, differentiable=False),
    row("r2_score", (normal(6, 2), normal(6, 2)), determination, differentiable=False, multioutput="raw_values"),
]
