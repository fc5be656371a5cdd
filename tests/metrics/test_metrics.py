"""Every measure against a closed form, a case computed by hand, a plain loop, and the packages that people use.

The numbers of `REFERENCE` come from these features and logits:

    rng = numpy.random.RandomState(0)
    real = rng.standard_normal((300, 8)); fake = rng.standard_normal((300, 8)) * 0.8 + 0.3
    logits = rng.standard_normal((300, 10)) * 3; t1, t2 = torch.tensor(real), torch.tensor(fake)
"""

import doctest
import tracemalloc

import numpy
import pytest

from minigan import metrics
from minigan.metrics import frechet, points
from minigan.metrics.prd import k_means

REFERENCE = {
    # pytorch-fid 0.3.0: calculate_frechet_distance(m1, s1, m2, s2), covariances by numpy.cov; torchmetrics 1.9.0:
    # image.fid._compute_fid of the same, 1.1935694394313199, too; torch-fidelity 0.4.0:
    # fid_statistics_to_metric(fid_features_to_statistics(t1), fid_features_to_statistics(t2), False) 1.1935694394313234
    "frechet": 1.1935694394313199,
    "mmd": 0.36635461857692997,  # torchmetrics 1.9.0: image.kid.poly_mmd(t1, t2)
    # torch-fidelity 0.4.0: kid_features_to_metric(t1, t2, kid_subsets=20, kid_subset_size=100, rng_seed=7)
    "kid": (0.4096161766631522, 0.08081912450457145),
    # torch-fidelity 0.4.0: isc_features_to_metric(logits, splits=5, shuffle=False), then shuffle=True, rng_seed=7
    "score": (4.001169675838575, 0.22716031209818616),
    "score, shuffled": (3.9700432980329055, 0.26858924486111796),
    # prdc 0.2: compute_prdc(real, fake, nearest_k=5), then 3; torch-fidelity 0.4.0: prc_features_to_metric(t2, t1,
    # prc_neighborhood=3) 0.93999999, 0.60666668
    "prdc 5": (0.99, 0.7233333333333334, 1.2793333333333334, 0.9066666666666666),
    "prdc 3": (0.94, 0.6066666666666667, 1.2077777777777778, 0.7733333333333333),
    # scikit-learn 1.9.1: second column of KNeighborsClassifier(1).fit(X, y).kneighbors(X, 2) on the union
    "two-sample": (0.54, 0.7066666666666667),
    # prd_score.py of the paper's authors: prd_to_max_f_beta_pair(*compute_prd_from_embedding(fake, real)), mean and
    # standard deviation of 10 calls after numpy.random.seed(0): its k-means is another one
    "prd": ((0.92008141, 0.93987384), (0.00909639, 0.00605493)),
}


@pytest.fixture
def sets(rng):
    real = rng.standard_normal((300, 8))
    return real, rng.standard_normal((300, 8)) * 0.8 + 0.3, rng.standard_normal((300, 10)) * 3


def test_all_are_what_the_reference_packages_say(sets):
    real, fake, logits = sets
    close = {"rtol": 1e-12, "atol": 0}
    numpy.testing.assert_allclose(metrics.frechet_distance(real, fake), REFERENCE["frechet"], **close)
    numpy.testing.assert_allclose(metrics.polynomial_mmd(real, fake), REFERENCE["mmd"], **close)
    numpy.testing.assert_allclose(metrics.kernel_distance(real, fake, 20, 100, 7), REFERENCE["kid"], **close)
    numpy.testing.assert_allclose(metrics.classifier_score(logits, 5, None), REFERENCE["score"], **close)
    numpy.testing.assert_allclose(metrics.classifier_score(logits, 5, 7), REFERENCE["score, shuffled"], **close)
    for k in (3, 5):
        numpy.testing.assert_allclose(metrics.neighbours(real, fake, k, k)[:4], REFERENCE[f"prdc {k}"], **close)
    numpy.testing.assert_allclose(metrics.two_sample(real, fake), REFERENCE["two-sample"], **close)
    f8, (mean, spread) = metrics.f_scores(*metrics.prd(real, fake)), REFERENCE["prd"]
    assert all(abs(a - b) < 2 * s for a, b, s in zip(f8, mean, spread))


def test_the_short_names_pick_from_the_whole(sets):
    real, fake, _ = sets
    whole = metrics.neighbours(real, fake)
    assert whole[:2] == metrics.precision_recall(real, fake) and whole[2:4] == metrics.density_coverage(real, fake)
    assert whole[4:] == metrics.two_sample(real, fake)


def test_statistics_of_pieces_are_those_of_the_whole(rng):
    x = rng.standard_normal((1000, 5)) @ rng.standard_normal((5, 5)) + 1000
    whole, other = metrics.GaussianStatistics(), metrics.GaussianStatistics()
    for piece in numpy.array_split(x[:700], [1, 3, 400]):
        whole.update(piece)
    for piece in (x[700:701], x[701:]):
        other.update(piece.astype(numpy.float32).astype(numpy.float64) if len(piece) == 1 else piece)
    whole.merge(other)
    whole.merge(metrics.GaussianStatistics())
    x[700] = x[700].astype(numpy.float32)
    assert whole.n == 1000
    numpy.testing.assert_allclose(whole.mean, x.mean(axis=0), rtol=1e-14)
    numpy.testing.assert_allclose(whole.covariance, numpy.cov(x, rowvar=False), rtol=1e-10, atol=1e-10)


def test_statistics_of_float32_far_from_zero_lose_nothing(rng):
    x = (rng.standard_normal((4000, 2)) + 3000).astype(numpy.float32)
    statistics = metrics.GaussianStatistics()
    for piece in numpy.array_split(x, 7):
        statistics.update(piece)
    numpy.testing.assert_allclose(statistics.covariance, numpy.cov(x.astype(float), rowvar=False), rtol=1e-9, atol=1e-9)


def test_statistics_of_50000_images_need_little_memory(rng):
    tracemalloc.start()
    statistics = metrics.GaussianStatistics()
    for _ in range(100):
        statistics.update(numpy.ones((500, 64)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert statistics.n == 50_000 and peak < 2e6  # the whole is 25.6 MB


def test_frechet_distance_of_gaussians_in_closed_form(rng):
    a, b = rng.uniform(0.5, 2, 6), rng.uniform(0.5, 2, 6)
    q = numpy.linalg.qr(rng.standard_normal((6, 6)))[0]
    m = rng.standard_normal(6)
    found = metrics.gaussian_frechet_distance(m, q * a**2 @ q.T, numpy.zeros(6), q * b**2 @ q.T)
    numpy.testing.assert_allclose(found, m @ m + ((a - b) ** 2).sum(), rtol=1e-12)  # covariances that commute
    s1, s2 = numpy.array([[2.0, 1], [1, 2]]), numpy.diag([1.0, 4])
    root = numpy.sqrt(numpy.linalg.eigvals(s1 @ s2)).sum()  # and two that do not: 2 x 2, tr sqrt by its eigenvalues
    found = metrics.gaussian_frechet_distance([0, 0], s1, [0, 0], s2)
    numpy.testing.assert_allclose(found, 4 + 5 - 2 * root, rtol=1e-12)


def test_frechet_distance_of_samples_is_that_of_their_gaussians():
    rng = numpy.random.RandomState(1)
    x, y = rng.standard_normal((40_000, 3)), rng.standard_normal((40_000, 3)) * [1, 2, 3] + [0, 0, 2]
    assert abs(metrics.frechet_distance(x, y) / 9 - 1) < 0.01  # 0 + 1 + 4 + 2^2


def test_frechet_distance_with_fewer_images_than_numbers(rng):
    x, y = rng.standard_normal((10, 64)), rng.standard_normal((12, 64)) + 1
    assert metrics.frechet_distance(x, x) < 1e-10
    assert metrics.frechet_distance(x, y) == pytest.approx(metrics.frechet_distance(y, x), rel=1e-9)
    direct = numpy.linalg.eigvals(numpy.cov(x, rowvar=False) @ numpy.cov(y, rowvar=False))
    root = numpy.sqrt(numpy.maximum(direct.real, 0)).sum()
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + x.var(0, ddof=1).sum() + y.var(0, ddof=1).sum() - 2 * root
    assert metrics.frechet_distance(x, y) == pytest.approx(expected, rel=1e-6)


def test_the_kernel_distance_has_no_bias_and_is_that_of_a_loop(rng):
    x, y = rng.standard_normal((5, 2)), rng.standard_normal((7, 2)) + 1

    def k(a, b):
        return (a @ b / 2 + 1) ** 3

    same = [numpy.mean([k(a, b) for i, a in enumerate(s) for j, b in enumerate(s) if i != j]) for s in (x, y)]
    expected = sum(same) - 2 * numpy.mean([k(a, b) for a in x for b in y])
    assert metrics.polynomial_mmd(x, y) == pytest.approx(expected, rel=1e-12)
    z = rng.standard_normal((4000, 2))
    values = [metrics.polynomial_mmd(a, b) for a, b in zip(z[:2000].reshape(-1, 20, 2), z[2000:].reshape(-1, 20, 2))]
    assert min(values) < 0 and abs(numpy.mean(values)) < 3 * numpy.std(values) / 10
    assert metrics.kernel_distance(x, y, 3, 5) == metrics.kernel_distance(x, y, 3, 5)


def test_the_score_is_1_for_one_answer_and_k_for_k_sure_ones():
    assert metrics.classifier_score(numpy.ones((50, 10))) == (1, 0)
    sure = 1000.0 * numpy.eye(10)[numpy.arange(100) % 10]
    assert metrics.classifier_score(sure, 10, None) == pytest.approx((10, 0), rel=1e-12)
    assert metrics.classifier_score(sure, 1)[0] == pytest.approx(10, rel=1e-12)
    assert metrics.classifier_score(sure[::10], 1)[0] == 1  # all of one class
    p = numpy.array([[0.5, 0.5], [0.9, 0.1]])
    kl = (p * numpy.log(p / p.mean(axis=0))).sum(axis=1).mean()
    assert metrics.classifier_score(numpy.log(p), 1)[0] == pytest.approx(numpy.exp(kl), rel=1e-12)


def test_modes_and_their_divergence():
    assert metrics.class_histogram([0, 2, 2], 4).tolist() == [1, 0, 2, 0]
    digits = numpy.stack(numpy.meshgrid(*[numpy.arange(10)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    modes = metrics.stacked_modes(digits)
    assert modes.tolist() == list(range(1000)) and metrics.mode_coverage(modes) == (1000, 1000, 0)
    half = metrics.mode_coverage(modes[:500])
    assert half[:2] == (500, 1000) and half.kl == pytest.approx(numpy.log(2))
    counted = metrics.mode_coverage([0, 0, 0, 1], 3, [1, 1, 2])
    expected = 0.75 * numpy.log(0.75 / 0.25)  # + 0.25 log(0.25 / 0.25)
    assert counted == (2, 3, pytest.approx(expected))
    assert metrics.mode_coverage([0], 2, [0, 1]).kl == numpy.inf


def test_neighbours_of_points_on_a_line():
    """Balls of k = 1, in the squares: real 0, 1, 3 have radii 1, 1, 2; fake 0.25, 10, 10.5 have 9.75, 0.5, 0.5."""
    real, fake = numpy.array([[0.0], [1.0], [3.0]]), numpy.array([[0.25], [10.0], [10.5]])
    found = metrics.neighbours(real, fake, 1, 1)
    assert found.precision == 1 / 3 and found.recall == 1  # the ball of 0.25 reaches to 10
    assert found.density == 2 / 3  # 0.25 lies in the balls of 0 and 1
    assert found.coverage == 2 / 3
    # 0 and 1 are nearer to 0.25, of 3 the nearest is 1; 0.25 has 0, the others have each other
    assert (found.real_found, found.fake_found) == (1 / 3, 2 / 3)


def test_neighbours_of_equal_sets_distant_sets_and_half_the_modes(rng):
    x = rng.standard_normal((400, 2))
    same = metrics.neighbours(x, x)
    assert same[:2] == (1, 1) and same.coverage == 1 and same[4:] == (0, 0)  # copies: always the twin is nearest
    far = metrics.neighbours(x, x + 1000)
    assert far == (0, 0, 0, 0, 1, 1)
    two = numpy.where(numpy.arange(400) % 2, 50, -50)[:, None] + rng.standard_normal((400, 2))
    half = metrics.neighbours(two, 50 + rng.standard_normal((400, 2)))
    assert half.precision > 0.95 and abs(half.recall - 0.5) < 0.05 and abs(half.coverage - 0.5) < 0.05
    assert half.real_found < half.fake_found + 0.3
    ties = numpy.zeros((4, 1))
    assert metrics.two_sample(ties, ties) == (0.5, 0.5)


def test_blocks_change_nothing(sets, monkeypatch):
    real, fake, _ = sets
    before, near = metrics.neighbours(real, fake), metrics.nearest(real, fake)
    labels = k_means(real, 5, numpy.random.RandomState(0))
    monkeypatch.setattr(points, "LIMIT", 2100)  # 7 rows
    numpy.testing.assert_allclose(metrics.neighbours(real, fake), before, rtol=1e-12)
    numpy.testing.assert_allclose(metrics.nearest(real, fake), near, rtol=1e-12)
    assert (k_means(real, 5, numpy.random.RandomState(0)) == labels).all()


def test_distances_take_the_memory_of_a_block(rng, monkeypatch):
    monkeypatch.setattr(points, "LIMIT", 1 << 17)
    x = rng.standard_normal((2000, 4))
    tracemalloc.start()
    metrics.neighbours(x, x, 1, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * 8 * points.LIMIT  # 6 MB; all distances are 32


def test_the_nearest_training_image_is_found_and_copies_have_distance_0(rng):
    training = rng.randint(0, 256, (500, 784)).astype(numpy.uint8)
    samples = training[[7, 123]].copy()
    samples[1, :2] ^= 1
    index, distance = metrics.nearest(training, samples)
    assert index.tolist() == [7, 123] and distance.tolist() == [0, numpy.sqrt(2)]


def test_the_curve_of_histograms_by_hand():
    # prd_score.py of the authors: compute_prd(eval_dist, ref_dist) and prd_to_max_f_beta_pair of it
    precision, recall = metrics.prd_curve([3, 3, 2, 0, 2], [0.1, 0.2, 0.3, 0.4, 0])
    numpy.testing.assert_allclose(precision[[250, 500, 750]], [0.30710678, 0.5, 0.6], atol=1e-8)
    numpy.testing.assert_allclose(recall[[250, 500, 750]], [0.74142136, 0.5, 0.24852814], atol=1e-8)
    numpy.testing.assert_allclose(metrics.f_scores(precision, recall), (0.7759673067, 0.5954043314), atol=1e-9)
    assert precision[500] == pytest.approx(0.1 + 0.2 + 0.2)  # slope 1: what the two have in common


def test_the_curve_of_equal_distant_and_halved_sets(rng):
    x = rng.standard_normal((400, 2)) + 100 * (numpy.arange(400) % 4)[:, None]
    precision, recall = metrics.prd(x, x, clusters=4, repeats=2)
    assert precision.max() == recall.max() == 1 and metrics.f_scores(precision, recall) == pytest.approx((1, 1))
    assert metrics.f_scores(*metrics.prd(x, x - 5000, clusters=8, repeats=1)) == (0, 0)
    half = metrics.prd(x, numpy.concatenate([x[::4], x[1::4]]), clusters=4, repeats=2)
    assert half[0].max() == pytest.approx(1) and half[1].max() == pytest.approx(0.5)
    f8, f18 = metrics.f_scores(*half)
    assert f8 < 0.6 and f18 > 0.95  # recall is lost, precision is not


def test_k_means_finds_clusters_and_bears_points_that_are_all_the_same(rng):
    x = rng.standard_normal((90, 3)) + 50 * (numpy.arange(90) % 3)[:, None]
    label = k_means(x, 3, rng)
    assert len(set(label)) == 3 and all(len(set(label[i::3])) == 1 for i in range(3))
    assert set(k_means(numpy.ones((6, 2)), 3, rng)) <= {0, 1, 2}


GOOD = numpy.arange(12.0).reshape(6, 2)
BAD = [
    (lambda: metrics.frechet_distance(GOOD, [[0, numpy.nan], [1, 1]]), "fake has NaN or infinity in row 0"),
    (lambda: metrics.frechet_distance(GOOD[:1], GOOD), "real has 1 rows; wanted 2 or more"),
    (lambda: metrics.frechet_distance(GOOD, GOOD[0]), r"shape \(2,\); wanted real numbers, \(N, D\)"),
    (lambda: metrics.frechet_distance(GOOD, [["a"], ["b"]]), "wanted real numbers"),
    (lambda: metrics.frechet_distance(GOOD, GOOD[:, :1]), r"means \(2,\), \(1,\)"),
    (lambda: metrics.gaussian_frechet_distance([0], [[1]], [0], [1]), "covariances"),
    (lambda: metrics.GaussianStatistics().covariance, "0 rows have no covariance"),
    (lambda: merged(GOOD, GOOD[:, :1]), "of 1 numbers come to such of 2"),
    (lambda: metrics.polynomial_mmd(GOOD, GOOD[:, :1]), "differ in D"),
    (lambda: metrics.kernel_distance(GOOD, GOOD, size=7), "pass a size from 2 to 6"),
    (lambda: metrics.kernel_distance(GOOD, GOOD, subsets=0, size=2), "subsets of 1 or more"),
    (lambda: metrics.neighbours(GOOD, GOOD, k=6), "smaller set has 6 points, each with 5 others"),
    (lambda: metrics.neighbours(GOOD, GOOD, k=0), "k is 0"),
    (lambda: metrics.nearest(GOOD[:0], GOOD), "training has 0 rows"),
    (lambda: metrics.prd(GOOD, GOOD), "20 clusters of 12 points"),
    (lambda: metrics.prd(GOOD, GOOD, 2, repeats=0), "1 or more repeats"),
    (lambda: metrics.prd_curve([1, 1], [0, 0]), "sums above 0"),
    (lambda: metrics.classifier_score(GOOD, 7), "logits has 6 rows; wanted 7"),
    (lambda: metrics.classifier_score(GOOD, 0), "splits is 0"),
    (lambda: metrics.class_histogram([0, 10]), "from 0 to 10; wanted 0 to 9"),
    (lambda: metrics.class_histogram([0.5]), "wanted integers"),
    (lambda: metrics.mode_coverage([], 3), "classes are float64"),
    (lambda: metrics.mode_coverage([1], 3, [1, 1]), r"reference of shape \(2,\)"),
    (lambda: metrics.stacked_modes([[1, 2]]), r"wanted integers from 0 to 9, \(N, 3\)"),
    (lambda: metrics.stacked_modes([[1, 2, 10]]), "a class 10"),
]


def merged(*sets):
    statistics = metrics.GaussianStatistics()
    for features in sets:
        statistics.update(features)


@pytest.mark.parametrize("bad, text", BAD)
def test_bad_input_is_a_sentence(bad, text):
    with pytest.raises(ValueError, match=text):
        bad()


def test_the_example_in_the_text_runs():
    assert doctest.testmod(frechet).failed == 0
    assert doctest.testmod(frechet).attempted == 3
