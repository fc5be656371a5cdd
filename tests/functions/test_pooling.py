import numpy as np
import pytest

from minigan.core import Variable, grad
from minigan.core import sum as sum_all
from minigan.functions.pooling import (
    AveragePooling2D,
    AveragePoolingND,
    MaxPooling2D,
    MaxPoolingND,
    average_pooling_1d,
    average_pooling_2d,
    average_pooling_3d,
    average_pooling_nd,
    max_pooling_1d,
    max_pooling_2d,
    max_pooling_3d,
    max_pooling_nd,
    spatial_pyramid_pooling_2d,
    unpooling_1d,
    unpooling_2d,
    unpooling_3d,
    unpooling_nd,
    upsampling_2d,
)  # fmt: skip
from minigan.gradient_check import check_backward, check_double_backward
from minigan.utils.type_check import InvalidType

# ksize, stride, pad for an image of 5 x 6
GEOMETRIES = [(2, None, 0), (3, 2, 1), ((2, 3), (1, 2), (0, 1)), (3, 1, 1), (1, 2, 0), (2, 3, 0), ((5, 6), None, 0)]
geometries = pytest.mark.parametrize("ksize, stride, pad", GEOMETRIES)
every_type = pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
ROWS = np.arange(25, dtype=np.float32).reshape(1, 1, 5, 5)


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


def windows(x, ksize, stride, pad, cover_all):
    """Yield (i, j, [(place in window, value)]) for one image (H, W), pixel by pixel."""
    (kh, kw), (ph, pw) = pair(ksize), pair(pad)
    sy, sx = (kh, kw) if stride is None else pair(stride)
    rounding = np.ceil if cover_all else np.floor
    out_h = int(rounding((x.shape[0] + 2 * ph - kh) / sy)) + 1
    out_w = int(rounding((x.shape[1] + 2 * pw - kw) / sx)) + 1
    for i in range(out_h):
        for j in range(out_w):
            inside = []
            for u in range(kh):
                for v in range(kw):
                    row, column = i * sy + u - ph, j * sx + v - pw
                    if 0 <= row < x.shape[0] and 0 <= column < x.shape[1]:
                        inside.append((u * kw + v, row, column))
            yield i, j, inside


def by_loop(x, reduce, ksize, stride, pad, cover_all):
    """Pool every image with reduce([(place, value)]) -> value."""
    images = []
    for image in x.reshape(-1, *x.shape[2:]):
        cells = {}
        for i, j, inside in windows(image, ksize, stride, pad, cover_all):
            cells[i, j] = reduce([(place, image[row, column]) for place, row, column in inside])
        height, width = max(cells)
        images.append([[cells[i, j] for j in range(width + 1)] for i in range(height + 1)])
    result = np.array(images)
    return result.reshape(x.shape[:2] + result.shape[1:])


def largest(inside):
    return max((value for _, value in inside), default=-np.inf)


def place_of_largest(inside):
    best = largest(inside)
    return next((place for place, value in inside if value == best), 0)


def lay_out(x, layout):
    if layout == "channels_last":
        return x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    if layout == "strided":
        return np.repeat(x, 2, axis=3)[..., ::-1][..., ::2][..., ::-1]
    return x


@pytest.mark.parametrize("layout", ["nchw", "channels_last", "strided"])
@pytest.mark.parametrize("cover_all", [True, False])
@every_type
@geometries
def test_max_equals_the_loop(ksize, stride, pad, cover_all, layout, dtype, rng):
    x = lay_out(rng.randint(0, 9, (2, 3, 5, 6)).astype(dtype), layout)  # many ties
    y, indices = max_pooling_2d(x, ksize, stride, pad, cover_all, return_indices=True)
    np.testing.assert_array_equal(y.array, by_loop(x, largest, ksize, stride, pad, cover_all))
    np.testing.assert_array_equal(indices, by_loop(x, place_of_largest, ksize, stride, pad, cover_all))
    assert y.dtype == dtype and indices.dtype == np.int64
    if layout == "channels_last":
        assert y.array.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize("layout", ["nchw", "channels_last", "strided"])
@every_type
@geometries
def test_average_equals_the_loop(ksize, stride, pad, layout, dtype, rng):
    x = lay_out(rng.randint(-9, 9, (2, 3, 5, 6)).astype(dtype), layout)
    count = np.prod(pair(ksize))
    want = by_loop(x.astype(np.float64), lambda inside: sum(v for _, v in inside) / count, ksize, stride, pad, False)
    y = average_pooling_2d(x, ksize, stride, pad)
    np.testing.assert_allclose(y.array, want, rtol=2 * np.finfo(dtype).eps)
    assert y.dtype == dtype


@pytest.mark.parametrize("cover_all", [True, False])
@every_type
@geometries
def test_unpooling_is_the_transpose_of_sum_pooling(ksize, stride, pad, cover_all, dtype, rng):
    geometry = ksize, stride, pad, cover_all
    image = rng.randint(-9, 9, (2, 3, 5, 6)).astype(np.float64)
    pooled = by_loop(image, lambda inside: sum(v for _, v in inside), *geometry)
    x = rng.randint(-9, 9, pooled.shape).astype(dtype)
    y = unpooling_2d(x, ksize, stride, pad, (5, 6), cover_all)
    assert y.shape == image.shape and y.dtype == dtype
    assert (y.array.astype(np.float64) * image).sum() == (x * pooled).sum()  # <P' x, image> = <x, P image>


@geometries
@pytest.mark.parametrize("function", ["max", "max all", "average", "unpooling", "unpooling to size"])
def test_derivatives_of_first_and_second_order(function, ksize, stride, pad, rng):
    x = (rng.permutation(60) / 8).reshape(1, 2, 5, 6)
    if function == "unpooling to size":
        x = average_pooling_2d(x, ksize, stride, pad).array
    f = {
        "max": lambda x: max_pooling_2d(x, ksize, stride, pad, cover_all=False),
        "max all": lambda x: max_pooling_2d(x, ksize),
        "average": lambda x: average_pooling_2d(x, ksize, stride, pad),
        "unpooling": lambda x: unpooling_2d(x, ksize, stride, pad, cover_all=False),
        "unpooling to size": lambda x: unpooling_2d(x, ksize, stride, pad, (5, 6), cover_all=False),
    }[function]

    def bent(x):  # so that the second derivative is not zero
        y = f(x)
        return y * y * y

    gy, ggx = rng.standard_normal(f(x).shape), rng.standard_normal(x.shape)
    check_backward(bent, x, gy, atol=1e-6, rtol=1e-6)
    check_double_backward(bent, x, gy, ggx, atol=1e-6, rtol=1e-6)
    check_double_backward(f, x, gy, ggx, atol=1e-6, rtol=1e-6)


def test_third_derivative_passes_through_max_pooling(rng):
    x, gy, a, b = (rng.permutation(64).reshape(4, 1, 1, 4, 4) / 8)
    gy = gy[..., :2, :2]

    def second_derivative(x):
        y = max_pooling_2d(x, 2)
        (gx,) = grad([y * y * y], [x], [Variable(gy)], enable_double_backprop=True)
        return grad([sum_all(gx * a)], [x], enable_double_backprop=True)[0]

    check_backward(second_derivative, x, b, atol=1e-5, rtol=1e-6)


def test_max_values_are_chainers():
    # Chainer 7.8.1: F.max_pooling_2d(x, 2, 1, 1, return_indices=True); y.grad = arange; y.backward()
    x = Variable(np.array([[[[1, 5, 5, 2], [5, 5, 0, 3], [-1, -2, 7, 7]]]], np.float32))
    y, indices = max_pooling_2d(x, 2, 1, 1, return_indices=True)
    assert y.array.tolist() == [[[[1, 5, 5, 5, 2], [5, 5, 5, 5, 3], [5, 5, 7, 7, 7], [-1, -1, 7, 7, 7]]]]
    assert indices.tolist() == [[[[3, 3, 2, 2, 2], [3, 1, 0, 0, 2], [1, 0, 3, 2, 2], [1, 0, 1, 0, 0]]]]
    y.grad = np.arange(20, dtype=np.float32).reshape(y.shape)
    y.backward()
    assert x.grad.tolist() == [[[[0, 16, 11, 4], [26, 0, 0, 9], [31, 0, 60, 33]]]]
    # F.max_pooling_2d(x, (3, 2), (2, 3), (1, 0))
    assert max_pooling_2d(x, (3, 2), (2, 3), (1, 0)).array.tolist() == [[[[5, 3], [5, 7]]]]


def test_average_values_are_chainers():
    # Chainer 7.8.1: F.average_pooling_2d(arange(25).reshape(1, 1, 5, 5), 3, 2, 1)
    want = [[[[1.3333333730697632, 3, 2.6666667461395264], [7, 12, 9], [8, 13, 9.333333015441895]]]]
    np.testing.assert_allclose(average_pooling_2d(ROWS, 3, 2, 1).array, want, rtol=1e-6)


@pytest.mark.parametrize(
    "arguments, want",
    [  # Chainer 7.8.1: F.unpooling_2d([[0, 1], [5, 6]], **arguments)
        (dict(ksize=2), [[0, 0, 1], [0, 0, 1], [5, 5, 6]]),
        (dict(ksize=2, cover_all=False), [[0, 0, 1, 1], [0, 0, 1, 1], [5, 5, 6, 6], [5, 5, 6, 6]]),
        (dict(ksize=2, outsize=(4, 4)), [[0, 0, 1, 1], [0, 0, 1, 1], [5, 5, 6, 6], [5, 5, 6, 6]]),
        (dict(ksize=3, stride=2), [[0, 0, 1, 1], [0, 0, 1, 1], [5, 5, 12, 7], [5, 5, 11, 6]]),
        (dict(ksize=3, stride=2, pad=1), [[0, 1], [5, 12]]),
        (dict(ksize=3, stride=2, pad=1, cover_all=False), [[0, 1, 1], [5, 12, 7], [5, 11, 6]]),
    ],
)
def test_unpooling_values_are_chainers(arguments, want):
    assert unpooling_2d(ROWS[:, :, :2, :2], **arguments).array.tolist() == [[want]]


@pytest.mark.parametrize("cover_all", [True, False])
def test_unpooling_what_was_pooled_gives_the_size_back(cover_all):
    for size in (4, 5, 6, 7):
        x = np.zeros((1, 1, size, size), np.float32)
        pooled = max_pooling_2d(x, 2, cover_all=cover_all)
        assert unpooling_2d(pooled, 2, outsize=(size, size), cover_all=cover_all).shape == x.shape


def test_windows_of_more_than_255_places(rng):
    x = rng.permutation(40 * 40).reshape(1, 1, 40, 40).astype(np.float32)
    for ksize in (16, 17, 40):
        y, indices = max_pooling_2d(x, ksize, return_indices=True)
        np.testing.assert_array_equal(y.array, by_loop(x, largest, ksize, None, 0, True))
        np.testing.assert_array_equal(indices, by_loop(x, place_of_largest, ksize, None, 0, True))


def test_nan_and_infinity():
    # Chainer 7.8.1: the maximum of a window with NaN is NaN; of -inf alone, or of padding alone, -inf.
    nan = np.array([[[[1, np.nan], [3, 4]]]], np.float32)
    assert np.isnan(max_pooling_2d(nan, 2).array).all()
    y, indices = max_pooling_2d(np.full((1, 1, 2, 2), -np.inf, np.float32), 2, return_indices=True)
    assert y.array == -np.inf and indices == 0
    y, indices = max_pooling_2d(ROWS, 2, 2, 3, return_indices=True)
    assert (y.array[0, 0, 0] == -np.inf).all() and not indices[0, 0, 0].any()


def test_float16_average_does_not_overflow():
    assert (average_pooling_2d(np.full((1, 1, 4, 4), 6e4, np.float16), 4).array == np.float16(6e4)).all()


def test_an_empty_batch():
    empty = np.zeros((0, 2, 4, 4), np.float32)
    assert max_pooling_2d(empty, 2).shape == average_pooling_2d(empty, 2).shape == (0, 2, 2, 2)


@pytest.mark.parametrize("function", [max_pooling_2d, average_pooling_2d, unpooling_2d])
def test_errors_are_sentences(function):
    name = function.__name__
    with pytest.raises(InvalidType, match=rf"{name}: x has 3 axes \(shape \(1, 5, 5\)\); wanted 4"):
        function(ROWS[0], 2)
    with pytest.raises(InvalidType, match=f"{name}: x is int32"):
        function(ROWS.astype(np.int32), 2)
    for wrong in (dict(ksize=0), dict(ksize=2, stride=0), dict(ksize=2, stride=-1), dict(ksize=2, pad=-1)):
        with pytest.raises(ValueError, match=f"{name}: (ksize|stride|pad) is"):
            function(ROWS, **wrong)


def test_windows_that_do_not_fit():
    with pytest.raises(InvalidType, match=r"no window fits an image of \(5, 5\) \(ksize \(7, 7\)"):
        average_pooling_2d(ROWS, 7)
    with pytest.raises(InvalidType, match="no window"):
        max_pooling_2d(ROWS, 7, cover_all=False)
    assert max_pooling_2d(ROWS, 7).array.tolist() == [[[[24]]]]  # as Chainer, which pads on the far side
    for outsize in ((5, 5), (6, 6), (2, 2)):
        with pytest.raises(InvalidType, match="unpooling_2d: an image of outsize"):
            unpooling_2d(ROWS[:, :, :2, :2], 2, outsize=outsize)
    with pytest.raises(InvalidType, match=r"unpooling_2d: the result would be \(-1, -1\)"):
        unpooling_2d(ROWS[:, :, :1, :1], 2, 2, 1)


def test_nodes_under_the_names_of_chainer():
    node = MaxPooling2D((2, 3), (1, 2), (0, 1), cover_all=False)
    (y,) = node.apply((ROWS,))
    assert (node.kh, node.kw, node.sy, node.sx, node.ph, node.pw, node.cover_all) == (2, 3, 1, 2, 0, 1, False)
    assert node.indexes.shape == y.shape == MaxPoolingND(2, (2, 3), (1, 2), (0, 1), False).apply((ROWS,))[0].shape
    up = upsampling_2d(y, node.indexes, (2, 3), (1, 2), (0, 1), (5, 5), False)
    assert (up.creator.outh, up.creator.outw) == (5, 5)
    assert AveragePooling2D(2).apply((ROWS,))[0].shape == (1, 1, 2, 2)  # cover_all means nothing there
    with pytest.raises(ValueError, match="cover_all is not possible"):
        AveragePoolingND(2, 2, cover_all=True)
    with pytest.raises(ValueError, match="pad_value is 1; wanted 0, or None"):
        average_pooling_nd(ROWS, 2, pad_value=1)


def test_an_image_may_be_unpooled_to_nothing():
    # Chainer 7.8.1: F.unpooling_nd(np.ones((2, 3, 3, 2), "f"), 1, 1, 1).shape
    x = Variable(np.ones((2, 3, 3, 2), np.float32))
    y = unpooling_nd(x, 1, 1, 1)
    assert y.shape == (2, 3, 1, 0)
    y.grad = np.zeros((2, 3, 1, 0), np.float32)
    y.backward()
    assert not x.grad.any()


def test_other_numbers_of_axes_are_refused():
    lines = (max_pooling_1d, average_pooling_1d, unpooling_1d)
    for function in (*lines, max_pooling_3d, average_pooling_3d, unpooling_3d):
        with pytest.raises(ValueError, match=f"{function.__name__}: x has 4 axes"):
            function(ROWS, 2)
    with pytest.raises(InvalidType, match="max_pooling_nd: x has 4 axes .*; wanted 5"):
        MaxPoolingND(3, 2).apply((ROWS,))
    with pytest.raises(AssertionError, match="has 2 numbers; wanted 3"):
        max_pooling_nd(ROWS[None], (2, 2))
    with pytest.raises(InvalidType, match="upsampling_2d: x has shape .* but indexes has"):
        upsampling_2d(ROWS, np.zeros((1, 1, 5, 4), np.int64), 2)


def test_a_pyramid_of_a_small_image():
    # Chainer 7.8.1: F.spatial_pyramid_pooling_2d(np.ones((2, 3, 5, 5), "f"), 4, "max").shape
    assert spatial_pyramid_pooling_2d(np.ones((2, 3, 5, 5), np.float32), 4, "max").shape == (2, 210, 1, 1)
    for pooling in (None, "avg"):
        with pytest.raises(ValueError, match="wanted 'max'"):
            spatial_pyramid_pooling_2d(ROWS, 2, pooling)
