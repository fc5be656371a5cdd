"""Several processor cores on one array operation.

A convolution is copies and matrix products in turn. A threaded BLAS speeds up the products only, and its threads meet
after every single one, which is dear where the cores have other work too. Here each thread takes whole pieces of the
batch through copies and products alike, with BLAS on one thread, and all meet once at the end. How the work is cut does
not depend on the number of threads, so neither does the result.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

import numpy as np

from minigan.kernels import blas, gemm
from minigan.kernels.workspace import array_module

# A product is cut into at most so many pieces of at least so many multiply-adds, if that makes three: a piece takes 160
# microseconds or so; waking a thread takes 40, and as much again when two threads want Python's lock at once.
MOST_PIECES, LEAST_PIECE = 16, 1 << 23
# Arrays of this size and more are cut into pieces of at most this size. In much smaller ones two threads spend the gain
# on Python's lock.
PIECE_BYTES = 2 << 20

_lock = threading.Lock()
_jobs: SimpleQueue | None = None  # what the other threads wait for


def spread(task: Callable[[Any], Any], pieces: Sequence[Any]) -> list[Any]:
    """[task(piece) for piece in pieces], on as many threads as NumPy's BLAS has, with BLAS on one thread meanwhile.

    The pieces must be independent. Where there is one piece or one thread this is a plain loop.
    """
    with blas.at_most(1):
        if len(pieces) < 2 or blas.threads < 2:
            return [task(piece) for piece in pieces]
        floating_errors = np.geterr()  # what the caller wants holds in the threads, too
        remaining = iter(range(len(pieces)))  # one iterator for all: whoever is free takes the next piece
        done: SimpleQueue = SimpleQueue()

        def work() -> None:
            with np.errstate(**floating_errors):
                for i in remaining:
                    try:
                        done.put((i, task(pieces[i]), None))
                    except BaseException as error:  # nobody begins another piece, and the caller is told of all
                        for skipped in (i, *remaining):
                            done.put((skipped, None, error))

        # The caller works, too, and waits for pieces, not for threads: who comes late finds nothing left to do.
        blas.leave_the_cores()
        jobs = _started()
        for _ in range(min(blas.threads, len(pieces)) - 1):
            jobs.put(work)
        work()
        results: list[Any] = [None] * len(pieces)
        failure = None
        for _ in pieces:
            i, results[i], error = done.get()
            failure = failure or error
        if failure is not None:
            raise failure
        return results


def _started() -> SimpleQueue:
    """The queue on which the threads wait. Handing over to a ThreadPoolExecutor takes three times as long."""
    global _jobs
    with _lock:
        if _jobs is None:
            _jobs = SimpleQueue()
            for number in range(blas.threads - 1):
                threading.Thread(target=_help, args=(_jobs,), name=f"minigan_{number}", daemon=True).start()
        return _jobs


def _help(jobs: SimpleQueue) -> None:
    while jobs.get()() is None:  # nothing of a job is kept while the thread waits for the next
        pass


def piecewise(task: Callable[..., Any], *arrays: Any) -> None:
    """task(*arrays), which are of one shape; large NumPy arrays in slices of their first axis, on several cores."""
    size, length = arrays[0].nbytes, len(arrays[0]) if arrays[0].ndim else 1
    if size < PIECE_BYTES or length < 2 or type(arrays[0]) is not np.ndarray:
        task(*arrays)
        return
    step = -(-length // (-(-size // (2 * PIECE_BYTES)) * 2))  # as many slices for either of two threads
    spread(lambda i: task(*(a[i : i + step] for a in arrays)), range(0, length, step))


def product(a: Any, b: Any) -> Any:
    """a @ b for matrices (M, K) and (K, N), on the CPU cut along the longer of M and N where that is worth while."""
    if type(a) is not np.ndarray and array_module(a) is not np:
        return gemm.product(a, b)
    rows, columns = a.shape[0], b.shape[1]
    work = rows * columns * a.shape[1]
    if work < 3 * LEAST_PIECE:
        return blas.multiply(a, b)
    y = np.empty((rows, columns), np.result_type(a, b))
    share = -(-max(rows, columns) // min(MOST_PIECES, work // LEAST_PIECE))

    def fill(first: int) -> None:
        piece = slice(first, first + share)
        if rows >= columns:
            np.matmul(a[piece], b, out=y[piece])
        else:
            np.matmul(a, b[:, piece], out=y[:, piece])

    spread(fill, range(0, max(rows, columns), share))
    return y


def small_products(a: Any, b: Any, out: Any) -> Any:
    """np.matmul(a, b, out=out) for stacks of matrices, the rows of a cut where small products are faster.

    What is added up for a number of the result, and in which order, is up to BLAS and may depend on that.
    """
    height, most = a.shape[-2], blas.SMALL_PRODUCT // max(1, b.shape[-2] * b.shape[-1])
    if not blas.avx_512 or b.shape[-2] > blas.LONGEST_SUM or not blas.LEAST_ROWS <= most < height:
        return np.matmul(a, b, out=out)
    rows = next((n for n in range(most, most // 2, -1) if height % n == 0), most)
    whole = height // rows * rows
    pieces = [m[..., :whole, :].reshape(*m.shape[:-2], -1, rows, m.shape[-1]) for m in (a, out)]
    np.matmul(pieces[0], b[..., None, :, :], out=pieces[1])
    if whole < height:
        np.matmul(a[..., whole:, :], b, out=out[..., whole:, :])
    return out


def _start_anew() -> None:
    """In a child process made by fork there are no other threads: they are started when they are needed."""
    global _jobs, _lock
    _jobs, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
