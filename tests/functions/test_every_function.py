"""Runs the test table: forward, derivatives to the third, dtypes, memory layouts, and that no row is missing."""

import importlib

import numpy as np
import pytest
from functions.table import is_float

import minigan.functions as F
from minigan.backends import cuda
from minigan.core import Variable, grad
from minigan.gradient_check import check_backward, check_double_backward

CHAPTERS = (
    "activation", "array", "connection", "evaluation", "linear_algebra", "loss", "math", "noise",
    "normalization", "pooling", "reduction", "spatial", "util", "whitening",
)  # fmt: skip
ROWS = [row for chapter in CHAPTERS for row in importlib.import_module(f"functions.rows_{chapter}").ROWS]

every_row = pytest.mark.parametrize("row", ROWS, ids=str)
every_derivative = pytest.mark.parametrize("row", [row for row in ROWS if row.differentiable], ids=str)


def inputs_of(row, dtype=np.float64):
    """Inputs, gradients for the outputs, and gradients for the gradients; each row has its own, always the same."""
    rng = np.random.RandomState(0)
    xs = [make(rng) for make in row.inputs]
    xs = [x.astype(dtype) if is_float(x) else x for x in xs]
    wide = [x.astype(np.float64) if is_float(x) else x for x in xs]
    expected = tuple(np.asarray(y) for y in row.expected(*wide))
    gys = tuple(rng.standard_normal(y.shape).astype(row.arguments.get("typ", dtype)) for y in expected)
    ggxs = tuple(rng.standard_normal(x.shape).astype(dtype) if is_float(x) else None for x in xs)
    return xs, expected, gys, ggxs


def values_and_gradients(row, xs, gys):
    variables = [Variable(x) for x in xs]
    ys = row.function(*variables)
    gxs = grad(ys, [v for v in variables if is_float(v.array)], gys) if row.differentiable else []
    return [y.array for y in ys], [g.array for g in gxs]


def test_every_function_has_a_row():
    public = {name for name, f in vars(F).items() if callable(f) and not name.startswith("_")}
    assert public == set(F.__all__)
    assert public == {row.name for row in ROWS}


@every_row
def test_forward(row):
    xs, expected, _, _ = inputs_of(row)
    for x in xs:
        x.flags.writeable = False  # a function that wrote into its input would raise
    ys = row.function(*xs)
    assert len(ys) == len(expected)
    for y, want in zip(ys, expected, strict=True):
        assert isinstance(y, Variable) and (y.shape, y.dtype) == (want.shape, np.float64)
        np.testing.assert_allclose(y.array, want, rtol=1e-10, atol=1e-12)


@every_derivative
def test_first_derivative(row):
    xs, _, gys, _ = inputs_of(row)
    check_backward(row.function, tuple(xs), gys, atol=1e-8, rtol=1e-7)


@every_derivative
def test_second_derivative(row):
    xs, _, gys, ggxs = inputs_of(row)
    check_double_backward(row.function, tuple(xs), gys, ggxs, atol=1e-7, rtol=1e-6)


@every_derivative
def test_third_derivative(row):
    """The second derivative of (x, gy) -> gx, which is a function like any other."""
    xs, _, gys, ggxs = inputs_of(row)
    wanted = [i for i, x in enumerate(xs) if is_float(x)]

    def gradient(*arguments):
        ys = [y * 1 for y in row.function(*arguments[: len(xs)])]  # times 1: some functions return their input
        gxs = grad(ys, [arguments[i] for i in wanted], arguments[len(xs) :], enable_double_backprop=True)
        return tuple(arguments[i] * 0 if g is None else g for i, g in zip(wanted, gxs, strict=True))

    rng = np.random.RandomState(1)
    gggs = tuple(rng.standard_normal(x.shape) if is_float(x) else None for x in (*xs, *gys))
    check_double_backward(gradient, (*xs, *gys), tuple(ggxs[i] for i in wanted), gggs, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("dtype, tolerance", [(np.float16, 2e-2), (np.float32, 2e-5)], ids=["float16", "float32"])
@every_row
def test_dtype_is_kept(row, dtype, tolerance):
    xs, expected, gys, _ = inputs_of(row, dtype)
    wide = [x.astype(np.float64) if is_float(x) else x for x in xs]
    ys, gxs = values_and_gradients(row, xs, gys)
    _, wide_gxs = values_and_gradients(row, wide, tuple(gy.astype(np.float64) for gy in gys))
    assert all(y.dtype == row.arguments.get("typ", dtype) for y in ys) and all(g.dtype == dtype for g in gxs)
    for got, want in zip([*ys, *gxs], [*expected, *wide_gxs], strict=True):
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * max(1.0, np.abs(want).max()))


def strided(x):
    """The same numbers with a gap after each, and the first axis running backwards."""
    view = np.zeros([2 * n for n in x.shape], x.dtype)[::-2][(slice(None), *[slice(None, None, 2)] * (x.ndim - 1))]
    view[...] = x
    return view


def fortran(x):
    return np.asfortranarray(x)


def channels_last(x):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1) if x.ndim > 2 else x


@pytest.mark.parametrize("layout", [strided, fortran, channels_last], ids=lambda f: f.__name__)
@every_row
def test_memory_layout_changes_nothing(row, layout):
    xs, _, gys, _ = inputs_of(row)
    plain = values_and_gradients(row, xs, gys)
    xs, gys = (tuple(layout(x) if x.ndim else x for x in arrays) for arrays in (xs, gys))
    moved = values_and_gradients(row, xs, gys)
    for got, want in zip(sum(moved, []), sum(plain, []), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)


LAYERS = {
    "average_pooling_2d", "convolution_2d", "deconvolution_2d", "elu", "fixed_batch_normalization", "leaky_relu",
    "linear", "log_softmax", "max_pooling_2d", "relu", "sigmoid", "softmax", "softplus", "tanh", "unpooling_2d",
}  # fmt: skip


@pytest.mark.parametrize("row", [r for r in ROWS if r.name in LAYERS and "axis" not in r.arguments], ids=str)
def test_empty_batch_goes_through_and_leaves_zero_gradients(row):
    xs, expected, _, _ = inputs_of(row)
    want = (0, *expected[0].shape[1:])
    (y,), (gx, *others) = values_and_gradients(row, [xs[0][:0], *xs[1:]], (np.zeros(want),))
    assert y.shape == want and gx.shape == (0, *xs[0].shape[1:])
    assert not any(g.any() for g in others)


@pytest.mark.gpu
def test_every_row_gives_the_same_on_the_gpu():
    if not cuda.available:
        pytest.skip("needs CuPy and a CUDA device, and there is none here")
    wrong = []
    for row in ROWS:
        xs, _, gys, _ = inputs_of(row)
        want = sum(values_and_gradients(row, xs, gys), [])
        try:
            got = sum(values_and_gradients(row, [cuda.to_gpu(x) for x in xs], tuple(cuda.to_gpu(g) for g in gys)), [])
            for g, w in zip(got, want, strict=True):
                np.testing.assert_allclose(cuda.to_cpu(g), w, rtol=1e-9, atol=1e-11)
        except Exception as error:
            wrong.append(f"{row}: {error!r:.300}")
    assert not wrong, "\n".join(wrong)
