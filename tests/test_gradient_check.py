"""The checker must find what is wrong, say where, and stay silent about what is right."""

import numpy as np
import pytest

import minigan.functions as F
from minigan import core
from minigan.configuration import config
from minigan.core import FunctionNode, Parameter, Variable
from minigan.gradient_check import (
    NondifferentiableError,
    assert_allclose,
    check_backward,
    check_double_backward,
    numerical_grad,
)
from minigan.utils.type_check import InvalidType


class Cube(FunctionNode):
    """y = x^3 with a mistake planted at one entry: in the gradient, or only in what the gradient depends on."""

    def __init__(self, first=0.0, second=0.0):
        self.first, self.second = first, second

    def forward(self, inputs):
        self.retain_inputs((0,))
        return (inputs[0] ** 3,)

    def backward(self, indexes, grad_outputs):
        (x,) = self.get_retained_inputs()
        planted = np.zeros(x.shape, x.dtype)
        planted[1, 2] = 1.0
        constant = Variable(x.array.copy(), requires_grad=False)  # right in value, but its derivative is lost
        wrong = x + (constant - x) * (planted * self.second)
        return (grad_outputs[0] * (3.0 * wrong * wrong + self.first * planted),)


def cube(**mistakes):
    return lambda x: Cube(**mistakes).apply((x,))[0]


def test_right_gradients_pass(rng):
    x, gy, ggx = rng.standard_normal((3, 2, 3))
    check_backward(cube(), x, gy)
    check_double_backward(cube(), x, gy, ggx)


def test_wrong_gradient_is_caught_and_its_entry_named(rng):
    x, gy = rng.standard_normal((2, 2, 3))
    with pytest.raises(AssertionError) as caught:
        check_backward(cube(first=0.5), x, gy)
    right, wrong = gy[1, 2] * 3 * x[1, 2] ** 2, gy[1, 2] * (3 * x[1, 2] ** 2 + 0.5)
    message = str(caught.value)
    assert f"Worst entry: inputs[0][1, 2] (shape (2, 3), value {x[1, 2]:.6g})" in message
    assert f"backward gives {wrong:.9g}" in message
    assert float(message.rpartition("differences give ")[2].rstrip(".")) == pytest.approx(right, abs=1e-8)


def test_gradient_that_is_wrong_in_the_second_order_only(rng):
    x, gy, ggx = rng.standard_normal((3, 2, 3))
    check_backward(cube(second=1.0), x, gy)
    with pytest.raises(AssertionError, match=r"check_double_backward: .*Worst entry: x_data\[0\]\[1, 2\]"):
        check_double_backward(cube(second=1.0), x, gy, ggx)


def test_gradient_that_ignores_its_grad_output_is_caught_in_the_second_order():
    def frozen(x):
        class Frozen(Cube):
            def backward(self, indexes, grad_outputs):
                return tuple(Variable(g.array) for g in super().backward(indexes, grad_outputs))

        return Frozen().apply((x,))[0]

    x, gy, ggx = np.random.standard_normal((3, 2, 3))
    check_backward(frozen, x, gy)
    with pytest.raises(AssertionError, match=r"Worst entry: (x_data|y_grad)\[0\]\["):
        check_double_backward(frozen, x, gy, ggx)


def test_worst_entry_may_be_in_a_parameter(rng):
    x, gy = rng.standard_normal((2, 2, 3))
    W = Parameter(rng.standard_normal((2, 3)), name="W")
    before = W.array.copy()
    check_backward(lambda x: x * cube()(W), x, gy, params=(W,))
    with pytest.raises(AssertionError, match=r"Worst entry: params\[0\] \(W\)\[1, 2\]"):
        check_backward(lambda x: x * cube(first=0.5)(W), x, gy, params=W)
    with pytest.raises(AssertionError, match=r"Worst entry: params\[0\] \(W\)\[1, 2\]"):
        check_double_backward(lambda x: x * cube(second=1.0)(W), x, gy, gy, params=W, params_grad_grad=gy)
    assert (W.array == before).all() and W.grad is None


def test_missing_gradient_counts_as_zero(rng):
    x, gy = rng.standard_normal((2, 2, 3))
    check_backward(lambda x: Variable(np.ones((2, 3))), x, gy)
    with pytest.raises(AssertionError, match="backward gives 0,"):
        check_backward(lambda x: Variable(x.array * 2), x, gy)


def test_nan_in_a_gradient_is_not_right(rng):
    x, gy = rng.standard_normal((2, 2, 3))
    with pytest.raises(AssertionError, match=r"Worst entry: inputs\[0\].*backward gives nan"):
        check_backward(cube(first=np.nan), x, gy)


def test_loss_needs_no_y_grad_and_linear_functions_have_a_second_derivative_of_zero(rng):
    x = rng.standard_normal((2, 3))
    check_backward(lambda x: F.sum(cube()(x)), x, None)
    check_double_backward(lambda x: F.sum(cube()(x)), x, None, x)
    check_double_backward(lambda x: x, x, x, x)
    check_double_backward(lambda x: F.sum(x), x, None, x)
    with pytest.raises(ValueError, match="y_grad is None, which means a loss"):
        check_backward(cube(), x, None)


def test_several_outputs_one_of_them_without_a_gradient(rng):
    x, gy = rng.standard_normal((2, 2, 3))
    check_backward(lambda x: (cube()(x), cube(first=0.5)(x), x * x), x, (gy, None, gy))
    check_double_backward(lambda x: (cube()(x), cube(second=0.5)(x), x * x), x, (gy, None, gy), x)


def test_integer_inputs_and_no_grads(rng):
    x, gy = rng.standard_normal((2, 2, 3))
    t = np.array([[0, 1, 2], [2, 1, 0]])
    check_backward(lambda x, t: x * t.array.astype(x.dtype), (x, t), gy)
    check_double_backward(lambda x, t: x * x * t.array.astype(x.dtype), (x, t), gy, (x, None))
    check_double_backward(lambda x, t: x * x * t.array.astype(x.dtype), (x, t), gy, x)
    check_backward(lambda a, b: a * b.array, (x, x), gy, no_grads=[False, True])
    with pytest.raises(RuntimeError, match=r"inputs\[1\] was to have no gradient"):
        check_backward(lambda a, b: a * b, (x, x), gy, no_grads=[False, True])


def test_with_a_dtype_what_the_function_holds_keeps_its_own(rng):
    x, held = rng.standard_normal((2, 2, 3)).astype(np.float32)
    check_backward(lambda x: x * Variable(held), x, x, dtype=np.float64)
    assert config.type_check
    with pytest.raises(InvalidType):
        check_backward(lambda x: x * Variable(held), x.astype(np.float64), x.astype(np.float64))


def test_dtype_casts_what_is_too_coarse_for_differences(rng):
    x, gy = rng.standard_normal((2, 2, 3)).astype("f")
    check_backward(cube(), x, gy, dtype=np.float64, atol=1e-9, rtol=1e-9)
    check_backward(cube(), x, gy, atol=1e-2, rtol=1e-2)

    def mixed(a, b):
        return core.cast(a * a, "e"), core.cast(b * b, "f")

    for options in ({"dtype": np.float64}, {}):  # `func` casts; the terms of the loss are of several dtypes
        gys = (gy.astype("e"), gy)
        check_backward(mixed, (x, x.astype("d")), gys, eps=0.25, atol=1e-2, rtol=1e-2, **options)


def test_the_inputs_of_the_caller_are_left_alone(rng):
    x, gy = rng.standard_normal((2, 2, 3))
    x.flags.writeable = gy.flags.writeable = False
    check_backward(cube(), x, gy)


@pytest.mark.parametrize("gy", [np.ones((2, 2)), np.ones((2, 3), "f"), (np.ones((2, 3)),) * 2])
def test_y_grad_must_fit(gy):
    with pytest.raises(ValueError, match=r"but func returned \[\(\(2, 3\), 'float64'\)\]"):
        check_backward(cube(), np.ones((2, 3)), gy)


def test_numerical_grad_of_a_polynomial_is_exact(xp):
    x = xp.asarray([[1.0, -2.0], [0.5, 3.0]])
    y = xp.asarray(2.0)
    gx, gy = numerical_grad(lambda: (x**3 * y, x, y), (x, y), (xp.ones((2, 2)), None, xp.asarray(5.0)))
    np.testing.assert_allclose(core.as_array(gx).tolist(), (6 * x**2).tolist(), rtol=1e-9)
    assert gy.shape == () and float(gy) == pytest.approx(float((x**3).sum()) + 5.0, rel=1e-9)
    assert x.tolist() == [[1.0, -2.0], [0.5, 3.0]] and gx.dtype == x.dtype


def test_kinks_are_refused_where_asked():
    kinked = np.array([1.0, 0.0002, -1.0])
    with pytest.raises(NondifferentiableError, match="kink or a jump within eps = 0.001"):
        check_backward(F.absolute, np.array([1.0, 0.0, -1.0]), np.ones(3), detect_nondifferentiable=True)
    with pytest.raises(NondifferentiableError, match=r"inputs\[0\]\[1\]"):
        numerical_grad(lambda: (abs(kinked),), (kinked,), (np.ones(3),), detect_nondifferentiable=True)
    check_backward(F.absolute, np.array([1.0, 0.2, -1.0]), np.ones(3), detect_nondifferentiable=True)
    check_backward(F.exp, np.array([1.0, 0.2, -1.0]), np.ones(3), detect_nondifferentiable=True)


def test_numbers_that_are_infinite_everywhere_are_no_kink():
    x = np.array([np.inf, -1.0])
    with np.errstate(invalid="ignore"):
        numerical_grad(lambda: (np.log(x) * 2,), (x,), (np.ones(2),), detect_nondifferentiable=True)
    with np.errstate(invalid="ignore", divide="ignore"), pytest.raises(NondifferentiableError):
        x[:] = 0
        numerical_grad(lambda: (np.log(x),), (x,), (np.ones(2),), detect_nondifferentiable=True)


def test_float32_is_compared_where_the_inputs_really_were(rng):
    # x + eps d in float32 is off by 6e-8, which over eps is far beyond rtol; the differences are of these numbers
    for _ in range(20):
        x, gy = rng.standard_normal((2, 50)).astype("f")
        check_backward(lambda x: x + x, 100 + x, gy, atol=1e-3, rtol=1e-3)


def test_wrong_arguments():
    x = np.ones(1)
    with pytest.raises(AssertionError, match="eps is 0"):
        numerical_grad(lambda: (x,), (x,), (x,), eps=0)
    with pytest.raises(ValueError, match="dtype is int32"):
        check_backward(lambda x: x + x, x, x, dtype="i")
    assert_allclose(Variable(x), x + 1e-7)
    with pytest.raises(AssertionError):
        assert_allclose(x, x + 1)
