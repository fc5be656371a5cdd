"""What the table cannot say of the chapter math: derivatives at ties, steps, tails, names, and the error sentences."""

import numpy as np
import pytest

import minigan.functions as F
from minigan.configuration import using_config
from minigan.core import Variable, grad
from minigan.utils.type_check import InvalidType

# Chainer 7.8.1: x = [-1, 0, 0, 2, 2], other = [-1, 0, 1, 1, 2], float32; F.sum(f(x)).backward(); x.grad, other.grad
TIES = [
    ("absolute", (), [-1, 0, 0, 1, 1], None),
    ("max", (), [0, 0, 0, 1, 1], None),
    ("min", (), [1, 0, 0, 0, 0], None),
    ("clip", (0, 2), [0, 1, 1, 1, 1], None),
    ("maximum", "other", [1, 1, 0, 1, 1], [0, 0, 1, 0, 0]),
    ("minimum", "other", [1, 1, 1, 0, 1], [0, 0, 0, 1, 0]),
]


@pytest.mark.parametrize("name, arguments, gx, gother", TIES, ids=[name for name, *_ in TIES])
def test_derivative_at_a_tie_is_chainers(name, arguments, gx, gother):
    x, other = Variable(np.array([-1, 0, 0, 2, 2], "f")), Variable(np.array([-1, 0, 1, 1, 2], "f"))
    F.sum(getattr(F, name)(x, *((other,) if arguments == "other" else arguments))).backward()
    assert x.grad.tolist() == gx
    assert other.grad is None if gother is None else other.grad.tolist() == gother


def test_infinite_gradient_does_not_leak_where_the_derivative_is_zero():
    x = Variable(np.array([-1.0, 1.0, 5.0]))
    (gx,) = grad([F.clip(x, 0, 2)], [x], [Variable(np.full(3, np.inf))])
    assert gx.array.tolist() == [0, np.inf, 0]


# Chainer 7.8.1: f(x) of x = np.array([-1.5, 1.5], dtype), dtype and y.requires_grad
@pytest.mark.parametrize("dtype", ["i", "B", "e", "f", "d"])
@pytest.mark.parametrize("name", ["ceil", "fix", "floor", "sign"])
def test_steps_keep_the_dtype_and_leave_the_graph(name, dtype):
    x = Variable(np.array([0, 3], dtype))
    y = getattr(F, name)(x)
    assert (y.dtype, y.array.tolist(), y.requires_grad) == (x.dtype, [0, 1 if name == "sign" else 3], False)


# Chainer 7.8.1: F.log_ndtr and F.erfcx at [-40, 30], x.grad likewise
def test_far_tails():
    x = Variable(np.array([-40.0, 30.0]))
    y = F.log_ndtr(x)
    F.sum(y).backward()
    np.testing.assert_allclose(y.array, [-8.046084e02, 0], rtol=1e-6, atol=1e-100)
    np.testing.assert_allclose(x.grad, [40.025, 0], rtol=1e-4, atol=1e-100)


@pytest.mark.parametrize("one, two", [("e", "f"), ("d", "f")])
def test_arctan2_of_mixed_dtypes_and_shapes(one, two):
    a, b = Variable(np.ones((2, 1), one)), Variable(np.ones(3, two))
    y = F.arctan2(a, b)
    assert (y.dtype, y.shape) == (np.result_type(one, two), (2, 3))
    F.sum(y).backward()
    assert (a.grad.dtype, b.grad.dtype, a.grad.tolist(), b.grad.tolist()) == (one, two, [[1.5], [1.5]], [-1, -1, -1])


def test_without_type_checks_integers_are_not_cut():
    # Chainer 7.8.1: F.sin(np.arange(3)).dtype with config.type_check False is float64
    with using_config("type_check", False):
        np.testing.assert_allclose(F.sin(np.arange(3)).array, np.sin([0.0, 1.0, 2.0]))


def test_nodes_are_named_as_chainers():
    # Chainer 7.8.1: type(y.creator).__name__, y.creator.label
    x = Variable(np.array([0.5], "f"))
    names = {n: F.__dict__[n](x).creator for n in ("sin", "log1p", "erf", "lgamma", "digamma", "erfinv", "arctanh")}
    assert {n: (type(c).__name__, c.label) for n, c in names.items()} == {
        "sin": ("Sin", "sin"), "log1p": ("Log1p", "log1p"), "erf": ("Erf", "erf"), "lgamma": ("LGamma", "lgamma"),
        "digamma": ("DiGamma", "digamma"), "erfinv": ("ErfInv", "erfinv"), "arctanh": ("Arctanh", "Arctanh"),
    }  # fmt: skip
    assert F.sin.__name__ == "sin" and F.sin.__module__ == "minigan.functions.math" and "radians" in F.sin.__doc__


@pytest.mark.parametrize(
    "call, error, sentence",
    [
        (lambda x: F.clip(x, 1, 1), ValueError, "clip: x_min is 1 and x_max is 1; x_min must be less than x_max"),
        (lambda x: F.clip(x, None, None), ValueError, "clip: x_min and x_max are both None"),
        (lambda x: F.maximum(x, x.astype("f")), InvalidType, "Maximum: x1 is float64 but x2 is float32"),
        (lambda x: F.minimum(x, x[:, :2]), InvalidType, "Minimum: shapes (2, 3) and (2, 2) do not broadcast"),
        (lambda x: F.sqrt(x.astype("i")), InvalidType, "sqrt: x is int32; wanted floating point"),
        (lambda x: F.fmod(x, x.astype("f")), InvalidType, "fmod: x is float64 but divisor is float32"),
        (lambda x: F.polygamma(x, x), InvalidType, "polygamma: n is float64; wanted integers"),
        (lambda x: F.arctan2(x, x.astype("i")), InvalidType, "arctan2: got float64, int32; wanted floating point"),
        (lambda x: F.linear_interpolate(x, x, x[0]), InvalidType, "linear_interpolate: p, x, y are (2, 3), float64"),
        (lambda x: F.scale(x, x[:, 0]), InvalidType, "shape (1, 2) does not broadcast to (2, 3)"),
        (lambda x: F.matmul(x, x), InvalidType, "matmul: shapes (2, 3) and (2, 3) do not fit"),
    ],
)
def test_errors_are_sentences(call, error, sentence):
    with pytest.raises(error) as caught:
        call(np.ones((2, 3)))
    assert sentence in str(caught.value)


def test_scale_and_bias_check_their_shapes_in_debug_mode():
    x = np.ones((3, 2, 3), "f")
    for function in (F.scale, F.bias):
        with using_config("debug", True), pytest.raises(AssertionError, match=r"y has shape \(2,\)"):
            function(x, np.ones(2, "f"), 0)
