"""Losses: how wrong an output is, as one number to be made smaller (or, with ``reduce="no"``, one per example).

Cross entropies are computed from scores (logits), not from probabilities: log(sigmoid(x)) and log(softmax(x)) are exact
where the probability itself has long become 0 or 1. All derivatives are made of differentiable functions, and most
losses are nothing but such functions; a class stands where the loss is hot, or where scripts look at its node.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigan.backend import get_array_module
from minigan.configuration import config
from minigan.core import (
    FunctionNode,
    Variable,
    absolute,
    as_array,
    as_variable,
    broadcast_to,
    cast,
    exp,
    get_item,
    log,
    matmul,
    reshape,
    sum,
    transpose,
)  # fmt: skip
from minigan.functions.activation import log_softmax, relu, sigmoid, softmax, softplus
from minigan.functions.math import clip, sqrt, square
from minigan.functions.reduction import average
from minigan.utils.type_check import InvalidType

__all__ = [
    "absolute_error", "bernoulli_nll", "black_out", "contrastive", "cross_covariance", "decov",
    "discriminative_margin_based_clustering_loss", "gaussian_kl_divergence", "gaussian_nll", "hinge", "huber_loss",
    "mean_absolute_error", "mean_squared_error", "sigmoid_cross_entropy", "softmax_cross_entropy",
    "squared_difference", "squared_error", "triplet",
]  # fmt: skip

_IGNORED = -1  # the label that sigmoid_cross_entropy leaves out

# Cross entropies -----------------------------------------------------------------------------------------------------


class SigmoidCrossEntropy(FunctionNode):
    """log(1 + exp(x)) - t * x, and 0 where t is -1; divided by ``count`` and summed if ``reduce`` is "mean"."""

    name = "sigmoid_cross_entropy"

    def __init__(self, normalize: bool = True, reduce: str = "mean") -> None:
        _check_reduce(self.name, reduce)
        self.normalize, self.reduce = normalize, reduce
        self.count: Any = None

    def forward(self, inputs: tuple) -> tuple:
        x, t = inputs
        _check_floating(self.name, x)
        _check_labels(self.name, t)
        if x.shape != t.shape:
            raise InvalidType(f"{self.name}: x has shape {x.shape} but t has shape {t.shape}; wanted the same")
        self.retain_inputs((0,))
        xp = get_array_module(x)
        self.t, self.weight = t.astype(x.dtype), (t != _IGNORED).astype(x.dtype)
        if self.reduce == "mean":
            counted = self.normalize or x.ndim == 0  # on the device, which nobody waits for
            self.count = xp.maximum(self.weight.sum(dtype=int), 1) if counted else max(len(t), 1)
            self.weight = (self.weight / self.count).astype(x.dtype)
        # x may be cancelled by t * x: take the large part of the logarithm, max(x, 0), into the product
        loss = xp.log1p(xp.exp(-xp.abs(x))) + x * ((x >= 0) - self.t)
        loss = xp.asarray(loss * self.weight, dtype=x.dtype)
        return (_total(loss) if self.reduce == "mean" else loss,)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        (x,) = self.get_retained_inputs()
        gx = (sigmoid(x) - self.t) * self.weight * broadcast_to(grad_outputs[0], x.shape)
        return tuple(None if i else gx for i in indexes)


def sigmoid_cross_entropy(x: Any, t: Any, normalize: bool = True, reduce: str = "mean") -> Variable:
    """-t * log(sigmoid(x)) - (1 - t) * log(1 - sigmoid(x)), exact for scores of any size.

    Args:
        x: scores, floating point.
        t: labels, integers of the same shape: 1, 0, or -1 for an element that is left out.
        normalize: divide the sum by the number of labels that are not -1; else by the length of the first axis.
        reduce: ``"mean"`` for one number, ``"no"`` for one loss per element.
    """
    return SigmoidCrossEntropy(normalize, reduce).apply((x, as_variable(t)))[0]


class SoftmaxCrossEntropy(FunctionNode):
    """-sum(q * log(softmax(x))) over the classes, where q holds the target distribution times its weight.

    ``y`` is softmax(x), kept from the forward pass if ``cache_score``.
    """

    name = "softmax_cross_entropy"
    y: Any = None

    def __init__(
        self, normalize: bool = True, cache_score: bool = True, class_weight: Any = None,
        ignore_label: int | None = -1, reduce: str = "mean", soft_target_loss: str = "cross-entropy",
    ) -> None:  # fmt: skip
        if class_weight is not None and (
            isinstance(class_weight, Variable) or class_weight.ndim != 1 or class_weight.dtype.kind != "f"
        ):
            raise ValueError(f"{self.name}: class_weight is {class_weight!r}; wanted an array of floats, one per class")
        _check_reduce(self.name, reduce)
        if soft_target_loss not in ("cross-entropy", "kl-divergence"):
            raise ValueError(
                f"{self.name}: soft_target_loss is {soft_target_loss!r} but must be 'cross-entropy' or 'kl-divergence'"
            )
        self.normalize, self.cache_score, self.class_weight = normalize, cache_score, class_weight
        self.ignore_label, self.reduce, self.soft_target_loss = ignore_label, reduce, soft_target_loss

    def forward(self, inputs: tuple) -> tuple:
        x, t = inputs
        xp = get_array_module(x)
        _check_floating(self.name, x)
        if x.ndim < 2:
            raise InvalidType(f"{self.name}: x has shape {x.shape}; wanted (N, C) or (N, C, d1, d2, ...)")
        soft = t.dtype.kind == "f"
        wanted = x.shape if soft else x.shape[:1] + x.shape[2:]
        if t.shape != wanted:
            raise InvalidType(
                f"{self.name}: x has shape {x.shape} but t, of {t.dtype}, has shape {t.shape}; wanted {wanted}, or "
                + ("integer labels" if soft else "a distribution in floats")
            )
        self.retain_inputs((0,))
        log_y = x - x.max(axis=1, keepdims=True) if x.size else x.copy()
        y = xp.exp(log_y)
        total = y.sum(axis=1, keepdims=True)
        log_y -= xp.log(total)
        if self.cache_score:
            y /= total
            self.y = y
        if soft:
            self.q, count = t, t.size // max(x.shape[1], 1)
            loss = -(t * xp.where(t == 0, 0, log_y)).sum(axis=1)  # 0 log 0 is 0
            if self.soft_target_loss == "kl-divergence":
                loss += (t * xp.log(xp.where(t > 0, t, 1))).sum(axis=1)
        else:
            places, weight, count = self._places(x, t)
            self.q = xp.zeros_like(x)
            self.q[places] = weight
            loss = weight * xp.where(weight == 0, 0, -log_y[places])
        self.weight = loss.dtype.type(1)
        if self.reduce == "mean":
            self.weight = (1 / xp.maximum(count, 1)).astype(loss.dtype)
        loss = loss * self.weight
        return (_total(loss) if self.reduce == "mean" else loss,)

    def _places(self, x: Any, t: Any) -> tuple[Any, Any, Any]:
        """The index of the right class everywhere, its weight (0 where left out), and how many labels count."""
        _check_labels(self.name, t, " or, for distributions, floats")
        xp, classes = get_array_module(x), x.shape[1]
        counted = xp.ones(t.shape, bool) if self.ignore_label is None else t != self.ignore_label
        if xp is np or config.debug:  # reading the answer from a GPU would stop the pipeline
            wrong = counted & ((t < 0) | (t >= classes))
            if wrong.any():
                raise (ValueError if config.debug else IndexError)(
                    f"{self.name}: t contains {int(t[wrong][0])} but x has {classes} classes, 0 to {classes - 1}; "
                    "correct t, or leave one label out with ignore_label"
                )
        labels, weight = xp.where(counted, t, 0), counted.astype(x.dtype)
        if self.class_weight is not None:
            if len(self.class_weight) != classes:
                raise ValueError(f"{self.name}: class_weight has shape {self.class_weight.shape}; wanted ({classes},)")
            weight *= self.class_weight[labels].astype(x.dtype)
        first, *rest = xp.ogrid[tuple(slice(n) for n in t.shape)]
        return (first, labels, *rest), weight, counted.sum() if self.normalize else len(t)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        (x,) = self.get_retained_inputs()
        gy = cast(grad_outputs[0], x.dtype) * self.weight
        if self.reduce == "no":
            gy = reshape(gy, (len(x), 1, *x.shape[2:]))
        y = softmax(x) if self.y is None or config.enable_backprop else Variable(self.y, requires_grad=False)
        gx = (y * self.q.sum(axis=1, keepdims=True) - self.q) * broadcast_to(gy, x.shape)
        return tuple(None if i else gx for i in indexes)


def softmax_cross_entropy(
    x: Any, t: Any, normalize: bool = True, cache_score: bool = True, class_weight: Any = None,
    ignore_label: int | None = -1, reduce: str = "mean", enable_double_backprop: bool = False,
    soft_target_loss: str = "cross-entropy",
) -> Variable:  # fmt: skip
    """-log(softmax(x)[t]), or -sum(t * log(softmax(x))) for a distribution t over the classes.

    Args:
        x: scores (N, C) or (N, C, d1, d2, ...).
        t: classes, integers (N, d1, d2, ...); or distributions (one-hot, say), floats of the shape of ``x``. No
            gradient goes to it.
        normalize: divide the sum by the number of labels that are not ignored; else by N.
        cache_score: keep softmax(x) for the way back: quicker, for as much memory as ``x``.
        class_weight: array (C,); the loss of an element is multiplied by the weight of its class.
        ignore_label: elements of this class are left out; None for none.
        reduce: ``"mean"`` for one number, ``"no"`` for one loss per element.
        enable_double_backprop: without effect; second derivatives are always right.
        soft_target_loss: ``"cross-entropy"``, or ``"kl-divergence"``, which takes off the entropy of ``t``.

    ``normalize``, ``class_weight`` and ``ignore_label`` concern integer labels only. A label outside 0 ... C - 1 is an
    ``IndexError``, in debug mode a ``ValueError``.
    """
    node = SoftmaxCrossEntropy(normalize, cache_score, class_weight, ignore_label, reduce, soft_target_loss)
    return node.apply((x, as_variable(t)))[0]


def black_out(x: Any, t: Any, W: Any, samples: Any, reduce: str = "mean") -> Variable:
    """-log(p[0]) - sum_k log(1 - p[k]), p the softmax over the right class (0) and K sampled ones (Ji et al., 2016).

    Args:
        x: features (N, D).
        t: classes, integers (N,).
        W: weights of all classes (C, D).
        samples: wrong classes, integers (N, K).
        reduce: ``"mean"`` or ``"no"``.
    """
    _check_reduce("black_out", reduce)
    x, W = _alike("black_out", x, W, shapes=False)
    t, samples = as_array(t), as_array(samples)
    if x.ndim != 2 or t.shape != x.shape[:1] or samples.ndim != 2 or len(samples) != len(t):
        raise InvalidType(f"black_out: shapes are {x.shape}, {t.shape}, {samples.shape}; wanted (N, D), (N,), (N, K)")
    rows = get_item(W, get_array_module(t).concatenate((t[:, None], samples), axis=1))
    y = log_softmax(reshape(matmul(rows, reshape(x, (*x.shape, 1))), rows.shape[:2]))
    return _reduced(-y[:, 0] - sum(log(1 - exp(y[:, 1:])), axis=1), reduce)


# Distances -----------------------------------------------------------------------------------------------------------


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


def absolute_error(x0: Any, x1: Any) -> Variable:
    """abs(x0 - x1), elementwise, for two arrays of one shape and dtype. The gradient at 0 is 0."""
    x0, x1 = _alike("absolute_error", x0, x1)
    return absolute(x0 - x1)


def squared_error(x0: Any, x1: Any) -> Variable:
    """(x0 - x1)**2, elementwise, for two arrays of one shape and dtype."""
    x0, x1 = _alike("squared_error", x0, x1)
    return square(x0 - x1)


def squared_difference(x1: Any, x2: Any) -> Variable:
    """(x1 - x2)**2, elementwise: another name of ``squared_error``."""
    return squared_error(x1, x2)


def huber_loss(x: Any, t: Any, delta: float, reduce: str = "sum_along_second_axis") -> Variable:
    """d**2 / 2 where abs(d) < delta, else delta * (abs(d) - delta / 2), for d = x - t (Huber, 1964).

    ``reduce`` is ``"sum_along_second_axis"`` or ``"no"``.
    """
    _check_reduce("huber_loss", reduce, "sum_along_second_axis", "no")
    x, t = _alike("huber_loss", x, t)
    difference = x - t
    inner = clip(difference, -delta, delta)
    y = inner * (difference - inner * 0.5)
    return y if reduce == "no" else sum(y, axis=1)


def hinge(x: Any, t: Any, norm: str = "L1", reduce: str = "mean") -> Variable:
    """max(0, 1 - x) for the score of the right class, max(0, 1 + x) for the others; squared if ``norm`` is "L2".

    Args:
        x: scores (N, C).
        t: classes, integers (N,).
        norm: ``"L1"`` or ``"L2"``, else ``NotImplementedError``.
        reduce: ``"mean"``, the sum divided by N, or ``"no"``.
    """
    if norm not in ("L1", "L2"):
        raise NotImplementedError(f"hinge: norm is {norm!r} but must be 'L1' or 'L2'")
    _check_reduce("hinge", reduce)
    x, t = as_variable(x), as_array(t)
    _check_floating("hinge", x)
    _check_labels("hinge", t)
    if x.ndim != 2 or t.shape != x.shape[:1]:
        raise InvalidType(f"hinge: x has shape {x.shape} and t has shape {t.shape}; wanted (N, C) and (N,)")
    side = x.xp.ones_like(x.array)
    side[x.xp.arange(len(t)), t] = -1
    y = relu(x * side + 1)
    y = square(y) if norm == "L2" else y
    return sum(y) / max(len(t), 1) if reduce == "mean" else y


def contrastive(x0: Any, x1: Any, y: Any, margin: float = 1, reduce: str = "mean") -> Variable:
    """(y d**2 + (1 - y) max(margin - d, 0)**2) / 2, for the distance d of two vectors (Hadsell et al., 2006).

    Args:
        x0, x1: N vectors each, (N, K).
        y: integers (N,): 1 where the two belong together, 0 where they do not.
        margin: the distance, above 0, from which the others are far enough apart.
        reduce: ``"mean"`` or ``"no"``.
    """
    _check_reduce("contrastive", reduce)
    if margin <= 0:
        raise ValueError(f"contrastive: margin is {margin} but must be positive")
    x0, x1 = _alike("contrastive", x0, x1)
    y = as_array(y)
    _check_labels("contrastive", y)
    if x0.ndim != 2 or y.shape != x0.shape[:1] or not len(y):
        raise InvalidType(f"contrastive: shapes are {x0.shape} and, of y, {y.shape}; wanted (N, K) and (N,), N > 0")
    squares = sum(square(x0 - x1), axis=1)
    return _reduced((squares * y + square(relu(margin - _root(squares))) * (1 - y)) * 0.5, reduce)


def triplet(anchor: Any, positive: Any, negative: Any, margin: float = 0.2, reduce: str = "mean") -> Variable:
    """max(0, |anchor - positive|**2 - |anchor - negative|**2 + margin) of vectors (N, K, ...) (Schroff et al., 2015).

    ``reduce`` is ``"mean"``, the sum divided by N, or ``"no"``. ``ValueError`` unless margin > 0.
    """
    _check_reduce("triplet", reduce)
    if margin <= 0:
        raise ValueError(f"triplet: margin is {margin} but must be positive")
    anchor, positive, negative = _alike("triplet", anchor, positive, negative)
    if anchor.ndim < 2 or not len(anchor):
        raise InvalidType(f"triplet: the shape is {anchor.shape}; wanted (N, K) with N > 0")
    loss = relu(sum(square(anchor - positive) - square(anchor - negative), axis=1) + margin)
    return loss if reduce == "no" else sum(loss) / len(anchor)


# Likelihoods ---------------------------------------------------------------------------------------------------------


def bernoulli_nll(x: Any, y: Any, reduce: str = "sum") -> Variable:
    """-x log(sigmoid(y)) - (1 - x) log(1 - sigmoid(y)): minus the log-likelihood of x, between 0 and 1, under scores y.

    The shapes broadcast, x may hold integers or truth values. ``reduce`` is ``"sum"``, ``"mean"`` or ``"no"``. All
    this holds for the next two as well.
    """
    _check_reduce("bernoulli_nll", reduce, "sum", "mean", "no")
    x, y = _alike("bernoulli_nll", _data(x, y), y, shapes=False)
    return _reduced(softplus(y) - x * y, reduce)


def gaussian_kl_divergence(mean: Any, ln_var: Any, reduce: str = "sum") -> Variable:
    """(mean**2 + exp(ln_var) - ln_var - 1) / 2: the divergence of a normal distribution from the standard one."""
    _check_reduce("gaussian_kl_divergence", reduce, "sum", "mean", "no")
    mean, ln_var = _alike("gaussian_kl_divergence", _data(mean, ln_var), ln_var, shapes=False)
    return _reduced((square(mean) + exp(ln_var) - ln_var - 1) * 0.5, reduce)


def gaussian_nll(x: Any, mean: Any, ln_var: Any, reduce: str = "sum") -> Variable:
    """((x - mean)**2 / exp(ln_var) + ln_var + log(2 pi)) / 2: minus the log-likelihood of x."""
    _check_reduce("gaussian_nll", reduce, "sum", "mean", "no")
    x, mean, ln_var = _alike("gaussian_nll", _data(x, mean), mean, ln_var, shapes=False)
    return _reduced((square(x - mean) * exp(-ln_var) + ln_var + math.log(2 * math.pi)) * 0.5, reduce)


# Statistics of features ----------------------------------------------------------------------------------------------


def cross_covariance(y: Any, z: Any, reduce: str = "half_squared_sum") -> Variable:
    """sum(C**2) / 2 for the covariance C (K, L) of features y (N, K) and z (N, L) (Cheung et al., 2015).

    ``reduce`` is ``"half_squared_sum"``, or ``"no"`` for C.
    """
    _check_reduce("cross_covariance", reduce, "half_squared_sum", "no")
    y, z = _alike("cross_covariance", y, z, shapes=False)
    if y.ndim != 2 or z.ndim != 2 or len(y) != len(z):
        raise InvalidType(f"cross_covariance: shapes are {y.shape} and {z.shape}; wanted (N, K) and (N, L)")
    c = matmul(transpose(_centered(y)), _centered(z)) / y.dtype.type(len(y))
    return sum(square(c)) * 0.5 if reduce == "half_squared_sum" else c


def decov(h: Any, reduce: str = "half_squared_sum") -> Variable:
    """``cross_covariance`` of features (N, K) with themselves, without the diagonal of C (Cogswell et al., 2016)."""
    _check_reduce("decov", reduce, "half_squared_sum", "no")
    c = cross_covariance(h, h, "no")
    c = c * (1 - c.xp.identity(len(c), c.dtype))
    return sum(square(c)) * 0.5 if reduce == "half_squared_sum" else c


def discriminative_margin_based_clustering_loss(
    embeddings: Any, labels: Any, delta_v: float, delta_d: float, max_embedding_dim: int, norm: int = 1,
    alpha: float = 1.0, beta: float = 1.0, gamma: float = 0.001,
) -> tuple[Variable, Variable, Variable]:  # fmt: skip
    """Pull the embeddings of an instance within delta_v of their mean, push means 2 delta_d apart, hold means near 0.

    De Brabandere et al., 2017: three terms, times ``alpha``, ``beta`` and ``gamma``. ``ValueError`` for another norm.

    Args:
        embeddings: (N, C, ...), floating.
        labels: instances, integers (N, ...): 1 ... max_embedding_dim; anything else is left out. An instance that
            does not occur counts with the mean 0.
        norm: 1 or 2, for the length of a vector.
    """
    name = "discriminative_margin_based_clustering_loss"
    if norm not in (1, 2):
        raise ValueError(f"{name}: norm is {norm} but must be 1 or 2")
    x, t = as_variable(embeddings), as_array(labels)
    _check_floating(name, x)
    _check_labels(name, t)
    if x.ndim < 2 or t.shape != x.shape[:1] + x.shape[2:]:
        raise InvalidType(f"{name}: shapes are {x.shape} and {t.shape}; wanted (N, C, ...) and (N, ...)")

    def length(vectors: Variable) -> Variable:
        return sum(absolute(vectors), axis=-1) if norm == 1 else _root(sum(square(vectors), axis=-1))

    n, m = len(x), max_embedding_dim
    member = (t.reshape(n, 1, -1) == x.xp.arange(1, m + 1)[:, None]).astype(x.dtype)  # (N, m, places)
    share = member / x.xp.maximum(member.sum(axis=2, keepdims=True), 1)
    x = transpose(reshape(x, (n, x.shape[1], -1)), (0, 2, 1))
    means = matmul(share, x)
    spread = relu(length(x - matmul(member.transpose(0, 2, 1), means)) - delta_v)
    between = reshape(means, (n, m, 1, -1)) - reshape(means, (n, 1, m, -1))
    near = square(relu(2 * delta_d - length(between))) * (1 - x.xp.identity(m, x.dtype))
    return (
        sum(square(spread) * share.sum(axis=1)) * (alpha / (n * m)),
        sum(near) * (beta / (n * max(m * (m - 1), 1))),
        sum(length(means)) * (gamma / (n * m)),
    )


def _centered(x: Variable) -> Variable:
    return x - broadcast_to(average(x, axis=0, keepdims=True), x.shape)


def _root(squares: Variable) -> Variable:
    """Square root with the gradient 0 at 0, where there is no direction to go."""
    zero = squares.array == 0
    return sqrt(squares + zero) * ~zero


# Checks and sums of all ----------------------------------------------------------------------------------------------


def _alike(function: str, *xs: Any, shapes: bool = True) -> list[Variable]:
    """All as Variables. Raises ``InvalidType`` unless they are of one floating-point type and one shape."""
    variables = [as_variable(x) for x in xs]
    first = variables[0]
    _check_floating(function, first)
    for x in variables:
        if x.dtype != first.dtype or (shapes and x.shape != first.shape):
            raise InvalidType(
                f"{function}: got {first.dtype} {first.shape} and {x.dtype} {x.shape}; wanted the same"
            )
    return variables


def _data(x: Any, parameter: Any) -> Variable:
    """x, in the type of `parameter` if it does not have a floating-point type of its own."""
    x, dtype = as_variable(x), as_array(parameter).dtype
    return x if x.dtype.kind == "f" or dtype.kind != "f" else Variable(x.array.astype(dtype))


def _reduced(loss: Variable, reduce: str) -> Variable:
    return loss if reduce == "no" else sum(loss) if reduce == "sum" else average(loss)


def _total(values: Any, factor: float = 1.0) -> Any:
    """Sum times factor in the dtype of the values, but added up in float32 at least."""
    total = values.sum(dtype=np.promote_types(values.dtype, np.float32)) * factor
    return get_array_module(values).asarray(total, dtype=values.dtype)


def _check_reduce(function: str, reduce: str, *choices: str) -> None:
    choices = choices or ("mean", "no")
    if reduce not in choices:
        raise ValueError(f"{function}: reduce is {reduce!r} but must be {' or '.join(map(repr, choices))}")


def _check_floating(function: str, x: Any) -> None:
    if x.dtype.kind != "f":
        raise InvalidType(f"{function}: x is {x.dtype}; wanted floating point; cast it with x.astype('float32')")


def _check_labels(function: str, t: Any, alternative: str = "") -> None:
    if t.dtype.kind not in "iu":
        raise InvalidType(f"{function}: t is {t.dtype}; wanted integers{alternative}; cast it with t.astype('int32')")
