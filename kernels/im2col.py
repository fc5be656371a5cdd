"""How a convolution becomes a matrix product: the windows of an image laid out as the rows of a matrix, and back.

Images are channels-last here, (N, H, W, C): a row of a window, kw * C numbers, is then one contiguous run, and copying
such runs goes at the speed of memory. All work is cut into chunks whose matrix stays in the processor's cache, and the
matrix lives in a borrowed buffer. A GPU has room for the whole batch and takes it at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigan.kernels.workspace import array_module, borrow

Pair = tuple[int, int]

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


def crop(x: Any, top: int, height: int, left: int, width: int) -> Any:
    """x[:, top : top + height, left : left + width] with zeros where it lies outside of x (N, H, W, C).

    A view if nothing lies outside and the channels are contiguous, otherwise a copy in a borrowed buffer.
    """
    n, rows, columns, channels = x.shape
    y0, y1 = max(top, 0), min(top + height, rows)
    x0, x1 = max(left, 0), min(left + width, columns)
    inside = y1 - y0 == height and x1 - x0 == width
    if inside and (channels == 1 or x.strides[3] == x.itemsize):
        return x[:, y0:y1, x0:x1]
    part = borrow(array_module(x), "crop", (n, height, width, channels), x.dtype)
    if y1 <= y0 or x1 <= x0:
        part[...] = 0
        return part
    part[:, : y0 - top] = 0
    part[:, y1 - top :] = 0
    part[:, :, : x0 - left] = 0
    part[:, :, x1 - left :] = 0
    part[:, y0 - top : y1 - top, x0 - left : x1 - left] = x[:, y0:y1, x0:x1]
    return part


def im2col(x: Any, ksize: Pair, out_size: Pair, stride: Pair, dilate: Pair, groups: int) -> Any:
    """The windows of x (N, H, W, C), which holds them all, as a matrix (groups, N * oh * ow, kh * kw * C / groups).

    Row (n, i, j), column (u, v, c) of group g is x[n, i * sy + u * dy, j * sx + v * dx, g * C / groups + c].
    The result is only read: it may be a view of x (1x1 kernels, kernels as large as the image) or a borrowed buffer.
    """
    xp = array_module(x)
    (kh, kw), (oh, ow) = ksize, out_size
    n, c = x.shape[0], x.shape[3] // groups
    sn, sy, sx, sc = x.strides
    windows = xp.lib.stride_tricks.as_strided(
        x,
        (groups, n, oh, ow, kh, kw, c),
        (sc * c, sn, sy * stride[0], sx * stride[1], sy * dilate[0], sx * dilate[1], sc),
    )
    rows, columns = n * oh * ow, kh * kw * c
    if windows.flags.c_contiguous:
        return windows.reshape(groups, rows, columns)
    if kw * c >= SHORT_RUN:
        col = borrow(xp, "im2col", windows.shape, x.dtype)
        col[...] = windows
        return col.reshape(groups, rows, columns)
    col = borrow(xp, "im2col", (groups, kh, kw, c, n, oh, ow), x.dtype)
    col[...] = windows.transpose(0, 4, 5, 6, 1, 2, 3)
    return col.reshape(groups, columns, rows).transpose(0, 2, 1)


def add_col2im(y: Any, col: Any, row: int, stride: Pair, pad: Pair, dilate: Pair) -> None:
    """Transpose of `im2col`: y[n, i sy + u dy - py, j sx + v dx - px, g, c] += col[g, n, i - row, j, u, v, c].

    y: (N, H, W, groups, C / groups), changed in place; col: (groups, N, h, w, kh, kw, C / groups). What falls outside
    of y is left out. The order of the additions is fixed, so the result is the same to the last bit every time.
    """
    _, _, h, w, kh, kw, _ = col.shape
    target = y.transpose(3, 0, 1, 2, 4)
    for u in range(kh):
        here_y, there_y = _overlap(row * stride[0] + u * dilate[0] - pad[0], stride[0], h, y.shape[1])
        for v in range(kw):
            here_x, there_x = _overlap(v * dilate[1] - pad[1], stride[1], w, y.shape[2])
            target[:, :, there_y, there_x] += col[:, :, here_y, here_x, u, v]


def _overlap(offset: int, stride: int, count: int, size: int) -> tuple[slice, slice]:
    """Those i in range(count) with 0 <= offset + i * stride < size, and the places where they fall, as slices."""
    first = max(0, -(offset // stride))
    last = max(first, min(count, (size - 1 - offset) // stride + 1))
    start = offset + first * stride
    return slice(first, last), slice(start, start + (last - first) * stride, stride)
