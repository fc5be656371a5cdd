"""Each loss equals its definition, is finite for every logit and has the right gradient."""

import math

import numpy
import pytest

from minigan.core import Variable
from minigan.gans import ARCHITECTURES, GANS
from minigan.gradient_check import check_backward


@pytest.mark.parametrize("name", GANS)
def test_a_gan_is_two_losses_defaults_an_equation_and_a_paper(name):
    gan = GANS[name]
    assert gan.DEFAULTS["arch"] in ARCHITECTURES
    assert gan.PAPER and gan.EQUATION and gan.loss_dis and gan.loss_gen


@pytest.mark.parametrize("name", ["gan", "dcgan"])
def test_losses_where_d_says_one_half_everywhere(name):
    y = Variable(numpy.zeros((5, 1)))
    assert float(GANS[name].loss_dis(y, y).array) == pytest.approx(2 * math.log(2), abs=1e-12)
    assert float(GANS[name].loss_gen(y).array) == pytest.approx(math.log(2), abs=1e-12)


def test_losses_are_the_logarithms_of_the_paper():
    y_real, y_fake = numpy.array([[0.3], [-2.0], [4.0]]), numpy.array([[1.5], [-0.7], [0.0]])
    real, fake = 1 / (1 + numpy.exp(-y_real)), 1 / (1 + numpy.exp(-y_fake))
    gan = GANS["gan"]
    want = -numpy.log(real).mean() - numpy.log(1 - fake).mean()
    assert float(gan.loss_dis(Variable(y_real), Variable(y_fake)).array) == pytest.approx(want, rel=1e-12)
    assert float(gan.loss_gen(Variable(y_fake)).array) == pytest.approx(-numpy.log(fake).mean(), rel=1e-12)


def test_losses_are_exact_for_huge_logits():
    y = Variable(numpy.array([[1000.0], [-1000.0]], numpy.float32))
    assert float(GANS["gan"].loss_dis(y, y).array) == 1000
    assert float(GANS["gan"].loss_gen(y).array) == 500


def test_gradients_of_the_losses():
    rng = numpy.random.RandomState(0)
    y_real, y_fake = rng.randn(4, 1), rng.randn(4, 1)
    gan = GANS["gan"]
    check_backward(gan.loss_dis, (y_real, y_fake), numpy.array(rng.randn()), dtype=numpy.float64)
    check_backward(gan.loss_gen, (y_fake,), numpy.array(rng.randn()), dtype=numpy.float64)
