"""Chapter connection, second part: relatives of the convolution, said with it.

Depthwise, dilated and shifting ones are convolutions with special weights or arguments. A local convolution has weights
of its own at every place, a deformable one reads the image where another network says: both lay out the windows first
and multiply then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigan.backend import get_array_module
from minigan.core import Variable, as_variable, cast, matmul, reshape, transpose
from minigan.functions.array import concat, expand_dims
from minigan.functions.array import pad as pad_array
from minigan.functions.connection import convolution_2d, lengths, with_axes
from minigan.functions.spatial import im2col, spatial_transformer_sampler
from minigan.utils.conv import get_conv_outsize
from minigan.utils.type_check import InvalidType

__all__ = [
    "deformable_convolution_2d_sampler", "depthwise_convolution_2d", "dilated_convolution_2d", "local_convolution_2d",
    "shift",
]  # fmt: skip


def dilated_convolution_2d(
    x: Any, W: Any, b: Any = None, stride: Any = 1, pad: Any = 0, dilate: Any = 1, cover_all: bool = False
) -> Variable:
    """`convolution_2d` with its arguments in another order (Yu & Koltun 2016)."""
    return convolution_2d(x, W, b, stride, pad, cover_all, dilate=dilate)


def depthwise_convolution_2d(x: Any, W: Any, b: Any = None, stride: Any = 1, pad: Any = 0) -> Variable:
    """Return y[n, c M + m] = x[n, c] * W[m, c] + b[c M + m]: every channel is convolved alone, with M kernels.

    x: (N, C, H, W); W: (M, C, kh, kw); b: (C M,) or None. Errors as `convolution_2d` (Chollet 2017).
    """
    W = as_variable(W)
    if W.ndim != 4:
        raise InvalidType(f"depthwise_convolution_2d: W has shape {W.shape}; wanted (M, C, kh, kw)")
    m, c, kh, kw = W.shape
    kernels = reshape(transpose(W, (1, 0, 2, 3)), (m * c, 1, kh, kw))
    return convolution_2d(x, kernels, b, stride, pad, groups=c)


def shift(x: Any, ksize: Any = 3, dilate: Any = 1) -> Variable:
    """Move each channel by one of kh kw offsets; what comes in is 0 (Wu et al. 2018).

    x: (N, C, H, W), C >= kh kw. The channels are cut into kh kw equal groups, one for each offset (u, v) times
    `dilate`, u from -(kh // 2) to kh // 2, row by row; the group of offset (0, 0) is the last, with what is left over.
    Raises `ValueError` for an even ksize, `InvalidType` for too few channels.
    """
    x = as_variable(x)
    kh, kw = lengths("shift", "ksize", ksize, 2, 1)
    dy, dx = lengths("shift", "dilate", dilate, 2, 1)
    if kh % 2 == 0 or kw % 2 == 0:
        raise ValueError(f"shift: ksize is {ksize}; wanted odd numbers, so that there is a centre")
    if x.ndim != 4 or x.shape[1] < kh * kw:
        raise InvalidType(f"shift: x has shape {x.shape}; wanted (N, C, H, W) with {kh * kw} channels or more")
    channels, last, centre = x.shape[1], kh * kw - 1, kh * kw // 2
    offset = np.minimum(np.arange(channels) // (channels // (kh * kw)), last)
    offset = np.where(offset == centre, last, np.where(offset == last, centre, offset))
    # Moving down by u is a convolution with a single 1, u rows above the centre.
    W = get_array_module(x.array).asarray(np.eye(kh * kw, dtype=x.dtype)[last - offset].reshape(-1, 1, kh, kw))
    return convolution_2d(x, W, None, 1, (dy * (kh // 2), dx * (kw // 2)), dilate=(dy, dx), groups=channels)


def local_convolution_2d(x: Any, W: Any, b: Any = None, stride: Any = 1) -> Variable:
    """Return y[n, o, i, j] = b[o, i, j] + sum_{c,u,v} W[o, i, j, c, u, v] x[n, c, i sy + u, j sx + v].

    A convolution whose weights differ from place to place. x: (N, C, H, W); W: (O, oh, ow, C, kh, kw); b: (O, oh, ow)
    of the dtype of x, or None; floating. Returns (N, O, oh, ow) in the dtype of x. Raises `InvalidType` for shapes and
    dtypes that do not fit.
    """
    x, W = as_variable(x), as_variable(W)
    b = None if b is None else as_variable(b)
    sy, sx = lengths("local_convolution_2d", "stride", stride, 2, 1)
    fits = x.ndim == 4 and W.ndim == 6 and x.shape[1] == W.shape[3] and x.dtype.kind == W.dtype.kind == "f"
    if not fits or (b is not None and (b.shape != W.shape[:3] or b.dtype != x.dtype)):
        raise InvalidType(
            f"local_convolution_2d: x is {x.dtype} {x.shape}, W is {W.dtype} {W.shape}, b is "
            f"{b if b is None else (b.dtype, b.shape)}; wanted (N, C, H, W), (O, oh, ow, C, kh, kw), (O, oh, ow)"
        )
    o, oh, ow, c, kh, kw = W.shape
    most = get_conv_outsize(x.shape[2], kh, sy, 0), get_conv_outsize(x.shape[3], kw, sx, 0)
    if oh > most[0] or ow > most[1]:
        raise InvalidType(f"local_convolution_2d: W is for {oh} by {ow} places, x of shape {x.shape} has {most}")
    wide = np.result_type(x.dtype, W.dtype, np.float32)
    columns = im2col(cast(x, wide), (kh, kw), (sy, sx))[:, :, :oh, :ow]
    weights = reshape(transpose(cast(W, wide), (1, 2, 3, 4, 5, 0)), (oh, ow, c * kh * kw, o))
    y = cast(transpose(matmul(transpose(columns, (2, 3, 0, 1)), weights), (2, 3, 0, 1)), x.dtype)
    return y if b is None else y + expand_dims(b, 0)


class LocalConvolution2DFunction:
    """`local_convolution_2d` in the call form of a FunctionNode; its graph is that of the functions it is made of."""

    def __init__(self, stride: Any = 1) -> None:
        self.stride = stride

    def apply(self, inputs: Sequence[Any]) -> tuple[Variable]:
        """Call it on (x, W) or (x, W, b)."""
        x, W, *b = inputs
        return (local_convolution_2d(x, W, b[0] if b else None, self.stride),)


def deformable_convolution_2d_sampler(
    x: Any, offset: Any, W: Any, b: Any = None, stride: Any = 1, pad: Any = 0
) -> Variable:
    """`convolution_2d` whose windows are bent: tap k of place (i, j) is read at its own offset (Dai et al. 2017).

    x: (N, C, H, W); offset: (N, 2 kh kw, oh, ow), of the dtype of x, in pixels: first the horizontal ones of all taps,
    then the vertical ones; W: (O, C, kh, kw); b: (O,) or None. Between pixels x is interpolated bilinearly, outside it
    is 0. Returns (N, O, oh, ow).
    """
    x, offset, W = with_axes("deformable_convolution_2d_sampler", x, 2), as_variable(offset), as_variable(W)
    (sy, sx), (py, px) = (lengths("deformable_convolution_2d_sampler", "stride", stride, 2, 1),
                          lengths("deformable_convolution_2d_sampler", "pad", pad, 2, 0))  # fmt: skip
    o, c, kh, kw = W.shape
    n, taps, oh, ow = offset.shape
    if taps != 2 * kh * kw:
        raise ValueError(f"deformable_convolution_2d_sampler: offset has {taps} channels; wanted {2 * kh * kw}")
    xp = get_array_module(x.array)
    edged = pad_array(x, ((0, 0), (0, 0), (1, 1), (1, 1)), "constant")  # so that no side has length 1
    rows = (xp.arange(kh)[:, None, None, None] + xp.arange(oh)[:, None] * sy + (1 - py)).astype(x.dtype)
    columns = (xp.arange(kw)[:, None, None] + xp.arange(ow) * sx + (1 - px)).astype(x.dtype)
    bent = reshape(offset, (n, 2, kh, kw, oh, ow))
    grid = [
        reshape((bent[:, i] + start) * (2 / (size - 1)) - 1, (n, 1, kh * kw * oh, ow))
        for i, start, size in ((0, columns, edged.shape[3]), (1, rows, edged.shape[2]))
    ]
    columns = reshape(spatial_transformer_sampler(edged, concat(grid, 1)), (n, c * kh * kw, oh, ow))
    return convolution_2d(columns, reshape(W, (o, c * kh * kw, 1, 1)), b)
