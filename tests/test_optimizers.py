"""Steps against the formulas in float64 and against Chainer; hooks, files, hyperparameters, errors."""

import subprocess
import sys
import warnings
import zlib

import numpy as np
import pytest

from minigan import functions, mixed16, optimizers, serializers
from minigan import optimizer as optimizer_module
from minigan.backend import CpuDevice
from minigan.configuration import using_config
from minigan.core import Parameter, sum
from minigan.iterators import SerialIterator
from minigan.kernels import parallel
from minigan.link import Chain, Link
from minigan.links import Linear
from minigan.optimizer import GradientMethod, Hyperparameter, Optimizer, UpdateRule
from minigan.optimizer_hooks import (
    GradientClipping,
    GradientHardClipping,
    GradientLARS,
    GradientNoise,
    Lasso,
    WeightDecay,
)
from minigan.serializer import Deserializer
from minigan.serializers.npz import DictionarySerializer, NpzDeserializer
from minigan.training.updaters import StandardUpdater


class Pair(Link):
    def __init__(self, dtype=np.float64):
        super().__init__()
        with self.init_scope():
            self.W = Parameter(np.array([[1, 2, -3]], dtype))
            self.b = Parameter(np.array([0.5], dtype))

    def loss(self, x):
        return sum((self.W * x + 0.5 * self.b[0].reshape((1, 1))) ** 2)


def adam(alpha=0.001, beta1=0.9, beta2=0.999, eps=1e-8, eta=1.0, decay=0.0, amsgrad=False):
    def run(p, gradients):
        m, v, largest = 0.0, 0.0, 0.0
        for t, g in enumerate(gradients, 1):
            m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
            largest = np.maximum(largest, v) if amsgrad else v
            rate = alpha * np.sqrt(1 - beta2**t) / (1 - beta1**t)
            p = p - eta * (rate * m / (np.sqrt(largest) + eps) + decay * p)
        return p

    return run


def momentum(p, gradients, lr=0.01, momentum=0.9):
    v = 0.0
    for g in gradients:
        v = momentum * v - lr * g
        p = p + v
    return p


def nesterov(p, gradients, lr=0.01, momentum=0.9):
    v = 0.0
    for g in gradients:
        v = momentum * v - lr * g
        p = p + momentum**2 * v - (1 + momentum) * lr * g
    return p


def corrected_momentum(p, gradients, lr=0.01, momentum=0.9):
    v = 0.0
    for g in gradients:
        v = momentum * v - g
        p = p + lr * v
    return p


def adagrad(p, gradients, lr=0.001, eps=1e-8):
    for t, g in enumerate(gradients, 1):
        p = p - lr * g / (np.sqrt(np.sum(np.square(gradients[:t]), axis=0)) + eps)
    return p


def adadelta(p, gradients, rho=0.95, eps=1e-6):
    msg = msdx = 0.0
    for g in gradients:
        msg = rho * msg + (1 - rho) * g**2
        dx = g * np.sqrt(msdx + eps) / np.sqrt(msg + eps)
        msdx = rho * msdx + (1 - rho) * dx**2
        p = p - dx
    return p


def graves(p, gradients, lr=0.0001, alpha=0.95, momentum=0.9, eps=1e-4):
    n = mean = delta = 0.0
    for g in gradients:
        n, mean = alpha * n + (1 - alpha) * g**2, alpha * mean + (1 - alpha) * g
        delta = momentum * delta - lr * g / np.sqrt(n - mean**2 + eps)
        p = p + delta
    return p


def smorms3(p, gradients, lr=0.001, eps=1e-16):
    mem, mean, square = 1.0, 0.0, 0.0
    for g in gradients:
        r = 1 / (mem + 1)
        mean, square = mean + r * (g - mean), square + r * (g**2 - square)
        x = mean**2 / (square + eps)
        mem = mem * (1 - x) + 1
        p = p - g * np.minimum(lr, x) / (np.sqrt(square) + eps)
    return p


def msvag(p, gradients, lr=0.1, beta=0.9, decay=0.0):
    m = v = 0.0
    for t, g in enumerate(gradients, 1):
        m, v = beta * m + (1 - beta) * g, beta * v + (1 - beta) * g**2
        mean = m / (1 - beta**t)
        factor = 1.0
        if t > 1:  # after one step there is no variance to be estimated
            rho = (1 - beta) * (1 + beta**t) / ((1 + beta) * (1 - beta**t))
            s = (v / (1 - beta**t) - mean**2) / (1 - rho)
            factor = mean**2 / (mean**2 + rho * s)
        p = p - lr * factor * mean - decay * p
    return p


def bound(amsgrad=False, alpha=0.001, final_lr=0.1, gamma=0.001, beta1=0.9, beta2=0.999, eps=1e-8):
    def run(p, gradients):
        m, v, largest = 0.0, 0.0, 0.0
        for t, g in enumerate(gradients, 1):
            m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
            largest = np.maximum(largest, v) if amsgrad else v
            rate = alpha * np.sqrt(1 - beta2**t) / (1 - beta1**t) / (np.sqrt(largest) + eps)
            p = p - np.clip(rate, final_lr * (1 - 1 / (gamma * t + 1)), final_lr * (1 + 1 / (gamma * t))) * m
        return p

    return run


def rmsprop(inside=False, lr=0.01, alpha=0.99, eps=1e-8):
    def run(p, gradients):
        ms = 0.0
        for g in gradients:
            ms = alpha * ms + (1 - alpha) * g**2
            p = p - lr * g / (np.sqrt(ms + eps) if inside else np.sqrt(ms) + eps)
        return p

    return run


REFERENCES = [
    (lambda: optimizers.SGD(0.1), lambda p, gradients: p - 0.1 * np.sum(gradients, axis=0)),
    (optimizers.MomentumSGD, momentum),
    (optimizers.RMSprop, rmsprop()),
    (lambda: optimizers.RMSprop(eps=1e-3, eps_inside_sqrt=True), rmsprop(True, eps=1e-3)),
    (optimizers.Adam, adam()),
    (lambda: optimizers.Adam(0.0002, 0.5), adam(0.0002, 0.5)),
    (lambda: optimizers.AdamW(eta=0.5, weight_decay_rate=0.1), adam(eta=0.5, decay=0.1)),
    (lambda: optimizers.Adam(amsgrad=True, beta2=0.5), adam(beta2=0.5, amsgrad=True)),
    (lambda: optimizers.AMSGrad(), adam(amsgrad=True)),
    (lambda: optimizers.AdaBound(gamma=0.5), bound(gamma=0.5)),
    (lambda: optimizers.AMSBound(alpha=0.3, final_lr=0.2, gamma=0.5), bound(True, 0.3, 0.2, 0.5)),
    (optimizers.NesterovAG, nesterov),
    (optimizers.CorrectedMomentumSGD, corrected_momentum),
    (optimizers.AdaGrad, adagrad),
    (optimizers.AdaDelta, adadelta),
    (optimizers.RMSpropGraves, graves),
    (optimizers.SMORMS3, smorms3),
    (lambda: optimizers.MSVAG(weight_decay_rate=0.01), lambda p, gradients: msvag(p, gradients, decay=0.01)),
]


@pytest.mark.parametrize(("make", "reference"), REFERENCES)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_steps_equal_the_formula(make, reference, dtype):
    rng = np.random.RandomState(0)
    start, gradients = rng.randn(4, 3), [rng.randn(4, 3) * 2.0**-i for i in range(8)]
    link = Link()
    with link.init_scope():
        link.p = Parameter(start.astype(dtype))
    optimizer = make().setup(link)
    for g in gradients:
        link.p.grad = g.astype(dtype)
        optimizer.update()
    assert link.p.dtype == dtype and optimizer.t == 8
    tolerance = {"float16": 2e-2, "float32": 1e-5, "float64": 1e-12}[dtype]
    np.testing.assert_allclose(link.p.array, reference(start, gradients), rtol=tolerance, atol=tolerance)


# Chainer 7.8.1: r = numpy.random.RandomState(0), p = Parameter(r.randn(10000).astype('f')), o = <optimizer>(**kwargs),
# set up on a link of p; 20 times: the rate *= 0.97, p.grad = r.randn(10000).astype('f'), o.update(). Then p.array[:3]
# and zlib.crc32(p.array.tobytes()). The rate is o.alpha for Adam and its kin, o.lr for the others (AdaDelta has none).
FROM_CHAINER = [
    (optimizers.Adam, dict(), [1.7669692, 0.39869925, 0.97444683], 0xFBF571A1),
    (
        optimizers.Adam, dict(alpha=0.01, beta1=0.5, eta=0.5, weight_decay_rate=0.1),
        [0.634385, 0.13864659, 0.34914201], 0xEED3D319,
    ),
    (
        optimizers.Adam, dict(amsgrad=True, adabound=True, beta2=0.7, final_lr=0.01, gamma=0.3),
        [1.7738563, 0.3873654, 0.96987474], 0xB95ED008,
    ),
    (optimizers.AdamW, dict(weight_decay_rate=0.1), [0.21516533, 0.047901236, 0.11815035], 0x5A4D1337),
    (optimizers.AMSGrad, dict(beta2=0.7), [1.7664168, 0.39916685, 0.97451663], 0x4561532C),
    (optimizers.AdaBound, dict(alpha=0.1, gamma=0.3), [1.9715471, 0.18318278, 0.65308565], 0x3D65E32C),
    (optimizers.AMSBound, dict(alpha=0.1, beta2=0.7, gamma=0.3), [1.960125, 0.20893694, 0.65935904], 0xF93FE298),
    (optimizers.SGD, dict(), [1.7798047, 0.3746895, 0.96721965], 0x53B72A1F),
    (optimizers.MomentumSGD, dict(), [1.9310887, 0.1843803, 0.7940604], 0x96737149),
    (optimizers.CorrectedMomentumSGD, dict(), [1.9032645, 0.21654184, 0.8256301], 0x2879A03A),
    (optimizers.NesterovAG, dict(), [1.9292805, 0.17698935, 0.8072639], 0xDD9005C8),
    (optimizers.AdaGrad, dict(), [1.764727, 0.39912757, 0.97755337], 0xB9535A7D),
    (optimizers.AdaDelta, dict(), [1.7660383, 0.38795048, 0.9785203], 0xD21083C7),
    (optimizers.RMSprop, dict(), [1.8305591, 0.29603323, 0.86123556], 0xD2F58E97),
    (optimizers.RMSprop, dict(eps=0.001, eps_inside_sqrt=True), [1.8113837, 0.29469073, 0.86357296], 0x3DF48551),
    (optimizers.RMSpropGraves, dict(), [1.7670304, 0.39614075, 0.9729244], 0xC0A98888),
    (optimizers.SMORMS3, dict(), [1.7636468, 0.39696223, 0.9776414], 0x58EA1DB2),
    (optimizers.MSVAG, dict(weight_decay_rate=0.01), [1.5937164, 0.21792379, 0.40314785], 0xBC639CFC),
]  # fmt: skip


@pytest.mark.parametrize(("make", "kwargs", "expected", "checksum"), FROM_CHAINER)
def test_twenty_steps_equal_chainers_to_the_last_bit(make, kwargs, expected, checksum):
    link, rng = Link(), np.random.RandomState(0)
    with link.init_scope():
        link.p = Parameter(rng.randn(10000).astype(np.float32))
    optimizer = make(**kwargs).setup(link)
    rate = "alpha" if isinstance(optimizer, optimizers.Adam) else "lr"
    for _ in range(20):
        if hasattr(optimizer, rate):
            setattr(optimizer, rate, getattr(optimizer, rate) * 0.97)
        link.p.grad = rng.randn(10000).astype(np.float32)
        optimizer.update()
    np.testing.assert_array_equal(link.p.array[:3], np.array(expected, np.float32))
    assert zlib.crc32(link.p.array.tobytes()) == checksum


def test_parameters_change_in_place_and_gradients_stay():
    for make, _ in REFERENCES:
        link = Pair()
        array, gradient = link.W.array, np.ones((1, 3))
        optimizer = make().setup(link)
        link.W.grad = gradient
        optimizer.update()
        assert link.W.array is array
        np.testing.assert_array_equal(gradient, 1)


def test_update_with_a_loss_function():
    link = Pair()
    link.W.grad = np.full((1, 3), 1e9)  # cleared before
    optimizers.SGD(0.5).setup(link).update(link.loss, np.ones((1, 3)))
    np.testing.assert_allclose(link.W.array, np.array([[1, 2, -3]]) - (np.array([[1, 2, -3]]) + 0.25))


def test_a_parameter_without_gradient_counts_as_having_zeros():
    link = Pair()
    optimizer = optimizers.MomentumSGD().setup(link)
    link.W.grad = np.ones((1, 3))
    optimizer.update()
    np.testing.assert_array_equal(link.b.grad, [0])
    assert link.b.array == 0.5 and link.b.update_rule.t == 1


def test_uninitialised_parameters_wait():
    link = Link()
    with link.init_scope():
        link.p = Parameter(0.0)
    optimizer = optimizers.Adam().setup(link)
    optimizer.update()
    assert link.p.array is None and link.p.update_rule.state is None
    link.p.initialize((2,))
    link.p.grad = np.ones(2, np.float32)
    optimizer.update()
    assert link.p.update_rule.state["m"].shape == (2,)


def test_hyperparameters_are_chained():
    link = Pair()
    optimizer = optimizers.Adam(alpha=0.1).setup(link)
    optimizer.alpha = 0.2
    assert optimizer.hyperparam.alpha == 0.2 and link.W.update_rule.hyperparam.alpha == 0.2
    link.W.update_rule.hyperparam.alpha = 5
    assert (link.W.update_rule.hyperparam.alpha, link.b.update_rule.hyperparam.alpha, optimizer.alpha) == (5, 0.2, 0.2)
    assert link.W.update_rule.hyperparam.get_dict() == {
        "alpha": 5, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "eta": 1.0, "weight_decay_rate": 0, "amsgrad": False,
        "adabound": False, "final_lr": 0.1, "gamma": 0.001,
    }  # fmt: skip
    assert repr(Hyperparameter(optimizers.SGD(0.5).hyperparam)) == "Hyperparameter(lr=0.5)"
    with pytest.raises(AttributeError, match="there is no 'delta'"):
        link.W.update_rule.hyperparam.delta  # noqa: B018


def test_a_numpy_number_as_hyperparameter_does_not_widen():
    link = Pair(np.float32)
    optimizer = optimizers.Adam().setup(link)
    optimizer.alpha = np.float64(0.1)
    link.W.grad = np.ones((1, 3), np.float32)
    optimizer.update()
    assert link.W.dtype == np.float32 and link.W.update_rule.state["m"].dtype == np.float32


def test_adams_rate_of_the_step():
    link = Pair()
    optimizer = optimizers.Adam().setup(link)
    with pytest.raises(RuntimeError, match="there was none yet"):
        optimizer.lr  # noqa: B018
    optimizer.update()
    # Chainer 7.8.1: optimizer.lr after one update
    assert optimizer.lr == optimizer.alpha_t == link.W.update_rule.lr == pytest.approx(0.00031622776601683816)


def test_a_disabled_rule_does_nothing():
    link = Pair()
    optimizer = optimizers.SGD().setup(link)
    link.W.update_rule.enabled = False
    link.W.grad, link.b.grad = np.ones((1, 3)), np.ones(1)
    optimizer.update()
    np.testing.assert_array_equal(link.W.array, [[1, 2, -3]])
    assert link.W.update_rule.t == 0 and link.b.array == 0.49


def test_hooks_run_in_order():
    link, calls = Pair(), []

    class Hook:
        def __init__(self, name, timing="pre", each=False):
            self.name, self.timing, self.call_for_each_param = name, timing, each

        def __call__(self, *args):
            calls.append((self.name, type(args[0]).__name__, len(args), float(link.b.array[0])))

    optimizer = optimizers.SGD(1.0).setup(link)
    optimizer.add_hook(Hook("first"))
    optimizer.add_hook(Hook("last", "post"))
    optimizer.add_hook(Hook("each", each=True))
    optimizer.add_hook(Hook("forced"), timing="post")
    optimizer.add_hook(Hook("gone"))
    optimizer.remove_hook("gone")
    link.b.update_rule.add_hook(Hook("rule"))
    link.W.grad, link.b.grad = np.ones((1, 3)), np.ones(1)
    optimizer.update()
    assert calls == [
        ("first", "SGD", 1, 0.5), ("each", "SGDRule", 2, 0.5), ("each", "SGDRule", 2, 0.5), ("rule", "SGDRule", 2, 0.5),
        ("last", "SGD", 1, -0.5), ("forced", "SGD", 1, -0.5),
    ]  # fmt: skip


def test_weight_decay():
    link = Pair()
    optimizer = optimizers.SGD(1.0).setup(link)
    optimizer.add_hook(WeightDecay(0.25))
    link.W.grad = np.ones((1, 3))
    optimizer.update()
    np.testing.assert_allclose(link.W.array, [[1 - 1.25, 2 - 1.5, -3 - 0.25]])


def test_weight_decay_leaves_a_shared_gradient_alone():
    link = Link()
    with link.init_scope():
        link.a, link.c = Parameter(np.ones(2)), Parameter(np.full(2, 10.0))
    optimizer = optimizers.SGD(1.0).setup(link)
    optimizer.add_hook(WeightDecay(0.5))
    optimizer.update(lambda: sum(link.a + link.c))
    np.testing.assert_allclose(link.a.array, 1 - 1.5)
    np.testing.assert_allclose(link.c.array, 10 - 6.0)


def test_gradient_clipping():
    link = Pair(np.float32)
    optimizer = optimizers.SGD(1.0).setup(link)
    optimizer.add_hook(GradientClipping(1.0))
    link.W.grad, link.b.grad = np.array([[0, 3, 0]], np.float32), np.array([4], np.float32)
    optimizer.update()
    np.testing.assert_allclose(link.W.grad, [[0, 0.6, 0]], rtol=1e-6)
    np.testing.assert_allclose(link.b.grad, [0.8], rtol=1e-6)
    link.W.grad, link.b.grad = np.array([[0, 0.3, 0]], np.float32), np.zeros(1, np.float32)
    optimizer.update()
    np.testing.assert_array_equal(link.W.grad, np.array([[0, 0.3, 0]], np.float32))


def saved(optimizer):
    serializer = DictionarySerializer()
    serializer.save(optimizer)
    return serializer.target


@pytest.mark.parametrize(
    ("make", "states"),
    [
        (optimizers.SGD, []),
        (optimizers.MomentumSGD, ["v"]),
        (optimizers.RMSprop, ["ms"]),
        (optimizers.Adam, ["m", "v"]),
        (optimizers.AMSGrad, ["m", "v", "vhat"]),
    ],
)
def test_a_saved_optimizer_goes_on_bit_for_bit(make, states):
    def steps(optimizer, seeds):
        for seed in seeds:
            optimizer.update(optimizer.target.loss, np.random.RandomState(seed).randn(1, 3))

    whole, half, rest = Pair(), Pair(), Pair()
    steps(make().setup(whole), range(6))
    first = make().setup(half)
    first.new_epoch()
    steps(first, range(3))
    file = saved(first)
    assert sorted(file) == sorted(["t", "epoch", *(f"{p}/{s}" for p in ("W", "b") for s in ["t", *states])])
    second = make().setup(rest)
    NpzDeserializer(file).load(second)
    assert (second.t, second.epoch, rest.W.update_rule.t) == (3, 1, 3)
    rest.W.array[...], rest.b.array[...] = half.W.array, half.b.array
    steps(second, range(3, 6))
    np.testing.assert_array_equal(rest.W.array, whole.W.array)
    np.testing.assert_array_equal(rest.b.array, whole.b.array)
    for state in states:
        np.testing.assert_array_equal(rest.W.update_rule.state[state], whole.W.update_rule.state[state])


def test_chainers_optimizer_file_goes_on():
    # Chainer 7.8.1: l = L.Linear(2, 1, initialW=[[1, 2]]), Adam, two updates of sum(l(x)**2) with x = [[1, 2]] and
    # [[3, -1]], save_npz; a third update with [[1, 1]] then gives W = [[0.99709284, 1.9977852]]
    file = {
        "t": np.array(2), "epoch": np.array(0), "W/t": np.array(2),
        "W/m": np.array([[1.4982000589370728, 1.600600004196167]], np.float32),
        "W/v": np.array([[0.13568434119224548, 0.4035760462284088]], np.float32),
    }  # fmt: skip
    link = Link()
    with link.init_scope():
        link.W = Parameter(np.array([[0.9980639, 1.9985561]], np.float32))
    optimizer = optimizers.Adam().setup(link)
    NpzDeserializer(file).load(optimizer)
    state = link.W.update_rule.state
    np.testing.assert_array_equal(state["v"], file["W/v"])
    link.W.grad = np.zeros((1, 2), np.float32)
    optimizer.update()
    np.testing.assert_allclose(state["m"], file["W/m"] * 0.9, rtol=1e-6)
    assert optimizer.t == link.W.update_rule.t == 3


def test_loading_before_the_first_step_and_errors():
    optimizer = optimizers.Adam().setup(Pair())
    file = saved(optimizer)
    assert sorted(file) == ["W/t", "b/t", "epoch", "t"]
    fresh = optimizers.Adam().setup(Pair())
    NpzDeserializer(file).load(fresh)
    assert fresh.target.W.update_rule.state is None
    optimizer.update()
    file = saved(optimizer)
    del file["W/v"]
    with pytest.raises(KeyError, match="the file has a part of the state but not v"):
        NpzDeserializer(file).load(fresh)
    del file["W/m"]
    with pytest.warns(UserWarning, match="the file has no m, v for a parameter that was updated 1 times"):
        NpzDeserializer(file).load(fresh)
    wrong = {**saved(optimizer), "W/m": np.zeros((2, 2))}
    with pytest.raises(ValueError, match=r"Adam: m of /W has shape \(2, 2\) in the file"):
        NpzDeserializer(wrong).load(optimizers.Adam().setup(Pair()))


def test_loss_scale():
    link = Pair()
    optimizer = optimizers.SGD(0.5).setup(link)
    optimizer.set_loss_scale(1024.0)
    seen = []
    optimizer.add_hook(lambda o: seen.append(link.W.grad.copy()), "look")
    optimizer.update(link.loss, np.ones((1, 3)))
    gradient = 2 * (np.array([[1, 2, -3]]) + 0.25)
    np.testing.assert_allclose(seen[0], gradient * 1024)  # Chainer's hooks see the same
    np.testing.assert_allclose(link.W.array, np.array([[1, 2, -3]]) - 0.5 * gradient)
    assert link.W._loss_scale is None


def test_dynamic_loss_scale_skips_steps_that_overflow():
    link = Pair()
    optimizer = optimizers.SGD(0.5).setup(link)
    optimizer.loss_scaling(interval=1)
    optimizer.update(lambda: sum(link.W))
    assert optimizer._loss_scale == 2
    before = link.W.array.copy()
    link.W.grad = np.array([[np.inf, 1, 1]])
    with pytest.warns(UserWarning, match="the gradient of /W is not finite"):
        optimizer.update()
    np.testing.assert_array_equal(link.W.array, before)
    assert optimizer._loss_scale == 1 and not optimizer.is_safe_to_update()


def test_the_dynamic_loss_scale_doubles_until_it_overflows():
    # Chainer 7.8.1: loss_scaling(interval=3), o._loss_scale = 100, six updates, the third with NaN as gradient
    link = Pair()
    optimizer = optimizers.SGD().setup(link)
    optimizer.loss_scaling(interval=3)
    optimizer._loss_scale = 100.0
    scales = []
    for t in range(6):
        link.W.grad = np.full((1, 3), np.nan if t == 2 else 1.0)
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            optimizer.update()
        scales.append(optimizer._loss_scale)
    np.testing.assert_allclose(scales, [200, 400, 200, 251.98421, 317.480210, 400])


@pytest.mark.parametrize("precise", [False, True])
@pytest.mark.parametrize("scale", [None, 2.0**20])
def test_loss_scaling_by_the_updater_saves_small_gradients(scale, precise):
    x = np.arange(6).reshape(2, 3).astype("e")
    with using_config("dtype", mixed16):
        link = Linear(3, 2, nobias=True)
    optimizer = optimizers.SGD(2.0**12).setup(link)
    optimizer.use_fp32_update(precise)
    seen, before = [], link.W.array.copy()
    link.W.update_rule.add_hook(lambda rule, param: seen.append(param.grad.copy()), "look")
    updater = StandardUpdater(
        SerialIterator(x, 2, shuffle=False), optimizer, loss_scale=scale,
        loss_func=lambda x: functions.sum(functions.cast(link(x), np.float32)) * 2.0**-26,
    )  # fmt: skip
    updater.update()
    true = np.tile(x.sum(axis=0, dtype="d"), (2, 1)) * 2.0**-26
    if not scale:
        true[...] = 0  # float16 has nothing below 2**-24, as the 2**-26 in the first gradient
    elif not precise:
        true = true.astype("e").astype("d")
    assert link.W.dtype == np.float16 and seen[0].dtype == (np.float32 if precise else np.float16)
    np.testing.assert_array_equal(seen[0], true)
    np.testing.assert_array_equal(link.W.array, (before - true * 2.0**12).astype("e"))


@pytest.mark.parametrize(
    "hook",
    [
        lambda: WeightDecay(0.5), lambda: Lasso(0.5), lambda: GradientClipping(1.0), lambda: GradientNoise(0.5),
        lambda: GradientHardClipping(-0.5, 0.5), lambda: GradientLARS(0.1, 0.1),
    ],
)  # fmt: skip
def test_hooks_do_the_same_with_and_without_a_loss_scale(hook):
    after = []
    for scale in (None, 1024.0):
        np.random.seed(0)
        link = Pair()
        optimizer = optimizers.SGD(0.5).setup(link)
        if scale:
            optimizer.set_loss_scale(scale)
        optimizer.add_hook(hook())
        optimizer.update(link.loss, np.ones((1, 3)))
        after.append(link.W.array)
    np.testing.assert_allclose(*after, rtol=1e-14)
    plain = Pair()
    optimizers.SGD(0.5).setup(plain).update(plain.loss, np.ones((1, 3)))
    assert not np.allclose(after[0], plain.W.array)


def test_resuming_with_float32_copies_a_moving_loss_scale_and_noise_is_exact():
    def made():
        link = Pair(np.float16)
        optimizer = optimizers.MomentumSGD(0.01).setup(link)
        optimizer.use_fp32_update()
        optimizer.loss_scaling(interval=7)
        optimizer.add_hook(GradientNoise(0.1))
        return optimizer

    def steps(optimizer, iterations):
        for t in iterations:
            optimizer.target.cleargrads()
            (optimizer.target.loss(np.ones((1, 3), "e")) * (np.inf if t == 2 else 1)).backward(loss_scale=4.0)
            optimizer.update()
        return [saved(optimizer), saved(optimizer.target)]

    np.random.seed(1)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = steps(made(), range(12))
        np.random.seed(1)
        half = made()
        steps(half, range(5))
        files, resumed, state = [saved(half), saved(half.target)], made(), np.random.get_state()
        NpzDeserializer(files[0]).load(resumed)
        NpzDeserializer(files[1]).load(resumed.target)
        np.random.seed(2)
        np.random.set_state(state)
        rest = steps(resumed, range(5, 12))
    assert {"loss_scale", "loss_scale_overflowed", "W/fp32_param"} <= set(files[0])
    assert resumed._loss_scale_overflowed is True
    for one, other in zip(whole, rest):
        assert one.keys() == other.keys()
        for key in one:
            np.testing.assert_array_equal(one[key], other[key], err_msg=key)
    with pytest.raises(ValueError, match=r"fp32_param of /W has shape \(2,\) in the file"):
        NpzDeserializer({**files[0], "W/fp32_param": np.ones(2, "f")}).load(made())
    chainers = {key: value for key, value in files[0].items() if "scale" not in key and "fp32" not in key}
    NpzDeserializer(chainers).load(resumed)  # begins at the rounded parameters
    assert resumed.target.W.update_rule._fp32_param is None


def test_a_rule_of_ones_own():
    class SignRule(UpdateRule):
        def init_state(self, param):
            self.state["steps"] = np.zeros(())

        def update_core_cpu(self, param):
            self.state["steps"] += 1
            param.array -= self.hyperparam.lr * np.sign(param.grad)

    class SignDescent(GradientMethod):
        def __init__(self, lr):
            super().__init__()
            self.hyperparam.lr = lr

        def create_update_rule(self):
            return SignRule(self.hyperparam)

    link = Pair()
    optimizer = SignDescent(0.5).setup(link)
    link.W.grad = np.array([[2.0, -3, 0]])
    optimizer.update()
    np.testing.assert_array_equal(link.W.array, [[0.5, 2.5, -3]])
    assert saved(optimizer)["W/steps"] == 1


def test_epochs():
    optimizer = optimizers.SGD().setup(Pair())
    optimizer.new_epoch()
    assert optimizer.epoch == 1
    with pytest.raises(RuntimeError, match="got auto=True"):
        optimizer.new_epoch(auto=True)
    optimizer.use_auto_new_epoch = True
    optimizer.new_epoch(auto=True)
    with pytest.raises(RuntimeError, match="counted twice"):
        optimizer.new_epoch()


def test_setup():
    optimizer, link = optimizers.Adam(), Pair()
    assert optimizer.setup(link) is optimizer and optimizer.target is link
    with pytest.raises(TypeError, match="Adam.setup: the optimization target must be a link; got int"):
        optimizer.setup(3)
    for use in (lambda o: o.update(), lambda o: o.add_hook(WeightDecay(1)), lambda o: o.serialize(None)):
        with pytest.raises(RuntimeError, match=r"SGD: there is nothing to train yet; call setup\(link\) first"):
            use(optimizers.SGD())


def test_a_link_without_parameters_is_refused(monkeypatch):
    class Forgetful(Chain):
        def __init__(self):
            super().__init__()
            self.layer = Pair()  # outside of init_scope: no child

    monkeypatch.setattr(Optimizer, "takes_empty_links", False)  # the alias of Chainer, once imported, sets it
    for make in (optimizers.Adam, Optimizer):
        with pytest.raises(ValueError, match=r"setup: the Forgetful has no parameters to train; .* self.init_scope"):
            make().setup(Forgetful())
    monkeypatch.setattr(Optimizer, "takes_empty_links", True)
    with pytest.warns(UserWarning, match="Adam.setup: the Forgetful has no parameters"):
        optimizer = optimizers.Adam().setup(Forgetful())
    optimizer.update()
    assert optimizer.t == 1


def test_scripts_of_chainer_may_train_a_link_without_parameters():
    script = "import minigan.legacy, chainer; chainer.optimizers.SGD().setup(chainer.Link()).update(); print('done')"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.stdout == "done\n" and "UserWarning: SGD.setup: the Link has no parameters" in run.stderr


@pytest.mark.parametrize(
    ("use", "error", "sentence"),
    [
        (lambda o: o.add_hook(3), TypeError, "the hook is a int, which is not callable"),
        (lambda o: o.add_hook(WeightDecay(1), timing="now"), ValueError, "timing is 'now' but must be"),
        (lambda o: [o.add_hook(WeightDecay(1)) for _ in "ab"], KeyError, "a hook called 'WeightDecay' already"),
        (lambda o: o.remove_hook("x"), KeyError, "there is no hook called 'x'; there is none"),
        (lambda o: o.call_hooks("auto"), ValueError, "timing is 'auto' but must be 'pre' or 'post'"),
    ],
)
def test_hook_errors(use, error, sentence):
    with pytest.raises(error, match=sentence):
        use(optimizers.SGD().setup(Pair()))


def test_a_hook_whose_own_timing_is_neither_is_named():
    link = Pair()
    hook = WeightDecay(1)
    hook.timing = "after"
    for owner in (optimizers.SGD().setup(link), link.W.update_rule):
        with pytest.warns(UserWarning, match="the timing of 'WeightDecay' is 'after'; it runs as 'pre'"):
            owner.add_hook(hook)


@pytest.mark.parametrize("timing", ["pre", "post"])
@pytest.mark.parametrize("own", [True, False])
def test_hooks_of_one_parameter_run_before_or_after_its_update(timing, own):
    link, seen = Pair(), []

    def hook(rule, param):
        seen.append((rule is link.b.update_rule, param is link.b, float(link.b.array[0]), float(link.W.array[0, 0])))

    optimizer = optimizers.SGD(1.0).setup(link)
    hook.timing = timing if own else "pre" if timing == "post" else "post"
    link.b.update_rule.add_hook(hook, timing="auto" if own else timing)
    for calls in (1, 2):
        link.W.grad, link.b.grad = np.ones((1, 3)), np.ones(1)
        before = float(link.b.array[0])
        optimizer.update()
        assert len(seen) == calls and seen[-1][:3] == (True, True, before - (timing == "post"))
    link.b.update_rule.remove_hook("hook")
    optimizer.update()
    assert len(seen) == 2


@pytest.mark.parametrize("make", [case[0] for case in REFERENCES])
@pytest.mark.parametrize("timing", ["pre", "post"])
def test_hooks_of_the_optimizer_see_the_parameters_before_or_after_the_step(make, timing):
    link, seen = Pair(), []
    optimizer = make().setup(link)
    optimizer.add_hook(lambda o: seen.append((o.t, link.W.array.copy())), "look", timing)
    before = link.W.array.copy()
    link.W.grad = np.ones((1, 3))
    optimizer.update()
    ((t, array),) = seen
    assert t == (timing == "post") and not np.array_equal(before, link.W.array)
    np.testing.assert_array_equal(array, before if timing == "pre" else link.W.array)


def test_hooks_are_not_in_the_file():
    def made():
        optimizer = optimizers.MomentumSGD().setup(Pair())
        optimizer.add_hook(WeightDecay(0.5))
        return optimizer

    optimizer, plain = made(), optimizers.MomentumSGD().setup(Pair())
    optimizer.update()
    NpzDeserializer(saved(optimizer)).load(plain)
    assert sorted(saved(plain)) == sorted(saved(optimizer))
    with pytest.raises(KeyError, match="no hook called"):
        plain.remove_hook("WeightDecay")
    optimizer.remove_hook("WeightDecay")  # loading leaves the hooks alone
    NpzDeserializer(saved(plain)).load(copied := made())
    copied.remove_hook("WeightDecay")


def test_a_forgotten_return_of_the_loss_is_named():
    with pytest.raises(TypeError, match="SGD.update: lossfun returned NoneType"):
        optimizers.SGD().setup(Pair()).update(lambda: None)


# Chainer 7.8.1: numpy.random.seed(0), p = Parameter(numpy.array([1, 2, -3], 'd')),
# p.grad = numpy.array([.1, -.2, .001]), optimizers.SGD(1) with the hook, optimizer.update() twice: p.array.tolist()
@pytest.mark.parametrize(
    ("hook", "expected"),
    [
        (WeightDecay(0.1), [0.52, 1.8, -2.1319]),
        (Lasso(0.1), [0.5, 2.1, -2.702]),
        (GradientHardClipping(-0.15, 0.2), [0.8, 2.3, -3.002]),
        (GradientLARS(), [-3.435167000070535, 10.87033400014107, -3.0443516700007054]),
        (GradientLARS(0.1, 0.1, 0.3), [-0.9304723637402085, 1.7419548999383603, 0.08023512158799617]),
        (GradientLARS(5, 0.1), [0.52, 1.8, -2.1319]),
        (GradientNoise(0.3), [-2.1467975249390223, 1.116270703251132, -3.631773781109079]),
        (GradientNoise(0.3, lambda xp, shape, dtype, hook, rule: xp.full(shape, rule.t, dtype)), [-0.2, 1.4, -4.002]),
    ],
)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_hooks_equal_chainers(hook, expected, dtype):
    np.random.seed(0)
    link = Link()
    with link.init_scope():
        link.p, link.waiting = Parameter(np.array([1, 2, -3], dtype)), Parameter()
    gradient = link.p.grad = np.array([0.1, -0.2, 0.001], dtype)
    optimizer = optimizers.SGD(1).setup(link)
    optimizer.add_hook(hook)
    optimizer.update()
    np.testing.assert_array_equal(gradient, np.array([0.1, -0.2, 0.001], dtype))  # another may hold the same array
    optimizer.update()
    assert link.p.dtype == link.p.grad.dtype == dtype
    tolerance = {"float16": 4e-3, "float32": 1e-6, "float64": 1e-12}[dtype]
    np.testing.assert_allclose(link.p.array, expected, rtol=tolerance, atol=tolerance)


def test_lars_gives_each_parameter_a_rate_of_its_own():
    rng, link = np.random.RandomState(0), Link()
    sizes = {"big": 100.0, "one": 1.0, "small": 1e-4}
    with link.init_scope():
        for name, size in sizes.items():
            setattr(link, name, Parameter(size * rng.randn(5, 2)))
    optimizer = optimizers.SGD(1).setup(link)
    optimizer.add_hook(GradientLARS(threshold=0.01, weight_decay=0.2, eps=0.5))
    before, gradients = {}, {}
    for name in sizes:
        before[name], gradients[name] = getattr(link, name).array.copy(), rng.randn(5, 2)
        getattr(link, name).grad = gradients[name]
    optimizer.update()
    for name in sizes:
        p, g = before[name], gradients[name]
        of_p, of_g = np.sqrt((p**2).sum()), np.sqrt((g**2).sum())
        rate = of_p / (of_g + 0.2 * of_p + 0.5) if name != "small" else 1.0
        np.testing.assert_allclose(getattr(link, name).array, p - rate * (g + 0.2 * p), rtol=1e-12)


def test_noise_follows_the_global_generator_and_fades():
    link = Pair()
    optimizer = optimizers.SGD(1).setup(link)
    optimizer.add_hook(GradientNoise(0.3))
    rng, expected = np.random.RandomState(5), link.W.array.copy()
    np.random.seed(5)
    for t in range(4):
        link.W.grad, link.b.grad = np.zeros((1, 3)), np.zeros(1)
        optimizer.update()
        expected -= rng.normal(0, np.sqrt(0.3 / (1 + t) ** 0.55), (1, 3))
        rng.normal(size=1)  # for b
    np.testing.assert_allclose(link.W.array, expected, rtol=1e-13)


def test_hooks_take_parameters_without_axes():
    for hook in (WeightDecay(0.1), Lasso(0.1), GradientClipping(0.1), GradientHardClipping(0, 1), GradientLARS(),
                 GradientNoise(0.1)):  # fmt: skip
        link = Link()
        with link.init_scope():
            link.p = Parameter(np.array(2.0, np.float32))
        optimizer = optimizers.SGD().setup(link)
        optimizer.set_loss_scale(2.0)
        optimizer.add_hook(hook)
        optimizer.update(lambda link=link: link.p * 3)
        assert isinstance(link.p.grad, np.ndarray) and link.p.grad.dtype == np.float32


@pytest.mark.parametrize("name", ["GradientClipping", "GradientHardClipping", "GradientNoise", "Lasso", "WeightDecay"])
def test_the_old_path_of_a_hook_warns(name):
    arguments = (1, 2) if name == "GradientHardClipping" else (1,)
    with pytest.warns(DeprecationWarning, match=name):
        hook = getattr(optimizer_module, name)(*arguments)
    assert hook.name == name and isinstance(hook, globals()[name])


def test_float16_parameters_move_in_float32():
    link = Link()
    with link.init_scope():
        link.p, link.waiting = Parameter(np.ones(2, np.float16)), Parameter()
    optimizer = optimizers.MomentumSGD(1e-4, momentum=0)
    optimizer.use_fp32_update()
    optimizer.setup(link)
    seen = []
    link.p.update_rule.add_hook(lambda rule, param: seen.append(param.dtype), name="see")
    array = link.p.array
    for _ in range(10):  # a single step is below the resolution of float16 near 1
        link.p.grad = np.array([1, -1], np.float16)
        optimizer.update()
    assert link.p.array is array and set(seen) == {np.dtype(np.float32)}
    np.testing.assert_array_equal(array, np.array([0.999, 1.001], np.float16))
    assert link.p.update_rule.state["v"].dtype == np.float32
    optimizer.use_fp32_update(False)
    optimizer.update()
    assert seen[-1] == np.float16


def test_bounds_follow_alpha_and_close_in_on_the_final_rate():
    link = Pair()
    optimizer = optimizers.AdaBound(alpha=0.1, final_lr=1).setup(link)
    rule = link.W.update_rule
    with pytest.raises(RuntimeError, match="there was none yet"):
        rule.bounds  # noqa: B018
    rule.t = 10**9
    np.testing.assert_allclose(rule.bounds, 1, rtol=1e-5)
    optimizer.alpha = 0.05
    np.testing.assert_allclose(rule.bounds, 0.5, rtol=1e-5)


def test_a_rule_without_an_optimizer_has_the_defaults():
    rule = optimizers.AdamRule(alpha=3)
    assert (rule.hyperparam.alpha, rule.hyperparam.beta1, optimizers.AdamRule().hyperparam.alpha) == (3, 0.9, 0.001)
    rule = optimizers.AdaDeltaRule(optimizers.AdaDelta(0.1, 0.2).hyperparam, None, 3)
    assert (rule.hyperparam.rho, rule.hyperparam.eps) == (0.1, 3)
    with pytest.raises(TypeError, match="momentum"):
        optimizers.SGDRule(momentum=0.9)
    with pytest.raises(TypeError, match="too many"):
        optimizers.SGDRule(None, 1, 2)


@pytest.mark.parametrize("make", [case[0] for case in REFERENCES])
@pytest.mark.parametrize("name", ["update_core", "update_core_cpu", "update_core_gpu"])
def test_the_core_of_a_rule_can_be_called_by_itself(make, name):
    moved = []
    for core in (None, name):
        link = Pair()
        make().setup(link)
        rule = link.W.update_rule
        link.W.grad = np.array([[0.1, -0.2, 0.3]])
        if core is None:
            link.W.update()
        else:
            rule.t, rule._state = 1, {}
            rule.init_state(link.W)
            assert getattr(rule, core)(link.W) is None
        moved.append(link.W.array)
    np.testing.assert_array_equal(*moved)


@pytest.mark.parametrize("dtype", [None, np.float16, np.float32])
def test_a_rule_is_asked_about_a_parameter_without_an_array_too(dtype):
    def initializer(array):
        raise AssertionError("nobody knows the shape")

    if dtype is not None:
        initializer.dtype = dtype
    param, rule, seen = Parameter(initializer), UpdateRule(), []
    rule.update_core = seen.append
    rule.use_fp32_update()
    rule.update(param)
    assert (seen[0] is param) == (dtype is not np.float16)  # of a float16 array it would be given the float32 copy
    assert param.array is None
    if dtype is None:
        with pytest.raises(RuntimeError, match="its initializer has no dtype"):
            _ = seen[0].dtype
    else:
        assert (param.dtype, seen[0].dtype) == (dtype, np.float32)


def test_a_rule_derived_from_another_may_replace_one_core():
    class Frozen(optimizers.AdamRule):
        def update_core_cpu(self, param):
            self.seen = param

    param = Parameter(np.ones(2))
    param.grad = np.ones(2)
    rule = Frozen()
    rule.update(param)
    assert rule.seen is param and rule.t == 1 and sorted(rule.state) == ["m", "v"]
    np.testing.assert_array_equal(param.array, 1)


def test_there_is_no_chainerx_core():
    with pytest.raises(NotImplementedError, match="there are no ChainerX arrays"):
        UpdateRule().update_core_chainerx(Parameter(1.0))


class Table(Deserializer):
    """Gives what a dict has; None there stands for an entry that a serializer passed over."""

    def __init__(self, entries):
        self.entries = entries

    def __getitem__(self, key):
        raise NotImplementedError

    def __call__(self, key, value):
        return self.entries[key]


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("change", [{}, {"a": None}, {"b": None}, {"a": None, "b": None}, "a", "b", "ab"])
def test_a_part_of_a_state_is_no_state(enabled, change):
    class Rule(UpdateRule):
        def init_state(self, param):
            self.state.update(a=0, b=np.zeros(3))

    entries = {"t": 100, "a": 1, "b": np.array([2.0, 3, 4])}
    entries = entries | change if isinstance(change, dict) else {k: v for k, v in entries.items() if k not in change}
    rule = Rule()
    rule.enabled = enabled
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if change in ("a", "b") and enabled:
            with pytest.raises(KeyError, match=f"the file has a part of the state but not {change}"):
                rule.serialize(Table(entries))
        else:
            rule.serialize(Table(entries))
    assert rule.t == 100
    if change:
        assert rule.state is None
    else:
        assert rule.state["a"] == 1 and rule.state["b"].tolist() == [2, 3, 4] and rule.state["b"] is not entries["b"]
    warned = enabled and bool(change) and change not in ("a", "b")
    assert ["its state begins anew" in str(w.message) for w in caught] == [True] * warned


@pytest.mark.parametrize("form", ["npz", "hdf5"])
@pytest.mark.parametrize("make", [optimizers.Adam, optimizers.SMORMS3, optimizers.RMSpropGraves])
def test_a_half_started_optimizer_passes_through_a_file(form, make, tmp_path):
    if form == "hdf5":
        pytest.importorskip("h5py")

    def made():
        link = Pair(np.float32)
        with link.init_scope():
            link.waiting, link.off = Parameter(0.0), Parameter(np.ones(2, np.float32))
        optimizer = make().setup(link)
        link.off.update_rule.enabled = False
        return optimizer

    first, second = made(), made()
    for _ in range(3):
        first.target.cleargrads()
        first.target.W.grad = np.full((1, 3), 0.5, np.float32)
        first.update()
    getattr(serializers, f"save_{form}")(tmp_path / "file", first)
    with pytest.warns(UserWarning, match=r"for a parameter that was updated 3 times; its state begins anew"):
        getattr(serializers, f"load_{form}")(tmp_path / "file", second)
    for one, other in zip(first.target.params(), second.target.params()):
        assert one.update_rule.t == other.update_rule.t
        assert (one.update_rule.state is None) == (other.update_rule.state is None)
        for key, value in (one.update_rule.state or {}).items():
            np.testing.assert_array_equal(other.update_rule.state[key], value)
            assert other.update_rule.state[key].dtype == value.dtype
    assert second.target.waiting.update_rule.state is None and second.target.off.update_rule.t == 0


def test_loss_scaling_refuses_what_cannot_be():
    with pytest.raises(ValueError, match="interval is 0"):
        optimizers.SGD().loss_scaling(interval=0)
    with pytest.raises(ValueError, match="scale is -1"):
        optimizers.SGD().loss_scaling(scale=-1)


def test_a_hook_that_clears_gradients_leaves_zeros_to_the_next():
    link = Pair()
    optimizer = optimizers.SGD(1).setup(link)
    seen = []
    optimizer.add_hook(lambda opt: opt.target.cleargrads(), name="clear")
    optimizer.add_hook(lambda opt: seen.extend(param.grad for param in opt.target.params()), name="see")
    optimizer.update()
    assert len(seen) == 2 and all((gradient == 0).all() for gradient in seen)


def test_a_parameter_may_bring_its_own_loss_scale():
    # Chainer 7.8.1: p.array = p.grad = [1, 2], p._loss_scale = 10, SGD(10): p.array after one update is [0, 0]
    link = Link()
    with link.init_scope():
        link.p = Parameter(np.array([1.0, 2.0]))
    link.p.grad, link.p._loss_scale = np.array([1.0, 2.0]), 10
    optimizers.SGD(10).setup(link).update()
    np.testing.assert_allclose(link.p.array, 0, atol=1e-15)


def test_a_step_is_made_on_the_device_of_the_parameters(monkeypatch):
    """Of several GPUs another may be the current one; hooks make arrays, too."""
    inside = []

    class Elsewhere(CpuDevice):
        def __enter__(self):
            inside.append("in")

        def __exit__(self, *error):
            inside.append("out")

    net = Linear(2, 1)
    net.W.grad, net.b.grad = np.ones_like(net.W.array), np.ones_like(net.b.array)
    optimizer = optimizers.SGD().setup(net)
    optimizer.add_hook(lambda optimizer: inside.append("hook"), "hook")
    monkeypatch.setattr(Parameter, "device", property(lambda self: Elsewhere()))
    optimizer.update()
    assert inside[:2] == ["in", "hook"] and inside[-1] == "out"


@pytest.mark.parametrize("make", [optimizers.Adam, optimizers.AdamW, optimizers.AMSGrad, optimizers.AdaBound])
def test_adam_in_slices_takes_the_same_steps(make, rng, monkeypatch):
    """Large parameters are shared by the cores; nothing of that can be seen in the numbers."""
    W, gradients = rng.randn(37, 20).astype("f"), rng.randn(3, 37, 20).astype("f")
    found = []
    for piece in (parallel.PIECE_BYTES, 400):
        monkeypatch.setattr(parallel, "PIECE_BYTES", piece)
        link = Link()
        with link.init_scope():
            link.p = Parameter(W.copy())
        optimizer = make().setup(link)
        for g in gradients:
            link.p.grad = g
            optimizer.update()
        found.append([link.p.array, *link.p.update_rule.state.values()])
    for whole, sliced in zip(*found):
        np.testing.assert_array_equal(whole, sliced)
