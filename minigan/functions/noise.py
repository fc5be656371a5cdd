"""Noise that regularises, and noise that is learned from.

The numbers come from the array module's global generator (``numpy.random`` on the CPU), in Chainer's order and dtype:
one seed gives Chainer's masks. On a GPU those of dropout and of normal noise come from our own kernels. A node keeps
what it drew, so that its gradient is that of the same draw.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigan.backend import get_array_module
from minigan.configuration import config
from minigan.core import FunctionNode, Variable, as_array, as_variable, cast, exp, matmul, mul, reshape, sum
from minigan.functions.activation import softmax
from minigan.kernels.launch import available_for
from minigan.kernels.philox import generator
from minigan.utils.type_check import InvalidType

__all__ = ["dropout", "gaussian", "gumbel_softmax", "simplified_dropconnect", "zoneout"]


class Dropout(FunctionNode):
    """x times a mask of zeros and 1 / (1 - ratio); ``mask`` is known after ``apply``."""

    name = "dropout"
    arguments = ("x",)

    def __init__(self, dropout_ratio: float, mask: Any = None, return_mask: bool = False) -> None:
        if not 0.0 <= dropout_ratio < 1.0:
            raise ValueError(f"dropout: ratio is {dropout_ratio}; wanted 0 <= ratio < 1")
        self.dropout_ratio = dropout_ratio
        self.mask = mask
        self.return_mask = return_mask

    def forward(self, inputs: tuple) -> tuple:
        """Draw the mask unless one is given, and apply it."""
        (x,) = inputs
        xp = get_array_module(x)
        if self.mask is None and available_for(x, halves=True):
            y, self.mask = generator(xp).dropout(x, self.dropout_ratio)
            return (y,)
        if self.mask is None:
            kept = xp.random.rand(*x.shape) >= self.dropout_ratio
            self.mask = xp.multiply(kept, x.dtype.type(1 / (1 - self.dropout_ratio)), out=xp.empty_like(x))
        self.mask = self.mask.astype(x.dtype, copy=False)
        try:
            return (x * self.mask,)
        except ValueError as error:
            raise ValueError(
                f"dropout: mask has shape {self.mask.shape} but x has {x.shape}; wanted the same"
            ) from error

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """The gradient under the same mask."""
        return (grad_outputs[0] * self.mask,)


def dropout(x: Any, ratio: float = 0.5, *, mask: Any = None, return_mask: bool = False) -> Any:
    """Set each element to 0 with probability ``ratio`` and scale the others by 1 / (1 - ratio), so that the mean stays.

    Only while training (``config.train``); otherwise x comes back as it is, and the mask is None.
    Srivastava et al. 2014; the scaling at training time is called inverted dropout.

    Args:
        x: any shape, floating.
        ratio: 0 <= ratio < 1.
        mask: use this array (shape of x) instead of drawing one.
        return_mask: return ``(y, mask)``; the mask can be passed to another call.
    """
    if not config.train:
        return (as_variable(x), None) if return_mask else as_variable(x)
    node = Dropout(ratio, mask, return_mask)
    (y,) = node.apply((x,))
    return (y, node.mask) if return_mask else y


class Gaussian(FunctionNode):
    """mean + exp(ln_var / 2) eps, with ``eps`` drawn once: the reparametrisation trick."""

    name = "gaussian"
    arguments = ("mean", "ln_var")

    def __init__(self, eps: Any = None) -> None:
        self.eps = eps

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        mean, ln_var = inputs
        if mean.shape != ln_var.shape:
            raise InvalidType(f"gaussian: mean has shape {mean.shape} and ln_var {ln_var.shape}; wanted the same.")
        xp = get_array_module(mean)
        if self.eps is None:
            if available_for(mean, halves=True):
                self.eps = generator(xp).normal(ln_var.shape, mean.dtype)
            else:
                self.eps = xp.asarray(xp.random.standard_normal(ln_var.shape), dtype=mean.dtype)
        self.retain_inputs((1,))
        return (mean + xp.exp(ln_var * mean.dtype.type(0.5)) * self.eps.astype(mean.dtype, copy=False),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:  # noqa: D102
        (ln_var,) = self.get_retained_inputs()
        (gy,) = grad_outputs
        eps = self.eps.astype(gy.dtype, copy=False)
        return tuple(gy * (exp(ln_var * 0.5) * (eps * eps.dtype.type(0.5))) if i else gy for i in indexes)


def gaussian(mean: Any, ln_var: Any, *, eps: Any = None, return_eps: bool = False) -> Any:
    """Draw from the normal distribution of that mean and logarithm of the variance; differentiable in both.

    The arguments have one shape and one floating dtype. ``eps`` is used instead of a fresh draw from the standard
    normal distribution; ``return_eps`` asks for ``(y, eps)``. Kingma and Welling 2014, section 2.4.
    """
    node = Gaussian(eps)
    (y,) = node.apply((mean, ln_var))
    return (y, node.eps) if return_eps else y


def gumbel_softmax(log_pi: Any, tau: float = 0.1, axis: int = 1) -> Variable:
    """softmax((log_pi + g) / tau) with Gumbel noise g: nearly one-hot draws from the distribution, differentiable.

    log_pi: unnormalised logarithms of the probabilities along ``axis``. A small temperature ``tau`` is close to
    one-hot, with steep gradients. Jang et al. 2017, equation 2.
    """
    log_pi = as_variable(log_pi)
    noise = log_pi.xp.random.gumbel(size=log_pi.shape).astype(log_pi.dtype)
    scores = (log_pi + noise) * (1 / tau)
    return softmax(scores, axis=axis) if scores.ndim else exp(scores - scores)


class SimplifiedDropconnect(FunctionNode):
    """y = x (mask * W)^T / (1 - ratio) + b, with a mask for each example or one for all."""

    name = "simplified_dropconnect"

    def __init__(self, ratio: float, mask: Any = None, use_batchwise_mask: bool = True) -> None:
        if not 0.0 <= ratio < 1.0:
            raise ValueError(f"simplified_dropconnect: ratio is {ratio}; wanted 0 <= ratio < 1")
        self.ratio, self.mask, self.use_batchwise_mask = ratio, mask, use_batchwise_mask

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        x, W, *b = inputs
        if any(a.dtype.kind != "f" for a in inputs) or W.ndim != 2 or x.ndim < 2 or x[0].size != W.shape[1]:
            raise InvalidType(
                f"simplified_dropconnect: x is {x.dtype} {x.shape} and W {W.dtype} {W.shape}; "
                "wanted floating (N, in_size) and (out_size, in_size)."
            )
        if b and (b[0].shape != W.shape[:1] or b[0].dtype != x.dtype):
            raise InvalidType(
                f"simplified_dropconnect: b is {b[0].dtype} {b[0].shape}; wanted {x.dtype} {W.shape[:1]}, as x and W."
            )
        xp = get_array_module(x)
        shape = (len(x), *W.shape) if self.use_batchwise_mask else W.shape
        if self.mask is None:
            self.mask = xp.random.rand(*shape) >= self.ratio
        elif self.mask.shape != shape:
            raise InvalidType(f"simplified_dropconnect: mask has shape {self.mask.shape}; wanted {shape}.")
        self.retain_inputs((0, 1))
        weights = W * self._scaled(W.dtype)
        y = xp.matmul(weights, x.reshape(len(x), -1, 1))[:, :, 0].astype(x.dtype, copy=False)
        return (y + b[0] if b else y,)

    def _scaled(self, dtype: Any) -> Any:
        return self.mask.astype(dtype) * dtype.type(1 / (1 - self.ratio))

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:  # noqa: D102
        x, W = self.get_retained_inputs()
        (gy,) = grad_outputs
        mask = self._scaled(W.dtype)
        n, rows = len(gy), cast(reshape(x, (len(x), 1, W.shape[1])), W.dtype)
        columns = cast(reshape(gy, (n, W.shape[0], 1)), W.dtype)
        return tuple(
            cast(reshape(sum(columns * (W * mask), axis=1), x.shape), x.dtype) if i == 0
            else sum(mul(matmul(columns, rows), mask), axis=0) if i == 1
            else sum(gy, axis=0)
            for i in indexes
        )  # fmt: skip


def simplified_dropconnect(x: Any, W: Any, b: Any = None, ratio: float = 0.5, train: bool = True, mask: Any = None,
                           use_batchwise_mask: bool = True) -> Variable:  # fmt: skip
    """Linear layer whose weights are dropped: y = x (mask * W)^T / (1 - ratio) + b.

    x: (N, in_size), W: (out_size, in_size), b: (out_size,). Each weight is 0 with probability ``ratio``, for each
    example by itself or, without ``use_batchwise_mask``, for all alike. Without ``train`` nothing is dropped. Wan et
    al. 2013, without their inference by sampling.
    """
    if not train:
        ratio = 0
    node = SimplifiedDropconnect(ratio, as_array(mask), use_batchwise_mask)
    return node.apply((x, W) if b is None else (x, W, b))[0]


class Zoneout(FunctionNode):
    """h where ``flag_h``, x where ``flag_x``; the flags are known after ``apply``."""

    name = "zoneout"

    def __init__(self, zoneout_ratio: float) -> None:
        self.zoneout_ratio = zoneout_ratio

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        h, x = inputs
        self.flag_x = get_array_module(x).random.rand(*x.shape) >= self.zoneout_ratio
        self.flag_h = np.logical_not(self.flag_x)
        return (h * self.flag_h + x * self.flag_x,)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:  # noqa: D102
        flags = self.flag_h, self.flag_x
        return tuple(grad_outputs[0] * flags[i].astype(grad_outputs[0].dtype) for i in indexes)


def zoneout(h: Any, x: Any, ratio: float = 0.5) -> Variable:
    """Keep each old entry h with probability ``ratio``, otherwise take the new x; always x while testing.

    Krueger et al. 2017. h and x have one shape and a floating dtype.
    """
    if config.train:
        return Zoneout(ratio).apply((h, x))[0]
    return as_variable(x)
