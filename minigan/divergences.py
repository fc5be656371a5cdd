"""How far apart two distributions are: of probabilities, of Gaussians, and of samples whose source nobody knows.

Each GAN loss stands for one of them. With the best D the first GAN descends Jensen and Shannon's divergence, which is
ln 2 for any two distributions that do not overlap, however near they are: there G gets no slope. The Wasserstein
distance says how far they are, too. All are functions of NumPy arrays and give natural units (nats, or the data's own).
"""

from __future__ import annotations

import math
from typing import Any

import numpy

from minigan.metrics.points import checked, squared_distances

_LOG_2PI = math.log(2 * math.pi)


def _probabilities(function: str, **given: Any) -> list[numpy.ndarray]:
    arrays = [numpy.asarray(a, numpy.float64) for a in given.values()]
    for name, a in zip(given, arrays):
        if a.ndim == 0 or a.shape[-1:] != arrays[0].shape[-1:] or not numpy.isfinite(a).all() or (a < 0).any():
            raise ValueError(f"{function}: {name} has shape {a.shape}; wanted probabilities (..., K), none negative or "
                             f"NaN, of one K")  # fmt: skip
        if not numpy.allclose(a.sum(axis=-1), 1, atol=1e-6):
            raise ValueError(f"{function}: {name} does not add up to 1; divide counts by their sum")
    return arrays


def _times_log(p: Any, q: Any) -> Any:
    """Sum of p log q, where 0 log 0 is 0."""
    with numpy.errstate(divide="ignore", invalid="ignore"):
        return numpy.where(p > 0, p * numpy.log(q), 0).sum(axis=-1)


def entropy(p: Any) -> Any:
    """H(p) = -sum p log p of probabilities (..., K); log K at most."""
    (p,) = _probabilities("entropy", p=p)
    return -_times_log(p, p)


def cross_entropy(p: Any, q: Any) -> Any:
    """H(p, q) = -sum p log q = H(p) + KL(p || q) of probabilities (..., K); inf where q is 0 and p is not.

    p may be labels, integers of the shape of q without its last axis, which stand for one-hot rows: -log q[label].
    """
    labels = numpy.asarray(p)
    if labels.dtype.kind in "iu" and labels.shape != numpy.shape(q):
        (q,) = _probabilities("cross_entropy", q=q)
        if labels.shape != q.shape[:-1] or (labels.size and not 0 <= labels.min() <= labels.max() < q.shape[-1]):
            raise ValueError(f"cross_entropy: labels of shape {labels.shape} for q {q.shape}; wanted {q.shape[:-1]}, "
                             f"from 0 to {q.shape[-1] - 1}")  # fmt: skip
        with numpy.errstate(divide="ignore"):
            return -numpy.log(numpy.take_along_axis(q, labels[..., None], axis=-1)[..., 0])
    p, q = _probabilities("cross_entropy", p=p, q=q)
    return -_times_log(p, q)


def kl_divergence(p: Any, q: Any) -> Any:
    """KL(p || q) = sum p log(p / q) of probabilities (..., K): 0 for equal ones, inf where q misses what p has."""
    p, q = _probabilities("kl_divergence", p=p, q=q)
    with numpy.errstate(divide="ignore", invalid="ignore"):
        return numpy.maximum(numpy.where(p > 0, p * (numpy.log(p) - numpy.log(q)), 0).sum(axis=-1), 0)


def js_divergence(p: Any, q: Any) -> Any:
    """(KL(p || m) + KL(q || m)) / 2 with m = (p + q) / 2, of probabilities (..., K): 0 if equal, ln 2 if disjoint."""
    p, q = _probabilities("js_divergence", p=p, q=q)
    m = (p + q) / 2
    return (kl_divergence(p, m) + kl_divergence(q, m)) / 2


def wasserstein_1d(x: Any, y: Any) -> float:
    """W1 of two samples of numbers, (N,) and (M,): the area between their distribution functions.

    Of equal counts it is the mean distance of what stands in the same place after sorting; shifted by d, it is d.
    """
    x, y = (numpy.sort(checked("wasserstein_1d", 1, **{name: numpy.reshape(a, (-1, 1))})[0][:, 0].astype(numpy.float64))
            for name, a in (("x", x), ("y", y)))  # fmt: skip
    both = numpy.sort(numpy.concatenate([x, y]))
    gap = (numpy.searchsorted(a, both[:-1], side="right") / len(a) for a in (x, y))
    return float((abs(next(gap) - next(gap)) * numpy.diff(both)).sum())


def _gaussian(function: str, mean: Any, covariance: Any) -> tuple[numpy.ndarray, numpy.ndarray]:
    """The mean (D,) and the Cholesky factor (D, D) of a covariance."""
    mean, covariance = numpy.asarray(mean, numpy.float64), numpy.asarray(covariance, numpy.float64)
    if mean.ndim != 1 or covariance.shape != mean.shape * 2:
        raise ValueError(f"{function}: mean {mean.shape}, covariance {covariance.shape}; wanted (D,) and (D, D)")
    try:
        return mean, numpy.linalg.cholesky(covariance)
    except numpy.linalg.LinAlgError as error:
        raise ValueError(f"{function}: the covariance is not positive definite; add a little to its diagonal, or leave "
                         f"out what never varies") from error  # fmt: skip


def gaussian_log_conditionals(x: Any, mean: Any, covariance: Any) -> numpy.ndarray:
    """log p(x_i | x_1 ... x_(i-1)) of x (N, D), as (N, D): the chain rule, whose sum is the log density of the whole.

    With S = L L^T and L z = x - m, term i is -(z_i^2 + log 2 pi) / 2 - log L_ii.
    """
    mean, factor = _gaussian("gaussian_log_conditionals", mean, covariance)
    (x,) = checked("gaussian_log_conditionals", 1, x=x)
    if x.shape[1] != len(mean):
        raise ValueError(f"gaussian_log_conditionals: x is {x.shape} but the mean has {len(mean)} numbers")
    z = numpy.linalg.solve(factor, (x - mean).T).T
    return -(z**2 + _LOG_2PI) / 2 - numpy.log(factor.diagonal())


def gaussian_log_density(x: Any, mean: Any, covariance: Any) -> numpy.ndarray:
    """log N(x; mean, covariance) of x (N, D), as (N,)."""
    return gaussian_log_conditionals(x, mean, covariance).sum(axis=1)


def gaussian_entropy(covariance: Any) -> float:
    """(D (1 + log 2 pi) + log det S) / 2."""
    _, factor = _gaussian("gaussian_entropy", numpy.zeros(len(numpy.asarray(covariance))), covariance)
    return float(len(factor) * (1 + _LOG_2PI) / 2 + numpy.log(factor.diagonal()).sum())


def gaussian_kl_divergence(mean1: Any, covariance1: Any, mean2: Any, covariance2: Any) -> float:
    """KL(N1 || N2) = (tr(S2^-1 S1) + (m2 - m1)^T S2^-1 (m2 - m1) - D + log(det S2 / det S1)) / 2.

    Their Wasserstein distance of order 2, squared, is `minigan.metrics.gaussian_frechet_distance`.
    """
    m1, l1 = _gaussian("gaussian_kl_divergence", mean1, covariance1)
    m2, l2 = _gaussian("gaussian_kl_divergence", mean2, covariance2)
    if m1.shape != m2.shape:
        raise ValueError(f"gaussian_kl_divergence: means have shapes {m1.shape} and {m2.shape}; wanted one")
    z = numpy.linalg.solve(l2, numpy.column_stack([l1, m2 - m1]))
    logs = numpy.log(l2.diagonal()).sum() - numpy.log(l1.diagonal()).sum()
    return float(((z**2).sum() - len(m1)) / 2 + logs)


def kl_estimate(x: Any, y: Any, k: int = 1) -> float:
    """KL(P || Q) from samples x (N, D) of P and y (M, D) of Q, by their k-th neighbours.

    D / N sum log(s_i / r_i) + log(M / (N - 1)), where r_i and s_i are the distances of x_i from its k-th neighbour
    among the other x, and among y (Wang, Kulkarni and Verdu 2009, equation 5). Right in the limit of many samples, slow
    to get there where D is large; may be negative. `ValueError` where points coincide: such data has no density.
    """
    x, y = checked("kl_estimate", x=x, y=y)
    if not 1 <= k <= min(len(x) - 1, len(y)):
        raise ValueError(f"kl_estimate: k is {k} for {len(x)} x and {len(y)} y; wanted 1 to "
                         f"{min(len(x) - 1, len(y))}")  # fmt: skip
    x, y = x - x.mean(axis=0, dtype=numpy.float64), y - x.mean(axis=0, dtype=numpy.float64)
    logs = []
    for other, own in ((y, False), (x, True)):
        squares = numpy.concatenate([numpy.partition(d, k - 1 + own, axis=1)[:, k - 1 + own]
                                     for _, d in squared_distances(x, other)])  # fmt: skip
        if not squares.all():
            raise ValueError("kl_estimate: some points coincide, and so have no density; add a little noise, or count "
                             "them and use kl_divergence")  # fmt: skip
        logs.append(numpy.log(squares) / 2)
    return float(x.shape[1] * (logs[0] - logs[1]).mean() + math.log(len(y) / (len(x) - 1)))


def js_estimate(real_logits: Any, fake_logits: Any) -> float:
    """Lower bound of the Jensen-Shannon divergence that a discriminator shows: its logits on real and on made samples.

    ln 2 - loss / 2 with the loss of the first GAN, -E[log D(x)] - E[log(1 - D(G(z)))]; exact for the best D (Goodfellow
    et al. 2014, theorem 1), below it for any other.
    """
    real, fake = (numpy.asarray(y, numpy.float64) for y in (real_logits, fake_logits))
    if not real.size or not fake.size or numpy.isnan(real).any() or numpy.isnan(fake).any():
        raise ValueError("js_estimate: wanted one logit or more of each kind, none of them NaN")
    return math.log(2) - float(numpy.logaddexp(0, -real).mean() + numpy.logaddexp(0, fake).mean()) / 2
