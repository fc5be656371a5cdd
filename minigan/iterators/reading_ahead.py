"""What the iterators that read ahead share, for data sets that wait for a disk or decode images.

Order, epochs and snapshots are `SerialIterator`'s, so one seed gives the same batches; only the reading is spread. It
never goes ahead beyond the epoch: the next order is drawn when its turn comes, so that the random numbers of a script
fall as they do with `SerialIterator`, and the state in a snapshot is that of the batches handed out.
"""

from __future__ import annotations

import os
import zlib
from collections import deque
from contextlib import suppress
from typing import Any

import numpy

from minigan.iterators.order_samplers import OrderSampler
from minigan.iterators.serial_iterator import SerialIterator


class ReadingAhead(SerialIterator):
    """Asks for `n_prefetch` batches more than are wanted now. A subclass says how one asks, receives and forgets."""

    _piece = 1  # examples that are asked for at a time
    n_prefetch = 1

    def __init__(self, dataset: Any, batch_size: int, repeat: bool, shuffle: bool | None,
                 order_sampler: OrderSampler | None) -> None:  # fmt: skip
        self._begin()
        state: Any = numpy.random.get_state()  # without a draw, which would shift the script's numbers
        self._seed = zlib.crc32(state[1].tobytes(), state[2])
        super().__init__(dataset, batch_size, repeat, shuffle, order_sampler)

    def _begin(self) -> None:
        self._asked: deque[Any] = deque()
        self._ready: list[Any] = []
        self._ahead = 0  # examples asked for or ready, of this epoch and not handed out
        self._owner = os.getpid()
        self._moved = False  # by a file: what was read ahead is dropped, but not before the file is loaded as a whole

    def __next__(self) -> list[Any]:
        """Return the next batch as a list of examples."""
        if self._owner != os.getpid():  # a forked process has a copy; the threads or workers are not its own
            self._begin()
        if self._moved:
            self._forget()
        return super().__next__()

    def _examples(self, order: numpy.ndarray | None, epoch: int, start: int, end: int) -> list[Any]:
        size = len(self.dataset) if order is None else len(order)
        until = min(end + self.n_prefetch * self.batch_size, size)
        try:
            for first in range(start + self._ahead, until, self._piece):
                last = min(first + self._piece, until)
                self._ask(epoch, first, range(first, last) if order is None else order[first:last])
                self._ahead = last - start
            while len(self._ready) < end - start:
                self._ready += self._receive()
        except BaseException:
            self._forget()
            raise
        batch = self._ready[: end - start]
        del self._ready[: end - start]
        self._ahead -= end - start
        return batch

    def _ask(self, epoch: int, position: int, indices: Any) -> None:
        raise NotImplementedError

    def _receive(self) -> list[Any]:
        raise NotImplementedError

    def _forget(self) -> None:
        """Drop what was read ahead."""
        self._begin()

    def reset(self) -> None:
        """Go back to the start of epoch 0, with a new order."""
        if self._ahead:
            self._forget()
        super().reset()

    def serialize(self, serializer: Any) -> None:
        """Write or read the place, as of the batches handed out, and the seed of the examples (Chainer has none)."""
        before, seed = self._place(), self._seed
        with suppress(KeyError):
            seed = serializer("example_seed", seed)
        super().serialize(serializer)
        if before != self._place() or seed != self._seed:
            self._moved, self._seed = True, seed

    def _place(self) -> tuple[Any, ...]:
        return self._position, self._epoch, None if self._order is None else self._order.tolist()

    def finalize(self) -> None:
        """End the threads or processes; they come back if the iterator is used again."""
        self._forget()

    def __copy__(self) -> ReadingAhead:
        """Return an iterator at the same place, with threads or processes of its own (for an `Evaluator`)."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._begin()
        return other


def positive(iterator: Any, n: int, what: str = "workers") -> int:
    """Return a number of workers, or raise `ValueError`."""
    if n < 1:
        raise ValueError(f"{type(iterator).__name__}: {n} {what} are asked for; wanted 1 or more")
    return n
