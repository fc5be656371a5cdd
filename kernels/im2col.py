"""How a convolution becomes a matrix product: the windows of an image laid out as the rows of a matrix, and back.

An image has any number of axes; H, W below stand for all of them, and every argument is a tuple of one number for each.
Images are channels-last here, (N, H, W, C): a row of a window, kw * C numbers, is then one contiguous run, and copying
such runs goes at the speed of memory. All work is cut into chunks whose matrix stays in the processor's cache, and the
matrix lives in a borrowed buffer.

On a GPU the images lie channel by channel, (C, N, H, W), and the windows are the columns of the matrix: then the whole
batch is one matrix product, and its result lies channel by channel again. ``columns`` and ``add_columns`` are written
twice, in array operations and as the kernels of im2col.cu; the two give the same bits. Halves are added up in float32.
"""

from __future__ import annotations

import itertools
import math
import operator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from minigan.kernels.launch import (
    MOST_BLOCKS,
    MOST_INDEX,
    THREADS,
    Kernel,
    available_for,
    contiguous,
    kernel,
    launch,
    stored,
    types,
)
from minigan.kernels.workspace import array_module, borrow

Lengths = tuple[int, ...]  # one for each axis of the image
Behind = tuple[str, float]  # an activation: its name, its slope below 0
_ALL = slice(None)

# One column matrix. Measured on a core with 1 MB of L2: flat between 1 and 4 MB, slower below and above.
CHUNK_BYTES = 2 << 20
# The same on a GPU, whose L2 holds 50 MB: the product reads the matrix before it has left the cache.
GPU_CHUNK_BYTES = 24 << 20
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


def chunks(images: int, rows: int, row_bytes: int) -> tuple[list[slice], list[slice]]:
    """Cut `images` of `rows` output rows into pieces of about `CHUNK_BYTES`: slices of images, slices of rows.

    A piece is several whole images or, where one image alone is too large, some of its rows. There are a multiple of
    four slices of images, so that two or four threads have equal shares, or two if all is one piece; one if that is too
    small to share.
    """
    total = images * rows * row_bytes
    if total < CHUNK_BYTES // 8:
        return [slice(0, images)], [slice(0, rows)]
    pieces = 2 if total < CHUNK_BYTES else -(-total // CHUNK_BYTES) + 3 & ~3
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


class Images(NamedTuple):
    """Images first ... first + count - 1 of a batch, and how windows lie over each."""

    first: int
    count: int
    windows: Windows


def image_chunks(windows: Windows, images: int, column_bytes: int) -> list[Images]:
    """Cut a batch into pieces whose columns stay in a GPU's L2; ``column_bytes`` is what one window's column takes."""
    step = max(1, min(images, GPU_CHUNK_BYTES // max(1, math.prod(windows.out_size) * column_bytes)))
    return [Images(i, min(step, images - i), windows) for i in range(0, images, step)]


def columns(x: Any, images: Images) -> Any:
    """col[c, (u, v), n, i, j] = x[first + n, c, i sy + u dy - py, j sx + v dx - px], zero outside of x (N, C, H, W).

    Returns (C, kh * kw, count, oh, ow), of the dtype of x, contiguous. The kernel reads x as it is where each image is
    contiguous and its channels follow evenly: N, C, H, W or C, N, H, W in memory.
    """
    windows = images.windows
    col_shape = (x.shape[1], math.prod(windows.ksize), images.count, *windows.out_size)
    if _has_kernel(x, images, col_shape[0]):
        x, by_channel = (x, False) if x.flags.c_contiguous else (contiguous(x.swapaxes(0, 1)), True)
        col = array_module(x).empty(col_shape, x.dtype)
        plane = math.prod(windows.size)
        image, channel = (plane, x.shape[1] * plane) if by_channel else (x.shape[1] * plane, plane)
        entry = _window_kernel("im2col", ("col",), x.dtype, windows)
        grid = -(-images.count * math.prod(windows.out_size) // THREADS), len(col)
        launch(entry, grid, (THREADS,), (stored(x), stored(col), images.first, *_sizes(images), image, channel))
        return col
    xp = array_module(x)
    part = x.swapaxes(0, 1)[:, images.first : images.first + images.count]
    col = xp.zeros(col_shape, x.dtype)
    for number, here, there in windows.offsets():
        col[:, number][here] = part[there]
    return col


def add_columns(col: Any, y: Any, images: Images, b: Any = None, behind: Behind | None = None) -> None:
    """The transpose of `columns`: y[c, first + n, i sy + u dy - py, j sx + v dx - px] = b[c] + the sum of col there.

    col: (C, kh * kw, count, oh, ow), contiguous; y: (C, N, H, W), of which those images are filled; b: (C,) or None.
    With b an activation may be `behind` it: its name and, for "leaky_relu", its slope below 0, which is 0 for "relu".
    The taps are added in ascending order, so the result is the same to the last bit every time.
    """
    windows = images.windows
    curved, slope = (False, 1.0) if behind is None else (behind[0] == "tanh", behind[1])
    if _has_kernel(col, images, len(col)):
        filled = ("y",) if images.count == y.shape[1] else ()
        entry = _window_kernel("col2im" if b is None else "col2im_bias", filled, col.dtype, windows)
        grid = -(-images.count * math.prod(windows.size) // THREADS), len(col)
        bias, last = ((), ()) if b is None else ((stored(contiguous(b)),), (curved, slope))
        args = stored(col), *bias, stored(y), images.first, y.shape[1], *_sizes(images), *last
        launch(entry, grid, (THREADS,), args)
        return
    part = y[:, images.first : images.first + images.count]
    sums = array_module(y).zeros(part.shape, np.promote_types(y.dtype, np.float32))
    for number, here, there in windows.offsets():
        sums[there] += col[:, number][here]
    if b is not None:
        sums += b.reshape(-1, *(1 for _ in part.shape[1:]))
    if behind is not None:
        xp = array_module(y)
        sums = xp.tanh(sums) if curved else xp.where(sums < 0, slope * sums, sums)
    part[...] = sums


def _has_kernel(x: Any, images: Images, channels: int) -> bool:
    """Whether im2col.cu does it: up to two axes, float16, 32 or 64, pixels and windows that an int can count."""
    windows, most = images.windows, MOST_INDEX - THREADS
    return (
        available_for(x, halves=True) and len(windows.ksize) <= 2 and channels <= MOST_BLOCKS[1]
        and images.count * max(math.prod(windows.size), math.prod(windows.out_size)) <= most
    )  # fmt: skip


def _sizes(images: Images) -> tuple[int, ...]:
    """n, h, w, oh, ow, ph, pw; a series is an image of one row."""
    windows = images.windows
    return images.count, *_pair(windows.size, 1), *_pair(windows.out_size, 1), *_pair(windows.pad, 0)


def _pair(lengths: Lengths, other: int) -> Lengths:
    return lengths if len(lengths) == 2 else (other, *lengths)


@lru_cache(maxsize=256)
def _window_kernel(entry: str, outputs: tuple[str, ...], dtype: Any, windows: Windows) -> Kernel:
    k, s, d = (_pair(lengths, 1) for lengths in (windows.ksize, windows.stride, windows.dilate))
    steps = [length // math.gcd(length, dilate) for length, dilate in zip(s, d)]
    return kernel(
        "im2col.cu", entry, outputs, wide=True, **types(dtype),
        KH=k[0], KW=k[1], SH=s[0], SW=s[1], DH=d[0], DW=d[1], STEPH=steps[0], STEPW=steps[1],
    )  # fmt: skip
