import numpy as np
import pytest

from minigan.configuration import no_backprop_mode, using_config
from minigan.core import Variable, grad
from minigan.core import sum as sum_all
from minigan.functions.activation import leaky_relu
from minigan.functions.normalization import (
    BatchNormalization,
    batch_normalization,
    batch_renormalization,
    fixed_batch_normalization,
    group_normalization,
    instance_normalization,
    layer_normalization,
)
from minigan.gradient_check import check_backward, check_double_backward
from minigan.utils.type_check import InvalidType

GEOMETRIES = [((4, 3), (3,), None), ((2, 3, 2, 3), (3,), None), ((3, 2, 3), (2, 3), (0,)), ((3, 2, 3), (2,), (0, 2)),
              ((4, 2, 3), (2, 3), None), ((2, 3, 4), (), (0, 1, 2)), ((4, 3), (3,), 0)]  # fmt: skip
geometries = pytest.mark.parametrize("shape, keys, axis", GEOMETRIES)


def ints(*shape):
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


@geometries
def test_derivatives_of_first_and_second_order(shape, keys, axis, rng):
    x, gy, ggx = rng.standard_normal((3, *shape))
    gamma, beta, ggamma, gbeta = (rng.standard_normal(keys) for _ in range(4))
    inputs = (x, np.asarray(gamma), np.asarray(beta))

    def f(x, gamma, beta):
        return batch_normalization(x, gamma, beta, eps=0.1, axis=axis)

    check_backward(f, inputs, gy, atol=1e-8, rtol=1e-7)
    check_double_backward(f, inputs, gy, (ggx, np.asarray(ggamma), np.asarray(gbeta)), atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("slope", [0.0, 0.01, 1.0, 1.5, -0.5])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_an_activation_is_what_it_is_behind_the_node(slope, dtype, rng):
    x, gy, ggx = rng.standard_normal((3, 4, 3, 2, 5)).astype(dtype)
    gamma, beta, ggamma = rng.standard_normal((3, 3)).astype(np.promote_types(dtype, np.float32))

    def derivatives(inside):
        inputs = [Variable(a) for a in (x, gamma, beta)]
        if inside:
            y = batch_normalization(*inputs, activation="leaky_relu", slope=slope)
        else:
            y = leaky_relu(batch_normalization(*inputs), slope)
        first = grad([y], inputs, [Variable(gy)], enable_double_backprop=True)
        second = grad(first[:2], inputs[:2], [Variable(ggx), Variable(ggamma)])
        return [v.array for v in (y, *first, *second)]

    for inside, behind in zip(derivatives(True), derivatives(False)):
        assert inside.dtype == behind.dtype
        tolerance = {2: 2e-2, 4: 2e-5, 8: 1e-12}[inside.itemsize if dtype != np.float16 else 2]
        np.testing.assert_allclose(inside, behind, rtol=tolerance, atol=tolerance)


@geometries
def test_fixed_derivatives_of_first_and_second_order(shape, keys, axis, rng):
    x, gy, ggx = rng.standard_normal((3, *shape))
    parameters = [np.asarray(rng.standard_normal(keys)) for _ in range(3)] + [np.asarray(rng.uniform(0.5, 2, keys))]
    second = [np.asarray(rng.standard_normal(keys)) for _ in range(4)]

    def f(*inputs):
        return fixed_batch_normalization(*inputs, eps=0.1, axis=axis)

    check_backward(f, (x, *parameters), gy, atol=1e-8, rtol=1e-7)
    check_double_backward(f, (x, *parameters), gy, (ggx, *second), atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("fixed", [False, True])
def test_third_derivative(fixed, rng):
    x, gy, a, b = rng.standard_normal((4, 4, 3, 2))
    gamma, beta, mean = rng.standard_normal((3, 3))
    var = rng.uniform(0.5, 2, 3)

    def second_derivative(x, gamma, gy):
        """The gradient of <gx, a> + |ggamma|^2 with respect to x, gamma and gy: already of second order."""
        if fixed:
            y = fixed_batch_normalization(x, gamma, beta, mean, var, eps=0.1)
        else:
            y = batch_normalization(x, gamma, beta, eps=0.1)
        y = y * y  # so that the gradient that reaches the node depends on x
        gx, ggamma = grad([y], [x, gamma], [gy], enable_double_backprop=True)
        scalar = sum_all(gx * a) + sum_all(ggamma * ggamma)
        return tuple(grad([scalar], [x, gamma, gy], enable_double_backprop=True))

    check_backward(second_derivative, (x, gamma, gy), (b, gamma, a), atol=1e-7, rtol=1e-6)


def test_second_order_when_only_one_gradient_is_used(rng):
    x, gy = rng.standard_normal((2, 4, 3))
    gamma, beta = Variable(np.ones(3)), np.zeros(3)

    def penalty(x):
        y = batch_normalization(x, gamma, beta, eps=0.1)
        (gx,) = grad([y], [x], [Variable(gy)], enable_double_backprop=True)
        return sum_all(gx * gx)

    check_backward(penalty, x, None, params=(gamma,), atol=1e-8, rtol=1e-7)


def test_training_values_are_chainers():
    # Chainer 7.8.1: F.batch_normalization(x, g, b, eps=1e-3, running_mean=rm, running_var=rv, decay=.8), y.backward()
    x = Variable(ints(4, 3, 2) ** 2 % 7)
    gamma, beta = (Variable(np.array(v, np.float32)) for v in ([1, 2, -1], [0, 0.5, 1]))
    mean, var = (np.array(v, np.float32) for v in ([1, 2, 3], [1, 0.5, 2]))
    y = batch_normalization(x, gamma, beta, eps=1e-3, running_mean=mean, running_var=var, decay=0.8)
    y.grad = np.cos(ints(4, 3, 2))
    y.backward()
    want = [[-1.0868714, -0.4180275], [3.6770086, 1.0016329], [1.5623162, -0.2370957]]
    np.testing.assert_allclose(y.array[0], want, rtol=2e-6)
    np.testing.assert_allclose(mean, [1.125, 1.925, 2.925], rtol=1e-6)
    np.testing.assert_allclose(var, [1.3107142, 0.9107143, 1.8821429], rtol=1e-6)
    want = [[0.1273593, -0.1892664], [0.4347708, -0.7135954], [0.0808311, -0.5680704]]
    np.testing.assert_allclose(x.grad[0], want, rtol=2e-6)
    np.testing.assert_allclose(gamma.grad, [0.1638029, -1.7021925, 0.9606184], rtol=5e-6)
    np.testing.assert_allclose(beta.grad, [6.6546965, -3.2253673, -3.9702439], rtol=2e-6)


def test_fixed_values_are_chainers():
    # Chainer 7.8.1: F.fixed_batch_normalization(x, gamma, beta, mean, var, eps=1e-3), y.backward()
    values = ([1, 2, -1], [0, 0.5, 1], [1.1250000, 1.9250001, 2.9250002], [1.3107142, 0.9107143, 1.8821429])
    x = Variable(ints(4, 3, 2) ** 2 % 7)
    parameters = [Variable(np.array(v, np.float32)) for v in values]
    y = fixed_batch_normalization(x, *parameters, eps=1e-3)
    y.grad = np.cos(ints(4, 3, 2))
    y.backward()
    want = [[-0.9822745, -0.1091416], [4.8462901, 0.6570947], [1.6740625, 0.2166303]]
    np.testing.assert_allclose(y.array[0], want, rtol=2e-6)
    want = [[0.8731329, 0.4717557], [-0.8716602, -2.0736361], [0.4763206, -0.2067092]]
    np.testing.assert_allclose(x.grad[0], want, rtol=2e-6)
    wants = [[3.1190517, -1.6519740, 1.6460067], [6.6546965, -3.2253673, -3.9702439],
             [-5.8104348, 6.7558475, -2.8931806], [-1.1889218, 1.8119427, 0.4370371]]  # fmt: skip
    for parameter, want in zip(parameters, wants):
        np.testing.assert_allclose(parameter.grad, want, rtol=5e-6)


def test_output_has_mean_0_and_variance_1():
    x = np.random.RandomState(0).normal(5, 3, (64, 3, 4, 4)).astype(np.float32)
    y = batch_normalization(x, np.ones(3, np.float32), np.zeros(3, np.float32)).array
    np.testing.assert_allclose(y.mean(axis=(0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(y.var(axis=(0, 2, 3)), 1, atol=1e-5)


def test_running_variance_is_unbiased_but_of_one_value_it_is_0():
    x = np.array([[1.0], [3.0]], np.float32)
    mean, var = np.zeros(1, np.float32), np.ones(1, np.float32)
    ones, zeros = np.ones(1, np.float32), np.zeros(1, np.float32)
    batch_normalization(x, ones, zeros, running_mean=mean, running_var=var, decay=0.0)
    assert (mean[0], var[0]) == (2.0, 2.0)
    # Chainer 7.8.1, one value: running_mean [0.1 x], running_var [0.9]
    mean, var = np.zeros(1, np.float32), np.ones(1, np.float32)
    with pytest.warns(UserWarning, match="a single value"):
        y = batch_normalization(x[:1], ones, zeros, running_mean=mean, running_var=var)
    np.testing.assert_allclose((mean[0], var[0], y.array[0, 0]), (0.1, 0.9, 0), rtol=1e-6)


def test_training_mode_and_graph_do_not_matter():
    x = ints(4, 3)
    for_all = (np.ones(3, np.float32), np.zeros(3, np.float32))
    want = batch_normalization(x, *for_all).array
    mean = np.zeros(3, np.float32)
    with using_config("train", False), no_backprop_mode():
        y = batch_normalization(x, *for_all, running_mean=mean)
    np.testing.assert_array_equal(y.array, want)
    assert mean.all()


@pytest.mark.parametrize("x_type, parameter_type", ["ee", "ef", "fe", "ff", "fd", "df", "dd"])
def test_dtypes(x_type, parameter_type, rng):
    # Chainer 7.8.1: y and gx have the dtype of x, everything else that of gamma.
    x = Variable(rng.standard_normal((4, 3, 2)).astype(x_type))
    parameters = [Variable(v.astype(parameter_type)) for v in (rng.standard_normal((3, 3)) + 3)]
    mean, var = np.zeros(3, parameter_type), np.ones(3, parameter_type)
    training = batch_normalization(x, *parameters[:2], running_mean=mean, running_var=var)
    fixed = fixed_batch_normalization(x, *parameters, parameters[2])
    for y, gradients in ((training, parameters[:2]), (fixed, parameters)):
        y.grad = np.ones_like(y.array)
        y.backward()
        assert y.dtype == x.grad.dtype == np.dtype(x_type)
        assert all(p.grad.dtype == np.dtype(parameter_type) for p in gradients)
    assert mean.dtype == var.dtype == np.dtype(parameter_type) and mean.any()


def test_float16_does_not_overflow():
    x = (np.random.RandomState(0).randn(64, 2, 8, 8) * 300 + 1000).astype(np.float16)
    y = batch_normalization(x, np.ones(2, np.float16), np.zeros(2, np.float16)).array.astype(np.float64)
    want = x.astype(np.float64)
    want = (want - want.mean((0, 2, 3), keepdims=True)) / want.std((0, 2, 3), keepdims=True)
    np.testing.assert_allclose(y, want, atol=2e-3)


def test_memory_layout_is_kept(rng):
    x = Variable(rng.standard_normal((4, 2, 2, 3)).transpose(0, 3, 1, 2))
    y = batch_normalization(x, np.ones(3), np.zeros(3))
    assert y.array.strides == x.array.strides
    (gx,) = grad([y], [x], [Variable(rng.standard_normal(x.shape))])
    assert gx.array.strides == x.array.strides
    fixed = fixed_batch_normalization(x, np.ones(3), np.zeros(3), np.zeros(3), np.ones(3))
    assert fixed.array.strides == x.array.strides


def test_non_contiguous_inputs(rng):
    wide = rng.standard_normal((4, 6, 5, 4))
    x, gamma, beta = wide[::2, ::-2, 1:, ::3], rng.standard_normal(6)[::2], rng.standard_normal(6)[::-2]
    got = batch_normalization(x, gamma, beta).array
    np.testing.assert_array_equal(got, batch_normalization(x.copy(), gamma.copy(), beta.copy()).array)


def test_an_empty_batch_gives_an_empty_output():
    with np.errstate(invalid="ignore", divide="ignore"), pytest.warns(RuntimeWarning):
        y = batch_normalization(ints(0, 3), np.ones(3, np.float32), np.zeros(3, np.float32))
    assert y.shape == (0, 3)


def test_the_node_keeps_the_statistics(rng):
    x = rng.standard_normal((4, 3))
    node = BatchNormalization()
    node.apply((x, np.ones(3), np.zeros(3)))
    np.testing.assert_allclose(node.mean, x.mean(axis=0))
    np.testing.assert_allclose(node.inv_std, 1 / np.sqrt(x.var(axis=0) + 2e-5))


@pytest.mark.parametrize(
    "change, error, words",
    [
        (dict(gamma=np.ones(4, "f"), beta=np.ones(4, "f")), InvalidType, r"gamma has shape \(4,\)"),
        (dict(beta=np.ones(2, "f")), InvalidType, r"beta has shape \(2,\)"),
        (dict(gamma=np.ones((1, 3), "f"), beta=np.ones((1, 3), "f")), InvalidType, "gamma has shape"),
        (dict(x=np.ones((4, 3), "i")), InvalidType, "x is int32"),
        (dict(x=np.ones(3, "f")), InvalidType, "gamma has shape"),
        (dict(gamma=np.ones(3, "e")), InvalidType, "gamma is float16 but beta is float32"),
        (dict(axis=(0, 2)), InvalidType, r"axis is \(0, 2\) but x has the axes 0 to 1"),
        (dict(axis=(-1,)), InvalidType, r"axis is \(-1,\)"),
        (dict(axis=(1, 0)), RuntimeError, "ascending"),
        (dict(axis=(0, 0)), RuntimeError, "ascending"),
        (dict(running_mean=np.zeros(4, "f")), ValueError, "running_mean has shape"),
        (dict(gamma=None), TypeError, "gamma is a NoneType"),
    ],
)
def test_errors_are_sentences(change, error, words):
    arguments = dict(x=ints(4, 3), gamma=np.ones(3, "f"), beta=np.zeros(3, "f")) | change
    with pytest.raises(error, match=words):
        batch_normalization(**arguments)


def test_fixed_errors_are_sentences():
    x, one = ints(4, 3), np.ones(3, "f")
    with pytest.raises(InvalidType, match=r"mean has shape \(2,\)"):
        fixed_batch_normalization(x, one, one, one[:2], one)
    with pytest.raises(InvalidType, match="gamma is float32 but var is float64"):
        fixed_batch_normalization(x, one, one, one, one.astype("d"))


@pytest.mark.parametrize(
    "shape, keys, axis, warns",
    [((1, 3), 3, None, True), ((1, 3, 1, 1), 3, None, True), ((2, 3, 1), (2, 3), (2,), True),
     ((1, 3, 2), 3, None, False), ((2, 1), 1, None, False)],
)  # fmt: skip
def test_statistics_of_a_single_value_are_warned_of(shape, keys, axis, warns, recwarn):
    # Chainer 7.8.1 warns of the same.
    batch_normalization(np.ones(shape, "f"), np.ones(keys, "f"), np.zeros(keys, "f"), axis=axis)
    assert [w.category for w in recwarn] == [UserWarning] * warns


def test_what_scripts_find_on_the_node():
    mean, var = np.zeros(3, "f"), np.ones(3, "f")
    node = BatchNormalization(2e-5, mean, var, 0.8, None)
    x = ints(4, 3, 2)
    node.apply((x, np.ones(3, "f"), np.zeros(3, "f")))
    assert node.running_mean is mean and node.running_var is var
    assert (node.axis, node.key_axis, node.expander) == ((0, 2), (1,), (None, slice(None), None))
    np.testing.assert_allclose(node.mean, x.mean((0, 2)), rtol=1e-6)
    np.testing.assert_allclose(node.inv_std, (x.var((0, 2)) + 2e-5) ** -0.5, rtol=1e-6)


def test_renormalization_uses_the_running_statistics_before_it_moves_them(rng):
    x, gamma, beta = rng.standard_normal((5, 3)), np.ones(3), np.zeros(3)
    mean, var = np.full(3, 0.2), np.full(3, 1.5)
    y = batch_renormalization(x, gamma, beta, 100.0, 100.0, running_mean=mean, running_var=var)
    np.testing.assert_allclose(y.array, (x - 0.2) / np.sqrt(1.5 + 2e-5), rtol=1e-10)  # nothing clipped
    np.testing.assert_array_equal((mean, var), ([0.2] * 3, [1.5] * 3))
    batch_renormalization(x, gamma, beta, 1, 0, running_mean=mean, running_var=var, decay=0.5, update_statistics=True)
    np.testing.assert_allclose(mean, 0.1 + 0.5 * x.mean(0), rtol=1e-10)
    np.testing.assert_allclose(var, 0.75 + 0.5 * x.var(0, ddof=1), rtol=1e-10)
    with pytest.raises(TypeError, match="running_var is required"):
        batch_renormalization(x, gamma, beta, 1, 0, running_mean=mean)


@pytest.mark.parametrize("function", [group_normalization, batch_normalization], ids=["group", "batch"])
@pytest.mark.parametrize("x_dtype", "efd")
@pytest.mark.parametrize("dtype", "efd")
def test_scale_and_shift_may_be_of_another_dtype(function, x_dtype, dtype):
    x, gamma, beta = (Variable(v) for v in (ints(3, 4).astype(x_dtype), np.ones(4, dtype), np.zeros(4, dtype)))
    y = function(x, 2, gamma, beta) if function is group_normalization else function(x, gamma, beta)
    y.grad = np.ones_like(y.array)
    y.backward()
    assert [v.dtype.char for v in (y, gamma, beta)] == [x_dtype, dtype, dtype]
    assert [v.grad.dtype.char for v in (x, gamma, beta)] == [x_dtype, dtype, dtype]


def test_groups_of_one_channel_are_instances(rng):
    x = rng.standard_normal((2, 3, 4, 4)).astype(np.float32)
    ones, zeros = np.ones(3, "f"), np.zeros(3, "f")
    want = (x - x.mean((2, 3), keepdims=True)) / np.sqrt(x.var((2, 3), keepdims=True) + 1e-5)
    np.testing.assert_allclose(instance_normalization(x).array, want, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(instance_normalization(x).array, group_normalization(x, 3, ones, zeros).array)
    assert instance_normalization(x[:0]).shape == (0, 3, 4, 4)


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda x, one: batch_normalization(x, one, one, axis=0.5), RuntimeError, "axis is 0.5; wanted an int"),
        (lambda x, one: batch_normalization(x, one, one, train=True), ValueError, "using_config"),
        (lambda x, one: batch_normalization(x, one, one, 1e-5), TypeError, "positional"),
        (lambda x, one: batch_normalization(x, one, one, test=True), TypeError, "unexpected keyword"),
        (lambda x, one: group_normalization(x, 2.0, one, one), TypeError, "groups is 2.0"),
        (lambda x, one: group_normalization(x, 2, one, one), ValueError, "3 channels, which groups=2 does not divide"),
        (lambda x, one: group_normalization(x, 3, one, one.astype("d")), InvalidType, "beta is float64"),
        (lambda x, one: group_normalization(x, 3, one[:2], one), InvalidType, r"gamma has shape \(2,\)"),
        (lambda x, one: layer_normalization(x[None], one, one), InvalidType, "wanted .N, C."),
        (lambda x, one: layer_normalization(x, *[one.astype("d")] * 2), InvalidType, "but gamma is float64"),
        (lambda x, one: layer_normalization(x.astype("i"), one, one), InvalidType, "x is int32"),
        (lambda x, one: instance_normalization(x, one, one), InvalidType, "axes to average"),
    ],
)
def test_errors_of_the_others(call, error, words):
    with pytest.raises(error, match=words):
        call(ints(4, 3), np.ones(3, "f"))
