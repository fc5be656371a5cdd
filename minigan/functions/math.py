"""Arithmetic chapter of F: elementwise functions, each a formula and its derivative.

The nodes that other derivatives are made of (add, matmul, sum, exp, log, absolute) live in `core`. Where a function
has a kink (maximum, clip), the derivative at a tie follows Chainer; each docstring says what that is. The special
functions need SciPy (CuPy on a GPU) and are imported when one of them is first called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigan import core
from minigan.backend import get_array_module
from minigan.configuration import config
from minigan.core import Variable, absolute, add, as_array, as_variable, broadcast_to, elementwise, exp, log, sum_to
from minigan.functions.reduction import Select
from minigan.utils.type_check import InvalidType

__all__ = [
    "absolute", "add", "arccos", "arcsin", "arctan", "arctan2", "arctanh", "bias", "ceil", "clip", "cos", "cosh",
    "digamma", "erf", "erfc", "erfcinv", "erfcx", "erfinv", "exp", "expm1", "fix", "floor", "fmod", "identity",
    "lgamma", "linear_interpolate", "log", "log10", "log1p", "log2", "log_ndtr", "maximum", "minimum", "ndtr", "ndtri",
    "polygamma", "rsqrt", "scale", "sign", "sin", "sinh", "sqrt", "square", "sum_to", "tan", "zeta",
]  # fmt: skip

PI = np.pi

# Roots, powers, logarithms -------------------------------------------------------------------------------------------

Square, square = elementwise("Square", "square", "x^2.", lambda gy, x: gy * (x * 2.0), label="Square")
Sqrt, sqrt = elementwise("Sqrt", "sqrt", "Square root of x.", lambda gy, y: gy / (y * 2.0))
Expm1, expm1 = elementwise("Expm1", "expm1", "exp(x) - 1, exact for small x.", lambda gy, y: gy * (y + 1))
Log1p, log1p = elementwise("Log1p", "log1p", "log(1 + x), exact for small x.", lambda gy, x: gy / (x + 1))
Log2, log2 = elementwise("Log2", "log2", "Logarithm of x, base 2.", lambda gy, x: gy / x * (1 / np.log(2)))
Log10, log10 = elementwise("Log10", "log10", "Logarithm of x, base 10.", lambda gy, x: gy / x * (1 / np.log(10)))


def rsqrt(x: Any) -> Variable:
    """1 / sqrt(x)."""
    return 1.0 / sqrt(x)


# Angles --------------------------------------------------------------------------------------------------------------

cos: Callable[[Any], Variable]
cosh: Callable[[Any], Variable]
Sin, sin = elementwise("Sin", "sin", "Sine of x, in radians.", lambda gy, x: gy * cos(x))
Cos, cos = elementwise("Cos", "cos", "Cosine of x, in radians.", lambda gy, x: gy * -sin(x))
Tan, tan = elementwise("Tan", "tan", "Tangent of x, in radians.", lambda gy, y: gy * (y * y + 1))
Arcsin, arcsin = elementwise("Arcsin", "arcsin", "Inverse sine of x.", lambda gy, x: gy / sqrt(1 - x * x))
Arccos, arccos = elementwise("Arccos", "arccos", "Inverse cosine of x.", lambda gy, x: -gy / sqrt(1 - x * x))
Arctan, arctan = elementwise("Arctan", "arctan", "Inverse tangent of x.", lambda gy, x: gy / (x * x + 1))
Sinh, sinh = elementwise("Sinh", "sinh", "Hyperbolic sine of x.", lambda gy, x: gy * cosh(x))
Cosh, cosh = elementwise("Cosh", "cosh", "Hyperbolic cosine of x.", lambda gy, x: gy * sinh(x))
Arctanh, arctanh = elementwise(
    "Arctanh", "arctanh", "Inverse hyperbolic tangent of x.", lambda gy, x: gy / (1 - x * x), label="Arctanh"
)

# Special functions ---------------------------------------------------------------------------------------------------


def _special(name: str) -> Callable[..., Any]:
    def value(xp: Any, *xs: Any) -> Any:
        if xp.__name__ == "cupy":
            from cupyx.scipy import special
        else:  # NumPy's functions take the arrays of @emulator, too
            from scipy import special
        return getattr(special, name)(*xs)

    return value


Erf, erf = elementwise(
    "Erf", "erf", "Error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x.",
    lambda gy, x: gy * exp(-x * x) * (2 / PI**0.5), _special("erf"),
)  # fmt: skip
Erfc, erfc = elementwise(
    "Erfc", "erfc", "1 - erf(x).", lambda gy, x: gy * exp(-x * x) * (-2 / PI**0.5), _special("erfc")
)
Erfcx, erfcx = elementwise(
    "Erfcx", "erfcx", "exp(x^2) erfc(x).", lambda gy, x, y: gy * (x * y - 1 / PI**0.5) * 2, _special("erfcx")
)
ErfInv, erfinv = elementwise(
    "ErfInv", "erfinv", "Inverse of erf.", lambda gy, y: gy * exp(y * y) * (PI**0.5 / 2), _special("erfinv")
)
ErfcInv, erfcinv = elementwise(
    "ErfcInv", "erfcinv", "Inverse of erfc.", lambda gy, y: gy * exp(y * y) * (-(PI**0.5) / 2), _special("erfcinv")
)
Ndtr, ndtr = elementwise(
    "Ndtr", "ndtr", "Distribution function of the standard normal distribution.",
    lambda gy, x: gy * exp(x * x * -0.5) * (2 * PI) ** -0.5, _special("ndtr"),
)  # fmt: skip
Ndtri, ndtri = elementwise(
    "Ndtri", "ndtri", "Inverse of ndtr.", lambda gy, y: gy * exp(y * y * 0.5) * (2 * PI) ** 0.5, _special("ndtri")
)
LogNdtr, log_ndtr = elementwise(
    "LogNdtr", "log_ndtr", "log(ndtr(x)), exact far below 0.",
    lambda gy, x: gy / erfcx(x * -(0.5**0.5)) * (2 / PI) ** 0.5, _special("log_ndtr"),
)  # fmt: skip
DiGamma, digamma = elementwise(
    "DiGamma", "digamma", "Derivative of lgamma.", lambda gy, x: gy * polygamma(np.array(1), x), _special("digamma")
)
LGamma, lgamma = elementwise(
    "LGamma", "lgamma", "Logarithm of |gamma(x)|.", lambda gy, x: gy * digamma(x), _special("gammaln")
)


class PolyGamma(core.Elementwise):
    """The n-th derivative of digamma."""

    name = label = "polygamma"  # type: ignore[assignment]

    def __init__(self, n: Any) -> None:
        self.n = n

    def value(self, xp: Any, x: Any) -> Any:  # noqa: D102
        n = xp.asarray(self.n)
        factor = (-1.0) ** (n + 1) * _special("gamma")(xp, n + 1.0)  # SciPy's own polygamma is no ufunc
        return xp.where(n == 0, _special("digamma")(xp, x), factor * _special("zeta")(xp, n + 1.0, x))

    def gradient(self, gy: Variable, x: Variable) -> Variable:  # noqa: D102
        return gy * polygamma(self.n + 1, x)


def polygamma(n: Any, x: Any) -> Variable:
    """The n-th derivative of digamma at x. `n` holds integers, broadcast against x, and has no gradient."""
    n = np.asarray(n) if isinstance(n, int) else as_array(n)
    if n.dtype.kind != "i":
        raise InvalidType(f"polygamma: n is {n.dtype}; wanted integers.")
    return PolyGamma(n).apply((_broadcast_with(n, x),))[0]


class Zeta(core.Elementwise):
    """Hurwitz's zeta function of q, sum of (k + q)^-x over k = 0, 1, ..."""

    name = label = "zeta"  # type: ignore[assignment]

    def __init__(self, x: Any) -> None:
        self.x = x

    def value(self, xp: Any, x: Any) -> Any:  # noqa: D102
        return _special("zeta")(xp, xp.asarray(self.x), x)

    def gradient(self, gy: Variable, x: Variable) -> Variable:  # noqa: D102
        return gy * zeta(self.x + 1, x) * gy.xp.asarray(-self.x, gy.dtype)


def zeta(x: Any, q: Any) -> Variable:
    """Hurwitz's zeta function, sum of (k + q)^-x over k = 0, 1, ...; only q has a gradient."""
    x = np.asarray(as_array(x)) if isinstance(x, (int, float)) else as_array(x)
    return Zeta(x).apply((_broadcast_with(x, q),))[0]


def _broadcast_with(constant: Any, x: Any) -> Variable:
    x = as_variable(x)
    return broadcast_to(x, np.broadcast_shapes(constant.shape, x.shape))


# Steps: their derivative is zero, so they leave the graph ------------------------------------------------------------


def _step(name: str, doc: str, ufunc: str | None = None) -> Callable[[Any], Variable]:
    def function(x: Any) -> Variable:
        array = as_variable(x).array
        xp = get_array_module(array)
        return as_variable(xp.asarray(getattr(xp, ufunc or name)(array)).astype(array.dtype, copy=False))

    function.__name__, function.__qualname__, function.__doc__ = name, name, doc
    return function


ceil = _step("ceil", "Smallest whole number not below x.")
fix = _step("fix", "x without the digits after the point.", "trunc")
floor = _step("floor", "Largest whole number not above x.")
sign = _step("sign", "-1, 0 or 1.")

# Two arguments ------------------------------------------------------------------------------------------------------


class Maximum(core._Binary):
    """y = max(x1, x2) by broadcasting; where x1 = x2 the gradient goes to x1, as in Chainer."""

    label = "Maximum"  # type: ignore[assignment]
    arguments = ("x1", "x2")
    floating, keeps = True, False
    choice, first_wins = "maximum", "greater_equal"

    def compute(self, left: Any, right: Any) -> Any:  # noqa: D102
        xp = get_array_module(left)
        self.first = getattr(xp, self.first_wins)(left, right)
        return getattr(xp, self.choice)(left, right)

    def partial(self, side: int, gy: Any, left: Any, right: Any) -> Any:  # noqa: D102
        return Select(~self.first if side else self.first).apply((gy,))[0]


class Minimum(Maximum):
    """y = min(x1, x2) by broadcasting; where x1 = x2 the gradient goes to x1, as in Chainer."""

    label = "Minimum"  # type: ignore[assignment]
    choice, first_wins = "minimum", "less_equal"


class Fmod(core._Binary):
    """y = x1 - x2 trunc(x1 / x2)."""

    label = "fmod"  # type: ignore[assignment]
    arguments = ("x", "divisor")
    floating = True

    def compute(self, left: Any, right: Any) -> Any:  # noqa: D102
        return get_array_module(left).fmod(left, right)

    def partial(self, side: int, gy: Any, left: Any, right: Any) -> Any:  # noqa: D102
        return -gy * fix(left / right) if side else gy


class Arctan2(core._Binary):
    """The angle of the point (x2, x1)."""

    label = "arctan2"  # type: ignore[assignment]
    arguments = ("x1", "x2")
    floating = True

    def compute(self, left: Any, right: Any) -> Any:  # noqa: D102
        return get_array_module(left).arctan2(left, right)

    def partial(self, side: int, gy: Any, left: Any, right: Any) -> Any:  # noqa: D102
        return gy * (-left if side else right) / (left * left + right * right)


def maximum(x1: Any, x2: Any) -> Variable:
    """Elementwise larger of x1 and x2, broadcast against each other; at a tie the gradient goes to x1."""
    return Maximum().apply((x1, x2))[0]


def minimum(x1: Any, x2: Any) -> Variable:
    """Elementwise smaller of x1 and x2, broadcast against each other; at a tie the gradient goes to x1."""
    return Minimum().apply((x1, x2))[0]


def fmod(x: Any, divisor: Any) -> Variable:
    """What is left of x when `divisor` has been taken away as often as it fits; it has the sign of x."""
    return Fmod().apply((x, divisor))[0]


def arctan2(x1: Any, x2: Any) -> Variable:
    """Angle of the point (x2, x1) in radians, -pi to pi. Of two dtypes the wider is taken."""
    return Arctan2().apply(promoted("arctan2", x1, x2))[0]


def promoted(function: str, *xs: Any) -> list[Variable]:
    """Cast all to the widest of their floating-point types; gradients come back in their own. Else `InvalidType`."""
    variables = [as_variable(x) for x in xs]
    dtype = np.result_type(*[x.dtype for x in variables])
    if any(x.dtype.kind != "f" for x in variables):
        raise InvalidType(f"{function}: got {', '.join(str(x.dtype) for x in variables)}; wanted floating point.")
    return [core.cast(x, dtype) for x in variables]


class Clip(core.Elementwise):
    """y = min(max(x, x_min), x_max); gx = gy where x_min <= x <= x_max, else 0."""

    name = "clip"

    def __init__(self, x_min: float | None, x_max: float | None) -> None:
        self.x_min, self.x_max = x_min, x_max

    def value(self, xp: Any, x: Any) -> Any:  # noqa: D102
        y = xp.clip(x, *(bound if bound is None else x.dtype.type(bound) for bound in (self.x_min, self.x_max)))
        self.inside = x == y
        return y

    def gradient(self, gy: Variable) -> Variable:  # noqa: D102
        return Select(self.inside).apply((gy,))[0]


def clip(x: Any, x_min: float | None, x_max: float | None) -> Variable:
    """Elementwise x, but x_min where it is below and x_max where it is above; None leaves that side open.

    The gradient is 1 inside and on the bounds. Raises `ValueError` unless x_min < x_max.
    """
    if x_min is None and x_max is None:
        raise ValueError("clip: x_min and x_max are both None; give at least one.")
    if x_min is not None and x_max is not None and x_min >= x_max:
        raise ValueError(f"clip: x_min is {x_min} and x_max is {x_max}; x_min must be less than x_max.")
    return Clip(x_min, x_max).apply((x,))[0]


# Put together --------------------------------------------------------------------------------------------------------


class Identity(core.FunctionNode):
    """Its inputs."""

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        return inputs

    def backward(self, indexes: Any, grad_outputs: tuple) -> tuple:  # noqa: D102
        return tuple(grad_outputs[i] for i in indexes)


def identity(*inputs: Any) -> Any:
    """The inputs as they are: a Variable for one, a tuple for several."""
    outputs = Identity().apply(inputs) if inputs else ()
    return outputs[0] if len(outputs) == 1 else outputs


def linear_interpolate(p: Any, x: Any, y: Any) -> Variable:
    """p x + (1 - p) y, elementwise. All three have one shape and one dtype, else `InvalidType`."""
    p, x, y = as_variable(p), as_variable(x), as_variable(y)
    if len({(v.shape, v.dtype) for v in (p, x, y)}) > 1 or p.dtype.kind != "f":
        raise InvalidType(f"linear_interpolate: p, x, y are {p.node.label}; {x.node.label}; {y.node.label}.")
    return p * x + (1 - p) * y


def scale(x: Any, y: Any, axis: int = 1) -> Variable:
    """x times y, where y's axes are those of x from `axis` on: (N, C, H, W) and (C,) for axis 1."""
    x = as_variable(x)
    return x * _along(x, y, axis)


def bias(x: Any, y: Any, axis: int = 1) -> Variable:
    """x plus y, where y's axes are those of x from `axis` on: (N, C, H, W) and (C,) for axis 1."""
    x = as_variable(x)
    return x + _along(x, y, axis)


def _along(x: Any, y: Any, axis: int) -> Variable:
    y = as_variable(y)
    if config.debug and y.shape != x.shape[axis : axis + y.ndim]:
        raise AssertionError(f"y has shape {y.shape}; wanted the axes of x {x.shape} from {axis} on.")
    return broadcast_to(core.reshape(y, (1,) * axis + y.shape + (1,) * (x.ndim - axis - y.ndim)), x.shape)
