"""Convolution and its two partners: the transposed convolution and the gradient of the weight.

The three are derivatives of each other, so these few functions serve every order. Shapes are Chainer's, (N, C, H, W),
but the memory of a result is channels-last. float16 is computed in float32. Results are the same to the last bit every
time: the order of all sums is fixed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from minigan.kernels.im2col import Pair, add_col2im, chunks, crop, get_conv_outsize, get_deconv_outsize, im2col
from minigan.kernels.parallel import spread
from minigan.kernels.workspace import array_module, borrow

# What one number costs that is copied (gathering) or added (scattering), in multiply-adds of the matrix product.
GATHER_COST = 8
SCATTER_COST = 32
# Into how many sums the gradient of a weight is split, for as many threads.
SUMS = 8


def _half_in_single(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let float16 arrays be computed in float32; the result is rounded once, at the end."""

    @wraps(function)
    def compute(x: Any, other: Any, *args: Any, **kwargs: Any) -> Any:
        if x.dtype != np.float16:
            return function(x, other, *args, **kwargs)
        if kwargs.get("b") is not None:
            kwargs["b"] = kwargs["b"].astype(np.float32)
        return function(x.astype(np.float32), other.astype(np.float32), *args, **kwargs).astype(np.float16)

    return compute


@_half_in_single
def convolve(
    x: Any,
    W: Any,
    stride: Pair = (1, 1),
    pad: Pair = (0, 0),
    dilate: Pair = (1, 1),
    groups: int = 1,
    out_size: Pair | None = None,
    *,
    b: Any = None,
) -> Any:
    """y[n, o, i, j] = b[o] + sum_{c,u,v} x[n, c, i sy + u dy - py, j sx + v dx - px] W[o, c, u, v].

    x: (N, C, H, W); W: (O, C / groups, kh, kw); b: (O,) or None. Returns (N, O, oh, ow), channels-last in memory.
    `out_size` (oh, ow) is that of `get_conv_outsize` unless given; x counts as zero outside.
    """
    ksize = W.shape[2:]
    if out_size is None:
        out_size = _each(get_conv_outsize, x.shape[2:], ksize, stride, pad, dilate)
    y = array_module(x).empty((x.shape[0], *out_size, W.shape[0]), x.dtype)
    kernel = W.reshape(groups, -1, *W.shape[1:]).transpose(0, 3, 4, 2, 1)
    _correlate(x.transpose(0, 2, 3, 1), kernel, b, y, (-pad[0], -pad[1]), stride, dilate)
    return y.transpose(0, 3, 1, 2)


@_half_in_single
def deconvolve(
    x: Any,
    W: Any,
    stride: Pair = (1, 1),
    pad: Pair = (0, 0),
    dilate: Pair = (1, 1),
    groups: int = 1,
    out_size: Pair | None = None,
    *,
    b: Any = None,
) -> Any:
    """The transpose of `convolve`: y[n, o, i sy + u dy - py, j sx + v dx - px] += x[n, c, i, j] W[c, o, u, v].

    x: (N, C, H, W); W: (C, O / groups, kh, kw); b: (O,) or None. Returns (N, O, oh, ow), channels-last in memory.
    `out_size` (oh, ow) is that of `get_deconv_outsize` unless given.
    """
    ksize = W.shape[2:]
    if out_size is None:
        out_size = _each(get_deconv_outsize, x.shape[2:], ksize, stride, pad, dilate)
    y = array_module(x).empty((x.shape[0], *out_size, W.shape[1] * groups), x.dtype)
    kernel = W.reshape(groups, -1, *W.shape[1:])
    way = _gather if _gathering_is_cheaper(x.shape, y.shape, stride, dilate, groups) else _scatter
    way(x.transpose(0, 2, 3, 1), kernel, b, y, stride, pad, dilate)
    return y.transpose(0, 3, 1, 2)


@_half_in_single
def convolution_weight_gradient(
    x: Any,
    gy: Any,
    ksize: Pair,
    stride: Pair = (1, 1),
    pad: Pair = (0, 0),
    dilate: Pair = (1, 1),
    groups: int = 1,
) -> Any:
    """gW[o, c, u, v] = sum_{n,i,j} gy[n, o, i, j] x[n, c, i sy + u dy - py, j sx + v dx - px].

    x: (N, C, H, W); gy: (N, O, oh, ow). Returns (O, C / groups, kh, kw), contiguous as usual.
    """
    xp = array_module(x)
    (kh, kw), c, o = ksize, x.shape[1] // groups, gy.shape[1] // groups
    x, gy = x.transpose(0, 2, 3, 1), gy.transpose(0, 2, 3, 1)
    n, oh, ow, _ = gy.shape
    images, strips = chunks(xp, n, oh, ow * kh * kw * x.shape[3] * x.itemsize)

    def add_up(part: list[slice]) -> Any:
        total = xp.zeros((groups, kh * kw * c, o), x.dtype)
        for some in part:
            for strip in strips:
                col = _columns(x[some], strip, ow, ksize, (-pad[0], -pad[1]), stride, dilate, groups)
                rows = gy[some, strip].reshape(-1, groups, o).transpose(1, 0, 2)
                product = borrow(xp, "weight", total.shape, x.dtype)
                total += xp.matmul(col.transpose(0, 2, 1), rows, out=product)
        return total

    share = -(-len(images) // SUMS)
    totals = spread(add_up, [images[i : i + share] for i in range(0, len(images), share)])
    total = totals[0]
    for other in totals[1:]:
        total += other
    gW = total.reshape(groups, kh, kw, c, o).transpose(0, 4, 3, 1, 2)
    return xp.ascontiguousarray(gW).reshape(groups * o, c, kh, kw)


def _each(outsize: Callable[..., int], size: Pair, ksize: Pair, stride: Pair, pad: Pair, dilate: Pair) -> Pair:
    height, width = (outsize(size[i], ksize[i], stride[i], pad[i], d=dilate[i]) for i in (0, 1))
    return height, width


def _columns(
    x: Any, rows: slice, width: int, ksize: Pair, start: Pair, stride: Pair, dilate: Pair, groups: int
) -> Any:
    """The im2col matrix of these output rows; the first window of all starts at `start` in x."""
    size = (rows.stop - rows.start, width)
    tall, wide = ((size[i] - 1) * stride[i] + dilate[i] * (ksize[i] - 1) + 1 for i in (0, 1))
    part = crop(x, start[0] + rows.start * stride[0], tall, start[1], wide)
    return im2col(part, ksize, size, stride, dilate, groups)


def _correlate(x: Any, kernel: Any, b: Any, y: Any, start: Pair, stride: Pair, dilate: Pair) -> None:
    """Fill y (N, oh, ow, O) with the correlation of x (N, H, W, C) and kernel (groups, kh, kw, C / groups, o)."""
    xp = array_module(x)
    groups, kh, kw, _, o = kernel.shape
    n, oh, ow, _ = y.shape
    matrix = xp.ascontiguousarray(kernel).reshape(groups, -1, o)
    images, strips = chunks(xp, n, oh, ow * kh * kw * x.shape[3] * x.itemsize)

    def fill(some: slice) -> None:
        for strip in strips:
            col = _columns(x[some], strip, ow, (kh, kw), start, stride, dilate, groups)
            target = y[some, strip]
            product = target if target.flags.c_contiguous else borrow(xp, "product", target.shape, y.dtype)
            xp.matmul(col, matrix, out=product.reshape(-1, groups, o).transpose(1, 0, 2))
            if b is not None:
                product += b
            if product is not target:
                target[...] = product

    spread(fill, images)


def _gathering_is_cheaper(x_shape: Any, y_shape: Any, stride: Pair, dilate: Pair, groups: int) -> bool:
    """Gathering multiplies borders with zeros and copies C numbers per tap; scattering adds O numbers per tap."""
    if any(s > 1 and d > 1 for s, d in zip(stride, dilate, strict=True)):
        return False  # the taps of a phase are then not evenly spaced in x
    _, channels, h, w = x_shape
    _, oh, ow, out_channels = y_shape
    c, o = channels // groups, out_channels // groups
    gather = oh * ow * c * (o + GATHER_COST)
    scatter = h * w * stride[0] * stride[1] * o * (c + SCATTER_COST)
    return gather <= scatter


def _gather(x: Any, kernel: Any, b: Any, y: Any, stride: Pair, pad: Pair, dilate: Pair) -> None:
    """Transposed convolution as sy * sx ordinary ones of stride 1.

    Output row i takes input row (i + p - u d) / s for those u where that is whole. With d = 1 they are every s-th tap,
    from (i + p) % s on; the rows i with the same remainder, a phase, are an ordinary convolution with those taps turned
    around. kernel: (groups, C / groups, O / groups, kh, kw).
    """
    (sy, sx), (py, px) = stride, pad
    for u in range(sy):
        for v in range(sx):
            i, j = (u - py) % sy, (v - px) % sx  # the first row and column of this phase
            phase = y[:, i::sy, j::sx]
            taps = kernel[:, :, :, u::sy, v::sx][:, :, :, ::-1, ::-1].transpose(0, 3, 4, 1, 2)
            _, kh, kw, _, _ = taps.shape
            if not phase.size:
                continue
            if not taps.size:
                phase[...] = 0 if b is None else b
                continue
            start = ((i + py) // sy - (kh - 1) * dilate[0], (j + px) // sx - (kw - 1) * dilate[1])
            _correlate(x, taps, b, phase, start, (1, 1), dilate)


def _scatter(x: Any, kernel: Any, b: Any, y: Any, stride: Pair, pad: Pair, dilate: Pair) -> None:
    """Transposed convolution as a matrix product whose rows are then added up where they overlap.

    kernel: (groups, C / groups, O / groups, kh, kw).
    """
    xp = array_module(x)
    groups, c, o, kh, kw = kernel.shape
    n, h, w, _ = x.shape
    matrix = xp.ascontiguousarray(kernel.transpose(0, 1, 3, 4, 2)).reshape(groups, c, -1)
    y[...] = 0 if b is None else b
    by_group = y.reshape(*y.shape[:3], groups, o)
    images, strips = chunks(xp, n, h, w * kh * kw * groups * o * x.itemsize)

    def fill(some: slice) -> None:
        for strip in strips:
            rows = x[some, strip].reshape(-1, groups, c).transpose(1, 0, 2)
            size = (some.stop - some.start, strip.stop - strip.start, w)
            col = borrow(xp, "im2col", (groups, *size, kh, kw, o), x.dtype)
            xp.matmul(rows, matrix, out=col.reshape(groups, rows.shape[1], matrix.shape[2]))
            add_col2im(by_group[some], col, strip.start, stride, pad, dilate)

    spread(fill, images)
