"""A packed D: what it sees, what it answers, and that gradients of both orders go through it."""

import numpy
import pytest
from gan_updaters import goes_on_bit_for_bit, updater

import minigan.functions as F
import minigan.links as L
from minigan import random
from minigan.core import Variable
from minigan.gans import ARCHITECTURES, GANS
from minigan.gans.nets.base import Discriminator
from minigan.gans.packing import Packed
from minigan.gans.penalties import gradient_penalty, slopes
from minigan.gans.turn import Turn
from minigan.gradient_check import check_backward, check_double_backward
from minigan.link import Sequential


def pair(arch, pack=3, channels=2, size=12, **options):
    random.seed(0)
    return ARCHITECTURES[arch].build(5, channels, size, 4, pack=pack, **options)


def images(n=6, channels=2, size=12):
    return numpy.random.RandomState(1).uniform(-1, 1, (n, channels, size, size)).astype(numpy.float32)


@pytest.mark.parametrize("arch", [name for name in ARCHITECTURES if name != "ring"])
def test_images_that_follow_each_other_are_the_channels_of_one(arch):
    (gen, dis), x = pair(arch, norm_dis="none"), images()
    want = [dis.body(numpy.concatenate(list(x[i : i + 3]))[None]).array[0] for i in (0, 3)]
    assert dis(x).shape == (2, 1) and gen(gen.latent(2)).shape == (2, 2, 12, 12)
    numpy.testing.assert_allclose(dis(x).array, want, rtol=1e-5, atol=1e-6)


def test_points_are_stacked_along_their_features():
    _, dis = pair("ring", 2, size=1)
    x = numpy.random.RandomState(1).randn(6, 2).astype(numpy.float32)
    numpy.testing.assert_array_equal(dis(x).array, dis.body(x.reshape(3, 4)).array)


def test_a_pack_of_one_is_no_pack():
    assert isinstance(pair("small", 1)[1], Discriminator)


def test_the_order_within_a_pack_counts_and_other_packs_do_not():
    _, dis = pair("small", norm_dis="none")
    x = images()
    turned = x[[1, 0, 2, 3, 4, 5]]
    before, after = dis(x).array, dis(turned).array
    assert before[0] != after[0] and before[1] == after[1]


def test_images_that_fill_no_pack():
    with pytest.raises(ValueError, match="5 images for packs of 3"):
        pair("small")[1](images(5))


def test_spectral_norms_are_within_a_pack():
    body = pair("small", norm_dis="spectral")[1].body
    assert all(len(layer.local_link_hooks) == 1 for layer in (body.c1, body.c2, body.fc3))


def test_concatenation_stacks_image_and_class_of_each():
    _, dis = pair("small", 2, norm_dis="none", condition="concatenation", n_classes=3)
    x, labels = images(4), numpy.array([2, 0, 1, 2], numpy.int32)
    planes = numpy.zeros((4, 3, 12, 12), numpy.float32)
    planes[range(4), labels] = 1
    want = dis.body.body(numpy.concatenate([x, planes], 1).reshape(2, 10, 12, 12)).array
    numpy.testing.assert_array_equal(dis(x, labels).array, want)


def smooth_pack():
    """Packs of 2 for a D of float64 without corners."""
    random.seed(1)
    dis = Packed(Sequential(L.Convolution2D(4, 3, 3, pad=1), F.tanh, L.Linear(3 * 16, 1)), 2)
    for param in dis.params():
        param.array = param.array.astype(numpy.float64)
    return dis, numpy.random.RandomState(2).randn(4, 2, 4, 4)


def test_gradients_of_both_orders():
    (dis, x), rng = smooth_pack(), numpy.random.RandomState(3)
    check_backward(dis, x, rng.randn(2, 1), dtype=numpy.float64)
    check_double_backward(dis, x, rng.randn(2, 1), rng.randn(*x.shape), dtype=numpy.float64, atol=1e-4, rtol=1e-3)


def test_slope_is_that_of_a_whole_pack():
    dis, x = smooth_pack()
    want = slopes(dis.body, x.reshape(2, 4, 4, 4)).array
    numpy.testing.assert_allclose(slopes(dis, x).array, want, rtol=1e-12)
    dis.cleargrads()
    gradient_penalty(dis, x).backward()
    w, got = dis.body[0].W.array, dis.body[0].W.grad[1, 2, 0, 1]
    sides = []
    for shift in (1e-5, -1e-5):
        w[1, 2, 0, 1] += shift
        sides.append(float(gradient_penalty(dis, x).array))
        w[1, 2, 0, 1] -= shift
    assert got == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-6)


def test_wgan_gp_looks_between_whole_packs():
    asked = []

    class Spy(Packed):
        def forward(self, x):
            asked.append(x.array)
            return super().forward(x)

    dis, x_real = smooth_pack()
    dis, x_fake = Spy(dis.body, 2), x_real[::-1] + 1
    y = Variable(numpy.zeros((2, 1)))
    options = type("Options", (), {"lam": 1.0})
    GANS["wgan-gp"].dis_terms(Turn(None, dis, options, x_real, x_fake, y, y))
    share = ((asked[0] - x_fake) / (x_real - x_fake)).reshape(2, -1)
    numpy.testing.assert_allclose(share, share[:, :1].repeat(share.shape[1], 1), rtol=1e-6)
    assert share[0, 0] != share[1, 0]


@pytest.mark.parametrize("gan", ["dcgan", "wgan-gp", "dragan", "relativistic", "sngan"])
def test_training_goes_on_bit_for_bit(gan):
    goes_on_bit_for_bit(lambda seed: updater(gan=gan, seed=seed, ema_decay=0.9, pack=2), steps=1)
