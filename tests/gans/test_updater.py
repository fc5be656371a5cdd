"""Who moves when: each net in its own step only, bit for bit; what is reported equals a recomputation."""

import numpy
import pytest

import minigan.links as L
from minigan import optimizers, random, reporter
from minigan.configuration import no_backprop_mode
from minigan.core import Variable
from minigan.gans import ARCHITECTURES, GANS, GANUpdater
from minigan.gans import updater as updater_module
from minigan.iterators import SerialIterator
from minigan.link import Chain
from minigan.serializers import DictionarySerializer, NpzDeserializer


def state(net):
    serializer = DictionarySerializer()
    net.serialize(serializer)
    return {name: array.copy() for name, array in serializer.target.items()}


def same(a, b):
    return a.keys() == b.keys() and all(numpy.array_equal(a[k], b[k]) for k in a)


def updater(arch="small", seed=0, n=24, batch=8, optimizer=None, **options):
    random.seed(seed)
    images = numpy.random.RandomState(1).uniform(-1, 1, (n, 1, 28, 28)).astype(numpy.float32)
    gen, dis = ARCHITECTURES[arch].build(z_dim=5, channels=1, size=28, width=4)
    found = {}
    for name, net in (("gen", gen), ("dis", dis)):
        found[name] = (optimizer or optimizers.Adam)()
        found[name].setup(net)
    return GANUpdater(SerialIterator(images, batch), found, GANS["dcgan"], **options)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_step_of_d_leaves_g_as_it_was_bit_for_bit(arch):
    u = updater(arch)
    before, d_before = state(u.gen), state(u.dis)
    u.update_dis(u.next_images())
    assert same(before, state(u.gen))
    assert not same(d_before, state(u.dis))
    assert all(p.grad is None for p in u.gen.params())


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_step_of_g_leaves_d_as_it_was_bit_for_bit(arch):
    u = updater(arch)
    before, g_before = state(u.dis), state(u.gen)
    u.update_gen(8)
    assert same(before, state(u.dis))
    assert not same(g_before, state(u.gen))
    assert all(p.grad is None for p in u.dis.params())


def test_frozen_links_keep_what_they_remember():
    """Arrays and numbers of links of one's own, and the counter of a batch normalisation; also after an error."""

    net = Chain(own=L.InstanceNormalization(3, track_statistics=True), bn=L.BatchNormalization(3))

    def run():
        x = numpy.random.randn(4, 3, 2, 2).astype(numpy.float32)
        return net.bn(net.own(x) * x, finetune=True)

    run()
    arrays = net.bn.avg_mean, net.bn.avg_var, net.own.avg_mean
    before = [a.copy() for a in arrays]
    with pytest.raises(KeyError), updater_module.frozen_statistics(net):
        run()
        raise KeyError
    assert all(map(numpy.array_equal, arrays, before)) and net.bn.N == 1
    assert all(a is b for a, b in zip(arrays, (net.bn.avg_mean, net.bn.avg_var, net.own.avg_mean)))
    run()
    assert not any(map(numpy.array_equal, arrays, before)) and net.bn.N == 2


def test_running_statistics_move_in_the_own_step_only():
    u = updater()
    mean_of_g, mean_of_d = u.gen.bn1.avg_mean.copy(), u.dis.bn2.avg_mean.copy()
    u.update_dis(u.next_images())
    assert numpy.array_equal(u.gen.bn1.avg_mean, mean_of_g)
    assert not numpy.array_equal(u.dis.bn2.avg_mean, mean_of_d)
    mean_of_d = u.dis.bn2.avg_mean.copy()
    u.update_gen(8)
    assert not numpy.array_equal(u.gen.bn1.avg_mean, mean_of_g)
    assert numpy.array_equal(u.dis.bn2.avg_mean, mean_of_d)


def test_step_of_g_follows_the_gradient_of_its_loss_through_d():
    u = updater(optimizer=lambda: optimizers.SGD(lr=0.1))
    random.seed(9)
    z = u.gen.latent(8)
    with updater_module.frozen_statistics(u.gen), updater_module.frozen_statistics(u.dis):
        loss = GANS["dcgan"].loss_gen(u.dis(u.gen(z)))
    u.gen.cleargrads()
    loss.backward()
    want = {name: p.array - 0.1 * p.grad for name, p in u.gen.namedparams()}
    u.dis.cleargrads()
    random.seed(9)
    u.update_gen(8)
    for name, p in u.gen.namedparams():
        numpy.testing.assert_allclose(p.array, want[name], rtol=1e-6, atol=1e-7, err_msg=name)


def test_step_of_d_follows_the_gradient_of_its_loss():
    u = updater(optimizer=lambda: optimizers.SGD(lr=0.1))
    x = u.next_images()
    random.seed(9)
    z = u.gen.latent(8)
    with updater_module.frozen_statistics(u.gen), updater_module.frozen_statistics(u.dis):
        loss = GANS["dcgan"].loss_dis(u.dis(x), u.dis(Variable(u.gen(z).array)))
    u.dis.cleargrads()
    loss.backward()
    want = {name: p.array - 0.1 * p.grad for name, p in u.dis.namedparams()}
    random.seed(9)
    u.update_dis(x)
    for name, p in u.dis.namedparams():
        numpy.testing.assert_allclose(p.array, want[name], rtol=1e-6, atol=1e-7, err_msg=name)


def test_d_is_asked_again_after_it_moved(monkeypatch):
    u, asked = updater(), []
    first = u.dis.fc3.W.array.copy()
    forward = type(u.dis).forward
    monkeypatch.setattr(
        type(u.dis), "forward", lambda self, x: asked.append(self.fc3.W.array.copy()) or forward(self, x)
    )
    u.update_core()
    assert [numpy.array_equal(w, first) for w in asked] == [True, True, False]


@pytest.mark.parametrize("n_dis", [1, 5])
def test_n_dis_steps_of_d_for_one_of_g(n_dis):
    u = updater(n_dis=n_dis)
    u.update()
    u.update()
    assert u.get_optimizer("dis").t == 2 * n_dis
    assert u.get_optimizer("gen").t == 2
    assert u.iteration == 2


def test_a_loss_scale_goes_through_both_nets_and_comes_out_again():
    def run(scale):
        u, gradients = updater(optimizer=lambda: optimizers.Adam(0.01), loss_scale=scale), []

        def look(optimizer):
            params = list(optimizer.target.params())
            assert {param._loss_scale for param in params} == {scale}
            gradients.extend(param.grad for param in params)

        for optimizer in u.get_all_optimizers().values():
            optimizer.add_hook(look)
        u.update()
        return gradients, state(u.gen), state(u.dis)

    plain, scaled = run(None), run(1024.0)
    assert all(numpy.array_equal(one * 1024, other) for one, other in zip(plain[0], scaled[0]))
    assert same(plain[1], scaled[1]) and same(plain[2], scaled[2])  # a power of 2 changes no digit


def test_reported_numbers_equal_a_recomputation():
    u = updater("mlp")
    x = u.next_images()
    random.seed(3)
    with no_backprop_mode():
        y_real, y_fake = u.dis(x).array, u.dis(u.gen(u.gen.latent(8))).array
    loss = numpy.log1p(numpy.exp(-y_real)).mean() + numpy.log1p(numpy.exp(y_fake)).mean()
    observation = {}
    r = reporter.Reporter()
    r.add_observer("gen", u.gen)
    r.add_observer("dis", u.dis)
    random.seed(3)
    with r.scope(observation):
        u.update_dis(x)
        u.update_gen(8)
    seen = {name: float(getattr(value, "array", value)) for name, value in observation.items()}
    assert seen.keys() == {"dis/loss", "dis/accuracy", "dis/real", "dis/fake", "gen/loss"}
    assert seen["dis/loss"] == pytest.approx(loss, rel=1e-5)
    assert seen["dis/real"] == pytest.approx((1 / (1 + numpy.exp(-y_real))).mean(), rel=1e-5)
    assert seen["dis/fake"] == pytest.approx((1 / (1 + numpy.exp(-y_fake))).mean(), rel=1e-5)
    assert seen["dis/accuracy"] == pytest.approx(((y_real > 0).mean() + (y_fake < 0).mean()) / 2, rel=1e-6)


def test_average_of_g_follows_the_formula():
    u = updater(ema_decay=0.9)
    want = u.gen.fc1.W.array.copy()
    for step in (1, 2, 3):
        u.update()
        d = min(0.9, (1 + step) / (10 + step))
        want = d * want + (1 - d) * u.gen.fc1.W.array
    assert u.sampler is u.ema
    numpy.testing.assert_allclose(u.ema.fc1.W.array, want, rtol=1e-5, atol=1e-7)
    assert not numpy.array_equal(u.ema.bn1.avg_mean, u.gen.bn1.avg_mean)


def test_without_average_samples_come_from_g_itself():
    u = updater()
    assert u.ema is None and u.sampler is u.gen


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_a_saved_updater_goes_on_bit_for_bit(ema_decay):
    straight = updater(ema_decay=ema_decay)
    for _ in range(2):
        straight.update()
    saved = DictionarySerializer()
    straight.serialize(saved)
    saved.target = {name: array.copy() for name, array in saved.target.items()}
    generators = random.get_state()
    for _ in range(5):
        straight.update()
    resumed = updater(ema_decay=ema_decay, seed=77)
    resumed.serialize(NpzDeserializer(saved.target))
    random.set_state(generators)
    for _ in range(5):
        resumed.update()
    assert same(state(straight.gen), state(resumed.gen))
    assert same(state(straight.dis), state(resumed.dis))
    assert same(state(straight.sampler), state(resumed.sampler))


@pytest.mark.parametrize(("option", "value"), [("n_dis", 0), ("ema_decay", 1.0), ("ema_decay", -0.1)])
def test_senseless_settings_are_refused_by_name(option, value):
    with pytest.raises(ValueError, match=option):
        updater(**{option: value})


def test_labels_beside_the_images_are_left_out():
    u = updater()
    images = numpy.zeros((8, 1, 28, 28), numpy.float32)
    u._iterators["main"] = SerialIterator([(x, 3) for x in images], 8)
    assert u.next_images().shape == (8, 1, 28, 28)
