"""Chapter connection, second part: blocks made of other links, and links that hold a single parameter."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from minigan import initializers
from minigan.core import Parameter as CoreParameter
from minigan.core import Variable, as_variable
from minigan.functions.activation import relu, sigmoid
from minigan.functions.array import concat
from minigan.functions.convolution_variants import deformable_convolution_2d_sampler
from minigan.functions.math import bias, identity, scale
from minigan.functions.pooling import average_pooling_2d, max_pooling_2d
from minigan.link import Chain, ChainList, Link
from minigan.links.connection import Convolution2D, Linear, _bias
from minigan.links.normalization import BatchNormalization
from minigan.utils import argument
from minigan.utils.conv_nd import WrongSize, as_tuple

__all__ = [
    "Bias", "DeformableConvolution2D", "Highway", "Inception", "InceptionBN", "MLPConvolution2D", "Parameter", "Scale",
]  # fmt: skip


class Parameter(Link):
    """A link that only holds an array, as its parameter W; calling it returns a variable with that array."""

    def __init__(self, array: Any) -> None:
        super().__init__()
        with self.init_scope():
            self.W = CoreParameter(array)

    def forward(self, volatile: Any = "off") -> Variable:
        """Return W behind the identity; the argument, of Chainer 1, means nothing."""
        return identity(self.W)


class Bias(Link):
    """`F.bias`: add b of that shape, zeros at first, whose first axis lies on `axis` of x; None: add a second input."""

    def __init__(self, axis: int = 1, shape: Any = None) -> None:
        super().__init__()
        self.axis = axis
        if shape is not None:
            with self.init_scope():
                self.b = CoreParameter(0, shape)

    def forward(self, *xs: Any) -> Variable:
        """(x) or, without b, (x, y) to x + y."""
        x, y = _pair_with(self, "b", xs)
        return bias(x, y, self.axis)


class Scale(Chain):
    """`F.scale`: multiply by W of shape `W_shape` (ones at first), whose first axis lies on `axis` of x, or by a second
    input if that is None; then, with `bias_term`, add a `Bias` of shape `W_shape`, or `bias_shape` if that is None."""

    def __init__(self, axis: int = 1, W_shape: Any = None, bias_term: bool = False, bias_shape: Any = None) -> None:
        super().__init__()
        self.axis = axis
        shape = bias_shape if W_shape is None else W_shape
        if bias_term and shape is None:
            raise ValueError("Scale: bias_term needs W_shape or bias_shape")
        with self.init_scope():
            if W_shape is not None:
                self.W = CoreParameter(1, W_shape)
            if bias_term:
                self.bias = Bias(axis, shape)

    def forward(self, *xs: Any) -> Variable:
        """(x) or, without W, (x, y) to x y, plus the bias."""
        x, y = _pair_with(self, "W", xs)
        z = scale(x, y, self.axis)
        return self.bias(z) if hasattr(self, "bias") else z


def _pair_with(link: Link, name: str, xs: tuple) -> tuple:
    """x with the parameter of that name, or with a second input where there is none."""
    own = getattr(link, name, None)
    wanted = 1 if own is not None else 2
    if len(xs) != wanted:
        raise WrongSize(f"{type(link).__name__}: got {len(xs)} inputs; wanted {wanted}, as {name} is {own}")
    return xs if own is None else (*xs, own)


class Highway(Chain):
    """y = t(x) activate(h(x)) + (1 - t(x)) x with h, the link `plain`, and t, the sigmoid of the link `transform`.

    Srivastava et al. 2015. Shapes (N, in_out_size) in and out.
    """

    def __init__(
        self, in_out_size: int, nobias: bool = False, activate: Callable[..., Any] = relu, init_Wh: Any = None,
        init_Wt: Any = None, init_bh: Any = None, init_bt: Any = -1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.activate = activate
        with self.init_scope():
            self.plain = Linear(in_out_size, in_out_size, nobias, init_Wh, init_bh)
            self.transform = Linear(in_out_size, in_out_size, nobias, init_Wt, init_bt)

    def forward(self, x: Any) -> Variable:
        """(N, D) to (N, D)."""
        gate = sigmoid(self.transform(x))
        return self.activate(self.plain(x)) * gate + (1 - gate) * as_variable(x)


class Inception(Chain):
    """Convolutions of 1, 3 and 5 and a max pooling side by side, the larger ones behind projections (GoogLeNet).

    Szegedy et al. 2014. x (N, C, H, W) to (N, out1 + out3 + out5 + proj_pool, H, W).
    """

    def __init__(
        self, in_channels: int | None, out1: int, proj3: int, out3: int, proj5: int, out5: int, proj_pool: int,
        conv_init: Any = None, bias_init: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        more = {"initialW": conv_init, "initial_bias": bias_init}
        with self.init_scope():
            self.conv1 = Convolution2D(in_channels, out1, 1, **more)
            self.proj3 = Convolution2D(in_channels, proj3, 1, **more)
            self.conv3 = Convolution2D(proj3, out3, 3, pad=1, **more)
            self.proj5 = Convolution2D(in_channels, proj5, 1, **more)
            self.conv5 = Convolution2D(proj5, out5, 5, pad=2, **more)
            self.projp = Convolution2D(in_channels, proj_pool, 1, **more)

    def forward(self, x: Any) -> Variable:
        """Run the four branches, join their channels, rectify."""
        third, fifth = self.conv3(relu(self.proj3(x))), self.conv5(relu(self.proj5(x)))
        return relu(concat((self.conv1(x), third, fifth, self.projp(max_pooling_2d(x, 3, stride=1, pad=1)))))


class InceptionBN(Chain):
    """`Inception` with batch normalisation and two convolutions of 3 in place of one of 5.

    Ioffe & Szegedy 2015. `pooltype` is "max" or "avg". With `stride` 2 the image shrinks, and there is no branch of 1
    and no projection behind the pooling: out1 must be 0 and `proj_pool` None.
    """

    def __init__(
        self, in_channels: int | None, out1: int, proj3: int, out3: int, proj33: int, out33: int, pooltype: str,
        proj_pool: int | None = None, stride: int = 1, conv_init: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if pooltype not in ("max", "avg"):
            raise NotImplementedError(f"InceptionBN: pooltype is {pooltype!r}; wanted 'max' or 'avg'")
        if out1 > 0 and (stride != 1 or proj_pool is None):
            raise AssertionError(f"InceptionBN: out1 is {out1}, stride {stride}, proj_pool {proj_pool}; with out1 "
                                 "wanted a stride of 1 and a proj_pool")  # fmt: skip
        self.out1, self.proj_pool, self.stride, self.pooltype = out1, proj_pool, stride, pooltype
        branches = [
            ("proj3", in_channels, proj3, 1, 1), ("conv3", proj3, out3, 3, stride),
            ("proj33", in_channels, proj33, 1, 1), ("conv33a", proj33, out33, 3, 1),
            ("conv33b", out33, out33, 3, stride),
        ]  # fmt: skip
        if out1 > 0:
            branches.append(("conv1", in_channels, out1, 1, 1))
        if proj_pool is not None:
            branches.append(("poolp", in_channels, proj_pool, 1, 1))
        with self.init_scope():
            for name, c, o, k, s in branches:
                setattr(self, name, Convolution2D(c, o, k, s, k // 2, nobias=True, initialW=conv_init))
                setattr(self, name + "n", BatchNormalization(o, dtype=dtype))

    def _unit(self, name: str, x: Any) -> Variable:
        return relu(self[name + "n"](self[name](x)))

    def forward(self, x: Any) -> Variable:
        """Run the branches and join their channels."""
        parts = [self._unit("conv1", x)] if self.out1 > 0 else []
        parts.append(self._unit("conv3", self._unit("proj3", x)))
        parts.append(self._unit("conv33b", self._unit("conv33a", self._unit("proj33", x))))
        if self.pooltype == "max":
            pooled = max_pooling_2d(x, 3, self.stride, 1, cover_all=False)
        else:
            pooled = average_pooling_2d(x, 3, self.stride, 1)
        parts.append(pooled if self.proj_pool is None else self._unit("poolp", pooled))
        return concat(parts)


class MLPConvolution2D(ChainList):
    """A convolution, and convolutions of 1 after it: a small network slid over the image (Lin et al. 2013).

    Args:
        in_channels: C, or None; with `ksize` left out the first two arguments are `out_channels` and `ksize`.
        out_channels: the channels of each layer, a tuple.
        ksize, stride, pad: of the first layer.
        activation: between the layers.
        conv_init, bias_init: initial weights and biases.
    """

    def __init__(
        self, in_channels: Any, out_channels: Any, ksize: Any = None, stride: Any = 1, pad: Any = 0,
        activation: Callable[..., Any] = relu, *, conv_init: Any = None, bias_init: Any = None, **old: Any,
    ) -> None:  # fmt: skip
        argument.check_unexpected_kwargs(old, wscale="MLPConvolution2D: wscale does not exist any more; use conv_init")
        argument.assert_kwargs_empty(old)
        if ksize is None:
            in_channels, out_channels, ksize = None, in_channels, out_channels
        if not isinstance(out_channels, Sequence):
            raise TypeError(f"MLPConvolution2D: out_channels is {out_channels!r}; wanted a tuple, one number per layer")
        if not out_channels:
            raise AssertionError("MLPConvolution2D: out_channels is empty; wanted a number for each layer")
        more = {"initialW": conv_init, "initial_bias": bias_init}
        layers = [Convolution2D(in_channels, out_channels[0], ksize, stride, pad, **more)]
        layers += [Convolution2D(c, o, 1, **more) for c, o in zip(out_channels, out_channels[1:])]
        super().__init__(*layers)
        self.activation = activation

    def forward(self, x: Any) -> Variable:
        """Run the layers, with the activation between them."""
        for layer in self[:-1]:
            x = self.activation(layer(x))
        return self[-1](x)


class DeformableConvolution2D(Chain):
    """A convolution that reads x at offsets which another convolution, `offset_conv`, computes (Dai et al. 2017)."""

    def __init__(
        self, in_channels: int | None, out_channels: int, ksize: Any, stride: Any = 1, pad: Any = 0,
        offset_nobias: bool = False, offset_initialW: Any = None, offset_initial_bias: Any = None,
        deform_nobias: bool = False, deform_initialW: Any = None, deform_initial_bias: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        offsets = 2 * math.prod(as_tuple(ksize, 2))
        with self.init_scope():
            self.offset_conv = Convolution2D(
                in_channels, offsets, ksize, stride, pad, offset_nobias, offset_initialW, offset_initial_bias
            )
            self.deform_conv = DeformableConvolution2DSampler(
                in_channels, out_channels, ksize, stride, pad, deform_nobias, deform_initialW, deform_initial_bias
            )

    def forward(self, x: Any) -> Variable:
        """x (N, C, H, W) to (N, O, oh, ow)."""
        return self.deform_conv(x, self.offset_conv(x))


class DeformableConvolution2DSampler(Link):
    """`F.deformable_convolution_2d_sampler` with W (O, C, kh, kw), zeros at first, as in Chainer, and b (O,)."""

    def __init__(
        self, in_channels: int | None, out_channels: int, ksize: Any, stride: Any = 1, pad: Any = 0,
        nobias: bool = False, initialW: Any = None, initial_bias: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.ksize, self.stride, self.pad, self.out_channels = (
            ksize,
            as_tuple(stride, 2),
            as_tuple(pad, 2),
            out_channels,
        )
        with self.init_scope():
            self.W = CoreParameter(initializers._get_initializer(0 if initialW is None else initialW))
            if in_channels is not None:
                self._initialize_params(in_channels)
            self.b = _bias(nobias, initial_bias, out_channels)

    def _initialize_params(self, in_channels: int) -> None:
        self.W.initialize((self.out_channels, in_channels, *as_tuple(self.ksize, 2)))

    def forward(self, x: Any, offset: Any) -> Variable:
        """x (N, C, H, W) and offset (N, 2 kh kw, oh, ow) to (N, O, oh, ow)."""
        x = as_variable(x)
        if not self.W.is_initialized:
            self._initialize_params(x.shape[1])
        return deformable_convolution_2d_sampler(x, offset, self.W, self.b, self.stride, self.pad)
