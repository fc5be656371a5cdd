"""Steps against the formulas in float64 and against Chainer; hooks, files, hyperparameters, errors."""

import numpy as np
import pytest

from minigan import optimizers
from minigan.core import Parameter, sum
from minigan.link import Chain, Link
from minigan.optimizer import GradientMethod, Hyperparameter, UpdateRule
from minigan.optimizer_hooks import GradientClipping, WeightDecay
from minigan.serializers.npz import DictionarySerializer, NpzDeserializer


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


# Chainer 7.8.1: p = Parameter(numpy.array([1, 2, -3], 'f')), <optimizer>().setup(link of p), three times
# p.grad = numpy.array([.1, -.2, 1e-3], 'f'); p.update(); p.array.tolist()
FROM_CHAINER = [
    (optimizers.Adam, [0.9970000386238098, 2.002999782562256, -3.0029993057250977]),
    (lambda: optimizers.AdamW(weight_decay_rate=0.1), [0.7262899875640869, 1.4607099294662476, -2.189708948135376]),
    (optimizers.SGD, [0.9970000386238098, 2.006000280380249, -3.000030040740967]),
    (optimizers.RMSprop, [0.7710871696472168, 2.228912830352783, -3.2288944721221924]),
    (
        lambda: optimizers.RMSprop(eps=1e-3, eps_inside_sqrt=True),
        [0.9132024049758911, 2.143401622772217, -3.000948429107666],
    ),
    (optimizers.MomentumSGD, [0.9943900108337402, 2.0112199783325195, -3.000056266784668]),
]


@pytest.mark.parametrize(("make", "expected"), FROM_CHAINER)
def test_steps_equal_chainers(make, expected):
    link = Link()
    with link.init_scope():
        link.p = Parameter(np.array([1, 2, -3], np.float32))
    make().setup(link)
    for _ in range(3):
        link.p.grad = np.array([0.1, -0.2, 1e-3], np.float32)
        link.p.update()
    np.testing.assert_allclose(link.p.array, expected, rtol=2e-7)


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
    }  # fmt: skip
    assert repr(Hyperparameter(optimizers.SGD(0.5).hyperparam)) == "Hyperparameter(lr=0.5)"
    with pytest.raises(AttributeError, match="there is no 'gamma'"):
        link.W.update_rule.hyperparam.gamma  # noqa: B018


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
    np.testing.assert_allclose(seen[0], 2 * (np.array([[1, 2, -3]]) + 0.25))


def test_dynamic_loss_scale_skips_steps_that_overflow():
    link = Pair()
    optimizer = optimizers.SGD(0.5).setup(link)
    optimizer.loss_scaling(interval=1)
    optimizer.update(lambda: sum(link.W))
    assert optimizer._loss_scale == 2
    before = link.W.array.copy()
    link.W.grad = np.array([[np.inf, 1, 1]])
    optimizer.update()
    np.testing.assert_array_equal(link.W.array, before)
    assert optimizer._loss_scale == 1 and not optimizer.is_safe_to_update()


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
    with pytest.raises(ValueError, match="Adam.setup: the Chain has no parameters"):
        optimizer.setup(Chain())
    with pytest.raises(TypeError, match="Adam.setup: got int; wanted a Link"):
        optimizer.setup(3)
    for use in (lambda o: o.update(), lambda o: o.add_hook(WeightDecay(1)), lambda o: o.serialize(None)):
        with pytest.raises(RuntimeError, match=r"SGD: there is nothing to train yet; call setup\(link\) first"):
            use(optimizers.SGD())


@pytest.mark.parametrize(
    ("use", "error", "sentence"),
    [
        (lambda o: o.add_hook(3), TypeError, "the hook is a int, which is not callable"),
        (lambda o: o.add_hook(WeightDecay(1), timing="now"), ValueError, "timing is 'now' but must be"),
        (lambda o: [o.add_hook(WeightDecay(1)) for _ in "ab"], KeyError, "a hook called 'WeightDecay' already"),
        (lambda o: o.remove_hook("x"), KeyError, "there is no hook called 'x'; there is none"),
    ],
)
def test_hook_errors(use, error, sentence):
    with pytest.raises(error, match=sentence):
        use(optimizers.SGD().setup(Pair()))


def test_a_forgotten_return_of_the_loss_is_named():
    with pytest.raises(TypeError, match="SGD.update: lossfun returned NoneType"):
        optimizers.SGD().setup(Pair()).update(lambda: None)
