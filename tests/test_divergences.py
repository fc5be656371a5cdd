"""Divergences against their definitions, closed forms, and what SciPy says of the same."""

import numpy
import pytest
from scipy import stats

from minigan import divergences as D
from minigan.metrics import gaussian_frechet_distance


@pytest.fixture
def pair(rng):
    return rng.dirichlet(numpy.ones(7), 4), rng.dirichlet(numpy.ones(7), 4)


def test_cross_entropy_is_entropy_and_divergence(pair):
    p, q = pair
    numpy.testing.assert_allclose(D.cross_entropy(p, q), D.entropy(p) + D.kl_divergence(p, q), rtol=1e-12)
    numpy.testing.assert_allclose(D.entropy(p), stats.entropy(p, axis=1), rtol=1e-12)
    numpy.testing.assert_allclose(D.kl_divergence(p, q), stats.entropy(p, q, axis=1), rtol=1e-12)
    assert D.entropy(numpy.full(8, 1 / 8)) == pytest.approx(numpy.log(8))


def test_cross_entropy_of_labels_is_that_of_one_hot_rows(pair):
    _, q = pair
    labels = numpy.array([3, 0, 6, 6])
    expected = -numpy.log(q[numpy.arange(4), labels])
    numpy.testing.assert_allclose(D.cross_entropy(labels, q), expected, rtol=1e-14)
    numpy.testing.assert_allclose(D.cross_entropy(numpy.eye(7)[labels], q), expected, rtol=1e-14)
    numpy.testing.assert_allclose(D.cross_entropy(numpy.eye(7, dtype=int)[labels], q), expected, rtol=1e-14)
    assert D.cross_entropy([1], [[1.0, 0]]) == numpy.inf


def test_kl_is_0_for_equal_ones_only_and_infinite_where_q_misses(pair):
    p, q = pair
    assert (D.kl_divergence(p, p) == 0).all() and (D.kl_divergence(p, q) > 0).all()
    assert D.kl_divergence([1, 0], [0.5, 0.5]) == pytest.approx(numpy.log(2))
    assert D.kl_divergence([0.5, 0.5], [1, 0]) == numpy.inf


def test_js_is_symmetric_0_for_equal_and_ln_2_for_disjoint_ones(pair):
    p, q = pair
    assert (D.js_divergence(p, p) == 0).all()
    numpy.testing.assert_allclose(D.js_divergence(p, q), D.js_divergence(q, p), rtol=1e-14)
    assert D.js_divergence([0.3, 0.7, 0, 0], [0, 0, 1, 0]) == pytest.approx(numpy.log(2), rel=1e-14)


def test_wasserstein_of_shifted_sorted_and_unequal_samples(rng):
    x = rng.standard_normal(100)
    assert D.wasserstein_1d(x, rng.permutation(x) + 2.5) == pytest.approx(2.5, rel=1e-12)
    assert D.wasserstein_1d(x, x) == 0
    y = rng.exponential(size=100)
    assert D.wasserstein_1d(x, y) == pytest.approx(abs(numpy.sort(x) - numpy.sort(y)).mean(), rel=1e-12)
    assert D.wasserstein_1d([0, 1], [0, 0, 3]) == pytest.approx(1 / 6 * 1 + 1 / 3 * 2)  # areas of the two steps
    assert D.wasserstein_1d(x, y[:37]) == pytest.approx(stats.wasserstein_distance(x, y[:37]), rel=1e-12)


def test_the_log_density_is_scipys_and_the_sum_of_its_conditionals(rng):
    a = rng.standard_normal((3, 3))
    mean, s, x = rng.standard_normal(3), a @ a.T + numpy.eye(3), rng.standard_normal((5, 3))
    joint = D.gaussian_log_density(x, mean, s)
    numpy.testing.assert_allclose(joint, stats.multivariate_normal(mean, s).logpdf(x), rtol=1e-12)
    chain = D.gaussian_log_conditionals(x, mean, s)
    numpy.testing.assert_allclose(chain.sum(axis=1), joint, rtol=1e-14)
    for i in range(3):  # x_i given those before is a Gaussian, whose mean and variance the Schur complement gives
        w = numpy.linalg.solve(s[:i, :i], s[:i, i])
        loc, variance = mean[i] + (x[:, :i] - mean[:i]) @ w, s[i, i] - s[i, :i] @ w
        numpy.testing.assert_allclose(chain[:, i], stats.norm(loc, numpy.sqrt(variance)).logpdf(x[:, i]), rtol=1e-11)
    by_hand = -0.125 - numpy.log(2 * numpy.sqrt(2 * numpy.pi))
    assert D.gaussian_log_density([[1.0]], [0], [[4]]) == pytest.approx(by_hand)


def test_gaussian_divergences_in_closed_form(rng):
    m, s = 0.7, 1.5  # of one number: log s + (1 + m^2) / (2 s^2) - 1/2
    expected = numpy.log(s) + (1 + m**2) / (2 * s**2) - 0.5
    assert D.gaussian_kl_divergence([0], [[1]], [m], [[s**2]]) == pytest.approx(expected, rel=1e-12)
    a, b = (v @ v.T + numpy.eye(3) for v in rng.standard_normal((2, 3, 3)))
    n = rng.standard_normal(3)
    assert D.gaussian_kl_divergence(n, a, n, a) == pytest.approx(0, abs=1e-12)
    assert D.gaussian_entropy(a) == pytest.approx(stats.multivariate_normal(cov=a).entropy(), rel=1e-12)
    x = rng.multivariate_normal(n, a, 100_000)
    mean = (D.gaussian_log_density(x, n, a) - D.gaussian_log_density(x, n * 0, b)).mean()
    assert D.gaussian_kl_divergence(n, a, n * 0, b) == pytest.approx(mean, rel=0.02)


def test_estimates_from_samples_come_near_the_closed_forms(rng):
    for d in (1, 2):
        x, y = rng.standard_normal((1000, d)), 0.5 + 1.5 * rng.standard_normal((1500, d))
        exact = D.gaussian_kl_divergence(numpy.zeros(d), numpy.eye(d), numpy.full(d, 0.5), 2.25 * numpy.eye(d))
        assert abs(D.kl_estimate(x, y, 5) - exact) < 0.1
        assert abs(D.kl_estimate(x, rng.standard_normal((1000, d)))) < 0.15
    x, y = rng.standard_normal((2, 20_000))
    assert D.wasserstein_1d(x, y + 1) ** 2 == pytest.approx(gaussian_frechet_distance([0], [[1]], [1], [[1]]), rel=0.05)


def test_the_estimate_by_neighbours_of_three_points():
    # x = 0, 1, 3 and y = 0.5, 10: r = 1, 1, 2; s = 0.5, 0.5, 2.5
    expected = numpy.log([0.5, 0.5, 1.25]).mean() + numpy.log(2 / 2)
    assert D.kl_estimate([[0], [1], [3]], [[0.5], [10]]) == pytest.approx(expected, rel=1e-12)


def test_the_best_discriminator_shows_js_and_any_other_less(rng):
    p, q = numpy.array([0.5, 0.3, 0.2]), numpy.array([0.1, 0.3, 0.6])
    real, fake = (numpy.repeat(numpy.arange(3), numpy.rint(10 * h).astype(int)) for h in (p, q))
    best = numpy.log(p / q)  # logit of p / (p + q)
    assert D.js_estimate(best[real], best[fake]) == pytest.approx(D.js_divergence(p, q), rel=1e-12)
    other = best + 0.3
    assert D.js_estimate(other[real], other[fake]) < D.js_divergence(p, q)
    assert D.js_estimate([1e3], [-1e3]) == pytest.approx(numpy.log(2)) and D.js_estimate([0], [0]) == 0


BAD = [
    (lambda: D.entropy([0.5, 0.6]), "does not add up to 1"),
    (lambda: D.kl_divergence([1.0], [0.5, 0.5]), "q has shape"),
    (lambda: D.js_divergence([1.5, -0.5], [0.5, 0.5]), "none negative"),
    (lambda: D.cross_entropy([2], [[0.5, 0.5]]), "from 0 to 1"),
    (lambda: D.wasserstein_1d([], [1]), "x has 0 rows"),
    (lambda: D.wasserstein_1d([1], [numpy.nan]), "y has NaN"),
    (lambda: D.gaussian_log_density([[1.0]], [0, 0], numpy.eye(2)), "the mean has 2 numbers"),
    (lambda: D.gaussian_entropy([[1, 2], [2, 1]]), "not positive definite"),
    (lambda: D.gaussian_kl_divergence([0], [[1]], [0, 0], numpy.eye(2)), "wanted one"),
    (lambda: D.gaussian_kl_divergence([0], [1], [0], [1]), r"wanted \(D,\) and \(D, D\)"),
    (lambda: D.kl_estimate([[0.0], [1]], [[0.0], [2]]), "coincide"),
    (lambda: D.kl_estimate([[0.0], [1]], [[2.0]] * 2, 2), "wanted 1 to 1"),
    (lambda: D.js_estimate([], [1]), "one logit or more"),
]


@pytest.mark.parametrize("bad, text", BAD)
def test_bad_input_is_a_sentence(bad, text):
    with pytest.raises(ValueError, match=text):
        bad()
