"""Batch normalisation: the training forward pass and its first-order backward pass on bare arrays.

    y = gamma (x - mean) / sqrt(var + eps) + beta,   mean and var over the axes in ``axis``

(Ioffe & Szegedy 2015, algorithm 1). The work is all memory traffic, so on NumPy there are few passes, on several cores,
and a leaky rectifier behind it is part of them: whatever the layout of x in memory (NCHW, channels-last, (N, C)), its
buffer is one matrix whose columns have a fixed channel, and a channel sum is the product of a row of ones with a block
of rows. Where there are no such rows, because each sample has statistics of its own, and in other array libraries, the
formulas run as they stand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigan.kernels import rectifier
from minigan.kernels.parallel import spread
from minigan.kernels.workspace import borrow

# Measured on two cores with 1 MB of L2 each: rows of 32 KB were fastest, half and double 10 % slower. Blocks that stay
# in L2 are too small: two threads then spend the gain on Python's lock. Less than 4 MB is not worth waking one.
BLOCK_BYTES = 2 << 20
SHARED_BYTES = 4 << 20
ROW_BYTES = 32 * 1024
COPIES = 4  # pieces of a copy


def forward(
    x: Any, gamma: Any, beta: Any, eps: float = 2e-5, axis: tuple[int, ...] = (0, 2, 3), slope: float | None = None
) -> tuple[Any, Any, Any, Any]:
    """Normalise ``x`` over ``axis``; return ``(y, mean, var, inv_std)``, var being the biased variance.

    ``gamma`` and ``beta`` have the shape of the axes that remain (``(C,)`` for x of (N, C, H, W)), and so have mean,
    var and ``inv_std = 1 / sqrt(var + eps)``. y has the dtype and the memory layout of x; the statistics are float64
    (other array libraries, and an axis 0 that is kept: float32 unless x is float64). float16 is computed in float32.
    With a ``slope``, 0 <= slope <= 1, the leaky rectifier follows at once; only if :func:`in_blocks`.
    """
    dtype = np.promote_types(x.dtype, np.float32)
    if in_blocks(x, axis):
        matrix = _Matrix(x, axis, dtype)
        mean, var = _moments(matrix)
        inv_std = 1 / np.sqrt(var + eps)
        y = _scale_shift(matrix, mean, gamma * inv_std, beta, _is_near_zero(mean, var), slope)
        return y.astype(x.dtype, copy=False), mean, var, inv_std
    return _plain_forward(x, gamma, beta, eps, axis)


def forward_fixed(
    x: Any, gamma: Any, beta: Any, mean: Any, var: Any, eps: float = 2e-5, axis: tuple[int, ...] = (0, 2, 3)
) -> Any:
    """Normalise ``x`` with a given mean and variance (shapes as gamma): gamma (x - mean) / sqrt(var + eps) + beta."""
    dtype = np.promote_types(x.dtype, np.float32)
    scale = gamma / (var.astype(dtype, copy=False) + eps) ** 0.5
    if isinstance(x, np.ndarray) and x.size:
        y = _scale_shift(_Matrix(x, axis, dtype), mean, scale, beta, _is_near_zero(mean, var))
        return y.astype(x.dtype, copy=False)
    shape = _keep_shape(x, axis)
    y = (x.astype(dtype, copy=False) - mean.reshape(shape)) * scale.reshape(shape) + beta.reshape(shape)
    return y.astype(x.dtype, copy=False)


def backward(
    x: Any, gamma: Any, mean: Any, inv_std: Any, gy: Any, axis: tuple[int, ...] = (0, 2, 3), y: Any = None,
    slope: float | None = None,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Return ``(gx, ggamma, gbeta)`` for the gradient ``gy`` of the output; mean and inv_std are those of forward.

    With xhat = (x - mean) inv_std and m the number of values per channel:
    gbeta = sum gy, ggamma = sum gy xhat, gx = gamma inv_std (gy - (gbeta + xhat ggamma) / m).
    gx has dtype and layout of x, ggamma and gbeta are float32 or float64 as in :func:`forward`. With a ``slope`` gy is
    the gradient behind the rectifier, and y what forward returned.
    """
    dtype = np.promote_types(x.dtype, np.float32)
    if in_blocks(x, axis):
        matrix = _Matrix(x, axis, dtype)
        gx, gradient = np.empty_like(matrix.array), matrix.like(gy)
        near_zero = _is_near_zero(mean, 1 / inv_std**2)
        behind = None if slope is None else (matrix.like(y), slope, gx)
        gbeta, ggamma = _gradient_sums(matrix, gradient, mean, near_zero, behind)
        ggamma *= inv_std
        tilt, offset = -inv_std * ggamma / matrix.count, -gbeta / matrix.count
        _input_gradient(matrix, gx if behind else gradient, mean, tilt, offset, gamma * inv_std, near_zero, gx)
        return gx.astype(x.dtype, copy=False), ggamma.astype(dtype), gbeta.astype(dtype)
    return _plain_backward(x, gamma, mean, inv_std, gy, axis)


def in_blocks(x: Any, axis: tuple[int, ...]) -> bool:
    """Whether the buffer of x is computed as a matrix; otherwise the formulas run as they stand."""
    return isinstance(x, np.ndarray) and x.size > 0 and 0 in axis


class _Matrix:
    """A compact array seen as rows of its own memory, such that the channel depends on the column alone.

    The axes are taken in memory order. Those before the first channel axis are the rows; several short rows are taken
    as one long one, since NumPy works along a row and a row of C values ends too soon.
    """

    def __init__(self, x: np.ndarray, axis: tuple[int, ...], dtype: np.dtype) -> None:
        self.axis, self.dtype = axis, dtype
        compact = x.astype(dtype, order="K", copy=False)
        self.order = sorted(range(x.ndim), key=lambda i: (-abs(compact.strides[i]), i))
        if not compact.transpose(self.order).flags.c_contiguous:
            compact = compact.transpose(self.order).copy().transpose(np.argsort(self.order))
        self.array = compact
        keys = [i for i in self.order if i not in axis]
        first = min((self.order.index(i) for i in keys), default=0)
        tail = [x.shape[i] for i in self.order[first:]]
        rows, columns = int(np.prod([x.shape[i] for i in self.order[:first]])), int(np.prod(tail))
        most = max(1, min(rows, ROW_BYTES // (columns * dtype.itemsize)))
        joined = next(k for k in range(most, 0, -1) if rows % k == 0)
        self.shape = (rows // joined, joined * columns)
        self.count = x.size // max(1, int(np.prod([x.shape[i] for i in keys])))
        # How a channel parameter spreads over the columns, and which axes of the columns a channel sum runs over.
        self._columns = (joined, *tail)
        self._key_order = [sorted(keys).index(i) for i in keys]
        self._spread = (1, *(1 if i in axis else x.shape[i] for i in self.order[first:]))
        self._reduced = (0, *(p + 1 for p, i in enumerate(self.order[first:]) if i in axis))

    def rows(self, array: np.ndarray) -> np.ndarray:
        """The memory of ``array``, which is laid out as ``self.array``, as the matrix."""
        return array.transpose(self.order).reshape(self.shape)

    def like(self, array: np.ndarray) -> np.ndarray:
        """``array`` in the memory layout of ``self.array``: a copy only where it differs."""
        if array.strides == self.array.strides and array.dtype == self.dtype:
            return array
        copy = np.empty_like(self.array)
        share = len(copy) if copy.nbytes < SHARED_BYTES else -(-len(copy) // COPIES)

        def fill(first: int) -> None:
            copy[first : first + share] = array[first : first + share]

        spread(fill, range(0, len(copy), share))
        return copy

    def spread(self, parameter: Any) -> np.ndarray:
        """One value per column from one value per channel."""
        values = np.asarray(parameter, self.dtype).transpose(self._key_order).reshape(self._spread)
        return np.ascontiguousarray(np.broadcast_to(values, self._columns)).reshape(-1)

    def gather(self, columns: np.ndarray) -> np.ndarray:
        """Channel sums, float64, from column sums."""
        sums = columns.reshape(self._columns).sum(axis=self._reduced, dtype=np.float64)
        return sums.transpose(np.argsort(self._key_order))

    def blocks(self) -> list[slice]:
        """Slices of rows, as many for either of two threads."""
        rows, size = self.shape[0], self.array.nbytes
        count = 1 if size < SHARED_BYTES else -(-size // (2 * BLOCK_BYTES)) * 2
        step = -(-rows // count)
        return [slice(i, min(i + step, rows)) for i in range(0, rows, step)]

    def scratch(self, rows: int) -> np.ndarray:
        """Room for so many rows, in each thread for itself."""
        return borrow(np, "batch_norm", (rows, self.shape[1]), self.dtype)

    def sums(self, of_block: Callable[[slice], tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
        """Channel sums from the two column sums of each block."""
        one, other = zip(*spread(of_block, self.blocks()))
        return self.gather(np.sum(one, axis=0, dtype=np.float64)), self.gather(np.sum(other, axis=0, dtype=np.float64))


def _moments(matrix: _Matrix) -> tuple[np.ndarray, np.ndarray]:
    """Mean and biased variance in float64: mean (x - c)^2 - (mean (x - c))^2 for some c.

    c = 0 loses digits where the mean is far from 0, all of them for 1e4 +- 1 in float32; there c is the mean that the
    first attempt found.
    """
    mean, var = _moments_around(matrix, None)
    if not _is_near_zero(mean, var):
        mean, var = _moments_around(matrix, mean.astype(matrix.dtype))
    return mean, var


def _moments_around(matrix: _Matrix, centre: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    x, columns = matrix.rows(matrix.array), None if centre is None else matrix.spread(centre)

    def sums(block: slice) -> tuple[np.ndarray, np.ndarray]:
        chunk = _minus(matrix, x[block], columns)
        return np.ones(len(chunk), matrix.dtype) @ chunk, np.einsum("rk,rk->k", chunk, chunk)

    total, squares = matrix.sums(sums)
    mean = total / matrix.count
    var = np.maximum(squares / matrix.count - mean**2, 0)
    return mean if centre is None else centre + mean, var


def _is_near_zero(mean: np.ndarray, var: np.ndarray) -> bool:
    """Whether sums of x, instead of x - mean, are good enough: no channel is more than 2 standard deviations off 0."""
    return bool(np.all((mean**2 <= 4 * var) & np.isfinite(var)))


def _split(matrix: _Matrix, mean: np.ndarray, near_zero: bool) -> tuple[np.ndarray, np.ndarray]:
    """What of the mean is subtracted from x, exact in x's dtype, and the rest, which is put into the constant term."""
    centre = np.zeros_like(mean) if near_zero else mean.astype(matrix.dtype)
    return centre, mean - centre


def _minus(matrix: _Matrix, chunk: np.ndarray, columns: np.ndarray | None) -> np.ndarray:
    """chunk - columns in borrowed memory; the chunk itself if there is nothing to subtract."""
    return chunk if columns is None else np.subtract(chunk, columns, out=matrix.scratch(len(chunk)))


def _scale_shift(
    matrix: _Matrix, mean: np.ndarray, scale: np.ndarray, shift: np.ndarray, near_zero: bool, slope: float | None = None
) -> np.ndarray:
    """(x - mean) scale + shift, rectified if there is a slope; with one pass less if the mean is small."""
    y = np.empty_like(matrix.array)
    x, target = matrix.rows(matrix.array), matrix.rows(y)
    centre, rest = _split(matrix, mean, near_zero)
    shift = matrix.spread(shift - rest * scale)
    columns, scale = None if near_zero else matrix.spread(centre), matrix.spread(scale)

    def fill(block: slice) -> None:
        part = target[block]
        into = part if slope is None else matrix.scratch(len(part))
        np.multiply(_minus(matrix, x[block], columns), scale, out=into)
        np.add(into, shift, out=into)
        if slope is not None:
            rectifier.rectify(into, slope, part)

    spread(fill, matrix.blocks())
    return y


def _gradient_sums(
    matrix: _Matrix, gy: np.ndarray, mean: np.ndarray, near_zero: bool, behind: tuple | None
) -> tuple[np.ndarray, np.ndarray]:
    """Per channel the sum of gy and the sum of gy (x - mean).

    ``behind`` is (y, slope, gx) if there is a rectifier, the gradient in front of which is left in gx.
    """
    x, g = matrix.rows(matrix.array), matrix.rows(gy)
    centre, rest = _split(matrix, mean, near_zero)
    columns = None if near_zero else matrix.spread(centre)

    def sums(block: slice) -> tuple[np.ndarray, np.ndarray]:
        chunk = g[block]
        if behind is not None:
            y, slope, gx = behind
            chunk = matrix.rows(gx)[block]
            rectifier.choose(matrix.rows(y)[block], g[block], slope, chunk)
        weighted = np.einsum("rk,rk->k", _minus(matrix, x[block], columns), chunk)
        return np.ones(len(chunk), matrix.dtype) @ chunk, weighted

    plain, weighted = matrix.sums(sums)
    return plain, weighted - rest * plain


def _input_gradient(
    matrix: _Matrix, gy: np.ndarray, mean: np.ndarray, tilt: np.ndarray, offset: np.ndarray, scale: np.ndarray,
    near_zero: bool, gx: np.ndarray,
) -> None:  # fmt: skip
    """gx <- ((x - mean) tilt + offset + gy) scale; with one pass less if the mean is small. gx may be gy."""
    x, g, target = matrix.rows(matrix.array), matrix.rows(gy), matrix.rows(gx)
    centre, rest = _split(matrix, mean, near_zero)
    offset = matrix.spread(offset - rest * tilt)
    columns = None if near_zero else matrix.spread(centre)
    tilt, scale = matrix.spread(tilt), matrix.spread(scale)

    def fill(block: slice) -> None:
        part = target[block]
        line = matrix.scratch(len(part))
        np.multiply(_minus(matrix, x[block], columns), tilt, out=line)
        line += offset
        line += g[block]
        np.multiply(line, scale, out=part)

    spread(fill, matrix.blocks())


def _plain_forward(x: Any, gamma: Any, beta: Any, eps: float, axis: tuple[int, ...]) -> tuple[Any, Any, Any, Any]:
    """The formulas of :func:`forward`, for any array library."""
    dtype = np.promote_types(x.dtype, np.float32)
    x32, shape = x.astype(dtype, copy=False), _keep_shape(x, axis)
    mean = x32.mean(axis=axis)
    var = ((x32 - mean.reshape(shape)) ** 2).mean(axis=axis)
    inv_std = 1 / (var + eps) ** 0.5
    y = (x32 - mean.reshape(shape)) * (gamma * inv_std).reshape(shape) + beta.reshape(shape)
    return y.astype(x.dtype, copy=False), mean, var, inv_std.astype(dtype, copy=False)


def _plain_backward(
    x: Any, gamma: Any, mean: Any, inv_std: Any, gy: Any, axis: tuple[int, ...]
) -> tuple[Any, Any, Any]:
    """The formulas of :func:`backward`, for any array library."""
    dtype = np.promote_types(x.dtype, np.float32)
    m = max(1, int(np.prod([x.shape[i] for i in axis])))
    x32, g32, shape = x.astype(dtype, copy=False), gy.astype(dtype, copy=False), _keep_shape(x, axis)
    xhat = (x32 - mean.reshape(shape)) * inv_std.reshape(shape)
    gbeta = g32.sum(axis=axis)
    ggamma = (g32 * xhat).sum(axis=axis)
    gx = (gamma * inv_std).reshape(shape) * (g32 - (gbeta.reshape(shape) + xhat * ggamma.reshape(shape)) / m)
    return gx.astype(x.dtype, copy=False), ggamma, gbeta


def _keep_shape(x: Any, axis: tuple[int, ...]) -> tuple[int, ...]:
    """The shape in which a channel parameter broadcasts against ``x``."""
    return tuple(1 if i in axis else n for i, n in enumerate(x.shape))
