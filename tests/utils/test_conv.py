"""Windows as arrays, against loops; sizes and classes of errors are those of Chainer 7.8.1."""

import numpy as np
import pytest

from minigan.utils import conv, conv_nd


@pytest.mark.parametrize("cover_all", [False, True])
@pytest.mark.parametrize("shape, k, s, p, d", [
    ((7,), (3,), (2,), (1,), (1,)), ((5, 6), (3, 2), (1, 2), (0, 1), (2, 1)),
    ((4, 5, 3), (2, 3, 1), (2, 1, 2), (1, 0, 1), (1, 2, 1)),
])  # fmt: skip
def test_windows(rng, shape, k, s, p, d, cover_all):
    img = rng.randn(2, 3, *shape)
    out = [conv.get_conv_outsize(*sizes[:4], cover_all, sizes[4]) for sizes in zip(shape, k, s, p, d)]
    expected = np.full((2, 3, *k, *out), 7.0)
    n = len(shape)
    for place in np.ndindex(*k, *out):
        there = [place[n + i] * s[i] + place[i] * d[i] - p[i] for i in range(n)]
        if all(0 <= a < size for a, size in zip(there, shape)):
            expected[(..., *place)] = img[(..., *there)]
    col = conv_nd.im2col_nd_cpu(img, k, s, p, 7, cover_all, d)
    assert np.array_equal(col, expected)
    plain = conv_nd.im2col_nd(img, k, s, p, cover_all, d)
    back = rng.randn(*col.shape)
    summed = conv_nd.col2im_nd(back, s, p, shape, d)
    assert summed.shape == img.shape
    np.testing.assert_allclose((summed * img).sum(), (back * plain).sum())  # the transpose
    if n == 2:
        assert np.array_equal(conv.im2col_cpu(img, *k, *s, *p, 7, cover_all, *d), col)
        assert np.array_equal(conv.im2col(img, *k, *s, *p, cover_all, *d), plain)
        assert np.array_equal(conv.col2im(back, *s, *p, *shape, *d), summed)


def test_given_sizes_and_integers():
    img = np.arange(20).reshape(1, 1, 4, 5)
    assert conv.im2col(img, 2, 2, 1, 1, 0, 0, out_h=2, out_w=3).shape == (1, 1, 2, 2, 2, 3)
    assert conv.im2col(img, 2, 2, 1, 1, 0, 0).dtype == img.dtype


def test_as_tuple():
    assert conv_nd.as_tuple(1, 3) == conv_nd.as_tuple([1, 1, 1], 3) == (1, 1, 1)
    for wrong in ((1,), (1, 2)):
        with pytest.raises(AssertionError, match="wanted 3, one for each axis"):
            conv_nd.as_tuple(wrong, 3)


@pytest.mark.parametrize("call", [
    lambda x: conv_nd.im2col_nd_cpu(x, (2,), (1, 1), (0, 0)), lambda x: conv_nd.im2col_nd_cpu(x, (2, 2), (1,), (0, 0)),
    lambda x: conv_nd.im2col_nd_cpu(x, (9, 9), (1, 1), (0, 0)), lambda x: conv.im2col(x, 9, 9, 1, 1, 0, 0),
    lambda x: conv_nd.col2im_nd(x[:, :, :, :, None], (1, 1), (0, 0), (4, 4)),
    lambda x: conv_nd.col2im_nd(x[:, :, :, :, None, None], (1,), (0, 0), (4, 4)),
])  # fmt: skip
def test_wrong_numbers_of_axes(call):
    with pytest.raises(AssertionError):
        call(np.ones((2, 3, 4, 4)))
