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
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
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


# A product is cut into at most so many pieces of at least so many multiply-adds: a piece takes some 40 microseconds.
MOST_PIECES, LEAST_PIECE = 16, 1 << 21
# With AVX-512 OpenBLAS multiplies what takes so many multiply-adds at most without copying it first, at 112 to 115
# instead of 80 to 95 GFLOP/s on the core measured. Products of fewer rows than the second number gain nothing.
SMALL_PRODUCT, LEAST_ROWS = 1_000_000, 8
AVX_512 = ("SkylakeX", "Cooperlake", "SapphireRapids")

_openblas = _find_openblas()
_cuts = _openblas is not None and _openblas[2] in AVX_512
_threads = _openblas[0]() if _openblas else 1  # what OPENBLAS_NUM_THREADS and the process's share of cores say
_lock = threading.Lock()
_inside = 0
_pool: ThreadPoolExecutor | None = None


def spread(task: Callable[[Any], Any], pieces: Sequence[Any]) -> list[Any]:
    """[task(piece) for piece in pieces], on as many threads as NumPy's BLAS has, with BLAS on one thread meanwhile.

    The pieces must be independent. Where there is one piece or one thread this is a plain loop.
    """
    global _pool
    with one_blas_thread():
        if len(pieces) < 2 or _threads < 2:
            return [task(piece) for piece in pieces]
        with _lock:
            if _pool is None:
                _pool = ThreadPoolExecutor(_threads - 1, thread_name_prefix="minigan")
            pool = _pool
        floating_errors = np.geterr()  # what the caller wants holds in the threads, too
        results: list[Any] = [None] * len(pieces)
        remaining = iter(range(len(pieces)))  # one iterator for all: whoever is free takes the next piece

        def work() -> None:
            with np.errstate(**floating_errors):
                for i in remaining:
                    results[i] = task(pieces[i])

        # The caller works, too, and few long tasks are handed out: waking a thread costs as much as a small product.
        others = [pool.submit(work) for _ in range(min(_threads, len(pieces)) - 1)]
        try:
            work()
        finally:  # those that have not begun by now have nothing left to do
            started = [other for other in others if not other.cancel()]
            wait(started)
        for other in started:
            other.result()
        return results


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep BLAS on one thread until the last of those who are inside leaves.

    Also for products too small to share: after a threaded product OpenBLAS's threads wait busily for some
    milliseconds, and take the cores from ours. A step of a small DCGAN cost twice the processor time by that.
    """
    global _inside
    if _openblas is None or _threads < 2:
        yield
        return
    with _lock:
        _inside += 1
        _openblas[1](1)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _openblas[1](_threads)


def product(a: Any, b: Any) -> Any:
    """a @ b for matrices (M, K) and (K, N), on the CPU cut along the longer of M and N where that is worth while."""
    if array_module(a) is not np:
        return gemm.product(a, b)
    rows, columns = a.shape[0], b.shape[1]
    count = min(MOST_PIECES, rows * columns * a.shape[1] // LEAST_PIECE)
    if count < 2:
        with one_blas_thread():
            return a @ b
    y = np.empty((rows, columns), np.result_type(a, b))
    share = -(-max(rows, columns) // count)

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
    height, most = a.shape[-2], SMALL_PRODUCT // max(1, b.shape[-2] * b.shape[-1])
    if not _cuts or not LEAST_ROWS <= most < height:
        return np.matmul(a, b, out=out)
    rows = next((n for n in range(most, most // 2, -1) if height % n == 0), most)
    whole = height // rows * rows
    pieces = [m[..., :whole, :].reshape(*m.shape[:-2], -1, rows, m.shape[-1]) for m in (a, out)]
    np.matmul(pieces[0], b[..., None, :, :], out=pieces[1])
    if whole < height:
        np.matmul(a[..., whole:, :], b, out=out[..., whole:, :])
    return out


def _start_anew() -> None:
    """In a child process made by fork the pool has no threads: make a new one when it is needed."""
    global _inside, _pool, _lock
    _inside, _pool, _lock = 0, None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
