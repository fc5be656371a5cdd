"""Batch normalisation: with the statistics of the batch while training, with remembered ones afterwards.

The first derivative is one fused node, for speed. When a derivative of that derivative is asked for, the node writes
the gradient again in core operations and lets ``grad`` differentiate them: right at every order, and slow only there.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from minigan.configuration import config, force_backprop_mode
from minigan.core import FunctionNode, Variable, as_array, cast, grad, reshape
from minigan.core import sum as sum_axes
from minigan.kernels import batch_norm
from minigan.utils.type_check import InvalidType

__all__ = ["batch_normalization", "fixed_batch_normalization"]

Axes = tuple[int, ...]


class _Normalization(FunctionNode):
    """What the two functions share: which axes are reduced, and the check of the inputs."""

    parameters: tuple[str, ...] = ()

    def __init__(self, eps: float = 2e-5, axis: int | Axes | None = None) -> None:
        if isinstance(axis, int | np.integer):
            axis = (axis,)
        if axis is not None and any(a >= b for a, b in zip(axis, axis[1:])):
            raise RuntimeError(f"{self.name}: axis is {tuple(axis)}; wanted numbers in ascending order")
        self.eps = eps
        self.axis = None if axis is None else tuple(axis)

    def _argument(self, index: int) -> str:
        # Not the class attribute ``arguments``: that would demand one dtype, and float16 images have float32 gammas.
        return ("x", *self.parameters)[index]

    def check_type_forward(self, in_types: Any) -> None:
        """Raise unless the parameters are of one floating dtype and have the shape of the axes not reduced."""
        x, gamma = in_types[:2]
        for label, given in zip(("x", *self.parameters), in_types):
            if given.dtype.kind != "f":
                raise InvalidType(f"{self.name}: {label} is {given.dtype}; wanted floating point; cast it")
        axis = _axes(self.axis, x.ndim, gamma.ndim)
        if axis and not 0 <= axis[0] <= axis[-1] < x.ndim:
            raise InvalidType(f"{self.name}: axis is {axis} but x has the axes 0 to {x.ndim - 1} (shape {x.shape})")
        wanted = tuple(n for i, n in enumerate(x.shape) if i not in axis)
        for label, given in zip(self.parameters, in_types[1:]):
            if given.shape != wanted:
                raise InvalidType(
                    f"{self.name}: {label} has shape {given.shape} but x (shape {x.shape}) has {wanted} outside of the "
                    f"normalised axes {axis}; wanted the same"
                )
            if given.dtype != gamma.dtype:
                raise InvalidType(
                    f"{self.name}: gamma is {gamma.dtype} but {label} is {given.dtype}; wanted one dtype; cast one"
                )


class BatchNormalization(_Normalization):
    """Normalisation with mean and variance of the batch, which it also adds to the running ones in place."""

    name = "batch_normalization"
    parameters = ("gamma", "beta")

    def __init__(
        self, eps: float = 2e-5, mean: Any = None, var: Any = None, decay: float = 0.9, axis: int | Axes | None = None
    ) -> None:
        super().__init__(eps, axis)
        self.running_mean, self.running_var = as_array(mean), as_array(var)
        self.decay = decay

    def forward(self, inputs: tuple) -> tuple:
        """x, gamma, beta -> y; ``mean``, ``var`` and ``inv_std`` of the batch stay on the node."""
        x, gamma, beta = inputs
        self.retain_inputs((0, 1))
        self.axis = _axes(self.axis, x.ndim, gamma.ndim)
        y, self.mean, self.var, self.inv_std = batch_norm.forward(x, gamma, beta, self.eps, self.axis)
        count = prod(x.shape[i] for i in self.axis)
        self._remember(self.running_mean, self.mean, "running_mean")
        self._remember(self.running_var, self.var * (count / max(count - 1, 1)), "running_var")
        return (y,)

    def _remember(self, running: Any, new: Any, label: str) -> None:
        """running <- decay running + (1 - decay) new, in place."""
        if running is None:
            return
        if running.shape != new.shape:
            raise ValueError(f"{self.name}: {label} has shape {running.shape}; wanted that of gamma, {new.shape}")
        running *= self.decay
        running += (1 - self.decay) * new

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """Gradients of x, gamma and beta, by one fused node."""
        x, gamma = self.get_retained_inputs()
        assert self.axis is not None  # forward has set it
        node = BatchNormalizationGrad(self.eps, self.axis, self.mean, self.inv_std)
        gradients = node.apply((x, gamma, grad_outputs[0]))
        return tuple(gradients[i] for i in indexes)


class BatchNormalizationGrad(FunctionNode):
    """(x, gamma, gy) -> (gx, ggamma, gbeta), fused; its own derivative is found by ``grad``."""

    def __init__(self, eps: float, axis: Axes, mean: Any, inv_std: Any) -> None:
        self.eps, self.axis, self.mean, self.inv_std = eps, axis, mean, inv_std

    def forward(self, inputs: tuple) -> tuple:
        """The formulas of :func:`minigan.kernels.batch_norm.backward`."""
        self.retain_inputs((0, 1, 2))
        x, gamma, gy = inputs
        gx, ggamma, gbeta = batch_norm.backward(x, gamma, self.mean, self.inv_std, gy, self.axis)
        return gx, ggamma.astype(gamma.dtype, copy=False), gbeta.astype(gamma.dtype, copy=False)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """Write the gradient in core operations and differentiate it."""
        differentiable = config.enable_backprop
        with force_backprop_mode():
            # One node in front of each input, so that grad stops there: gy itself may depend on x.
            x, gamma, gy = inputs = [v * 1 for v in self.get_retained_inputs()]
            outputs = _gradients(x, gamma, gy, self.eps, self.axis)
        wanted = [(y, g) for y, g in zip(outputs, grad_outputs) if g is not None]
        return tuple(
            grad(
                [y for y, _ in wanted],
                [inputs[i] for i in indexes],
                [g for _, g in wanted],
                enable_double_backprop=differentiable,
            )
        )


def _gradients(x: Variable, gamma: Variable, gy: Variable, eps: float, axis: Axes) -> list[Variable]:
    """gx, ggamma and gbeta of batch normalisation in core operations, as functions of all three arguments."""
    dtype = np.promote_types(x.dtype, np.float32)
    x32, g32 = cast(x, dtype), cast(gy, dtype)
    shape = tuple(1 if i in axis else n for i, n in enumerate(x.shape))
    m = prod(x.shape[i] for i in axis)
    centred = x32 - sum_axes(x32, axis, keepdims=True) / m
    inv_std = (sum_axes(centred * centred, axis, keepdims=True) / m + eps) ** -0.5
    xhat = centred * inv_std
    gbeta = sum_axes(g32, axis, keepdims=True)
    ggamma = sum_axes(g32 * xhat, axis, keepdims=True)
    gx = reshape(cast(gamma, dtype), shape) * inv_std * (g32 - (gbeta + xhat * ggamma) / m)
    return [cast(gx, x.dtype), *(cast(reshape(g, gamma.shape), gamma.dtype) for g in (ggamma, gbeta))]


class FixedBatchNormalization(_Normalization):
    """Normalisation with a given mean and variance: an affine map of x, differentiable in all five arguments."""

    name = "fixed_batch_normalization"
    parameters = ("gamma", "beta", "mean", "var")

    def forward(self, inputs: tuple) -> tuple:
        """x, gamma, beta, mean, var -> y."""
        x, gamma = inputs[:2]
        self.retain_inputs((0, 1, 3, 4))
        self.axis = _axes(self.axis, x.ndim, gamma.ndim)
        return (batch_norm.forward_fixed(*inputs, self.eps, self.axis),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """All five gradients, in core operations."""
        x, *parameters = self.get_retained_inputs()
        axis = self.axis or ()
        dtype = np.promote_types(x.dtype, np.float32)
        shape = tuple(1 if i in axis else n for i, n in enumerate(x.shape))
        gamma, mean, var = (reshape(cast(p, dtype), shape) for p in parameters)
        gy = cast(grad_outputs[0], dtype)
        inv_std = (var + self.eps) ** -0.5
        scale = gamma * inv_std

        def parameter_gradient(g: Variable) -> Variable:
            return cast(reshape(g, parameters[0].shape), parameters[0].dtype)

        gradients: dict[int, Variable] = {}
        if 0 in indexes:
            gradients[0] = cast(gy * scale, x.dtype)
        if 2 in indexes or 3 in indexes:
            gbeta = sum_axes(gy, axis, keepdims=True)
            gradients[2] = parameter_gradient(gbeta)
            gradients[3] = parameter_gradient(-gbeta * scale)
        if 1 in indexes or 4 in indexes:
            ggamma = sum_axes(gy * (cast(x, dtype) - mean), axis, keepdims=True) * inv_std
            gradients[1] = parameter_gradient(ggamma)
            gradients[4] = parameter_gradient(ggamma * gamma * inv_std * inv_std * -0.5)
        return tuple(gradients[i] for i in indexes)


def batch_normalization(
    x: Any,
    gamma: Any,
    beta: Any,
    eps: float = 2e-5,
    running_mean: Any = None,
    running_var: Any = None,
    decay: float = 0.9,
    axis: int | Axes | None = None,
) -> Variable:
    """Normalise each channel over the batch: y = gamma (x - mean) / sqrt(var + eps) + beta.

    mean and the biased variance var are those of x over ``axis`` (Ioffe & Szegedy 2015, algorithm 1), whatever
    ``config.train`` says; use :func:`fixed_batch_normalization` for evaluation.

    Args:
        x: (N, C, ...), floating; float16 is computed in float32.
        gamma, beta: the shape of the axes of x that are not in ``axis``, usually (C,); one dtype, not necessarily x's.
        eps: added to the variance.
        running_mean, running_var: arrays of the shape of gamma, updated in place:
            running <- decay running + (1 - decay) new, with the unbiased variance m / (m - 1) var of m values.
        decay: see there.
        axis: ascending axes to normalise over. By default axis 0 and those behind the axes of gamma: (0, 2, 3) for
            an image and a gamma of shape (C,).

    Raises ``InvalidType`` for shapes and dtypes that do not fit, ``RuntimeError`` for axes that do not ascend.
    """
    return BatchNormalization(eps, running_mean, running_var, decay, axis).apply((x, gamma, beta))[0]


def fixed_batch_normalization(
    x: Any, gamma: Any, beta: Any, mean: Any, var: Any, eps: float = 2e-5, axis: int | Axes | None = None
) -> Variable:
    """Normalise with given statistics: y = gamma (x - mean) / sqrt(var + eps) + beta.

    Shapes, dtypes, ``axis`` and errors as in :func:`batch_normalization`; mean and var have the shape of gamma and get
    gradients too.
    """
    return FixedBatchNormalization(eps, axis).apply((x, gamma, beta, mean, var))[0]


def _axes(axis: Axes | None, ndim: int, parameter_ndim: int) -> Axes:
    """The axes to reduce: those given, else axis 0 and what follows the axes of gamma."""
    return (0, *range(parameter_ndim + 1, ndim)) if axis is None else axis
