"""Each loss and penalty equals its definition in NumPy, is finite where it must be, and has the right gradient."""

import inspect
import math

import numpy
import pytest
from gan_updaters import seen, updater

import minigan.functions as F
import minigan.links as L
from minigan import optimizers, random
from minigan.core import Parameter, Variable
from minigan.divergences import wasserstein_1d
from minigan.gans import ARCHITECTURES, GANS, GANUpdater
from minigan.gans.penalties import gradient_penalty, slopes
from minigan.gans.tricks import Tricks
from minigan.gans.turn import Turn
from minigan.gradient_check import check_backward
from minigan.iterators import SerialIterator
from minigan.link import Chain, Sequential

REAL, FAKE = numpy.array([[0.3], [-2.0], [4.0]]), numpy.array([[1.5], [-0.7], [0.0]])
PAIRS = numpy.array([[0.3, 1.0], [-2.0, 0.5], [4.0, 4.0]]), numpy.array([[1.5, 2.5], [-0.7, 0.0], [0.0, -3.0]])


def sigmoid(y):
    return 1 / (1 + numpy.exp(-y))


def cross_entropy(real, fake):
    return -numpy.log(sigmoid(real)).mean() - numpy.log(1 - sigmoid(fake)).mean()


def relativistic(one, other):
    return cross_entropy(one - other.mean(), other - one.mean())


def surprise(y, kind):
    return -numpy.log(numpy.exp(y)[:, kind] / numpy.exp(y).sum(1)).mean()


# GAN: D's and G's loss from D's answers, as the papers write them
DEFINITIONS = {
    "gan": (cross_entropy, lambda real, fake: -numpy.log(sigmoid(fake)).mean()),
    "lsgan": (
        lambda real, fake: ((real - 1) ** 2).mean() / 2 + (fake**2).mean() / 2,
        lambda real, fake: ((fake - 1) ** 2).mean() / 2,
    ),
    "wgan": (lambda real, fake: fake.mean() - real.mean(), lambda real, fake: -fake.mean()),
    "sngan": (
        lambda real, fake: numpy.maximum(0, 1 - real).mean() + numpy.maximum(0, 1 + fake).mean(),
        lambda real, fake: -fake.mean(),
    ),
    "relativistic": (relativistic, lambda real, fake: relativistic(fake, real)),
    "two-way": (lambda real, fake: surprise(real, 0) + surprise(fake, 1), lambda real, fake: surprise(fake, 0)),
}
SAME = {"dcgan": "gan", "cgan": "gan", "acgan": "gan", "infogan": "gan", "dragan": "gan", "wgan-gp": "wgan",
        "began": "wgan"}  # fmt: skip


def answers(name):
    return PAIRS if name == "two-way" else (REAL, FAKE)


def loss_gen(gan, real, fake):
    return gan.loss_gen(fake, real) if getattr(gan, "PAIRED", False) else gan.loss_gen(fake)


@pytest.mark.parametrize("name", GANS)
def test_a_gan_is_two_losses_defaults_an_equation_and_a_paper(name):
    gan = GANS[name]
    assert gan.DEFAULTS["arch"] in ARCHITECTURES
    assert "arXiv" in gan.PAPER and gan.EQUATION and inspect.getdoc(gan)
    assert gan.__name__.rpartition(".")[2] == name.replace("-", "_")


@pytest.mark.parametrize("name", GANS)
def test_losses_are_those_of_the_paper(name):
    real, fake = answers(name)
    of_d, of_g = DEFINITIONS[SAME.get(name, name)]
    y = Variable(real), Variable(fake)
    assert float(GANS[name].loss_dis(*y).array) == pytest.approx(of_d(real, fake), rel=1e-12)
    assert float(loss_gen(GANS[name], *y).array) == pytest.approx(of_g(real, fake), rel=1e-12)


@pytest.mark.parametrize("name", GANS)
def test_gradients_of_the_losses(name):
    rng = numpy.random.RandomState(0)
    shape, gan = (4, answers(name)[0].shape[1]), GANS[name]
    y_real, y_fake = rng.randn(*shape), rng.randn(*shape)
    check_backward(gan.loss_dis, (y_real, y_fake), numpy.array(rng.randn()), dtype=numpy.float64)
    check_backward(
        lambda fake: loss_gen(gan, Variable(y_real), fake), (y_fake,), numpy.array(rng.randn()), dtype=numpy.float64
    )


@pytest.mark.parametrize(("name", "both"), [("gan", 2 * math.log(2)), ("relativistic", 2 * math.log(2)), ("sngan", 2)])
def test_loss_of_d_that_knows_nothing(name, both):
    y = Variable(numpy.zeros((5, 1)))
    assert float(GANS[name].loss_dis(y, y).array) == pytest.approx(both, abs=1e-12)


def test_losses_are_exact_for_huge_logits():
    y = Variable(numpy.array([[1000.0], [-1000.0]], numpy.float32))
    assert float(GANS["gan"].loss_dis(y, y).array) == 1000
    assert float(GANS["gan"].loss_gen(y).array) == 500


# Penalties on the slope


def float64(net):
    for param in net.params():
        param.array = param.array.astype(numpy.float64)
    return net


def mlp():
    return float64(Sequential(L.Linear(12, 7), F.tanh, L.Linear(7, 5), F.softplus, L.Linear(5, 1)))


def conv():
    return float64(
        Sequential(
            L.Convolution2D(1, 3, 4, stride=2, pad=1), F.tanh, L.Convolution2D(3, 4, 3, pad=1), F.softplus,
            L.Linear(4 * 9, 1),
        )
    )  # fmt: skip


def test_penalty_of_a_linear_d_is_exact():
    """lambda (|w| - 1)^2, wherever it is taken, once for each image."""
    net = float64(L.Linear(12, 1))
    x = numpy.random.RandomState(1).randn(5, 3, 2, 2)
    norm = numpy.sqrt((net.W.array**2).sum())
    numpy.testing.assert_allclose(slopes(net, x).array, [norm] * 5, rtol=1e-14)
    assert float(gradient_penalty(net, x).array) == pytest.approx((norm - 1) ** 2, rel=1e-13)


def test_norm_is_over_all_axes_but_the_batch():
    """D(x) = |x|^2 / 2 has the slope |x| at each image of its own."""
    x = numpy.random.RandomState(2).randn(4, 3, 5, 5)
    found = slopes(Norms(), x)
    numpy.testing.assert_allclose(found.array, numpy.sqrt((x**2).sum((1, 2, 3))), rtol=1e-14)


class Norms(Chain):
    def forward(self, x):
        return F.sum(F.square(F.reshape(x, (len(x), -1))), axis=1, keepdims=True) / 2


@pytest.mark.parametrize(("make", "shape"), [(mlp, (4, 12)), (conv, (4, 1, 6, 6))])
def test_gradient_of_the_penalty_by_finite_differences(make, shape):
    """d penalty / d w, a derivative of a derivative, of every weight in float64."""
    random.seed(3)
    net, x = make(), numpy.random.RandomState(4).randn(*shape)
    net.cleargrads()
    gradient_penalty(net, x).backward()
    for name, param in net.namedparams():
        got = numpy.zeros_like(param.array) if param.grad is None else param.grad
        for place in list(numpy.ndindex(param.shape))[:: max(1, param.size // 12)]:
            sides = []
            for shift in (1e-5, -1e-5):
                param.array[place] += shift
                sides.append(float(gradient_penalty(net, x).array))
                param.array[place] -= shift
            want = (sides[0] - sides[1]) / 2e-5
            assert abs(got[place] - want) <= 1e-6 * max(1e-2, abs(want)), (name, place)


@pytest.mark.parametrize("arch", ["mlp", "small"])
@pytest.mark.parametrize(("gan", "r1"), [("wgan-gp", 0.0), ("dragan", 0.0), ("dcgan", 5.0), ("cgan", 5.0)])
def test_gradient_of_the_whole_loss_of_d_by_finite_differences(gan, r1, arch):
    """What D's step descends, penalty and all, by the nets that are trained, MLP and convolutions, in float64."""
    u = updater(arch, gan=gan, batch=4, optimizer=lambda: optimizers.SGD(0.0), tricks=Tricks(r1=r1), norm_dis="none")
    for name, param in [*float64(u.gen).namedparams(), *float64(u.dis).namedparams()]:
        if name.endswith("/b"):  # else a G whose units are all dead makes black images, at a corner of D's leaky ReLU
            param.array[...] = numpy.random.uniform(-0.1, 0.1, param.shape)
    batch = u.next_images()

    def loss():
        random.seed(5)
        found = seen(u, batch)
        assert found["r1" if r1 else "penalty"] > 0
        return found["loss"]

    loss()
    grads = {name: param.grad.copy() for name, param in u.dis.namedparams()}
    for name, param in u.dis.namedparams():
        steepest = numpy.argsort(abs(grads[name]), axis=None)[-2:]
        for place in zip(*numpy.unravel_index(steepest, param.shape)):
            sides = []
            for shift in (1e-7, -1e-7):  # few leaky ReLUs have their corner between
                param.array[place] += shift
                sides.append(loss())
                param.array[place] -= shift
            want = (sides[0] - sides[1]) / 2e-7
            assert abs(grads[name][place] - want) <= 1e-5 * max(1e-2, abs(want)), (name, place)


def test_a_d_that_says_the_same_everywhere_gives_no_nan():
    net = L.Linear(3, 1, initialW=0)
    penalty = gradient_penalty(net, numpy.ones((2, 3), numpy.float32))
    penalty.backward()
    assert float(penalty.array) == 1 and numpy.isfinite(net.W.grad).all()


class Spy(Chain):
    """Answers x . 1 and keeps where it was asked."""

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.fc = L.Linear(4, 1, initialW=1)

    def forward(self, x):
        self.asked = x.array
        return self.fc(x)


def penalty_at(name, **options):
    """The penalty of a GAN with a linear D, and the points that it looked at."""
    rng, dis = numpy.random.RandomState(5), Spy()
    x_real, x_fake = (rng.randn(6, 4).astype(numpy.float32) for _ in "rf")
    options = type("Options", (), {**GANS[name].DEFAULTS, **options})
    y = Variable(numpy.zeros((6, 1), numpy.float32))
    random.seed(1)
    terms = GANS[name].dis_terms(Turn(None, dis, options, x_real, x_fake, y, y))
    return float(terms["penalty"].array), x_real, x_fake, dis.asked


def test_wgan_gp_looks_between_real_and_made_images_with_one_number_for_each():
    penalty, x_real, x_fake, asked = penalty_at("wgan-gp", lam=3.0)
    share = (asked - x_fake) / (x_real - x_fake)
    numpy.testing.assert_allclose(share, share[:, :1].repeat(4, 1), rtol=1e-3)
    assert len(set(share[:, 0])) == 6 and 0 <= share.min() and share.max() <= 1
    assert penalty == pytest.approx(3 * (2 - 1) ** 2, rel=1e-5)  # the slope of x . 1 is sqrt(4)


def test_dragan_looks_around_real_images_only():
    penalty, x_real, _, asked = penalty_at("dragan", lam=2.0, spread=0.25)
    noise = (asked - x_real) / x_real.std()
    assert 0 <= noise.min() and 0.15 < noise.max() <= 0.25 and len(numpy.unique(noise)) == 24
    assert penalty == pytest.approx(2.0, rel=1e-5)


def test_wgan_clips_every_weight_of_the_critic():
    _, dis = ARCHITECTURES["small"].build(z_dim=3, channels=1, size=8, width=4)
    for param in dis.params():
        param.array[...] = numpy.linspace(-1, 1, param.size).reshape(param.shape)
    options = type("Options", (), {"clip": 0.03})
    GANS["wgan"].constrain(Turn(None, dis, options, None, None, None, None))
    assert all(abs(param.array).max() == numpy.float32(0.03) for param in dis.params())
    assert float(dis.fc3.W.array.ravel()[len(dis.fc3.W.array.ravel()) // 2]) <= 0.03


class Shifted(Chain):
    """Makes the numbers of a normal distribution, half a unit too large."""

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.shift = Parameter(numpy.full((1, 1), 0.5, numpy.float32))

    def latent(self, n):
        return numpy.random.normal(size=(n, 1)).astype(numpy.float32)

    def forward(self, z):
        return z + F.broadcast_to(self.shift, z.shape)


@pytest.mark.parametrize(
    ("gan", "layers", "options"),
    [("wgan", [], {"clip": 1.0}), ("wgan-gp", [L.Linear, F.leaky_relu, L.Linear, F.leaky_relu], {})],
)
def test_a_trained_critic_finds_the_distance_of_two_clouds(gan, layers, options):
    """Row 8, within 10 %: of weights clipped at 1 a linear critic's slope is 1 at most, by the penalty any other's."""
    random.seed(0)
    sizes = iter([(1, 16), (16, 16)])
    dis = Sequential(*(layer(*next(sizes)) if layer is L.Linear else layer for layer in layers), L.Linear(None, 1))
    points = numpy.random.normal(size=(2000, 1)).astype(numpy.float32)
    optimizer = {"gen": optimizers.SGD().setup(Shifted()), "dis": optimizers.Adam(0.02, 0.5, 0.9).setup(dis)}
    u = GANUpdater(SerialIterator(points, 500), optimizer, GANS[gan], options=options)
    for step in range(150):
        optimizer["dis"].alpha = 0.02 * (1 - step / 150)
        u.options.lam = 10 * (step >= 20)  # on a line it would keep a slope of the wrong sign, which cannot but pass 0
        u.update_dis(u.next_images())
    distance = float((F.average(dis(points)) - F.average(dis(points + numpy.float32(0.5)))).array)
    assert wasserstein_1d(points[:, 0], points[:, 0] + 0.5) == pytest.approx(0.5, rel=1e-5)
    assert distance == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize("arch", ["mlp", "small", "book"])
def test_spectral_d_has_a_slope_of_one_at_most_in_each_layer(arch):
    random.seed(0)
    _, dis = ARCHITECTURES[arch].build(z_dim=3, channels=1, size=12, width=4, norm_dis="spectral")
    assert not [link for link in dis.links() if isinstance(link, L.BatchNormalization)]
    for _ in range(60):
        dis(numpy.zeros((1, 1, 12, 12), numpy.float32))
    layers = [link for link in dis.links() if isinstance(link, (L.Linear, L.Convolution2D))]
    assert layers and all(link.W_u.shape == (len(link.W.array),) for link in layers)
    for link in layers:
        (hook,) = link.local_link_hooks.values()
        used = hook.normalize_weight(link).array.reshape(len(link.W.array), -1)
        assert numpy.linalg.svd(used, compute_uv=False)[0] == pytest.approx(1, abs=0.02)
