"""Convolution and its two partners: the transposed convolution and the gradient of the weight.

The three are derivatives of each other, so these few functions serve every order. Shapes are Chainer's, (N, C, H, W),
where H, W stand for any number of axes, but the memory of a result is channels-last, on a GPU channel by channel:
(C, N, H, W). float16 is computed in float32, on a GPU only added up in it; mixed types are computed in the wider one.
Results are the same to the last bit every time: the order of all sums is fixed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from minigan.kernels import by_channel, winograd
from minigan.kernels.im2col import Behind, Lengths, Windows, add_col2im, chunks, crop, im2col
from minigan.kernels.parallel import small_products, spread
from minigan.kernels.workspace import array_module, borrow

# What one number costs that is copied (gathering) or added (scattering), in multiply-adds of the matrix product.
GATHER_COST = 8
SCATTER_COST = 32
# Into how many sums the gradient of a weight is split, for as many threads.
SUMS = 8


def _in_one_type(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let arrays of mixed types be computed in the wider one, at least float32; the result is rounded once, at the end.

    It has the dtype of the first array unless `dtype` is given. On a GPU, halves alone remain what they are.
    """

    @wraps(function)
    def compute(x: Any, other: Any, *args: Any, b: Any = None, dtype: Any = None, **kwargs: Any) -> Any:
        half = x.dtype == np.float16 and (isinstance(x, np.ndarray) or b is not None and b.dtype != np.float16)
        if x.dtype == other.dtype and not half and (dtype is None or dtype == x.dtype):
            return function(x, other, *args, **kwargs) if b is None else function(x, other, *args, b=b, **kwargs)
        wide = np.result_type(x.dtype, other.dtype, np.float32)
        if b is not None:
            kwargs["b"] = b.astype(wide, copy=False)
        y = function(x.astype(wide, copy=False), other.astype(wide, copy=False), *args, **kwargs)
        return y.astype(x.dtype if dtype is None else dtype, copy=False)

    return compute


@_in_one_type
def convolve(
    x: Any,
    W: Any,
    stride: Lengths,
    pad: Lengths,
    dilate: Lengths,
    groups: int,
    out_size: Lengths,
    *,
    b: Any = None,
) -> Any:
    """y[n, o, i, j] = b[o] + sum_{c,u,v} x[n, c, i sy + u dy - py, j sx + v dx - px] W[o, c, u, v].

    x: (N, C, H, W); W: (O, C / groups, kh, kw); b: (O,) or None. Returns (N, O, oh, ow), channels-last in memory.
    x counts as zero outside.
    """
    if array_module(x) is not np:
        return by_channel.convolve(x, W, Windows(W.shape[2:], stride, pad, dilate, x.shape[2:], out_size), groups, b)
    y = np.empty((x.shape[0], *out_size, W.shape[0]), x.dtype)
    channels = x.shape[1], W.shape[0]
    if axes := winograd.axes_if_cheaper(
        len(x), W.shape[2:], stride, pad, dilate, groups, x.shape[2:], out_size, channels, x.dtype
    ):
        winograd.convolve(_channels_last(x), W.transpose(*range(2, W.ndim), 1, 0), b, y, axes)
        return _channels_second(y)
    kernel = W.reshape(groups, W.shape[0] // groups, *W.shape[1:])
    kernel = kernel.transpose(0, *range(3, kernel.ndim), 2, 1)
    _correlate(_channels_last(x), b, [(kernel, y, tuple(-p for p in pad))], stride, dilate)
    return _channels_second(y)


@_in_one_type
def deconvolve(
    x: Any,
    W: Any,
    stride: Lengths,
    pad: Lengths,
    dilate: Lengths,
    groups: int,
    out_size: Lengths,
    *,
    b: Any = None,
    behind: Behind | None = None,
) -> Any:
    """The transpose of `convolve`: y[n, o, i sy + u dy - py, j sx + v dx - px] += x[n, c, i, j] W[c, o, u, v].

    x: (N, C, H, W); W: (C, O / groups, kh, kw); b: (O,) or None. Returns (N, O, oh, ow), channels-last in memory.
    On a GPU an activation may be `behind` b.
    """
    if array_module(x) is not np:
        windows = Windows(W.shape[2:], stride, pad, dilate, out_size, x.shape[2:])
        return by_channel.deconvolve(x, W, windows, groups, b, behind)
    y = np.empty((x.shape[0], *out_size, W.shape[1] * groups), x.dtype)
    channels = y.shape[-1], x.shape[1]
    if axes := winograd.axes_if_cheaper(
        len(x), W.shape[2:], stride, pad, dilate, groups, out_size, x.shape[2:], channels, x.dtype
    ):
        winograd.deconvolve(_channels_last(x), W.transpose(*range(2, W.ndim), 0, 1), b, y, axes)
        return _channels_second(y)
    kernel = W.reshape(groups, W.shape[0] // groups, *W.shape[1:])
    way = _gather if _gathering_is_cheaper(x.shape, y.shape, stride, dilate, groups) else _scatter
    way(_channels_last(x), kernel, b, y, stride, pad, dilate)
    return _channels_second(y)


@_in_one_type
def convolution_weight_gradient(
    x: Any,
    gy: Any,
    ksize: Lengths,
    stride: Lengths,
    pad: Lengths,
    dilate: Lengths,
    groups: int,
) -> Any:
    """gW[o, c, u, v] = sum_{n,i,j} gy[n, o, i, j] x[n, c, i sy + u dy - py, j sx + v dx - px].

    x: (N, C, H, W); gy: (N, O, oh, ow). Returns (O, C / groups, kh, kw), contiguous as usual.
    """
    if array_module(x) is not np:
        windows = Windows(ksize, stride, pad, dilate, x.shape[2:], gy.shape[2:])
        return by_channel.weight_gradient(x, gy, windows, groups)
    c, o = x.shape[1] // groups, gy.shape[1] // groups
    x, gy = _channels_last(x), _channels_last(gy)
    if axes := winograd.axes_if_cheaper(
        len(x), ksize, stride, pad, dilate, groups, x.shape[1:-1], gy.shape[1:-1], (c, o), x.dtype
    ):
        gW = winograd.weight_gradient(x, gy, axes, ksize)
        return np.ascontiguousarray(gW.transpose(gW.ndim - 1, gW.ndim - 2, *range(gW.ndim - 2)))
    n, height, *width, _ = gy.shape
    start = tuple(-p for p in pad)
    images, strips = chunks(n, height, math.prod((*width, *ksize, x.shape[-1])) * x.itemsize)

    def add_up(part: list[slice]) -> Any:
        total = np.zeros((groups, math.prod(ksize) * c, o), x.dtype)
        for some in part:
            for strip in strips:
                col = _columns(x[some], strip, width, ksize, start, stride, dilate, groups)
                rows = gy[some, strip].reshape(-1, groups, o).transpose(1, 0, 2)
                product = borrow(np, "weight", total.shape, x.dtype)
                total += small_products(col.transpose(0, 2, 1), rows, product)
        return total

    share = -(-len(images) // SUMS)
    totals = spread(add_up, [images[i : i + share] for i in range(0, len(images), share)])
    total = totals[0]
    for other in totals[1:]:
        total += other
    gW = total.reshape(groups, *ksize, c, o)
    gW = gW.transpose(0, gW.ndim - 1, gW.ndim - 2, *range(1, gW.ndim - 2))
    return np.ascontiguousarray(gW).reshape(groups * o, c, *ksize)


def _channels_last(x: Any) -> Any:
    return x.transpose(0, *range(2, x.ndim), 1)


def _channels_second(y: Any) -> Any:
    return y.transpose(0, y.ndim - 1, *range(1, y.ndim - 1))


def _columns(
    x: Any, rows: slice, width: Sequence[int], ksize: Lengths, start: Lengths, stride: Lengths, dilate: Lengths,
    groups: int,
) -> Any:  # fmt: skip
    """The im2col matrix of these output rows; the first window of all starts at `start` in x."""
    size = (rows.stop - rows.start, *width)
    reach = tuple([(m - 1) * s + d * (k - 1) + 1 for m, k, s, d in zip(size, ksize, stride, dilate)])
    part = crop(x, (start[0] + rows.start * stride[0], *start[1:]), reach)
    return im2col(part, ksize, size, stride, dilate, groups)


def _correlate(x: Any, b: Any, parts: Sequence[tuple[Any, Any, Lengths]], stride: Lengths, dilate: Lengths) -> None:
    """Fill the y (N, oh, ow, O) of each (kernel, y, start) with the correlation of x (N, H, W, C) and that kernel.

    kernel: (groups, kh, kw, C / groups, o). A thread does all parts for its images, so that threads meet once.
    """
    images: list[slice] = []
    fills = []
    for kernel, y, start in parts:
        n, height, *width, _ = y.shape
        row_bytes = math.prod((*width, *kernel.shape[1:-2], x.shape[-1])) * x.itemsize
        some, strips = chunks(n, height, row_bytes)
        images = max(images, some, key=len)
        fills.append(_correlation(x, kernel, b, y, start, stride, dilate, strips))
    spread(lambda some: [fill(some) for fill in fills], images)


def _correlation(
    x: Any, kernel: Any, b: Any, y: Any, start: Lengths, stride: Lengths, dilate: Lengths, strips: list[slice]
) -> Callable[[slice], None]:
    """What fills y for some of the images, strip by strip."""
    groups, *ksize, c, o = kernel.shape
    matrix = np.ascontiguousarray(kernel).reshape(groups, math.prod(ksize) * c, o)

    def fill(some: slice) -> None:
        for strip in strips:
            col = _columns(x[some], strip, y.shape[2:-1], ksize, start, stride, dilate, groups)
            target = y[some, strip]
            product = target if target.flags.c_contiguous else borrow(np, "product", target.shape, y.dtype)
            small_products(col, matrix, product.reshape(col.shape[1], groups, o).transpose(1, 0, 2))
            if b is not None:
                product += b
            if product is not target:
                target[...] = product

    return fill


def _gathering_is_cheaper(x_shape: Any, y_shape: Any, stride: Lengths, dilate: Lengths, groups: int) -> bool:
    """Gathering multiplies borders with zeros and copies C numbers per tap; scattering adds O numbers per tap."""
    if any(s > 1 and d > 1 for s, d in zip(stride, dilate)):
        return False  # the taps of a phase are then not evenly spaced in x
    _, channels, *size = x_shape
    _, *out_size, out_channels = y_shape
    c, o = channels // groups, out_channels // groups
    gather = math.prod(out_size) * c * (o + GATHER_COST)
    scatter = math.prod((*size, *stride)) * o * (c + SCATTER_COST)
    return gather <= scatter


def _gather(x: Any, kernel: Any, b: Any, y: Any, stride: Lengths, pad: Lengths, dilate: Lengths) -> None:
    """Transposed convolution as sy * sx ordinary ones of stride 1.

    Output row i takes input row (i + p - u d) / s for those u where that is whole. With d = 1 they are every s-th tap,
    from (i + p) % s on; the rows i with the same remainder, a phase, are an ordinary convolution with those taps turned
    around. kernel: (groups, C / groups, O / groups, kh, kw).
    """
    turned = (slice(None),) * 3 + (slice(None, None, -1),) * len(stride)
    phases = []
    for offset in itertools.product(*map(range, stride)):
        first = [(u - p) % s for u, p, s in zip(offset, pad, stride)]  # the first row and column of this phase
        phase = y[(slice(None), *(slice(i, None, s) for i, s in zip(first, stride)))]
        taps = kernel[(..., *(slice(u, None, s) for u, s in zip(offset, stride)))][turned]
        taps = taps.transpose(0, *range(3, taps.ndim), 1, 2)
        if not phase.size:
            continue
        if not taps.size:
            phase[...] = 0 if b is None else b
            continue
        start = tuple((i + p) // s - (k - 1) * d for i, p, s, k, d in zip(first, pad, stride, taps.shape[1:], dilate))
        phases.append((taps, phase, start))
    if phases:
        _correlate(x, b, phases, (1,) * len(stride), dilate)


def _scatter(x: Any, kernel: Any, b: Any, y: Any, stride: Lengths, pad: Lengths, dilate: Lengths) -> None:
    """Transposed convolution as a matrix product whose rows are then added up where they overlap.

    kernel: (groups, C / groups, O / groups, kh, kw).
    """
    groups, c, o, *ksize = kernel.shape
    n, height, *width, _ = x.shape
    places = math.prod(ksize)
    matrix = np.ascontiguousarray(kernel.transpose(0, 1, *range(3, kernel.ndim), 2)).reshape(groups, c, places * o)
    y[...] = 0 if b is None else b
    by_group = y.reshape(*y.shape[:-1], groups, o)
    images, strips = chunks(n, height, math.prod(width) * matrix.shape[2] * groups * x.itemsize)

    def fill(some: slice) -> None:
        for strip in strips:
            rows = x[some, strip].reshape(-1, groups, c).transpose(1, 0, 2)
            size = (some.stop - some.start, strip.stop - strip.start, *width)
            col = borrow(np, "im2col", (groups, *size, places, o), x.dtype)
            small_products(rows, matrix, col.reshape(groups, rows.shape[1], places * o))
            add_col2im(by_group[some], col, strip.start, tuple(ksize), stride, pad, dilate)

    spread(fill, images)
