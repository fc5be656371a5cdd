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
from minigan.core import Parameter, Variable, as_array, as_variable
from minigan.functions.connection import (
    bilinear,
    convolution_2d,
    convolution_nd,
    deconvolution_2d,
    deconvolution_nd,
    embed_id,
    linear,
)  # fmt: skip
from minigan.functions.convolution_variants import depthwise_convolution_2d, local_convolution_2d
from minigan.link import Link
from minigan.utils.conv import get_conv_outsize
from minigan.utils.conv_nd import WrongSize, as_tuple
from minigan.utils.type_check import InvalidType

__all__ = [
    "Bilinear", "Convolution1D", "Convolution2D", "Convolution3D", "ConvolutionND", "Deconvolution1D",
    "Deconvolution2D", "Deconvolution3D", "DeconvolutionND", "DepthwiseConvolution2D", "DilatedConvolution2D",
    "EmbedID", "Linear", "LocalConvolution2D",
]  # fmt: skip


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
        self, in_size: int | None, out_size: int | None = None, nobias: bool = False, initialW: Any = None,
        initial_bias: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if out_size is None:
            in_size, out_size = None, in_size
        self.in_size = in_size
        self.out_size = _positive("Linear", "out_size", out_size)
        with self.init_scope():
            self.W = Parameter(initializers._get_initializer(initialW))
            if in_size is not None:  # before b: both may be random, and Chainer draws W first
                self._initialize_params(_positive("Linear", "in_size", in_size))
            self.b = _bias(nobias, initial_bias, self.out_size)

    def _initialize_params(self, in_size: int) -> None:
        self.W.initialize((self.out_size, in_size))

    @classmethod
    def from_params(cls, W: Any, b: Any = None, nobias: bool = False) -> Linear:
        """Build it around given parameters."""
        out_size, in_size = W.shape
        return cls(in_size, out_size, nobias, as_array(W), as_array(b))

    def forward(self, x: Any, n_batch_axes: int = 1, **behind: Any) -> Variable:
        """x (N, ...) to (N, O); with `n_batch_axes` more leading axes stay; `behind`: `activation` and its `slope`."""
        x = as_variable(x)
        size = math.prod(x.shape[n_batch_axes:])
        if not self.W.is_initialized:
            self._initialize_params(size)
        elif size != self.W.shape[1]:
            raise InvalidType(
                f"Linear: in_size is {self.W.shape[1]} but x has {size} values per sample (shape {x.shape}, "
                f"n_batch_axes={n_batch_axes}); build the layer with in_size={size}, or None to take it from x"
            )
        return linear(x, self.W, self.b, n_batch_axes, **behind)

    @property
    def printable_specs(self) -> Iterable[tuple[str, Any]]:
        """Sizes, for `str(link)`."""
        return (("in_size", self.in_size), ("out_size", self.out_size), ("nobias", self.b is None))


class Bilinear(Link):
    """`F.bilinear` with W (left_size, right_size, out_size) and, unless `nobias`, V1, V2 and b.

    `initialW` is for W, V1 and V2, where an array is for W only; `initial_bias` is a tuple of three, for V1, V2 and b.
    """

    W: Parameter
    V1: Parameter
    V2: Parameter
    b: Parameter

    def __init__(
        self, left_size: int, right_size: int, out_size: int, nobias: bool = False, initialW: Any = None,
        initial_bias: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.in_sizes = (left_size, right_size)
        self.nobias = nobias
        if initial_bias is not None and not (isinstance(initial_bias, tuple) and len(initial_bias) == 3):
            raise ValueError(f"Bilinear: initial_bias is {initial_bias!r}; wanted a tuple for V1, V2 and b")
        V1, V2, b = initial_bias or (None, None, 0)
        parameters: list[tuple[str, Any, tuple[int, ...]]] = [("W", initialW, (left_size, right_size, out_size))]
        if not nobias:
            parameters += [("V1", V1, (left_size, out_size)), ("V2", V2, (right_size, out_size)), ("b", b, (out_size,))]
        with self.init_scope():
            for name, initial, shape in parameters:
                if getattr(initial, "shape", shape) not in (shape, ()):
                    raise WrongSize(f"Bilinear: the array for {name} has shape {initial.shape}; wanted {shape}")
                setattr(self, name, Parameter(initializers._get_initializer(initial), shape))

    def forward(self, e1: Any, e2: Any) -> Variable:
        """e1 (N, left_size) and e2 (N, right_size) to (N, out_size)."""
        return bilinear(e1, e2, self.W) if self.nobias else bilinear(e1, e2, self.W, self.V1, self.V2, self.b)

    def zero_grads(self) -> None:
        """Set the gradients to zeros, under the name of Chainer 1."""
        self.zerograds()


class EmbedID(Link):
    """A vector for each number: W (in_size, out_size), standard normal at first; zeros for `ignore_label`."""

    ignore_label: int | None = None

    def __init__(self, in_size: int, out_size: int, initialW: Any = None, ignore_label: int | None = None) -> None:
        super().__init__()
        self.ignore_label = ignore_label
        with self.init_scope():
            initialW = initializers.Normal(1.0) if initialW is None else initialW
            self.W = Parameter(initializers._get_initializer(initialW), (in_size, out_size))

    @classmethod
    def from_params(cls, W: Any, ignore_label: int | None = None) -> EmbedID:
        """Build it around given vectors."""
        in_size, out_size = W.shape
        return cls(in_size, out_size, as_array(W), ignore_label)

    def forward(self, x: Any) -> Variable:
        """Integers of any shape to that shape with out_size behind."""
        return embed_id(x, self.W, self.ignore_label)


class _Convolution(Link):
    """What the convolutions share: sizes, lazy parameters, checks. `in_axis` is the axis of W for the channels of x."""

    in_axis = 1

    def __init__(
        self, ndim: int, in_channels: int | None, out_channels: Any, ksize: Any, nobias: bool, initialW: Any,
        initial_bias: Any, groups: int,
    ) -> None:  # fmt: skip
        super().__init__()
        kind = type(self).__name__
        if ksize is None:
            in_channels, out_channels, ksize = None, in_channels, out_channels
        self.out_channels = _positive(kind, "out_channels", out_channels)
        self.groups = _positive(kind, "groups", groups)
        if self.out_channels % self.groups:
            raise ValueError(f"{kind}: out_channels is {out_channels}; wanted a multiple of groups={self.groups}")
        if ksize is None:
            raise ValueError(f"{kind}: ksize is missing; pass {kind}(in_channels, out_channels, ksize)")
        lengths = tuple(ksize) if np.iterable(ksize) else (ksize,) * ndim
        if len(lengths) != ndim or not all(isinstance(k, int | np.integer) and k > 0 for k in lengths):
            raise WrongSize(f"{kind}: ksize is {ksize!r}; wanted an integer of at least 1, or {ndim} of them")
        self.in_channels, self.ksize, self._lengths = in_channels, ksize, lengths
        with self.init_scope():
            self.W = Parameter(initializers._get_initializer(initialW))
            if in_channels is not None:
                self._initialize_params(_positive(kind, "in_channels", in_channels))
            self.b = _bias(nobias, initial_bias, self.out_channels)

    def _initialize_params(self, in_channels: int) -> None:
        if in_channels % self.groups:
            kind = type(self).__name__
            raise ValueError(f"{kind}: in_channels is {in_channels}; wanted a multiple of groups={self.groups}")
        channels = [self.out_channels, in_channels] if self.in_axis else [in_channels, self.out_channels]
        channels[1] //= self.groups
        self.W.initialize((*channels, *self._lengths))

    def _prepare(self, x: Any) -> Variable:
        """Initialise W if that has been put off; check x."""
        kind, x = type(self).__name__, as_variable(x)
        if x.ndim != len(self._lengths) + 2:
            axes = "N, C, H, W" if len(self._lengths) == 2 else f"N, C, and {len(self._lengths)} more"
            raise InvalidType(
                f"{kind}: x has shape {x.shape}; wanted {len(self._lengths) + 2} axes ({axes}); reshape it"
            )
        if not self.W.is_initialized:
            self._initialize_params(x.shape[1])
        channels = self.W.shape[self.in_axis] * (self.groups if self.in_axis else 1)
        if x.shape[1] != channels:
            raise InvalidType(
                f"{kind}: in_channels is {channels} but x has {x.shape[1]} channels (shape {x.shape}); build "
                f"the layer with in_channels={x.shape[1]}, or None to take it from x"
            )
        return x

    @classmethod
    def from_params(
        cls, W: Any, b: Any = None, stride: Any = 1, pad: Any = 0, nobias: bool = False, **kwargs: Any
    ) -> Any:
        """Build it around given parameters; further arguments by name."""
        channels, ksize = [W.shape[0], W.shape[1] * kwargs.get("groups", 1)], tuple(W.shape[2:])
        first = (len(ksize),) if issubclass(cls, ConvolutionND | DeconvolutionND) else ()
        build: Any = cls
        return build(*first, channels[cls.in_axis], channels[1 - cls.in_axis], ksize, stride, pad, nobias,
                     initialW=as_array(W), initial_bias=as_array(b), **kwargs)  # fmt: skip


class Convolution2D(_Convolution):
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
        self, in_channels: int | None, out_channels: Any, ksize: Any = None, stride: Any = 1, pad: Any = 0,
        nobias: bool = False, initialW: Any = None, initial_bias: Any = None, *, dilate: Any = 1, groups: int = 1,
    ) -> None:  # fmt: skip
        super().__init__(2, in_channels, out_channels, ksize, nobias, initialW, initial_bias, groups)
        self.stride, self.pad, self.dilate = as_tuple(stride, 2), as_tuple(pad, 2), as_tuple(dilate, 2)

    def forward(self, x: Any, **behind: Any) -> Variable:
        """x (N, C, H, W) to (N, O, oh, ow); `behind`: `activation` and its `slope`."""
        x = self._prepare(x)
        behind |= {"dilate": self.dilate, "groups": self.groups}
        return convolution_2d(x, self.W, self.b, self.stride, self.pad, **behind)

    @property
    def printable_specs(self) -> Iterable[tuple[str, Any]]:
        """Sizes, for `str(link)`."""
        names = ("in_channels", "out_channels", "ksize", "stride", "pad")
        specs = [(name, getattr(self, name)) for name in names] + [("nobias", self.b is None)]
        return specs + [(name, getattr(self, name)) for name in ("dilate", "groups")]


class DilatedConvolution2D(_Convolution):
    """`Convolution2D` with its arguments in another order."""

    def __init__(
        self, in_channels: int | None, out_channels: Any, ksize: Any = None, stride: Any = 1, pad: Any = 0,
        dilate: Any = 1, nobias: bool = False, initialW: Any = None, initial_bias: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(2, in_channels, out_channels, ksize, nobias, initialW, initial_bias, 1)
        self.stride, self.pad, self.dilate = as_tuple(stride, 2), as_tuple(pad, 2), as_tuple(dilate, 2)

    forward = Convolution2D.forward


class Deconvolution2D(_Convolution):
    """`F.deconvolution_2d` with W (C, O / groups, kh, kw) and b (O,).

    Args:
        in_channels, out_channels, ksize, stride, pad, nobias, initialW, initial_bias, dilate, groups: as for
            `Convolution2D`, the short form `Deconvolution2D(O, k)` too.
        outsize: (oh, ow), where the smallest possible output is not the one that is wanted.
    """

    in_axis = 0

    def __init__(
        self, in_channels: int | None, out_channels: Any, ksize: Any = None, stride: Any = 1, pad: Any = 0,
        nobias: bool = False, outsize: Any = None, initialW: Any = None, initial_bias: Any = None, *, dilate: Any = 1,
        groups: int = 1,
    ) -> None:  # fmt: skip
        super().__init__(2, in_channels, out_channels, ksize, nobias, initialW, initial_bias, groups)
        self.stride, self.pad, self.dilate = as_tuple(stride, 2), as_tuple(pad, 2), as_tuple(dilate, 2)
        self.outsize = as_tuple(outsize, 2)

    def forward(self, x: Any, **behind: Any) -> Variable:
        """x (N, C, H, W) to (N, O, oh, ow); `behind`: `activation` and its `slope`."""
        x = self._prepare(x)
        behind |= {"dilate": self.dilate, "groups": self.groups}
        return deconvolution_2d(x, self.W, self.b, self.stride, self.pad, self.outsize, **behind)


class ConvolutionND(_Convolution):
    """`F.convolution_nd` with W (O, C / groups, ksize...) and b (O,): `ndim` axes, else as `Convolution2D`."""

    def __init__(
        self, ndim: int, in_channels: int | None, out_channels: Any, ksize: Any = None, stride: Any = 1, pad: Any = 0,
        nobias: bool = False, initialW: Any = None, initial_bias: Any = None, cover_all: bool = False, dilate: Any = 1,
        groups: int = 1,
    ) -> None:  # fmt: skip
        super().__init__(ndim, in_channels, out_channels, ksize, nobias, initialW, initial_bias, groups)
        self.ksize, self.dilate = self._lengths, as_tuple(dilate, ndim)
        self.stride, self.pad, self.cover_all = stride, pad, cover_all

    def forward(self, x: Any, **behind: Any) -> Variable:
        """x (N, C, size...) to (N, O, out...); `behind`: `activation` and its `slope`."""
        x = self._prepare(x)
        behind |= {"dilate": self.dilate, "groups": self.groups}
        return convolution_nd(x, self.W, self.b, self.stride, self.pad, self.cover_all, **behind)


class DeconvolutionND(_Convolution):
    """`F.deconvolution_nd` with W (C, O / groups, ksize...) and b (O,): `ndim` axes, else as `Deconvolution2D`."""

    in_axis = 0

    def __init__(
        self, ndim: int, in_channels: int | None, out_channels: Any, ksize: Any = None, stride: Any = 1, pad: Any = 0,
        nobias: bool = False, outsize: Any = None, initialW: Any = None, initial_bias: Any = None, dilate: Any = 1,
        groups: int = 1,
    ) -> None:  # fmt: skip
        super().__init__(ndim, in_channels, out_channels, ksize, nobias, initialW, initial_bias, groups)
        self.ksize, self.dilate = self._lengths, as_tuple(dilate, ndim)
        self.stride, self.pad, self.outsize = stride, pad, outsize

    def forward(self, x: Any, **behind: Any) -> Variable:
        """x (N, C, size...) to (N, O, out...); `behind`: `activation` and its `slope`."""
        x = self._prepare(x)
        behind |= {"dilate": self.dilate, "groups": self.groups}
        return deconvolution_nd(x, self.W, self.b, self.stride, self.pad, self.outsize, **behind)


class Convolution1D(ConvolutionND):
    """`ConvolutionND` over one axis, without `ndim` among its arguments."""

    def __init__(self, in_channels: int | None, out_channels: int, ksize: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(1, in_channels, out_channels, ksize, *args, **kwargs)


class Convolution3D(ConvolutionND):
    """`ConvolutionND` over three axes, without `ndim` among its arguments."""

    def __init__(self, in_channels: int | None, out_channels: int, ksize: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(3, in_channels, out_channels, ksize, *args, **kwargs)


class Deconvolution1D(DeconvolutionND):
    """`DeconvolutionND` over one axis, without `ndim` among its arguments."""

    def __init__(self, in_channels: int | None, out_channels: int, ksize: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(1, in_channels, out_channels, ksize, *args, **kwargs)


class Deconvolution3D(DeconvolutionND):
    """`DeconvolutionND` over three axes, without `ndim` among its arguments."""

    def __init__(self, in_channels: int | None, out_channels: int, ksize: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(3, in_channels, out_channels, ksize, *args, **kwargs)


class DepthwiseConvolution2D(Link):
    """`F.depthwise_convolution_2d` with W (M, C, kh, kw) and b (C M,), M = `channel_multiplier`."""

    def __init__(
        self, in_channels: int | None, channel_multiplier: int, ksize: Any, stride: Any = 1, pad: Any = 0,
        nobias: bool = False, initialW: Any = None, initial_bias: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.ksize, self.stride, self.pad = ksize, as_tuple(stride, 2), as_tuple(pad, 2)
        self.channel_multiplier, self.nobias = channel_multiplier, nobias
        with self.init_scope():
            self.W = Parameter(initializers._get_initializer(initialW))
            self.b = _bias(nobias, initial_bias)
        if in_channels is not None:
            self._initialize_params(in_channels)

    def _initialize_params(self, in_channels: int) -> None:
        self.W.initialize((self.channel_multiplier, in_channels, *as_tuple(self.ksize, 2)))
        if self.b is not None:
            self.b.initialize(self.channel_multiplier * in_channels)

    def forward(self, x: Any) -> Variable:
        """x (N, C, H, W) to (N, C M, oh, ow)."""
        x = as_variable(x)
        if not self.W.is_initialized:
            self._initialize_params(x.shape[1])
        return depthwise_convolution_2d(x, self.W, self.b, self.stride, self.pad)


class LocalConvolution2D(Link):
    """`F.local_convolution_2d` with W (O, oh, ow, C, kh, kw) and b (O, oh, ow).

    `in_channels` and `in_size`, a number or (H, W), may be None: taken from the first x. With `ksize` left out, the
    first two arguments are O and the ksize.
    """

    def __init__(
        self, in_channels: int | None, out_channels: Any, in_size: Any = None, ksize: Any = None, stride: Any = 1,
        nobias: bool = False, initialW: Any = None, initial_bias: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if ksize is None:
            in_channels, out_channels, ksize = None, in_channels, out_channels
        self.ksize, self.stride, self.nobias, self.out_channels = ksize, as_tuple(stride, 2), nobias, out_channels
        with self.init_scope():
            self.W = Parameter(initializers._get_initializer(initialW))
            self.b = _bias(nobias, initial_bias)
        if in_channels is not None and in_size is not None:
            self._initialize_params(in_channels, as_tuple(in_size, 2))

    def _initialize_params(self, in_channels: int, in_size: tuple[int, int]) -> None:
        ksize = as_tuple(self.ksize, 2)
        out = tuple(get_conv_outsize(n, k, s, 0) for n, k, s in zip(in_size, ksize, self.stride))
        self.W.initialize((self.out_channels, *out, in_channels, *ksize))
        if self.b is not None:
            self.b.initialize((self.out_channels, *out))

    def forward(self, x: Any) -> Variable:
        """x (N, C, H, W) to (N, O, oh, ow)."""
        x = as_variable(x)
        if not self.W.is_initialized:
            self._initialize_params(x.shape[1], x.shape[2:])
        return local_convolution_2d(x, self.W, self.b, self.stride)


def _bias(nobias: bool, initial_bias: Any, size: int | None = None) -> Parameter | None:
    if nobias:
        return None
    return Parameter(initializers._get_initializer(0 if initial_bias is None else initial_bias), size)


def _positive(link: str, argument: str, value: Any) -> int:
    if not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{link}: {argument} is {value!r}; wanted an integer of at least 1")
    return int(value)
