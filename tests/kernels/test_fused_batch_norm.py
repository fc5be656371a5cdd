"""The kernels of batch_norm.cu against the formulas in float64, and as functions use them."""

import types

import numpy as np
import pytest
from emulated import DEVICE, arrays, emulated, floats, needs_compiler, needs_emulator, sectors

import minigan
import minigan.functions as F
from minigan.kernels import batch_norm
from minigan.kernels import fused_batch_norm as fused
from minigan.kernels.launch import emulation

pytestmark = needs_compiler

# shape, by channel, dtype, activation, mean: images, of sizes that have packs and that have not, vectors, long vectors
CASES = [
    ((6, 5, 8, 8), False, np.float32, "leaky_relu", 0), ((6, 5, 8, 8), True, np.float32, "leaky_relu", 0),
    ((6, 5, 7, 7), False, np.float32, "relu", 0), ((40, 3, 8, 8), True, np.float32, "leaky_relu", 1e4),
    ((6, 5, 4, 3), True, np.float64, None, 0), ((60, 37), False, np.float32, "relu", 0),
    ((600, 37), False, np.float32, "relu", 1e3),
]  # fmt: skip


def everything(x, by_channel, gamma, beta, gy, activation, axis):
    """All results of all entries, the running statistics included."""
    x, gamma, beta, gy = emulated(x, by_channel), *map(emulated, (gamma, beta, gy))
    plan = fused.plan(x, gamma, beta, axis, activation, 0.2)
    running = emulated(np.zeros(gamma.shape, gamma.dtype)), emulated(np.ones(gamma.shape, gamma.dtype))
    y, mean, var, inv_std = fused.forward(plan, x, gamma, beta, 2e-5, running, 0.9)
    gradients = fused.backward(plan, x, gamma, beta, mean, inv_std, gy)
    fixed = fused.forward_fixed(plan, x, gamma, beta, *running, 2e-5)
    return [a.get() for a in (y, mean, var, inv_std, *gradients, *running, fixed)]


def activated(h, activation):
    return h if activation is None else np.where(h > 0, h, h * (0.2 if activation == "leaky_relu" else 0))


def twin(x, gamma, beta, gy, activation, axis):
    """The same by the formulas, in float64."""
    x, gamma, beta, gy = (a.astype(np.float64) for a in (x, gamma, beta, gy))
    h, mean, var, inv_std = batch_norm.forward(x, gamma, beta, 2e-5, axis)
    g = gy if activation is None else np.where(h > 0, gy, gy * (0.2 if activation == "leaky_relu" else 0))
    count = x.size // gamma.size
    running = 0.1 * mean, 0.9 + 0.1 * var * count / (count - 1)
    fixed = batch_norm.forward_fixed(x, gamma, beta, *running, 2e-5, axis)
    gradients = batch_norm.backward(x, gamma, mean, inv_std, g, axis)
    return [activated(h, activation), mean, var, inv_std, *gradients, *running, activated(fixed, activation)]


def arguments(shape, dtype, mean):
    x = floats(*shape, dtype=dtype) + dtype(mean)
    channels = [floats(shape[1], dtype=dtype, seed=i) for i in (1, 2)]
    return x, *channels, floats(*shape, dtype=dtype, seed=3)


@pytest.mark.parametrize("shape, by_channel, dtype, activation, mean", CASES)
def test_kernels_against_formulas(shape, by_channel, dtype, activation, mean):
    x, gamma, beta, gy = arguments(shape, dtype, mean)
    axis = (0, *range(2, x.ndim))
    with emulation() as launches:
        found = everything(x, by_channel, gamma, beta, gy, activation, axis)
    assert [launch.kernel.entry for launch in launches] == [
        "bn_moments", "bn_forward", "bn_sums", "bn_backward", "bn_fixed",
    ]  # fmt: skip
    for a, want in zip(found, twin(x, gamma, beta, gy, activation, axis)):
        tolerance = 3e-6 if dtype is np.float32 else 1e-14
        if a is found[-1] and mean:  # running statistics are of the dtype of gamma, and here far from those of x
            tolerance = 1e-4
        np.testing.assert_allclose(a, want, rtol=0, atol=tolerance * abs(want).max())


def test_every_half_is_read_and_rounded_as_numpy_does():
    x = np.arange(2**16, dtype=np.uint16).view(np.float16).reshape(1, 1, 256, 256)
    one, zero = emulated(np.ones(1, np.float32)), emulated(np.zeros(1, np.float32))
    for scale in (1.0, 0.3, 1e-4, 3.0):
        gamma = emulated(np.array([scale], np.float32))
        plan = fused.plan(emulated(x), gamma, zero, (0, 2, 3))
        found = fused.forward_fixed(plan, emulated(x), gamma, zero, zero, one, 0.0).get()
        with np.errstate(all="ignore"):
            want = (x.astype(np.float32) * np.float32(scale)).astype(np.float16)
        np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("by_channel", [False, True])
def test_halves_are_computed_as_floats(by_channel):
    x, gamma, beta, gy = arguments((6, 5, 8, 8), np.float32, 3)
    x, gy = x.astype(np.float16), gy.astype(np.float16)
    with emulation() as launches:
        found = everything(x, by_channel, gamma, beta, gy, "leaky_relu", (0, 2, 3))
    assert launches[0].kernel.constants["VEC"] == 8
    assert [a.dtype for a in found[:6:4]] == [np.float16] * 2 and found[5].dtype == np.float32
    for i, (a, want) in enumerate(zip(found, twin(x, gamma, beta, gy, "leaky_relu", (0, 2, 3)))):
        tolerance = 1e-3 if a.dtype == np.float16 else 3e-6  # what is stored as a half, and what is not
        np.testing.assert_allclose(a, want, rtol=0, atol=tolerance * abs(want).max(), err_msg=str(i))


def test_several_blocks_share_a_channel():
    x, gamma, beta, gy = arguments((64, 2, 16, 16), np.float32, 0)
    with emulation() as launches:
        found = everything(x, True, gamma, beta, gy, "relu", (0, 2, 3))
    assert launches[0].grid == (4, 2)
    for a, want in zip(found, twin(x, gamma, beta, gy, "relu", (0, 2, 3))):
        # a mean near 0 is as exact as the numbers are large, which are around 1
        np.testing.assert_allclose(a, want, rtol=0, atol=3e-6 * max(1, abs(want).max()))


@needs_emulator
def test_sectors():
    """Sixteen a request of 512 bytes: nothing is fetched that is not used."""
    x, gamma, beta, gy = arguments((8, 2, 16, 16), np.float32, 0)
    with emulation("check") as launches:
        everything(x, True, gamma, beta, gy, "leaky_relu", (0, 2, 3))
    for entry, argument, op in (
        ("bn_forward", 0, "load"), ("bn_forward", 4, "store"), ("bn_sums", 0, "load"), ("bn_sums", 1, "load"),
        ("bn_backward", 0, "load"), ("bn_backward", 1, "load"), ("bn_backward", 7, "store"),
    ):  # fmt: skip
        found, ideal = sectors(launches, entry, op, argument)
        assert found <= 1.1 * ideal, (entry, argument)


@needs_emulator
@pytest.mark.parametrize("x_lies, gy_lies", [(False, True), (True, False), (False, False)])
def test_arrays_that_lie_otherwise_than_x_are_not_copied(x_lies, gy_lies):
    x, gamma, beta, gy = arguments((6, 5, 4, 4), np.float32, 0)
    want = twin(x, gamma, beta, gy, "relu", (0, 2, 3))
    x, gy, gamma, beta = emulated(x, x_lies), emulated(gy, gy_lies), emulated(gamma), emulated(beta)
    plan = fused.plan(x, gamma, beta, (0, 2, 3), "relu")
    with arrays.recording() as operations:
        y, mean, _, inv_std = fused.forward(plan, x, gamma, beta, 2e-5)
        gx, *_ = fused.backward(plan, x, gamma, beta, mean, inv_std, gy)
    assert {name for name, *_ in operations if ".cu: " not in name} <= {"empty", "empty_like", "transpose"}
    assert y.swapaxes(0, 1).flags.c_contiguous and gx.strides == x.strides
    for found, expected in ((y, want[0]), (gx, want[4])):
        np.testing.assert_allclose(found.get(), expected, rtol=0, atol=3e-6 * abs(expected).max())


def test_plans():
    x, gamma, beta = emulated(floats(4, 6, 2, 2)), *(emulated(floats(6)) for _ in range(2))
    plan = fused.plan(x, gamma, beta, (0, 2, 3))
    assert (plan.outer, plan.channels, plan.inner, plan.pack(plan.lay(x))) == (4, 6, 4, 4)
    assert fused.plan(emulated(floats(4, 6, 2, 2), True), gamma, beta, (0, 2, 3)).inner == 16
    last = emulated(floats(4, 2, 2, 6)).transpose(0, 3, 1, 2)
    assert fused.plan(last, gamma, beta, (0, 2, 3))[1:4] == (16, 6, 1)
    assert fused.plan(x, *(emulated(floats(6, 2, 2)) for _ in range(2)), (0,))[1:4] == (4, 24, 1)
    assert fused.plan(x, *(emulated(floats(4, 2)) for _ in range(2)), (1, 3)) is None
    assert fused.plan(x, gamma, emulated(floats(6, dtype=np.float64)), (0, 2, 3)) is None
    assert fused.plan(floats(4, 6), floats(6), floats(6), (0,)) is None
    gaps = emulated(floats(4, 6, 2, 4))[..., ::2]
    found, *_ = fused.forward(fused.plan(gaps, gamma, beta, (0, 2, 3)), gaps, gamma, beta, 2e-5)
    want, *_ = batch_norm.forward(gaps.get(), gamma.get(), beta.get())
    np.testing.assert_allclose(found.get(), want, rtol=1e-5, atol=1e-5)
    odd = emulated(floats(4 * 6 * 4 + 1))[1:].reshape(4, 6, 2, 2)
    plan = fused.plan(odd, gamma, beta, (0, 2, 3))
    assert plan.pack(plan.lay(odd)) == 1
    for n, channels, fits in ((2**31 - 2**17, 1, True), (2**31 - 1000, 1, False), (2, 2**21, False)):
        huge = types.SimpleNamespace(shape=(n, channels), strides=(4 * channels, 4), itemsize=4)
        assert (fused.plan_of(huge, (0,), None, 0) is not None) == fits


@pytest.mark.parametrize("activation", [None, "relu", "leaky_relu"])
@pytest.mark.parametrize("train", [True, False])
def test_function_on_both_devices(activation, train):
    """Value, first and second derivatives, running statistics."""
    given = floats(6, 4, 3, 4), floats(4, seed=1), floats(4, seed=2)
    weights, results = floats(6, 4, 3, 4, seed=3), []
    for name in ("@numpy", DEVICE):
        send = minigan.get_device(name).send
        x, gamma, beta = inputs = [minigan.Variable(send(a.copy())) for a in given]
        mean, var = send(np.zeros(4, np.float32)), send(np.ones(4, np.float32))
        fused_form = {"activation": activation, "slope": 0.1}
        if train:
            y = F.batch_normalization(*inputs, running_mean=mean, running_var=var, **fused_form)
        else:
            y = F.fixed_batch_normalization(*inputs, mean, var, **fused_form)
        first = minigan.grad([F.sum(y * send(weights))], inputs, enable_double_backprop=True)
        sum(F.sum(g * g) for g in first).backward()
        results.append([minigan.backends.cuda.to_cpu(a) for a in (
            y.array, *(g.array for g in first), x.grad, gamma.grad, mean, var)])  # fmt: skip
    for cpu, gpu in zip(*results):
        assert cpu.dtype == gpu.dtype
        np.testing.assert_allclose(gpu, cpu, rtol=0, atol=2e-5 * abs(cpu).max())


def test_running_statistics_of_another_dtype_or_none():
    x, gamma, beta = map(emulated, (floats(6, 4, 3, 4), floats(4), floats(4)))
    mean, var = (emulated(np.zeros(4)) for _ in range(2))
    F.batch_normalization(x, gamma, beta, running_mean=mean, running_var=var, decay=0)
    np.testing.assert_allclose(mean.get(), x.get().mean((0, 2, 3)), rtol=1e-5, atol=1e-6)
    F.batch_normalization(x, gamma, beta)
    with pytest.raises(ValueError, match="running_mean has shape"):
        F.batch_normalization(x, gamma, beta, running_mean=mean[:3], running_var=var)
    with pytest.raises(ValueError, match="activation is 'tanh'; wanted None, 'relu' or 'leaky_relu'"):
        F.batch_normalization(x, gamma, beta, activation="tanh")


def test_more_channels_than_a_grid_has_rows():
    """Instance normalisation counts samples times channels."""
    x = floats(256, 257, 2)
    with emulation() as launches:
        y = F.instance_normalization(emulated(x)).array.get()
    assert not launches
    np.testing.assert_allclose(y, F.instance_normalization(x).array, atol=1e-5)
