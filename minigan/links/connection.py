"""Chapter connection: links that own the weight and the bias of the functions of the same chapter.

Sizes of the input may be left out (None): the weight then gets its shape from the first batch, or from the file that is
loaded. Initial weights are `LeCunNormal`, initial biases 0, unless told otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from minigan import initializers
from minigan.core import Parameter, Variable, as_variable
from minigan.functions.connection import convolution_2d, deconvolution_2d, linear
from minigan.link import Link
from minigan.utils.type_check import InvalidType

__all__ = ["Convolution2D", "Deconvolution2D", "Linear"]


class Linear(Link):
    """y = x W^T + b: W (out_size, in_size), b (out_size,).

    Args:
        in_size: K, the length of what comes after the batch axes of x; None: taken from the first x. With `out_size`
            left out, this one is the output size: `Linear(10)` is `Linear(None, 10)`.
        out_size: O.
        nobias: have no b.
        initialW, initial_bias: an initializer, its name, a number or an array.
    """

    def __init__(
        self,
        in_size: int | None,
        out_size: int | None = None,
        nobias: bool = False,
        initialW: Any = None,
        initial_bias: Any = None,
    ) -> None:
        super().__init__()
        if out_size is None:
            in_size, out_size = None, in_size
        self.out_size = _positive("Linear", "out_size", out_size)
        with self.init_scope():
            self.W = Parameter(initializers._get_initializer(initialW))
            self.b = _bias(nobias, initial_bias, self.out_size)
        if in_size is not None:
            self._initialize_params(_positive("Linear", "in_size", in_size))

    def _initialize_params(self, in_size: int) -> None:
        self.W.initialize((self.out_size, in_size))

    @property
    def in_size(self) -> int | None:
        """K; None before the first x."""
        return self.W.shape[1] if self.W.is_initialized else None

    def forward(self, x: Any, n_batch_axes: int = 1) -> Variable:
        """x (N, ...) to (N, O); with `n_batch_axes` more leading axes stay as they are."""
        x = as_variable(x)
        size = math.prod(x.shape[n_batch_axes:])
        if not self.W.is_initialized:
            self._initialize_params(size)
        elif size != self.in_size:
            raise InvalidType(
                f"Linear: in_size is {self.in_size} but x has {size} values per sample (shape {x.shape}, "
                f"n_batch_axes={n_batch_axes}); build the layer with in_size={size}, or None to take it from x"
            )
        return linear(x, self.W, self.b, n_batch_axes)

    @property
    def printable_specs(self) -> Iterable[tuple[str, Any]]:
        """Sizes, for `str(link)`."""
        return (("in_size", self.in_size), ("out_size", self.out_size), ("nobias", self.b is None))


class _ConvolutionLink(Link):
    """What the two convolutions share: sizes, lazy parameters, checks. `in_axis` is the axis of W for x's channels."""

    in_axis = 1

    def __init__(
        self,
        in_channels: int | None,
        out_channels: Any,
        ksize: Any,
        stride: Any,
        pad: Any,
        nobias: bool,
        initialW: Any,
        initial_bias: Any,
        dilate: Any,
        groups: int,
    ) -> None:
        super().__init__()
        kind = type(self).__name__
        if ksize is None:
            in_channels, out_channels, ksize = None, in_channels, out_channels
        self.out_channels = _positive(kind, "out_channels", out_channels)
        self.groups = _positive(kind, "groups", groups)
        if self.out_channels % self.groups:
            raise ValueError(f"{kind}: out_channels is {out_channels}; wanted a multiple of groups={groups}")
        if ksize is None:
            raise ValueError(f"{kind}: ksize is missing; pass {kind}(in_channels, out_channels, ksize)")
        if len(_pair(ksize)) != 2 or not all(isinstance(k, int | np.integer) and k > 0 for k in _pair(ksize)):
            raise ValueError(f"{kind}: ksize is {ksize!r}; wanted an integer of at least 1, or a pair")
        self.ksize = ksize
        self.stride, self.pad, self.dilate = _pair(stride), _pair(pad), _pair(dilate)
        with self.init_scope():
            self.W = Parameter(initializers._get_initializer(initialW))
            self.b = _bias(nobias, initial_bias, self.out_channels)
        if in_channels is not None:
            self._initialize_params(_positive(kind, "in_channels", in_channels))

    def _initialize_params(self, in_channels: int) -> None:
        if in_channels % self.groups:
            kind = type(self).__name__
            raise ValueError(f"{kind}: in_channels is {in_channels}; wanted a multiple of groups={self.groups}")
        channels = [self.out_channels, in_channels] if self.in_axis else [in_channels, self.out_channels]
        channels[1] //= self.groups
        self.W.initialize((*channels, *_pair(self.ksize)))

    @property
    def in_channels(self) -> int | None:
        """C; None before the first x."""
        return self.W.shape[self.in_axis] * (self.groups if self.in_axis else 1) if self.W.is_initialized else None

    def _prepare(self, x: Any) -> Variable:
        """Initialise W if that has been put off; check x."""
        kind, x = type(self).__name__, as_variable(x)
        if x.ndim != 4:
            raise InvalidType(f"{kind}: x has shape {x.shape}; wanted 4 axes (N, C, H, W); reshape it")
        if not self.W.is_initialized:
            self._initialize_params(x.shape[1])
        elif x.shape[1] != self.in_channels:
            raise InvalidType(
                f"{kind}: in_channels is {self.in_channels} but x has {x.shape[1]} channels (shape {x.shape}); build "
                f"the layer with in_channels={x.shape[1]}, or None to take it from x"
            )
        return x

    @property
    def printable_specs(self) -> Iterable[tuple[str, Any]]:
        """Sizes, for `str(link)`."""
        names = ("in_channels", "out_channels", "ksize", "stride", "pad")
        specs = [(name, getattr(self, name)) for name in names] + [("nobias", self.b is None)]
        return specs + [(name, getattr(self, name)) for name in ("dilate", "groups")]


class Convolution2D(_ConvolutionLink):
    """`F.convolution_2d` with W (O, C / groups, kh, kw) and b (O,).

    Args:
        in_channels: C; None: taken from the first x. With `ksize` left out, the arguments move by one:
            `Convolution2D(O, k)` is `Convolution2D(None, O, k)`.
        out_channels: O.
        ksize, stride, pad, dilate: numbers or pairs (vertical, horizontal).
        nobias: have no b.
        initialW, initial_bias: an initializer, its name, a number or an array.
        groups: into how many groups the channels are split.
    """

    def __init__(
        self,
        in_channels: int | None,
        out_channels: Any,
        ksize: Any = None,
        stride: Any = 1,
        pad: Any = 0,
        nobias: bool = False,
        initialW: Any = None,
        initial_bias: Any = None,
        *,
        dilate: Any = 1,
        groups: int = 1,
    ) -> None:
        super().__init__(
            in_channels, out_channels, ksize, stride, pad, nobias, initialW, initial_bias, dilate, groups
        )

    def forward(self, x: Any) -> Variable:
        """x (N, C, H, W) to (N, O, oh, ow)."""
        x = self._prepare(x)
        return convolution_2d(x, self.W, self.b, self.stride, self.pad, dilate=self.dilate, groups=self.groups)


class Deconvolution2D(_ConvolutionLink):
    """`F.deconvolution_2d` with W (C, O / groups, kh, kw) and b (O,).

    Args:
        in_channels, out_channels, ksize, stride, pad, nobias, initialW, initial_bias, dilate, groups: as for
            `Convolution2D`, the short form `Deconvolution2D(O, k)` too.
        outsize: (oh, ow), where the smallest possible output is not the one that is wanted.
    """

    in_axis = 0

    def __init__(
        self,
        in_channels: int | None,
        out_channels: Any,
        ksize: Any = None,
        stride: Any = 1,
        pad: Any = 0,
        nobias: bool = False,
        outsize: Any = None,
        initialW: Any = None,
        initial_bias: Any = None,
        *,
        dilate: Any = 1,
        groups: int = 1,
    ) -> None:
        super().__init__(
            in_channels, out_channels, ksize, stride, pad, nobias, initialW, initial_bias, dilate, groups
        )
        self.outsize = _pair(outsize)

    def forward(self, x: Any) -> Variable:
        """x (N, C, H, W) to (N, O, oh, ow)."""
        x = self._prepare(x)
        return deconvolution_2d(
            x, self.W, self.b, self.stride, self.pad, self.outsize, dilate=self.dilate, groups=self.groups
        )


def _bias(nobias: bool, initial_bias: Any, size: int) -> Parameter | None:
    if nobias:
        return None
    return Parameter(initializers._get_initializer(0 if initial_bias is None else initial_bias), size)


def _pair(value: Any) -> tuple[Any, Any]:
    """(vertical, horizontal) from a number or a pair."""
    return tuple(value) if np.iterable(value) else (value, value)


def _positive(link: str, argument: str, value: Any) -> int:
    if not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{link}: {argument} is {value!r}; wanted an integer of at least 1")
    return int(value)
