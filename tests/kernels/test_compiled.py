"""Loops compiled by numba: the same bits as their twins in NumPy; where numba is not installed, a sentence."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

from minigan import optimizers
from minigan.core import Parameter
from minigan.kernels import compiled, rectifier, winograd
from minigan.kernels.convolution import convolution_weight_gradient, convolve, deconvolve
from minigan.link import Link

SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e-45, -1e-45, 3e38, -3e38]

needs_numba = pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="numba is not installed")


@pytest.fixture
def loops(monkeypatch):
    """The loops, compiled, put in the place of the module that the twins ask."""
    monkeypatch.setenv("MINIGAN_NUMBA", "1")
    spec = importlib.util.spec_from_file_location("compiled_loops", compiled.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for twin in (rectifier, winograd, optimizers):
        monkeypatch.setattr(twin, "compiled", module)
    calls = []
    for name in ("rectify", "choose", "analyse", "synthesise", "adam"):
        loop = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, loop=loop, name=name: (calls.append(name), loop(*a)))
    module.calls = calls
    return module


def both(loops, compute):
    """What is computed with the loops off, and on."""
    loops.on = False
    expected = compute()
    assert not loops.calls
    loops.on = True
    return expected, compute()


def in_layouts(x):
    """The same (N, C, H, W) in two layouts without gaps."""
    return x, np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


@needs_numba
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("slope", [0, 0.01, 0.2, 1])
@pytest.mark.filterwarnings("ignore:(invalid|overflow|underflow)")
def test_rectifiers_have_the_bits_of_numpy(loops, dtype, slope, rng):
    x = rng.standard_normal((3, 11, 5, 7)).astype(dtype)
    x[0, :, 0, 0] = SPECIAL
    gy = np.ascontiguousarray(x[::-1, ::-1])
    for side, g in zip(in_layouts(x), in_layouts(gy)):
        expected, y = both(loops, lambda side=side: rectifier.forward(side, slope))
        if not slope and np.__version__.startswith("1."):  # which makes 0 of -0
            expected, y = expected + 0, y + 0
        assert y.tobytes("K") == expected.tobytes("K") and y.strides == expected.strides
        assert loops.calls.pop() == "rectify" and not loops.calls
        expected, gx = both(loops, lambda side=side, g=g: rectifier.backward(side, g, slope))
        assert gx.tobytes("K") == expected.tobytes("K")
        assert loops.calls.pop() == "choose" and not loops.calls


@needs_numba
def test_arrays_with_gaps_or_of_other_types_go_to_numpy(loops, rng):
    x = rng.standard_normal((6, 8)).astype("f")
    for odd in (x[:, ::2], x.astype(np.float16), x.astype(np.longdouble)):
        expected, y = both(loops, lambda odd=odd: rectifier.forward(odd, 0.2))
        np.testing.assert_array_equal(y, expected)
    assert loops.flat(x, x.T.copy()) is None and loops.flat(x, x.astype("d")) is None
    assert loops.flat(x, x.T.copy().T) is None, "they lie in memory in another order"
    assert not loops.calls
    runs = loops.flat(x.T, x.T)
    assert runs[0].shape == (48,) and np.shares_memory(runs[0], x)


@needs_numba
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("kwargs", "goes"),
    [
        (dict(), True), (dict(eta=0.5, weight_decay_rate=0.1), True), (dict(amsgrad=True), False),
        (dict(adabound=True), False),
    ],
)  # fmt: skip
def test_adam_has_the_bits_of_numpy(loops, dtype, kwargs, goes):
    def run():
        link, rng = Link(), np.random.default_rng(0)
        with link.init_scope():
            link.p = Parameter(rng.standard_normal((50, 37)).astype(dtype))
        optimizer = optimizers.Adam(alpha=0.01, beta1=0.5, **kwargs).setup(link)
        for scale in (1.0, 0.0, 1e-30, 1.0, 1e18):
            link.p.grad = (scale * rng.standard_normal((50, 37))).astype(dtype)
            optimizer.update()
        return [link.p.array, *link.p.update_rule.state.values()]

    expected, found = both(loops, run)
    assert loops.calls == ["adam"] * 5 * goes
    for one, other in zip(expected, found):
        assert one.tobytes() == other.tobytes()


@needs_numba
@pytest.mark.parametrize(
    ("channels", "size", "kernel", "stride", "pad"),
    [((64, 128), (14, 14), (3, 3), (1, 1), (1, 1)), ((128, 64), (9, 13), (4, 4), (2, 2), (1, 1)),
     ((96, 96), (11, 8), (3, 5), (1, 2), (0, 2)), ((96, 96), (5, 4, 6), (3, 3, 3), (1, 1, 1), (1, 1, 1))],
)  # fmt: skip
def test_convolutions_after_winograd_have_the_bits_of_numpy(
    loops, channels, size, kernel, stride, pad, rng, monkeypatch
):
    for cost in ("PRODUCT_COST", "SUM_COST", "WEIGHT_COST"):  # whatever it takes
        monkeypatch.setattr(winograd, cost, 0)
    C, O = channels
    x, W = rng.standard_normal((6, C, *size)).astype("f"), rng.standard_normal((O, C, *kernel)).astype("f")
    b, ones = rng.standard_normal(O).astype("f"), (1,) * len(size)
    out = tuple((n + 2 * p - k) // s + 1 for n, k, s, p in zip(size, kernel, stride, pad))
    gy = rng.standard_normal((6, O, *out)).astype("f")

    def run():
        return (
            convolve(x, W, stride, pad, ones, 1, out, b=b), deconvolve(gy, W, stride, pad, ones, 1, size),
            convolution_weight_gradient(x, gy, kernel, stride, pad, ones, 1),
        )  # fmt: skip

    expected, found = both(loops, run)
    assert {*loops.calls} == {"analyse", "synthesise"}
    for one, other in zip(expected, found):
        assert np.ascontiguousarray(one).tobytes() == np.ascontiguousarray(other).tobytes()


STEP = """
import zlib, numpy as np, minigan, minigan.functions as F, minigan.links as L
from minigan.kernels import compiled
net = minigan.Sequential(L.Linear(20, 30), lambda h: F.leaky_relu(h, 0.2), L.Linear(30, 1))
rng = np.random.RandomState(0)
for p in net.params():
    p.array = rng.randn(*p.shape).astype("f")
optimizer = minigan.optimizers.Adam().setup(net)
for _ in range(3):
    optimizer.update(lambda x: F.mean(F.softplus(net(x))), rng.randn(8, 20).astype("f"))
print(compiled.on, *(zlib.crc32(p.array.tobytes()) for p in net.params()))
"""


def run(code, **environment):
    environment = {**os.environ, **environment}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)


@needs_numba
def test_training_does_not_tell_whether_it_is_on():
    found = [run(STEP, MINIGAN_NUMBA=value) for value in ("", "1")]
    assert [r.returncode for r in found] == [0, 0], found[1].stderr
    off, on = (r.stdout.split() for r in found)
    assert (off[0], on[0]) == ("False", "True") and off[1:] == on[1:]


def test_without_numba_the_wish_for_it_is_a_sentence_and_numpy_computes():
    found = run("import sys; sys.modules['numba'] = None\n" + STEP, MINIGAN_NUMBA="1")
    assert "RuntimeWarning: MINIGAN_NUMBA is 1, but numba cannot be imported (" in found.stderr
    expected = run(STEP, MINIGAN_NUMBA="")
    assert found.returncode == 0 and found.stdout == expected.stdout and expected.stderr == ""
