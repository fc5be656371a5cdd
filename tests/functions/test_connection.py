"""What the table of all functions does not ask of convolutions: third derivatives, layouts, sizes, errors, laziness."""

import numpy as np
import pytest

from minigan.configuration import using_config
from minigan.core import Variable, grad, sum
from minigan.functions import connection
from minigan.functions.connection import (
    Convolution2DFunction,
    ConvolutionND,
    DeconvolutionND,
    bilinear,
    convolution_1d,
    convolution_2d,
    convolution_nd,
    deconvolution_1d,
    deconvolution_2d,
    deconvolution_nd,
    embed_id,
    linear,
)  # fmt: skip
from minigan.functions.convolution_variants import (
    LocalConvolution2DFunction,
    depthwise_convolution_2d,
    local_convolution_2d,
)
from minigan.gradient_check import check_backward, check_double_backward
from minigan.utils.type_check import InvalidType

CASES = [  # function, shapes of x, W, b, arguments
    (linear, (3, 4), (2, 4), (2,), {}),
    (linear, (3, 2, 2), (2, 4), (2,), {}),
    (linear, (2, 3, 4), (2, 4), (2,), {"n_batch_axes": 2}),
    (convolution_2d, (2, 3, 5, 4), (2, 3, 3, 2), (2,), {"stride": 2, "pad": 1}),
    (convolution_2d, (2, 2, 6, 5), (2, 2, 3, 2), (2,), {"stride": (3, 2), "pad": (1, 0), "cover_all": True}),
    (convolution_2d, (2, 4, 5, 5), (6, 2, 2, 2), (6,), {"groups": 2, "dilate": (2, 1), "stride": 2, "pad": 1}),
    (convolution_2d, (2, 1, 4, 4), (3, 1, 1, 1), (3,), {}),
    (deconvolution_2d, (2, 3, 3, 2), (3, 2, 3, 3), (2,), {"stride": 2, "pad": 1, "outsize": (6, 4)}),
    (deconvolution_2d, (2, 3, 3, 2), (3, 2, 3, 3), (2,), {"pad": 1}),
    (deconvolution_2d, (2, 4, 2, 3), (4, 3, 2, 2), (6,), {"groups": 2, "dilate": (2, 1), "stride": (2, 3)}),
    (deconvolution_2d, (2, 5, 1, 1), (5, 1, 4, 4), (1,), {}),
]


def arrays(rng, *shapes, dtype=np.float64):
    return tuple(rng.uniform(-1, 1, shape).astype(dtype) for shape in shapes)


@pytest.mark.parametrize("function, x, W, b, arguments", CASES)
def test_derivatives_to_the_third(rng, function, x, W, b, arguments):
    inputs = arrays(rng, x, W, b)
    call = lambda *xs: function(*xs, **arguments)  # noqa: E731
    gy = rng.uniform(-1, 1, call(*inputs).shape)
    directions = arrays(rng, x, W, b)
    check_backward(call, inputs, gy, eps=1e-2)
    check_double_backward(call, inputs, gy, directions, eps=1e-2)

    def first(x, W, b, gy):
        return grad([call(x, W, b) ** 2], [x, W], [gy], enable_double_backprop=True)

    check_double_backward(first, (*inputs, gy), directions[:2], arrays(rng, x, W, b, gy.shape), eps=1e-2)


@pytest.mark.parametrize("function, x, W, b, arguments", CASES)
@pytest.mark.parametrize("dtype, tolerance", [(np.float16, 2e-2), (np.float32, 1e-5)])
def test_precisions_and_strided_inputs(rng, function, x, W, b, arguments, dtype, tolerance):
    wide = arrays(rng, *(tuple(2 * n for n in shape) for shape in (x, W, b)), dtype=dtype)
    strided = [a[tuple(slice(None, None, -2) for _ in a.shape)] for a in wide]
    exact = [Variable(a.astype(np.float64)) for a in strided]
    inputs = [Variable(a) for a in strided]
    results = []
    for variables in (inputs, exact):
        y = function(*variables, **arguments)
        y.grad = np.ones_like(y.array)
        y.backward()
        results.append([y.array, *(v.grad for v in variables)])
    for got, expected in zip(*results):
        assert got.dtype == dtype
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


def sevens(*shape):
    return (np.arange(np.prod(shape)).reshape(shape) * 7 % 11 - 5).astype(np.float32)


# F.<function>(*map(sevens, shapes), b, *arguments).array.tolist() in Chainer 7.8.1
@pytest.mark.parametrize("function, shapes, b, arguments, expected", [
    (convolution_2d, [(1, 2, 4, 5), (2, 2, 3, 2)], [1, -1], {"stride": (2, 1), "pad": (1, 0), "cover_all": True},
     [[[-19, -6, 51, -35], [33, -35, -26, 93], [-18, 44, -15, -19]],
      [[-12, -14, -16, 37], [-39, 8, -22, -30], [-13, -19, 19, -9]]]),
    (convolution_2d, [(1, 4, 4, 3), (2, 2, 2, 2)], None, {"pad": (0, 1), "dilate": (2, 1), "groups": 2},
     [[[4, 29, -67, 35], [22, -28, -69, 37]], [[7, 34, -17, -34], [10, 35, -5, 19]]]),
    (deconvolution_2d, [(1, 2, 2, 3), (2, 2, 3, 2)], [1, -1], {"stride": (2, 1), "pad": (1, 0), "outsize": (4, 4)},
     [[[31, -24, -5, -13], [-35, 31, 14, -5], [6, 22, -14, -19], [-3, 2, 6, -10]],
      [[31, -28, 1, -3], [4, 22, 3, 21], [-12, 4, 0, -5], [-21, -16, 20, 4]]]),
    (deconvolution_2d, [(1, 4, 1, 2), (4, 1, 2, 3)], None,
     {"stride": (1, 2), "pad": (0, 1), "dilate": (2, 1), "groups": 2},
     [[[-10, 28, 4], [0, 0, 0], [-3, 50, -3]], [[-18, 11, 6], [0, 0, 0], [-23, 9, 9]]]),
])  # fmt: skip
def test_values_of_chainer(function, shapes, b, arguments, expected):
    b = None if b is None else np.array(b, np.float32)
    assert function(*(sevens(*shape) for shape in shapes), b, **arguments).array.tolist() == [expected]


@pytest.mark.parametrize("k, s, p, d, sizes", [
    # the outsize that F.deconvolution_2d of Chainer 7.8.1 accepts for x of length 5
    (3, 2, 0, 1, [10, 11, 12]), (3, 3, 1, 1, [11, 12, 13, 14, 15]), (2, 3, 0, 1, [12, 13, 14, 15, 16]),
    (3, 2, 1, 2, [10, 11, 12]),
])  # fmt: skip
def test_outsize(k, s, p, d, sizes):
    x, W = np.ones((1, 1, 5, 5)), np.ones((1, 1, k, k))
    for size in range(1, 20):
        if size in sizes:
            y = deconvolution_2d(x, W, None, s, p, (size, sizes[0]), dilate=d)
            assert y.shape == (1, 1, size, sizes[0])
        else:
            with pytest.raises(InvalidType, match=f"wanted {sizes[0]} to {sizes[-1]} where it says {size}"):
                deconvolution_2d(x, W, None, s, p, (sizes[0], size), dilate=d)
    assert deconvolution_2d(x, W, None, s, p, (None, None), dilate=d).shape == deconvolution_2d(
        x, W, None, s, p, dilate=d
    ).shape


@pytest.mark.parametrize("stride, pad, dilate, groups", [(1, 0, 1, 1), (2, 1, 1, 1), (2, (1, 0), 2, 2)])
def test_deconvolution_is_the_adjoint(rng, stride, pad, dilate, groups):
    x, W = arrays(rng, (2, 4, 7, 8), (6, 4 // groups, 3, 2))
    y = convolution_2d(x, W, None, stride, pad, dilate=dilate, groups=groups).array
    z = rng.randn(*y.shape)
    back = deconvolution_2d(z, W, None, stride, pad, (7, 8), dilate=dilate, groups=groups).array
    assert np.isclose((y * z).sum(), (x * back).sum())


@pytest.mark.parametrize("function, x, W, b, arguments", CASES)
def test_only_what_is_wanted_is_computed(rng, monkeypatch, function, x, W, b, arguments):
    calls = []
    for name in ("convolve", "deconvolve", "convolution_weight_gradient"):
        kernel = getattr(connection, name)
        monkeypatch.setattr(
            connection, name, lambda *a, kernel=kernel, name=name, **k: calls.append(name) or kernel(*a, **k)
        )
    images, weight, bias = arrays(rng, x, W, b)
    parameter = Variable(weight)
    loss = sum(function(images, parameter, bias, **arguments))
    calls.clear()
    loss.backward()
    assert parameter.grad.shape == W
    assert calls == ([] if function is linear else ["convolution_weight_gradient"])


def test_results_are_channels_last_in_memory(rng):
    x, W = arrays(rng, (2, 3, 5, 5), (3, 3, 3, 3))
    for y in (convolution_2d(x, W), deconvolution_2d(x, W)):
        assert y.array.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize("call, sentence", [
    (lambda x: convolution_2d(x, np.ones((4, 2, 3, 3))), "convolution_2d: x has 3 channels .* is for 2 with groups=1"),
    (lambda x: convolution_2d(x, np.ones((4, 3, 3, 3)), groups=2), "x has 3 channels .* is for 6 with groups=2"),
    (lambda x: convolution_2d(x, np.ones((3, 1, 3, 3)), groups=3, b=np.ones(4)), r"b has shape \(4,\); wanted \(3,\)"),
    (lambda x: convolution_2d(x, np.ones((4, 1, 3, 3)), groups=3), r"W.shape\[0\] is 4; wanted a multiple of groups=3"),
    (lambda x: convolution_2d(x, np.ones((4, 3, 9, 9))), r"output of size \(-3, -3\); wanted at least 1"),
    (lambda x: convolution_2d(x, np.ones((4, 3, 3))), r"W has shape \(4, 3, 3\); wanted 4 axes"),
    (lambda x: convolution_2d(x, np.ones((4, 3, 3, 3), np.int32)), "W is int32; wanted floating point"),
    (lambda x: convolution_2d(x, np.ones((4, 3, 3, 3)), np.ones(4, "f")), "x is float64 but b is float32"),
    (lambda x: linear(x, np.ones((4, 75)), np.ones(4, "f")), "x is float64 but b is float32"),
    (lambda x: deconvolution_2d(x, np.ones((2, 3, 3, 3))), "deconvolution_2d: x has 3 channels .* is for 2 with"),
    (lambda x: deconvolution_2d(x, np.ones((3, 2, 3, 3)), np.ones(3)), r"b has shape \(3,\); wanted \(2,\)"),
    (lambda x: deconvolution_2d(x, np.ones((3, 2, 3, 3)), pad=9), r"output of size \(-11, -11\)"),
    (lambda x: linear(x, np.ones((4, 3))), r"linear: x has shape \(2, 75\) and W has shape \(4, 3\)"),
    (lambda x: linear(x, np.ones((4, 75)), np.ones(3)), r"linear: b has shape \(3,\); wanted \(4,\)"),
])  # fmt: skip
def test_wrong_shapes(call, sentence):
    with pytest.raises(InvalidType, match=sentence):
        call(np.ones((2, 3, 5, 5)))


def test_embed_id_checks_numbers_in_debug_mode():
    W = np.ones((3, 2), np.float32)
    for x, ignored, fits in (([0, 2], None, True), ([0, -1], -1, True), ([-1], None, False), ([3], -1, False)):
        with using_config("debug", True):
            if fits:
                assert embed_id(np.array(x), W, ignored).shape == (len(x), 2)
            else:
                with pytest.raises(ValueError, match="embed_id: x has numbers outside of 0..2"):
                    embed_id(np.array(x), W, ignored)
    with pytest.raises(IndexError):
        embed_id(np.array([3]), W)
    for x in (np.array([0.5]), np.array(1), np.array([1], np.uint8)):  # as in Chainer 7.8.1
        with pytest.raises(InvalidType, match="embed_id: x is"):
            embed_id(x, W)


@pytest.mark.parametrize("of_x, of_W", [(x, W) for x in "efd" for W in "efd"])
@pytest.mark.parametrize("function, x, W", [
    (linear, (3, 4), (2, 4)), (convolution_2d, (2, 3, 5, 4), (2, 3, 3, 2)),
    (deconvolution_2d, (2, 3, 3, 2), (3, 2, 3, 3)), (convolution_nd, (2, 3, 5), (2, 3, 3)),
    (deconvolution_nd, (2, 3, 5), (3, 2, 3)),
    (local_convolution_2d, (1, 2, 3, 3), (2, 2, 2, 2, 2, 2)), (depthwise_convolution_2d, (1, 2, 3, 3), (2, 2, 2, 2)),
])  # fmt: skip
def test_mixed_types_are_those_of_chainer(rng, function, x, W, of_x, of_W):
    """y and gx have the type of x, gW that of W, gradients of gradients too; the numbers are those of float64."""
    arrays = rng.uniform(-1, 1, x).astype(of_x), rng.uniform(-1, 1, W).astype(of_W)
    results = []
    for dtype in (None, np.float64):
        x, W = (Variable(a if dtype is None else a.astype(dtype)) for a in arrays)
        y = function(x, W)
        gx, gW = grad([y * y], [x, W], enable_double_backprop=True)
        second = grad([gx * gx], [x, W])
        results.append([v.array for v in (x, W, y, gx, gW, *second)])
    assert "".join(a.dtype.char for a in results[0]) == of_x + of_W + of_x + 2 * (of_x + of_W)
    tolerance = 3e-2 if "e" in of_x + of_W else 1e-4
    for got, expected in zip(*results):
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * abs(expected).max())


def test_wrong_sizes_have_the_classes_that_chainer_has():
    x = np.ones((2, 3, 5, 5))
    with pytest.raises(AssertionError, match="wanted at least 1"):
        convolution_2d(x, np.ones((4, 3, 9, 9)))
    with pytest.raises(AssertionError, match="has 1 numbers; wanted 2"):
        convolution_nd(x, np.ones((4, 3, 3, 3)), stride=(1,))
    with pytest.raises(ValueError, match="wanted a multiple of groups=3"):
        convolution_2d(x, np.ones((4, 1, 3, 3)), groups=3)
    with pytest.raises(TypeError, match="x has 3 channels .* for 2 with groups=2"):
        convolution_nd(x, np.ones((4, 1, 3, 3)), groups=2)
    with pytest.raises(RuntimeError, match="wanted at least 1"):
        deconvolution_2d(x, np.ones((3, 1, 3, 3)), pad=9)
    for function in (convolution_1d, deconvolution_1d):
        with pytest.raises(ValueError, match=f"{function.__name__}: x has 4 axes .*; wanted 3"):
            function(x, np.ones((3, 3, 3)))
    for node in (Convolution2DFunction(), ConvolutionND(2), DeconvolutionND(2)):
        with pytest.raises(InvalidType, match="got 1 inputs; wanted x, W and perhaps b"):
            node.apply((x,))
    with pytest.raises(ValueError, match="some of V1, V2, b"):
        bilinear(np.ones((2, 3)), np.ones((2, 4)), np.ones((3, 4, 5)), np.ones((3, 5)))


def test_attributes_of_chainers_nodes():
    node = Convolution2DFunction((2, 1), (0, 3), dilate=(1, 2))
    assert (node.sy, node.sx, node.ph, node.pw, node.dy, node.dx, node.groups) == (2, 1, 0, 3, 1, 2, 1)
    y = deconvolution_2d(np.ones((1, 1, 3, 4)), Variable(np.ones((1, 1, 2, 2))), stride=2)
    assert (y.creator.outh, y.creator.outw) == (6, 8) and type(y.creator).__name__ == "Deconvolution2DFunction"
    with pytest.raises(AttributeError, match="no attribute 'sz'"):
        _ = node.sz


@pytest.mark.parametrize("arguments, sentence", [
    ({"stride": 0}, "convolution_2d: stride is 0; wanted an integer of at least 1, or 2"),
    ({"pad": (0, -1)}, r"pad is \(0, -1\); wanted"),
    ({"dilate": 1.5}, "dilate is 1.5; wanted"),
    ({"stride": (1, 1, 1)}, r"as_tuple: \(1, 1, 1\) has 3 numbers; wanted 2"),
    ({"groups": 0}, "groups is 0; wanted 1 or more"),
])  # fmt: skip
def test_wrong_arguments(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        convolution_2d(np.ones((2, 3, 5, 5)), np.ones((4, 3, 3, 3)), **arguments)
    with pytest.raises(ValueError, match="n_batch_axes is 0"):
        linear(np.ones((2, 3)), np.ones((4, 3)), n_batch_axes=0)


def test_a_local_convolution_with_one_kernel_is_a_convolution(rng):
    x, W, b = (rng.standard_normal(shape).astype("f") for shape in ((2, 3, 5, 4), (2, 3, 3, 2), (2,)))
    everywhere = np.tile(W[:, None, None], (1, 2, 2, 1, 1, 1)), np.tile(b[:, None, None], (1, 2, 2))
    (y,) = LocalConvolution2DFunction(2).apply((x, *everywhere))
    np.testing.assert_allclose(y.array, convolution_2d(x, W, b, 2).array, rtol=1e-5, atol=1e-6)
