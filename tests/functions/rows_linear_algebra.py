"""Rows of the test table: functions.linear_algebra."""

import itertools

import numpy as np
import pytest
from functions.table import like, normal, row

import minigan.functions as F
from minigan.core import as_array
from minigan.functions.linear_algebra import CooMatMul, DiagEinSum


def swap(a, wanted):
    return np.swapaxes(a, -1, -2) if wanted and a.ndim > 1 else a


def multiply(a, b, transa=False, transb=False):
    return np.matmul(swap(a, transa), swap(b, transb))


def by_permutations(a):
    """The determinant by its definition."""
    n = len(a)
    return sum(
        np.linalg.det(np.eye(n)[list(p)]) * np.prod([a[i, p[i]] for i in range(n)])
        for p in itertools.permutations(range(n))
    )


def by_cofactors(a):
    n = len(a)
    minor = np.array([[by_permutations(np.delete(np.delete(a, i, 0), j, 1)) for i in range(n)] for j in range(n)])
    return minor * (-1) ** np.add.outer(range(n), range(n)) / by_permutations(a)


def batch_matmul(a, b, **transposed):
    with pytest.warns(DeprecationWarning, match="use matmul"):
        return F.batch_matmul(a, b, **transposed)


def regular(*shape):
    """Far from singular."""
    return lambda rng: rng.uniform(-0.4, 0.4, shape) + 2 * np.eye(shape[-1])


def transform(re, im, sign=-1.0):
    n = re.shape[-1]
    matrix = np.exp(sign * 2j * np.pi / n * np.outer(range(n), range(n)))
    y = (re + 1j * im) @ matrix / (1 if sign < 0 else n)
    return y.real, y.imag


def sum_of_products(a, b):
    return np.array([[sum(a[i, j] * b[j, k] for j in range(3)) for k in range(4)] for i in range(2)])


ROW, COL = np.array([0, 2, 1, 0, -1], np.int32), np.array([1, 0, 1, 1, -1], np.int32)  # one place twice, one unused


def dense(data):
    """(..., 5) entries -> (..., 3, 2)."""
    result = np.zeros((*data.shape[:-1], 3, 2))
    for k in range(4):
        result[..., ROW[k], COL[k]] += data[..., k]
    return result


def sparse_product(**transposed):
    def call(data, b):
        row, col = (like(np.broadcast_to(index, data.shape), as_array(data)) for index in (ROW, COL))
        return CooMatMul(row, col, (3, 2), **transposed).apply((data, b))[0]

    return call


ROWS = [
    row("batch_det", regular(2, 3, 3), lambda a: np.array([by_permutations(m) for m in a])),
    row("batch_inv", regular(2, 3, 3), lambda a: np.array([by_cofactors(m) for m in a])),
    row("batch_matmul", (normal(2, 3), normal(2, 3, 4)), lambda a, b, transa: np.einsum("bk,bkn->bn", a, b)[:, None],
        batch_matmul, transa=True),
    row("batch_matmul", (normal(2, 3, 4), normal(2, 4)), lambda a, b: np.einsum("bmk,bk->bm", a, b)[..., None],
        batch_matmul),
    row("cholesky", regular(3, 3), lambda a: np.linalg.cholesky(a @ a.T),
        lambda a: F.cast(F.cholesky(F.cast(F.matmul(a, a, transb=True), np.float64)), a.dtype)),
    row("det", regular(3, 3), by_permutations),
    row("einsum", (normal(2, 3), normal(3, 4)), sum_of_products, lambda a, b: F.einsum("ij,jk", a, b)),
    row("einsum", (normal(2, 3), normal(3, 4)), lambda a, b: sum_of_products(a, b).T,
        lambda a, b: F.einsum(a, [0, 1], b, [1, 5], [5, 0]), note="numbers"),
    row("einsum", normal(3, 3), lambda a: np.array([a[0, 0], a[1, 1], a[2, 2]]), lambda a: F.einsum("ii->i", a),
        note="diagonal"),
    row("einsum", (normal(2, 2, 3), normal(3), normal(4)), lambda a, b, c: (a[0, 0] + a[1, 1]) @ b * c,
        lambda a, b, c: F.einsum("iij,j,k->k", a, b, c), note="trace"),
    row("einsum", (normal(4, 2, 3), normal(3, 5, 2)), lambda a, b: np.stack([
        (a[:, i] @ b[:, :, i]).T for i in range(2)], 1), lambda a, b: F.einsum("i...j,jk...->k...i", a, b), note="..."),
    row("einsum", (normal(), normal(2, 3)), lambda a, b: a * b.sum(1), lambda a, b: F.einsum(",ij->i", a, b),
        note="0-d"),
    row("einsum", (normal(3), normal(2)), lambda a, b: np.array([[[a[i] * b.sum() * (i == j)] * 2
        for j in range(3)] for i in range(3)]), lambda a, b: DiagEinSum("i,k", "iil", (3, 3, 2)).apply((a, b))[0],
        note="diagonal-out"),
    row("fft", (normal(2, 4), normal(2, 4)), transform, lambda re, im: F.fft((re, im))),
    row("ifft", (normal(2, 3), normal(2, 3)), lambda re, im: transform(re, im, 1.0), lambda re, im: F.ifft((re, im))),
    row("inv", regular(3, 3), by_cofactors),
    row("matmul", (normal(2, 3), normal(3, 4)), multiply),
    row("matmul", (normal(3, 2), normal(4, 3)), multiply, transa=True, transb=True),
    row("matmul", (normal(2, 1, 2, 3), normal(4, 2, 3)), multiply, transb=True),
    row("matmul", (normal(3), normal(3)), multiply, note="1-1"),
    row("matmul", (normal(3), normal(2, 3, 2)), multiply, note="1-3"),
    row("matmul", (normal(2, 3), normal(3)), multiply, note="2-1"),
    row("sparse_matmul", (normal(5), normal(2, 4)), lambda d, b: dense(d) @ b, sparse_product()),
    row("sparse_matmul", (normal(2, 5), normal(2, 4, 3)), lambda d, b: swap(swap(dense(d), True) @ swap(b, True), True),
        sparse_product(transa=True, transb=True, transc=True), note="batch"),
    row("tensordot", (normal(2, 3), normal(3, 4)), lambda a, b, axes: sum_of_products(a, b), axes=1),
    row("tensordot", (normal(2, 3, 4), normal(4, 2, 5)), lambda a, b, axes: np.einsum("ijk,kil->jl", a, b),
        axes=((0, -1), (1, 0))),
    row("tensordot", (normal(2), normal(3)), lambda a, b, axes: a[:, None] * b, axes=0),
]
