"""Who moves when: each net in its own step only, bit for bit; what is reported equals a recomputation."""

import warnings

import numpy
import pytest
from gan_updaters import goes_on_bit_for_bit, same, state, updater

import minigan.functions as F
import minigan.links as L
from minigan import optimizers, random, reporter
from minigan.configuration import mixed16, no_backprop_mode, using_config
from minigan.core import Variable
from minigan.gans import GANS
from minigan.gans import updater as updater_module
from minigan.iterators import SerialIterator
from minigan.link import Chain


@pytest.mark.parametrize("arch", ["small", "book", "mlp"])
def test_a_step_of_d_leaves_g_as_it_was_bit_for_bit(arch):
    u = updater(arch)
    before, d_before = state(u.gen), state(u.dis)
    u.update_dis(u.next_images())
    assert same(before, state(u.gen))
    assert not same(d_before, state(u.dis))
    assert all(p.grad is None for p in u.gen.params())


@pytest.mark.parametrize("arch", ["small", "book", "mlp"])
def test_a_step_of_g_leaves_d_as_it_was_bit_for_bit(arch):
    u = updater(arch)
    before, g_before = state(u.dis), state(u.gen)
    u.update_gen(u.next_images())
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
    u.update_gen(u.next_images())
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
    x = u.next_images()
    random.seed(9)
    u.update_gen(x)
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
        u.update_gen(x)
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


@pytest.mark.parametrize("gan", GANS)
def test_every_gan_moves_each_net_in_its_own_step_only_and_goes_on_bit_for_bit(gan):
    u = updater(gan=gan)
    x, states = u.next_images(), (state(u.gen), state(u.dis))
    u.update_dis(x)
    assert same(states[0], state(u.gen)) and not same(states[1], state(u.dis))
    states = state(u.gen), state(u.dis)
    u.update_gen(x)
    assert not same(states[0], state(u.gen)) and same(states[1], state(u.dis))
    assert all(p.grad is not None and numpy.isfinite(p.grad).all() for p in u.gen.params())
    goes_on_bit_for_bit(lambda seed: updater(gan=gan, ema_decay=0.9, seed=seed))


@pytest.mark.parametrize("gan", ["dcgan", "wgan-gp", "infogan", "began"])
def test_every_gan_computes_in_float16_on_weights_in_float32(gan):
    """Weights are copies of precise ones, which with the loss scale are part of a snapshot; the average is precise."""

    def adam():
        optimizer = optimizers.Adam(1e-3)
        optimizer.loss_scaling(interval=5)
        optimizer.use_fp32_update()
        return optimizer

    def make(seed):
        with using_config("dtype", mixed16):
            return updater(gan=gan, seed=seed, optimizer=adam, ema_decay=0.9)

    with using_config("dtype", mixed16), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where a loss scale is tried that is too large
        u = make(0)
        u.update()
        assert {numpy.dtype("f2")} <= {p.dtype for p in u.gen.params()} <= {numpy.dtype("f2"), numpy.dtype("f4")}
        assert u.gen.latent(2).dtype == u.next_images()[0].dtype == numpy.float16
        precise = u.gen.fc1.W.update_rule._fp32_param.array
        assert precise.dtype == numpy.float32 and numpy.array_equal(precise.astype("f2"), u.gen.fc1.W.array)
        assert {p.dtype for p in u.sampler.params()} == {numpy.dtype("f4")}
        with using_config("train", False):
            assert u.sampler(u.sampler.latent(2)).dtype == numpy.float32
        goes_on_bit_for_bit(make)


def test_further_terms_are_part_of_the_loss_and_reported(monkeypatch):
    """D's loss is that of wgan.py plus lambda times the penalty, which a larger lambda makes larger."""
    losses = {}
    for lam in (0.0, 10.0, 20.0):
        u, observation = updater(gan="wgan-gp", options={"lam": lam}), {}
        r = reporter.Reporter()
        r.add_observer("dis", u.dis)
        with r.scope(observation):
            u.update_dis(u.next_images())
        losses[lam] = [float(observation[f"dis/{name}"]) for name in ("loss", "penalty")]
    assert losses[0.0][1] == 0 and losses[20.0][1] == pytest.approx(2 * losses[10.0][1]) and losses[10.0][1] > 0
    for lam in (10.0, 20.0):
        assert losses[lam][0] == pytest.approx(losses[0.0][0] + losses[lam][1], rel=1e-5)


def test_terms_of_g_and_a_constraint_are_used():
    """Any object with two losses will do."""

    class Own:
        loss_dis, loss_gen = staticmethod(GANS["wgan"].loss_dis), staticmethod(GANS["wgan"].loss_gen)
        turns = []

        def gen_terms(self, turn):
            return {"darkness": 2 * F.average(turn.x_fake)}

        def constrain(self, turn):
            self.turns.append(turn)
            turn.dis.fc3.b.array[...] = 7

    u = updater(optimizer=lambda: optimizers.SGD(0.1))
    u.gan, observation = Own(), {}
    r = reporter.Reporter()
    r.add_observer("gen", u.gen)
    r.add_observer("dis", u.dis)
    x = u.next_images()
    with r.scope(observation):
        u.update_dis(x)
        before = u.gen.dc3.b.array.copy()
        u.update_gen(x)
    assert u.dis.fc3.b.array == 7 and Own.turns[0].x_real is x and Own.turns[0].x_fake.shape == x.shape
    assert abs(observation["gen/darkness"]) > 0 and u.gen.dc3.b.array < before  # images get darker


def test_without_average_samples_come_from_g_itself():
    u = updater()
    assert u.ema is None and u.sampler is u.gen


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_a_saved_updater_goes_on_bit_for_bit(ema_decay):
    goes_on_bit_for_bit(lambda seed: updater(ema_decay=ema_decay, seed=seed), steps=5)


@pytest.mark.parametrize(("option", "value"), [("n_dis", 0), ("ema_decay", 1.0), ("ema_decay", -0.1)])
def test_senseless_settings_are_refused_by_name(option, value):
    with pytest.raises(ValueError, match=option):
        updater(**{option: value})


def test_labels_beside_the_images_are_left_out():
    u = updater()
    images = numpy.zeros((8, 1, 28, 28), numpy.float32)
    u._iterators["main"] = SerialIterator([(x, 3) for x in images], 8)
    assert u.next_images().shape == (8, 1, 28, 28)
