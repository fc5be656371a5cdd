"""Activations: elementwise curves, and softmax, which works along one axis.

Each node keeps what its derivative is cheapest from, which is mostly its own output: then the input can be freed. The
gradients of a deep net spend their time in these few lines, so every first derivative is a node with a fused forward
pass, written in place on a fresh array; its own ``backward`` is plain arithmetic of Variables, right to any order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigan.backend import get_array_module
from minigan.core import FunctionNode, Variable, as_variable, broadcast_to, exp, sum
from minigan.utils.type_check import InvalidType

__all__ = ["elu", "leaky_relu", "log_softmax", "relu", "sigmoid", "softmax", "softplus", "tanh"]


class LeakyReLU(FunctionNode):
    """max(x, 0) + slope * min(x, 0)."""

    name = "leaky_relu"
    arguments = ("x",)

    def __init__(self, slope: float = 0.2) -> None:
        self.slope = float(slope)

    def forward(self, inputs: tuple) -> tuple:
        (x,) = inputs
        xp = get_array_module(x)
        if self.slope < 0:
            self.retain_inputs((0,))  # y would not tell the side any more
        else:
            self.retain_outputs((0,))
        if self.slope == 0:
            return (xp.maximum(x, 0),)
        y = xp.multiply(x, x.dtype.type(self.slope))  # NumPy 1 would widen arrays without axes
        # the line of slope 1 is above the other one where x > 0, unless that is the steeper one
        return ((xp.maximum if self.slope <= 1 else xp.minimum)(x, y, out=_as_out(y)),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        (side,) = self.get_retained_inputs() if self.slope < 0 else self.get_retained_outputs()
        return LeakyReLUGrad(side.array, self.slope).apply(grad_outputs)


class LeakyReLUGrad(FunctionNode):
    """gy where ``side`` > 0, else slope * gy: linear in gy, so that it is its own derivative."""

    name = "gradient of leaky_relu"
    arguments = ("gy",)

    def __init__(self, side: Any, slope: float) -> None:
        self.side = side
        self.slope = slope

    def forward(self, inputs: tuple) -> tuple:
        (gy,) = inputs
        xp = get_array_module(gy)
        right = self.side > 0
        if self.slope == 0:
            return (gy * right,)
        if not 0 < self.slope < 1:
            return (xp.where(right, gy, gy * gy.dtype.type(self.slope)),)
        factor = right.astype(gy.dtype)  # far quicker than where
        factor = xp.maximum(factor, gy.dtype.type(self.slope), out=_as_out(factor))
        return (xp.multiply(factor, gy, out=_as_out(factor)),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        return LeakyReLUGrad(self.side, self.slope).apply(grad_outputs)


class ReLU(LeakyReLU):
    """max(x, 0)."""

    name = "relu"

    def __init__(self) -> None:
        super().__init__(0.0)


class Sigmoid(FunctionNode):
    """1 / (1 + exp(-x))."""

    name = "sigmoid"
    arguments = ("x",)

    def forward(self, inputs: tuple) -> tuple:
        self.retain_outputs((0,))
        return (_sigmoid(inputs[0]),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        return SigmoidGrad().apply((*self.get_retained_outputs(), grad_outputs[0]))


class SigmoidGrad(FunctionNode):
    """gy * y * (1 - y)."""

    name = "gradient of sigmoid"
    arguments = ("y", "gy")

    def forward(self, inputs: tuple) -> tuple:
        self.retain_inputs((0, 1))
        y, gy = inputs
        gx = 1 - y
        gx *= y
        gx *= gy
        return (gx,)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        y, gy = self.get_retained_inputs()
        (ggx,) = grad_outputs
        return tuple(SigmoidGrad().apply((y, ggx))[0] if i else ggx * gy * (1 - 2 * y) for i in indexes)


class Tanh(FunctionNode):
    """(exp(x) - exp(-x)) / (exp(x) + exp(-x))."""

    name = "tanh"
    arguments = ("x",)

    def forward(self, inputs: tuple) -> tuple:
        self.retain_outputs((0,))
        return (get_array_module(inputs[0]).tanh(inputs[0]),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        return TanhGrad().apply((*self.get_retained_outputs(), grad_outputs[0]))


class TanhGrad(FunctionNode):
    """gy * (1 - y**2)."""

    name = "gradient of tanh"
    arguments = ("y", "gy")

    def forward(self, inputs: tuple) -> tuple:
        self.retain_inputs((0, 1))
        y, gy = inputs
        gx = y * y
        gx = get_array_module(y).subtract(1, gx, out=_as_out(gx))
        gx *= gy
        return (gx,)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        y, gy = self.get_retained_inputs()
        (ggx,) = grad_outputs
        return tuple(TanhGrad().apply((y, ggx))[0] if i else ggx * gy * y * -2 for i in indexes)


class Softplus(FunctionNode):
    """log(1 + exp(beta * x)) / beta."""

    name = "softplus"
    arguments = ("x",)

    def __init__(self, beta: float = 1.0) -> None:
        self.beta = float(beta)
        if self.beta == 0:
            raise ValueError("softplus: beta is 0, but the function divides by it; give a positive number")

    def forward(self, inputs: tuple) -> tuple:
        self.retain_inputs((0,))
        return (_softplus(inputs[0], self.beta),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        (x,) = self.get_retained_inputs()
        return (grad_outputs[0] * sigmoid(x if self.beta == 1 else x * self.beta),)


class ELU(FunctionNode):
    """x where x > 0, else alpha * (exp(x) - 1)."""

    name = "elu"
    arguments = ("x",)

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = float(alpha)

    def forward(self, inputs: tuple) -> tuple:
        self.retain_inputs((0,))
        (x,) = inputs
        xp = get_array_module(x)
        y = _as_out(xp.minimum(x, x.dtype.type(0)))
        xp.expm1(y, out=y)
        y *= self.alpha
        y += xp.maximum(x, x.dtype.type(0))
        return (y,)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        return ELUGrad(self.alpha).apply((*self.get_retained_inputs(), grad_outputs[0]))


class ELUGrad(FunctionNode):
    """gy where x > 0, else alpha * exp(x) * gy."""

    name = "gradient of elu"
    arguments = ("x", "gy")

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha

    def forward(self, inputs: tuple) -> tuple:
        self.retain_inputs((0, 1))
        x, gy = inputs
        xp = get_array_module(x)
        factor = _as_out(xp.minimum(x, x.dtype.type(0)))
        xp.exp(factor, out=factor)
        factor *= self.alpha
        factor *= gy
        return (xp.where(x > 0, gy, factor),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        x, gy = self.get_retained_inputs()
        (ggx,) = grad_outputs
        left = (x.array <= 0).astype(x.dtype)
        return tuple(
            ELUGrad(self.alpha).apply((x, ggx))[0] if i else ggx * gy * (left * self.alpha) * exp(x * left)
            for i in indexes
        )


class _AlongAxis(FunctionNode):
    arguments = ("x",)

    def __init__(self, axis: int = 1) -> None:
        self.axis = axis

    def check_axis(self, x: Any) -> None:
        if not -x.ndim <= self.axis < x.ndim:
            raise InvalidType(f"{self.name}: axis {self.axis} does not exist in shape {x.shape}; give another axis")


class Softmax(_AlongAxis):
    """exp(x) divided by its sum along the axis."""

    name = "softmax"

    def forward(self, inputs: tuple) -> tuple:
        (x,) = inputs
        self.check_axis(x)
        self.retain_outputs((0,))
        y = _below_largest(x, self.axis)
        get_array_module(x).exp(y, out=y)
        y /= y.sum(axis=self.axis, keepdims=True)
        return (y,)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        (y,) = self.get_retained_outputs()
        gx = y * grad_outputs[0]
        return (gx - y * broadcast_to(sum(gx, self.axis, keepdims=True), y.shape),)


class LogSoftmax(_AlongAxis):
    """x - log(sum(exp(x))), the sum along the axis."""

    name = "log_softmax"

    def forward(self, inputs: tuple) -> tuple:
        (x,) = inputs
        self.check_axis(x)
        self.retain_outputs((0,))
        xp = get_array_module(x)
        y = _below_largest(x, self.axis)
        y -= xp.log(xp.exp(y).sum(axis=self.axis, keepdims=True))
        return (y,)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        (y,) = self.get_retained_outputs()
        (gy,) = grad_outputs
        return (gy - exp(y) * broadcast_to(sum(gy, self.axis, keepdims=True), y.shape),)


def _as_out(array: Any) -> Any:
    """The array itself; NumPy's result for arrays without axes is a scalar, which cannot be written to."""
    return np.asarray(array) if isinstance(array, np.generic) else array


def _sigmoid(x: Any) -> Any:
    # tanh has no large intermediate values, unlike exp
    y = _as_out(x * x.dtype.type(0.5))
    get_array_module(x).tanh(y, out=y)
    y *= 0.5
    y += 0.5
    return y


def _softplus(x: Any, beta: float) -> Any:
    # exp only of what is not positive: log(1 + exp(z)) = max(z, 0) + log(1 + exp(-|z|))
    xp = get_array_module(x)
    y = _as_out(xp.abs(x))
    y *= -abs(beta)
    xp.exp(y, out=y)
    xp.log1p(y, out=y)
    if beta != 1:
        y /= beta
    y += (xp.maximum if beta > 0 else xp.minimum)(x, 0)
    return y


def _below_largest(x: Any, axis: int) -> Any:
    return x - x.max(axis=axis, keepdims=True) if x.size else x.copy()


def relu(x: Any) -> Variable:
    """max(x, 0). The gradient at 0 is 0. Raises ``InvalidType`` for integers, as do all activations."""
    return ReLU().apply((x,))[0]


def leaky_relu(x: Any, slope: float = 0.2) -> Variable:
    """x where x > 0, else slope * x. The gradient at 0 is ``slope``."""
    return LeakyReLU(slope).apply((x,))[0]


def sigmoid(x: Any) -> Variable:
    """1 / (1 + exp(-x)), without overflow."""
    return Sigmoid().apply((x,))[0]


def tanh(x: Any) -> Variable:
    """Hyperbolic tangent."""
    return Tanh().apply((x,))[0]


def softplus(x: Any, beta: float = 1.0) -> Variable:
    """log(1 + exp(beta * x)) / beta, without overflow: a smooth max(x, 0), sharper for larger ``beta``."""
    return Softplus(beta).apply((x,))[0]


def elu(x: Any, alpha: float = 1.0) -> Variable:
    """x where x > 0, else alpha * (exp(x) - 1) (Clevert et al., 2016). The gradient at 0 is ``alpha``."""
    return ELU(alpha).apply((x,))[0]


def softmax(x: Any, axis: int = 1) -> Variable:
    """exp(x) divided by its sum along ``axis``: probabilities. Raises ``InvalidType`` if there is no such axis."""
    return Softmax(axis).apply((as_variable(x),))[0]


def log_softmax(x: Any, axis: int = 1) -> Variable:
    """Logarithm of ``softmax``, exact also where a probability is too small for the dtype."""
    return LogSoftmax(axis).apply((as_variable(x),))[0]
