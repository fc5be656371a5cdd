"""How a convolution becomes a matrix product: the windows of an image laid out as the rows of a matrix, and back.

An image has any number of axes; H, W below stand for all of them, and every argument is a tuple of one number for each.
Images are channels-last here, (N, H, W, C): a row of a window, kw * C numbers, is then one contiguous run, and copying
such runs goes at the speed of memory. All work is cut into chunks whose matrix stays in the processor's cache, and the
matrix lives in a borrowed buffer. A GPU has room for the whole batch and takes it at once.
"""

from __future__ import annotations

import itertools
import math
import operator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from minigan.kernels.workspace import array_module, borrow

Lengths = tuple[int, ...]  # one for each axis of the image
_ALL = slice(None)

# One column matrix. Measured on a core with 1 MB of L2: flat between 1 and 4 MB, slower below and above.
CHUNK_BYTES = 2 << 20
# Runs shorter than this (in numbers) are copied along the image instead, into the transposed matrix.
SHORT_RUN = 8


def get_conv_outsize(size: int, k: int, s: int, p: int, cover_all: bool = False, d: int = 1) -> int:
    """Output length of a convolution: floor((size + 2 p - d (k - 1) - 1) / s) + 1, with ceil if `cover_all`.

    size: input length; k: kernel; s: stride; p: padding at both ends; d: dilation.
    """
    reach = size + 2 * p - (d * (k - 1) + 1)
    return (reach + s - 1 if cover_all else reach) // s + 1


def get_deconv_outsize(size: int, k: int, s: int, p: int, cover_all: bool = False, d: int = 1) -> int:
    """Smallest output length of a transposed convolution, whose convolution gives `size` back.

    s (size - 1) + d (k - 1) + 1 - 2 p, less s - 1 if `cover_all`.
    """
    full = s * (size - 1) + d * (k - 1) + 1 - 2 * p
    return full - s + 1 if cover_all else full


def chunks(xp: Any, images: int, rows: int, row_bytes: int) -> tuple[list[slice], list[slice]]:
    """Cut `images` of `rows` output rows into pieces of about `CHUNK_BYTES`: slices of images, slices of rows.

    A piece is several whole images or, where one image alone is too large, some of its rows. There are a multiple of
    four slices of images, so that two or four threads have equal shares, unless all is too small to share.
    """
    total = images * rows * row_bytes
    if xp is not np or total < CHUNK_BYTES // 8:
        return [slice(0, images)], [slice(0, rows)]
    pieces = -(-total // CHUNK_BYTES) + 3 & ~3
    per_image = -(-pieces // images) if pieces > 2 * images else 1
    return _slices(images, -(-images // pieces)), _slices(rows, -(-rows // per_image))


def _slices(size: int, step: int) -> list[slice]:
    return [slice(i, min(i + step, size)) for i in range(0, size, step)]


def crop(x: Any, start: Lengths, size: Lengths) -> Any:
    """x[:, start : start + size] on every axis of the image, with zeros where it lies outside of x (N, H, W, C).

    A view if nothing lies outside and the channels are contiguous, otherwise a copy in a borrowed buffer.
    """
    n, *lengths, channels = x.shape
    source, target = [_ALL], [_ALL]
    inside, outside = True, False
    for a, m, length in zip(start, size, lengths):
        first, stop = max(a, 0), min(a + m, length)
        inside = inside and stop - first == m
        outside = outside or stop <= first
        source.append(slice(first, stop))
        target.append(slice(first - a, stop - a))
    if inside and (channels == 1 or x.strides[-1] == x.itemsize):
        return x[tuple(source)]
    part = borrow(array_module(x), "crop", (n, *size, channels), x.dtype)
    if outside:
        part[...] = 0
        return part
    for axis, inner in enumerate(target):
        if axis and inner.start:
            part[(_ALL,) * axis + (slice(inner.start),)] = 0
        if axis and inner.stop < size[axis - 1]:
            part[(_ALL,) * axis + (slice(inner.stop, None),)] = 0
    part[tuple(target)] = x[tuple(source)]
    return part


def im2col(x: Any, ksize: Lengths, out_size: Lengths, stride: Lengths, dilate: Lengths, groups: int) -> Any:
    """The windows of x (N, H, W, C), which holds them all, as a matrix (groups, N * oh * ow, kh * kw * C / groups).

    Row (n, i, j), column (u, v, c) of group g is x[n, i * sy + u * dy, j * sx + v * dx, g * C / groups + c].
    The result is only read: it may be a view of x (1x1 kernels, kernels as large as the image) or a borrowed buffer.
    """
    xp = array_module(x)
    n, c, d = x.shape[0], x.shape[-1] // groups, len(ksize)
    sn, *steps, sc = x.strides
    windows = xp.lib.stride_tricks.as_strided(
        x,
        (groups, n, *out_size, *ksize, c),
        (sc * c, sn, *map(operator.mul, steps, stride), *map(operator.mul, steps, dilate), sc),
    )
    rows, columns = n * math.prod(out_size), math.prod(ksize) * c
    if windows.flags.c_contiguous:
        return windows.reshape(groups, rows, columns)
    if ksize[-1] * c >= SHORT_RUN:
        col = borrow(xp, "im2col", windows.shape, x.dtype)
        col[...] = windows
        return col.reshape(groups, rows, columns)
    col = borrow(xp, "im2col", (groups, *ksize, c, n, *out_size), x.dtype)
    col[...] = windows.transpose(0, *range(2 + d, 3 + 2 * d), *range(1, 2 + d))
    return col.reshape(groups, columns, rows).transpose(0, 2, 1)


def add_col2im(y: Any, col: Any, row: int, ksize: Lengths, stride: Lengths, pad: Lengths, dilate: Lengths) -> None:
    """Transpose of `im2col`: y[n, i sy + u dy - py, j sx + v dx - px, g, c] += col[g, n, i - row, j, (u, v), c].

    y: (N, H, W, groups, C / groups), changed in place; col: (groups, N, h, w, kh * kw, C / groups). What falls outside
    of y is left out. The order of the additions is fixed, so the result is the same to the last bit every time.
    """
    pad = (pad[0] - row * stride[0], *pad[1:])
    target = y.transpose(y.ndim - 2, *range(y.ndim - 2), y.ndim - 1)
    for number, here, there in Windows(ksize, stride, pad, dilate, y.shape[1:-2], col.shape[2:-2]).offsets():
        target[there] += col[(*here, number)]


class Windows(NamedTuple):
    """Windows of shape `ksize` at every `stride` of an image of shape `size`; there are `out_size` of them."""

    ksize: Lengths
    stride: Lengths
    pad: Lengths
    dilate: Lengths
    size: Lengths
    out_size: Lengths

    @lru_cache(maxsize=256)  # noqa: B019 - the same few geometries come again and again
    def offsets(self) -> list[tuple[int, tuple, tuple]]:
        """(number, slices of the windows, slices of the image) for each offset that meets the image.

        Offset (u, v) of all windows at once is a strided slice of the image; its number is u kw + v. The slices are for
        arrays with two axes before those of the image.
        """
        axes = [
            [(u, *meet) for u in range(k) if (meet := _overlap(u * d - p, s, count, length))]
            for k, s, p, d, length, count in zip(*self)
        ]
        found: list[tuple[int, tuple, tuple]] = []
        for places in itertools.product(*axes):
            number = 0
            for (u, _, _), k in zip(places, self.ksize):
                number = number * k + u
            here, there = [place[1] for place in places], [place[2] for place in places]
            found.append((number, (_ALL, _ALL, *here), (_ALL, _ALL, *there)))
        return found


def _overlap(offset: int, stride: int, count: int, size: int) -> tuple[slice, slice] | None:
    """Those i in range(count) with 0 <= offset + i * stride < size, and the places where they fall, as slices."""
    first = max(0, -(offset // stride))
    last = min(count, (size - 1 - offset) // stride + 1)
    if first >= last:
        return None
    start = offset + first * stride
    return slice(first, last), slice(start, start + (last - first) * stride, stride)
