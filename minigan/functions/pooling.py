"""Pooling: one number for each window of an image, and the way back from a number to a window.

Max and average pooling shrink an image, unpooling and upsampling grow it; images may have any number of axes, and two
is a case like others. Average pooling and unpooling are transposes of each other, hence each one's derivative; the
gradient of max pooling, which is upsampling, puts numbers where the maxima were, and its own derivative picks them
there again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from minigan.backend import get_array_module
from minigan.core import FunctionNode, Variable, as_variable, reshape
from minigan.functions.array import concat
from minigan.functions.connection import NamesOfAxes, fixed_axes, lengths, with_axes
from minigan.kernels import pooling as kernels
from minigan.kernels.im2col import Windows, get_conv_outsize, get_deconv_outsize
from minigan.utils.conv_nd import WrongSize
from minigan.utils.type_check import InvalidType

__all__ = [
    "average_pooling_1d", "average_pooling_2d", "average_pooling_3d", "average_pooling_nd", "max_pooling_1d",
    "max_pooling_2d", "max_pooling_3d", "max_pooling_nd", "spatial_pyramid_pooling_2d", "unpooling_1d",
    "unpooling_2d", "unpooling_3d", "unpooling_nd", "upsampling_2d",
]  # fmt: skip


class _PoolingND(FunctionNode):
    """What the poolings share: the geometry of the windows, from the arguments and the shape of x."""

    arguments = ("x",)
    windows: Windows
    outs: tuple[int, ...] | None = None

    def __init__(
        self, ndim: int, ksize: Any, stride: Any = None, pad: Any = 0, cover_all: bool = True,
        return_indices: bool = False,
    ) -> None:  # fmt: skip
        self.ndim, self.cover_all, self.return_indices = ndim, cover_all, return_indices
        self.ksize = lengths(self.name, "ksize", ksize, ndim, 1)
        self.stride = self.ksize if stride is None else lengths(self.name, "stride", stride, ndim, 1)
        self.pad = lengths(self.name, "pad", pad, ndim, 0)

    def __str__(self) -> str:
        return f"ksize {self.ksize}, stride {self.stride}, pad {self.pad}, cover_all {self.cover_all}"

    def windows_of(self, size: tuple[int, ...]) -> Windows:
        """The windows that pooling takes from an image of that size."""
        geometry = zip(size, self.ksize, self.stride, self.pad)
        out_size = tuple(get_conv_outsize(n, k, s, p, self.cover_all) for n, k, s, p in geometry)
        return Windows(self.ksize, self.stride, self.pad, (1,) * self.ndim, size, out_size)

    def look_at(self, x: Any) -> None:
        """Set ``windows`` to those of x (N, C, size...); raise if there are none."""
        self.check_images(x)
        self.windows = self.windows_of(x.shape[2:])
        if min(self.windows.out_size, default=1) < 1:
            raise WrongSize(
                f"{self.name}: no window fits an image of {x.shape[2:]} ({self}); take a smaller ksize or a larger pad"
            )

    def check_images(self, x: Any) -> None:
        """Raise unless x is (N, C, size...)."""
        if x.ndim != self.ndim + 2:
            raise InvalidType(
                f"{self.name}: x has {x.ndim} axes (shape {x.shape}); wanted {self.ndim + 2}, (N, C, size...)"
            )

    def look_from(self, x: Any, outsize: tuple[int, ...] | None) -> None:
        """Set ``windows`` to those of an image that pools to x; raise if there is none of size ``outsize``."""
        self.check_images(x)
        size = outsize
        if size is None:
            geometry = zip(x.shape[2:], self.ksize, self.stride, self.pad)
            size = tuple(get_deconv_outsize(n, k, s, p, self.cover_all) for n, k, s, p in geometry)
        if min(size, default=0) < 0:
            raise WrongSize(
                f"{self.name}: the result would be {size} (x {x.shape}, {self}); take a smaller pad or cover_all=False"
            )
        self.outs = size
        self.windows = self.windows_of(size)
        if self.windows.out_size != x.shape[2:]:
            raise WrongSize(
                f"{self.name}: an image of outsize {size} has {self.windows.out_size} windows ({self}) but x is "
                f"{x.shape[2:]} (shape {x.shape}); leave outsize out, or take one that pools to the size of x"
            )


class _Linear(FunctionNode):
    """A kernel that is linear in its first argument; its derivative is the transposed kernel, and the other way."""

    arguments = ("x",)

    def __init__(self, kernel: Callable[..., Any], transposed: Callable[..., Any], *geometry: Any) -> None:
        self.kernel, self.transposed, self.geometry = kernel, transposed, geometry

    def forward(self, inputs: tuple) -> tuple:
        """Apply the kernel."""
        return (self.kernel(inputs[0], *self.geometry),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """Apply the transposed one."""
        return _Linear(self.transposed, self.kernel, *self.geometry).apply(grad_outputs)


class MaxPoolingND(_PoolingND):
    """The largest number of each window; ``indexes`` says where in the window it was."""

    name = "max_pooling_nd"
    indexes: Any = None

    def forward(self, inputs: tuple) -> tuple:
        """(N, C, size...) -> (N, C, out...)."""
        (x,) = inputs
        self.look_at(x)
        y, self.indexes = kernels.gather_max(x, self.windows)
        return (y,)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """Put each gradient where the maximum was."""
        return _Linear(kernels.put, kernels.pick, self.windows, self.indexes).apply(grad_outputs)


class AveragePoolingND(_PoolingND):
    """The mean of each window; padding counts as zeros, or not at all if ``pad_value`` is None."""

    name = "average_pooling_nd"

    def __init__(
        self, ndim: int, ksize: Any, stride: Any = None, pad: Any = 0, cover_all: bool = False, pad_value: Any = 0
    ) -> None:
        super().__init__(ndim, ksize, stride, pad, cover_all)
        if pad_value not in (0, None):
            raise ValueError(f"{self.name}: pad_value is {pad_value!r}; wanted 0, or None to leave padding out")
        if cover_all:
            raise ValueError(f"{self.name}: cover_all is not possible with average pooling; pad x instead")
        self.pad_value = pad_value

    def forward(self, inputs: tuple) -> tuple:
        """(N, C, size...) -> (N, C, out...)."""
        (x,) = inputs
        self.look_at(x)
        self.scale: Any = 1 / math.prod(self.ksize)
        if self.pad_value is not None:
            return (kernels.gather_sum(x, self.windows, self.scale),)
        xp = get_array_module(x)
        counts = kernels.gather_sum(xp.ones((1, 1, *x.shape[2:]), x.dtype), self.windows)
        self.scale = 1 / xp.maximum(counts, 1)
        return (kernels.gather_sum(x, self.windows) * self.scale,)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """Share each gradient among its window."""
        return _Linear(kernels.scatter_sum, kernels.gather_sum, self.windows).apply((grad_outputs[0] * self.scale,))


class UnpoolingND(_PoolingND):
    """Each number on all places of its window, summed where windows overlap."""

    name = "unpooling_nd"

    def __init__(
        self, ndim: int, ksize: Any, stride: Any = None, pad: Any = 0, outsize: Any = None, cover_all: bool = True
    ) -> None:
        super().__init__(ndim, ksize, stride, pad, cover_all)
        self.outs = None if outsize is None else lengths(self.name, "outsize", outsize, ndim, 0)

    def forward(self, inputs: tuple) -> tuple:
        """(N, C, out...) -> (N, C, size...)."""
        self.look_from(inputs[0], self.outs)
        return (kernels.scatter_sum(inputs[0], self.windows),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """Sum each window of the gradient."""
        return _Linear(kernels.gather_sum, kernels.scatter_sum, self.windows).apply(grad_outputs)


class MaxPooling2D(NamesOfAxes, MaxPoolingND):
    """`MaxPoolingND` of images."""

    name = "max_pooling_2d"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(2, *args, **kwargs)


class AveragePooling2D(NamesOfAxes, AveragePoolingND):
    """`AveragePoolingND` of images, with zeros around; ``cover_all`` and ``return_indices`` mean nothing."""

    name = "average_pooling_2d"

    def __init__(
        self, ksize: Any, stride: Any = None, pad: Any = 0, cover_all: bool = False, return_indices: bool = False
    ) -> None:
        super().__init__(2, ksize, stride, pad)


class Unpooling2D(NamesOfAxes, UnpoolingND):
    """`UnpoolingND` of images."""

    name = "unpooling_2d"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(2, *args, **kwargs)


class Upsampling2D(Unpooling2D):
    """Each number at one place of its window, zeros elsewhere: the gradient of max pooling."""

    name = "upsampling_2d"

    def __init__(self, indexes: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.indexes = indexes

    def forward(self, inputs: tuple) -> tuple:
        """(N, C, oh, ow) -> (N, C, H, W)."""
        (x,) = inputs
        self.look_from(x, self.outs)
        if self.indexes.shape != x.shape:
            raise InvalidType(f"upsampling_2d: x has shape {x.shape} but indexes has {self.indexes.shape}")
        return (kernels.put(x, self.windows, self.indexes),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """Pick the numbers there."""
        return _Linear(kernels.pick, kernels.put, self.windows, self.indexes).apply(grad_outputs)


def _max_pooling(node: MaxPoolingND, x: Any) -> Any:
    (y,) = node.apply((x,))
    return (y, node.indexes.astype("int64")) if node.return_indices else y


def max_pooling_2d(
    x: Any, ksize: Any, stride: Any = None, pad: Any = 0, cover_all: bool = True, return_indices: bool = False
) -> Any:
    """Take the largest number of each window: y[n, c, i, j] = max over (u, v) of x[n, c, i sy + u - ph, j sx + v - pw].

    Args:
        x: (N, C, H, W), floating.
        ksize, stride, pad: a number or a pair (height, width); ``stride`` None means ``ksize``. Padding is -inf.
        cover_all: round the number of windows up, so that every pixel is in one, instead of down.
        return_indices: return ``(y, indices)`` with the place u * kw + v of each maximum, the first of equal ones.

    Raises ``InvalidType`` if x has not four axes or no window fits it, ``ValueError`` for a ksize or stride below 1.
    """
    return _max_pooling(MaxPooling2D(ksize, stride, pad, cover_all, return_indices), with_axes("max_pooling_2d", x, 2))


def max_pooling_nd(
    x: Any, ksize: Any, stride: Any = None, pad: Any = 0, cover_all: bool = True, return_indices: bool = False
) -> Any:
    """`max_pooling_2d` over any number of axes: x (N, C, size...), tuples with one number per axis.

    Places count row by row, (u kw + v) kd + w and so on.
    """
    x = as_variable(x)
    if x.ndim < 3:
        raise WrongSize(f"max_pooling_nd: x has shape {x.shape}; wanted (N, C, size...)")
    return _max_pooling(MaxPoolingND(x.ndim - 2, ksize, stride, pad, cover_all, return_indices), x)


max_pooling_1d, max_pooling_3d = (fixed_axes(max_pooling_nd, n) for n in (1, 3))


def average_pooling_2d(x: Any, ksize: Any, stride: Any = None, pad: Any = 0) -> Variable:
    """Take the mean of each window; the padding counts as zeros and the number of windows is rounded down.

    Args:
        x: (N, C, H, W), floating.
        ksize, stride, pad: a number or a pair (height, width); ``stride`` None means ``ksize``.

    Raises as :func:`max_pooling_2d`.
    """
    return AveragePooling2D(ksize, stride, pad).apply((x,))[0]


def average_pooling_nd(x: Any, ksize: Any, stride: Any = None, pad: Any = 0, pad_value: Any = 0) -> Variable:
    """`average_pooling_2d` over any number of axes: x (N, C, size...), tuples with one number per axis.

    With ``pad_value`` None the padding does not count: each sum is divided by the number of places inside of x.
    """
    x = as_variable(x)
    return AveragePoolingND(x.ndim - 2, ksize, stride, pad, False, pad_value).apply((x,))[0]


average_pooling_1d, average_pooling_3d = (fixed_axes(average_pooling_nd, n) for n in (1, 3))


def unpooling_2d(
    x: Any, ksize: Any, stride: Any = None, pad: Any = 0, outsize: Any = None, cover_all: bool = True
) -> Variable:
    """Copy each number to its window, and add where windows overlap: the transpose of sum pooling.

    Args:
        x: (N, C, H, W), floating.
        ksize, stride, pad: a number or a pair (height, width); ``stride`` None means ``ksize``.
        outsize: (height, width) of the result. By default the smallest image that pools to the size of x:
            s (H - 1) + k - 2 p, less s - 1 if ``cover_all``; for a factor of 2 exactly say ``cover_all=False``.
        cover_all: whether the pooling to be undone rounded its size up.

    Raises ``InvalidType`` if x has not four axes or ``outsize`` does not pool to the size of x.
    """
    return Unpooling2D(ksize, stride, pad, outsize, cover_all).apply((x,))[0]


def unpooling_nd(
    x: Any, ksize: Any, stride: Any = None, pad: Any = 0, outsize: Any = None, cover_all: bool = True
) -> Variable:
    """`unpooling_2d` over any number of axes: x (N, C, size...), tuples with one number per axis."""
    x = as_variable(x)
    return UnpoolingND(x.ndim - 2, ksize, stride, pad, outsize, cover_all).apply((x,))[0]


unpooling_1d, unpooling_3d = (fixed_axes(unpooling_nd, n) for n in (1, 3))


def upsampling_2d(
    x: Any, indexes: Any, ksize: Any, stride: Any = None, pad: Any = 0, outsize: Any = None, cover_all: bool = True
) -> Variable:
    """Put each number at the place ``indexes`` of its window, zeros elsewhere: the way back from max pooling.

    Args:
        x: (N, C, H, W), floating.
        indexes: integers of the same shape, u kw + v, as ``max_pooling_2d`` returns them.
        ksize, stride, pad, outsize, cover_all: as for :func:`unpooling_2d`.

    Raises as :func:`unpooling_2d`.
    """
    return Upsampling2D(indexes, ksize, stride, pad, outsize, cover_all).apply((x,))[0]


def spatial_pyramid_pooling_2d(x: Any, pyramid_height: int, pooling: Any = None) -> Variable:
    """Max-pool x to 1 x 1, 2 x 2, 4 x 4, ... numbers per channel, whatever its size: (N, C, H, W) -> (N, S C, 1, 1).

    S = (4^pyramid_height - 1) / 3. ``pooling`` must be "max", else `ValueError` (He et al. 2014).
    """
    if pooling != "max":
        raise ValueError(f"spatial_pyramid_pooling_2d: pooling is {pooling!r}; wanted 'max'")
    x = with_axes("spatial_pyramid_pooling_2d", x, 2)
    levels = []
    for level in range(pyramid_height):
        bins = 2**level
        ksize = [-(-length // bins) for length in x.shape[2:]]
        pad = [(k * bins - length) // 2 for k, length in zip(ksize, x.shape[2:])]
        y = max_pooling_2d(x, ksize, None, pad, cover_all=True)
        levels.append(reshape(y, (x.shape[0], math.prod(y.shape[1:]), 1, 1)))
    return concat(levels, 1)
