"""The Frechet distance: two clouds of features, each seen as a Gaussian (Heusel et al. 2017, arXiv:1706.08500).

    d = |m1 - m2|^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^(1/2))

Mean and covariance can be gathered piece by piece, so that 50,000 images need the memory of one batch. The trace of the
root needs no root of a matrix: with S = R R^T it is the sum of the singular values of R1^T R2.
"""

from __future__ import annotations

from typing import Any

import numpy

from minigan.metrics.points import checked


class GaussianStatistics:
    """Count, mean and covariance of features that arrive in pieces, float64 (Chan, Golub and LeVeque 1979).

    >>> statistics = GaussianStatistics()
    >>> for batch in ([[0.0, 1.0]], [[2.0, 1.0], [4.0, 4.0]]):
    ...     statistics.update(batch)
    >>> statistics.mean.tolist(), statistics.covariance.tolist()
    ([2.0, 2.0], [[4.0, 3.0], [3.0, 3.0]])
    """

    def __init__(self) -> None:
        self.n = 0
        self.mean: Any = 0.0
        self._scatter: Any = 0.0  # sum of (x - mean) (x - mean)^T

    def update(self, features: Any) -> None:
        """Add features (N, D), N >= 1; ``ValueError`` as for the distance."""
        (x,) = checked("GaussianStatistics", 1, features=features)
        other = GaussianStatistics()
        other.n, other.mean = len(x), x.mean(axis=0, dtype=numpy.float64)
        centred = x - other.mean
        other._scatter = centred.T @ centred
        self.merge(other)

    def merge(self, other: GaussianStatistics) -> None:
        """Add what another one has seen, as if it had been seen here."""
        if self.n and other.n and self.mean.shape != other.mean.shape:
            raise ValueError(f"GaussianStatistics: features of {other.mean.size} numbers come to such of "
                             f"{self.mean.size}; make all of them with one net, of one layer")  # fmt: skip
        n = self.n + other.n
        if other.n:
            step = other.mean - self.mean
            self._scatter = self._scatter + other._scatter + numpy.outer(step, step) * (self.n * other.n / n)
            self.mean = self.mean + step * (other.n / n)
        self.n = n

    @property
    def covariance(self) -> numpy.ndarray:
        """(D, D), of N - 1 degrees of freedom; ``ValueError`` for fewer than two rows."""
        if self.n < 2:
            raise ValueError(f"GaussianStatistics: {self.n} rows have no covariance; give two or more")
        return self._scatter / (self.n - 1)


def gaussian_frechet_distance(mean1: Any, covariance1: Any, mean2: Any, covariance2: Any) -> float:
    """d of two Gaussians: means (D,), covariances (D, D), symmetric and positive semidefinite; their W2 squared."""
    m1, m2, s1, s2 = (numpy.asarray(a, numpy.float64) for a in (mean1, mean2, covariance1, covariance2))
    if m1.shape != m2.shape or s1.shape != s2.shape or s1.shape != m1.shape * 2:
        raise ValueError(f"gaussian_frechet_distance: means {m1.shape}, {m2.shape} and covariances {s1.shape}, "
                         f"{s2.shape}; wanted (D,) and (D, D) of one D")  # fmt: skip
    root = numpy.linalg.svd(_factor(s1).T @ _factor(s2), compute_uv=False).sum()
    return max(float(((m1 - m2) ** 2).sum() + numpy.trace(s1) + numpy.trace(s2) - 2 * root), 0.0)


def _factor(covariance: numpy.ndarray) -> numpy.ndarray:
    """R with R R^T = S; directions in which nothing varies have eigenvalues around 0, of either sign."""
    values, vectors = numpy.linalg.eigh(covariance)
    return vectors * numpy.sqrt(numpy.maximum(values, 0))


def frechet_distance(real: Any, fake: Any) -> float:
    """d of two sets of features (N, D) and (M, D), or of two `GaussianStatistics`; never negative, symmetric.

    It falls with N: compare numbers of one N only, and give it. ``ValueError`` for NaN, fewer than two rows, other D.
    """
    pair = []
    for name, x in (("real", real), ("fake", fake)):
        if not isinstance(x, GaussianStatistics):
            (features,) = checked("frechet_distance", **{name: x})
            x = GaussianStatistics()
            x.update(features)
        pair.append(x)
    a, b = pair
    return gaussian_frechet_distance(a.mean, a.covariance, b.mean, b.covariance)
