"""Points of the plane on which a GAN shows in seconds whether it loses modes: a ring of Gaussians."""

from __future__ import annotations

from typing import Any

import numpy

MODES = 8
SIGMA = 0.05  #: deviation of each mode, whose centres are 2 sin(pi / 8) = 0.77 apart


def ring_centres() -> numpy.ndarray:
    """The centres of the modes, float64 (8, 2), on the unit circle."""
    angles = numpy.arange(MODES) * (2 * numpy.pi / MODES)
    return numpy.stack([numpy.cos(angles), numpy.sin(angles)], 1)


def get_ring(n: int = 8000, seed: int = 0) -> numpy.ndarray:
    """n points, float32 (n, 2): each from N(c, 0.05^2) about one of the centres, which are equally likely."""
    random = numpy.random.RandomState(seed)
    points = ring_centres()[random.randint(MODES, size=n)] + SIGMA * random.standard_normal((n, 2))
    return points.astype(numpy.float32)


def ring_coverage(points: Any) -> tuple[int, float]:
    """Of points (N, 2): how many modes are met, and the share of good points, those within 3 sigma of a centre.

    A mode is met if it has at least a fifth of its part of N points, all of them good.
    """
    distances = numpy.linalg.norm(numpy.asarray(points, numpy.float64)[:, None] - ring_centres(), axis=2)
    good = distances.min(1) < 3 * SIGMA
    counts = numpy.bincount(distances.argmin(1)[good], minlength=MODES)
    return int((counts * 5 * MODES >= len(points)).sum()), float(good.mean())
