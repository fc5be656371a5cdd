"""Losses and opinions of logits: one launch each on a GPU, and the same numbers as their formulas to any order."""

import numpy as np
import pytest
from emulated import DEVICE, emulated, floats, needs_compiler

import minigan
import minigan.functions as F
from minigan.backends.cuda import to_cpu
from minigan.functions.logits import opinions, softplus_means
from minigan.gans.gan import loss_dis, loss_gen
from minigan.kernels import logits
from minigan.kernels.launch import emulation

pytestmark = needs_compiler


def derivatives(sizes, device):
    """The loss, its gradients, and what the sum of their squares depends on."""
    send = minigan.get_device(device).send
    xs = [minigan.Variable(send(floats(n, 1, seed=i, dtype=np.float64) * 3)) for i, n in enumerate(sizes)]
    g = minigan.Variable(send(np.array(2.0)))
    loss = loss_dis(*xs) if len(xs) == 2 else loss_gen(*xs)
    first = minigan.grad([loss], xs, [g], enable_double_backprop=True)
    (square, *squares) = (F.sum(v * v) for v in first)
    return [to_cpu(v.array) for v in (loss, *first, *minigan.grad([sum(squares, square)], [*xs, g]))]


@pytest.mark.parametrize("sizes", [(300,), (300, 77)])
def test_on_both_devices(sizes):
    with emulation() as launches:
        found = derivatives(sizes, DEVICE)
    assert [launch.kernel.entry for launch in launches][:2] == ["softplus_means", "softplus_means_grad"]
    for a, b in zip(found, derivatives(sizes, "@numpy")):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)


def test_one_of_two_gradients():
    x, y = (minigan.Variable(emulated(floats(5, seed=i))) for i in (0, 1))
    (gy,) = minigan.grad([loss_dis(x, y)], [y])
    np.testing.assert_allclose(gy.array.get(), 1 / (1 + np.exp(-floats(5, seed=1))) / 5, rtol=1e-6)


def test_large_and_special_logits():
    x = np.array([1e30, -1e30, np.inf, -np.inf, 0, 90, -90], np.float32)
    for i, want in enumerate(np.logaddexp(0, x.astype(np.float64))):
        assert float(softplus_means([emulated(x[i : i + 1])], (1,)).array.get()) == pytest.approx(want)
    assert np.isnan(float(softplus_means([emulated(np.full(3, np.nan, "f"))], (1,)).array.get()))


@pytest.mark.parametrize("dtype", ["f", "d", "e"])
def test_opinions(dtype):
    real, fake = floats(300).astype(dtype), floats(77, 1, seed=1).astype(dtype)
    with emulation() as launches:
        found = opinions(emulated(real), emulated(fake))
    assert [launch.kernel.entry for launch in launches] == ["opinions"]
    for a, b in zip(found, opinions(real, fake)):
        assert a.shape == () and float(a.get()) == pytest.approx(float(b), rel=2e-3 if dtype == "e" else 1e-6)


def test_more_logits_than_one_block_sees():
    many = emulated(floats(logits.MOST + 1))
    with emulation() as launches:
        loss = loss_gen(many)
    assert {launch.kernel.entry for launch in launches} == {"softplus"}
    assert float(loss.array.get()) == pytest.approx(np.logaddexp(0, -floats(logits.MOST + 1)).mean(), rel=1e-5)
