"""Windows of an image, one offset at a time: the mechanism under every pooling.

Offset (u, v) of all windows at once is a strided slice of the image, so pooling by kh x kw is kh * kw elementwise
passes and no copy. What falls into the padding is cut off beforehand. ``gather_sum`` and ``scatter_sum`` are transposes
of each other, and so are ``pick`` and ``put``: average pooling and unpooling differentiate into each other, as does max
pooling with its gradient. Works on arrays (N, C, H, W) of any memory layout, where H, W stand for any number of axes,
and gives the same layout back.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigan.kernels.im2col import Lengths, Windows
from minigan.kernels.workspace import array_module


def gather_sum(x: Any, windows: Windows, scale: float = 1.0) -> Any:
    """The sum of each window times ``scale``: (N, C, H, W) -> (N, C, oh, ow); float16 is summed in float32."""
    y = _filled(x, windows.out_size, 0, np.promote_types(x.dtype, np.float32))
    for _, window, image in windows.offsets():
        y[window] += x[image]
    if scale != 1:
        y *= scale
    return y.astype(x.dtype, copy=False)


def scatter_sum(y: Any, windows: Windows) -> Any:
    """Add each number to all places of its window: (N, C, oh, ow) -> (N, C, H, W); float16 is summed in float32."""
    x = _filled(y, windows.size, 0, np.promote_types(y.dtype, np.float32))
    for _, window, image in windows.offsets():
        x[image] += y[window]
    return x.astype(y.dtype, copy=False)


def gather_max(x: Any, windows: Windows) -> tuple[Any, Any]:
    """The largest number of each window, -inf where it meets no image, and its place u * kw + v: the first if tied.

    A NaN in the window is the largest; where there is one, the place is not defined.
    """
    xp = array_module(x)
    y = _filled(x, windows.out_size, -np.inf, x.dtype)
    for _, window, image in windows.offsets():
        xp.maximum(y[window], x[image], out=y[window])
    # Places are ranked backwards, so that the first of equal ones is a maximum too: masks are slow, maxima are not.
    places = math.prod(windows.ksize)
    rank = _filled(x, windows.out_size, 0, np.min_scalar_type(places))
    for number, window, image in windows.offsets():
        hit = x[image] == y[window]
        xp.maximum(rank[window], hit * rank.dtype.type(places - number), out=rank[window])
    return y, (places - rank) % rank.dtype.type(places)


def pick(x: Any, windows: Windows, index: Any) -> Any:
    """The number at place ``index`` of each window; 0 in the padding."""
    y = _filled(x, windows.out_size, 0, x.dtype)
    for number, window, image in windows.offsets():
        y[window] += x[image] * (index[window] == number)
    return y


def put(y: Any, windows: Windows, index: Any) -> Any:
    """Add each number to the place ``index`` of its window."""
    x = _filled(y, windows.size, 0, y.dtype)
    for number, window, image in windows.offsets():
        x[image] += y[window] * (index[window] == number)
    return x


def _filled(like: Any, size: Lengths, value: float, dtype: Any) -> Any:
    """An array of the layout of ``like`` with another size of the image and dtype."""
    return array_module(like).full_like(like, value, dtype=dtype, shape=like.shape[:2] + size)
