"""Images as grids: other resolutions, warps, and pixels traded for channels. Images are (N, C, H, W).

All of it is linear in the image, and said with functions that have their derivatives already: a bilinear resize is a
matrix on the rows and one on the columns, a warp picks four neighbours and weighs them.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from minigan.backend import get_array_module
from minigan.core import Variable, as_variable, broadcast_to, get_item, matmul, mul, reshape, transpose
from minigan.functions.array import pad as pad_edges
from minigan.functions.array import stack
from minigan.functions.math import clip
from minigan.utils.conv import get_conv_outsize
from minigan.utils.type_check import InvalidType

__all__ = [
    "depth2space", "im2col", "resize_images", "space2depth", "spatial_transformer_grid",
    "spatial_transformer_sampler",
]  # fmt: skip


def _image(function: str, x: Any) -> Variable:
    x = as_variable(x)
    if x.ndim != 4 or x.dtype.kind != "f":
        raise InvalidType(f"{function}: x is {x.dtype} {x.shape}; wanted floating point (N, C, H, W).")
    return x


def depth2space(X: Any, r: int) -> Variable:
    """Channels to pixels: (N, C r^2, H, W) -> (N, C, H r, W r) (Shi et al. 2016, sub-pixel convolution).

    Channel (i r + j) C + c gives row i and column j of each r x r block of channel c.
    """
    X = _image("depth2space", X)
    n, c, h, w = X.shape
    if c % (r * r):
        raise ValueError(f"depth2space: X has {c} channels; wanted a multiple of {r} * {r}.")
    c //= r * r
    return reshape(transpose(reshape(X, (n, r, r, c, h, w)), (0, 3, 4, 1, 5, 2)), (n, c, h * r, w * r))


def space2depth(X: Any, r: int) -> Variable:
    """Pixels to channels: (N, C, H r, W r) -> (N, C r^2, H, W), the reverse of `depth2space`."""
    X = _image("space2depth", X)
    n, c, h, w = X.shape
    if h % r or w % r:
        raise ValueError(f"space2depth: X has shape {X.shape}; wanted a height and width divisible by {r}.")
    h, w = h // r, w // r
    return reshape(transpose(reshape(X, (n, c, h, r, w, r)), (0, 3, 5, 1, 2, 4)), (n, c * r * r, h, w))


def im2col(x: Any, ksize: Any, stride: Any = 1, pad: Any = 0, cover_all: bool = False, dilate: Any = 1) -> Variable:
    """The windows of x that a convolution multiplies: (N, C, H, W) -> (N, C kh kw, out_h, out_w).

    Channel (c kh + u) kw + v of pixel (i, j) is x[c, i sy + u dy - py, j sx + v dx - px], 0 outside.
    """
    x = _image("im2col", x)
    n, c, h, w = x.shape
    (kh, kw), (sy, sx), (py, px), (dy, dx) = (_pair(v) for v in (ksize, stride, pad, dilate))
    oh = get_conv_outsize(h, kh, sy, py, cover_all, dy)
    ow = get_conv_outsize(w, kw, sx, px, cover_all, dx)
    if oh <= 0 or ow <= 0:
        raise ValueError(f"im2col: the result would be {oh} by {ow}; x is {h} by {w}, the kernel {kh} by {kw}.")
    tall, wide = sy * (oh - 1) + 1, sx * (ow - 1) + 1
    below, beside = ((k - 1) * d + size for k, d, size in ((kh, dy, tall), (kw, dx, wide)))
    whole = pad_edges(x, ((0, 0), (0, 0), (py, max(below - h - py, 0)), (px, max(beside - w - px, 0))), "constant")
    windows = [
        whole[:, :, u * dy : u * dy + tall : sy, v * dx : v * dx + wide : sx] for u, v in product(range(kh), range(kw))
    ]
    return reshape(stack(windows, 2), (n, c * kh * kw, oh, ow))


def _pair(v: Any) -> tuple[int, int]:
    return v if isinstance(v, tuple) else (v, v)


def _interpolation(xp: Any, size: int, out_size: int, mode: str, align_corners: bool, dtype: Any) -> Any:
    """The matrix (out_size, size) that resizes one axis: in each row one 1, or two weights of neighbours."""
    steps = xp.arange(out_size)
    if mode == "nearest":
        position = steps * size // out_size
    elif align_corners:
        position = steps * ((size - 1) / max(out_size - 1, 1))
    else:
        position = xp.clip((steps + 0.5) * size / out_size - 0.5, 0, size - 1)
    return xp.maximum(0, 1 - abs(position[:, None] - xp.arange(size))).astype(dtype)


def resize_images(x: Any, output_shape: Any, *, mode: str = "bilinear", align_corners: bool = True) -> Variable:
    """Resize images (N, C, H, W) to `output_shape` = (out_H, out_W) by interpolation, without smoothing.

    mode: "bilinear", or "nearest", which takes pixel floor(i H / out_H) for row i. align_corners (bilinear): the
    centres of the corner pixels keep their place; otherwise the edges of the image do.
    """
    x = _image("resize_images", x)
    if mode not in ("bilinear", "nearest"):
        raise ValueError(f"resize_images: mode is {mode!r}; wanted 'bilinear' or 'nearest'.")
    rows, columns = (
        _interpolation(x.xp, size, out, mode, align_corners, x.dtype) for size, out in zip(x.shape[2:], output_shape)
    )
    return matmul(matmul(rows, x), columns.T)


def spatial_transformer_grid(theta: Any, output_shape: Any) -> Variable:
    """The points that `spatial_transformer_sampler` shall pick: affine images of a regular grid over [-1, 1]^2.

    theta: (N, 2, 3), one affine map per image; output_shape: (out_H, out_W). The result is (N, 2, out_H, out_W), x and
    then y (Jaderberg et al. 2015, equation 1).
    """
    theta = as_variable(theta)
    if theta.dtype.kind != "f" or theta.shape[1:] != (2, 3):
        raise InvalidType(f"spatial_transformer_grid: theta is {theta.dtype} {theta.shape}; wanted floating (N, 2, 3).")
    height, width = output_shape
    xp = theta.xp
    ys, xs = xp.meshgrid(xp.linspace(-1, 1, height), xp.linspace(-1, 1, width), indexing="ij")
    grid = xp.stack([xs, ys, xp.ones_like(xs)]).reshape(3, height * width).astype(theta.dtype)
    return reshape(matmul(theta, grid), (len(theta), 2, height, width))


def spatial_transformer_sampler(x: Any, grid: Any) -> Variable:
    """Read images at the points of a grid: x (N, C, H, W), grid (N, 2, out_H, out_W) -> (N, C, out_H, out_W).

    grid[:, 0] is the column and grid[:, 1] the row, -1 and 1 at the centres of the outermost pixels. Between pixels the
    four neighbours are interpolated; pixels outside are 0. Differentiable in both (Jaderberg et al. 2015, equation 5).
    """
    x, grid = _image("spatial_transformer_sampler", x), _image("spatial_transformer_sampler", grid)
    n, c, h, w = x.shape
    if grid.shape[:2] != (n, 2) or grid.dtype != x.dtype:
        raise InvalidType(
            f"spatial_transformer_sampler: x is {x.dtype} {x.shape} and grid {grid.dtype} {grid.shape}; "
            "wanted one dtype and (N, 2, out_H, out_W)."
        )
    xp = get_array_module(x.array)
    column, row = (clip((grid[:, i] + 1) * ((size - 1) / 2), -1.0, float(size)) for i, size in ((0, w), (1, h)))
    left, top = (xp.floor(v.array) for v in (column, row))
    weights = [(1 - rest, rest) for rest in (row - top, column - left)]
    pixels = reshape(transpose(x, (0, 2, 3, 1)), (n * h * w, c))
    image = xp.arange(n)[:, None, None] * (h * w)
    y: Any = 0
    for down, right in product((0, 1), (0, 1)):
        i, j = (corner.astype(np.int64) + step for corner, step in ((top, down), (left, right)))
        inside = (0 <= i) & (i < h) & (0 <= j) & (j < w)
        neighbour = get_item(pixels, xp.where(inside, image + i * w + j, 0))
        weight = weights[0][down] * weights[1][right] * inside.astype(x.dtype)
        y = y + mul(neighbour, broadcast_to(reshape(weight, (*i.shape, 1)), neighbour.shape))
    return transpose(y, (0, 3, 1, 2))
