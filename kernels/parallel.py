"""Several processor cores on one array operation.

A convolution is copies and matrix products in turn. A threaded BLAS speeds up the products only, and its threads meet
after every single one, which is dear where the cores have other work too. Here each thread takes whole pieces of the
batch through copies and products alike, with BLAS on one thread, and all meet once at the end. How the work is cut does
not depend on the number of threads, so neither does the result.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

from minigan.kernels import gemm
from minigan.kernels.workspace import array_module


def _find_openblas() -> tuple[Callable[[], int], Callable[[int], None], str] | None:
    """The functions that read and set the number of threads of the OpenBLAS in NumPy's wheel, and its kind of core."""
    package = Path(np.__file__).parent
    for folder in (package.parent / "numpy.libs", package / ".dylibs"):
        for path in sorted(folder.glob("*openblas*")):
            library = ctypes.CDLL(str(path))
            for prefix, suffix in (("scipy_openblas", "64_"), ("openblas", "64_"), ("openblas", "")):
                name = f"{prefix}_%s_num_threads{suffix}"
                if hasattr(library, name % "set"):
                    core = getattr(library, name.replace("_num_threads", "_corename") % "get")
                    core.restype = ctypes.c_char_p
                    return getattr(library, name % "get"), getattr(library, name % "set"), core().decode()
    return None


# A product is cut into at most so many pieces of at least so many multiply-adds, if that makes three: a piece takes 160
# microseconds or so; waking a thread takes 40, and as much again when two threads want Python's lock at once.
MOST_PIECES, LEAST_PIECE = 16, 1 << 23
# With AVX-512 OpenBLAS multiplies what takes so many multiply-adds at most without copying it first, at 112 to 115
# instead of 80 to 95 GFLOP/s on the core measured. Fewer rows than LEAST_ROWS gain nothing; sums of more terms than
# LONGEST_SUM are left to the other kernels, which add up parts and so lose fewer digits.
SMALL_PRODUCT, LEAST_ROWS, LONGEST_SUM = 1_000_000, 8, 300
# Of a product with a transposed factor so many columns at a time; a transposed b with more rows gains nothing.
COLUMNS, MOST_ROWS = 16, 64
# MINIGAN_BLAS_THREADS=1: products too small to cut are left to BLAS's own threads. On idle cores a step of small dense
# nets takes up to a sixth less time by that. But these threads wait for each other busily: with other work on the cores
# it takes many times as long, as PyTorch's step does.
blas_threads = os.environ.get("MINIGAN_BLAS_THREADS") == "1"
AVX_512 = ("SkylakeX", "Cooperlake", "SapphireRapids")

_openblas = _find_openblas()
_cuts = _openblas is not None and _openblas[2] in AVX_512
_threads = _openblas[0]() if _openblas else 1  # what OPENBLAS_NUM_THREADS and the process's share of cores say
_lock = threading.Lock()
_inside = 0
_jobs: SimpleQueue | None = None  # what the other threads wait for


def spread(task: Callable[[Any], Any], pieces: Sequence[Any]) -> list[Any]:
    """[task(piece) for piece in pieces], on as many threads as NumPy's BLAS has, with BLAS on one thread meanwhile.

    The pieces must be independent. Where there is one piece or one thread this is a plain loop.
    """
    with one_blas_thread():
        if len(pieces) < 2 or _threads < 2:
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
        jobs = _started()
        for _ in range(min(_threads, len(pieces)) - 1):
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
            for number in range(_threads - 1):
                threading.Thread(target=_help, args=(_jobs,), name=f"minigan_{number}", daemon=True).start()
        return _jobs


def _help(jobs: SimpleQueue) -> None:
    while jobs.get()() is None:  # nothing of a job is kept while the thread waits for the next
        pass


class one_blas_thread:
    """Inside the ``with`` block BLAS stays on one thread, until the last of those who are inside leaves.

    Also for products too small to share: after a threaded product OpenBLAS's threads wait busily for some
    milliseconds, and take the cores from ours. A step of a small DCGAN cost twice the processor time by that.
    """

    def __enter__(self) -> None:
        global _inside
        self.set_threads = _openblas[1] if _openblas is not None and _threads > 1 else None
        if self.set_threads is not None:
            with _lock:
                _inside += 1
                self.set_threads(1)

    def __exit__(self, *error: Any) -> None:
        global _inside
        if self.set_threads is not None:
            with _lock:
                _inside -= 1
                if _inside == 0:
                    self.set_threads(_threads)


def product(a: Any, b: Any) -> Any:
    """a @ b for matrices (M, K) and (K, N), on the CPU cut along the longer of M and N where that is worth while."""
    if type(a) is not np.ndarray and array_module(a) is not np:
        return gemm.product(a, b)
    rows, columns = a.shape[0], b.shape[1]
    work = rows * columns * a.shape[1]
    if work < 3 * LEAST_PIECE:
        if blas_threads:
            return np.matmul(a, b)
        with one_blas_thread():
            return _multiply(a, b)
    y = np.empty((rows, columns), np.result_type(a, b))
    share = -(-max(rows, columns) // min(MOST_PIECES, work // LEAST_PIECE))

    def fill(first: int) -> None:
        piece = slice(first, first + share)
        if rows >= columns:
            _multiply(a[piece], b, y[piece])
        else:
            _multiply(a, b[:, piece], y[:, piece])

    spread(fill, range(0, max(rows, columns), share))
    return y


def _multiply(a: Any, b: Any, out: Any = None) -> Any:
    """np.matmul(a, b, out=out) for matrices, in narrow stripes where that is faster.

    Copying a transposed factor is what costs most in a product of few rows. The stripes are products without copies:
    with 64 rows they took two thirds of the time for a transposed b, nine tenths for a transposed a.
    """
    (rows, depth), columns = a.shape, b.shape[1]
    if rows * depth * columns < 1 << 18 or not _cuts or not a.dtype == b.dtype == np.float32:
        return np.matmul(a, b, out=out)
    turned = a.strides[0] < a.strides[1] or (b.strides[0] < b.strides[1] and rows <= MOST_ROWS)
    if not turned or rows < LEAST_ROWS or columns < 2 * COLUMNS or rows * depth * COLUMNS > SMALL_PRODUCT:
        return np.matmul(a, b, out=out)
    if out is None:
        out = np.empty((rows, columns), np.float32)
    whole = columns // COLUMNS * COLUMNS
    b_stripes, stripes = (m[:, :whole].reshape(len(m), -1, COLUMNS).transpose(1, 0, 2) for m in (b, out))
    np.matmul(a, b_stripes, out=stripes)
    if whole < columns:
        np.matmul(a, b[:, whole:], out=out[:, whole:])
    return out


def small_products(a: Any, b: Any, out: Any) -> Any:
    """np.matmul(a, b, out=out) for stacks of matrices, the rows of a cut where small products are faster.

    What is added up for a number of the result, and in which order, is up to BLAS and may depend on that.
    """
    height, most = a.shape[-2], SMALL_PRODUCT // max(1, b.shape[-2] * b.shape[-1])
    if not _cuts or b.shape[-2] > LONGEST_SUM or not LEAST_ROWS <= most < height:
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
    global _inside, _jobs, _lock
    _inside, _jobs, _lock = 0, None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
