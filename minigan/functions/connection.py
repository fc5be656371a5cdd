"""Chapter connection: the functions whose weights connect every output to many inputs.

`linear` is a matrix product, `embed_id` picks rows of a matrix. `convolution_nd` slides a small matrix product over
images of any number of axes, `deconvolution_nd` is its transpose, and with the gradient of the weight they form a
closed triangle: the derivative of each is made of the other two, so three nodes serve every order of differentiation.
The arithmetic itself is in `minigan.kernels.convolution`. An `activation` behind them is part of the node on a GPU,
where one kernel does it together with the bias.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from minigan.backend import get_array_module
from minigan.configuration import config
from minigan.core import FunctionNode, Variable, as_variable, broadcast_to, cast, reshape, sum, transpose
from minigan.functions.activation import LeakyReLUGrad, TanhGrad, leaky_relu, relu, tanh
from minigan.kernels import bias_activation
from minigan.kernels.convolution import convolution_weight_gradient, convolve, deconvolve
from minigan.kernels.im2col import get_conv_outsize, get_deconv_outsize
from minigan.kernels.parallel import product
from minigan.utils.conv_nd import WrongSize, as_tuple
from minigan.utils.type_check import InvalidType

__all__ = [
    "bilinear", "convolution_1d", "convolution_2d", "convolution_3d", "convolution_nd", "deconvolution_1d",
    "deconvolution_2d", "deconvolution_3d", "deconvolution_nd", "embed_id", "linear",
]  # fmt: skip

_ACTIVATIONS: dict[str, Callable[[Any, float], Variable]] = {
    "relu": lambda x, slope: relu(x), "leaky_relu": leaky_relu, "tanh": lambda x, slope: tanh(x),
}  # fmt: skip


class _Weighted(FunctionNode):
    """A function of x, W and perhaps b. Their floating types may differ; the result has that of x, or `dtype`."""

    #: Whether the type of b must be that of x.
    one_type_with_bias = True
    dtype: Any = None
    activation: str | None = None
    slope = 0.0
    #: Whether bias and activation are done together, by a kernel; otherwise the activation is another node.
    fused = False

    def and_activation(self, inputs: Sequence[Any], activation: str | None, slope: float) -> Variable:
        """Apply the node, and the activation unless that is part of it."""
        if activation is None:
            return self.apply(inputs)[0]
        if activation not in _ACTIVATIONS:
            raise ValueError(f"{self._title()}: activation is {activation!r}; wanted None or one of {[*_ACTIVATIONS]}")
        self.activation, self.slope = activation, 0.0 if activation == "relu" else float(slope)
        (y,) = self.apply(inputs)
        return y if self.fused else _ACTIVATIONS[activation](y, slope)

    def _bias_of_product(self, x: Any, W: Any, b: list[Any]) -> Any:
        """The bias that is to be added to the product; None if there is none, or it comes with the activation."""
        if self.activation is not None:
            self.fused = self.slope >= 0 and len(b) == 1 and bias_activation.available_for(x, W, *b)
        return None if self.fused or not b else b[0]

    def _activated(self, y: Any, b: list[Any]) -> tuple:
        """The output: y or, behind bias and activation, in place, y."""
        if self.fused:
            self.retain_outputs((0,))
            bias_activation.forward(y, b[0], str(self.activation), self.slope)
        return (y,)

    def _in_front(self, gy: Variable, with_bias: bool) -> tuple[Variable, Variable | None]:
        """The gradient in front of the activation and, where it is found by the way, that of the bias."""
        if not self.fused:
            return gy, None
        (y,) = self.get_retained_outputs()
        if with_bias:
            gx, gb = BiasActivationGrad(str(self.activation), self.slope).apply((y, gy))
            return gx, gb
        return _in_front(str(self.activation), self.slope, y, gy), None

    def _argument(self, index: int) -> str:
        return ("x", "W", "b")[index] if index < 3 else f"input {index}"

    def check(self, inputs: Sequence[Any]) -> None:
        """Raise unless there are x, W and perhaps b, of floating types."""
        if not 2 <= len(inputs) <= 3:
            raise InvalidType(f"{self._title()}: got {len(inputs)} inputs; wanted x, W and perhaps b")
        for i, array in enumerate(inputs):
            if array.dtype.kind != "f":
                raise InvalidType(f"{self._title()}: {self._argument(i)} is {array.dtype}; wanted floating point")
        if len(inputs) == 3 and self.one_type_with_bias and inputs[2].dtype != inputs[0].dtype:
            raise InvalidType(f"{self._title()}: x is {inputs[0].dtype} but b is {inputs[2].dtype}; cast one of them")

    def check_bias(self, inputs: Sequence[Any], size: int) -> None:
        """Raise unless b, if there is one, has that length."""
        if len(inputs) == 3 and inputs[2].shape != (size,):
            raise InvalidType(
                f"{self._title()}: b has shape {inputs[2].shape}; wanted ({size},), one number per output channel"
            )


class BiasActivationGrad(FunctionNode):
    """(y, gy) -> (gx, gb) for y = activation(x + b), one kernel; differentiated as the plain gradients are."""

    name = "gradient of bias and activation"
    arguments = ("y", "gy")

    def __init__(self, activation: str, slope: float) -> None:
        self.activation, self.slope = activation, slope

    def forward(self, inputs: tuple) -> tuple:
        """Compute gx, and its sum over all axes but that of the channels."""
        self.retain_inputs((0, 1))
        return bias_activation.backward(*inputs, self.activation, self.slope)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """gb is a sum of gx, and gx that of the activation's own gradient."""
        y, gy = self.get_retained_inputs()
        ggx, ggb = grad_outputs
        if ggb is not None:
            each = broadcast_to(reshape(ggb, (1, -1, *(1 for _ in y.shape[2:]))), y.shape)
            ggx = each if ggx is None else ggx + each
        of_y = ggx * gy * y * -2 if 0 in indexes and self.activation == "tanh" else None
        return tuple(_in_front(self.activation, self.slope, y, ggx) if i else of_y for i in indexes)


def _in_front(activation: str, slope: float, y: Variable, gy: Variable) -> Variable:
    """The gradient in front of an activation whose output is y."""
    return (TanhGrad().apply((y, gy)) if activation == "tanh" else LeakyReLUGrad(y.array, slope).apply((gy,)))[0]


# --------------------------------------------------------------------------------------------------------------------
# linear, bilinear, embed_id
# --------------------------------------------------------------------------------------------------------------------


class LinearFunction(_Weighted):
    """y = x W^T + b for x (N, K), W (O, K), b (O,)."""

    name = "linear"

    def __init__(self, dtype: Any = None) -> None:
        self.dtype = dtype

    def forward(self, inputs: tuple) -> tuple:
        """Compute y, the bias added in place."""
        self.check(inputs)
        x, W, *b = inputs
        if x.ndim != 2 or W.ndim != 2 or x.shape[1] != W.shape[1]:
            raise InvalidType(
                f"linear: x has shape {x.shape} and W has shape {W.shape}; wanted x (N, K) and W (O, K) with the same "
                "K; check the sizes of the layer and n_batch_axes"
            )
        self.check_bias(inputs, W.shape[0])
        self.retain_inputs((0, 1))
        y = _product_in(self.dtype or x.dtype, x, W.T)
        bias = self._bias_of_product(x, W, b)
        if bias is not None:
            y += bias
        return self._activated(y, b)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """gx = gy W, gW = gy^T x, and gb = the sum of gy over the batch."""
        x, W = self.get_retained_inputs()
        gy, gb = self._in_front(grad_outputs[0], 2 in indexes)
        gradients: list[Variable] = []
        for i in indexes:
            if i == 0:
                gradients += LinearGradData(x.dtype).apply((W, gy))
            elif i == 1:
                gradients += LinearGradWeight(W.dtype).apply((x, gy))
            else:
                gradients.append(sum(gy, axis=0) if gb is None else gb)
        return tuple(gradients)


class LinearGradData(FunctionNode):
    """gx = gy W for W (O, K), gy (N, O); with its sister and :class:`LinearFunction` closed under differentiation."""

    def __init__(self, dtype: Any = None) -> None:
        self.dtype = dtype

    def forward(self, inputs: tuple) -> tuple:
        """Compute gx."""
        W, gy = inputs
        self.retain_inputs((0, 1))
        return (_product_in(self.dtype or gy.dtype, gy, W),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """The gradients of W and gy."""
        W, gy = self.get_retained_inputs()
        (ggx,) = grad_outputs
        return tuple(
            (LinearFunction(gy.dtype).apply((ggx, W)) if i else LinearGradWeight(W.dtype).apply((ggx, gy)))[0]
            for i in indexes
        )


class LinearGradWeight(FunctionNode):
    """gW = gy^T x for x (N, K), gy (N, O)."""

    def __init__(self, dtype: Any = None) -> None:
        self.dtype = dtype

    def forward(self, inputs: tuple) -> tuple:
        """Compute gW."""
        x, gy = inputs
        self.retain_inputs((0, 1))
        return (_product_in(self.dtype or x.dtype, gy.T, x),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """The gradients of x and gy."""
        x, gy = self.get_retained_inputs()
        (ggW,) = grad_outputs
        return tuple(
            (LinearFunction(gy.dtype).apply((x, ggW)) if i else LinearGradData(x.dtype).apply((ggW, gy)))[0]
            for i in indexes
        )


def _product_in(dtype: Any, a: Any, b: Any) -> Any:
    """a b in that type; halves are multiplied in float32, on a GPU only summed so: cuBLAS does it."""
    if a.dtype == b.dtype == dtype and (dtype != np.float16 or not isinstance(a, np.ndarray)):
        return product(a, b)
    wide = np.result_type(a.dtype, b.dtype, np.float32)
    return product(a.astype(wide, copy=False), b.astype(wide, copy=False)).astype(dtype, copy=False)


def linear(
    x: Any, W: Any, b: Any = None, n_batch_axes: int = 1, *, activation: str | None = None, slope: float = 0.2
) -> Variable:
    """Return x W^T + b.

    x: (N, ...), whose axes from `n_batch_axes` on are read as one of length K; W: (O, K); b: (O,) of the dtype of x, or
    None; floating. `activation`, "relu", "leaky_relu" with that `slope` or "tanh", follows at once: on a GPU in one
    kernel with the bias; not in Chainer. Returns (N, O), or the first `n_batch_axes` axes of x and O, in the dtype of
    x. Raises `InvalidType` for shapes and dtypes that do not fit, `ValueError` for an `n_batch_axes` below 1.
    """
    if n_batch_axes < 1:
        raise ValueError(f"linear: n_batch_axes is {n_batch_axes}; wanted 1 or more, the number of leading batch axes")
    x = as_variable(x)
    shape = x.shape
    if len(shape) != 2 or n_batch_axes != 1:
        x = reshape(x, (math.prod(shape[:n_batch_axes]), math.prod(shape[n_batch_axes:])))
    y = LinearFunction().and_activation((x, W) if b is None else (x, W, b), activation, slope)
    return y if n_batch_axes == 1 else reshape(y, (*shape[:n_batch_axes], y.shape[1]))


def bilinear(e1: Any, e2: Any, W: Any, V1: Any = None, V2: Any = None, b: Any = None) -> Variable:
    """Return y[n, l] = sum_{j,k} e1[n, j] e2[n, k] W[j, k, l] + (e1 V1)[n, l] + (e2 V2)[n, l] + b[l].

    e1: (N, ...), read as (N, J); e2: (N, ...), read as (N, K); W: (J, K, L); V1: (J, L), V2: (K, L) and b: (L,), all
    three or none; floating, of one dtype. Returns (N, L). Raises `InvalidType` for shapes and dtypes that do not fit,
    `ValueError` where only some of V1, V2, b are given.
    """
    if (V1 is None) != (V2 is None) or (V1 is None) != (b is None):
        raise ValueError("bilinear: got some of V1, V2, b; wanted all three or none")
    e1, e2, W = as_variable(e1), as_variable(e2), as_variable(W)
    sizes = [math.prod(e.shape[1:]) if e.ndim > 1 else 0 for e in (e1, e2)]
    if W.ndim != 3 or list(W.shape[:2]) != sizes or e1.shape[0] != e2.shape[0]:
        raise InvalidType(f"bilinear: e1 {e1.shape}, e2 {e2.shape}, W {W.shape}; wanted (N, J), (N, K), (J, K, L)")
    n, (j, k) = e1.shape[0], sizes
    e1, e2 = reshape(e1, (n, j)), reshape(e2, (n, k))
    pairs = reshape(reshape(e1, (n, j, 1)) * reshape(e2, (n, 1, k)), (n, j * k))
    y = linear(pairs, transpose(reshape(W, (j * k, W.shape[2]))))
    return y if b is None else y + linear(e1, transpose(V1), b) + linear(e2, transpose(V2))


class EmbedIDFunction(FunctionNode):
    """Rows of W by their numbers; zeros for `ignore_label`."""

    name = "embed_id"

    def __init__(self, ignore_label: int | None = None) -> None:
        self.ignore_label = ignore_label

    def forward(self, inputs: tuple) -> tuple:
        """Compute W[x]."""
        x, W = inputs
        if x.dtype.kind != "i" or x.ndim < 1 or W.dtype.kind != "f" or W.ndim != 2:
            raise InvalidType(
                f"embed_id: x is {x.dtype} {x.shape} and W is {W.dtype} {W.shape}; "
                "wanted signed integers with one axis or more, and floating point (V, D)"
            )
        if config.debug and not bool(((x == self.ignore_label) | ((x >= 0) & (x < len(W)))).all()):
            raise ValueError(f"embed_id: x has numbers outside of 0..{len(W) - 1} (checked because config.debug is on)")
        self.retain_inputs((0,))
        self._w_shape = W.shape
        if self.ignore_label is None:
            return (W[x],)
        ignored = x == self.ignore_label
        y = W[get_array_module(x).where(ignored, 0, x)]
        y[ignored] = 0
        return (y,)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """Add the gradients up, by number."""
        (x,) = self.get_retained_inputs()
        gW = EmbedIDGrad(self._w_shape, self.ignore_label).apply((x, grad_outputs[0]))[0] if 1 in indexes else None
        return tuple(gW if i else None for i in indexes)


class EmbedIDGrad(FunctionNode):
    """The transpose of :class:`EmbedIDFunction`: zeros, with every row of gy added at its number."""

    def __init__(self, w_shape: tuple[int, ...], ignore_label: int | None = None) -> None:
        self.w_shape, self.ignore_label = w_shape, ignore_label

    def forward(self, inputs: tuple) -> tuple:
        """Compute gW."""
        x, gy = inputs
        self.retain_inputs((0,))
        xp = get_array_module(x)
        gW = xp.zeros(self.w_shape, gy.dtype)
        if self.ignore_label is not None:
            kept = x != self.ignore_label
            x, gy = x[kept], gy[kept]
        xp.add.at(gW, x, gy)
        return (gW,)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """Pick the rows again."""
        (x,) = self.get_retained_inputs()
        return tuple(embed_id(x, grad_outputs[0], self.ignore_label) if i else None for i in indexes)


def embed_id(x: Any, W: Any, ignore_label: int | None = None) -> Variable:
    """Return W[x]: row number x of a table of vectors, zeros where x is `ignore_label`.

    x: signed integers of any shape; W: (V, D), floating. Returns the shape of x with D behind. Raises `InvalidType` for
    other dtypes or shapes, `IndexError` for numbers that are not below V; in debug mode `ValueError`, for negative ones
    too.
    """
    return EmbedIDFunction(ignore_label).apply((x, W))[0]


# --------------------------------------------------------------------------------------------------------------------
# convolution, transposed convolution, gradient of the weight
# --------------------------------------------------------------------------------------------------------------------


class NamesOfAxes:
    """`sy, sx, ph, pw, dy, dx, kh, kw, outh, outw`: the numbers of images, one by one, as Chainer's 2-d classes do."""

    _tuples = {"s": "stride", "p": "pad", "d": "dilate", "k": "ksize", "out": "outs"}  # noqa: RUF012

    def __getattr__(self, name: str) -> Any:
        if name[:-1] in self._tuples and name[-1] in "hwyx":
            return getattr(self, self._tuples[name[:-1]])[name[-1] in "wx"]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")


class _Convolution(_Weighted):
    """What the three nodes share: a geometry. `outs` is the size of the result, None until it is known."""

    one_type_with_bias = False
    #: The axis of W for the channels of x; the other one is for those of y.
    x_axis = 1
    layout = "O, C / groups"
    outs: tuple[int, ...] | None = None

    def __init__(self, ndim: int, stride: Any = 1, pad: Any = 0, dilate: Any = 1, groups: int = 1) -> None:
        if groups < 1:
            raise ValueError(f"{self.name}: groups is {groups}; wanted 1 or more")
        self.ndim = ndim
        self.stride = lengths(self.name, "stride", stride, ndim, 1)
        self.pad = lengths(self.name, "pad", pad, ndim, 0)
        self.dilate = lengths(self.name, "dilate", dilate, ndim, 1)
        self.groups = int(groups)

    def __str__(self) -> str:
        return f"stride={self.stride}, pad={self.pad}, dilate={self.dilate}"

    @property
    def geometry(self) -> tuple:
        """How windows lie over an image, in the order in which the kernels take it."""
        return self.stride, self.pad, self.dilate, self.groups

    def _other(self, kind: type[_Convolution], x: Any, W: Any, outs: tuple[int, ...], dtype: Any = None) -> Variable:
        """Another of the three, of the same geometry."""
        node = kind(self.ndim, self.stride, self.pad, dilate=self.dilate, groups=self.groups)
        node.outs, node.dtype = outs, dtype
        return node.apply((x, W))[0]

    def _sum(self, gy: Variable) -> Variable:
        assert self.inputs is not None
        return cast(sum(gy, axis=(0, *range(2, gy.ndim))), self.inputs[2].dtype)

    def check(self, inputs: Sequence[Any]) -> None:
        """Raise unless the shapes of x, W and b fit."""
        super().check(inputs)
        x, W, axis = inputs[0], inputs[1], self.x_axis
        if x.ndim != self.ndim + 2 or W.ndim != self.ndim + 2:
            raise InvalidType(
                f"{self.name}: x has shape {x.shape} and W has shape {W.shape}; wanted {self.ndim + 2} axes each, "
                f"x (N, C, size...) and W ({self.layout}, ksize...); reshape them"
            )
        channels = W.shape[axis] * (self.groups if axis else 1)
        if x.shape[1] != channels:
            raise WrongSize(
                f"{self.name}: x has {x.shape[1]} channels (shape {x.shape}) but W, of shape {W.shape} "
                f"({self.layout}, ...), is for {channels} with groups={self.groups}; check the channels of the layer"
            )
        if W.shape[0] % self.groups:
            raise WrongSize(f"{self.name}: W.shape[0] is {W.shape[0]}; wanted a multiple of groups={self.groups}")
        self.check_bias(inputs, W.shape[1 - axis] * (1 if axis else self.groups))

    def _sizes(self, x: Any, W: Any) -> list[tuple[int, int, int, int, int]]:
        """(size, k, s, p, d) of each axis."""
        return list(zip(x.shape[2:], W.shape[2:], self.stride, self.pad, self.dilate))

    def _check_outs(self, x: Any, W: Any, outs: tuple[int, ...]) -> None:
        if min(outs, default=1) < 1:
            raise WrongSize(
                f"{self.name}: x has shape {x.shape} but a kernel of {W.shape[2:]} with {self} would give "
                f"an output of size {outs}; wanted at least 1; take other sizes of x, pad or the kernel"
            )


class ConvolutionND(_Convolution):
    """y = x * W + b for x (N, C, size...), W (O, C / groups, ksize...), b (O,): see `convolution_nd`."""

    name = "convolution_nd"

    def __init__(
        self, ndim: int, stride: Any = 1, pad: Any = 0, cover_all: bool = False, dilate: Any = 1, groups: int = 1
    ) -> None:
        super().__init__(ndim, stride, pad, dilate, groups)
        self.cover_all = cover_all

    def forward(self, inputs: tuple) -> tuple:
        """Compute y, channels-last in memory."""
        self.check(inputs)
        x, W, *b = inputs
        if self.outs is None:
            sizes = self._sizes(x, W)
            self.outs = tuple(get_conv_outsize(n, k, s, p, self.cover_all, d) for n, k, s, p, d in sizes)
        self._check_outs(x, W, self.outs)
        self.retain_inputs((0, 1))
        y = convolve(x, W, *self.geometry, self.outs, b=self._bias_of_product(x, W, b))
        return self._activated(y, b)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """gx is the transposed convolution of gy with W, gb the sum of gy for each channel."""
        x, W = self.get_retained_inputs()
        gy, gb = self._in_front(grad_outputs[0], 2 in indexes)
        gradients = (
            lambda: self._other(DeconvolutionND, gy, W, x.shape[2:]),
            lambda: self._other(ConvolutionNDGradW, x, gy, W.shape[2:], W.dtype),
            lambda: self._sum(gy) if gb is None else gb,
        )
        return tuple(gradients[i]() for i in indexes)


class DeconvolutionND(_Convolution):
    """The transpose of `ConvolutionND`: x (N, C, size...), W (C, O / groups, ksize...), b (O,)."""

    name = "deconvolution_nd"
    x_axis = 0
    layout = "C, O / groups"

    def __init__(
        self, ndim: int, stride: Any = 1, pad: Any = 0, outsize: Any = None, dilate: Any = 1, groups: int = 1
    ) -> None:
        super().__init__(ndim, stride, pad, dilate, groups)
        if outsize is not None and tuple(np.atleast_1d(outsize)) != (None,) * ndim:
            self.outs = lengths(self.name, "outsize", outsize, ndim, 1)

    def forward(self, inputs: tuple) -> tuple:
        """Compute y, channels-last in memory."""
        self.check(inputs)
        x, W, *b = inputs
        sizes = self._sizes(x, W)
        if self.outs is None:
            self.outs = tuple(get_deconv_outsize(n, k, s, p, d=d) for n, k, s, p, d in sizes)
        self._check_outs(x, W, self.outs)
        for length, (n, k, s, p, d) in zip(self.outs, sizes):
            least = get_deconv_outsize(n, k, s, p, cover_all=True, d=d)
            if not least <= length <= least + 2 * (s - 1):
                raise InvalidType(
                    f"{self.name}: outsize is {self.outs} for x of shape {x.shape}, a kernel of {W.shape[2:]} and "
                    f"{self}; wanted {max(least, 1)} to {least + 2 * (s - 1)} where it says {length}, the "
                    "lengths whose convolution gives x's back"
                )
        self.retain_inputs((0, 1))
        bias = self._bias_of_product(x, W, b)
        if not self.fused:
            return (deconvolve(x, W, *self.geometry, self.outs, b=bias),)
        self.retain_outputs((0,))
        behind = str(self.activation), self.slope
        return (deconvolve(x, W, *self.geometry, self.outs, b=b[0], behind=behind),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """gx is the convolution of gy with W; for gW, gy and x change places."""
        x, W = self.get_retained_inputs()
        gy, gb = self._in_front(grad_outputs[0], 2 in indexes)
        gradients = (
            lambda: self._other(ConvolutionND, gy, W, x.shape[2:]),
            lambda: self._other(ConvolutionNDGradW, gy, x, W.shape[2:], W.dtype),
            lambda: self._sum(gy) if gb is None else gb,
        )
        return tuple(gradients[i]() for i in indexes)


class ConvolutionNDGradW(_Convolution):
    """The gradient of a convolution's weight: x (N, C, ...), gy (N, O, ...) to gW (O, C / groups, ...), size `outs`."""

    name = "convolution_nd_grad_w"

    def forward(self, inputs: tuple) -> tuple:
        """Compute gW."""
        self.retain_inputs((0, 1))
        return (convolution_weight_gradient(*inputs, self.outs, *self.geometry, dtype=self.dtype),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """It is linear in x and in gy, as the convolution is in x and W."""
        x, gy = self.get_retained_inputs()
        (ggW,) = grad_outputs
        gradients = (
            lambda: self._other(DeconvolutionND, gy, ggW, x.shape[2:]),
            lambda: self._other(ConvolutionND, x, ggW, gy.shape[2:]),
        )
        return tuple(gradients[i]() for i in indexes)


class Convolution2DFunction(NamesOfAxes, ConvolutionND):
    """`ConvolutionND` over images; the dtype of b is that of x."""

    name = "convolution_2d"
    one_type_with_bias = True

    def __init__(
        self, stride: Any = 1, pad: Any = 0, cover_all: bool = False, *, dilate: Any = 1, groups: int = 1
    ) -> None:
        super().__init__(2, stride, pad, cover_all, dilate, groups)


class Deconvolution2DFunction(NamesOfAxes, DeconvolutionND):
    """`DeconvolutionND` over images; the dtype of b is that of x."""

    name = "deconvolution_2d"
    one_type_with_bias = True

    def __init__(self, stride: Any = 1, pad: Any = 0, outsize: Any = None, *, dilate: Any = 1, groups: int = 1) -> None:
        super().__init__(2, stride, pad, outsize, dilate, groups)


def convolution_2d(
    x: Any, W: Any, b: Any = None, stride: Any = 1, pad: Any = 0, cover_all: bool = False, *,
    dilate: Any = 1, groups: int = 1, activation: str | None = None, slope: float = 0.2,
) -> Variable:  # fmt: skip
    """Return y[n, o, i, j] = b[o] + sum_{c,u,v} W[o, c, u, v] x[n, c, i sy + u dy - py, j sx + v dx - px].

    This is what networks call convolution (the kernel is not turned around); x is zero outside.

    x: (N, C, H, W); W: (O, C / groups, kh, kw); b: (O,) of the dtype of x, or None; floating. `stride`, `pad`, `dilate`
    are numbers or pairs (vertical, horizontal). With `groups` the channels are split, and each group of outputs sees
    its own group of inputs. `activation` and `slope` as for `linear`. Returns (N, O, oh, ow) of the length
    floor((H + 2 p - d (k - 1) - 1) / s) + 1, with ceil if `cover_all`, so that every pixel is seen; in the dtype of x.
    Raises `InvalidType` for shapes and dtypes that do not fit.
    """
    node = Convolution2DFunction(stride, pad, cover_all, dilate=dilate, groups=groups)
    return node.and_activation((x, W) if b is None else (x, W, b), activation, slope)


def deconvolution_2d(
    x: Any, W: Any, b: Any = None, stride: Any = 1, pad: Any = 0, outsize: Any = None, *,
    dilate: Any = 1, groups: int = 1, activation: str | None = None, slope: float = 0.2,
) -> Variable:  # fmt: skip
    """Return the transpose of `convolution_2d`: every x[n, c, i, j] adds W[c] times itself to a window of y.

    x: (N, C, H, W); W: (C, O / groups, kh, kw); b: (O,) of the dtype of x, or None; floating. `stride`, `pad`,
    `dilate`, `groups` are those of the convolution whose transpose this is; `activation` and `slope` as for `linear`.
    Returns (N, O, oh, ow) of the length
    s (H - 1) + d (k - 1) + 1 - 2 p, or of `outsize` (oh, ow), from which the convolution must lead back to H; in the
    dtype of x. Raises `InvalidType` for shapes and dtypes that do not fit.
    """
    node = Deconvolution2DFunction(stride, pad, outsize, dilate=dilate, groups=groups)
    return node.and_activation((x, W) if b is None else (x, W, b), activation, slope)


def convolution_nd(
    x: Any, W: Any, b: Any = None, stride: Any = 1, pad: Any = 0, cover_all: bool = False, dilate: Any = 1,
    groups: int = 1, *, activation: str | None = None, slope: float = 0.2,
) -> Variable:  # fmt: skip
    """`convolution_2d` over any number of axes: x (N, C, size...), W (O, C / groups, ksize...), b (O,) or None.

    `stride`, `pad`, `dilate` are numbers or tuples with one number per axis. b may be of any floating dtype.
    """
    x = as_variable(x)
    node = ConvolutionND(x.ndim - 2, stride, pad, cover_all, dilate, groups)
    return node.and_activation((x, W) if b is None else (x, W, b), activation, slope)


def deconvolution_nd(
    x: Any, W: Any, b: Any = None, stride: Any = 1, pad: Any = 0, outsize: Any = None, dilate: Any = 1,
    groups: int = 1, *, activation: str | None = None, slope: float = 0.2,
) -> Variable:  # fmt: skip
    """`deconvolution_2d` over any number of axes: x (N, C, size...), W (C, O / groups, ksize...), b (O,) or None.

    `stride`, `pad`, `dilate`, `outsize` are numbers or tuples with one number per axis. b may be of any floating dtype.
    """
    x = as_variable(x)
    node = DeconvolutionND(x.ndim - 2, stride, pad, outsize, dilate, groups)
    return node.and_activation((x, W) if b is None else (x, W, b), activation, slope)


def fixed_axes(function: Callable[..., Any], ndim: int) -> Callable[..., Any]:
    """`function` ("..._nd") for images of `ndim` axes only; `ValueError` for others."""
    name = function.__name__.replace("nd", f"{ndim}d")

    @wraps(function)
    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        return function(with_axes(name, x, ndim), *args, **kwargs)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"`{function.__name__}` for x (N, C, and {ndim} more); `ValueError` for other x."
    return call


def with_axes(function: str, x: Any, ndim: int) -> Variable:
    """Return x as a Variable; raise `ValueError` unless it is (N, C, and so many axes)."""
    x = as_variable(x)
    if x.ndim != ndim + 2:
        raise WrongSize(f"{function}: x has {x.ndim} axes (shape {x.shape}); wanted {ndim + 2}, (N, C, size...)")
    return x


def lengths(function: str, argument: str, value: Any, ndim: int, least: int) -> tuple[int, ...]:
    """One whole number for each axis, from one number or so many."""
    values = as_tuple(value, ndim)
    if not all(isinstance(n, int | np.integer) and n >= least for n in values):
        raise ValueError(f"{function}: {argument} is {value!r}; wanted an integer of at least {least}, or {ndim}")
    return tuple(int(n) for n in values)


convolution_1d, convolution_3d = (fixed_axes(convolution_nd, n) for n in (1, 3))
deconvolution_1d, deconvolution_3d = (fixed_axes(deconvolution_nd, n) for n in (1, 3))
