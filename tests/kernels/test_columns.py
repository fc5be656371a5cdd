"""The kernels of im2col.cu against their twins, bit for bit; convolutions made of them."""

import math
from contextlib import nullcontext

import numpy as np
import pytest
from emulated import arrays, emulated, floats, needs_compiler, needs_emulator, on_gpu, sectors

from minigan.functions import linear
from minigan.kernels import by_channel, convolution
from minigan.kernels import im2col as module
from minigan.kernels.im2col import Images, Windows, add_columns, columns, get_conv_outsize
from minigan.kernels.launch import emulation, turned_off

# size, k, s, p, d: the first is the DCGAN's, the second uneven everywhere, the third has gaps, the last is a series
GEOMETRIES = [
    ((8, 8), (4, 4), (2, 2), (1, 1), (1, 1)),
    ((7, 9), (3, 2), (2, 1), (1, 2), (1, 2)),
    ((8, 8), (3, 3), (2, 2), (2, 2), (2, 3)),
    ((6, 7), (2, 2), (3, 3), (0, 0), (1, 1)),
    ((9,), (3,), (2,), (1,), (1,)),
]


def windows(size, k, s, p, d):
    outs = tuple(get_conv_outsize(n, a, b, c, d=e) for n, a, b, c, e in zip(size, k, s, p, d))
    return Windows(k, s, p, d, size, outs)


def all_three(x, images, b):
    """columns(x), the same added up again with a bias, with ReLU and LeakyReLU behind it, and without."""
    col = columns(x, images)
    results = [col]
    for bias, behind in ((b, None), (b, ("relu", 0.0)), (b, ("leaky_relu", 0.25)), (None, None)):
        y = arrays.full((x.shape[1], x.shape[0], *x.shape[2:]), 7, x.dtype)
        add_columns(col, y, images, bias, behind)
        results.append(y)
    return [r.get() for r in results]


def test_twin_is_right():
    """Against a loop that nobody can doubt."""
    w = windows(*GEOMETRIES[1])
    x, (oh, ow) = floats(3, 2, *w.size), w.out_size
    want = np.zeros((2, 6, 2, oh, ow), np.float32)
    for c, u, v, n, i, j in np.ndindex(2, 3, 2, 2, oh, ow):
        row, column = i * 2 + u - 1, j + 2 * v - 2
        if 0 <= row < 7 and 0 <= column < 9:
            want[c, u * 2 + v, n, i, j] = x[1 + n, c, row, column]
    images = Images(1, 2, w)
    found = columns(x, images)
    np.testing.assert_array_equal(found, want)
    y = np.zeros((2, 3, *w.size), np.float32)
    other = floats(*want.shape, seed=1)
    add_columns(other, y, images)
    assert math.isclose(float((y.swapaxes(0, 1) * x).sum()), float((other * want).sum()), rel_tol=1e-4)


@needs_compiler
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_kernels_give_the_bits_of_the_twin(geometry):
    w = windows(*geometry)
    dtype = {1: np.float64, 2: np.float16}.get(GEOMETRIES.index(geometry), np.float32)
    b = arrays.asarray(floats(3, dtype=dtype))
    for lies_by_channel in (False, True):
        x = emulated(floats(5, 3, *w.size, dtype=dtype), lies_by_channel)
        for images in (Images(0, 5, w), Images(2, 3, w)):
            with emulation() as launches:
                found = all_three(x, images, b)
            assert [launch.kernel.entry for launch in launches] == ["im2col", *["col2im_bias"] * 3, "col2im"]
            with turned_off():
                want = all_three(x, images, b)
            for a, other in zip(found, want):
                np.testing.assert_array_equal(a, other)


@needs_compiler
def test_halves_move_as_they_are_and_are_summed_in_float32():
    shapes = [(5, 4, 8, 8), (6, 4, 4, 4), (6,), (5, 6, 4, 4)]
    given = [floats(*shape, dtype=np.float16, seed=i) for i, shape in enumerate(shapes)]

    def all_of(x, W, b, gy):
        rest = (2, 2), (1, 1), (1, 1), 1
        return [
            convolution.convolve(x, W, *rest, (4, 4), b=b), convolution.deconvolve(gy, W, *rest, (8, 8), b=b[:4]),
            convolution.convolution_weight_gradient(x, gy, (4, 4), *rest),
            linear(x[:, :, 0, 0], W[:, :, 0, 0], b).array,
        ]  # fmt: skip

    on_device = [arrays.asarray(a) for a in given]
    with emulation() as launches, nullcontext() if on_gpu else arrays.recording() as operations:
        found = all_of(*on_device)
    assert len(launches) == 3 and all("STORE=Half" in repr(launch.kernel) for launch in launches)
    assert "<f4" not in str(operations)  # no array of float32
    for a, want in zip(found, all_of(*given)):
        assert a.dtype == np.float16
        np.testing.assert_allclose(a.get(), want, rtol=2e-3, atol=2e-2)


def test_images_that_an_int_cannot_count_go_the_plain_way():
    x = emulated(floats(1))
    assert module._has_kernel(x, Images(0, 1, windows((40000, 40000), (1, 1), (1, 1), (0, 0), (1, 1))), 1)
    assert not module._has_kernel(x, Images(0, 2, windows((40000, 40000), (1, 1), (1, 1), (0, 0), (1, 1))), 1)
    assert not module._has_kernel(x, Images(0, 1, windows((9, 9), (1, 1), (1, 1), (30000, 30000), (1, 1))), 1)


@needs_compiler
def test_images_of_any_memory():
    w = windows(*GEOMETRIES[0])
    x = floats(2, 8, 8, 3)
    images = Images(0, 2, w)
    found = columns(arrays.asarray(x).transpose(0, 3, 1, 2), images)
    np.testing.assert_array_equal(found.get(), columns(x.transpose(0, 3, 1, 2), images))


@needs_emulator
def test_sectors():
    """Stores and the taps of stride 1 are side by side; taps of stride 2 take twice the sectors, which L1 keeps."""
    for stride, loads in ((2, 9), (1, 5)):
        w = windows((32, 32), (3, 3), (stride, stride), (1, 1), (1, 1))
        x = emulated(floats(2, 2, 32, 32))
        with emulation("check") as launches:
            all_three(x, Images(0, 2, w), arrays.asarray(floats(2)))
        assert sectors(launches, "im2col", "store", 1)[0] <= 4.01
        assert sectors(launches, "im2col", "load", 0)[0] <= loads
        assert sectors(launches, "col2im", "store", 1)[0] <= 4.01
        assert sectors(launches, "col2im", "load", 0)[0] <= 5.2
        assert sectors(launches, "col2im_bias", "load", 1)[0] == 1


@needs_compiler
@pytest.mark.parametrize("groups", [1, 2])
def test_convolutions_by_channel(groups, monkeypatch):
    """The three convolutions against those for the CPU, in one piece and in several."""
    x, W, b = floats(5, 4, 8, 8), floats(6, 4 // groups, 4, 4, seed=1), floats(6, seed=2)
    gy = floats(5, 6, 4, 4, seed=3)
    geometry = (2, 2), (1, 1), (1, 1), groups
    want = [
        convolution.convolve(x, W, *geometry, (4, 4), b=b), convolution.deconvolve(gy, W, *geometry, (8, 8), b=b[:4]),
        convolution.convolution_weight_gradient(x, gy, (4, 4), *geometry),
    ]  # fmt: skip
    x, W, b, gy = map(arrays.asarray, (x, W, b, gy))
    for chunk in (24 << 20, 2 * 4 * 16 * 16 * 4):
        monkeypatch.setattr(module, "GPU_CHUNK_BYTES", chunk)
        with emulation() as launches:
            found = [
                convolution.convolve(x, W, *geometry, (4, 4), b=b),
                convolution.deconvolve(gy, W, *geometry, (8, 8), b=b[:4]),
                convolution.convolution_weight_gradient(x, gy, (4, 4), *geometry),
            ]
        assert len(launches) == (3 if chunk > 1 << 20 else 9)
        for a, other in zip(found, want):
            np.testing.assert_allclose(a.get(), other, rtol=1e-5, atol=1e-5)
        assert found[0].swapaxes(0, 1).flags.c_contiguous and found[1].swapaxes(0, 1).flags.c_contiguous


@needs_compiler
def test_single_pixels_need_no_columns():
    x, W = floats(3, 4, 5, 5), floats(2, 4, 1, 1)
    with emulation() as launches:
        y = by_channel.convolve(*map(arrays.asarray, (x, W)), windows((5, 5), (1, 1), (1, 1), (0, 0), (1, 1)), 1)
    assert not launches
    np.testing.assert_allclose(y.get(), np.einsum("ncij,oc->noij", x, W[:, :, 0, 0]), rtol=1e-5, atol=1e-6)
