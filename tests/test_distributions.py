"""Distributions: densities against sums and integrals, samples against moments and Chainer's stream, divergences."""

import math

import numpy as np
import pytest

from minigan.core import Variable, sum
from minigan.distributions import (
    Bernoulli,
    Distribution,
    Independent,
    Normal,
    cross_entropy,
    kl_divergence,
    register_kl,
)
from minigan.gradient_check import check_backward, check_double_backward

LOC, SCALE = np.array([0.5, -1], "f"), np.array([2, 0.5], "f")

# Chainer 7.8.1: D.Normal(np.array([0.5, -1], "f"), np.array([2, 0.5], "f")).<name>(np.array([1, -3], "f")).array
OF_NORMAL = {
    "prob": [0.19333404, 0.00026766],
    "log_prob": [-1.6433357, -8.225791],
    "cdf": [0.5987063, 3.1671243e-05],
    "log_cdf": [-0.5129841, -10.3601017],
    "survival_function": [0.40129367, 0.99996835],
    "log_survival_function": [-0.91306174, -3.1671745e-05],
}


@pytest.mark.parametrize("name", OF_NORMAL)
@pytest.mark.parametrize("arguments", [{"scale": SCALE}, {"log_scale": np.log(SCALE)}], ids=["scale", "log_scale"])
def test_normal_at_a_value(name, arguments):
    pytest.importorskip("scipy")
    y = getattr(Normal(LOC, **arguments), name)(np.array([1, -3], "f"))
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.array, OF_NORMAL[name], rtol=1e-4)


def test_moments_and_quantiles_of_normal():
    pytest.importorskip("scipy")
    d = Normal(LOC, SCALE)
    assert (d.batch_shape, d.event_shape, d.support, set(d.params)) == ((2,), (), "real", {"loc", "scale"})
    np.testing.assert_array_equal(d.mean.array, LOC)
    np.testing.assert_array_equal(d.stddev.array, SCALE)
    np.testing.assert_array_equal(d.variance.array, SCALE**2)
    np.testing.assert_allclose(d.entropy.array, [2.1120858, 0.7257913], rtol=1e-6)
    np.testing.assert_allclose(d.icdf(np.array([0.1, 0.8], "f")).array, [-2.0631032, -0.57918936], rtol=1e-5)


def test_samples_of_normal_are_chainers():
    # np.random.seed(0); the same distribution .sample(2).array
    np.random.seed(0)
    loc, scale = Variable(LOC), Variable(SCALE)
    y = Normal(loc, scale).sample(2)
    expected = np.array([[4.028105, -0.7999214], [2.457476, 0.12044656]])
    np.testing.assert_allclose(y.array, expected, rtol=1e-6)
    sum(y).backward()
    np.testing.assert_array_equal(loc.grad, [2, 2])
    np.testing.assert_allclose(scale.grad, ((expected - LOC) / SCALE).sum(0), rtol=1e-6)
    assert Normal(LOC, SCALE).sample((3, 4)).shape == (3, 4, 2)
    assert Normal(LOC, SCALE).sample().shape == (2,)


# Chainer 7.8.1: b = D.Bernoulli(logit=np.array([-2, 0, 3], "f")); b.log_prob(np.array([1, 0.5, 0], "f")).array ...
def test_bernoulli_at_a_value():
    b = Bernoulli(logit=np.array([-2, 0, 3], "f"))
    np.testing.assert_allclose(b.log_prob(np.array([1, 0.5, 0], "f")).array, [-2.1269279, -0.6931472, -3.0485873], 1e-6)
    np.testing.assert_allclose(b.entropy.array, [0.36533383, 0.6931472, 0.19086495], rtol=1e-6)
    np.testing.assert_allclose(b.stddev.array, [0.32402712, 0.5, 0.212548], rtol=1e-6)
    np.random.seed(0)
    samples = b.sample(4)
    np.testing.assert_array_equal(samples.array, [[0, 1, 1], [0, 0, 1], [0, 1, 0], [0, 1, 1]])
    assert samples.dtype.kind == "i" and not samples.requires_grad
    assert (b.batch_shape, b.event_shape, b.support, list(b.params)) == ((3,), (), "{0, 1}", ["logit"])


def test_p_and_logit_are_one_distribution():
    p = np.array([0.1, 0.5, 0.8])
    first, second = Bernoulli(p), Bernoulli(logit=np.log(p / (1 - p)))
    np.testing.assert_allclose(first.logit.array, second.logit.array, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(second.mean.array, p, rtol=1e-12)
    for x in (0, 1):
        x = np.full((2, 3), x)
        np.testing.assert_allclose(first.prob(x).array, np.where(x, p, 1 - p) * np.ones((2, 1)), rtol=1e-12)
        np.testing.assert_allclose(second.log_prob(x).array, np.log(first.prob(x).array), rtol=1e-12)


def test_bernoulli_of_certainty():
    b = Bernoulli(logit=np.array([-np.inf, np.inf, 800, -800.0]))
    np.testing.assert_array_equal(b.entropy.array, 0)
    np.testing.assert_array_equal(b.log_prob(np.array([0, 1, 1, 1])).array, [0, 0, 0, -800])
    np.testing.assert_array_equal(b.log_prob(np.array([1, 0, 0, 0])).array, [-np.inf, -np.inf, -800, 0])


def test_a_certain_bernoulli_of_grey_pixels():
    """As Chainer has it: log(x) where the logit is inf and log(1 - x) where it is -inf; no gradient goes there."""
    logit = Variable(np.array([-np.inf, np.inf, 0.5]))
    y = Bernoulli(logit=logit).log_prob(np.array([0.4, 0.4, 0.4]))
    np.testing.assert_allclose(y.array, [np.log(0.6), np.log(0.4), 0.2 - np.log1p(np.exp(0.5))])
    sum(y).backward()
    np.testing.assert_allclose(logit.grad, [0, 0, 0.4 - 1 / (1 + np.exp(-0.5))])


def test_binary_check():
    x, p = np.array([0, 1, 0.5, 2]), np.full(4, 0.25)
    checked = Bernoulli(p, binary_check=True)
    np.testing.assert_allclose(checked.log_prob(x).array, [np.log(0.75), np.log(0.25), -np.inf, -np.inf])
    np.testing.assert_allclose(checked.prob(x).array, [0.75, 0.25, 0, 0])
    np.testing.assert_allclose(Bernoulli(p[:3]).prob(x[:3]).array, [0.75, 0.25, 0.5])


@pytest.mark.parametrize(
    "function",
    [
        lambda a, b: Normal(a, log_scale=b).log_prob(np.ones((2, 3))),
        lambda a, b: Normal(a, log_scale=b).entropy * a,
        lambda a, b: Bernoulli(logit=a).log_prob(np.array([[0, 1, 0.25], [1, 1, 0]])) * b,
        lambda a, b: Bernoulli(logit=a).entropy * b,
        lambda a, b: kl_divergence(Normal(a, log_scale=b), Normal(b, log_scale=a)),
        lambda a, b: kl_divergence(Bernoulli(logit=a), Bernoulli(logit=b)),
        lambda a, b: Independent(Normal(a, log_scale=b), 1).prob(np.ones((2, 3))),
    ],
)
def test_derivatives(function):
    rng = np.random.RandomState(0)
    a, b, gga, ggb = (rng.standard_normal((2, 3)) for _ in range(4))
    gy = rng.standard_normal(function(Variable(a), Variable(b)).shape)
    check_backward(function, (a, b), gy, atol=1e-7, rtol=1e-6)
    check_double_backward(function, (a, b), gy, (gga, ggb), atol=1e-6, rtol=1e-5)


def test_gradient_at_logit_zero():
    logit = Variable(np.zeros(2))
    sum(Bernoulli(logit=logit).log_prob(np.array([1.0, 0]))).backward()
    np.testing.assert_array_equal(logit.grad, [0.5, -0.5])


def test_independent_adds_logarithms_over_the_event():
    rng = np.random.RandomState(0)
    inner = Normal(rng.randn(4, 2, 3), np.exp(rng.randn(4, 2, 3)))
    x = rng.randn(5, 4, 2, 3)
    for ndims, batch, event in ((None, (4,), (2, 3)), (1, (4, 2), (3,)), (0, (4, 2, 3), ()), (3, (), (4, 2, 3))):
        d = Independent(inner, ndims)
        axes = tuple(range(4 - len(event), 4))
        assert (d.batch_shape, d.event_shape) == (batch, event)
        np.testing.assert_allclose(d.log_prob(x).array, inner.log_prob(x).array.sum(axes))
        np.testing.assert_allclose(d.prob(x).array, inner.prob(x).array.prod(axes))
        np.testing.assert_allclose(d.entropy.array, inner.entropy.array.sum(tuple(a - 1 for a in axes)))
        np.testing.assert_array_equal(d.mean.array, inner.mean.array)
        assert d.support == "real" and set(d.params) == {"loc", "scale"} and d.xp is np
        assert d.sample((6, 7)).shape == (6, 7, 4, 2, 3)
    with pytest.raises(RuntimeError, match="has no inverse"):
        Independent(inner).icdf(x)
    with pytest.raises(ValueError, match="reinterpreted_batch_ndims is 4 but"):
        Independent(inner, 4)


def test_divergence_of_normals_is_the_integral():
    p, q = Normal(np.array(0.3), np.array(0.7)), Normal(np.array(-0.2), np.array(1.1))
    x = np.linspace(-8, 8, 20001)
    log_p, log_q = p.log_prob(x).array, q.log_prob(x).array
    expected = np.sum(np.exp(log_p) * (log_p - log_q)) * (x[1] - x[0])
    np.testing.assert_allclose(kl_divergence(p, q).array, expected, rtol=1e-9)
    np.testing.assert_allclose(cross_entropy(p, q).array, -np.sum(np.exp(log_p) * log_q) * (x[1] - x[0]), rtol=1e-9)


def test_divergence_of_bernoullis_is_the_sum():
    a, b = np.array([0.1, 0.5]), np.array([0.7, 0.25])
    expected = a * np.log(a / b) + (1 - a) * np.log((1 - a) / (1 - b))
    np.testing.assert_allclose(kl_divergence(Bernoulli(a), Bernoulli(b)).array, expected)
    whole = kl_divergence(Independent(Bernoulli(a), 1), Independent(Bernoulli(b), 1))
    np.testing.assert_allclose(whole.array, expected.sum())


def test_the_loss_of_a_variational_autoencoder():
    """As Chainer's example computes it: the divergence in a standard prior, the likelihood of grey pixels."""
    rng = np.random.RandomState(0)
    mean, ln_sigma = Variable(rng.randn(4, 2)), Variable(rng.randn(4, 2))
    posterior = Normal(loc=mean, log_scale=ln_sigma)
    prior = Normal(loc=np.zeros((4, 2)), scale=np.ones((4, 2)))
    divergence = sum(kl_divergence(posterior, prior))
    expected = (mean.array**2 + np.exp(2 * ln_sigma.array) - 1) / 2 - ln_sigma.array
    np.testing.assert_allclose(divergence.array, expected.sum())
    logit, x = Variable(rng.randn(3, 4, 5)), rng.uniform(0, 1, (4, 5))
    likelihood = Independent(Bernoulli(logit=logit, binary_check=False), 1).log_prob(x)
    p = 1 / (1 + np.exp(-logit.array))
    np.testing.assert_allclose(likelihood.array, (x * np.log(p) + (1 - x) * np.log(1 - p)).sum(-1))
    (divergence - sum(likelihood)).backward()
    np.testing.assert_allclose(mean.grad, mean.array)
    np.testing.assert_allclose(logit.grad, p - x)


def test_a_distribution_of_ones_own():
    class Exponential(Distribution):
        batch_shape, event_shape = (2,), ()

        def __init__(self, rate):
            self.rate = rate

        def sample_n(self, n):
            return Variable(np.random.exponential(1 / self.rate, (n, *self.batch_shape)))

    @register_kl(Exponential, Exponential)
    def of_two(p, q):
        return Variable(np.log(p.rate / q.rate) + q.rate / p.rate - 1)

    d = Exponential(np.array([1.0, 4.0]))
    assert d.sample((5, 2)).shape == (5, 2, 2)
    np.testing.assert_allclose(kl_divergence(d, Exponential(np.ones(2))).array, [0, math.log(4) - 0.75])
    for name in ("mean", "entropy", "mode", "support", "params"):
        with pytest.raises(NotImplementedError, match="Exponential does not define"):
            getattr(d, name)
    with pytest.raises(NotImplementedError):
        d.log_prob(np.ones(2))


def test_errors():
    for arguments in ({}, {"scale": SCALE, "log_scale": SCALE}):
        with pytest.raises(ValueError, match="either scale or log_scale"):
            Normal(LOC, **arguments)
    for arguments in ({}, {"p": SCALE, "logit": SCALE}):
        with pytest.raises(ValueError, match="either p or logit"):
            Bernoulli(**arguments)
    with pytest.raises(KeyError, match="Normal and Bernoulli"):
        kl_divergence(Normal(LOC, SCALE), Bernoulli(LOC))
    with pytest.raises(ValueError, match="event shapes are"):
        kl_divergence(Independent(Normal(LOC, SCALE), 1), Independent(Normal(LOC, SCALE), 0))
