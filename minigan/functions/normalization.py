"""Normalisation of activations to mean 0 and variance 1: over the batch, a group of channels, a layer, an instance.

They are one mechanism: batch normalisation over whichever axes. While training its statistics are those of the batch,
afterwards remembered ones. The first derivative is one fused node, for speed. When a derivative of that derivative is
asked for, the node writes the gradient again in core operations and lets ``grad`` differentiate them: right at every
order, and slow only there. A (leaky) ReLU behind it is part of the node. What does not divide by a standard deviation
is in the chapter ``whitening``.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from minigan.backend import get_array_module
from minigan.configuration import config, force_backprop_mode
from minigan.core import FunctionNode, Variable, as_array, as_variable, cast, grad, reshape
from minigan.core import sum as sum_axes
from minigan.functions.activation import leaky_relu, relu
from minigan.kernels import batch_norm, fused_batch_norm
from minigan.utils.type_check import InvalidType

__all__ = [
    "batch_normalization", "batch_renormalization", "fixed_batch_normalization", "fixed_batch_renormalization",
    "group_normalization", "instance_normalization", "layer_normalization",
]  # fmt: skip

Axes = tuple[int, ...]
_ACTIVATIONS = {"relu": lambda x, slope: relu(x), "leaky_relu": leaky_relu}


class _Normalization(FunctionNode):
    """What the two functions share: which axes are reduced, and the check of the inputs."""

    parameters: tuple[str, ...] = ()

    def __init__(
        self, eps: float = 2e-5, axis: int | Axes | None = None, activation: str | None = None, slope: float = 0.2
    ) -> None:
        if activation is not None and activation not in _ACTIVATIONS:
            raise ValueError(f"{self.name}: activation is {activation!r}; wanted None, 'relu' or 'leaky_relu'")
        self.activation, self.slope = activation, 0.0 if activation == "relu" else float(slope)
        self.plan: Any = None  # how it is done by kernels, the activation included
        self.rectified = False  # whether the activation is included on the CPU
        if isinstance(axis, int | np.integer):
            axis = (axis,)
        if not isinstance(axis, tuple | list | None):
            raise RuntimeError(f"{self.name}: axis is {axis!r}; wanted an int, a tuple of ints or None")
        if axis is not None and any(a >= b for a, b in zip(axis, axis[1:])):
            raise RuntimeError(f"{self.name}: axis is {tuple(axis)}; wanted numbers in ascending order")
        self.eps = eps
        self.axis = None if axis is None else tuple(axis)

    def _argument(self, index: int) -> str:
        # Not the class attribute ``arguments``: that would demand one dtype, and float16 images have float32 gammas.
        return ("x", *self.parameters)[index]

    def _set_axes(self, ndim: int, parameter_ndim: int) -> Axes:
        """Say which axes of x are reduced."""
        self.axis, self._ndim = _axes(self.axis, ndim, parameter_ndim), ndim
        return self.axis

    def and_activation(self, inputs: Sequence[Any]) -> Variable:
        """Apply the node, and the activation unless the kernels have done it."""
        (y,) = self.apply(inputs)
        if self.activation is None or self.plan or self.rectified:
            return y
        return _ACTIVATIONS[self.activation](y, self.slope)

    @property
    def key_axis(self) -> Axes:
        """The axes that are not reduced, those of the parameters."""
        return tuple(i for i in range(self._ndim) if i not in (self.axis or ()))

    @property
    def expander(self) -> tuple[slice | None, ...]:
        """The index that makes a parameter broadcast against x."""
        return tuple(slice(None) if i in self.key_axis else None for i in range(self._ndim))

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
        self, eps: float = 2e-5, mean: Any = None, var: Any = None, decay: float = 0.9, axis: int | Axes | None = None,
        activation: str | None = None, slope: float = 0.2,
    ) -> None:  # fmt: skip
        super().__init__(eps, axis, activation, slope)
        self.running_mean, self.running_var = as_array(mean), as_array(var)
        self.decay = decay

    def forward(self, inputs: tuple) -> tuple:
        """x, gamma, beta -> y; ``mean``, ``var`` and ``inv_std`` of the batch stay on the node."""
        x, gamma, beta = inputs
        self.retain_inputs((0, 1))
        axis = self._set_axes(x.ndim, gamma.ndim)
        self.count = prod(x.shape[i] for i in axis)
        running = self.running_mean, self.running_var
        self.plan = fused_batch_norm.plan(x, gamma, beta, axis, self.activation, self.slope)
        if self.plan:
            self.beta = beta
            fits = all(r is not None and (r.shape, r.dtype) == (gamma.shape, gamma.dtype) for r in running)
            y, self.mean, self.var, self.inv_std = fused_batch_norm.forward(
                self.plan, x, gamma, beta, self.eps, running if fits else None, self.decay
            )
            if fits:
                return (y,)
        else:
            self.rectified = self.activation is not None and 0 <= self.slope <= 1 and batch_norm.in_blocks(x, axis)
            behind = self.slope if self.rectified else None
            if self.rectified:
                self.retain_outputs((0,))  # its sign tells the side
            y, self.mean, self.var, self.inv_std = batch_norm.forward(x, gamma, beta, self.eps, axis, behind)
        self.remember(*running)
        return (y,)

    def remember(self, running_mean: Any, running_var: Any) -> None:
        """running <- decay running + (1 - decay) new, in place; the variance is the unbiased one."""
        if running_mean is None and running_var is None:
            return
        unbiased = self.var * (self.count / max(self.count - 1, 1))
        for label, running, new in (("mean", running_mean, self.mean), ("var", running_var, unbiased)):
            if running is None:
                continue
            if running.shape != new.shape:
                raise ValueError(
                    f"{self.name}: running_{label} has shape {running.shape}; wanted that of gamma, {new.shape}"
                )
            running *= self.decay
            running += (1 - self.decay) * new

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """Gradients of x, gamma and beta, by one fused node."""
        x, gamma = self.get_retained_inputs()
        assert self.axis is not None  # forward has set it
        beta = self.beta if self.plan else None
        rectified = (self.get_retained_outputs()[0].array, self.slope) if self.rectified else None
        node = BatchNormalizationGrad(self.eps, self.axis, self.mean, self.inv_std, self.plan, beta, rectified)
        gradients = node.apply((x, gamma, grad_outputs[0]))
        return tuple(gradients[i] for i in indexes)


class BatchNormalizationGrad(FunctionNode):
    """(x, gamma, gy) -> (gx, ggamma, gbeta), fused; its own derivative is found by ``grad``."""

    def __init__(
        self, eps: float, axis: Axes, mean: Any, inv_std: Any, plan: Any = None, beta: Any = None,
        rectified: tuple[Any, float] | None = None,
    ) -> None:  # fmt: skip
        self.eps, self.axis, self.mean, self.inv_std = eps, axis, mean, inv_std
        self.plan, self.beta = plan, beta
        self.rectified = rectified  # the output behind a rectifier on the CPU, and the slope

    def forward(self, inputs: tuple) -> tuple:
        """The formulas of :func:`minigan.kernels.batch_norm.backward`."""
        self.retain_inputs((0, 1, 2))
        x, gamma, gy = inputs
        if self.plan and gy.dtype == x.dtype:
            return fused_batch_norm.backward(self.plan, x, gamma, self.beta, self.mean, self.inv_std, gy)
        if not self.rectified and (slopes := self._slopes(x, gamma)) is not None:
            gy = gy * slopes
        behind = self.rectified or ()
        gx, ggamma, gbeta = batch_norm.backward(x, gamma, self.mean, self.inv_std, gy, self.axis, *behind)
        return gx, ggamma.astype(gamma.dtype, copy=False), gbeta.astype(gamma.dtype, copy=False)

    def _slopes(self, x: Any, gamma: Any) -> Any:
        """The derivative of the activation, which kernels find for themselves; None where the node has none."""
        if self.rectified:
            y, slope = self.rectified
            return np.where(y > 0, x.dtype.type(1), x.dtype.type(slope))
        if self.plan is None or self.plan.activation is None:
            return None
        return _slopes(self.plan, x, gamma, self.beta, self.mean, self.inv_std, self.axis)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """Write the gradient in core operations and differentiate it."""
        differentiable = config.enable_backprop
        with force_backprop_mode():
            # One node in front of each input, so that grad stops there: gy itself may depend on x.
            x, gamma, gy = inputs = [v * 1 for v in self.get_retained_inputs()]
            slopes = self._slopes(x.array, gamma.array)
            outputs = _gradients(x, gamma, gy if slopes is None else gy * slopes, self.eps, self.axis)
        wanted = [(y, g) for y, g in zip(outputs, grad_outputs) if g is not None]
        return tuple(
            grad(
                [y for y, _ in wanted],
                [inputs[i] for i in indexes],
                [g for _, g in wanted],
                enable_double_backprop=differentiable,
            )
        )


def _slopes(plan: Any, x: Any, gamma: Any, beta: Any, mean: Any, inv_std: Any, axis: Axes) -> Any:
    """Where the normalised value is positive 1, elsewhere the slope of the activation, in the dtype of x."""
    shape = tuple(1 if i in axis else n for i, n in enumerate(x.shape))
    scale, shift = gamma * inv_std, beta - mean * gamma * inv_std
    side = x * scale.reshape(shape) + shift.reshape(shape) > 0
    return get_array_module(x).where(side, x.dtype.type(1), x.dtype.type(plan.slope))


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
        axis = self._set_axes(x.ndim, gamma.ndim)
        self.beta = inputs[2]
        self.inv_var = 1 / (inputs[4] + inputs[4].dtype.type(self.eps))
        self.inv_std = self.inv_var**0.5
        self.plan = fused_batch_norm.plan(x, gamma, self.beta, axis, self.activation, self.slope)
        if self.plan:
            return (fused_batch_norm.forward_fixed(self.plan, *inputs, self.eps),)
        return (batch_norm.forward_fixed(*inputs, self.eps, axis),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """All five gradients, in core operations."""
        x, *parameters = self.get_retained_inputs()
        axis = self.axis or ()
        dtype = np.promote_types(x.dtype, np.float32)
        shape = tuple(1 if i in axis else n for i, n in enumerate(x.shape))
        gamma, mean, var = (reshape(cast(p, dtype), shape) for p in parameters)
        gy = cast(grad_outputs[0], dtype)
        inv_std = (var + self.eps) ** -0.5
        if self.plan and self.activation:
            of_x = x.array, parameters[0].array, self.beta, parameters[1].array, self.inv_std
            gy = gy * _slopes(self.plan, *of_x, axis)
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
    *,
    eps: float = 2e-5,
    running_mean: Any = None,
    running_var: Any = None,
    decay: float = 0.9,
    axis: int | Axes | None = None,
    train: None = None,
    activation: str | None = None,
    slope: float = 0.2,
) -> Variable:
    """Normalise each channel over the batch: y = gamma (x - mean) / sqrt(var + eps) + beta.

    mean and the biased variance var are those of x over ``axis`` (Ioffe & Szegedy 2015, algorithm 1), whatever
    ``config.train`` says; use :func:`fixed_batch_normalization` for evaluation. Warns if that is a single value.

    Args:
        x: (N, C, ...), floating; float16 is computed in float32.
        gamma, beta: the shape of the axes of x that are not in ``axis``, usually (C,); one dtype, not necessarily x's.
        eps: added to the variance.
        running_mean, running_var: arrays of the shape of gamma, updated in place:
            running <- decay running + (1 - decay) new, with the unbiased variance m / (m - 1) var of m values.
        decay: see there.
        axis: ascending axes to normalise over. By default axis 0 and those behind the axes of gamma: (0, 2, 3) for
            an image and a gamma of shape (C,).
        activation: None, "relu" or "leaky_relu", applied to y, in the same passes over memory. Not in Chainer.
        slope: of leaky_relu below 0.

    Raises ``InvalidType`` for shapes and dtypes that do not fit, ``RuntimeError`` for axes that do not ascend.
    """
    if train is not None:
        raise ValueError("batch_normalization: train= is Chainer 1's; use chainer.using_config and the link")
    node = BatchNormalization(eps, running_mean, running_var, decay, axis, activation, slope)
    y = node.and_activation((x, gamma, beta))
    if y.size and node.count == 1:
        warnings.warn(
            "batch_normalization: each mean is of a single value, so the output is beta whatever x is (the last batch "
            "of an epoch, or evaluation without chainer.using_config('train', False)?)",
            stacklevel=2,
        )
    return y


def fixed_batch_normalization(
    x: Any, gamma: Any, beta: Any, mean: Any, var: Any, eps: float = 2e-5, axis: int | Axes | None = None, *,
    activation: str | None = None, slope: float = 0.2,
) -> Variable:  # fmt: skip
    """Normalise with given statistics: y = gamma (x - mean) / sqrt(var + eps) + beta.

    Shapes, dtypes, ``axis``, ``activation`` and errors as in :func:`batch_normalization`; mean and var have the shape
    of gamma and get gradients too.
    """
    return FixedBatchNormalization(eps, axis, activation, slope).and_activation((x, gamma, beta, mean, var))


def batch_renormalization(
    x: Any,
    gamma: Any,
    beta: Any,
    rmax: float,
    dmax: float,
    eps: float = 2e-5,
    running_mean: Any = None,
    running_var: Any = None,
    decay: float = 0.9,
    update_statistics: bool = False,
) -> Variable:
    """Batch normalisation drawn towards the running statistics: y = gamma (r (x - mean) / std + d) + beta.

    std = sqrt(var + eps), and with the running mean and s = sqrt(running_var + eps): r = std / s in [1 / rmax, rmax],
    d = (mean - running_mean) / s in [-dmax, dmax], both constants for the gradient (Ioffe 2017, algorithm 1). The
    running statistics are required (``TypeError``); ``update_statistics`` moves them, afterwards, as
    :func:`batch_normalization` does. Shapes, dtypes and other errors as there.
    """
    running_mean, running_var = as_array(running_mean), as_array(running_var)
    for label, running in (("running_mean", running_mean), ("running_var", running_var)):
        if running is None:
            raise TypeError(f"batch_renormalization: {label} is required")
    x, gamma, beta = as_variable(x), as_variable(gamma), as_variable(beta)
    node = BatchNormalization(eps, decay=decay)
    ones = gamma.xp.ones_like(gamma.array)
    (xhat,) = node.apply((_wide(x, gamma), ones, gamma.xp.zeros_like(ones)))
    std = (running_var + eps) ** 0.5
    r = (1 / (node.inv_std * std)).clip(1 / rmax, rmax)
    d = ((node.mean - running_mean) / std).clip(-dmax, dmax)
    if update_statistics:
        node.remember(running_mean, running_var)
    shape = tuple(n if i in node.key_axis else 1 for i, n in enumerate(x.shape))
    gamma, beta = (cast(p, xhat.dtype) for p in (gamma, beta))
    return _scale_shift(xhat, gamma * r, gamma * d + beta, shape, x.dtype)


def fixed_batch_renormalization(
    x: Any, gamma: Any, beta: Any, mean: Any, var: Any, eps: float = 2e-5
) -> Variable:
    """:func:`fixed_batch_normalization`, which it is; warns that the name is deprecated."""
    warnings.warn("fixed_batch_renormalization is deprecated; use fixed_batch_normalization", DeprecationWarning)
    return fixed_batch_normalization(x, gamma, beta, mean, var, eps)


def group_normalization(x: Any, groups: int, gamma: Any, beta: Any, eps: float = 1e-5) -> Variable:
    """Normalise each sample over groups of channels: y = gamma (x - mean) / sqrt(var + eps) + beta.

    mean and var are over C / groups channels and all positions of one sample (Wu & He 2018).

    Args:
        x: (N, C, ...), floating.
        groups: a divisor of C: 1 is layer normalisation, C is instance normalisation.
        gamma, beta: (C,), of one floating dtype, not necessarily x's.
        eps: added to the variance.

    Raises ``TypeError`` unless groups is an int, ``ValueError`` unless it divides C, ``InvalidType`` for the rest.
    """
    if not isinstance(groups, int):
        raise TypeError(f"group_normalization: groups is {groups!r}; wanted an int")
    x, gamma, beta = as_variable(x), as_variable(gamma), as_variable(beta)
    _check_affine("group_normalization", x, gamma, beta, least_axes=2)
    n, channels, *positions = x.shape
    if groups < 1 or channels % groups:
        raise ValueError(f"group_normalization: x has {channels} channels, which groups={groups} does not divide")
    z = reshape(_wide(x, gamma), (n, groups, channels // groups, *positions))
    xhat = reshape(_standardize(z, tuple(range(2, z.ndim)), eps), x.shape)
    return _scale_shift(xhat, gamma, beta, (channels, *(1 for _ in positions)), x.dtype)


def layer_normalization(x: Any, gamma: Any, beta: Any, eps: float = 1e-5) -> Variable:
    """Normalise each row: y = gamma (x - mean) / sqrt(var + eps) + beta (Ba, Kiros & Hinton 2016).

    x is (N, C), gamma and beta are (C,), all of one floating dtype; else ``InvalidType``.
    """
    x, gamma, beta = as_variable(x), as_variable(gamma), as_variable(beta)
    if x.ndim != 2:
        raise InvalidType(f"layer_normalization: x has shape {x.shape}; wanted (N, C); reshape it")
    _check_affine("layer_normalization", x, gamma, beta, least_axes=2)
    if gamma.dtype != x.dtype:
        raise InvalidType(f"layer_normalization: x is {x.dtype} but gamma is {gamma.dtype}; wanted one dtype; cast one")
    return _scale_shift(_standardize(_wide(x, gamma), (1,), eps), gamma, beta, gamma.shape, x.dtype)


def instance_normalization(x: Any, gamma: Any = None, beta: Any = None, eps: float = 1e-5) -> Variable:
    """Normalise each channel of each sample over its positions: y = gamma (x - mean) / sqrt(var + eps) + beta.

    x is (N, C, ...) with one position or more; gamma (1 if None) and beta (0 if None) are (C,). It is
    :func:`group_normalization` with one channel per group (Ulyanov, Vedaldi & Lempitsky 2016). Not in Chainer.
    """
    x = as_variable(x)
    if x.ndim < 3:
        raise InvalidType(f"instance_normalization: x has shape {x.shape}; wanted (N, C, ...), with axes to average")
    ones = x.xp.ones(x.shape[1], np.promote_types(x.dtype, np.float32) if x.dtype.kind == "f" else np.float32)
    gamma = ones if gamma is None else gamma
    return group_normalization(x, x.shape[1], gamma, as_array(gamma) * 0 if beta is None else beta, eps)


def _axes(axis: Axes | None, ndim: int, parameter_ndim: int) -> Axes:
    """The axes to reduce: those given, else axis 0 and what follows the axes of gamma."""
    return (0, *range(parameter_ndim + 1, ndim)) if axis is None else axis


def _standardize(x: Variable, axis: Axes, eps: float) -> Variable:
    """(x - mean) / sqrt(var + eps) over ``axis``: batch normalisation in which the other axes are the channels."""
    ones = x.xp.ones([n for i, n in enumerate(x.shape) if i not in axis], x.dtype)
    return BatchNormalization(eps, axis=axis).apply((x, ones, x.xp.zeros_like(ones)))[0]


def _wide(x: Variable, gamma: Variable) -> Variable:
    """x in the dtype to compute in: at least float32, and gamma's if that has more digits."""
    return cast(x, np.result_type(x.dtype, gamma.dtype, np.float32))


def _scale_shift(xhat: Variable, gamma: Variable, beta: Variable, shape: tuple[int, ...], dtype: Any) -> Variable:
    """xhat gamma + beta with both reshaped to ``shape``, rounded to ``dtype`` at the end."""
    gamma, beta = (cast(reshape(p, shape), xhat.dtype) for p in (gamma, beta))
    return cast(xhat * gamma + beta, dtype)


def _check_affine(name: str, x: Variable, gamma: Variable, beta: Variable, least_axes: int) -> None:
    """Raise unless x is floating and gamma and beta are (C,) of one floating dtype."""
    if x.ndim < least_axes:
        raise ValueError(f"{name}: x has shape {x.shape}; wanted (N, C, ...)")
    for label, given in (("x", x), ("gamma", gamma), ("beta", beta)):
        if given.dtype.kind != "f":
            raise InvalidType(f"{name}: {label} is {given.dtype}; wanted floating point; cast it")
    if gamma.dtype != beta.dtype:
        raise InvalidType(f"{name}: gamma is {gamma.dtype} but beta is {beta.dtype}; wanted one dtype; cast one")
    for label, given in (("gamma", gamma), ("beta", beta)):
        if given.shape != x.shape[1:2]:
            raise InvalidType(f"{name}: {label} has shape {given.shape} but x (shape {x.shape}) wants {x.shape[1:2]}")
