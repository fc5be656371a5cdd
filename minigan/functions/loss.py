"""Losses: how wrong an output is, as one number to be made smaller (or, with ``reduce="no"``, one per example).

Each is computed from scores (logits), not from probabilities: log(sigmoid(x)) and log(softmax(x)) are exact where the
probability itself has long become 0 or 1. All derivatives are made of differentiable functions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigan.backend import get_array_module
from minigan.configuration import config
from minigan.core import FunctionNode, Variable, as_variable, broadcast_to, get_item, reshape, sum, transpose
from minigan.functions.activation import log_softmax, sigmoid
from minigan.utils.type_check import InvalidType

__all__ = ["mean_absolute_error", "mean_squared_error", "sigmoid_cross_entropy", "softmax_cross_entropy"]

_IGNORED = -1  # the label that sigmoid_cross_entropy leaves out


class SigmoidCrossEntropy(FunctionNode):
    """weight * (log(1 + exp(x)) - t * x), summed if ``reduce`` is "mean" (the weights then hold 1 / count)."""

    name = "sigmoid_cross_entropy"
    arguments = ("x",)

    def __init__(self, t: Any, weight: Any, reduce: str) -> None:
        self.t = t
        self.weight = weight
        self.reduce = reduce

    def forward(self, inputs: tuple) -> tuple:
        self.retain_inputs((0,))
        (x,) = inputs
        xp = get_array_module(x)
        # x may be cancelled by t * x: take the large part of the logarithm, max(x, 0), into the product
        loss = xp.log1p(xp.exp(-xp.abs(x))) + x * ((x >= 0) - self.t)
        loss = (loss * self.weight).astype(x.dtype, copy=False)
        return (_total(loss) if self.reduce == "mean" else loss,)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        (x,) = self.get_retained_inputs()
        return ((sigmoid(x) - self.t) * self.weight * broadcast_to(grad_outputs[0], x.shape),)


def sigmoid_cross_entropy(x: Any, t: Any, normalize: bool = True, reduce: str = "mean") -> Variable:
    """-t * log(sigmoid(x)) - (1 - t) * log(1 - sigmoid(x)), exact for scores of any size.

    Args:
        x: scores, floating point.
        t: labels, integers of the same shape: 1, 0, or -1 for an element that is left out.
        normalize: divide the sum by the number of labels that are not -1; else by the length of the first axis.
        reduce: ``"mean"`` for one number, ``"no"`` for one loss per element.
    """
    _check_reduce("sigmoid_cross_entropy", reduce)
    x, t = as_variable(x), as_variable(t).array
    _check_labels("sigmoid_cross_entropy", t)
    if x.shape != t.shape:
        raise InvalidType(f"sigmoid_cross_entropy: x has shape {x.shape} but t has shape {t.shape}; wanted the same")
    _check_floating("sigmoid_cross_entropy", x)
    weight = (t != _IGNORED).astype(x.dtype)
    if reduce == "mean":
        count = int((t != _IGNORED).sum()) if normalize or x.ndim == 0 else len(t)
        weight /= max(count, 1)
    return SigmoidCrossEntropy(t.astype(x.dtype), weight, reduce).apply((x,))[0]


def softmax_cross_entropy(
    x: Any,
    t: Any,
    normalize: bool = True,
    cache_score: bool = True,
    class_weight: Any = None,
    ignore_label: int | None = -1,
    reduce: str = "mean",
    enable_double_backprop: bool = False,
    soft_target_loss: str = "cross-entropy",
) -> Variable:
    """-log(softmax(x)[t]), or -sum(t * log(softmax(x))) for a distribution t over the classes.

    Args:
        x: scores (N, C) or (N, C, d1, d2, ...).
        t: classes, integers (N, d1, d2, ...); or distributions (one-hot, say), floats of the shape of ``x``. No
            gradient goes to it.
        normalize: divide the sum by the number of labels that are not ignored; else by N.
        class_weight: array (C,); the loss of an element is multiplied by the weight of its class.
        ignore_label: elements of this class are left out; None for none.
        reduce: ``"mean"`` for one number, ``"no"`` for one loss per element.
        soft_target_loss: ``"cross-entropy"``, or ``"kl-divergence"``, which takes off the entropy of ``t``.
        cache_score, enable_double_backprop: without effect; second derivatives are always right.

    ``normalize``, ``class_weight`` and ``ignore_label`` concern integer labels only.
    """
    _check_reduce("softmax_cross_entropy", reduce)
    if soft_target_loss not in ("cross-entropy", "kl-divergence"):
        raise ValueError(
            f"softmax_cross_entropy: soft_target_loss is {soft_target_loss!r} but must be 'cross-entropy' or "
            "'kl-divergence'"
        )
    x, t = as_variable(x), as_variable(t).array
    _check_floating("softmax_cross_entropy", x)
    if x.ndim < 2:
        raise InvalidType(f"softmax_cross_entropy: x has shape {x.shape}; wanted (N, C) or (N, C, d1, d2, ...)")
    if t.dtype.kind == "f":
        return _with_distributions(x, t, reduce, soft_target_loss == "kl-divergence")
    _check_labels("softmax_cross_entropy", t, " or, for distributions, floats")
    wanted = x.shape[:1] + x.shape[2:]
    if t.shape != wanted:
        raise InvalidType(f"softmax_cross_entropy: x has shape {x.shape} but t has shape {t.shape}; wanted {wanted}")
    return _with_labels(x, t, normalize, _checked_class_weight(x, class_weight), ignore_label, reduce)


def _with_labels(
    x: Variable, t: Any, normalize: bool, class_weight: Any, ignore_label: int | None, reduce: str
) -> Variable:
    xp = get_array_module(t)
    classes = x.shape[1]
    counted = xp.ones(t.shape, bool) if ignore_label is None else t != ignore_label
    if xp is np or config.debug:  # reading the answer from a GPU would stop the pipeline
        wrong = counted & ((t < 0) | (t >= classes))
        if wrong.any():
            raise IndexError(
                f"softmax_cross_entropy: t contains {int(t[wrong][0])} but x has {classes} classes, 0 to "
                f"{classes - 1}; correct t, or leave one label out with ignore_label"
            )
    labels = xp.where(counted, t, 0).ravel()
    weight = counted.astype(x.dtype)
    if class_weight is not None:
        weight *= class_weight[labels].reshape(t.shape)
    if reduce == "mean":
        weight /= max(int(counted.sum()) if normalize else len(t), 1)
    scores = log_softmax(x, axis=1)
    if x.ndim > 2:
        scores = reshape(transpose(scores, (0, *range(2, x.ndim), 1)), (t.size, classes))
    loss = reshape(get_item(scores, (xp.arange(t.size), labels)), t.shape) * -weight
    return sum(loss) if reduce == "mean" else loss


def _with_distributions(x: Variable, t: Any, reduce: str, divergence: bool) -> Variable:
    if t.shape != x.shape:
        raise InvalidType(
            f"softmax_cross_entropy: x has shape {x.shape} but t, which holds floats, has shape {t.shape}; wanted the "
            "same, or integer labels"
        )
    t = t.astype(x.dtype, copy=False)
    loss = sum(log_softmax(x, axis=1) * -t, axis=1)
    if divergence:
        xp = get_array_module(t)
        loss = loss + (t * xp.log(xp.where(t > 0, t, 1))).sum(axis=1)  # 0 log 0 is 0
    return sum(loss * (1.0 / max(loss.size, 1))) if reduce == "mean" else loss


class _MeanError(FunctionNode):
    arguments = ("x0", "x1")

    def difference(self, inputs: tuple) -> Any:
        x0, x1 = inputs
        if x0.shape != x1.shape:
            raise InvalidType(
                f"{self.name}: x0 has shape {x0.shape} but x1 has shape {x1.shape}; wanted the same (see broadcast_to)"
            )
        return np.asarray(x0 - x1) if x0.ndim == 0 and isinstance(x0, np.ndarray) else x0 - x1

    def mean(self, errors: Any) -> Any:
        return _total(errors, 1.0 / errors.size if errors.size else float("nan"))


class MeanSquaredError(_MeanError):
    """mean((x0 - x1)**2)."""

    name = "mean_squared_error"

    def forward(self, inputs: tuple) -> tuple:
        self.retain_inputs((0, 1))
        difference = self.difference(inputs)
        if difference.dtype == np.float16:  # squares above 65504 do not fit
            difference = difference.astype(np.float32)
        difference *= difference
        return (self.mean(difference).astype(inputs[0].dtype, copy=False),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        x0, x1 = self.get_retained_inputs()
        gx0 = (x0 - x1) * broadcast_to(grad_outputs[0] * (2.0 / max(x0.size, 1)), x0.shape)
        return tuple(-gx0 if i else gx0 for i in indexes)


class MeanAbsoluteError(_MeanError):
    """mean(abs(x0 - x1))."""

    name = "mean_absolute_error"

    def forward(self, inputs: tuple) -> tuple:
        difference = self.difference(inputs)
        xp = get_array_module(difference)
        self.sign = xp.sign(difference)
        return (self.mean(xp.abs(difference, out=difference)),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        gx0 = broadcast_to(grad_outputs[0] * (1.0 / max(self.sign.size, 1)), self.sign.shape) * self.sign
        return tuple(-gx0 if i else gx0 for i in indexes)


def mean_squared_error(x0: Any, x1: Any) -> Variable:
    """mean((x0 - x1)**2) over all elements of two arrays of one shape and dtype."""
    return MeanSquaredError().apply((x0, x1))[0]


def mean_absolute_error(x0: Any, x1: Any) -> Variable:
    """mean(abs(x0 - x1)) over all elements of two arrays of one shape and dtype. The gradient at 0 is 0."""
    return MeanAbsoluteError().apply((x0, x1))[0]


def _total(values: Any, factor: float = 1.0) -> Any:
    """Sum times factor in the dtype of the values, but added up in float32 at least."""
    total = values.sum(dtype=np.promote_types(values.dtype, np.float32)) * factor
    return get_array_module(values).asarray(total, dtype=values.dtype)


def _check_reduce(function: str, reduce: str) -> None:
    if reduce not in ("mean", "no"):
        raise ValueError(f"{function}: reduce is {reduce!r} but must be 'mean' or 'no'")


def _check_floating(function: str, x: Variable) -> None:
    if x.dtype.kind != "f":
        raise InvalidType(f"{function}: x is {x.dtype}; wanted floating point; cast it with x.astype('float32')")


def _check_labels(function: str, t: Any, alternative: str = "") -> None:
    if t.dtype.kind not in "iu":
        raise InvalidType(f"{function}: t is {t.dtype}; wanted integers{alternative}; cast it with t.astype('int32')")


def _checked_class_weight(x: Variable, class_weight: Any) -> Any:
    if class_weight is None:
        return None
    if isinstance(class_weight, Variable):
        raise ValueError("softmax_cross_entropy: class_weight is a Variable; pass its array, it gets no gradient")
    if class_weight.shape != x.shape[1:2]:
        raise ValueError(
            f"softmax_cross_entropy: class_weight has shape {class_weight.shape}; wanted ({x.shape[1]},), one weight "
            "for each class"
        )
    return class_weight.astype(x.dtype, copy=False)
