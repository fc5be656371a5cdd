"""Chapter connection: the functions whose weights connect every output to many inputs.

`linear` is a matrix product. `convolution_2d` slides a small matrix product over images, `deconvolution_2d` is its
transpose, and with the gradient of the weight they form a closed triangle: the derivative of each is made of the other
two, so three nodes serve every order of differentiation. The arithmetic itself is in `minigan.kernels.convolution`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minigan.core import FunctionNode, Variable, as_variable, reshape, sum, transpose
from minigan.kernels.convolution import convolution_weight_gradient, convolve, deconvolve
from minigan.kernels.im2col import get_conv_outsize, get_deconv_outsize
from minigan.kernels.parallel import product
from minigan.utils.type_check import InvalidType

__all__ = ["convolution_2d", "deconvolution_2d", "linear"]

# --------------------------------------------------------------------------------------------------------------------
# linear
# --------------------------------------------------------------------------------------------------------------------


class LinearFunction(FunctionNode):
    """y = x W^T + b for x (N, K), W (O, K), b (O,)."""

    name = "linear"
    arguments = ("x", "W", "b")

    def forward(self, inputs: tuple) -> tuple:
        """Compute y, the bias added in place."""
        x, W, *b = inputs
        if x.ndim != 2 or W.ndim != 2 or x.shape[1] != W.shape[1]:
            raise InvalidType(
                f"linear: x has shape {x.shape} and W has shape {W.shape}; wanted x (N, K) and W (O, K) with the same "
                "K; check the sizes of the layer and n_batch_axes"
            )
        _check_bias(self.name, b, W.shape[0])
        self.retain_inputs((0, 1))
        if x.dtype == np.float16:  # no processor multiplies halves as fast, and their sums would be rough
            y = (x.astype(np.float32) @ W.T.astype(np.float32)).astype(np.float16)
        else:
            y = product(x, W.T)
        if b:
            y += b[0]
        return (y,)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """gx = gy W and gW = gy^T x, which are linear functions, too; gb = the sum of gy over the batch."""
        x, W = self.get_retained_inputs()
        (gy,) = grad_outputs
        gradients = (
            lambda: linear(gy, transpose(W)), lambda: linear(transpose(gy), transpose(x)), lambda: sum(gy, axis=0)
        )  # fmt: skip
        return tuple(gradients[i]() for i in indexes)


def linear(x: Any, W: Any, b: Any = None, n_batch_axes: int = 1) -> Variable:
    """Return x W^T + b.

    x: (N, ...), whose axes from `n_batch_axes` on are read as one of length K; W: (O, K); b: (O,) or None; floating,
    all of one dtype. Returns (N, O), or the first `n_batch_axes` axes of x and O. Raises `InvalidType` for shapes that
    do not fit, `ValueError` for an `n_batch_axes` below 1.
    """
    if n_batch_axes < 1:
        raise ValueError(f"linear: n_batch_axes is {n_batch_axes}; wanted 1 or more, the number of leading batch axes")
    x, W = as_variable(x), as_variable(W)
    batch = x.shape[:n_batch_axes]
    if x.ndim != 2 or n_batch_axes != 1:
        x = reshape(x, (math.prod(batch), math.prod(x.shape[n_batch_axes:])))
    (y,) = LinearFunction().apply((x, W) if b is None else (x, W, b))
    return y if n_batch_axes == 1 else reshape(y, (*batch, y.shape[1]))


# --------------------------------------------------------------------------------------------------------------------
# convolution, transposed convolution, gradient of the weight
# --------------------------------------------------------------------------------------------------------------------


class _Geometry(NamedTuple):
    """How windows lie over an image, in the order in which the kernels take it; pairs are (vertical, horizontal)."""

    stride: tuple[int, int]
    pad: tuple[int, int]
    dilate: tuple[int, int]
    groups: int

    def __str__(self) -> str:
        return f"stride={self.stride}, pad={self.pad}, dilate={self.dilate}"


class _Convolution(FunctionNode):
    """What the three nodes share: a geometry."""

    def __init__(self, stride: Any = 1, pad: Any = 0, *, dilate: Any = 1, groups: int = 1) -> None:
        if groups < 1:
            raise ValueError(f"{self.name}: groups is {groups}; wanted 1 or more")
        self.geometry = _Geometry(
            _pair(self.name, "stride", stride, 1),
            _pair(self.name, "pad", pad, 0),
            _pair(self.name, "dilate", dilate, 1),
            int(groups),
        )

    def _convolution(self, x: Any, W: Any, out_size: tuple[int, ...]) -> Variable:
        node = Convolution2DFunction(out_size=out_size)
        node.geometry = self.geometry
        return node.apply((x, W))[0]

    def _deconvolution(self, x: Any, W: Any, out_size: tuple[int, ...]) -> Variable:
        node = Deconvolution2DFunction(outsize=out_size)
        node.geometry = self.geometry
        return node.apply((x, W))[0]

    def _weight_gradient(self, x: Any, gy: Any, ksize: tuple[int, ...]) -> Variable:
        node = Convolution2DGradW(ksize)
        node.geometry = self.geometry
        return node.apply((x, gy))[0]

    def _check(self, x: Any, W: Any, b: Sequence[Any], x_axis: int, layout: str) -> None:
        """Check the shapes of forward; axis `x_axis` of W belongs to the channels of x, the other one to those of y."""
        groups = self.geometry.groups
        if x.ndim != 4 or W.ndim != 4:
            raise InvalidType(
                f"{self.name}: x has shape {x.shape} and W has shape {W.shape}; wanted 4 axes each, x (N, C, H, W) and "
                f"W ({layout}); reshape them"
            )
        x_groups, y_groups = (1, groups) if x_axis == 0 else (groups, 1)
        channels = W.shape[x_axis] * x_groups
        if x.shape[1] != channels:
            raise InvalidType(
                f"{self.name}: x has {x.shape[1]} channels (shape {x.shape}) but W, of shape {W.shape} ({layout}), is "
                f"for {channels} with groups={groups}; check the channels of the layer"
            )
        if W.shape[0] % groups:
            raise InvalidType(f"{self.name}: W.shape[0] is {W.shape[0]}; wanted a multiple of groups={groups}")
        _check_bias(self.name, b, W.shape[1 - x_axis] * y_groups)

    def _sizes(self, x: Any, W: Any) -> list[tuple[int, int, int, int, int]]:
        """(size, k, s, p, d) of both axes."""
        stride, pad, dilate, _ = self.geometry
        return [(x.shape[2 + i], W.shape[2 + i], stride[i], pad[i], dilate[i]) for i in (0, 1)]


class Convolution2DFunction(_Convolution):
    """y = x * W + b for x (N, C, H, W), W (O, C / groups, kh, kw), b (O,): see `convolution_2d`.

    `out_size`, given where this is the gradient of a `Deconvolution2DFunction`, is used instead of `cover_all`.
    """

    name = "convolution_2d"
    arguments = ("x", "W", "b")

    def __init__(
        self,
        stride: Any = 1,
        pad: Any = 0,
        cover_all: bool = False,
        *,
        dilate: Any = 1,
        groups: int = 1,
        out_size: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__(stride, pad, dilate=dilate, groups=groups)
        self.cover_all = cover_all
        self.out_size = out_size

    def forward(self, inputs: tuple) -> tuple:
        """Compute y, channels-last in memory."""
        x, W, *b = inputs
        self._check(x, W, b, 1, "O, C / groups, kh, kw")
        out = self.out_size or tuple(
            get_conv_outsize(n, k, s, p, self.cover_all, d) for n, k, s, p, d in self._sizes(x, W)
        )
        if min(out) < 1:
            raise InvalidType(
                f"convolution_2d: x has shape {x.shape} but a kernel of {W.shape[2:]} with {self.geometry} would give "
                f"an output of height and width {out}; wanted at least 1; enlarge x or pad, or take a smaller kernel"
            )
        self.retain_inputs((0, 1))
        return (convolve(x, W, *self.geometry, out, b=b[0] if b else None),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """gx is the transposed convolution of gy with W, gb the sum of gy for each channel."""
        x, W = self.get_retained_inputs()
        (gy,) = grad_outputs
        gradients = (
            lambda: self._deconvolution(gy, W, x.shape[2:]),
            lambda: self._weight_gradient(x, gy, W.shape[2:]),
            lambda: sum(gy, axis=(0, 2, 3)),
        )
        return tuple(gradients[i]() for i in indexes)


class Deconvolution2DFunction(_Convolution):
    """The transpose of `Convolution2DFunction`: x (N, C, H, W), W (C, O / groups, kh, kw), b (O,)."""

    name = "deconvolution_2d"
    arguments = ("x", "W", "b")

    def __init__(
        self, stride: Any = 1, pad: Any = 0, outsize: Any = None, *, dilate: Any = 1, groups: int = 1
    ) -> None:
        super().__init__(stride, pad, dilate=dilate, groups=groups)
        if outsize is not None and tuple(np.atleast_1d(outsize)) != (None, None):
            self.outsize: tuple[int, ...] | None = _pair(self.name, "outsize", outsize, 1)
        else:
            self.outsize = None

    def forward(self, inputs: tuple) -> tuple:
        """Compute y, channels-last in memory."""
        x, W, *b = inputs
        self._check(x, W, b, 0, "C, O / groups, kh, kw")
        sizes = self._sizes(x, W)
        out = self.outsize or tuple(get_deconv_outsize(n, k, s, p, d=d) for n, k, s, p, d in sizes)
        if min(out) < 1:
            raise InvalidType(
                f"deconvolution_2d: x has shape {x.shape} but a kernel of {W.shape[2:]} with {self.geometry} would "
                f"give an output of height and width {out}; wanted at least 1; take a smaller pad or a larger kernel"
            )
        for length, (n, k, s, p, d) in zip(out, sizes):
            least = get_deconv_outsize(n, k, s, p, cover_all=True, d=d)
            if not least <= length <= least + 2 * (s - 1):
                raise InvalidType(
                    f"deconvolution_2d: outsize is {out} for x of shape {x.shape}, a kernel of {W.shape[2:]} and "
                    f"{self.geometry}; wanted {max(least, 1)} to {least + 2 * (s - 1)} where it says {length}, the "
                    "lengths whose convolution gives x's back"
                )
        self.retain_inputs((0, 1))
        return (deconvolve(x, W, *self.geometry, out, b=b[0] if b else None),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """gx is the convolution of gy with W; for gW, gy and x change places."""
        x, W = self.get_retained_inputs()
        (gy,) = grad_outputs
        gradients = (
            lambda: self._convolution(gy, W, x.shape[2:]),
            lambda: self._weight_gradient(gy, x, W.shape[2:]),
            lambda: sum(gy, axis=(0, 2, 3)),
        )
        return tuple(gradients[i]() for i in indexes)


class Convolution2DGradW(_Convolution):
    """The gradient of a convolution's weight: x (N, C, H, W), gy (N, O, oh, ow) to gW (O, C / groups, kh, kw)."""

    name = "convolution_2d_grad_w"
    arguments = ("x", "gy")

    def __init__(
        self, ksize: tuple[int, ...], stride: Any = 1, pad: Any = 0, *, dilate: Any = 1, groups: int = 1
    ) -> None:
        super().__init__(stride, pad, dilate=dilate, groups=groups)
        self.ksize = ksize

    def forward(self, inputs: tuple) -> tuple:
        """Compute gW."""
        self.retain_inputs((0, 1))
        return (convolution_weight_gradient(*inputs, self.ksize, *self.geometry),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """It is linear in x and in gy, as the convolution is in x and W."""
        x, gy = self.get_retained_inputs()
        (ggW,) = grad_outputs
        gradients = (
            lambda: self._deconvolution(gy, ggW, x.shape[2:]),
            lambda: self._convolution(x, ggW, gy.shape[2:]),
        )
        return tuple(gradients[i]() for i in indexes)


def convolution_2d(
    x: Any,
    W: Any,
    b: Any = None,
    stride: Any = 1,
    pad: Any = 0,
    cover_all: bool = False,
    *,
    dilate: Any = 1,
    groups: int = 1,
) -> Variable:
    """Return y[n, o, i, j] = b[o] + sum_{c,u,v} W[o, c, u, v] x[n, c, i sy + u dy - py, j sx + v dx - px].

    This is what networks call convolution (the kernel is not turned around); x is zero outside.

    x: (N, C, H, W); W: (O, C / groups, kh, kw); b: (O,) or None; floating, all of one dtype. `stride`, `pad`, `dilate`
    are numbers or pairs (vertical, horizontal). With `groups` the channels are split, and each group of outputs sees
    its own group of inputs. Returns (N, O, oh, ow) of the length floor((H + 2 p - d (k - 1) - 1) / s) + 1, with ceil
    if `cover_all`, so that every pixel is seen. Raises `InvalidType` for shapes that do not fit.
    """
    node = Convolution2DFunction(stride, pad, cover_all, dilate=dilate, groups=groups)
    return node.apply((x, W) if b is None else (x, W, b))[0]


def deconvolution_2d(
    x: Any,
    W: Any,
    b: Any = None,
    stride: Any = 1,
    pad: Any = 0,
    outsize: Any = None,
    *,
    dilate: Any = 1,
    groups: int = 1,
) -> Variable:
    """Return the transpose of `convolution_2d`: every x[n, c, i, j] adds W[c] times itself to a window of y.

    x: (N, C, H, W); W: (C, O / groups, kh, kw); b: (O,) or None; floating, all of one dtype. `stride`, `pad`, `dilate`,
    `groups` are those of the convolution whose transpose this is. Returns (N, O, oh, ow) of the length
    s (H - 1) + d (k - 1) + 1 - 2 p, or of `outsize` (oh, ow), from which the convolution must lead back to H.
    Raises `InvalidType` for shapes that do not fit.
    """
    node = Deconvolution2DFunction(stride, pad, outsize, dilate=dilate, groups=groups)
    return node.apply((x, W) if b is None else (x, W, b))[0]


def _pair(function: str, argument: str, value: Any, least: int) -> tuple[int, int]:
    """(vertical, horizontal) from a number or a pair."""
    pair = tuple(value) if isinstance(value, Sequence | np.ndarray) else (value, value)
    if len(pair) != 2 or not all(isinstance(n, int | np.integer) and n >= least for n in pair):
        raise ValueError(f"{function}: {argument} is {value!r}; wanted an integer of at least {least}, or a pair")
    return int(pair[0]), int(pair[1])


def _check_bias(function: str, b: Sequence[Any], size: int) -> None:
    if b and b[0].shape != (size,):
        raise InvalidType(f"{function}: b has shape {b[0].shape}; wanted ({size},), one number per output channel")
