"""What the table cannot say of the chapter linear_algebra: mixed dtypes, sparse matrices, and the error sentences."""

import itertools

import numpy as np
import pytest

import minigan.functions as F
from minigan.core import Variable
from minigan.functions.linear_algebra import CooMatrix, get_order, to_coo
from minigan.utils.type_check import InvalidType

SPARSE = np.array([[[0, 1, 2], [0, 0, 3]], [[0, 0, 2], [0, 0, 3]]], "f")


@pytest.mark.parametrize("one, two", [*itertools.product("efd", "efd")])
@pytest.mark.parametrize(
    "function", [F.matmul, F.tensordot, lambda a, b: F.einsum("ij,jk->ik", a, b)], ids=["matmul", "tensordot", "einsum"]
)
def test_products_of_mixed_dtypes_give_the_widest_and_each_gradient_its_own(function, one, two):
    a, b = Variable(np.ones((2, 2), one)), Variable(np.ones((2, 2), two))
    y = F.sum(function(a, b))
    assert y.dtype == np.result_type(one, two)
    y.backward()
    assert (a.grad.dtype, b.grad.dtype) == (one, two)


@pytest.mark.parametrize("x", [SPARSE[0], SPARSE], ids=["one", "batch"])
def test_sparse_matrix_there_and_back(x):
    # Chainer 7.8.1: vars(utils.to_coo(SPARSE, ldnz=4)), the same data, row, col, order "C"
    coo = to_coo(x, ldnz=4, requires_grad=True)
    assert coo.data.array.tolist() == [[1, 2, 3, 0], [2, 3, 0, 0]][: len(x)] if x.ndim == 3 else [1, 2, 3, 0]
    rows, columns = [[0, 0, 1, -1], [0, 1, -1, -1]], [[1, 2, 2, -1], [2, 2, -1, -1]]
    assert (coo.row.tolist(), coo.col.tolist()) == ((rows, columns) if x.ndim == 3 else (rows[0], columns[0]))
    assert (coo.shape, coo.order, coo.row.dtype) == ((2, 3), "C", np.int32)
    np.testing.assert_array_equal(coo.to_dense(), x)


@pytest.mark.parametrize("transa, transb", [*itertools.product([False, True], repeat=2)])
@pytest.mark.parametrize("x", [SPARSE[0], SPARSE], ids=["one", "batch"])
def test_sparse_product_on_either_side_is_the_dense_one(x, transa, transb):
    rng = np.random.RandomState(0)
    other = rng.standard_normal((*x.shape[:-2], 3, 3)[: x.ndim]).astype("f")
    left, right = np.swapaxes(x, -1, -2) if transa else x, np.swapaxes(other, -1, -2) if transb else other
    if left.shape[-1] == 3:
        y = F.sparse_matmul(to_coo(x), other, transa, transb)
        np.testing.assert_allclose(y.array, np.matmul(left, right), rtol=1e-5)
    left, right = (np.swapaxes(a, -1, -2) if t else a for a, t in ((other, transb), (x, transa)))
    if right.shape[-2] == 3:
        y = F.sparse_matmul(other, to_coo(x), transb, transa)
        np.testing.assert_allclose(y.array, np.matmul(left, right), rtol=1e-5)


def test_order_of_entries():
    row, col = np.array([0, 0, 1, -1]), np.array([0, 2, 1, -1])
    assert get_order(row, col) == "C" and get_order(col, row) == "F"
    assert get_order(row[[2, 1, 0]], col[[2, 0, 1]]) == "other"


def test_unused_entries_get_no_gradient():
    coo = to_coo(SPARSE, requires_grad=True)
    F.sum(F.sparse_matmul(coo, np.ones((2, 3, 2), "f"))).backward()
    assert coo.data.grad.tolist() == [[2, 2, 2], [2, 2, 0]]


SQUARE, WIDE, ONES = np.ones((2, 2)), np.ones((2, 3)), np.ones(2)


@pytest.mark.parametrize(
    "call, error, sentence",
    [
        (lambda: F.matmul(WIDE.astype("i"), WIDE.T), InvalidType, "matmul: a is int32, b is float64; wanted"),
        (lambda: F.matmul(np.ones(()), ONES), InvalidType, "matmul: shapes () and (2,)"),
        (lambda: F.tensordot(WIDE, WIDE, 1), ValueError, "axes 1 do not pair equal lengths of (2, 3) and (2, 3)"),
        (lambda: F.tensordot(WIDE, WIDE, (2, 2)), ValueError, "axes (2, 2) do not pair equal lengths"),
        (lambda: F.tensordot(WIDE, WIDE, 3), ValueError, "axes is 3, but a has 2 axes"),
        (lambda: F.tensordot(WIDE, WIDE, 1.0), TypeError, "axes is 1.0; wanted an int"),
        (lambda: F.tensordot(WIDE, WIDE, ((0,),)), ValueError, "wanted an int, or a pair"),
        (lambda: F.tensordot(SQUARE, SQUARE, ((0, 0), (1, 1))), ValueError, "names an axis twice"),
        (lambda: F.einsum(), ValueError, "einsum: got no arguments"),
        (lambda: F.einsum("ij", WIDE, WIDE), ValueError, "names 1 operands, got 2"),
        (lambda: F.einsum("i1", WIDE), ValueError, "contains '1'"),
        (lambda: F.einsum("i", WIDE), ValueError, "'i' does not name the axes of shape (2, 3)"),
        (lambda: F.einsum("ij->k", WIDE), ValueError, "'k' of the output does not stand in 'ij->k'"),
        (lambda: F.einsum("ij->ii", WIDE), ValueError, "repeats a letter"),
        (lambda: F.einsum("i...->i", WIDE), ValueError, "sums over '...'"),
        (lambda: F.einsum("ii", WIDE), InvalidType, "einsum: ii for shapes"),
        (lambda: F.einsum("...i,...i", SQUARE, SQUARE[:1]), InvalidType, "'...' stands for (2,) and for (1,)"),
        (lambda: F.einsum("ij", WIDE.astype("i")), InvalidType, "einsum: got int32"),
        (lambda: F.inv(WIDE), InvalidType, "Inv: a has shape (2, 3); wanted 2 axes, the last two equal"),
        (lambda: F.inv(SQUARE), ValueError, "Inv: a matrix is singular"),
        (lambda: F.batch_inv(SQUARE), InvalidType, "BatchInv: a has shape (2, 2); wanted 3 axes"),
        (lambda: F.batch_det(SQUARE), InvalidType, "BatchDet: a has shape (2, 2); wanted 3 axes"),
        (lambda: F.det(Variable(SQUARE)).backward(), ValueError, "BatchInv: a matrix is singular"),
        (lambda: F.cholesky(SQUARE), np.linalg.LinAlgError, "not positive definite"),
        (lambda: F.fft((ONES, SQUARE)), InvalidType, "fft: real has shape (2,), imag (2, 2)"),
        (lambda: F.sparse_matmul(SQUARE, SQUARE), ValueError, "wanted one CooMatrix"),
        (lambda: F.sparse_matmul(to_coo(SPARSE), WIDE), InvalidType, "(2, 2, 3) times (2, 3) does not fit"),
        (lambda: to_coo(ONES), ValueError, "to_coo: x has shape (2,)"),
        (lambda: CooMatrix(ONES, ONES[:1], ONES, (2, 2)), ValueError, "wanted one shape"),
        (lambda: CooMatrix(ONES, ONES, ONES, (2,)), ValueError, "wanted two lengths"),
        (lambda: CooMatrix(ONES, ONES, ONES, (2, 2), "x"), ValueError, "order is 'x'"),
    ],
)
def test_errors_are_sentences(call, error, sentence):
    with pytest.raises(error) as caught:
        call()
    assert sentence in str(caught.value)


@pytest.mark.parametrize("row, col", [([0, 1], [0, 1, 2]), ([0, -1], [-1, 0])])
def test_places_that_do_not_fit_have_no_order(row, col):
    with pytest.raises(ValueError, match="one shape, and -1"):
        get_order(np.array(row), np.array(col))
