"""The ring: where its points lie, and what counts as a mode that is met."""

import numpy
import pytest

from minigan.datasets import get_ring, ring_coverage
from minigan.datasets.toys import ring_centres


def test_points_lie_around_eight_centres_on_the_unit_circle():
    points, centres = get_ring(4000), ring_centres()
    assert points.shape == (4000, 2) and points.dtype == numpy.float32
    numpy.testing.assert_allclose(numpy.linalg.norm(centres, axis=1), 1)
    nearest = numpy.linalg.norm(points[:, None] - centres, axis=2).argmin(1)
    for mode in range(8):
        own = points[nearest == mode]
        assert 420 < len(own) < 580
        numpy.testing.assert_allclose(own.mean(0), centres[mode], atol=0.01)
        numpy.testing.assert_allclose(own.std(0), 0.05, atol=0.005)
    assert numpy.array_equal(points, get_ring(4000)) and not numpy.array_equal(points, get_ring(4000, seed=1))


def test_coverage():
    modes, good = ring_coverage(get_ring(4000))
    assert modes == 8 and good == pytest.approx(1 - numpy.exp(-4.5), abs=0.005)  # within 3 sigma in two dimensions
    centres = ring_centres()
    assert ring_coverage(numpy.repeat(centres[:3], 10, 0)) == (3, 1.0)
    assert ring_coverage(numpy.zeros((50, 2))) == (0, 0.0)
    assert ring_coverage(numpy.concatenate([centres[:1].repeat(99, 0), centres[1:2]])) == (1, 1.0)  # 1 in 100 is luck
    assert ring_coverage(centres + [0.1, 0.12])[0] == 0 and ring_coverage(centres + [0.08, 0.08])[0] == 8
