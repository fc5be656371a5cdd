"""Convolution, its transpose and the gradient of its weight on a GPU, where images lie channel by channel.

Memory is (C, N, H, W), though shapes remain (N, C, H, W): then the columns of the whole batch are one matrix, each of
the three is one matrix product beside ``columns`` or ``add_columns``, the result needs no transposing, and the numbers
of a channel, which batch normalisation sums, are one run. A long batch goes in pieces whose columns stay in the L2
cache; the pieces' order is fixed, so the result is the same to the last bit every time. Arguments and results are those
of :mod:`minigan.kernels.convolution`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigan.kernels.gemm import product
from minigan.kernels.im2col import Behind, Images, Windows, add_columns, columns, image_chunks
from minigan.kernels.workspace import array_module


def convolve(x: Any, W: Any, windows: Windows, groups: int, b: Any = None) -> Any:
    """y = x * W + b, (N, O, oh, ow)."""
    xp = array_module(x)
    matrix = W.reshape(groups, W.shape[0] // groups, math.prod(W.shape[1:]))
    y, pixels = xp.empty((W.shape[0], x.shape[0], *windows.out_size), x.dtype), math.prod(windows.out_size)
    rows = y.reshape(groups, matrix.shape[1], x.shape[0] * pixels)
    for images in _pieces(x, windows):
        col = _columns(x, images).reshape(groups, matrix.shape[2], -1)
        product(matrix, col, out=rows[..., images.first * pixels : (images.first + images.count) * pixels])
    if b is not None:
        y += b.reshape(-1, *(1 for _ in y.shape[1:]))
    return y.swapaxes(0, 1)


def deconvolve(x: Any, W: Any, windows: Windows, groups: int, b: Any = None, behind: Behind | None = None) -> Any:
    """The transpose: x (N, C, h, w), one number for each window, to y (N, O, H, W), an activation `behind` the bias."""
    xp = array_module(x)
    matrix = W.reshape(groups, W.shape[0] // groups, -1).swapaxes(1, 2)
    by_channel = x.swapaxes(0, 1)
    channels = W.shape[1] * groups
    y = xp.empty((channels, x.shape[0], *windows.size), x.dtype)
    for images in image_chunks(windows, x.shape[0], channels * math.prod(windows.ksize) * x.itemsize):
        rows = _part(by_channel, images).reshape(groups, matrix.shape[2], -1)
        col = product(matrix, rows).reshape(channels, math.prod(windows.ksize), images.count, *windows.out_size)
        add_columns(col, y, images, b, behind)
    return y.swapaxes(0, 1)


def weight_gradient(x: Any, gy: Any, windows: Windows, groups: int) -> Any:
    """gW (O, C / groups, kh, kw)."""
    xp = array_module(x)
    out_channels, channels = gy.shape[1], x.shape[1] // groups
    shape = (groups, out_channels // groups, channels * math.prod(windows.ksize))
    pieces = _pieces(x, windows)
    if not pieces:
        return xp.zeros((out_channels, channels, *windows.ksize), x.dtype)
    gW = xp.empty(shape, x.dtype if len(pieces) == 1 else np.promote_types(x.dtype, np.float32))
    gy = gy.swapaxes(0, 1)
    for images in pieces:
        rows, col = _part(gy, images).reshape(*shape[:2], -1), _columns(x, images).reshape(groups, shape[2], -1)
        product(rows, col.swapaxes(1, 2), out=gW, add=images.first > 0)
    return gW.reshape(out_channels, channels, *windows.ksize).astype(x.dtype, copy=False)


def _pieces(x: Any, windows: Windows) -> list[Images]:
    return image_chunks(windows, x.shape[0], x.shape[1] * math.prod(windows.ksize) * x.itemsize)


def _part(y: Any, images: Images) -> Any:
    return y[:, images.first : images.first + images.count]


def _columns(x: Any, images: Images) -> Any:
    """The columns; of windows that are single pixels, the images themselves."""
    w = images.windows
    if w.size == w.out_size and {*w.ksize, *w.stride} == {1} and not any(w.pad):
        return _part(x.swapaxes(0, 1), images)
    return columns(x, images)
