"""Bias and activation behind a product: the kernels against formulas, and as functions use them on both devices."""

import threading
import types

import numpy as np
import pytest
from emulated import DEVICE, arrays, emulated, floats, needs_compiler

import minigan
import minigan.functions as F
from minigan.backends.cuda import to_cpu
from minigan.kernels import bias_activation
from minigan.kernels.launch import emulation

pytestmark = needs_compiler
SLOPES = {"relu": 0.0, "leaky_relu": 0.3, "tanh": 0.0}


# images by channel, in packs and not, also of channels that several blocks share; vectors likewise
@pytest.mark.parametrize("shape", [(3, 5, 4, 4), (3, 5, 3, 3), (50, 2, 16, 16), (7, 37), (300, 40)])
@pytest.mark.parametrize("dtype", ["f", "d", "e"])
def test_kernels_against_formulas(shape, dtype):
    x, b, gy = (floats(*s, seed=i).astype(dtype) for i, s in enumerate((shape, shape[1:2], shape)))
    by_channel = len(shape) > 2
    for activation, slope in SLOPES.items():
        y = emulated(x.copy(), by_channel)
        bias_activation.forward(y, emulated(b), activation, slope)
        wide = (a.astype("d") for a in (x, b, gy))
        h, g = next(wide) + next(wide).reshape(-1, *(1 for _ in shape[2:])), next(wide)
        want = np.tanh(h) if activation == "tanh" else np.where(h > 0, h, slope * h)
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(y.get(), want, rtol=4 * eps, atol=4 * eps)
        given = y.get().astype("d")
        gx = g * (1 - given**2 if activation == "tanh" else np.where(given > 0, 1, slope))
        for other in (False, by_channel):  # gy of both layouts, again and again: the counters are zeros each time
            found = bias_activation.backward(y, emulated(gy, other), activation, slope)
            assert found[0].strides == y.strides and [a.dtype for a in found] == [x.dtype] * 2
            np.testing.assert_allclose(found[0].get(), gx, rtol=4 * eps, atol=4 * eps)
            axis = (0, *range(2, len(shape)))
            np.testing.assert_allclose(found[1].get(), gx.sum(axis), rtol=0, atol=4 * eps * abs(gx).sum(axis).max())


def test_blocks_of_two_streams_do_not_count_each_other(monkeypatch):
    monkeypatch.setattr(bias_activation, "_local", threading.local())
    found = []
    for ptr in (16, 32, 16):
        monkeypatch.setattr(arrays.cuda, "get_current_stream", lambda ptr=ptr: types.SimpleNamespace(ptr=ptr))
        found.append(bias_activation._arrivals(arrays))
    assert found[0] is found[2] is not found[1] and not found[0].get().any()


def test_special_numbers():
    x = np.array([[np.nan, np.inf, -np.inf, -0.0]], np.float32)
    for activation, want in (("relu", [np.nan, np.inf, 0, 0]), ("leaky_relu", [np.nan, np.inf, -np.inf, 0])):
        y = emulated(x.copy())
        bias_activation.forward(y, emulated(np.zeros(4, np.float32)), activation, SLOPES[activation])
        np.testing.assert_array_equal(y.get(), [want])


FUNCTIONS = {
    "linear": (F.linear, (6, 8), (5, 8)),
    "convolution": (lambda *a, **k: F.convolution_2d(*a, 2, 1, **k), (3, 2, 6, 6), (5, 2, 4, 4)),
    "deconvolution": (lambda *a, **k: F.deconvolution_2d(*a, 2, 1, **k), (3, 2, 3, 3), (2, 5, 4, 4)),
    "volumes": (lambda *a, **k: F.deconvolution_3d(*a, **k), (2, 2, 2, 2, 2), (2, 5, 2, 2, 2)),
    "series": (lambda *a, **k: F.convolution_1d(*a, **k), (3, 2, 9), (5, 2, 3)),
}  # fmt: skip
FORWARD = {"deconvolution": "col2im_bias", "volumes": None}  # else "bias_activation"


def derivatives(function, arrays, gy, device, **behind):
    """The output, all first derivatives, and the second derivatives of their squares in all inputs and gy."""
    send = minigan.get_device(device).send
    inputs = [minigan.Variable(send(a)) for a in arrays]
    y = function(*inputs, **behind)
    g = minigan.Variable(send(gy[: y.size].reshape(y.shape)))
    first = minigan.grad([y], inputs, [g], enable_double_backprop=True)
    (square, *squares) = (F.sum(v * v) for v in first)
    second = minigan.grad([sum(squares, square)], [*inputs, g])
    return [to_cpu(v.array) for v in (y, *first, *second) if v is not None]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("activation", SLOPES)
def test_functions_on_both_devices(name, activation):
    function, *shapes = FUNCTIONS[name]
    arrays = [floats(*shape, seed=i, dtype=np.float64) for i, shape in enumerate((*shapes, (5,)))]
    gy, behind = floats(1000, seed=9, dtype=np.float64), {"activation": activation, "slope": 0.3}
    want = derivatives(function, arrays, gy, "@numpy", **behind)
    with emulation() as launches:
        found = derivatives(function, arrays, gy, DEVICE, **behind)
    entries = [launch.kernel.entry for launch in launches]
    curved = activation == "tanh"  # only then the second derivative depends on what is in front
    once = FORWARD.get(name, "bias_activation")
    assert entries.count(once) == (once is not None) and entries.count("bias_activation_grad") == 1 + curved
    assert len(found) == len(want) == 7 + curved
    for a, b in zip(found, want):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)
    separate = getattr(F, activation)
    plain = separate(function(*arrays), *([0.3] if activation == "leaky_relu" else []))
    np.testing.assert_array_equal(want[0], plain.array)


def test_the_gradient_of_x_alone_asks_for_no_sum():
    x, W, b = (minigan.Variable(emulated(floats(*s))) for s in ((4, 3), (5, 3), (5,)))
    y = F.linear(x, W, b, activation="relu")
    with emulation() as launches:
        minigan.grad([y], [x], [minigan.Variable(emulated(floats(4, 5)))])
    assert [launch.kernel.entry for launch in launches] == ["leaky_relu_grad"]


def test_where_it_is_two_nodes():
    """No bias, mixed types, a slope that hides the side, the CPU: the same values all the same."""
    x, W, b = floats(4, 3), floats(5, 3), floats(5)
    h = x @ W.T + b
    with emulation() as launches:
        given = [emulated(a) for a in (x, W, b)]
        for args, slope in ((given[:2], 0.2), (given, -0.5), ([given[0], given[1].astype("d"), given[2]], 0.2)):
            want = h if len(args) == 3 else h - b
            y = F.linear(*args, activation="leaky_relu", slope=slope)
            np.testing.assert_allclose(to_cpu(y.array), np.where(want > 0, want, slope * want), rtol=1e-5, atol=1e-6)
    assert {launch.kernel.entry for launch in launches} == {"leaky_relu"}
    with pytest.raises(ValueError, match="linear: activation is 'elu'; wanted None or one of .'relu', 'leaky_relu', "):
        F.linear(x, W, b, activation="elu")
