"""Walks through noise, and noise that is truncated, beside closed forms."""

import numpy
import pytest

from minigan.gans.walks import between, truncated, walk


def test_a_great_circle_keeps_its_radius_and_its_pace():
    a, b = numpy.array([[2.0, 0.0], [3.0, 0.0]]), numpy.array([[0.0, 2.0], [0.0, -3.0]])
    for t in (0, 0.25, 1):
        way = numpy.pi / 2 * t
        numpy.testing.assert_allclose(between(a, b, t)[0], [2 * numpy.cos(way), 2 * numpy.sin(way)], atol=1e-12)
        numpy.testing.assert_allclose(between(a, b, t)[1], [3 * numpy.cos(way), -3 * numpy.sin(way)], atol=1e-12)
    numpy.testing.assert_allclose(between(a, b, 0.5, "linear"), [[1, 1], [1.5, -1.5]])


def test_where_there_is_no_one_circle_the_way_is_a_line():
    a = numpy.array([[1.0, 1.0], [1.0, 1.0]], "f")
    b = numpy.array([[3.0, 3.0], [-1.0, -1.0]], "f")
    found = between(a, b, 0.25)
    assert found.dtype == numpy.float32
    numpy.testing.assert_allclose(found, [[1.5, 1.5], [0.5, 0.5]], rtol=1e-6)


@pytest.mark.parametrize("kind", ["slerp", "linear"])
def test_a_walk_meets_its_points(kind):
    points = numpy.random.RandomState(0).standard_normal((3, 4, 5))
    there = walk(points, 9, kind)
    assert there.shape == (4, 9, 5)
    for step, point in ((0, 0), (4, 1), (8, 2)):
        numpy.testing.assert_allclose(there[:, step], points[point])
    around = walk(points, 9, kind, closed=True)
    for step, point in ((0, 0), (3, 1), (6, 2)):
        numpy.testing.assert_allclose(around[:, step], points[point], atol=1e-12)
    numpy.testing.assert_allclose(around[:, 8], between(points[2], points[0], 2 / 3, kind))


def test_truncated_noise_is_distributed_as_noise_drawn_again():
    rng = numpy.random.RandomState(0)
    z = rng.standard_normal((20000, 3)).astype("f")
    found = truncated(z, 0.8, 2)
    kept = z[numpy.abs(z[:, 0]) <= 0.8, 0]  # what drawing again comes to
    assert found.dtype == numpy.float32 and numpy.abs(found[:, :2]).max() <= 0.8
    share = numpy.linspace(0.02, 0.98, 25)
    numpy.testing.assert_allclose(numpy.quantile(found[:, 0], share), numpy.quantile(kept, share), atol=0.025)
    assert (found[:, 2] == z[:, 2]).all()  # codes stay
    assert (numpy.argsort(found[:50, 0]) == numpy.argsort(z[:50, 0])).all()
    numpy.testing.assert_allclose(truncated(z, 9, 3), z, atol=1e-5)
