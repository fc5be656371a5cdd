"""The optimizers' kernels against the rules for the CPU: many parameters, steps, changed rates, resumed runs."""

import copy
import io
import types

import numpy as np
import pytest
from emulated import DEVICE, arrays, emulated, floats, needs_compiler

import minigan
from minigan.kernels import optimizers as module
from minigan.kernels.launch import emulation, turned_off
from minigan.serializers import load_npz, save_npz

pytestmark = needs_compiler
SHAPES = [(7, 5), (1,), (64, 80), (9000,)]
RULES = {
    "SGD": {"lr": 0.1}, "MomentumSGD": {"lr": 0.1}, "CorrectedMomentumSGD": {"lr": 0.1}, "NesterovAG": {"lr": 0.1},
    "AdaGrad": {"lr": 0.01}, "AdaDelta": {}, "RMSprop": {"lr": 0.01}, "RMSpropGraves": {"lr": 0.01}, "SMORMS3": {},
    "MSVAG": {"weight_decay_rate": 0.1}, "Adam": {"alpha": 0.01, "weight_decay_rate": 0.1}, "AMSGrad": {"eta": 0.5},
    "AdaBound": {"gamma": 0.5}, "AMSBound": {"final_lr": 0.01},
}  # fmt: skip
COUNTING = "Adam", "AMSGrad", "AdaBound", "AMSBound", "MSVAG"


def trained(name, device, steps=3, dtype=np.float32, loss_scale=None, fp32=False, **arguments):
    """Parameters and states after some steps, the rate halved and one parameter left out in the middle."""
    link = minigan.Link()
    with link.init_scope():
        for i, shape in enumerate(SHAPES):
            setattr(link, f"p{i}", minigan.Parameter(floats(*shape, dtype=dtype, seed=i)))
    link.to_device(device)
    optimizer = getattr(minigan.optimizers, name)(**(arguments or RULES.get(name, {}))).setup(link)
    optimizer.use_fp32_update(fp32)
    for step in range(steps):
        for i, param in enumerate(link.params()):
            param.grad = link.device.send(floats(*param.shape, dtype=dtype, seed=10 * step + i))
            param._loss_scale = loss_scale and loss_scale(step)
        if step == 1:
            link.p1.update_rule.enabled = False
            rate = "alpha" if hasattr(optimizer, "beta1") else "lr" if hasattr(optimizer, "lr") else "rho"
            setattr(optimizer, rate, getattr(optimizer, rate) * 0.5)
        optimizer.update()
        link.p1.update_rule.enabled = True
    values = [p.array for p in link.params()] + [s for p in link.params() for s in (p.update_rule.state or {}).values()]
    values += [p.update_rule._fp32_param.array for p in link.params() if fp32]
    return [minigan.backends.cuda.to_cpu(a) for a in values], optimizer


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_parameters_move_in_one_launch(name, dtype):
    want, _ = trained(name, "@numpy", dtype=dtype)
    with emulation() as launches:
        found, optimizer = trained(name, DEVICE, dtype=dtype)
    # two launches in the last step, where one parameter is a step behind, whose rates are others
    entries = [launch.kernel.entry for launch in launches]
    assert entries.count("step_all") == (4 if name in COUNTING else 3)
    assert len(entries) == (8 if name in COUNTING else 3)
    assert [p.update_rule.t for p in optimizer.target.params()] == [3, 2, 3, 3]
    for a, b in zip(found, want):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=2e-6 if dtype is np.float32 else 1e-14, atol=3e-7)


def test_more_parameters_than_a_table_holds(monkeypatch):
    want, _ = trained("Adam", DEVICE)
    monkeypatch.setattr(module, "MOST", 2)
    with emulation() as launches:
        found, _ = trained("Adam", DEVICE)
    assert len(launches) == 11  # one for the rates of each group, and one for each two parameters
    for a, b in zip(found, want):
        np.testing.assert_array_equal(a, b)


def test_odd_addresses():
    p, g = emulated(floats(101))[1:], emulated(floats(100, seed=1))
    with emulation() as launches:
        module.Step("sgd", arrays)([(p, g)], (1.0, 0.5))
    assert launches[0].kernel.constants["VEC"] == 1
    np.testing.assert_allclose(p.get(), floats(101)[1:] - 0.5 * floats(100, seed=1), rtol=1e-6)


def test_the_other_rmsprop():
    found, want = (trained("RMSprop", d, lr=0.01, eps=1e-3, eps_inside_sqrt=True)[0] for d in (DEVICE, "@numpy"))
    for a, b in zip(found, want):
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=3e-7)


@pytest.mark.parametrize("name", ["Adam", "AMSBound", "MomentumSGD"])
@pytest.mark.parametrize("fp32", [False, True])
@pytest.mark.parametrize("loss_scale", [None, lambda step: 8.0 + step])
def test_halves(name, fp32, loss_scale):
    """Parameters in float16, with a copy in float32 and without, and a loss scale that moves."""
    more = {} if name == "MomentumSGD" else {"eps": 1e-3}
    more |= {"dtype": np.float16, "fp32": fp32, "loss_scale": loss_scale}
    want, on_cpu = trained(name, "@numpy", **more)
    with emulation() as launches:
        found, optimizer = trained(name, DEVICE, **more)
    steps = [launch.kernel.constants["RULE"] for launch in launches if launch.kernel.entry == "step_all"]
    rules = len(steps) - steps.count("scale")
    assert rules == (3 if name == "MomentumSGD" else 4) and len(steps) == rules + (3 if loss_scale and not fp32 else 0)
    for a, b in zip(found, want):
        assert a.dtype == b.dtype
        tolerance = 2e-6 if a.dtype == np.float32 else 1e-3 if fp32 else 4e-3  # the CPU's states are rounded in between
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
    for a, b in zip(optimizer.target.params(), on_cpu.target.params()):  # where the update divides by it, it is gone
        np.testing.assert_array_equal(minigan.backends.cuda.to_cpu(a.grad), b.grad)
        assert a._loss_scale == b._loss_scale


def test_hooks_of_a_rule_and_rules_of_ones_own_are_kept():
    class Frozen(minigan.optimizers.AdamRule):
        def update_core_gpu(self, param):
            pass

    link = minigan.links.Linear(3, 2).to_device(DEVICE)
    optimizer = minigan.optimizers.Adam().setup(link)
    link.b.update_rule.add_hook(lambda rule, param: param.grad.fill(0), "zero")
    link.W.update_rule = Frozen(optimizer.hyperparam)
    before = link.W.array.get()
    for param in link.params():
        param.grad = param.xp.ones_like(param.array)
    with emulation() as launches:
        optimizer.update()
    assert not launches
    link.b.update_rule.remove_hook("zero")
    assert (link.b.array.get() == 0).all() and (link.W.array.get() == before).all()


@pytest.mark.parametrize("name, dtype", [*((name, np.float32) for name in RULES), ("AMSBound", np.float16)])
def test_a_resumed_run_goes_on(name, dtype):
    """Bit for bit, from a file in which states have Chainer's names."""
    make = {"dtype": dtype, "fp32": dtype == np.float16}
    _, optimizer = trained(name, DEVICE, **make)
    file = io.BytesIO()
    save_npz(file, optimizer)
    _, on_cpu = trained(name, "@numpy", steps=1, **make)
    keys = {f"/p0/{key}" for key in ("t", *on_cpu.target.p0.update_rule.state)}
    file.seek(0)
    assert {key for key in np.load(file).files if "/p0/" in f"/{key}" and "fp32" not in key} == {k[1:] for k in keys}
    file.seek(0)
    _, other = trained(name, DEVICE, steps=1, **make)
    load_npz(file, other)
    for p, q in zip(other.target.params(), optimizer.target.params()):
        p.array[...] = q.array
    assert copy.deepcopy(optimizer)._steps
    found = []
    for opt in (optimizer, other):
        for key in vars(optimizer.hyperparam).keys() - {"_parent"}:
            setattr(opt, key, getattr(optimizer, key))
        for i, param in enumerate(opt.target.params()):
            param.grad = opt.target.device.send(floats(*param.shape, dtype=dtype, seed=i))
        opt.update()
        found.append([p.array.get() for p in opt.target.params()])
        found[-1] += [s.get() for p in opt.target.params() for s in (p.update_rule.state or {}).values()]
    assert [p.update_rule.t for p in other.target.params()] == [4, 3, 4, 4]
    for a, b in zip(*found):
        np.testing.assert_array_equal(a, b)


def test_without_kernels():
    want, _ = trained("Adam", DEVICE)
    with turned_off():
        found, _ = trained("Adam", DEVICE)
    for a, b in zip(found, want):
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-7)


def test_a_loss_scale_that_moves_asks_once_for_all_gradients():
    link = minigan.links.Linear(3, 2).to_device(DEVICE)
    optimizer = minigan.optimizers.SGD().setup(link)
    optimizer.loss_scaling()
    x = link.device.send(floats(4, 3))
    with emulation() as launches:
        optimizer.update(lambda: minigan.functions.sum(link(x)))
    entries = [x.kernel.entry for x in launches if x.kernel.file in ("rates.cu", "optimizers.cu")]
    assert entries == ["squares", "step_all", "step_all"]  # the gradients, the loss scale, the step
    assert optimizer._loss_scale == 2
    before = link.W.array.get()
    link.W.grad = link.device.send(np.array([[1, np.nan, 2], [3, np.inf, 4]], np.float32))
    with pytest.warns(UserWarning, match="the gradient of /W is not finite"):
        optimizer.update()
    assert optimizer._loss_scale == 1 and (link.W.array.get() == before).all()


HOOKS = {  # with their launches for four parameters
    "WeightDecay": ((0.1,), 1), "Lasso": ((0.1,), 1), "GradientHardClipping": ((-0.5, 0.3), 1),
    "GradientClipping": ((3.0,), 3), "GradientLARS": ((9.0, 0.1), 3),
}  # fmt: skip


@pytest.mark.parametrize("name", HOOKS)
@pytest.mark.parametrize("dtype, unit, most", [(np.float32, None, 64), (np.float32, 8.0, 2), (np.float16, 8.0, 64)])
def test_hooks_change_all_gradients_at_once(name, dtype, unit, most, monkeypatch):
    monkeypatch.setattr(module, "MOST", most)
    arguments, number = HOOKS[name]
    found = []
    for device in ("@numpy", DEVICE):
        link = minigan.Link()
        with link.init_scope():
            for i, shape in enumerate(SHAPES):
                setattr(link, f"p{i}", minigan.Parameter(floats(*shape, dtype=dtype, seed=i)))
        link.to_device(device)
        for i, p in enumerate(link.params()):
            p.grad, p._loss_scale = link.device.send(floats(*p.shape, dtype=dtype, seed=9 + i)), unit
        before = [p.grad for p in link.params()]
        optimizer = minigan.optimizers.SGD().setup(link)
        optimizer.add_hook(getattr(minigan.optimizer_hooks, name)(*arguments))
        with emulation() as launches:
            optimizer.call_hooks()
        assert all(p.grad is not g for p, g in zip(link.params(), before))  # others may have the old one, too
        found.append([minigan.backends.cuda.to_cpu(p.grad) for p in link.params()])
    steps = {"GradientClipping": 5, "GradientLARS": 6}.get(name, 2)
    assert len(launches) == (number if most == 64 else steps)
    for a, b in zip(*found):
        assert a.dtype == b.dtype
        rounding = 1e-6 if dtype is np.float32 else 1e-3
        np.testing.assert_allclose(a, b, rtol=rounding, atol=rounding * np.abs(b).max())


def test_a_hook_of_ones_own_is_kept():
    class Doubled(minigan.optimizer_hooks.WeightDecay):
        def _gradient(self, rule, param):
            return 2 * param.grad

    link = minigan.links.Linear(3, 2).to_device(DEVICE)
    optimizer = minigan.optimizers.SGD().setup(link)
    optimizer.add_hook(Doubled(0.1))
    for p in link.params():
        p.grad = p.xp.ones_like(p.array)
    with emulation() as launches:
        optimizer.call_hooks()
    assert not launches and all((p.grad.get() == 2).all() for p in link.params())


@pytest.mark.parametrize("count", [None, 1, 100])
def test_an_average_follows_in_one_launch(count):
    found = []
    for device in ("@numpy", DEVICE):
        net = minigan.Sequential(minigan.links.Linear(5, 4, initialW=1), minigan.links.BatchNormalization(4))
        net.to_device(device)
        average = minigan.links.ExponentialMovingAverage(net, 0.9)
        values = [p.array for p in net.params()] + [net[1].avg_mean, net[1].avg_var]
        for step in range(3):
            for i, value in enumerate(values):
                value[...] = net.device.send(floats(*value.shape, seed=9 * step + i))
            net[1].N = step
            with emulation() as launches:
                average.update(count and count + step)
        bn = average.average[1]
        found.append(
            [minigan.backends.cuda.to_cpu(a) for a in (*(p.array for p in bn.params()), bn.avg_mean, bn.avg_var)]
        )
        assert bn.N == 2
    assert [launch.kernel.entry for launch in launches] == ["follow_begin", "step_all"]
    for a, b in zip(*found):
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-6)


def test_a_parameter_too_large_for_one_step_is_refused():
    huge = types.SimpleNamespace(size=2**31 - 1)
    with pytest.raises(ValueError, match="2147483647 elements; one step takes at most 2147479551; split it"):
        list(module._tables([(huge, huge)], False))
