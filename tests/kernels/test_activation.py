"""The kernels of activation.cu against the functions' formulas, of any layout."""

import numpy as np
import pytest
from emulated import emulated, floats, needs_compiler, needs_emulator

import minigan
import minigan.functions as F
from minigan.kernels.activation import fused
from minigan.kernels.launch import emulation, turned_off

pytestmark = needs_compiler
FUNCTIONS = {
    "leaky_relu": lambda x: F.leaky_relu(x, 0.1), "steep": lambda x: F.leaky_relu(x, 2.0), "relu": F.relu,
    "sigmoid": F.sigmoid, "tanh": F.tanh, "softplus": lambda x: F.softplus(x, 2.0),
}  # fmt: skip


def results(function, x, g):
    """The function, its first and its second derivative."""
    x, g = minigan.Variable(x), minigan.Variable(g)
    y = function(x)
    (gx,) = minigan.grad([y], [x], [g], enable_double_backprop=True)
    (ggx,) = minigan.grad([gx], [g], [x])
    return [a.array for a in (y, gx, ggx)]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kernels_against_formulas(name, dtype):
    for shape, by_channel in (((3, 4, 5, 2), False), ((3, 4, 5, 2), True), ((7,), False), ((), False)):
        x, g = floats(*shape, dtype=dtype) * 3, floats(*shape, dtype=dtype, seed=1)
        x, g = (emulated(np.asarray(a, dtype), by_channel and a.ndim > 1) for a in (x, g))
        with emulation() as launches:
            found = results(FUNCTIONS[name], x, g)
        assert launches
        with turned_off(), emulation() as none:
            want = results(FUNCTIONS[name], x, g)
        assert not none
        assert found[0].strides == x.strides  # the others may be CuPy's, whose results lie in order C
        for a, b in zip(found, want):
            assert a.dtype == dtype
            # second derivatives are differences of numbers around 1, each rounded once or twice
            epsilon = np.finfo(dtype).eps
            np.testing.assert_allclose(a.get(), b.get(), rtol=16 * epsilon, atol=8 * epsilon)


def test_special_numbers():
    x = emulated(np.array([np.nan, np.inf, -np.inf, 0, -0.0, 1e30, -1e30, 100], np.float32))
    g = emulated(np.ones(8, np.float32))
    for name, function in FUNCTIONS.items():
        with np.errstate(all="ignore"):
            found = results(function, x, g)[:2]
            with turned_off():
                want = results(function, x, g)[:2]
        for a, b in zip(found, want):
            np.testing.assert_allclose(a.get(), b.get(), rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("n", [400, 401])
def test_halves_are_computed_as_floats_and_rounded_once(n):
    x, g = (floats(n, seed=i).astype(np.float16) for i in (0, 1))
    for entry, numbers in (("leaky_relu", (0.1,)), ("softplus", (2.0,)), ("sigmoid", ())):
        found, wide = (fused(entry, emulated(a), numbers=numbers).get() for a in (x, x.astype(np.float32)))
        assert found.dtype == np.float16
        np.testing.assert_array_equal(found, wide.astype(np.float16))
    for entry, numbers in (("leaky_relu_grad", (0.1,)), ("sigmoid_grad", ()), ("tanh_grad", ())):
        found = fused(entry, emulated(x), emulated(g), numbers=numbers).get()
        wide = fused(entry, *(emulated(a.astype(np.float32)) for a in (x, g)), numbers=numbers).get()
        np.testing.assert_array_equal(found, wide.astype(np.float16))
    with emulation() as launches:
        results(F.relu, emulated(x), emulated(g))
    assert [launch.kernel.constants["STORE"] for launch in launches] == ["Half"] * 3


@needs_emulator
def test_sectors():
    with emulation("check") as launches:
        for function in FUNCTIONS.values():
            results(function, emulated(floats(3, 400)), emulated(floats(3, 400, seed=1)))
    for access in (a for launch in launches for a in launch.report):
        assert access.sectors_per_request <= 1.1 * access.ideal


def test_where_there_is_no_kernel():
    x = emulated(floats(4, 6))
    assert fused("sigmoid", x) is not None
    for other in (floats(4, 6), x[:, ::2], x.astype(np.int32), x[:0]):
        assert fused("sigmoid", other) is None
    assert fused("tanh_grad", x, emulated(floats(4, 6), True)) is None
    assert F.sigmoid(x[:, ::2]).shape == (4, 3)
    assert fused("sigmoid", emulated(floats(25))[1:]) is not None
