"""NumPy's BLAS and its threads.

A product of a few million multiply-adds takes half the time on two threads of OpenBLAS if both have a core of their
own, and many times as long if not: they wait for each other busily. So they are used as long as their times say that it
pays, and only where a result cannot tell: OpenBLAS's kernels for AVX-512 add up a sum of few float32 terms in the same
order on any number of threads, and longer sums are cut here. Elsewhere such products stay on one thread.

``MINIGAN_BLAS_THREADS`` in the environment: 0 leaves them on one thread always, 1 on BLAS's threads always, also where
the last digits then depend on how many there are.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

#: What OpenBLAS multiplies without copying it first with AVX-512, in multiply-adds: at 112 to 115 instead of 80 to 95
#: GFLOP/s on the core measured. Fewer rows than LEAST_ROWS gain nothing.
SMALL_PRODUCT, LEAST_ROWS = 1_000_000, 8
#: Sums of more terms are added up in parts here; `parallel.small_products` leaves them to BLAS's other kernels, which
#: do that, too: fewer digits are lost. Up to 320 terms (NumPy 1.26) or 448 (2.4) are added up in the same order on any
#: number of threads; `time_of_one_thread` looks whether that is so.
LONGEST_SUM = 300
#: Products of fewer multiply-adds do not go to BLAS's threads: 1.6 million take 27 microseconds there, 35 on one. Few
#: threads at most, which bounds what they burn while they wait; on more than two cores nothing was timed.
LEAST_SHARED, MOST_THREADS = 1 << 20, 4
#: Seconds: what BLAS's threads may lose before they rest, and have saved up at most; their shortest and longest rest;
#: how long they leave the cores to threads of our own.
CREDIT, SHORTEST_REST, LONGEST_REST, TO_OTHERS = 2e-3, 0.05, 2.0, 0.25
#: One thread takes every so many products, and then counts as so much against all its products before.
SAMPLED, LEARNED = 256, 0.1
AVX_512 = ("SkylakeX", "Cooperlake", "SapphireRapids")

mode = os.environ.get("MINIGAN_BLAS_THREADS", "")


class OpenBLAS(NamedTuple):
    """What reads and sets the number of threads, and the kind of core that the kernels are for."""

    get: Callable[[], int]
    set: Callable[[int], Any]
    core: str


def _find_openblas() -> OpenBLAS | None:
    """The OpenBLAS in NumPy's wheel."""
    package = Path(np.__file__).parent
    for folder in (package.parent / "numpy.libs", package / ".dylibs"):
        for path in sorted(folder.glob("*openblas*")):
            library = ctypes.CDLL(str(path))
            for prefix, suffix in (("scipy_openblas", "64_"), ("openblas", "64_"), ("openblas", "")):
                name = f"{prefix}_%s_num_threads{suffix}"
                if hasattr(library, name % "set"):
                    core = getattr(library, name.replace("_num_threads", "_corename") % "get")
                    core.restype = ctypes.c_char_p
                    return OpenBLAS(getattr(library, name % "get"), getattr(library, name % "set"), core().decode())
    return None


library = _find_openblas()
avx_512 = library is not None and library.core in AVX_512
threads = library.get() if library else 1  #: what OPENBLAS_NUM_THREADS and the process's share of cores say
_lock = threading.Lock()
_limits: list[int] = []  # of those who are inside `at_most`


class at_most:
    """Inside the ``with`` block BLAS has so many threads at most; the least of all that are inside counts.

    After a threaded product OpenBLAS's threads wait busily for 0.1 s, and take the cores from ours: a step of a small
    DCGAN cost twice the processor time by that.
    """

    def __init__(self, count: int) -> None:
        self.count = count

    def __enter__(self) -> None:
        self.set_threads = library.set if library is not None and threads > self.count else None
        if self.set_threads is not None:
            with _lock:
                _limits.append(self.count)
                self.set_threads(min(_limits))

    def __exit__(self, *error: Any) -> None:
        if self.set_threads is not None:
            with _lock:
                _limits.remove(self.count)
                self.set_threads(min(_limits, default=threads))


class Account:
    """What BLAS's threads have saved; when it is lost they rest, each time longer if that happens soon again.

    What one thread takes is looked at again while they rest, and else now and then: caches are colder than they were
    when it was first measured, and a machine is not always as quick.
    """

    def __init__(self) -> None:
        self.saved, self.rest, self.resumes, self.asked = 0.0, SHORTEST_REST, 0.0, 0
        self.slower = 1.0  #: how many times as long as `time_of_one_thread` says one thread took lately

    def pays(self, now: float) -> bool:
        """Whether the next product goes to BLAS's threads."""
        self.asked += 1
        return now >= self.resumes and self.asked % SAMPLED != 0

    def book(self, saved: float, now: float) -> None:
        """Enter the seconds by which a product was quicker than on one thread, below 0 if it was slower."""
        self.saved = min(self.saved + saved, CREDIT)
        if self.saved < -CREDIT:
            worked = now - self.resumes
            self.rest = SHORTEST_REST if worked > 10 * self.rest else min(2 * self.rest, LONGEST_REST)
            self.saved, self.resumes = 0.0, now + self.rest

    def learn(self, slower: float) -> None:
        """Enter how many times as long as it should one thread took for a product."""
        self.slower += LEARNED * (slower - self.slower)

    def rest_for(self, others: float, now: float) -> None:
        """Leave the cores to others for so many seconds from now."""
        self.resumes = max(self.resumes, now + others)


_account = Account()


def leave_the_cores() -> None:
    """Call when threads of our own begin to work: BLAS's do not wait busily for a while."""
    _account.rest_for(TO_OTHERS, perf_counter())


@cache
def time_of_one_thread() -> float | None:
    """Seconds of a multiply-add on one thread; None where BLAS's threads cannot be had, or add up in another order."""
    if threads < 2 or not avx_512:
        return None
    random = np.random.default_rng(0)
    a, b = (random.standard_normal(shape, np.float32) for shape in ((64, LONGEST_SUM), (LONGEST_SUM, 256)))
    layouts = (a, b), (a, np.asfortranarray(b)), (np.asfortranarray(a), b)
    times = []
    with at_most(1):
        expected = [np.matmul(*factors) for factors in layouts]
        for _ in range(5):
            begin = perf_counter()
            np.matmul(a, b)
            times.append(perf_counter() - begin)
    with at_most(MOST_THREADS):
        same = all(np.array_equal(np.matmul(*factors), y) for factors, y in zip(layouts, expected))
    return min(times) / (a.size * 256) if same else None


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a @ b for matrices (M, K) and (K, N) too small to be cut for threads of our own."""
    (rows, depth), columns = a.shape, b.shape[1]
    if depth == 1:  # BLAS takes more than twice as long
        return np.multiply(a, b, order="C")
    exact = (
        avx_512
        and rows * columns * min(depth, LONGEST_SUM) >= LEAST_SHARED
        and min(rows, columns) >= LEAST_ROWS
        and a.dtype == b.dtype == np.float32
    )
    alone = time_of_one_thread() if exact and not mode else None
    begin = perf_counter()
    shared = mode == "1" or (alone is not None and _account.pays(begin))
    with at_most(MOST_THREADS if shared else 1):
        y = _in_parts(a, b) if exact else np.matmul(a, b)
    if alone:
        end, expected = perf_counter(), rows * depth * columns * alone
        if shared:
            _account.book(_account.slower * expected - (end - begin), end)
        else:
            _account.learn((end - begin) / expected)
    return y


def _in_parts(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a @ b, long sums in parts; with a transposed b and fewer rows than columns as the transpose of b^T a^T.

    BLAS copies what is transposed more quickly as the first factor: 64 rows, 784 terms, 256 columns in 301 instead of
    347 microseconds, on two threads in 178 instead of 198.
    """
    if len(a) < b.shape[1] and b.strides[0] < b.strides[1]:
        return np.ascontiguousarray(_in_parts(b.T, a.T).T)
    depth = a.shape[1]
    share = -(-depth // -(-depth // LONGEST_SUM))
    y = np.matmul(a[:, :share], b[:share])
    for first in range(share, depth, share):
        y += np.matmul(a[:, first : first + share], b[first : first + share])
    return y


def _start_anew() -> None:
    """In a child process made by fork nobody is inside."""
    global _lock
    _lock = threading.Lock()
    _limits.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
