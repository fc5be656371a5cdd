"""Measures for people to read: nothing here has a gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigan.backend import get_array_module
from minigan.core import Variable, as_variable
from minigan.utils.type_check import InvalidType

__all__ = ["accuracy", "binary_accuracy", "classification_summary", "f1_score", "precision", "r2_score", "recall"]


def _constant(xp: Any, value: Any, dtype: Any) -> Variable:
    return Variable(xp.asarray(value, dtype=dtype), requires_grad=False)


def _scores(function: str, y: Any, t: Any, kinds: str) -> tuple[Any, Any]:
    """The arrays of y and t, checked: y (N, C, d1, ...), t (N, d1, ...) where axes of length 1 may be missing."""
    y, t = as_variable(y).array, as_variable(t).array
    if y.dtype.kind != "f" or t.dtype.kind not in kinds:
        raise InvalidType(f"{function}: y is {y.dtype} and t is {t.dtype}; wanted floating point and integers")
    wanted = y.shape[:1] + y.shape[2:]
    if y.ndim < 2 or not t.ndim or wanted[: t.ndim] != t.shape or any(length != 1 for length in wanted[t.ndim :]):
        raise InvalidType(
            f"{function}: y has shape {y.shape} and t has shape {t.shape}; wanted (N, C, d1, ...) and (N, d1, ...)"
        )
    return y, t


def accuracy(y: Any, t: Any, ignore_label: int | None = None) -> Variable:
    """Share of the positions where the largest score is that of the right class.

    Args:
        y: scores (N, C) or (N, C, d1, d2, ...), floating point; the result has their dtype and shape ().
        t: classes, integers (N, d1, d2, ...); axes of length 1 at the end of ``y`` may be missing.
        ignore_label: positions of this class are left out; the result is 0 if none remains.
    """
    y, t = _scores("accuracy", y, t, "iu")
    xp = get_array_module(y)
    correct = y.argmax(axis=1).reshape(t.shape) == t
    if ignore_label is None:
        share = correct.sum() / t.size if t.size else np.nan
    else:
        counted = t != ignore_label
        share = (correct & counted).sum() / xp.maximum(counted.sum(), 1)
    return _constant(xp, share, y.dtype)


def binary_accuracy(y: Any, t: Any) -> Variable:
    """Share of the entries where y is not negative and t is 1, or y is negative and t is 0; t = -1 is left out.

    y: floating; t: integers of y's shape. The result has the dtype of y; it is 0 if nothing counts.
    """
    y, t = as_variable(y).array, as_variable(t).array
    if y.dtype.kind != "f" or t.dtype.kind not in "iu" or y.shape != t.shape:
        raise InvalidType(
            f"binary_accuracy: y is {y.dtype} {y.shape} and t {t.dtype} {t.shape}; wanted floats, integers, one shape"
        )
    counted = t != -1
    xp = get_array_module(y)
    return _constant(xp, (((y >= 0) == t) & counted).sum() / xp.maximum(counted.sum(), 1), y.dtype)


def classification_summary(y: Any, t: Any, label_num: int | None = None, beta: float = 1.0,
                           ignore_label: int = -1) -> tuple[Variable, Variable, Variable, Variable]:  # fmt: skip
    """Precision, recall, F-beta score and support of each class: four vectors of ``label_num`` entries.

    precision = right / guessed, recall = right / present (the support), F = (1 + beta^2) p r / (beta^2 p + r); NaN
    where nothing was guessed or present. Arguments as for ``accuracy``; ``label_num`` is by default the largest class
    of ``t`` plus 1, and entries with ``ignore_label`` do not count.
    """
    y, t = _scores("classification_summary", y, t, "i")
    xp = get_array_module(y)
    if label_num is None:
        label_num = int(t.max()) + 1
    guess, t = y.argmax(axis=1).ravel(), t.ravel()
    guess, t = guess[t != ignore_label], t[t != ignore_label]
    right, guessed, support = (xp.bincount(a, minlength=label_num)[:label_num] for a in (t[t == guess], guess, t))
    with np.errstate(invalid="ignore", divide="ignore"):
        p, r = right / guessed, right / support
        f = (1 + beta * beta) * p * r / (beta * beta * p + r)
    p, r, f, support = (Variable(a, requires_grad=False) for a in (p, r, f, support))
    return p, r, f, support


def precision(y: Any, t: Any, label_num: int | None = None, ignore_label: int = -1) -> tuple[Variable, Variable]:
    """Precision and support of each class, see ``classification_summary``."""
    p, _, _, support = classification_summary(y, t, label_num, 1.0, ignore_label)
    return p, support


def recall(y: Any, t: Any, label_num: int | None = None, ignore_label: int = -1) -> tuple[Variable, Variable]:
    """Recall and support of each class, see ``classification_summary``."""
    _, r, _, support = classification_summary(y, t, label_num, 1.0, ignore_label)
    return r, support


def fbeta_score(y: Any, t: Any, label_num: int | None = None, beta: float = 1.0,
                ignore_label: int = -1) -> tuple[Variable, Variable]:  # fmt: skip
    """F-beta score and support of each class, see ``classification_summary``."""
    _, _, f, support = classification_summary(y, t, label_num, beta, ignore_label)
    return f, support


def f1_score(y: Any, t: Any, label_num: int | None = None, ignore_label: int = -1) -> tuple[Variable, Variable]:
    """F1 score, the harmonic mean of precision and recall, and support of each class."""
    return fbeta_score(y, t, label_num, 1.0, ignore_label)


def r2_score(pred: Any, true: Any, sample_weight: Any = None, multioutput: str = "uniform_average") -> Variable:
    """Coefficient of determination, 1 - sum (true - pred)^2 / sum (true - mean true)^2 over the first axis.

    ``multioutput`` is "uniform_average" (one number) or "raw_values" (one for each output). A constant ``true`` gives
    0. ``sample_weight`` must be None.
    """
    if sample_weight is not None:
        raise NotImplementedError("r2_score: sample_weight is not supported, as in Chainer; leave it out")
    if multioutput not in ("uniform_average", "raw_values"):
        raise ValueError(f"r2_score: multioutput is {multioutput!r}; wanted 'uniform_average' or 'raw_values'")
    pred, true = as_variable(pred).array, as_variable(true).array
    if pred.dtype.kind != "f" or true.dtype.kind != "f" or pred.shape != true.shape:
        raise InvalidType(f"r2_score: got {pred.dtype} {pred.shape} and {true.dtype} {true.shape}; wanted equal floats")
    xp = get_array_module(pred)
    error, spread = ((true - pred) ** 2).sum(axis=0), ((true - true.mean(axis=0)) ** 2).sum(axis=0)
    score = xp.where(spread != 0, 1 - error / xp.where(spread != 0, spread, 1), 0)
    return _constant(xp, score.mean() if multioutput == "uniform_average" else score, pred.dtype)
