"""Normalisation by other measures than a standard deviation: whole covariances, lengths, and the neighbouring channels.

Decorrelated batch normalisation takes the inverse square root of a matrix. Its derivative is the solution of a Lyapunov
equation, whose derivative is again the solution of one: the two nodes are right at every order, also where eigenvalues
coincide and the derivative of the eigenvectors does not exist.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigan.backend import get_array_module
from minigan.configuration import config
from minigan.core import FunctionNode, Variable, as_array, as_variable, cast, matmul, reshape, transpose
from minigan.core import sum as sum_axes
from minigan.functions.reduction import normalize_axis
from minigan.utils.type_check import InvalidType

__all__ = [
    "decorrelated_batch_normalization", "fixed_decorrelated_batch_normalization", "local_response_normalization",
    "normalize",
]  # fmt: skip


class InverseRoot(FunctionNode):
    """P = A^(-1/2) of symmetric positive definite matrices (..., C, C).

    With R = A^(1/2), whose inverse P is: dA = R dR + dR R and dP = -P dR P, so that the gradient is -X where
    R X + X R = P gP P, a Lyapunov equation. It keeps its digits where eigenvalues of A are all but 0.
    """

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        self.retain_inputs((0,))
        self.retain_outputs((0,))
        values, vectors = get_array_module(inputs[0]).linalg.eigh(inputs[0])
        return ((vectors * values[..., None, :] ** -0.5) @ vectors.swapaxes(-1, -2),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:  # noqa: D102
        (A,), (P,) = self.get_retained_inputs(), self.get_retained_outputs()
        (solution,) = Lyapunov().apply((matmul(A, P), matmul(matmul(P, grad_outputs[0]), P)))
        return (-solution,)


class Lyapunov(FunctionNode):
    """The X of P X + X P = M, for symmetric positive definite matrices P (..., C, C). It is its own transpose in M."""

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        P, M = inputs
        self.retain_inputs((0,))
        self.retain_outputs((0,))
        values, vectors = get_array_module(P).linalg.eigh(P)
        back = vectors.swapaxes(-1, -2)
        return (vectors @ (back @ M @ vectors / (values[..., None, :] + values[..., None])) @ back,)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:  # noqa: D102
        (P,), (X,) = self.get_retained_inputs(), self.get_retained_outputs()
        (gM,) = Lyapunov().apply((P, grad_outputs[0]))
        back = transpose(X, (*range(X.ndim - 2), X.ndim - 1, X.ndim - 2))
        return tuple(gM if i else -(matmul(back, gM) + matmul(gM, back)) for i in indexes)


def decorrelated_batch_normalization(
    x: Any, *, groups: int = 16, eps: float = 2e-5, running_mean: Any = None, running_projection: Any = None,
    decay: float = 0.9,
) -> Variable:  # fmt: skip
    """Whiten each group of channels over the batch: y = P (x - mean), P = (cov + eps 1)^(-1/2) (Huang et al. 2018).

    Args:
        x: (N, C, ...), floating; float16 is computed in float32.
        groups: G, a divisor of C: cov is (C / G, C / G), over the batch and all positions.
        eps: added to the variances.
        running_mean, running_projection: arrays (G, C / G) and (G, C / G, C / G), updated in place:
            running <- decay running + (1 - decay) new, where Chainer takes m / (m - 1) P of m values, and so do we.
        decay: see there.

    Raises ``InvalidType`` for other shapes and dtypes.
    """
    x, z = _grouped("decorrelated_batch_normalization", x, groups)
    _, channels, m = z.shape
    mean = sum_axes(z, (2,), keepdims=True) / m
    centred = z - mean
    covariance = matmul(centred, transpose(centred, (0, 2, 1))) / m
    (projection,) = InverseRoot().apply((covariance + eps * z.xp.eye(channels, dtype=z.dtype),))
    unbiased = projection.array * (m / max(m - 1, 1))
    for running, new in ((running_mean, mean.array[..., 0]), (running_projection, unbiased)):
        if running is not None:
            running = as_array(running)
            running *= decay
            running += (1 - decay) * new
    return _ungrouped(matmul(projection, centred), x)


def fixed_decorrelated_batch_normalization(x: Any, mean: Any, projection: Any, groups: int = 16) -> Variable:
    """Whiten with given statistics: y = P (x - mean).

    x is (N, C, ...), mean (G, C / G), projection (G, C / G, C / G), all of one floating dtype; else ``InvalidType``.
    All three get gradients.
    """
    x, z = _grouped("fixed_decorrelated_batch_normalization", x, groups)
    mean, projection = as_variable(mean), as_variable(projection)
    shape = z.shape[:2]
    for label, given, wanted in (("mean", mean, shape), ("projection", projection, (*shape, shape[1]))):
        if given.shape != wanted or (given.dtype != x.dtype and config.type_check):
            raise InvalidType(
                f"fixed_decorrelated_batch_normalization: {label} is {given.shape}, {given.dtype}; x ({x.shape}, "
                f"{x.dtype}) and groups={groups} want {wanted}, {x.dtype}"
            )
    mean, projection = cast(mean, z.dtype), cast(projection, z.dtype)
    return _ungrouped(matmul(projection, z - reshape(mean, (*shape, 1))), x)


def _grouped(name: str, x: Any, groups: int) -> tuple[Variable, Variable]:
    """x as a Variable, and as (G, C / G, M) in at least float32, M being all else."""
    x = _floating(name, x)
    if x.ndim < 2 or groups < 1 or x.shape[1] % groups:
        raise InvalidType(f"{name}: x has shape {x.shape}; wanted (N, C, ...) with C a multiple of groups={groups}")
    z = transpose(_wide(x), (1, 0, *range(2, x.ndim)))
    return x, reshape(z, (groups, x.shape[1] // groups, x.size // max(1, x.shape[1])))


def _ungrouped(z: Variable, x: Variable) -> Variable:
    y = reshape(z, (x.shape[1], x.shape[0], *x.shape[2:]))
    return cast(transpose(y, (1, 0, *range(2, x.ndim))), x.dtype)


def normalize(x: Any, eps: float = 1e-5, axis: Any = 1) -> Variable:
    """Divide by the length over ``axis`` (an int or a tuple): y = x / (|x| + eps), |x| = sqrt(sum x^2).

    x is floating; float16 is computed in float32. Where |x| is 0 its gradient counts as 0.
    """
    x = _floating("normalize", x)
    z = _wide(x)
    squares = sum_axes(z * z, normalize_axis("normalize", axis, x.ndim), keepdims=True)
    zero = (squares.array == 0).astype(z.dtype)
    return cast(z / ((squares + zero) ** 0.5 * (1 - zero) + eps), x.dtype)


class ChannelSum(FunctionNode):
    """y[:, c] = sum of x[:, c'] over |c - c'| <= reach; its own transpose."""

    def __init__(self, reach: int) -> None:
        self.reach = reach

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        (x,) = inputs
        y = x.copy()
        for i in range(1, min(self.reach, x.shape[1] - 1) + 1):
            y[:, i:] += x[:, :-i]
            y[:, :-i] += x[:, i:]
        return (y,)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:  # noqa: D102
        return ChannelSum(self.reach).apply((grad_outputs[0],))


def local_response_normalization(
    x: Any, n: int = 5, k: float = 2, alpha: float = 1e-4, beta: float = 0.75
) -> Variable:
    """Divide by the neighbouring channels: y[:, c] = x[:, c] / (k + alpha sum x[:, c']^2)^beta, |c - c'| <= n / 2.

    x is (N, C, ...), floating; float16 is computed in float32 (Krizhevsky, Sutskever & Hinton 2012, section 3.3).
    Raises ``InvalidType`` for less than 2 axes.
    """
    x = _floating("local_response_normalization", x)
    if x.ndim < 2:
        raise InvalidType(f"local_response_normalization: x has shape {x.shape}; wanted (N, C, ...)")
    z = _wide(x)
    (total,) = ChannelSum(n // 2).apply((z * z,))
    return cast(z * (total * alpha + k) ** -beta, x.dtype)


def _floating(name: str, x: Any) -> Variable:
    x = as_variable(x)
    if x.dtype.kind != "f":
        raise InvalidType(f"{name}: x is {x.dtype}; wanted floating point; cast it with x.astype('float32')")
    return x


def _wide(x: Variable) -> Variable:
    """x in at least float32."""
    return cast(x, np.promote_types(x.dtype, np.float32))
