"""Windows of images of any number of axes as arrays, in Chainer's layout (N, C, kh, kw, ..., oh, ow, ...).

The library itself does not compute with them (see the kernels); scripts do. NumPy and CuPy take the same path.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigan.backend import get_array_module
from minigan.kernels.im2col import Windows, get_conv_outsize
from minigan.utils.type_check import InvalidType

__all__ = ["WrongSize", "as_tuple", "col2im_nd", "col2im_nd_cpu", "col2im_nd_gpu", "get_conv_outsize", "im2col_nd",
           "im2col_nd_cpu", "im2col_nd_gpu"]  # fmt: skip


class WrongSize(InvalidType, ValueError, AssertionError, RuntimeError, TypeError):
    """Sizes that do not fit, for which Chainer raises now one of these classes, now another."""


def as_tuple(x: Any, n: int) -> tuple:
    """n numbers from one number or n. Raises `AssertionError` if there are not n."""
    values = (x,) * n if type(x) is int or not np.iterable(x) else tuple(x)
    if len(values) != n:
        raise WrongSize(f"as_tuple: {x!r} has {len(values)} numbers; wanted {n}, one for each axis, or a single number")
    return values


def im2col_nd_cpu(
    img: Any, ksize: Any, stride: Any, pad: Any, pval: Any = 0, cover_all: bool = False, dilate: Any = 1
) -> Any:
    """Windows of img (N, C, H, W, ...), `pval` outside of it: (N, C, *ksize, *out).

    Element (n, c, u, v, i, j) is img[n, c, i sy + u dy - py, j sx + v dx - px]. Raises `AssertionError` where the
    tuples do not have one number per axis, or no window fits.
    """
    geometry = [as_tuple(v, img.ndim - 2) for v in (ksize, stride, pad, dilate)]
    out = tuple(get_conv_outsize(n, k, s, p, cover_all, d) for n, k, s, p, d in zip(img.shape[2:], *geometry))
    return take_windows(img, Windows(*geometry, img.shape[2:], out), pval)


def im2col_nd(img: Any, ksize: Any, stride: Any, pad: Any, cover_all: bool = False, dilate: Any = 1) -> Any:
    """`im2col_nd_cpu` with zeros outside."""
    return im2col_nd_cpu(img, ksize, stride, pad, 0, cover_all, dilate)


im2col_nd_gpu = im2col_nd


def take_windows(img: Any, windows: Windows, pval: Any = 0) -> Any:
    """The windows of img (N, C, *size) as an array (N, C, *ksize, *out_size)."""
    if min(windows.out_size, default=1) < 1:
        raise WrongSize(f"im2col: {windows} has no window; enlarge the image or the padding, or take a smaller kernel")
    n, c = img.shape[:2]
    shape = (n, c, math.prod(windows.ksize), *windows.out_size)
    col = get_array_module(img).full(shape, pval, img.dtype)
    for number, here, there in windows.offsets():
        col[:, :, number][here] = img[there]
    return col.reshape(n, c, *windows.ksize, *windows.out_size)


def col2im_nd(col: Any, stride: Any, pad: Any, dims: Any, dilate: Any = 1) -> Any:
    """The transpose of `im2col_nd`: (N, C, *ksize, *out) added up to images (N, C, *dims)."""
    n, c, *sizes = col.shape
    d = len(dims)
    ksize, out = tuple(sizes[:d]), tuple(sizes[d:])
    windows = Windows(ksize, *(as_tuple(v, d) for v in (stride, pad, dilate)), tuple(dims), as_tuple(out, d))
    img = get_array_module(col).zeros((n, c, *dims), col.dtype)
    by_number = col.reshape(n, c, math.prod(ksize), *out)
    for number, here, there in windows.offsets():
        img[there] += by_number[:, :, number][here]
    return img


col2im_nd_cpu = col2im_nd_gpu = col2im_nd
