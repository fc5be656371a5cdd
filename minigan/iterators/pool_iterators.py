"""Iterators that fetch the examples of a batch side by side, for data sets that wait for a disk or decode images.

Order, epochs and snapshots are `SerialIterator`'s; only the reading is spread. Both work with threads: Python's image
and array libraries release the interpreter while they decode, nothing has to be copied between processes, and a script
that asked Chainer for processes runs unchanged, without their need of an `if __name__ == "__main__"`.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from minigan.iterators.order_samplers import OrderSampler
from minigan.iterators.serial_iterator import SerialIterator


class MultithreadIterator(SerialIterator):
    """A `SerialIterator` whose examples are read by `n_threads` threads; an error in one of them is raised by `next`.

    Args:
        dataset, batch_size, repeat, shuffle, order_sampler: As in `SerialIterator`.
        n_threads: How many examples are read at a time.
    """

    def __init__(self, dataset: Any, batch_size: int, repeat: bool = True, shuffle: bool | None = None,
                 n_threads: int = 1, order_sampler: OrderSampler | None = None) -> None:  # fmt: skip
        if n_threads < 1:
            raise ValueError(f"{type(self).__name__}: {n_threads} workers are asked for; wanted 1 or more")
        self.n_threads = n_threads
        self._pool: ThreadPoolExecutor | None = None
        super().__init__(dataset, batch_size, repeat, shuffle, order_sampler)

    def _fetch(self, indices: Any) -> list[Any]:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.n_threads)
        return list(self._pool.map(self.dataset.__getitem__, indices))

    def finalize(self) -> None:
        """End the threads; they come back if the iterator is used again."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def __copy__(self) -> MultithreadIterator:
        """Return an iterator at the same place, with threads of its own (an `Evaluator` copies its iterator)."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, _pool=None)
        return other


class MultiprocessIterator(MultithreadIterator):
    """Chainer's iterator of many processes, by its arguments; here `n_processes` threads read.

    Args:
        dataset, batch_size, repeat, shuffle, order_sampler: As in `SerialIterator`.
        n_processes: How many examples are read at a time; the number of processors by default.
        n_prefetch, shared_mem, dataset_timeout, maxtasksperchild: Accepted without effect; there are no processes.
    """

    def __init__(
        self, dataset: Any, batch_size: int, repeat: bool = True, shuffle: bool | None = None,
        n_processes: int | None = None, n_prefetch: int = 1, shared_mem: int | None = None,
        order_sampler: OrderSampler | None = None, dataset_timeout: float | None = 30.0,
        maxtasksperchild: int | None = None,
    ) -> None:  # fmt: skip
        self.n_processes = n_processes or os.cpu_count() or 1
        self.n_prefetch = n_prefetch
        self.shared_mem = shared_mem
        self.dataset_timeout = dataset_timeout
        super().__init__(dataset, batch_size, repeat, shuffle, self.n_processes, order_sampler)
