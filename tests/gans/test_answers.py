"""Discriminators with other answers than a logit: their numbers, and what is reported of them."""

import numpy
import pytest
from gan_updaters import goes_on_bit_for_bit, seen, updater

from minigan import random
from minigan.core import Variable
from minigan.gans import ARCHITECTURES, GANS
from minigan.gans.turn import Turn
from minigan.gradient_check import check_backward


@pytest.mark.parametrize("arch", ["small", "book", "mlp"])
def test_an_autoencoder_answers_with_its_error(arch):
    random.seed(0)
    _, dis = ARCHITECTURES[arch].build(z_dim=5, channels=3, size=12, width=4, norm_dis="none", answer="autoencoder")
    x = numpy.random.RandomState(1).uniform(-1, 1, (4, 3, 12, 12)).astype(numpy.float32)
    code = dis.encoder(x)
    assert code.shape == (4, 5)
    want = -abs(x - dis.decoder(code).array).mean((1, 2, 3))[:, None]
    numpy.testing.assert_allclose(dis(x).array, want, rtol=1e-5)


def test_began_keeps_its_balance():
    u = updater(gan="began", options={"gamma": 0.7, "lam_k": 0.1})
    u.dis.k[...] = 0.25
    x = u.next_images()
    random.seed(3)
    fake = u.gen(u.gen.latent(8)).array
    real, made = (-float(u.dis(v).array.mean()) for v in (x, fake))
    random.seed(3)
    found = seen(u, x)
    assert found["loss"] == pytest.approx(real - 0.25 * made, rel=1e-4)  # L_D of the paper
    assert float(u.dis.k) == pytest.approx(0.25 + 0.1 * (0.7 * real - made), rel=1e-4)
    assert (found["k"], found["error_real"]) == (0.25, pytest.approx(real, rel=1e-4))
    assert found["convergence"] == pytest.approx(real + abs(0.7 * real - made), rel=1e-4)
    assert not {"real", "fake", "accuracy"} & found.keys()


@pytest.mark.parametrize(("far", "k"), [(9.0, 0), (-9.0, 1)])
def test_balance_of_began_stays_between_0_and_1(far, k):
    dis = updater(gan="began").dis
    options = type("Options", (), {"gamma": 0.5, "lam_k": 1.0})
    real, fake = (Variable(numpy.full((2, 1), y, numpy.float32)) for y in (-1.0, -far))
    GANS["began"].constrain(Turn(None, dis, options, None, None, real, fake))
    assert float(dis.k) == k and dis.k.dtype == numpy.float32 and dis.k.shape == ()


def test_balance_is_part_of_a_snapshot():
    goes_on_bit_for_bit(lambda seed: updater(gan="began", options={"lam_k": 0.5}, seed=seed))


def answered(u):
    """What D says of real and of made images, and what its step reports of them."""
    x = u.next_images()
    random.seed(3)
    real, fake = (u.dis(v).array for v in (x, u.gen(u.gen.latent(8)).array))
    random.seed(3)
    return real, fake, seen(u, x)


@pytest.mark.parametrize("gan", ["wgan", "wgan-gp"])
def test_a_critic_reports_the_distance_that_it_sees(gan):
    real, fake, found = answered(updater("mlp", gan=gan))
    assert found["distance"] == pytest.approx(real.mean() - fake.mean(), rel=1e-4)
    assert found["loss"] == pytest.approx(found.get("penalty", 0) - found["distance"], rel=1e-5)
    assert not {"real", "fake", "accuracy"} & found.keys()


def test_a_relativistic_d_is_asked_who_looks_more_real():
    u = updater("mlp", gan="relativistic")
    u.dis.last.b.array += 50  # of no meaning
    real, fake, found = answered(u)
    d_real, d_fake = (1 / (1 + numpy.exp(y.mean() - x)) for x, y in ((real, fake), (fake, real)))
    assert found["real"] == pytest.approx(d_real.mean(), rel=1e-4)
    assert found["fake"] == pytest.approx(d_fake.mean(), rel=1e-4)
    assert found["accuracy"] == (d_real > 0.5).mean() / 2 + (d_fake < 0.5).mean() / 2


def test_two_numbers_are_reported_as_their_difference():
    """softmax(y)_0 is sigmoid(y_0 - y_1); the gradient of a two-way D is that of one with a logit."""
    real, fake, found = answered(updater(gan="two-way", arch="mlp"))
    assert real.shape == (8, 2)
    p_real, p_fake = (numpy.exp(y) / numpy.exp(y).sum(1, keepdims=True) for y in (real, fake))
    assert found["real"] == pytest.approx(p_real[:, 0].mean(), rel=1e-5)
    assert found["fake"] == pytest.approx(p_fake[:, 0].mean(), rel=1e-5)
    assert found["accuracy"] == (numpy.argmax(p_real, 1) == 0).mean() / 2 + (numpy.argmax(p_fake, 1) == 1).mean() / 2
    assert found["loss"] == pytest.approx(-numpy.log(p_real[:, 0]).mean() - numpy.log(p_fake[:, 1]).mean(), rel=1e-5)


def test_answers_of_lsgan_are_right_on_their_side_of_one_half():
    """Its targets are 0 and 1: a made image of which D says 0.4 is seen through, a real one is not believed."""
    u = updater(gan="lsgan", arch="mlp")
    u.dis.last.b.array += 0.4  # all answers are more than 0
    real, fake, found = answered(u)
    assert found["accuracy"] == (real > 0.5).mean() / 2 + (fake < 0.5).mean() / 2
    assert found["accuracy"] > 0.5
    assert found["real"] == pytest.approx((1 / (1 + numpy.exp(0.5 - real))).mean(), rel=1e-5)
    assert found["fake"] == pytest.approx((1 / (1 + numpy.exp(0.5 - fake))).mean(), rel=1e-5)


def test_softmax_of_a_d_with_two_numbers():
    """Row 3: a gradient check through D, whose probabilities sum to 1."""
    random.seed(1)
    _, dis = ARCHITECTURES["mlp"].build(z_dim=3, channels=1, size=4, width=3, answer="two numbers")
    for param in dis.params():
        param.array = param.array.astype(numpy.float64)
    x, other = numpy.random.RandomState(2).randn(2, 3, 1, 4, 4)
    check_backward(
        lambda real, fake: GANS["two-way"].loss_dis(dis(real), dis(fake)), (x, other), numpy.array(1.0),
        list(dis.params()), dtype=numpy.float64,
    )  # fmt: skip
