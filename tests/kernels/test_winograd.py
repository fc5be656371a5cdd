"""Winograd's convolutions against the direct ones: many plans, one to three axes, errors, when which is chosen."""

from functools import partial

import numpy as np
import pytest

from minigan.kernels import convolution, im2col, winograd
from minigan.kernels.convolution import convolution_weight_gradient, convolve, deconvolve
from minigan.kernels.im2col import get_conv_outsize

# kernel, stride, padding, size of x; the outputs are as many as tiles hold, fewer than one, more with borders outside
GEOMETRIES = [
    (3, 1, 1, 14), (3, 2, 1, 14), (3, 2, 0, 7), (4, 2, 1, 16), (5, 2, 2, 13), (3, 1, 0, 9), (3, 1, 1, 7), (1, 1, 0, 5),
    (5, 1, 2, 6), (3, 2, 1, 15), (3, 1, 3, 4), (3, 2, 1, 6), (2, 1, 0, 3), (2, 3, 0, 9), (6, 2, 2, 12), (3, 1, 5, 2),
]  # fmt: skip


def test_products():
    """What the module says: 4 instead of 6; no tile where it saves nothing, no product with a zero outside."""

    def products(k, s, p, size, out):
        return sum(i.products * i.tiles for i in winograd.plan(-2, k, s, p, size, out).segments)

    assert products(3, 1, 1, 14, 14) == 28
    assert products(3, 2, 1, 14, 7) == 7 + 2 * 4 + 1
    assert products(3, 2, 0, 7, 3) == 3 + 4
    assert products(1, 1, 0, 5, 5) == 5
    assert products(5, 1, 2, 6, 6) == 30 - 2 * (1 + 2)


def both(monkeypatch, call):
    """What the call gives directly and after Winograd."""

    def always(images, ksize, stride, pad, dilate, groups, size, out, channels, dtype):
        return [winograd.plan(i - len(ksize) - 1, *one) for i, one in enumerate(zip(ksize, stride, pad, size, out))]

    found = []
    for axes in (lambda *_: None, always):
        monkeypatch.setattr(winograd, "axes_if_cheaper", axes)
        found.append(call())
    return found


@pytest.mark.parametrize("chunk_bytes", [2 << 20, 1])
@pytest.mark.parametrize("ndim, channels_last", [(1, True), (2, False), (2, True), (3, True)])
def test_against_the_direct_form(rng, monkeypatch, ndim, channels_last, chunk_bytes):
    monkeypatch.setattr(im2col, "CHUNK_BYTES", chunk_bytes)
    for k, s, p, size in GEOMETRIES:
        more = [(3, 1, 1, 6), (2, 2, 1, 5)][: ndim - 1]
        ksize, stride, pad, sizes = (tuple(pair) for pair in zip((k, s, p, size), *more))
        outs = tuple(get_conv_outsize(*one) for one in zip(sizes, ksize, stride, pad))
        x, W, gy = rng.randn(3, 5, *sizes), rng.randn(4, 5, *ksize), rng.randn(3, 4, *outs)
        if channels_last:
            x, gy = (np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1) for a in (x, gy))
        geometry = (stride, pad, (1,) * ndim, 1)
        for function, *inputs, b in (
            (convolve, x, W, *geometry, outs, np.arange(4.0)), (convolve, x, W, *geometry, outs, None),
            (deconvolve, gy, W, *geometry, sizes, np.arange(5.0)),
            (convolution_weight_gradient, x, gy, ksize, *geometry, None),
        ):  # fmt: skip
            direct, found = both(monkeypatch, partial(function, *inputs, **({} if b is None else {"b": b})))
            np.testing.assert_allclose(found, direct, atol=1e-11)
            assert found.strides == direct.strides


def lost_by_blas(rng):
    """The greatest error of NumPy's own product: 2.5e-6 with NumPy 2.4, 4.6e-6 with 2.5, whose sums are longer."""
    a, b = rng.randn(3136, 512), rng.randn(512, 64)
    found = a.astype("f") @ b.astype("f")
    exact = a.astype("f").astype("d") @ b.astype("f").astype("d")
    return np.abs(found - exact).max() / exact.std()


@pytest.mark.parametrize("c, o, k, s, size", [(128, 64, 3, 1, 14), (64, 128, 3, 2, 14), (64, 64, 4, 2, 16)])
def test_errors_are_those_of_the_direct_form(rng, monkeypatch, c, o, k, s, size):
    """In float32 against float64, root mean square and greatest, of the result's standard deviation."""
    out = get_conv_outsize(size, k, s, 1)
    x, W, gy = (rng.randn(*shape).astype("f") for shape in ((16, c, size, size), (o, c, k, k), (16, o, out, out)))
    geometry = ((s, s), (1, 1), (1, 1), 1)
    greatest = max(5e-6, 1.5 * lost_by_blas(rng)), 1e-5
    for call in (
        lambda *a: convolve(a[0], a[1], *geometry, (out, out)),
        lambda *a: deconvolve(a[2], a[1], *geometry, (size, size)),
        lambda *a: convolution_weight_gradient(a[0], a[2], (k, k), *geometry),
    ):  # fmt: skip
        exact = call(*(a.astype("d") for a in (x, W, gy)))
        for found, rms, most in zip(both(monkeypatch, partial(call, x, W, gy)), (5e-7, 1e-6), greatest):
            error = np.abs(found - exact) / exact.std()
            assert found.dtype == np.float32
            assert np.sqrt((error**2).mean()) < rms and error.max() < most
        assert np.array_equal(found, call(x, W, gy))  # to the last bit


def test_choice():
    def chosen(c, o, k=3, s=1, size=14, images=128, dtype="f", dilate=1, groups=1):
        out = get_conv_outsize(size, k, s, 1, d=dilate)
        pairs = ((n, n) for n in (k, s, 1, dilate))
        axes = winograd.axes_if_cheaper(images, *pairs, groups, (size, size), (out, out), (c, o), np.dtype(dtype))
        return axes is not None

    assert chosen(128, 64) and chosen(128, 256, s=2) and chosen(256, 256, size=4)
    assert not chosen(64, 1, s=2, size=28) and not chosen(32, 64, s=2) and not chosen(3, 64)  # few channels
    assert not chosen(512, 512, size=4, images=1)  # the kernel's own sums would cost more than they save
    assert not chosen(128, 64, dtype="d") and not chosen(128, 64, dilate=2) and not chosen(128, 64, groups=2)
    assert not chosen(128, 64, k=1) and not chosen(128, 64, k=5) and not chosen(128, 64, images=0)
    assert not chosen(512, 512, k=1) and not chosen(512, 512, k=5)  # no tiles
    assert chosen(128, 128, size=32) and not chosen(128, 128, size=256)  # the sums of an image must be few


def test_the_layers_of_a_network_use_it(rng, monkeypatch):
    """float32 of the right shape goes this way through all three, and to the same numbers."""
    calls = []
    for name in ("convolve", "deconvolve", "weight_gradient"):
        function = getattr(winograd, name)
        monkeypatch.setattr(winograd, name, lambda *a, name=name, function=function: calls.append(name) or function(*a))
    x, W = rng.randn(32, 128, 6, 6).astype("f"), rng.randn(128, 128, 3, 3).astype("f")
    geometry = ((1, 1), (1, 1), (1, 1), 1)
    convolve(x, W, *geometry, (6, 6)), deconvolve(x, W, *geometry, (6, 6))
    convolution_weight_gradient(x, x, (3, 3), *geometry)
    assert calls == ["convolve", "deconvolve", "weight_gradient"]
    convolve(x.astype("d"), W, *geometry, (6, 6))
    assert len(calls) == 3
    assert convolution.convolve(x.astype("e"), W, *geometry, (6, 6)).dtype == np.float16  # computed in float32
    assert len(calls) == 4


def test_no_window_meets_the_image():
    """Nothing is left to multiply: only the bias, and gradients of 0; with a second axis that has tiles, too."""
    for more, s, p in (((), (), ()), ((6,), (1,), (1,))):
        shapes = (2, 64, 1, *more), (64, 64, 2, *(3 for _ in more)), (2, 64, 2, *more)
        x, W, gy = (np.ones(shape, "f") for shape in shapes)
        geometry = ((3, *s), (2, *p), (1, *s), 1)
        assert (convolve(x, W, *geometry, (2, *more), b=np.ones(64, "f")) == 1).all()
        assert not deconvolve(gy, W, *geometry, (1, *more)).any()
        assert not convolution_weight_gradient(x, gy, W.shape[2:], *geometry).any()
