"""Measures of who lives beside whom: precision and recall, density and coverage, the two-sample test, copies.

A set is described by balls, one around each point, that reach to its k-th neighbour of the same set. What lies in a
ball of the real set is believable, a real point with no sample near it is missed. All are made from three passes over
the distances (real to real, fake to fake, fake to real), a block at a time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy

from minigan.metrics.points import checked, squared_distances


class Neighbours(NamedTuple):
    """All that `neighbours` measures; each is a share from 0 to 1, but density, which may exceed 1."""

    precision: float
    recall: float
    density: float
    coverage: float
    real_found: float
    fake_found: float


def neighbours(real: Any, fake: Any, k: int = 3, k_density: int = 5) -> Neighbours:
    """Measure real (N, D) against fake (M, D).

    precision: share of the samples in some ball of the real set; recall: share of the real points in some ball of the
    samples' (Kynkaanniemi et al. 2019, arXiv:1904.06991, with `k`).
    density: how many real balls a sample lies in, over `k_density`; coverage: share of the real balls that hold a
    sample (Naeem et al. 2020, arXiv:2002.09797). Density is about 1 between sets from one source.
    real_found, fake_found: how often the nearest other point of the union gives away what a point is: 0.5 is ideal. A
    lack of variety lowers the first and raises the second; copies of the real set lower both (Xu et al. 2018,
    arXiv:1806.07755). Ties count half.

    Raises:
        ValueError: NaN, other D, or a `k` that is not from 1 to the number of rows less one.
    """
    real, fake = checked("neighbours", real=real, fake=fake)
    fewest = min(len(real), len(fake))
    if not (1 <= k < fewest and 1 <= k_density < fewest):
        raise ValueError(f"neighbours: k is {k} and k_density {k_density} but the smaller set has {fewest} points, "
                         f"each with {fewest - 1} others; pass a smaller k or draw more samples")  # fmt: skip
    centre = real.mean(axis=0, dtype=numpy.float64)  # rounding errors grow with the distance from 0
    real, fake = real - centre, fake - centre
    radii_real, radii_fake = _nearest_others(real, max(k, k_density)), _nearest_others(fake, k)
    ball, ball_density = radii_real[:, k - 1], radii_real[:, k_density - 1]
    believable, inside = 0, 0
    recalled = numpy.zeros(len(real), bool)
    to_fake, to_real = numpy.full(len(real), numpy.inf), numpy.empty(len(fake))
    for part, d in squared_distances(fake, real):
        believable += (d <= ball).any(axis=1).sum()
        inside += (d <= ball_density).sum()
        recalled |= (d <= radii_fake[part, k - 1, None]).any(axis=0)
        numpy.minimum(to_fake, d.min(axis=0), out=to_fake)
        to_real[part] = d.min(axis=1)
    return Neighbours(
        float(believable / len(fake)), float(recalled.mean()),
        float(inside / (k_density * len(fake))), float((to_fake <= ball_density).mean()),
        _found(radii_real[:, 0], to_fake), _found(radii_fake[:, 0], to_real),
    )  # fmt: skip


def _nearest_others(x: numpy.ndarray, k: int) -> numpy.ndarray:
    """Squared distances (N, k) of each point from its k nearest others, in rising order."""
    result = numpy.empty((len(x), k))
    for part, d in squared_distances(x, x):
        d[numpy.arange(len(d)), numpy.arange(part.start, part.stop)] = numpy.inf
        result[part] = numpy.sort(numpy.partition(d, k - 1, axis=1)[:, :k], axis=1)
    return result


def _found(own: numpy.ndarray, other: numpy.ndarray) -> float:
    return float((own < other).mean() + (own == other).mean() / 2)


def precision_recall(real: Any, fake: Any, k: int = 3) -> tuple[float, float]:
    """Improved precision and recall, see `neighbours`."""
    return neighbours(real, fake, k, k)[:2]


def density_coverage(real: Any, fake: Any, k: int = 5) -> tuple[float, float]:
    """Density and coverage, see `neighbours`."""
    return neighbours(real, fake, k, k)[2:4]


def two_sample(real: Any, fake: Any) -> tuple[float, float]:
    """Leave-one-out accuracy of the nearest neighbour, on the real and on the fake half, see `neighbours`."""
    return neighbours(real, fake, 1, 1)[4:]


def nearest(training: Any, samples: Any) -> tuple[numpy.ndarray, numpy.ndarray]:
    """For each sample (M, D) the index (M,) of the nearest training point (N, D) and the distance (M,) from it.

    Exact copies have distance 0 if the numbers are integers, such as bytes. Only a block of `training` at a time is
    made float64. ``ValueError`` for NaN, other D, or no rows.
    """
    training, samples = checked("nearest", 1, training=training, samples=samples)
    index, least = numpy.zeros(len(samples), numpy.int64), numpy.full(len(samples), numpy.inf)
    for part, d in squared_distances(training, samples):
        best = d.argmin(axis=0)
        value = d[best, numpy.arange(len(samples))]
        closer = value < least
        index[closer], least[closer] = best[closer] + part.start, value[closer]
    return index, numpy.sqrt(least)
