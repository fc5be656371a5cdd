"""The optimizers' kernels against the rules for the CPU: many parameters, steps, changed rates, resumed runs."""

import copy
import io

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
    "SGD": {"lr": 0.1}, "MomentumSGD": {"lr": 0.1}, "RMSprop": {"lr": 0.01},
    "Adam": {"alpha": 0.01, "weight_decay_rate": 0.1},
}  # fmt: skip


def trained(name, device, steps=3, dtype=np.float32, **arguments):
    """Parameters and states after some steps, the rate halved and one parameter left out in the middle."""
    link = minigan.Link()
    with link.init_scope():
        for i, shape in enumerate(SHAPES):
            setattr(link, f"p{i}", minigan.Parameter(floats(*shape, dtype=dtype, seed=i)))
    link.to_device(device)
    optimizer = getattr(minigan.optimizers, name)(**(arguments or RULES.get(name, {}))).setup(link)
    for step in range(steps):
        for i, param in enumerate(link.params()):
            param.grad = link.device.send(floats(*param.shape, dtype=dtype, seed=10 * step + i))
        if step == 1:
            link.p1.update_rule.enabled = False
            rate = "alpha" if hasattr(optimizer, "beta1") else "lr"
            setattr(optimizer, rate, getattr(optimizer, rate) * 0.5)
        optimizer.update()
        link.p1.update_rule.enabled = True
    values = [p.array for p in link.params()] + [s for p in link.params() for s in (p.update_rule.state or {}).values()]
    return [minigan.backends.cuda.to_cpu(a) for a in values], optimizer


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_parameters_move_in_one_launch(name, dtype):
    want, _ = trained(name, "@numpy", dtype=dtype)
    with emulation() as launches:
        found, optimizer = trained(name, DEVICE, dtype=dtype)
    # two launches in the last step, where one parameter is a step behind, whose Adam rates are others
    entries = [launch.kernel.entry for launch in launches if launch.kernel.entry == "step_all"]
    assert len(entries) == (4 if name == "Adam" else 3)
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
        module.Step("sgd", arrays)([(p, g)], (0.5,))
    assert launches[0].kernel.constants["VEC"] == 1
    np.testing.assert_allclose(p.get(), floats(101)[1:] - 0.5 * floats(100, seed=1), rtol=1e-6)


@pytest.mark.parametrize("name", ["AMSGrad", "RMSprop", "AdaGrad"])
def test_other_rules_go_their_own_way(name):
    arguments = {"eps_inside_sqrt": True} if name == "RMSprop" else {}
    with emulation() as launches:
        found, _ = trained(name, DEVICE, **arguments)
    want, _ = trained(name, "@numpy", **arguments)
    assert not launches
    for a, b in zip(found, want):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


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
    assert not launches and (link.b.array.get() == 0).all() and (link.W.array.get() == before).all()


def test_a_resumed_run_goes_on():
    want, _ = trained("Adam", DEVICE, alpha=0.01)
    _, optimizer = trained("Adam", DEVICE, alpha=0.01)
    file = io.BytesIO()
    save_npz(file, optimizer)
    file.seek(0)
    _, other = trained("Adam", DEVICE, steps=1, alpha=0.01)
    load_npz(file, other)
    states = []
    assert copy.deepcopy(optimizer)._steps
    for opt in (optimizer, other):
        opt.alpha = 0.02
        for i, param in enumerate(opt.target.params()):
            param.grad = opt.target.device.send(floats(*param.shape, seed=i))
        opt.update()
        states.append([s.get() for p in opt.target.params() for s in p.update_rule.state.values()])
    assert [p.update_rule.t for p in other.target.params()] == [4, 3, 4, 4]
    for a, b in zip(*states):
        np.testing.assert_array_equal(a, b)
    with turned_off():
        found, _ = trained("Adam", DEVICE, alpha=0.01)
    for a, b in zip(found, want):
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_loss_scale_is_taken_out_before_the_step(dtype):
    found = []
    for device in ("@numpy", DEVICE):
        link = minigan.Link()
        with link.init_scope():
            link.p = minigan.Parameter(floats(9, dtype=dtype, seed=0))
        link.to_device(device)
        optimizer = minigan.optimizers.MomentumSGD(0.1).setup(link)
        optimizer.use_fp32_update()
        with emulation():
            for seed in range(3):
                link.p.grad, link.p._loss_scale = link.device.send(floats(9, dtype=dtype, seed=seed)), 8.0
                optimizer.update()
        found.append(minigan.backends.cuda.to_cpu(link.p.array))
    np.testing.assert_array_equal(*found)
