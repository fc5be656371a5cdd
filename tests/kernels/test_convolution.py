"""The convolution kernels against a loop that nobody can doubt, for many geometries, chunk sizes and memory layouts."""

import threading

import numpy as np
import pytest

from minigan.kernels import convolution, im2col, workspace
from minigan.kernels.convolution import convolution_weight_gradient, convolve, deconvolve

PLAIN = ((1, 1), (0, 0), (1, 1), 1)  # stride, pad, dilate, groups


def loop(x, W, stride, pad, dilate, groups, out):
    """The definition, one number of the output after the other."""
    c, o = W.shape[1], W.shape[0] // groups
    y = np.zeros((x.shape[0], W.shape[0], *out))
    for q, i, j in np.ndindex(y.shape[1:]):
        for u, v in np.ndindex(W.shape[2:]):
            row, column = i * stride[0] + u * dilate[0] - pad[0], j * stride[1] + v * dilate[1] - pad[1]
            if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
                y[:, q, i, j] += x[:, q // o * c : q // o * c + c, row, column] @ W[q, :, u, v]
    return y


def make_geometries():
    """Named ones that have a path of their own, and random ones."""
    named = [  # k, s, p, d, groups, C / groups, O / groups, size, cover_all
        ((1, 1), (1, 1), (0, 0), (1, 1), 1, 3, 4, (5, 6), False),  # no im2col at all
        ((1, 1), (2, 2), (0, 0), (1, 1), 1, 3, 4, (5, 6), False),
        ((4, 5), (1, 1), (0, 0), (1, 1), 1, 3, 4, (4, 5), False),  # kernel as large as the image
        ((3, 3), (2, 2), (1, 1), (1, 1), 1, 1, 9, (7, 7), False),  # one channel: short runs
        ((3, 3), (1, 1), (1, 1), (1, 1), 1, 9, 1, (7, 7), False),
        ((3, 3), (2, 2), (1, 1), (1, 1), 1, 9, 9, (8, 8), True),
        ((3, 3), (1, 1), (2, 2), (2, 2), 1, 4, 4, (7, 7), False),
        ((2, 2), (3, 3), (0, 0), (1, 1), 1, 4, 4, (9, 9), False),  # gaps between the windows
        ((3, 3), (1, 1), (5, 5), (1, 1), 1, 4, 4, (4, 4), False),  # windows that lie outside altogether
        ((3, 3), (1, 1), (1, 1), (1, 1), 4, 1, 2, (5, 5), False),  # depthwise
        ((3, 3), (2, 1), (1, 0), (1, 2), 2, 4, 3, (6, 9), True),
    ]
    rng = np.random.RandomState(0)
    for _ in range(60):
        pairs = [tuple(rng.randint(low, high, 2).tolist()) for low, high in ((1, 5), (1, 4), (0, 4), (1, 3), (1, 9))]
        groups, c, o = rng.randint(1, 4, 3).tolist()
        named.append((*pairs[:4], groups, c, o, pairs[4], bool(rng.randint(2))))
    for k, s, p, d, groups, c, o, size, cover_all in named:
        out = tuple(im2col.get_conv_outsize(size[i], k[i], s[i], p[i], cover_all, d[i]) for i in (0, 1))
        if min(out) > 0:
            yield k, s, p, d, groups, c, o, size, out


GEOMETRIES = list(make_geometries())


@pytest.mark.parametrize("chunk_bytes", [2 << 20, 1000, 1])
@pytest.mark.parametrize("channels_last", [False, True])
def test_against_the_loop(rng, monkeypatch, chunk_bytes, channels_last):
    monkeypatch.setattr(im2col, "CHUNK_BYTES", chunk_bytes)
    assert len(GEOMETRIES) > 40
    for k, s, p, d, groups, c, o, size, out in GEOMETRIES:
        x, W, b = rng.randn(3, c * groups, *size), rng.randn(o * groups, c, *k), rng.randn(o * groups)
        gy = rng.randn(3, o * groups, *out)
        if channels_last:
            x, gy = (np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) for a in (x, gy))
        geometry = (s, p, d, groups)
        y = convolve(x, W, *geometry, out, b=b)
        np.testing.assert_allclose(y, loop(x, W, *geometry, out) + b[:, None, None], atol=1e-12)
        assert y.transpose(0, 2, 3, 1).flags.c_contiguous

        # the other two by what defines them: <gy, x * W> is linear in x and in W
        direction = rng.randn(*W.shape)
        gW = convolution_weight_gradient(x, gy, k, *geometry)
        np.testing.assert_allclose((gW * direction).sum(), (gy * loop(x, direction, *geometry, out)).sum(), atol=1e-9)
        direction, shift = rng.randn(*x.shape), rng.randn(c * groups)
        expected = (gy * loop(direction, W, *geometry, out)).sum() + (direction * shift[:, None, None]).sum()
        for cheaper in (True, False):
            if cheaper and any(i > 1 and j > 1 for i, j in zip(s, d)):
                continue  # gathering is not defined there
            monkeypatch.setattr(convolution, "_gathering_is_cheaper", lambda *_, answer=cheaper: answer)
            gx = deconvolve(gy, W, *geometry, size, b=shift)
            np.testing.assert_allclose((gx * direction).sum(), expected, atol=1e-9)
            assert gx.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize("x_shape, y_shape, stride, dilate, gathers", [
    ((128, 256, 7, 7), (128, 14, 14, 128), (2, 2), (1, 1), True),
    ((128, 64, 14, 14), (128, 28, 28, 1), (2, 2), (1, 1), False),  # one channel out: little to add up
    ((128, 100, 1, 1), (128, 4, 4, 512), (1, 1), (1, 1), False),  # nearly all windows would be borders
    ((8, 16, 9, 9), (8, 19, 19, 16), (2, 2), (2, 2), False),  # taps not evenly spaced
])  # fmt: skip
def test_choice_of_gathering_or_scattering(x_shape, y_shape, stride, dilate, gathers):
    assert convolution._gathering_is_cheaper(x_shape, y_shape, stride, dilate, 1) is gathers


@pytest.mark.parametrize("size, k, s, p, expected", [
    # chainer.utils.conv: get_conv_outsize, the same with cover_all, with d=2; get_deconv_outsize in the same three ways
    (5, 3, 2, 0, (2, 2, 1, 11, 10, 13)),
    (6, 3, 2, 1, (3, 4, 2, 11, 10, 13)),
    (7, 4, 3, 2, (3, 4, 2, 18, 16, 21)),
    (28, 3, 2, 1, (14, 15, 13, 55, 54, 57)),
    (10, 2, 3, 0, (3, 4, 3, 29, 27, 30)),
])  # fmt: skip
def test_sizes(size, k, s, p, expected):
    found = [f(size, k, s, p, **more) for f in (im2col.get_conv_outsize, im2col.get_deconv_outsize)
             for more in ({}, {"cover_all": True}, {"d": 2})]  # fmt: skip
    assert tuple(found) == expected


def test_half_precision_is_computed_in_single(rng):
    # 1 + 4096 * 2^-11 = 3 exactly, but adding 2^-11 to 2 in float16 changes nothing
    x = np.full((1, 4097, 1, 1), 2.0**-11, np.float16)
    x[0, 0] = 1
    W = np.ones((1, 4097, 1, 1), np.float16)
    y = convolve(x, W, *PLAIN, (1, 1), b=np.zeros(1, np.float16))
    assert y.dtype == np.float16 and y.item() == 3
    assert deconvolve(x, W.transpose(1, 0, 2, 3), *PLAIN, (1, 1)).item() == 3
    gW = convolution_weight_gradient(x.transpose(1, 0, 2, 3), W.transpose(1, 0, 2, 3), (1, 1), *PLAIN)
    assert gW.dtype == np.float16 and gW.item() == 3


@pytest.mark.parametrize("of_x, of_W", [("e", "f"), ("f", "d"), ("d", "e")])
def test_mixed_types_are_computed_in_the_wider(rng, of_x, of_W):
    x, W = rng.randn(2, 3, 4, 4).astype(of_x), rng.randn(2, 3, 3, 3).astype(of_W)
    wide = np.promote_types(np.promote_types(of_x, of_W), "f")
    exact = convolve(x.astype(wide), W.astype(wide), *PLAIN, (2, 2))
    y = convolve(x, W, *PLAIN, (2, 2))
    assert y.dtype == of_x and np.array_equal(y, exact.astype(of_x))
    assert convolution_weight_gradient(x, y, (3, 3), *PLAIN, dtype=W.dtype).dtype == of_W


def test_no_images():
    x, W = np.zeros((0, 3, 5, 5)), np.ones((4, 3, 3, 3))
    assert convolve(x, W, *PLAIN, (3, 3)).shape == (0, 4, 3, 3)
    assert deconvolve(x, W.transpose(1, 0, 2, 3), *PLAIN, (7, 7)).shape == (0, 4, 7, 7)
    assert not convolution_weight_gradient(x, np.zeros((0, 4, 3, 3)), (3, 3), *PLAIN).any()


def test_results_do_not_live_in_the_borrowed_buffers(rng):
    x, W = rng.randn(2, 3, 5, 5), rng.randn(4, 3, 3, 3)
    calls = (
        lambda a: convolve(a, W, (2, 2), (1, 1), (1, 1), 1, (3, 3)),
        lambda a: deconvolve(a, W.transpose(1, 0, 2, 3), (2, 2), (1, 1), (1, 1), 1, (9, 9)),
        lambda a: convolution_weight_gradient(a, a, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    )
    for call in calls:
        first = call(x)
        kept = first.copy()
        for other in calls:
            other(x + 1)
        assert np.array_equal(first, kept)
        assert np.array_equal(call(x), kept)  # to the last bit


def test_threads_do_not_share_buffers(rng):
    mine = workspace.borrow(np, "im2col", (10,), np.float64)
    mine[...] = 1
    other = []
    thread = threading.Thread(target=lambda: other.append(workspace.borrow(np, "im2col", (10,), np.float64)))
    thread.start()
    thread.join()
    other[0][...] = 2
    assert (mine == 1).all()
    assert workspace.borrow(np, "im2col", (5,), np.float64).base is mine.base


@pytest.mark.parametrize("chunk_bytes", [2 << 20, 1])
def test_three_axes_are_a_sum_of_two(rng, monkeypatch, chunk_bytes):
    """A convolution over D, H, W is one over H, W for each plane of the kernel, on planes of x, added up."""
    monkeypatch.setattr(im2col, "CHUNK_BYTES", chunk_bytes)
    x, W, b = rng.randn(2, 4, 5, 6, 7), rng.randn(6, 2, 3, 3, 2), rng.randn(6)
    geometry = ((2, 1, 2), (1, 0, 2), (1, 2, 1), 2)
    flat = ((1, 2), (0, 2), (2, 1), 2)
    y = convolve(x, W, *geometry, (3, 2, 5), b=b)
    expected = np.zeros((2, 6, 3, 2, 5)) + b[:, None, None, None]
    for i, u in np.ndindex(3, 3):
        if 0 <= (plane := 2 * i + u - 1) < 5:
            expected[:, :, i] += convolve(x[:, :, plane], W[:, :, u], *flat, (2, 5))
    np.testing.assert_allclose(y, expected, atol=1e-12)
    # the other two by what defines them, and a line as an image of height 1
    direction = rng.randn(*W.shape)
    gW = convolution_weight_gradient(x, y, (3, 3, 2), *geometry)
    product = (y * convolve(x, direction, *geometry, (3, 2, 5))).sum()
    np.testing.assert_allclose((gW * direction).sum(), product)
    for cheaper in (True, False):
        monkeypatch.setattr(convolution, "_gathering_is_cheaper", lambda *_, answer=cheaper: answer)
        back = deconvolve(y, W, *geometry, (5, 6, 7))
        np.testing.assert_allclose((back * x).sum(), (y * (y - b[:, None, None, None])).sum())
    line = convolve(x[:, :, 0, 0], W[:, :, 0, 0], (2,), (1,), (3,), 2, (3,))
    image = convolve(x[:, :, 0, :1], W[:, :, 0, :1], (1, 2), (0, 1), (1, 3), 2, (1, 3))
    np.testing.assert_allclose(line, image[:, :, 0], atol=1e-12)
