"""Pooling: one number for each window of an image, and the way back from a number to a window.

``max_pooling_2d`` and ``average_pooling_2d`` shrink an image, ``unpooling_2d`` grows it. Average pooling and unpooling
are transposes of each other, hence each one's derivative; the gradient of max pooling puts numbers where the maxima
were, and its own derivative picks them there again.
"""

from __future__ import annotations

from typing import Any

from minigan.core import FunctionNode, Variable
from minigan.kernels import pooling as kernels
from minigan.kernels.im2col import get_conv_outsize, get_deconv_outsize
from minigan.kernels.pooling import Pair, Windows
from minigan.utils.type_check import InvalidType

__all__ = ["average_pooling_2d", "max_pooling_2d", "unpooling_2d"]


class _Pooling(FunctionNode):
    """What the poolings share: the geometry of the windows, from the arguments and the shape of x."""

    arguments = ("x",)

    def __init__(self, ksize: Any, stride: Any = None, pad: Any = 0, cover_all: bool = False) -> None:
        self.ksize, self.pad = _pair(ksize), _pair(pad)
        self.stride = self.ksize if stride is None else _pair(stride)
        self.cover_all = cover_all
        if min(self.ksize) < 1 or min(self.stride) < 1 or min(self.pad) < 0:
            raise ValueError(
                f"{self.name}: ksize is {self.ksize}, stride is {self.stride}, pad is {self.pad}; "
                "ksize and stride must be at least 1 and pad at least 0"
            )

    def windows_of(self, size: Pair) -> Windows:
        """The windows that pooling takes from an image (height, width)."""
        geometry = zip(size, self.ksize, self.stride, self.pad)
        out_size = _pair([get_conv_outsize(n, k, s, p, self.cover_all) for n, k, s, p in geometry])
        if min(out_size) < 1:
            raise InvalidType(
                f"{self.name}: no window of ksize {self.ksize} fits an image of {size} with pad {self.pad}; "
                "take a smaller ksize or a larger pad"
            )
        return Windows(self.ksize, self.stride, self.pad, size, out_size)

    def check_images(self, x: Any) -> None:
        """Raise unless x is (N, C, H, W)."""
        if x.ndim != 4:
            raise InvalidType(f"{self.name}: x has {x.ndim} axes (shape {x.shape}); wanted 4, (N, C, H, W)")


class MaxPooling2D(_Pooling):
    """The largest number of each window; ``indexes`` says where in the window it was."""

    name = "max_pooling_2d"
    indexes: Any = None

    def forward(self, inputs: tuple) -> tuple:
        """(N, C, H, W) -> (N, C, oh, ow)."""
        (x,) = inputs
        self.check_images(x)
        self.windows = self.windows_of(x.shape[2:])
        y, self.indexes = kernels.gather_max(x, self.windows)
        return (y,)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """Put each gradient where the maximum was."""
        return MaxPooling2DGrad(self.windows, self.indexes).apply(grad_outputs)


class MaxPooling2DGrad(FunctionNode):
    """The first derivative of max pooling: linear in gy, since the places of the maxima are constants."""

    arguments = ("gy",)

    def __init__(self, windows: Windows, indexes: Any) -> None:
        self.windows, self.indexes = windows, indexes

    def forward(self, inputs: tuple) -> tuple:
        """(N, C, oh, ow) -> (N, C, H, W)."""
        return (kernels.put(inputs[0], self.windows, self.indexes),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """Pick the numbers where the maxima were."""
        return MaxPooling2DWithIndexes(self.windows, self.indexes).apply(grad_outputs)


class MaxPooling2DWithIndexes(FunctionNode):
    """The numbers at given places of the windows; the derivative of :class:`MaxPooling2DGrad` and the other way."""

    arguments = ("x",)

    def __init__(self, windows: Windows, indexes: Any) -> None:
        self.windows, self.indexes = windows, indexes

    def forward(self, inputs: tuple) -> tuple:
        """(N, C, H, W) -> (N, C, oh, ow)."""
        return (kernels.pick(inputs[0], self.windows, self.indexes),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """Put them back."""
        return MaxPooling2DGrad(self.windows, self.indexes).apply(grad_outputs)


class AveragePooling2D(_Pooling):
    """The mean of each window; padding counts as zeros."""

    name = "average_pooling_2d"

    def forward(self, inputs: tuple) -> tuple:
        """(N, C, H, W) -> (N, C, oh, ow)."""
        (x,) = inputs
        self.check_images(x)
        self.windows = self.windows_of(x.shape[2:])
        return (kernels.gather_sum(x, self.windows, 1 / (self.ksize[0] * self.ksize[1])),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """Share each gradient among its window."""
        (gy,) = grad_outputs
        return (_Scatter(self.windows).apply((gy,))[0] * (1 / (self.ksize[0] * self.ksize[1])),)


class Unpooling2D(_Pooling):
    """Each number on all places of its window, summed where windows overlap."""

    name = "unpooling_2d"

    def __init__(
        self, ksize: Any, stride: Any = None, pad: Any = 0, outsize: Pair | None = None, cover_all: bool = True
    ) -> None:
        super().__init__(ksize, stride, pad, cover_all)
        self.outsize = outsize

    def forward(self, inputs: tuple) -> tuple:
        """(N, C, H, W) -> (N, C, oh, ow)."""
        (x,) = inputs
        self.check_images(x)
        size = self.outsize
        if size is None:
            geometry = zip(x.shape[2:], self.ksize, self.stride, self.pad)
            size = _pair([get_deconv_outsize(n, k, s, p, self.cover_all) for n, k, s, p in geometry])
        if min(size) < 1:
            raise InvalidType(
                f"{self.name}: the result would be {size} (x {x.shape}, ksize {self.ksize}, stride {self.stride}, "
                f"pad {self.pad}, cover_all {self.cover_all}); take a smaller pad or cover_all=False"
            )
        self.windows = self.windows_of(_pair(size))
        if self.windows.out_size != x.shape[2:]:
            raise InvalidType(
                f"{self.name}: an image of outsize {size} has {self.windows.out_size} windows (ksize {self.ksize}, "
                f"stride {self.stride}, pad {self.pad}, cover_all {self.cover_all}) but x is {x.shape[2:]} "
                f"(shape {x.shape}); leave outsize out, or take one that pools to the size of x"
            )
        return (kernels.scatter_sum(x, self.windows),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """Sum each window of the gradient."""
        return _Gather(self.windows).apply(grad_outputs)


class _Gather(FunctionNode):
    """The sum of each window."""

    arguments = ("x",)

    def __init__(self, windows: Windows) -> None:
        self.windows = windows

    def forward(self, inputs: tuple) -> tuple:
        return (kernels.gather_sum(inputs[0], self.windows),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        return _Scatter(self.windows).apply(grad_outputs)


class _Scatter(FunctionNode):
    """Each number on all places of its window: the transpose of :class:`_Gather`."""

    arguments = ("x",)

    def __init__(self, windows: Windows) -> None:
        self.windows = windows

    def forward(self, inputs: tuple) -> tuple:
        return (kernels.scatter_sum(inputs[0], self.windows),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        return _Gather(self.windows).apply(grad_outputs)


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
    node = MaxPooling2D(ksize, stride, pad, cover_all)
    (y,) = node.apply((x,))
    return (y, node.indexes.astype("int64")) if return_indices else y


def average_pooling_2d(x: Any, ksize: Any, stride: Any = None, pad: Any = 0) -> Variable:
    """Take the mean of each window; the padding counts as zeros and the number of windows is rounded down.

    Args:
        x: (N, C, H, W), floating.
        ksize, stride, pad: a number or a pair (height, width); ``stride`` None means ``ksize``.

    Raises as :func:`max_pooling_2d`.
    """
    return AveragePooling2D(ksize, stride, pad).apply((x,))[0]


def unpooling_2d(
    x: Any, ksize: Any, stride: Any = None, pad: Any = 0, outsize: Pair | None = None, cover_all: bool = True
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


def _pair(value: Any) -> Pair:
    """(height, width) from a pair or one number."""
    if isinstance(value, (tuple, list)):
        height, width = value
        return int(height), int(width)
    return int(value), int(value)
