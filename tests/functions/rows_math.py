"""Rows of the test table: functions.math."""

import math

import numpy as np
from functions.table import distinct, fixed, normal, off_zero, positive, row
from scipy import integrate

import minigan.functions as F


def each(function):
    """A function of numbers, element by element."""
    return lambda *xs, **arguments: np.vectorize(lambda *x: float(function(*x, **arguments)))(*xs)


def within(low, high, *shape):
    return lambda rng: np.asarray(rng.uniform(low, high, shape))


def normal_distribution(x):
    return math.erfc(-x / 2**0.5) / 2


def inverse(function, low, high):
    """The increasing function's inverse, by halving."""

    def search(y):
        a, b = low, high
        for _ in range(100):
            middle = (a + b) / 2
            a, b = (middle, b) if function(middle) < y else (a, middle)
        return a

    return each(search)


def polygamma(n, x):
    """(-1)^(n+1) times the integral of t^n exp(-x t) / (1 - exp(-t)); digamma by Gauss's integral."""
    if n == 0:
        return integrate.quad(lambda t: np.exp(-t) / t - np.exp(-x * t) / -np.expm1(-t), 1e-12, 60, limit=500)[0]
    value = integrate.quad(lambda t: t**n * np.exp(-x * t) / -np.expm1(-t), 0, np.inf, epsabs=0, epsrel=1e-12)[0]
    return (-1) ** (n + 1) * value


def zeta(x, q):
    """Euler and Maclaurin: the first 50 terms, the integral of the rest, and its first corrections."""
    n = q + 50
    return sum((k + q) ** -x for k in range(50)) + n ** (1 - x) / (x - 1) + n**-x / 2 + x * n ** (-x - 1) / 12


def along(y, ndim, axis):
    return y.reshape((1,) * axis + y.shape + (1,) * (ndim - axis - y.ndim))


ROWS = [
    row("absolute", off_zero(2, 3), lambda x: np.where(x > 0, x, -x)),
    row("add", (normal(2, 3), normal(3)), lambda a, b: a + b),
    row("add", (normal(2, 3), normal(2, 1), normal(3)), lambda a, b, c: a + b + c),
    row("arccos", within(-0.9, 0.9, 2, 3), each(math.acos)),
    row("arcsin", within(-0.9, 0.9, 2, 3), each(math.asin)),
    row("arctan", normal(2, 3), each(math.atan)),
    row("arctan2", (off_zero(2, 3), off_zero(3)), each(math.atan2)),
    row("arctanh", within(-0.9, 0.9, 2, 3), each(math.atanh)),
    row("bias", (normal(2, 3, 4), normal(3)), lambda x, y: x + along(y, 3, 1)),
    row("bias", (normal(2, 3, 4), normal(2, 3)), lambda x, y, axis: x + along(y, 3, axis), axis=0),
    row("ceil", distinct(2, 3), each(math.ceil), differentiable=False),
    row("clip", distinct(3, 4), lambda x, x_min, x_max: np.where(x < x_min, x_min, np.where(x > x_max, x_max, x)),
        x_min=-0.25, x_max=0.375),
    row("clip", distinct(3, 4), lambda x, x_min, x_max: np.where(x > x_max, x_max, x), x_min=None, x_max=0.0),
    row("cos", normal(2, 3), each(math.cos)),
    row("cosh", normal(2, 3), each(math.cosh)),
    row("digamma", fixed([[0.5, 1.25, 3.0]]), lambda x: np.array([[
        -np.euler_gamma - 2 * np.log(2), -np.euler_gamma - np.pi / 2 - 3 * np.log(2) + 4, 1.5 - np.euler_gamma]])),
    row("erf", normal(2, 3), each(math.erf)),
    row("erfc", normal(2, 3), each(math.erfc)),
    row("erfcinv", within(0.2, 1.8, 2, 3), lambda x: -inverse(math.erf, -6, 6)(x - 1)),
    row("erfcx", normal(2, 3), each(lambda x: math.exp(x * x) * math.erfc(x))),
    row("erfinv", within(-0.8, 0.8, 2, 3), inverse(math.erf, -6, 6)),
    row("exp", normal(2, 3), np.exp),
    row("expm1", normal(2, 3), each(math.expm1)),
    row("fix", distinct(2, 3), each(math.trunc), differentiable=False),
    row("floor", distinct(2, 3), each(math.floor), differentiable=False),
    row("fmod", (distinct(2, 3, shift=1 / 32), positive(3)), each(math.fmod)),
    row("identity", normal(2, 3), lambda x: x),
    row("identity", (normal(2, 3), normal(2)), lambda x, y: (x, y)),
    row("lgamma", positive(2, 3), each(math.lgamma)),
    row("linear_interpolate", (normal(2, 3), normal(2, 3), normal(2, 3)), lambda p, x, y: p * x + (1 - p) * y),
    row("log", positive(2, 3), np.log),
    row("log10", positive(2, 3), each(math.log10)),
    row("log1p", positive(2, 3), each(math.log1p)),
    row("log2", positive(2, 3), each(math.log2)),
    row("log_ndtr", normal(2, 3), each(lambda x: math.log(normal_distribution(x)))),
    row("maximum", (distinct(2, 3), distinct(3, shift=1 / 32)), lambda a, b: np.where(a > b, a, b)),
    row("minimum", (distinct(2, 3), distinct(2, 1, shift=1 / 32)), lambda a, b: np.where(a < b, a, b)),
    row("ndtr", normal(2, 3), each(normal_distribution)),
    row("ndtri", within(0.1, 0.9, 2, 3), inverse(normal_distribution, -6, 6)),
    row("polygamma", (fixed([[1], [2]], np.int32), fixed([0.5, 1.0, 2.5])), each(polygamma),
        lambda n, x: F.polygamma(n, F.broadcast_to(x, (2, 3)))),
    row("rsqrt", positive(2, 3), lambda x: x**-0.5),
    row("scale", (normal(2, 3, 4), normal(3)), lambda x, y: x * along(y, 3, 1)),
    row("scale", (normal(2, 3, 4), normal(2, 3)), lambda x, y, axis: x * along(y, 3, axis), axis=0),
    row("sign", fixed([[-2.0, 0.0, 3.0]]), lambda x: np.array([[-1.0, 0, 1]]), differentiable=False),
    row("sin", normal(2, 3), each(math.sin)),
    row("sinh", normal(2, 3), each(math.sinh)),
    row("sqrt", positive(2, 3), lambda x: x**0.5),
    row("square", normal(2, 3), lambda x: x**2),
    row("sum_to", normal(2, 3, 4), lambda x, shape: x.sum((0, 2)).reshape(shape), shape=(3, 1)),
    row("tan", within(-1, 1, 2, 3), each(math.tan)),
    row("zeta", positive(2, 3), lambda q: each(zeta)(np.array([2.0, 3, 4.5]), q),
        lambda q: F.zeta(np.array([2.0, 3, 4.5]), q)),
]
