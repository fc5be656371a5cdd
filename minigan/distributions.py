"""Probability distributions over Variables: densities, samples and divergences through which gradients pass.

A distribution holds a batch of `batch_shape`, each member over values of `event_shape`; `sample_n` puts its own axis
in front. Samples of `Normal` are loc + scale * noise, so that a gradient reaches loc and scale (Kingma and Welling,
2014). Randomness comes from the array module's global generator, as everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from minigan.core import Variable, as_array, as_variable, broadcast_to, exp, log, reshape, sum
from minigan.functions.activation import sigmoid, softplus
from minigan.functions.math import log_ndtr, ndtr, ndtri
from minigan.functions.reduction import Select, prod

__all__ = ["Bernoulli", "Distribution", "Independent", "Normal", "cross_entropy", "kl_divergence", "register_kl"]

_DIVERGENCES: dict[tuple[type, type], Callable[[Any, Any], Variable]] = {}


def _missing(self: Any, *args: Any) -> NoReturn:
    raise NotImplementedError(f"{type(self).__name__} does not define this quantity")


class Distribution:
    """Base of all distributions. A subclass defines what it can; the rest raises ``NotImplementedError``.

    Properties: ``batch_shape``, ``event_shape``, ``params`` (a dict of Variables), ``support`` (a text) and, as
    Variables, ``mean``, ``mode``, ``variance``, ``stddev``, ``covariance``, ``entropy``. Methods of a value: ``prob``,
    ``log_prob``, ``cdf``, ``log_cdf``, ``icdf``, ``survival_function`` (1 - cdf), ``log_survival_function``,
    ``perplexity``.
    """

    batch_shape: Any = property(_missing)
    event_shape: Any = property(_missing)
    params: Any = property(_missing)
    support: Any = property(_missing)
    mean = mode = variance = stddev = covariance = entropy = property(_missing)  # type: Any
    prob = log_prob = cdf = log_cdf = icdf = survival_function = log_survival_function = perplexity = _missing  # type: Any
    sample_n: Any = _missing

    @property
    def xp(self) -> Any:
        """``numpy`` or ``cupy``, whichever holds the parameters."""
        return next((as_variable(p).xp for p in self.params.values()), None)

    def sample(self, sample_shape: Any = ()) -> Variable:
        """Draw an array of values: the shape is sample_shape + batch_shape + event_shape."""
        shape = (sample_shape,) if isinstance(sample_shape, int) else tuple(sample_shape)
        return reshape(self.sample_n(math.prod(shape)), shape + self.batch_shape + self.event_shape)


class Normal(Distribution):
    """exp(-(x - loc)^2 / (2 scale^2)) / sqrt(2 pi scale^2), of each element on its own.

    ``loc`` and either ``scale`` (above 0) or ``log_scale``: Variables or arrays of one dtype. ``ValueError`` for both
    or neither.
    """

    event_shape = ()
    support = "real"

    def __init__(self, loc: Any, scale: Any = None, *, log_scale: Any = None) -> None:
        if (scale is None) == (log_scale is None):
            raise ValueError("Normal: give either scale or log_scale, not both")
        self.loc = as_variable(loc)
        self._scale = None if scale is None else as_variable(scale)
        self._log_scale = None if log_scale is None else as_variable(log_scale)

    @property
    def mean(self) -> Variable:
        """``loc``."""
        return self.loc

    @property
    def scale(self) -> Variable:
        """Standard deviation."""
        return exp(self._log_scale) if self._scale is None else self._scale

    stddev = scale

    @property
    def log_scale(self) -> Variable:
        """Logarithm of the standard deviation."""
        return log(self._scale) if self._log_scale is None else self._log_scale

    @property
    def params(self) -> dict[str, Variable]:
        """``loc`` and ``scale``."""
        return {"loc": self.loc, "scale": self.scale}

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of ``loc``."""
        return self.loc.shape

    @property
    def variance(self) -> Variable:
        """scale^2."""
        return self.scale**2

    @property
    def entropy(self) -> Variable:
        """log(scale) + (1 + log(2 pi)) / 2."""
        return self.log_scale + 0.5 * math.log(2 * math.pi * math.e)

    def _standardized(self, x: Any) -> Variable:
        return (x - self.loc) / self.scale

    def log_prob(self, x: Any) -> Variable:
        """Logarithm of the density at x."""
        return self._standardized(x) ** 2 * -0.5 - self.log_scale - 0.5 * math.log(2 * math.pi)

    def prob(self, x: Any) -> Variable:
        """Density at x."""
        return exp(self.log_prob(x))

    def cdf(self, x: Any) -> Variable:
        """Probability of a value up to x."""
        return ndtr(self._standardized(x))

    def log_cdf(self, x: Any) -> Variable:
        """Logarithm of ``cdf``, exact far below ``loc``."""
        return log_ndtr(self._standardized(x))

    def survival_function(self, x: Any) -> Variable:
        """Probability of a value above x."""
        return ndtr(-self._standardized(x))

    def log_survival_function(self, x: Any) -> Variable:
        """Logarithm of ``survival_function``, exact far above ``loc``."""
        return log_ndtr(-self._standardized(x))

    def icdf(self, x: Any) -> Variable:
        """The value whose ``cdf`` is x."""
        return self.loc + self.scale * ndtri(x)

    def sample_n(self, n: int) -> Variable:
        """Draw n times; gradients pass to ``loc`` and ``scale``."""
        noise = self.xp.random.standard_normal((n, *self.batch_shape)).astype(self.loc.dtype, copy=False)
        return self.loc + self.scale * noise


class Bernoulli(Distribution):
    """1 with probability p = sigmoid(logit), else 0. ``ValueError`` unless just one of ``p`` and ``logit`` is given.

    Without ``binary_check``, x may lie between 0 and 1, as the pixels of a grey picture do, and ``prob`` and
    ``log_prob`` interpolate; with it, any x but 0 and 1 has probability 0.
    """

    event_shape = ()
    support = "{0, 1}"

    def __init__(self, p: Any = None, logit: Any = None, binary_check: bool = False) -> None:
        if (p is None) == (logit is None):
            raise ValueError("Bernoulli: give either p or logit, not both")
        self._p = None if p is None else as_variable(p)
        self._logit = None if logit is None else as_variable(logit)
        self.binary_check = binary_check

    @property
    def p(self) -> Variable:
        """Probability of 1."""
        return sigmoid(self._logit) if self._p is None else self._p

    mean = p

    @property
    def logit(self) -> Variable:
        """log(p / (1 - p))."""
        return log(self._p) - log(1 - self._p) if self._p is not None else as_variable(self._logit)

    @property
    def params(self) -> dict[str, Variable]:
        """``logit``."""
        return {"logit": self.logit}

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of ``p``."""
        return as_variable(self._logit if self._p is None else self._p).shape

    @property
    def variance(self) -> Variable:
        """p (1 - p)."""
        return self.p * (1 - self.p)

    @property
    def stddev(self) -> Variable:
        """sqrt(p (1 - p))."""
        return self.variance**0.5

    @property
    def entropy(self) -> Variable:
        """-p log(p) - (1 - p) log(1 - p), which is 0 where p is 0 or 1."""
        size = self.logit * _sign(self.logit)
        return softplus(-size) + _times(size, sigmoid(-size))

    def log_prob(self, x: Any) -> Variable:
        """Logarithm of ``prob``, exact for logits of any size; no gradient goes to x, nor to infinite logits."""
        return _bernoulli_log_prob(self.logit, as_array(x), self.binary_check)

    def prob(self, x: Any) -> Variable:
        """p where x is 1, 1 - p where x is 0."""
        x = as_array(x)
        y = self.p * x + (1 - self.p) * (1 - x)
        return y * _is_binary(x) if self.binary_check else y

    def sample_n(self, n: int) -> Variable:
        """Draw n times: integers without a gradient."""
        p = self.p.array
        return Variable(self.xp.random.binomial(1, p, (n, *p.shape)), requires_grad=False)


def _bernoulli_log_prob(logit: Any, x: Any, binary_check: bool = False) -> Variable:
    logit = as_variable(logit)
    xp, positive = logit.xp, logit.array > 0
    # the usual x * logit - softplus(logit) with the large part of softplus, max(logit, 0), taken into the product
    y = _times(logit, x - positive) - softplus(-logit * _sign(logit))
    with np.errstate(divide="ignore", invalid="ignore"):
        edge = xp.where(xp.isinf(logit.array), xp.log(xp.where(positive, x, 1 - x)), 0).astype(y.dtype, copy=False)
    y = Select(xp.isfinite(logit.array)).apply((y,))[0] + edge
    return y + xp.where(_is_binary(x), 0, -math.inf) if binary_check else y


def _is_binary(x: Any) -> Any:
    return (x == 0) | (x == 1)


def _sign(x: Variable) -> Any:
    return x.xp.where(x.array > 0, 1, -1).astype(x.dtype)


def _times(x: Variable, factor: Any) -> Variable:
    """x * factor, which is 0 where the factor is, also if x is infinite there."""
    x = broadcast_to(x, np.broadcast_shapes(x.shape, factor.shape))
    return Select(as_array(factor) != 0).apply((x,))[0] * factor


class Independent(Distribution):
    """The distribution of arrays whose elements are independent: the last axes of a batch, seen as one event.

    Args:
        distribution: what gives the elements.
        reinterpreted_batch_ndims: how many of its last batch axes become event axes; None: all but the first.

    ``ValueError`` if it has fewer. Probabilities are multiplied along these axes, their logarithms and the entropy
    added.
    """

    def __init__(self, distribution: Distribution, reinterpreted_batch_ndims: int | None = None) -> None:
        batch_ndim = len(distribution.batch_shape)
        count = max(batch_ndim - 1, 0) if reinterpreted_batch_ndims is None else reinterpreted_batch_ndims
        if count > batch_ndim:
            raise ValueError(
                f"Independent: reinterpreted_batch_ndims is {count} but batch_shape is {distribution.batch_shape}; "
                "wanted no more than its axes"
            )
        self.distribution = distribution
        self.reinterpreted_batch_ndims = count

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """The batch axes that are left."""
        shape = self.distribution.batch_shape
        return shape[: len(shape) - self.reinterpreted_batch_ndims]

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The reinterpreted axes, then those of the distribution."""
        shape = self.distribution.batch_shape
        return shape[len(shape) - self.reinterpreted_batch_ndims :] + self.distribution.event_shape

    @property
    def entropy(self) -> Variable:
        """The sum of the entropies."""
        return self._reduce(sum, self.distribution.entropy)

    def _reduce(self, op: Callable[..., Variable], x: Variable) -> Variable:
        return op(x, axis=tuple(range(-self.reinterpreted_batch_ndims, 0)))

    def icdf(self, x: Any) -> NoReturn:
        """Raise ``RuntimeError``: many arrays have one probability."""
        raise RuntimeError("Independent: the cumulative distribution function of many variables has no inverse")

    def sample_n(self, n: int) -> Variable:
        """Draw n times."""
        return self.distribution.sample_n(n)


def _forwarded(name: str) -> property:
    return property(lambda self: getattr(self.distribution, name), doc=f"``{name}`` of the distribution.")


def _reduced(name: str, op: Callable[..., Variable]) -> Callable:
    def method(self: Independent, x: Any) -> Variable:
        return self._reduce(op, getattr(self.distribution, name)(x))

    method.__name__, method.__doc__ = name, f"``{name}`` of the distribution, {op.__name__} over the event."
    return method


for _name in ("mean", "mode", "params", "stddev", "support", "variance", "xp"):
    setattr(Independent, _name, _forwarded(_name))
for _name in ("prob", "cdf", "survival_function"):
    setattr(Independent, _name, _reduced(_name, prod))
for _name in ("log_prob", "log_cdf", "log_survival_function"):
    setattr(Independent, _name, _reduced(_name, sum))


def register_kl(Dist1: type, Dist2: type) -> Callable:
    """Decorate the function that computes ``kl_divergence`` for these two classes."""

    def register(function: Callable[[Any, Any], Variable]) -> Callable[[Any, Any], Variable]:
        _DIVERGENCES[Dist1, Dist2] = function
        return function

    return register


def kl_divergence(dist1: Distribution, dist2: Distribution) -> Variable:
    """Kullback-Leibler divergence, the mean of log(dist1(x) / dist2(x)) under dist1, of shape ``batch_shape``.

    ``KeyError`` for two classes for which nothing is registered (see ``register_kl``).
    """
    kinds = type(dist1), type(dist2)
    if kinds not in _DIVERGENCES:
        raise KeyError(f"kl_divergence: none is registered for {kinds[0].__name__} and {kinds[1].__name__}")
    return _DIVERGENCES[kinds](dist1, dist2)


def cross_entropy(dist1: Distribution, dist2: Distribution) -> Variable:
    """Mean of -log(dist2(x)) under dist1: the entropy of dist1 plus the divergence."""
    return dist1.entropy + kl_divergence(dist1, dist2)


@register_kl(Normal, Normal)
def _kl_of_normals(p: Normal, q: Normal) -> Variable:
    ratio = (p.scale / q.scale) ** 2
    return q.log_scale - p.log_scale + (ratio + ((p.loc - q.loc) / q.scale) ** 2 - 1) * 0.5


@register_kl(Bernoulli, Bernoulli)
def _kl_of_bernoullis(p: Bernoulli, q: Bernoulli) -> Variable:
    return p.p * (p.logit - q.logit) - softplus(p.logit) + softplus(q.logit)


@register_kl(Independent, Independent)
def _kl_of_independents(p: Independent, q: Independent) -> Variable:
    if p.event_shape != q.event_shape:
        raise ValueError(f"kl_divergence: event shapes are {p.event_shape} and {q.event_shape}; wanted the same")
    return p._reduce(sum, kl_divergence(p.distribution, q.distribution))
