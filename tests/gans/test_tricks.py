"""Tricks that help any GAN: what they do to targets and images, and that runs with them go on bit for bit."""

import numpy
import pytest
from gan_updaters import goes_on_bit_for_bit, same, seen, state, updater

import minigan.functions as F
import minigan.links as L
from minigan import optimizers, random
from minigan.core import Variable
from minigan.gans import ARCHITECTURES
from minigan.gans.gan import loss_dis
from minigan.gans.tricks import Tricks, moved
from minigan.gradient_check import check_backward
from minigan.link import Sequential
from minigan.serializers import DictionarySerializer, NpzDeserializer

REAL, FAKE = numpy.array([[0.3], [-2.0], [4.0]]), numpy.array([[1.5], [-0.7], [0.0]])
ALL = {"smooth": 0.1, "smooth_fake": 0.05, "label_noise": 0.2, "instance_noise": 0.3, "steps": 9, "accumulate": 2,
       "augment": ("flip", "shift", "brightness")}  # fmt: skip


def dis():
    net = ARCHITECTURES["small"].build(z_dim=3, channels=1, size=8, width=2)[1]
    for param in net.params():
        param.array = param.array.astype(numpy.float64)
    return net


def softened(**numbers):
    real, fake = Variable(REAL), Variable(FAKE)
    random.seed(1)
    return float((loss_dis(real, fake) + Tricks(**numbers).softening(dis(), real, fake)).array)


def cross_entropy(y, t):
    s = 1 / (1 + numpy.exp(-y))
    return -(t * numpy.log(s) + (1 - t) * numpy.log(1 - s)).mean()


def test_softer_targets_are_the_cross_entropy_with_them():
    assert softened(smooth=0.1) == pytest.approx(cross_entropy(REAL, 0.9) + cross_entropy(FAKE, 0), rel=1e-12)
    both = softened(smooth=0.1, smooth_fake=0.2)
    assert both == pytest.approx(cross_entropy(REAL, 0.9) + cross_entropy(FAKE, 0.2), rel=1e-12)


def test_noisy_targets_are_drawn_for_each_image():
    net = dis()
    random.seed(1)
    u, v = numpy.random.random_sample((3, 1)), numpy.random.random_sample((3, 1))
    random.seed(1)
    found = Tricks(smooth=0.1, label_noise=0.3).softening(net, Variable(REAL), Variable(FAKE))
    want = cross_entropy(REAL, 0.9 - 0.3 * u) + cross_entropy(FAKE, 0.3 * v)
    assert float(found.array + loss_dis(Variable(REAL), Variable(FAKE)).array) == pytest.approx(want, rel=1e-12)


def test_moved_images_are_old_pixels_in_new_places():
    random.seed(2)
    x = numpy.random.uniform(-1, 1, (200, 2, 8, 10))
    y = moved(dis(), x, numpy.ones(200, bool), numpy.ones(200, bool))
    kinds = set()
    for image, other in zip(x, y):
        found = [
            (mirrored, down, right)
            for mirrored in (False, True) for down in (-1, 0, 1) for right in (-1, 0, 1)
            if numpy.allclose(shifted(image[:, :, ::-1] if mirrored else image, down, right), other, atol=1e-12)
        ]  # fmt: skip
        assert len(found) == 1
        kinds |= {*found}
    assert len(kinds) == 18
    still = moved(dis(), x, numpy.ones(200, bool), None)
    assert all(numpy.allclose(b, a) or numpy.allclose(b, a[:, :, ::-1]) for a, b in zip(x, still))


def shifted(image, down, right):
    """The image moved over black."""
    wide = numpy.pad(image, ((0, 0), (1, 1), (1, 1)), constant_values=-1)
    return wide[:, 1 - down : wide.shape[1] - 1 - down, 1 - right : wide.shape[2] - 1 - right]


def test_gradients_go_through_all_that_d_is_shown():
    net, tricks = dis(), Tricks(augment=("flip", "shift", "brightness"), instance_noise=0.1, steps=10)

    def show(x):
        random.seed(4)
        return tricks.shown(net, x, lambda: 3)

    rng = numpy.random.RandomState(0)
    check_backward(show, rng.randn(3, 1, 8, 8), rng.randn(3, 1, 8, 8), dtype=numpy.float64)


def test_instance_noise_falls_to_nothing():
    net, x = dis(), numpy.zeros((50, 1, 8, 8))
    spread = [Tricks(instance_noise=0.4, steps=10).shown(net, x, lambda t=t: t).std() for t in (0, 5, 10, 20)]
    assert spread[0] == pytest.approx(0.4, rel=0.05) and spread[1] == pytest.approx(0.2, rel=0.05)
    assert spread[2:] == [0, 0]


def test_accumulated_batches_make_one_step_on_their_mean_gradient():
    """Two batches of 4 are one of 8, for nets that look at each image alone."""
    one = updater("mlp", batch=8, optimizer=lambda: optimizers.SGD(0.1))
    two = updater("mlp", batch=4, optimizer=lambda: optimizers.SGD(0.1), tricks=Tricks(accumulate=2))
    z = numpy.random.RandomState(3).randn(8, 5).astype(numpy.float32)
    for u, parts in ((one, [z]), (two, [z[:4], z[4:]])):
        queue = [*parts, *parts]
        u.gen.latent = lambda n, queue=queue: queue.pop(0)
        u.update()
        assert u.get_optimizer("gen").t == u.get_optimizer("dis").t == 1 and not queue
    for net, other in ((one.dis, two.dis), (one.gen, two.gen)):
        for name, weights in state(net).items():
            numpy.testing.assert_allclose(weights, state(other)[name], rtol=1e-4, atol=1e-7)


def test_reports_of_accumulated_batches_are_means():
    """As those of one batch after the other, of a D that stands still."""
    u = updater("mlp", optimizer=lambda: optimizers.SGD(0.0), tricks=Tricks(accumulate=2))
    batches = [u.next_images() for _ in range(2)]
    random.seed(6)
    one, other = (seen(u, batch) for batch in batches)
    random.seed(6)
    both = seen(u, *batches)
    assert one["real"] != other["real"] and both == pytest.approx({k: (one[k] + other[k]) / 2 for k in one}, rel=1e-5)


def test_r1_of_a_linear_d_is_exact():
    """gamma/2 |w|^2, in the loss and of it: its gradient is gamma w."""
    u = updater("mlp", tricks=Tricks(r1=3.0), optimizer=lambda: optimizers.SGD(0.0))
    u.dis = u.get_optimizer("dis").target = Flat(L.Linear(784, 1))
    w = u.dis[0].W
    x = u.next_images()
    random.seed(3)
    found = seen(u, x)
    assert found["r1"] == pytest.approx(1.5 * (w.array**2).sum(), rel=1e-5)
    with_penalty, u.tricks.r1 = w.grad.copy(), 0.0
    random.seed(3)
    plain = seen(u, x)
    assert "r1" not in plain and found["loss"] == pytest.approx(plain["loss"] + found["r1"], rel=1e-5)
    numpy.testing.assert_allclose(with_penalty - w.grad, 3 * w.array, rtol=1e-3, atol=1e-5)


def test_r1_now_and_then_counts_for_the_times_between():
    often, seldom = (updater("mlp", tricks=Tricks(r1=3.0, r1_every=every)) for every in (1, 3))
    x, found = often.next_images(), []
    for u in (often, seldom):
        random.seed(3)
        found.append(seen(u, x))
    assert found[1]["r1"] == pytest.approx(3 * found[0]["r1"], rel=1e-6)
    paid = []
    for _ in range(4):
        paid.append("r1" in seen(seldom, x))
        seldom.iteration += 1
    assert paid == [True, False, False, True]


class Flat(Sequential):
    def forward(self, x):
        return super().forward(F.reshape(x, (len(x), -1)))


@pytest.mark.parametrize("gan", ["gan", "cgan", "acgan", "infogan", "two-way", "began", "sngan"])
def test_r1_fits_every_kind_of_d(gan):
    u = updater(gan=gan, tricks=Tricks(r1=1.0))
    assert seen(u, u.next_images())["r1"] > 0
    assert all(numpy.isfinite(param.grad).all() for param in u.dis.params())


def test_adaptive_augmentation_follows_how_sure_d_is():
    u = updater("mlp", tricks=Tricks(augment=("shift",), ada=0.6, steps=40))
    for logit, ps in ((9.0, (0.1, 0.2, 0.3)), (-9.0, (0.2, 0.1, 0.0, 0.0))):
        u.dis.fc3.W.array[...], u.dis.fc3.b.array[...] = 0, logit
        for p in ps:
            assert seen(u, u.next_images())["p"] == pytest.approx(p, abs=1e-9)
            u.dis.fc3.W.array[...], u.dis.fc3.b.array[...] = 0, logit


def test_adaptive_augmentation_changes_a_share_of_the_images():
    net, x = dis(), numpy.random.RandomState(3).uniform(-1, 1, (400, 1, 8, 8))
    for name, most in (("flip", 0.5), ("shift", 8 / 9), ("brightness", 1)):
        tricks = Tricks(augment=(name,), ada=0.6)
        for p in (0.0, 0.5, 1.0):
            tricks.p = p
            changed = (abs(tricks.shown(net, x, None) - x).max((1, 2, 3)) > 1e-12).mean()
            assert changed == pytest.approx(p * most, abs=0.08), (name, p)


def test_p_is_part_of_a_snapshot():
    def with_p(p):
        u = updater(tricks=Tricks(augment=("flip", "brightness"), ada=0.6, steps=10))
        u.tricks.p = p
        return u

    one, other, saved = with_p(0.375), with_p(1.0), DictionarySerializer()
    one.serialize(saved)
    other.serialize(NpzDeserializer(saved.target))
    assert other.tricks.p == 0.375
    goes_on_bit_for_bit(lambda seed: with_p(0.5))


@pytest.mark.parametrize("gan", ["wgan", "wgan-gp", "relativistic", "began"])
def test_adaptive_augmentation_where_no_answer_is_right(gan):
    with pytest.raises(ValueError, match="has no right answers"):
        updater(gan=gan, tricks=Tricks(augment=("shift",), ada=0.6))


def test_a_run_with_all_tricks_goes_on_bit_for_bit():
    goes_on_bit_for_bit(lambda seed: updater(seed=seed, ema_decay=0.9, tricks=Tricks(**ALL)))


def test_no_trick_changes_nothing():
    plain, same_thing = updater(), updater(tricks=Tricks(steps=100))
    for u in (plain, same_thing):
        random.seed(5)
        u.update()
    assert same(state(plain.gen), state(same_thing.gen)) and same(state(plain.dis), state(same_thing.dis))


@pytest.mark.parametrize(
    ("numbers", "says"),
    [({"smooth": 0.3, "label_noise": 0.2}, "targets to 0.5"), ({"smooth_fake": -0.1}, "smooth_fake -0.1"),
     ({"accumulate": 0}, "accumulate is 0"), ({"augment": ("twist",)}, "some of flip, shift, brightness"),
     ({"ada": 0.6}, "something to do so often"), ({"r1": -1.0}, "r1 -1.0"),
     ({"r1": 1.0, "r1_every": 0}, "r1_every 0")],
)  # fmt: skip
def test_senseless_tricks(numbers, says):
    with pytest.raises(ValueError, match=says):
        Tricks(**numbers)


def test_softer_targets_where_there_are_none():
    with pytest.raises(ValueError, match="this GAN's loss has no targets"):
        updater(gan="lsgan", tricks=Tricks(smooth=0.1))
