"""Spreading work over threads: order, errors, the setting of BLAS, and that the numbers do not depend on it."""

import os
import threading
import time

import numpy as np
import pytest

from minigan.kernels import blas as openblas
from minigan.kernels import parallel
from minigan.kernels.convolution import convolution_weight_gradient, convolve, deconvolve
from minigan.kernels.parallel import product, spread


@pytest.fixture(params=[2, 3])
def blas(request, monkeypatch):
    """A stand-in for OpenBLAS, so that every machine tests this: the numbers of threads that it was told."""
    told = []
    monkeypatch.setattr(openblas, "library", openblas.OpenBLAS(lambda: request.param, told.append, "some core"))
    monkeypatch.setattr(openblas, "avx_512", False)
    monkeypatch.setattr(openblas, "threads", request.param)
    monkeypatch.setattr(openblas, "_account", openblas.Account())
    monkeypatch.setattr(parallel, "_jobs", None)  # threads of its own
    yield told
    if parallel._jobs is not None:
        for _ in range(openblas.threads - 1):
            parallel._jobs.put(bool)  # an answer ends a thread


def test_order_and_threads(blas):
    meet = threading.Barrier(2, timeout=10)  # two tasks must be under way at the same time to pass it

    def task(i):
        if i < 2:
            meet.wait()
        return i

    assert spread(task, range(20)) == list(range(20))
    assert blas == [1, openblas.threads]


def test_one_piece_stays_here(blas):
    assert spread(lambda i: threading.current_thread() is threading.main_thread(), [0]) == [True]
    assert spread(str, []) == []
    assert blas == [1, openblas.threads] * 2  # BLAS on one thread there, too, and put back
    assert openblas._account.resumes == 0


def test_blas_leaves_the_cores_to_our_threads(blas):
    before = time.perf_counter()
    spread(str, [1, 2])
    assert openblas._account.resumes >= before + openblas.TO_OTHERS


@pytest.mark.parametrize("shape", [(300, 200, 5000), (5000, 200, 300), (7, 3, 5), (0, 3, 5), (1, 1, 1)])
@pytest.mark.parametrize("transposed", [False, True])
def test_product_is_the_matrix_product_whatever_the_threads(shape, transposed, blas, rng, monkeypatch):
    m, k, n = shape
    a, b = (rng.randn(*s).T if transposed else rng.randn(*s[::-1]) for s in ((k, m), (n, k)))
    y = product(a, b)
    assert y.flags.c_contiguous
    np.testing.assert_allclose(y, a @ b, rtol=1e-10, atol=1e-10)
    monkeypatch.setattr(openblas, "threads", 1)
    np.testing.assert_array_equal(product(a, b), y)


def test_an_error_comes_through_and_blas_gets_its_threads_back(blas):
    def task(i):
        raise KeyError(i)

    with pytest.raises(KeyError):
        spread(task, [1, 2])
    assert blas == [1, openblas.threads]


def test_all_threads_are_done_when_an_error_leaves(blas):
    done = []

    def task(i):
        if i == 0:
            raise KeyError(i)
        done.append(i)

    with pytest.raises(KeyError):
        spread(task, range(50))
    count = len(done)
    spread(str, range(50))
    assert len(done) == count


def test_a_task_may_spread_its_own_work(blas):
    assert spread(lambda i: spread(lambda j: 10 * i + j, range(3)), range(3)) == [[0, 1, 2], [10, 11, 12], [20, 21, 22]]


def test_blas_gets_its_threads_back_when_the_last_one_leaves(blas):
    with openblas.at_most(1):
        spread(str, [1, 2])
        assert blas == [1, 1, 1]
    assert blas == [1, 1, 1, openblas.threads]


def test_errstate_of_the_caller_holds(blas):
    with np.errstate(divide="ignore"):
        assert spread(lambda a: np.ones(1) / a, [np.zeros(1)] * 2) == [np.inf, np.inf]
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        spread(lambda a: np.ones(1) / a, [np.zeros(1)] * 2)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_child_process_starts_anew(blas):
    spread(str, [1, 2])
    before = parallel._jobs
    parallel._start_anew()
    assert parallel._jobs is None and spread(str, [1, 2]) == ["1", "2"]
    for _ in range(openblas.threads - 1):
        before.put(bool)


def test_convolutions_do_not_depend_on_the_number_of_threads(rng, blas, monkeypatch):
    x, W = rng.randn(32, 16, 14, 14).astype(np.float32), rng.randn(32, 16, 3, 3).astype(np.float32)
    geometry = ((2, 2), (1, 1), (1, 1), 1)
    with openblas.at_most(1):
        y = convolve(x, W, *geometry, (7, 7))
        calls = (
            lambda: convolve(x, W, *geometry, (7, 7)),
            lambda: deconvolve(y, W, *geometry, (14, 14)),
            lambda: convolution_weight_gradient(x, y, (3, 3), *geometry),
        )
        blas.clear()
        parallel_results = [call() for call in calls]
        assert len(blas) >= 3  # the arrays are large enough to be shared
        monkeypatch.setattr(openblas, "threads", 1)
        for call, result in zip(calls, parallel_results):
            assert np.array_equal(call(), result)


@pytest.mark.parametrize("cuts", [False, True])
@pytest.mark.parametrize("rows, most", [(24, 12), (23, 9), (23, 5), (5, 8), (0, 8)])
def test_small_products_are_the_product(rows, most, cuts, rng, monkeypatch):
    """Cut evenly, with a rest, not at all; stacks, shared matrices and transposed ones."""
    monkeypatch.setattr(openblas, "avx_512", cuts)
    monkeypatch.setattr(openblas, "SMALL_PRODUCT", most * 6 * 7)
    for a, b in (
        (rng.randn(2, 3, rows, 6), rng.randn(2, 3, 6, 7)),
        (rng.randn(1, 3, rows, 6), rng.randn(1, 3, 7, 6).swapaxes(-1, -2)),
        (rng.randn(2, 6, rows).swapaxes(1, 2), rng.randn(1, 6, 7)),
    ):
        turned = np.empty((rows, *a.shape[:-2], 7)).transpose(*range(1, a.ndim - 1), 0, a.ndim - 1)
        for out in (np.empty((*a.shape[:-1], 7)), turned):
            assert parallel.small_products(a, b, out) is out
            np.testing.assert_allclose(out, a @ b, atol=1e-12)
