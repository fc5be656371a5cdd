"""Iterators that read ahead, in threads or in processes, for data sets that wait for a disk or decode images.

Order, epochs and snapshots are `SerialIterator`'s, so one seed gives the same batches; only the reading is spread. It
never goes ahead beyond the epoch: the next order is drawn when its turn comes, so that the random numbers of a script
fall as they do with `SerialIterator`, and the state in a snapshot is that of the batches handed out.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import random
import signal
import sys
import threading
import traceback
import warnings
import weakref
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import wait
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy

from minigan.dataset.randomness import own_random, seed_for_example
from minigan.iterators.order_samplers import OrderSampler
from minigan.iterators.serial_iterator import SerialIterator


class _ReadingAhead(SerialIterator):
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

    def __copy__(self) -> _ReadingAhead:
        """Return an iterator at the same place, with threads or processes of its own (for an `Evaluator`)."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._begin()
        return other


class MultithreadIterator(_ReadingAhead):
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
        self.n_threads = _positive(self, n_threads)
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


def _positive(iterator: Any, n: int, what: str = "workers") -> int:
    if n < 1:
        raise ValueError(f"{type(iterator).__name__}: {n} {what} are asked for; wanted 1 or more")
    return n


class MultiprocessIterator(_ReadingAhead):
    """A `SerialIterator` whose examples are read by `n_processes` processes, `n_prefetch` batches ahead.

    The processes start with the first batch, by fork on Linux, so that the data set need not be pickled and a script
    needs no `if __name__ == "__main__"`; `multiprocessing.set_start_method` before that chooses otherwise. They end
    with `finalize`, with the iterator, and with this process. In a worker, `numpy.random` and `random` are seeded for
    each example, from the state of `numpy.random` when the iterator was made, the epoch and the position: what a data
    set draws is the same for any number of processes, and after a resume.

    Args:
        dataset, batch_size, repeat, shuffle, order_sampler: As in `SerialIterator`.
        n_processes: How many processes; the number of processors by default.
        n_prefetch: How many batches are read ahead.
        shared_mem: Bytes of shared memory for an example; by default 32 MB for a process's part of a batch. What is
            larger goes through a pipe, only more slowly.
        dataset_timeout: Seconds of waiting for examples after which a `TimeoutWarning` is given; None for never.
        maxtasksperchild: After how many parts of batches a process makes way for a fresh one; None for never.

    Raises:
        ValueError: wrong numbers, as in `SerialIterator`.
        TypeError: the processes do not start by fork and the data set cannot be pickled.
        RuntimeError: in `next`, a process has died. An error of the data set is raised as it is, its text of the worker
            as its cause. After an error the iterator is where it was, and starts new processes if asked again.
    """

    class TimeoutWarning(RuntimeWarning):
        """A batch takes longer than `dataset_timeout`."""

    def __init__(
        self, dataset: Any, batch_size: int, repeat: bool = True, shuffle: bool | None = None,
        n_processes: int | None = None, n_prefetch: int = 1, shared_mem: int | None = None,
        order_sampler: OrderSampler | None = None, dataset_timeout: float | None = 30.0,
        maxtasksperchild: int | None = None,
    ) -> None:  # fmt: skip
        self.n_processes = _positive(self, n_processes or os.cpu_count() or 1)
        self.n_prefetch = max(n_prefetch, 0)
        self.shuffle = shuffle
        self.shared_mem = shared_mem
        self.dataset_timeout = dataset_timeout
        self.maxtasksperchild = None if maxtasksperchild is None else _positive(self, maxtasksperchild, "tasks")
        self._finalized = False
        super().__init__(dataset, batch_size, repeat, shuffle, order_sampler)
        # An order for a worker and an example on its way are small beside a pipe's buffer, so that no one can wait for
        # a worker that in turn waits for its answer to be read.
        self._piece = min(-(-batch_size // self.n_processes), 1000)
        self._most = min(self.n_prefetch + 1, 1 + 2000 // (self._piece + 30))

    def _begin(self) -> None:
        super()._begin()
        self._unsent: deque[Any] = deque()
        self._workers: list[_Worker] = []
        self._stop: Any = None

    def _start(self) -> _Worker:
        method = multiprocessing.get_start_method(allow_none=True)
        if method is None:
            method = "spawn" if sys.platform in ("darwin", "win32") else "fork"
        room = 1 << 25 if self.shared_mem is None else self._piece * (self.shared_mem + 1024)
        try:
            return _Worker(multiprocessing.get_context(method), self.dataset, self._most, room)
        except Exception as error:
            if method == "fork":
                raise
            raise TypeError(
                f"MultiprocessIterator: the data set cannot be sent to a process started by {method} ({error}); define "
                f"it at the top of a module, or call multiprocessing.set_start_method('fork') first"
            ) from error

    def _ask(self, epoch: int, position: int, indices: Any) -> None:
        if not self._workers:
            self._stop = weakref.finalize(self, _end, self._workers, self._owner)
            while len(self._workers) < self.n_processes:
                self._workers.append(self._start())
        self._unsent.append((self._seed, epoch, position, indices))
        self._send()

    def _send(self) -> None:
        """Hand out what the workers may take: the least busy first."""
        while self._unsent:
            for i, worker in enumerate(self._workers):
                if worker.given == self.maxtasksperchild and not worker.waiting:
                    _end([worker], self._owner)
                    self._workers[i] = self._start()
            free = [w for w in self._workers if w.waiting < self._most and w.given != self.maxtasksperchild]
            if not free:
                return
            worker = min(free, key=lambda w: w.waiting)
            worker.give(self._unsent.popleft())
            self._asked.append(worker)

    def _receive(self) -> list[Any]:
        worker: _Worker = self._asked.popleft()
        if not worker.ready(self.dataset_timeout):
            warnings.warn(
                f"MultiprocessIterator: the data set has given no example for {self.dataset_timeout} seconds; waiting "
                f"on (more processes may help; dataset_timeout=None ends this warning)",
                self.TimeoutWarning, stacklevel=5,
            )  # fmt: skip
            worker.ready(None)
        examples = worker.take()
        self._send()
        return examples

    def _forget(self) -> None:
        if self._stop is not None:
            self._stop()
        self._begin()

    def reset(self) -> None:
        """Go back to the start of epoch 0, with a new order; not after `finalize`, as in Chainer."""
        if self._finalized:
            raise NotImplementedError("MultiprocessIterator: reset after finalize is not possible; make a new iterator")
        super().reset()

    def finalize(self) -> None:
        """End the processes."""
        self._finalized = True
        super().finalize()


class _Worker:
    """A process that reads examples, seen from the one that asks for them."""

    def __init__(self, context: Any, dataset: Any, most: int, room: int) -> None:
        # Anonymous memory that is shared by fork has no name that could be left over. Only touched pages take memory.
        self._memories: list[mmap.mmap] = []
        if context.get_start_method() == "fork":
            with suppress(OSError, ValueError, OverflowError):
                self._memories = [mmap.mmap(-1, room) for _ in range(most)]
        self.pipe, end = context.Pipe()
        self.process = context.Process(target=_work, args=(dataset, end, self.pipe, self._memories), daemon=True)
        try:
            self.process.start()
        finally:
            end.close()
        self.given = self.taken = 0

    @property
    def waiting(self) -> int:
        return self.given - self.taken

    def give(self, task: tuple[int, int, int, Any]) -> None:
        self.given += 1
        with suppress(OSError):  # `take` says that the process is dead
            self.pipe.send(task)

    def ready(self, timeout: float | None) -> bool:
        return bool(wait([self.pipe, self.process.sentinel], timeout))

    def take(self) -> list[Any]:
        try:
            if not self.pipe.poll():
                raise EOFError
            answer = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join(1)
            code = self.process.exitcode
            how = f"by signal {signal.Signals(-code).name}" if code and code < 0 else f"with exit code {code}"
            raise RuntimeError(
                f"MultiprocessIterator: a worker process ended {how} while it read examples; SIGKILL mostly means that "
                f"memory ran out (fewer processes need less), an exit code that the script must keep its start behind "
                f"if __name__ == '__main__'"
            ) from None
        if isinstance(answer, tuple):
            error, text = answer
            raise error from RuntimeError(f"in a worker process\n\n{text}")
        if isinstance(answer, int):
            with memoryview(self._memories[self.taken % len(self._memories)]) as memory, memory[:answer] as content:
                answer = ForkingPickler.loads(content)
        self.taken += 1
        return answer


def _end(workers: list[_Worker], owner: int) -> None:
    """End processes, whatever they are doing; nothing, in a process that merely has copies of these objects."""
    if owner == os.getpid():
        for worker in workers:
            worker.pipe.close()
            worker.process.terminate()
        for worker in workers:
            worker.process.join(1)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
    workers.clear()


def _work(dataset: Any, pipe: Any, other_end: Any, memories: list[mmap.mmap]) -> None:
    """What a worker does until the pipe ends."""
    other_end.close()  # or the end of the parent would never be seen
    threading.Thread(target=_follow_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    count = 0
    with suppress(EOFError, OSError):
        while True:
            task = pipe.recv()
            pipe.send_bytes(_answer(dataset, memories[count % len(memories)] if memories else None, *task))
            count += 1


def _follow_parent() -> None:
    """End this process with its parent, even while the data set hangs."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _answer(dataset: Any, memory: mmap.mmap | None, seed: int, epoch: int, position: int, indices: Any) -> Any:
    """The examples, their length in the shared memory, or an error with the text of its traceback; pickled."""
    try:
        examples = []
        for i, index in enumerate(indices, position):
            seed_for_example(seed, epoch, i)
            examples.append(dataset[index])
        if memory is not None:
            memory.seek(0)
            with suppress(ValueError):  # there is not enough room
                ForkingPickler(memory, 5).dump(examples)
                return ForkingPickler.dumps(memory.tell())
        return ForkingPickler.dumps(examples, 5)
    except BaseException as error:
        text = traceback.format_exc()
        try:  # some errors can be pickled but not unpickled
            ForkingPickler.loads(ForkingPickler.dumps(error))
            return ForkingPickler.dumps((error, text))
        except Exception:
            return ForkingPickler.dumps((RuntimeError(f"{type(error).__name__}: {error}"), text))
