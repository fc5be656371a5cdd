"""What the table cannot say of the chapter reduction: integers, many float16, overflow, and the error sentences."""

import numpy as np
import pytest

import minigan.functions as F
from minigan.core import Variable, grad
from minigan.functions.reduction import ArgMax, Cumsum, LogSumExp, Max, Prod
from minigan.utils.type_check import InvalidType


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


@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_places_are_int32_and_have_no_gradient(name):
    x = Variable(np.array([[1.0, 3.0, 3.0], [0.0, 0.0, 2.0]], "f"))
    y = getattr(F, name)(x, axis=1)
    assert (y.dtype, y.array.tolist()) == (np.int32, {"argmax": [1, 2], "argmin": [0, 0]}[name])
    assert grad([F.cast(y, "f")], [x]) == [None]


def test_logsumexp_of_large_numbers():
    x = np.array([1000.0, 1000.0])
    assert F.logsumexp(x).array == pytest.approx(1000 + np.log(2))
    v = Variable(x)
    np.testing.assert_allclose(grad([F.logsumexp(v)], [v])[0].array, [0.5, 0.5], rtol=1e-12)


def test_product_of_nothing_is_one():
    x = Variable(np.zeros((0, 2)))
    assert F.prod(x).array == 1 and F.prod(x, axis=0).array.tolist() == [1, 1]
    F.prod(x).backward()
    assert x.grad.shape == (0, 2)


@pytest.mark.parametrize(
    "call, error, sentence",
    [
        (lambda x: F.sum(x, axis=2), InvalidType, "sum: axis 2 does not exist; x has 2 axes, so -2 to 1"),
        (lambda x: F.sum(x, axis=(1, -1)), ValueError, "sum: an axis occurs twice in (1, -1)"),
        (lambda x: F.sum(x, axis=[0]), TypeError, "sum: axis must be None, an int or a tuple of ints, got [0]"),
        (lambda x: F.max(x, axis=-3), InvalidType, "max: axis -3 does not exist"),
        (lambda x: F.max(x[:0], axis=0), ValueError, "zero-size array"),
        (lambda x: Max([0]), TypeError, "max: axis must be None, an int or a tuple of ints, got [0]"),
        (lambda x: Max((0, "a")), TypeError, "max: axis must be None, an int or a tuple of ints"),
        (lambda x: Prod((0, 0)), ValueError, "prod: an axis occurs twice in (0, 0)"),
        (lambda x: LogSumExp(0.5), TypeError, "logsumexp: axis must be None, an int"),
        (lambda x: ArgMax((0,)), TypeError, "argmax: axis must be None or an int, got (0,)"),
        (lambda x: F.argmin(x, 2), InvalidType, "argmin: axis 2 does not exist"),
        (lambda x: Cumsum("a"), TypeError, "cumsum: axis must be None, an int"),
        (lambda x: F.cumprod(x, 2), InvalidType, "cumprod: axis 2 does not exist"),
        (lambda x: F.average(x, 1, weights=x[0, :1]), InvalidType, "average: weights has shape (1,)"),
        (lambda x: F.average(x, (0, 1), weights=x), ValueError, "average: axis is (0, 1); with weights"),
        (lambda x: F.average(x.astype("i")), InvalidType, "average: x is int32; wanted floating point"),
        (lambda x: F.mean(x[:0], 0), ZeroDivisionError, "division by zero"),
        (lambda x: F.batch_l2_norm_squared(x[0]), InvalidType, "x is (3,), float64; wanted two axes or more"),
    ],
)
def test_errors_are_sentences(call, error, sentence):
    with pytest.raises(error) as caught:
        call(np.ones((2, 3)))
    assert sentence in str(caught.value)
