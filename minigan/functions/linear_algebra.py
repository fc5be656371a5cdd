"""Matrices and other products of axes: matmul, tensordot, einsum, determinant, inverse, Cholesky, Fourier, sparse.

Products take mixed floating-point types and give the widest. Sparse matrices are lists of their entries (COO), made of
the same pieces as everything else: gather, multiply, scatter.
"""

from __future__ import annotations

import string
import warnings
from typing import Any, ClassVar

import numpy as np

from minigan import core
from minigan.backend import get_array_module
from minigan.core import FunctionNode, GetItemGrad, Variable, as_variable, get_item, reshape, transpose
from minigan.functions.math import promoted
from minigan.functions.reduction import Select
from minigan.utils.type_check import InvalidType

__all__ = [
    "batch_det", "batch_inv", "batch_matmul", "cholesky", "det", "einsum", "fft", "ifft", "inv", "matmul",
    "sparse_matmul", "tensordot",
]  # fmt: skip


def matmul(a: Any, b: Any, transa: bool = False, transb: bool = False) -> Variable:
    """Matrix product over the last two axes, earlier axes broadcast: (..., M, K) @ (..., K, N) -> (..., M, N).

    `transa` and `transb` swap the last two axes first. A 1-D argument is a row on the left, a column on the right, and
    its axis is gone from the result; transposing it changes nothing.
    """
    return core.matmul(_swap_last(as_variable(a), transa), _swap_last(as_variable(b), transb))


def _swap_last(x: Variable, wanted: bool = True) -> Variable:
    return transpose(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2)) if wanted and x.ndim > 1 else x


def batch_matmul(a: Any, b: Any, transa: bool = False, transb: bool = False) -> Variable:
    """Products a[i] @ b[i]; without a last axis an argument is a batch of columns. Use matmul in new code."""
    warnings.warn("batch_matmul is deprecated; use matmul", DeprecationWarning, stacklevel=2)
    a, b = as_variable(a), as_variable(b)
    if not 2 <= a.ndim <= 3 or not 2 <= b.ndim <= 3 or a.shape[0] != b.shape[0]:
        raise InvalidType(f"batch_matmul: got shapes {a.shape} and {b.shape}; wanted two batches of one length.")
    a, b = (reshape(x, (*x.shape, 1)) if x.ndim == 2 else x for x in (a, b))
    return matmul(a, b, transa, transb)


def tensordot(a: Any, b: Any, axes: Any = 2) -> Variable:
    """Sum of products over axes of a paired with axes of b; what is left of a comes before what is left of b.

    `axes` is the number of last axes of a and first axes of b, or a pair of axes or lists of axes. Raises `ValueError`
    for axes that do not pair up.
    """
    a, b = as_variable(a), as_variable(b)
    if isinstance(axes, (tuple, list, str)):
        if len(axes) != 2 or isinstance(axes, str):
            raise ValueError(f"tensordot: axes is {axes!r}; wanted an int, or a pair of ints or lists of ints.")
        pair = [[axis] if isinstance(axis, (int, np.integer)) else list(axis) for axis in axes]
    elif isinstance(axes, (int, np.integer)):
        pair = [list(range(max(a.ndim - axes, 0), a.ndim)), list(range(max(axes, 0)))]
        if axes > min(a.ndim, b.ndim):
            raise ValueError(f"tensordot: axes is {axes}, but a has {a.ndim} axes and b has {b.ndim}.")
    else:
        raise TypeError(f"tensordot: axes is {axes!r}; wanted an int, or a pair of ints or lists of ints.")
    missing = any(not -x.ndim <= i < x.ndim for x, numbers in zip((a, b), pair) for i in numbers)
    if missing or [a.shape[i] for i in pair[0]] != [b.shape[i] for i in pair[1]]:
        raise ValueError(f"tensordot: axes {axes} do not pair equal lengths of {a.shape} and {b.shape}.")
    left, right = list(string.ascii_lowercase[: a.ndim]), list(string.ascii_uppercase[: b.ndim])
    for i, j in zip(*pair):
        right[j] = left[i]
    outer = [c for c in left + right if (c in left) != (c in right)]
    if len(outer) != a.ndim + b.ndim - 2 * len(pair[0]):
        raise ValueError(f"tensordot: axes {axes} names an axis twice.")
    return EinSum(f"{''.join(left)},{''.join(right)}", "".join(outer)).apply((a, b))[0]


class DiagEinSum(FunctionNode):
    """Einstein's sum, `in_subs` as "ij,jk". In `out_sub` a letter may come twice (a diagonal, zeros elsewhere) or not
    stand in `in_subs` (repeated along that axis, whose length is in `out_shape`): so a gradient is again one of these.
    """

    name = "einsum"

    def __init__(self, in_subs: str, out_sub: str, out_shape: Any = None) -> None:
        self.in_subs, self.out_sub, self.out_shape = in_subs, out_sub, out_shape

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        xp = get_array_module(*inputs)
        self.retain_inputs(range(len(inputs)))
        dtype = np.result_type(*[x.dtype for x in inputs])
        if any(x.dtype.kind != "f" for x in inputs):
            raise InvalidType(f"einsum: got {', '.join(str(x.dtype) for x in inputs)}; wanted floating point.")
        wide = [x.astype(np.float32 if dtype == np.float16 else dtype, copy=False) for x in inputs]
        letters = list(dict.fromkeys(self.out_sub))
        found = "".join(c for c in letters if c in self.in_subs)
        try:
            y = xp.einsum(f"{self.in_subs}->{found}", *wide, optimize=len(inputs) > 1)
        except ValueError as error:
            raise InvalidType(f"einsum: {self.in_subs} for shapes {[x.shape for x in inputs]}: {error}") from error
        y = xp.asarray(y).astype(dtype, copy=False)
        if self.out_shape is None:
            return (y,)
        result = xp.zeros(self.out_shape, dtype)
        axes = {c: [i for i, other in enumerate(self.out_sub) if other == c] for c in letters}
        diagonal = xp.lib.stride_tricks.as_strided(
            result, [self.out_shape[axes[c][0]] for c in letters],
            [sum(result.strides[i] for i in axes[c]) for c in letters],
        )  # fmt: skip
        diagonal[...] = y.reshape([n if c in found else 1 for c, n in zip(letters, diagonal.shape)])
        return (result,)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:  # noqa: D102
        xs, subs = self.get_retained_inputs(), self.in_subs.split(",")
        gradients = []
        for i in indexes:
            others = ",".join([self.out_sub, *subs[:i], *subs[i + 1 :]])
            node = DiagEinSum(others, subs[i], xs[i].shape)
            gradients.append(core.cast(node.apply((grad_outputs[0], *xs[:i], *xs[i + 1 :]))[0], xs[i].dtype))
        return tuple(gradients)


class EinSum(DiagEinSum):
    """Einstein's sum in which each letter of the output stands there once and in the input."""


def einsum(*operands: Any) -> Variable:
    """Einstein's sum, as `numpy.einsum`: `einsum("ij,jk->ik", a, b)` or `einsum(a, [0, 1], b, [1, 2], [0, 2])`.

    Axes under "..." are not broadcast and not summed over. Raises `ValueError` for subscripts without sense,
    `InvalidType` for lengths that do not fit.
    """
    if not operands:
        raise ValueError("einsum: got no arguments; wanted subscripts and arrays.")
    if isinstance(operands[0], str):
        subscripts, xs = operands[0].replace(" ", ""), operands[1:]
    else:
        parts = [_letters(sub) for sub in (*operands[1::2], *(operands[-1:] if len(operands) % 2 else ()))]
        xs = operands[: len(operands) // 2 * 2 : 2]
        subscripts = ",".join(parts[: len(xs)]) + ("->" + parts[-1] if len(operands) % 2 else "")
    variables = [as_variable(x) for x in xs]
    inputs, arrow, output = subscripts.replace("...", "@").partition("->")
    subs = inputs.split(",")
    if wrong := set(subscripts.replace("...", "").replace("->", "", 1)) - {*string.ascii_letters, ","}:
        raise ValueError(f"einsum: {subscripts!r} contains {min(wrong)!r}.")
    if len(subs) != len(variables):
        raise ValueError(f"einsum: {subscripts!r} names {len(subs)} operands, got {len(variables)}.")
    free = [c for c in string.ascii_letters if c not in inputs]
    hidden = ""
    for i, (sub, x) in enumerate(zip(subs, variables)):
        extra = x.ndim - len(sub.replace("@", ""))
        if extra < 0 or sub.count("@") > 1 or (extra and "@" not in sub):
            raise ValueError(f"einsum: {sub.replace('@', '...')!r} does not name the axes of shape {x.shape}.")
        if "@" in sub:
            place = sub.index("@")
            shape = x.shape[place : place + extra]
            if hidden == "":
                hidden, lengths = "".join(free[:extra]) or "@", shape
            if shape != lengths:
                raise InvalidType(f"einsum: '...' stands for {lengths} and for {shape}; wanted the same.")
            subs[i] = sub.replace("@", hidden.replace("@", ""))
    if not arrow:
        output = ("@" if hidden else "") + "".join(c for c in sorted({*inputs} - {*",@"}) if inputs.count(c) == 1)
    if missing := {*output} - {*inputs}:
        raise ValueError(f"einsum: {min(missing)!r} of the output does not stand in {subscripts!r}.")
    if len({*output}) < len(output) or (hidden.strip("@") and "@" not in output):
        raise ValueError(f"einsum: the output of {subscripts!r} repeats a letter or sums over '...'.")
    return EinSum(",".join(subs), output.replace("@", hidden.replace("@", ""))).apply(variables)[0]


def _letters(subscript: Any) -> str:
    return "".join("..." if i is Ellipsis else (string.ascii_uppercase + string.ascii_lowercase)[i] for i in subscript)


class _Square(FunctionNode):
    """A function of square matrices; float16 is computed in float32."""

    arguments = ("a",)
    axes: ClassVar[int] = 2

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        (x,) = inputs
        if x.ndim != self.axes or x.shape[-1] != x.shape[-2]:
            raise InvalidType(f"{self._title()}: a has shape {x.shape}; wanted {self.axes} axes, the last two equal.")
        self.retain_outputs((0,))
        return (self._compute(x).astype(x.dtype, copy=False),)

    def _compute(self, x: Any) -> Any:
        wide = x.astype(np.float32) if x.dtype == np.float16 else x
        try:
            return get_array_module(x).linalg.inv(wide)
        except np.linalg.LinAlgError as error:
            raise ValueError(f"{self._title()}: a matrix is singular.") from error


class Inv(_Square):
    """The inverse matrix Y; gX = -Y^T gY Y^T."""

    def backward(self, indexes: Any, grad_outputs: tuple) -> tuple:  # noqa: D102
        (y,) = self.get_retained_outputs()
        return (-matmul(matmul(y, grad_outputs[0], transa=True), y, transb=True),)


class BatchInv(Inv):
    """The inverse of each matrix."""

    axes = 3


class BatchDet(_Square):
    """The determinants y; gX = gy y (X^-1)^T."""

    axes = 3

    def _compute(self, x: Any) -> Any:
        self.retain_inputs((0,))
        return get_array_module(x).linalg.det(x.astype(np.float32) if x.dtype == np.float16 else x)

    def backward(self, indexes: Any, grad_outputs: tuple) -> tuple:  # noqa: D102
        (x,), (y,) = self.get_retained_inputs(), self.get_retained_outputs()
        return (reshape(grad_outputs[0] * y, (-1, 1, 1)) * _swap_last(batch_inv(x)),)


class Cholesky(_Square):
    """The lower triangle L with L L^T = A. With P the lower triangle of L^T gL, its diagonal halved, the gradient is
    the symmetric part of L^-T P L^-1 (I. Murray, Differentiation of the Cholesky decomposition, 2016).
    """

    name = label = "cholesky"  # type: ignore[assignment]

    def _compute(self, x: Any) -> Any:
        return get_array_module(x).linalg.cholesky(x)

    def backward(self, indexes: Any, grad_outputs: tuple) -> tuple:  # noqa: D102
        (y,) = self.get_retained_outputs()
        xp = y.xp
        half = xp.tril(xp.ones_like(y.array)) - xp.eye(len(y), dtype=y.dtype) / 2
        inverse = inv(y)
        gx = matmul(matmul(inverse, matmul(y, grad_outputs[0], transa=True) * half, transa=True), inverse)
        return ((gx + transpose(gx)) * 0.5,)


def inv(a: Any) -> Variable:
    """Inverse of the matrix (N, N). Raises `ValueError` for a singular one, `InvalidType` for another shape."""
    return Inv().apply((a,))[0]


def batch_inv(a: Any) -> Variable:
    """Inverses of matrices (B, N, N). Raises `ValueError` for singular ones, `InvalidType` for another shape."""
    return BatchInv().apply((a,))[0]


def batch_det(a: Any) -> Variable:
    """Determinants (B,) of matrices (B, N, N); the gradient of a singular one raises `ValueError`."""
    return BatchDet().apply((a,))[0]


def det(a: Any) -> Variable:
    """Determinant of the matrix (N, N); the gradient of a singular one raises `ValueError`."""
    a = as_variable(a)
    return reshape(batch_det(reshape(a, (1, *a.shape))), ())


def cholesky(a: Any) -> Variable:
    """Lower triangle L with L L^T = A for a symmetric, positive definite (N, N); `LinAlgError` for others."""
    return Cholesky().apply((a,))[0]


class FFT(FunctionNode):
    """The Fourier transform ("fft") or its inverse ("ifft") along the last axis, as real and imaginary parts."""

    arguments = ("real", "imag")

    def __init__(self, method: str) -> None:
        self.method = method

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        real, imag = inputs
        if real.shape != imag.shape:
            raise InvalidType(f"{self.method}: real has shape {real.shape}, imag {imag.shape}; wanted the same.")
        y = getattr(get_array_module(real).fft, self.method)(real + imag * 1j)
        return y.real.astype(real.dtype), y.imag.astype(real.dtype)

    def backward(self, indexes: Any, grad_outputs: tuple) -> tuple:  # noqa: D102
        gy = next(g for g in grad_outputs if g is not None)
        gys = tuple(gy * 0 if g is None else g for g in grad_outputs)
        n = gy.shape[-1]
        if self.method == "fft":
            gxs = tuple(g * n for g in ifft(gys))
        else:
            gxs = tuple(g / n for g in fft(gys))
        return tuple(gxs[i] for i in indexes)


def fft(x: Any) -> tuple[Variable, ...]:
    """Fourier transform along the last axis. `x` and the result are pairs: real and imaginary part."""
    real, imag = x
    return FFT("fft").apply((real, imag))


def ifft(x: Any) -> tuple[Variable, ...]:
    """Inverse Fourier transform along the last axis. `x` and the result are pairs: real and imaginary part."""
    real, imag = x
    return FFT("ifft").apply((real, imag))


# Sparse matrices -----------------------------------------------------------------------------------------------------


class CooMatrix:
    """A sparse matrix of `shape`, or a batch of them: data[k] at (row[k], col[k]); row -1 marks an unused place.

    `data`, `row` and `col` are arrays of one shape, (entries,) or (B, entries); `order` is "C", "F" or "other".
    """

    def __init__(self, data: Any, row: Any, col: Any, shape: Any, order: str | None = None,
                 requires_grad: bool = False) -> None:  # fmt: skip
        if not 1 <= data.ndim <= 2 or not data.shape == row.shape == col.shape:
            raise ValueError(f"CooMatrix: data {data.shape}, row {row.shape}, col {col.shape}; wanted one shape.")
        if len(shape) != 2:
            raise ValueError(f"CooMatrix: shape is {shape}; wanted two lengths.")
        if order not in ("C", "F", "other", None):
            raise ValueError(f"CooMatrix: order is {order!r}; wanted 'C', 'F', 'other' or None.")
        self.data = Variable(data, requires_grad=requires_grad)
        self.row, self.col, self.shape, self.order = row, col, shape, order or get_order(row, col)

    def to_dense(self) -> Any:
        """Return the matrix with its zeros, an array."""
        rows, columns = self.shape
        eye = self.data.xp.eye(columns, dtype=self.data.dtype)
        return sparse_matmul(self, self.data.xp.broadcast_to(eye, (*self.row.shape[:-1], columns, columns))).array


def get_order(row: Any, col: Any) -> str:
    """Return "C" for entries that run through the rows, "F" through the columns, else "other".

    Raises ``ValueError`` unless both have one shape and are -1 at the same places.
    """
    if row.shape != col.shape or bool(((row < 0) != (col < 0)).any()):
        raise ValueError("get_order: row and col must have one shape, and -1 for unused places in both")
    for order, major, minor in (("C", row, col), ("F", col, row)):
        step, turn = major[..., 1:] - major[..., :-1], minor[..., 1:] > minor[..., :-1]
        if bool(((step > 0) | ((step == 0) & turn) | (major[..., 1:] < 0)).all()):
            return order
    return "other"


def to_coo(x: Any, ldnz: int | None = None, requires_grad: bool = False) -> CooMatrix:
    """Make a matrix (M, N), or a batch of them (B, M, N), sparse; with room for at least `ldnz` entries."""
    xp = get_array_module(x)
    if not 2 <= x.ndim <= 3:
        raise ValueError(f"to_coo: x has shape {x.shape}; wanted 2 or 3 axes.")
    places = [xp.nonzero(matrix) for matrix in x.reshape(-1, *x.shape[-2:])]
    room = max([ldnz or 0, *(len(row) for row, _ in places)])
    data = xp.zeros((len(places), room), x.dtype)
    index = xp.full((2, len(places), room), -1, np.int32)
    for i, (row, col) in enumerate(places):
        data[i, : len(row)] = x.reshape(-1, *x.shape[-2:])[i, row, col]
        index[:, i, : len(row)] = xp.stack((row, col))
    if x.ndim == 2:
        data, index = data[0], index[:, 0]
    return CooMatrix(data, index[0], index[1], x.shape[-2:], requires_grad=requires_grad)


class CooMatMul:
    """Sparse times dense: `apply((data, dense))`, either transposed on the way in and the product on the way out."""

    def __init__(self, sp_row: Any, sp_col: Any, sp_shape: Any, sp_order: str = "other", transa: bool = False,
                 transb: bool = False, transc: bool = False, dtype: Any = None) -> None:  # fmt: skip
        self.row, self.col = (sp_col, sp_row) if transa else (sp_row, sp_col)
        self.shape = tuple(sp_shape)[::-1] if transa else tuple(sp_shape)
        self.transb, self.transc, self.dtype = transb, transc, dtype

    def apply(self, inputs: tuple) -> tuple[Variable]:
        """Gather the rows of the dense matrix, multiply each by its entry, add them up in their places."""
        data, dense = promoted("sparse_matmul", *inputs)
        dense = _swap_last(dense, self.transb)
        batch = data.shape[:-1]
        if dense.ndim != data.ndim + 1 or dense.shape[:-1] != (*batch, self.shape[1]):
            raise InvalidType(f"sparse_matmul: {(*batch, *self.shape)} times {dense.shape} does not fit.")
        data = Select(self.row >= 0).apply((data,))[0]
        first = (data.xp.arange(*batch)[:, None],) if batch else ()
        products = reshape(data, (*data.shape, 1)) * get_item(dense, (*first, self.col))
        shape = (*batch, self.shape[0], dense.shape[-1])
        y = _swap_last(GetItemGrad((*first, self.row), shape).apply((products,))[0], self.transc)
        return (y if self.dtype is None else core.cast(y, self.dtype),)


def sparse_matmul(a: Any, b: Any, transa: bool = False, transb: bool = False) -> Variable:
    """Matrix product of which one argument is a `CooMatrix`, with `transa` and `transb` as in matmul.

    Raises `ValueError` unless one argument is sparse and the other dense, `InvalidType` for shapes that do not fit.
    """
    if isinstance(a, CooMatrix) == isinstance(b, CooMatrix):
        raise ValueError("sparse_matmul: wanted one CooMatrix (see to_coo) and one dense matrix.")
    if isinstance(a, CooMatrix):
        return CooMatMul(a.row, a.col, a.shape, a.order, transa, transb).apply((a.data, b))[0]
    return CooMatMul(b.row, b.col, b.shape, b.order, not transb, not transa, True).apply((b.data, a))[0]
