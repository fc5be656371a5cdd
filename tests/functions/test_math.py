"""What the table cannot say of the chapter math: derivatives at ties, sums of many float16, and the error sentences."""

import numpy as np
import pytest

import minigan.functions as F
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


def test_average_of_many_float16_does_not_overflow():
    # Chainer 7.8.1: F.mean(np.full((70000,), 3, 'e')) gives 3.0 in float16
    y = F.mean(np.full((70000,), 3, np.float16))
    assert y.dtype == np.float16 and float(y.array) == 3.0


def test_weights_of_an_average_have_a_gradient_and_may_keep_the_axis():
    x, w = Variable(np.array([[1.0, 2.0], [3.0, 5.0]])), Variable(np.array([1.0, 3.0]))
    y = F.average(x, axis=1, weights=w, keepdims=True)
    assert y.array.tolist() == [[1.75], [4.5]]
    F.sum(y).backward()
    assert w.grad.tolist() == [(1 - 1.75 + 3 - 4.5) / 4, (2 - 1.75 + 5 - 4.5) / 4]


@pytest.mark.parametrize(
    "call, error, sentence",
    [
        (lambda x: F.sum(x, axis=2), InvalidType, "sum: axis 2 does not exist; x has 2 axes, so -2 to 1"),
        (lambda x: F.sum(x, axis=(1, -1)), ValueError, "sum: an axis occurs twice in (1, -1)"),
        (lambda x: F.sum(x, axis=[0]), TypeError, "sum: axis must be None, an int or a tuple of ints, got [0]"),
        (lambda x: F.max(x, axis=-3), InvalidType, "max: axis -3 does not exist"),
        (lambda x: F.max(x[:0], axis=0), ValueError, "zero-size array"),
        (lambda x: F.average(x, 1, weights=x[0, :1]), InvalidType, "average: weights has shape (1,)"),
        (lambda x: F.average(x, (0, 1), weights=x), ValueError, "average: axis is (0, 1); with weights"),
        (lambda x: F.average(x.astype("i")), InvalidType, "average: x is int32; wanted floating point"),
        (lambda x: F.clip(x, 1, 1), ValueError, "clip: x_min is 1 and x_max is 1; x_min must be less than x_max"),
        (lambda x: F.clip(x, None, None), ValueError, "clip: x_min and x_max are both None"),
        (lambda x: F.maximum(x, x.astype("f")), InvalidType, "maximum: x1 is float64 but x2 is float32"),
        (lambda x: F.minimum(x, x[:, :2]), InvalidType, "minimum: shapes (2, 3) and (2, 2) do not broadcast"),
        (lambda x: F.sqrt(x.astype("i")), InvalidType, "sqrt: x is int32; wanted floating point"),
        (lambda x: F.matmul(x, x), InvalidType, "matmul: shapes (2, 3) and (2, 3) do not fit"),
    ],
)
def test_errors_are_sentences(call, error, sentence):
    with pytest.raises(error) as caught:
        call(np.ones((2, 3)))
    assert sentence in str(caught.value)
