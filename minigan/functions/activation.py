"""Activations: elementwise curves, and softmax, which works along one axis.

Each node keeps what its derivative is cheapest from, which is mostly its own output: then the input can be freed. The
gradients of a deep net spend their time in these few lines, so every first derivative is a node with a fused forward
pass, written in place on a fresh array; its own ``backward`` is plain arithmetic of Variables, right to any order.
On a GPU the most used ones are kernels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigan.backend import get_array_module
from minigan.configuration import config
from minigan.core import Elementwise, FunctionNode, Variable, as_variable, broadcast_to, exp, reshape, sum
from minigan.functions.array import concat
from minigan.functions.reduction import max
from minigan.kernels import rectifier
from minigan.kernels.activation import fused
from minigan.utils.type_check import InvalidType

__all__ = [
    "clipped_relu", "crelu", "elu", "hard_sigmoid", "leaky_relu", "log_softmax", "maxout", "prelu", "relu", "relu6",
    "rrelu", "selu", "sigmoid", "softmax", "softplus", "swish", "tanh",
]  # fmt: skip


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
        if xp is np and 0 <= self.slope <= 1:
            return (rectifier.forward(x, self.slope),)
        if (y := fused("leaky_relu", x, numbers=(self.slope,))) is not None:
            return (y,)
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
        if xp is np and 0 <= self.slope <= 1:
            return (rectifier.backward(self.side, gy, self.slope),)
        if (gx := fused("leaky_relu_grad", self.side, gy, numbers=(self.slope,))) is not None:
            return (gx,)
        return (xp.where(self.side > 0, gy, gy * gy.dtype.type(self.slope)),)

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
        if (gx := fused("sigmoid_grad", y, gy)) is not None:
            return (gx,)
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
        (x,) = inputs
        xp = get_array_module(x)
        return (xp.tanh(x, out=xp.empty_like(x)),)  # CuPy's own result would lie otherwise than x, and than gy

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        return TanhGrad().apply((*self.get_retained_outputs(), grad_outputs[0]))


class TanhGrad(FunctionNode):
    """gy * (1 - y**2)."""

    name = "gradient of tanh"
    arguments = ("y", "gy")

    def forward(self, inputs: tuple) -> tuple:
        self.retain_inputs((0, 1))
        y, gy = inputs
        if (gx := fused("tanh_grad", y, gy)) is not None:
            return (gx,)
        gx = y * y
        gx = get_array_module(y).subtract(1, gx, out=_as_out(gx))
        gx *= gy
        return (gx,)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        y, gy = self.get_retained_inputs()
        (ggx,) = grad_outputs
        return tuple(TanhGrad().apply((y, ggx))[0] if i else ggx * gy * y * -2 for i in indexes)


class Softplus(Elementwise):
    """log(1 + exp(beta * x)) / beta."""

    name = "softplus"

    def __init__(self, beta: float = 1.0) -> None:
        self.beta = float(beta)
        if self.beta == 0:
            raise ValueError("softplus: beta is 0, but the function divides by it; give a positive number")

    def value(self, xp: Any, x: Any) -> Any:
        return _softplus(x, self.beta)

    def gradient(self, gy: Variable, x: Variable) -> Variable:
        return gy * sigmoid(x if self.beta == 1 else x * self.beta)


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


class ClippedReLU(Elementwise):
    """min(max(x, 0), z)."""

    name = "clipped_relu"

    def __init__(self, z: float) -> None:
        self.cap = float(z)

    def value(self, xp: Any, x: Any) -> Any:
        return xp.clip(x, 0, self.cap)

    def gradient(self, gy: Variable, x: Variable) -> Variable:
        return gy * ((x.array > 0) & (x.array < self.cap))


class HardSigmoid(Elementwise):
    """min(max(0.2 x + 0.5, 0), 1)."""

    name = "hard_sigmoid"

    def value(self, xp: Any, x: Any) -> Any:
        y = _as_out(x * x.dtype.type(0.2))
        y += 0.5
        return xp.clip(y, 0, 1, out=y)

    def gradient(self, gy: Variable, x: Variable) -> Variable:
        return gy * ((abs(x.array) < 2.5) * x.dtype.type(0.2))


class RReLU(FunctionNode):
    """x where x >= 0, else r * x; ``r`` is drawn from [lower, upper) for each element unless it is given."""

    name = "rrelu"
    arguments = ("x",)

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, r: Any = None) -> None:
        if not 0.0 <= lower < upper:
            raise ValueError(f"rrelu: l is {lower} and u is {upper}; wanted 0 <= l < u")
        self.lower, self.upper, self.r = lower, upper, r

    def forward(self, inputs: tuple) -> tuple:
        (x,) = inputs
        xp = get_array_module(x)
        if not config.train:
            self.r = xp.full(x.shape, (self.lower + self.upper) / 2, x.dtype)
        elif self.r is None:
            self.r = xp.asarray(xp.random.uniform(self.lower, self.upper, x.shape), x.dtype)
        elif self.r.dtype != x.dtype or self.r.shape != x.shape:
            raise InvalidType(f"rrelu: r is {self.r.dtype} {self.r.shape} but x {x.dtype} {x.shape}; wanted the same")
        self.factor = xp.where(x >= 0, x.dtype.type(1), self.r)
        return (x * self.factor,)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        return (grad_outputs[0] * self.factor,)


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
    if (y := fused("sigmoid", x)) is not None:
        return y
    # tanh has no large intermediate values, unlike exp
    y = _as_out(x * x.dtype.type(0.5))
    get_array_module(x).tanh(y, out=y)
    y *= 0.5
    y += 0.5
    return y


def _softplus(x: Any, beta: float) -> Any:
    # exp only of what is not positive: log(1 + exp(z)) = max(z, 0) + log(1 + exp(-|z|))
    if beta > 0 and (y := fused("softplus", x, numbers=(beta,))) is not None:
        return y
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


def clipped_relu(x: Any, z: float = 20.0) -> Variable:
    """min(max(x, 0), z). The gradient at 0 and at z is 0."""
    return ClippedReLU(z).apply((x,))[0]


def relu6(x: Any) -> Variable:
    """min(max(x, 0), 6) (Howard et al., 2017)."""
    return clipped_relu(x, 6.0)


def hard_sigmoid(x: Any) -> Variable:
    """min(max(0.2 x + 0.5, 0), 1): ``sigmoid`` made of three straight lines."""
    return HardSigmoid().apply((x,))[0]


def crelu(x: Any, axis: int = 1) -> Variable:
    """max(x, 0) and max(-x, 0), joined along ``axis``, which becomes twice as long (Shang et al., 2016)."""
    x = as_variable(x)
    return concat((relu(x), relu(-x)), axis)


def selu(x: Any, alpha: float = 1.6732632423543772, scale: float = 1.0507009873554805) -> Variable:
    """scale * elu(x, alpha); with these numbers mean 0 and variance 1 stay so (Klambauer et al., 2017)."""
    return elu(x, alpha) * scale


def rrelu(x: Any, l: float = 1.0 / 8, u: float = 1.0 / 3, *, r: Any = None, return_r: bool = False) -> Any:  # noqa: E741
    """x where x >= 0, else r * x, with r drawn from [l, u) for each element (Xu et al., 2015).

    Where ``config.train`` is False, r is (l + u) / 2. Raises ``ValueError`` unless 0 <= l < u,
    ``InvalidType`` for an r of another shape or dtype than x.

    Args:
        r: use this array, of x's shape and dtype, instead of drawing one.
        return_r: return ``(y, r)``.
    """
    node = RReLU(l, u, r)
    (y,) = node.apply((x,))
    return (y, node.r) if return_r else y


def maxout(x: Any, pool_size: int, axis: int = 1) -> Variable:
    """The largest of each ``pool_size`` neighbours along ``axis``: (N, C) to (N, C / pool_size).

    Goodfellow et al., 2013. Raises ``ValueError`` unless pool_size > 0, ``InvalidType`` if it does not divide C.
    """
    x = as_variable(x)
    if pool_size <= 0:
        raise ValueError(f"maxout: pool_size is {pool_size} but must be positive")
    if not -x.ndim <= axis < x.ndim or x.shape[axis] % pool_size:
        raise InvalidType(f"maxout: axis {axis} of shape {x.shape} is not a multiple of pool_size={pool_size}")
    axis %= x.ndim
    shape = (*x.shape[:axis], x.shape[axis] // pool_size, pool_size, *x.shape[axis + 1 :])
    return max(reshape(x, shape), axis=axis + 1)


def prelu(x: Any, W: Any) -> Variable:
    """x where x >= 0, else W * x, with a slope that is learnt (He et al., 2015).

    Args:
        x: (N, ...), floating.
        W: slopes, of the shape of x's axes from the second on, or of the first few of them; () for one slope.
    """
    x, W = _with_channels("prelu", x, W)
    right = x.array >= 0
    return x * (W * ~right + right)


def swish(x: Any, beta: Any) -> Variable:
    """x * sigmoid(beta * x), beta of a shape as ``prelu`` takes it (Ramachandran et al., 2017)."""
    x, beta = _with_channels("swish", x, beta)
    return x * sigmoid(beta * x)


def _with_channels(function: str, x: Any, W: Any) -> tuple[Variable, Variable]:
    """Both as Variables, W repeated to the shape of x: its axes are x's from the second on."""
    x, W = as_variable(x), as_variable(W)
    if x.dtype.kind != "f" or W.dtype != x.dtype:
        raise InvalidType(f"{function}: x is {x.dtype} and the parameter {W.dtype}; wanted one floating-point type")
    if x.shape[1 : 1 + W.ndim] != W.shape:
        raise InvalidType(f"{function}: the parameter has shape {W.shape}; wanted axes 1, 2, ... of x, {x.shape}")
    return x, broadcast_to(reshape(W, (1, *W.shape, *[1] * (x.ndim - 1 - W.ndim))), x.shape)
