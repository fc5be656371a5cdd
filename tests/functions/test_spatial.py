"""What the table cannot say of the chapter spatial: values from Chainer, kinks, and the error sentences."""

import numpy as np
import pytest

import minigan.functions as F
from minigan.core import Variable, grad
from minigan.utils.type_check import InvalidType

SQUARE = np.arange(4.0, dtype=np.float32).reshape(1, 1, 2, 2)


def test_values_of_chainer():
    # Chainer 7.8.1: F.resize_images(SQUARE, (3, 3), **arguments).array[0, 0]
    for arguments, want in (
        ({}, [[0, 0.5, 1], [1, 1.5, 2], [2, 2.5, 3]]),
        ({"align_corners": False}, [[0, 0.5, 1], [1, 1.5, 2], [2, 2.5, 3]]),
        ({"mode": "nearest"}, [[0, 0, 1], [0, 0, 1], [2, 2, 3]]),
    ):
        np.testing.assert_allclose(F.resize_images(SQUARE, (3, 3), **arguments).array[0, 0], want, atol=1e-6)


def test_a_grid_that_does_nothing_gives_the_image_and_one_sided_slopes(rng):
    x, theta = rng.standard_normal((2, 3, 4, 5)), np.tile(np.eye(2, 3), (2, 1, 1))
    grid = F.spatial_transformer_grid(theta, (4, 5))
    y = F.spatial_transformer_sampler(x, grid)
    np.testing.assert_allclose(y.array, x, atol=1e-12)
    # Chainer 7.8.1, on a pixel: the slope towards the next column, and towards the 0 behind the last one
    grid = Variable(np.array([[-1.0, 1.0], [-1.0, -1.0]]).reshape(1, 2, 1, 2))
    (slopes,) = grad([F.spatial_transformer_sampler(SQUARE.astype(np.float64), grid)], [grid])
    np.testing.assert_allclose(slopes.array[0, :, 0], [[0.5, -0.5], [1.0, 1.0]])


def test_far_outside_is_zero_without_a_slope():
    x, grid = Variable(np.ones((1, 1, 3, 3), np.float16)), Variable(np.full((1, 2, 1, 1), 6e4, np.float16))
    y = F.spatial_transformer_sampler(x, grid)
    gx, ggrid = grad([y], [x, grid])
    assert y.array.item() == 0 and not gx.array.any() and not ggrid.array.any()


def test_pixels_and_channels_are_each_others_reverse(rng):
    x = rng.standard_normal((2, 9, 2, 3))
    np.testing.assert_array_equal(F.space2depth(F.depth2space(x, 3), 3).array, x)


@pytest.mark.parametrize(
    "call, error, sentence",
    [
        (lambda x: F.depth2space(x, 3), ValueError, "depth2space: X has 4 channels; wanted a multiple of 3 * 3"),
        (lambda x: F.space2depth(x, 2), ValueError, "wanted a height and width divisible by 2"),
        (lambda x: F.im2col(x[0], 3), InvalidType, "im2col: x is float64 (4, 3, 3); wanted floating"),
        (lambda x: F.im2col(x, 4), ValueError, "im2col: the result would be 0 by 0; x is 3 by 3, the kernel 4 by 4"),
        (lambda x: F.resize_images(x, (2, 2), mode="cubic"), ValueError, "resize_images: mode is 'cubic'"),
        (lambda x: F.resize_images(x.astype(int), (2, 2)), InvalidType, "resize_images: x is int64"),
        (lambda x: F.spatial_transformer_grid(x, (2, 2)), InvalidType, "wanted floating (N, 2, 3)"),
        (lambda x: F.spatial_transformer_sampler(x, x), InvalidType, "wanted one dtype and (N, 2, out_H, out_W)"),
    ],
)
def test_errors_are_sentences(call, error, sentence):
    with pytest.raises(error) as caught:
        call(np.ones((2, 4, 3, 3)))
    assert sentence in str(caught.value)
