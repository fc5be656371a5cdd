"""What the table of all functions does not ask: overflow, kinks, layout, memory and errors."""

import weakref

import numpy as np
import pytest

from minigan.configuration import using_config
from minigan.core import Variable, grad, sum
from minigan.functions import activation
from minigan.functions.activation import (
    clipped_relu,
    crelu,
    elu,
    hard_sigmoid,
    leaky_relu,
    log_softmax,
    maxout,
    prelu,
    relu,
    relu6,
    rrelu,
    selu,
    sigmoid,
    softmax,
    softplus,
    swish,
    tanh,
)
from minigan.utils.type_check import InvalidType

ELEMENTWISE = [relu, leaky_relu, sigmoid, tanh, softplus, elu, clipped_relu, relu6, hard_sigmoid, selu]

# python -c "import chainer.functions as F, numpy as np;
#   x = np.array([[-1000, -1, 0, 1, 1000]], 'f'); print(F.elu(x).array)"   (Chainer 7.8.1; the others likewise)
AT_EXTREMES = {
    relu: [0, 0, 0, 1, 1000],
    leaky_relu: [-200, -0.2, 0, 1, 1000],
    sigmoid: [0, 0.2689414, 0.5, 0.7310586, 1],
    tanh: [-1, -0.7615942, 0, 0.7615942, 1],
    softplus: [0, 0.31326163, 0.6931472, 1.3132616, 1000],
    elu: [-1, -0.63212055, 0, 1, 1000],
    clipped_relu: [0, 0, 0, 1, 20],
    relu6: [0, 0, 0, 1, 6],
    hard_sigmoid: [0, 0.3, 0.5, 0.7, 1],
    selu: [-1.7580993, -1.1113307, 0, 1.050701, 1050.701],
    softmax: [0, 0, 0, 0, 1],
    log_softmax: [-2000, -1001, -1000, -999, 0],
}
GRADIENT_AT_EXTREMES = {
    relu: [0, 0, 0, 1, 1],
    leaky_relu: [0.2, 0.2, 0.2, 1, 1],
    sigmoid: [0, 0.19661193, 0.25, 0.19661193, 0],
    tanh: [0, 0.41997433, 1, 0.41997433, 0],
    softplus: [0, 0.26894143, 0.5, 0.7310586, 1],
    elu: [0, 0.36787945, 1, 1, 1],
    clipped_relu: [0, 0, 0, 1, 0],
    relu6: [0, 0, 0, 1, 0],
    hard_sigmoid: [0, 0.2, 0.2, 0.2, 0],
    selu: [0, 0.6467686, 1.7580993, 1.050701, 1.050701],
    softmax: [0, 0, 0, 0, 0],
    log_softmax: [1, 1, 1, 1, -4],
}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("function", AT_EXTREMES)
def test_large_inputs_do_not_overflow(function, dtype):
    x = Variable(np.array([[-1000, -1, 0, 1, 1000]], dtype))
    y = function(x)
    assert y.dtype == dtype
    tolerance = 2e-3 if dtype == "float16" else 1e-6
    np.testing.assert_allclose(y.array[0], AT_EXTREMES[function], rtol=tolerance, atol=tolerance)
    y.grad = np.ones_like(y.array)
    y.backward()
    np.testing.assert_allclose(x.grad[0], GRADIENT_AT_EXTREMES[function], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("slope", [-0.5, 0.0, 0.01, 1.0, 1.5])
def test_leaky_relu_takes_any_slope(slope):
    x = Variable(np.array([-2.0, 3.0]))
    y = leaky_relu(x, slope)
    np.testing.assert_array_equal(y.array, [-2 * slope, 3])
    sum(y).backward()
    np.testing.assert_array_equal(x.grad, [slope, 1])


@pytest.mark.parametrize("beta", [2.0, -2.0])
def test_softplus_of_any_sharpness(beta):
    x = np.array([-700.0, -1.0, 0.0, 2.0, 700.0])
    with np.errstate(over="ignore"):
        expected = np.logaddexp(0, beta * x) / beta
    np.testing.assert_allclose(softplus(x, beta).array, expected, rtol=1e-14)


def test_softplus_refuses_beta_zero():
    with pytest.raises(ValueError, match="softplus: beta is 0"):
        softplus(np.ones(2), beta=0)


@pytest.mark.parametrize("function", ELEMENTWISE + [softmax, log_softmax])
def test_layout_of_the_input_is_kept(function):
    x = np.random.RandomState(0).randn(2, 4, 5, 3).astype("float32").transpose(0, 3, 1, 2)
    x = Variable(x)
    y = function(x)
    assert y.array.strides == x.array.strides
    y.grad = np.ones_like(y.array)
    y.backward()
    assert x.grad.strides == x.array.strides


@pytest.mark.parametrize("function", ELEMENTWISE)
def test_an_array_without_axes(function):
    x = Variable(np.array(0.5, np.float32))
    y = function(x)
    assert isinstance(y.array, np.ndarray) and y.shape == () and y.dtype == np.float32
    y.backward()
    assert x.grad.shape == () and x.grad.dtype == np.float32


@pytest.mark.parametrize("function", AT_EXTREMES)
def test_no_elements(function):
    x = Variable(np.zeros((0, 3), np.float32))
    y = function(x)
    assert y.shape == (0, 3)
    y.grad = np.zeros_like(y.array)
    y.backward()
    assert x.grad.shape == (0, 3)


@pytest.mark.parametrize("function", AT_EXTREMES)
def test_integers_are_refused(function):
    name = {"relu6": "clipped_relu", "selu": "elu"}.get(function.__name__, function.__name__)
    with pytest.raises(InvalidType, match=f"{name}: x is int32; wanted floating point"):
        function(np.ones((2, 3), np.int32))


@pytest.mark.parametrize("function", [softmax, log_softmax])
def test_axis_must_exist(function):
    with pytest.raises(InvalidType, match=rf"{function.__name__}: axis 1 does not exist in shape \(3,\)"):
        function(np.ones(3))
    np.testing.assert_allclose(softmax(np.ones(3), axis=0).array, [1 / 3] * 3)
    np.testing.assert_allclose(softmax(np.ones((2, 4)), axis=-1).array, np.full((2, 4), 0.25))


@pytest.mark.parametrize("function", [relu, leaky_relu, sigmoid, tanh])
def test_the_input_is_freed_where_the_output_suffices(function):
    x = Variable(np.ones((2, 2))) * 2.0
    freed = weakref.ref(x.array)
    y = function(x)
    del x
    assert freed() is None
    sum(y).backward()


@pytest.mark.parametrize("function", AT_EXTREMES)
def test_third_derivative(function):
    x = Variable(np.random.RandomState(1).uniform(0.2, 2.0, (2, 3)) * np.array([1, -1, 1]))
    c = np.random.RandomState(2).randn(2, 3)

    def second(x):
        (g,) = grad([sum(function(x) * c)], [x], enable_double_backprop=True)
        return grad([sum(g * g * c)], [x], enable_double_backprop=True)[0]

    h = second(x)
    if h is None:  # piecewise linear
        assert function in (relu, leaky_relu, clipped_relu, relu6, hard_sigmoid)
        return
    (third,) = grad([sum(h * c)], [x])
    direction, step = np.random.RandomState(3).randn(2, 3), 1e-5
    ahead, behind = (np.sum(second(Variable(x.array + s * direction)).array * c) for s in (step, -step))
    np.testing.assert_allclose(np.sum(third.array * direction), (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-9)


def test_every_public_name_is_a_function():
    others = {crelu, maxout, prelu, rrelu, swish}  # of other shapes, other arguments, or at random
    assert {f.__name__ for f in {*AT_EXTREMES, *others}} == set(activation.__all__)


def test_rrelu_draws_as_chainer_does():
    # np.random.seed(0); F.rrelu(np.array([[-1, 2], [-3, -4]], "f"), return_r=True)   (Chainer 7.8.1)
    x = np.array([[-1, 2], [-3, -4]], "f")
    np.random.seed(0)
    y, r = rrelu(x, return_r=True)
    np.testing.assert_allclose(y.array, [[-0.23933615, 2], [-0.7517271, -0.95406932]], rtol=1e-6)
    np.testing.assert_allclose(r, [[0.23933615, 0.27399778], [0.25057569, 0.23851733]], rtol=1e-6)
    assert r.dtype == np.float32 and y.creator.r is r
    np.testing.assert_array_equal(rrelu(x, r=r).array, y.array)


def test_rrelu_is_not_random_while_testing():
    with using_config("train", False):
        y, r = rrelu(np.array([-1.0, 2]), 0.25, 0.75, return_r=True)
    np.testing.assert_array_equal(y.array, [-0.5, 2])
    np.testing.assert_array_equal(r, [0.5, 0.5])


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: rrelu(np.ones((2, 3)), 0.5, 0.5), ValueError, "rrelu: l is 0.5 and u is 0.5; wanted 0 <= l < u"),
        (lambda: rrelu(np.ones(3), r=np.ones(2)), InvalidType, r"r is float64 \(2,\) but x float64 \(3,\)"),
        (lambda: rrelu(np.ones(3), r=np.ones(3, "f")), InvalidType, "r is float32"),
        (lambda: maxout(np.ones((2, 3)), 2), InvalidType, r"axis 1 of shape \(2, 3\) is not a multiple of pool_size=2"),
        (lambda: maxout(np.ones((2, 3)), 3, axis=2), InvalidType, "maxout: axis 2"),
        (lambda: maxout(np.ones((2, 3)), 0), ValueError, "maxout: pool_size is 0 but must be positive"),
        (lambda: prelu(np.ones((2, 3)), np.ones(2)), InvalidType, r"\(2,\); wanted axes 1, 2, ... of x, \(2, 3\)"),
        (lambda: prelu(np.ones((2, 3)), np.ones(3, "f")), InvalidType, "x is float64 and the parameter float32"),
        (lambda: swish(np.ones((2, 3), int), np.ones(3, int)), InvalidType, "swish: x is int64"),
        (lambda: swish(np.ones(2), np.ones(2)), InvalidType, "swish: the parameter has shape"),
        (lambda: crelu(np.ones((2, 3)), axis=2), InvalidType, "axis 2"),
    ],
)
def test_error_sentences(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()


def test_gradient_of_leaky_relu_of_an_array_without_axes():
    x = Variable(np.array(-3.0, "f"))
    leaky_relu(x, 0.5).backward()
    assert x.grad == 0.5 and x.grad.dtype == np.float32
