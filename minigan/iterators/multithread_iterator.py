"""An iterator that reads ahead in threads: no copies between processes, but NumPy's generators are shared."""

from __future__ import annotations

import random
import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy

from minigan.dataset.randomness import own_random
from minigan.iterators.order_samplers import OrderSampler
from minigan.iterators.reading_ahead import ReadingAhead, positive
from minigan.iterators.serial_iterator import SerialIterator


class MultithreadIterator(ReadingAhead):
    """A `SerialIterator` whose examples are read by `n_threads` threads, one batch ahead.

    An error in a thread is raised by `next`. All threads share `numpy.random` and `random`, so examples that draw from
    these would be others at each run; if the first one does, a `RuntimeWarning` says so, and they are read one after
    the other as `SerialIterator` does, with its numbers. Examples that draw from `minigan.dataset.example_random()`,
    as the functions of `minigan.datasets.transforms` do, are read by all threads, and are the same for any number of
    them, and after a resume.

    Args:
        dataset, batch_size, repeat, shuffle, order_sampler: As in `SerialIterator`.
        n_threads: How many examples are read at a time.
    """

    _order_keys = "_order", "order"  # as in Chainer's snapshots

    def __init__(self, dataset: Any, batch_size: int, repeat: bool = True, shuffle: bool | None = None,
                 n_threads: int = 1, order_sampler: OrderSampler | None = None) -> None:  # fmt: skip
        self.n_threads = positive(self, n_threads)
        super().__init__(dataset, batch_size, repeat, shuffle, order_sampler)

    def _begin(self) -> None:
        super()._begin()
        self._pool: ThreadPoolExecutor | None = None
        self._one_by_one: bool | None = None  # not known before the first example

    def _examples(self, order: numpy.ndarray | None, epoch: int, start: int, end: int) -> list[Any]:
        if self._one_by_one is None and start < end:
            before = _shared_generators()
            self._ready = [_read(self.dataset, start if order is None else order[start], self._seed, epoch, start)]
            self._ahead = 1
            self._one_by_one = _shared_generators() != before
            if self._one_by_one:
                warnings.warn(
                    "MultithreadIterator: the examples draw from numpy.random or random, which all threads share; they "
                    "are read one after the other, so that a run can be repeated and resumed (to read them in "
                    "parallel, draw from minigan.dataset.example_random(), or use MultiprocessIterator)",
                    RuntimeWarning, stacklevel=4,
                )  # fmt: skip
        if not self._one_by_one:
            return super()._examples(order, epoch, start, end)
        read, self._ready, self._ahead = self._ready, [], 0
        return read + SerialIterator._examples(self, order, epoch, start + len(read), end)

    def _ask(self, epoch: int, position: int, indices: Any) -> None:
        (index,) = indices
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.n_threads)
        self._asked.append(self._pool.submit(_read, self.dataset, index, self._seed, epoch, position))

    def _receive(self) -> list[Any]:
        future: Future[Any] = self._asked.popleft()
        return [future.result()]

    def _forget(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._begin()


def _read(dataset: Any, index: Any, *place: int) -> Any:
    """An example, with random numbers of its own; no method, or a thread could be the last to hold the iterator."""
    with own_random(*place):
        return dataset[index]


def _shared_generators() -> tuple[Any, ...]:
    """What changes when somebody draws."""
    state: Any = numpy.random.get_state()
    return state[1].tobytes(), *state[2:], random.getstate()
