"""An iterator that reads ahead in processes, each with a pipe and, by fork, memory that it shares with this one.

`MultiprocessIterator` hands pieces of batches to its `_Worker`s, the least busy first, and takes the answers in the
order in which it asked. `_work` is what runs in the process of a worker.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import signal
import sys
import threading
import traceback
import warnings
import weakref
from collections import deque
from contextlib import suppress
from multiprocessing.connection import wait
from multiprocessing.reduction import ForkingPickler
from typing import Any

from minigan.dataset.randomness import seed_for_example
from minigan.iterators.order_samplers import OrderSampler
from minigan.iterators.reading_ahead import ReadingAhead, positive


class MultiprocessIterator(ReadingAhead):
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
        self.n_processes = positive(self, n_processes or os.cpu_count() or 1)
        self.n_prefetch = max(n_prefetch, 0)
        self.shuffle = shuffle
        self.shared_mem = shared_mem
        self.dataset_timeout = dataset_timeout
        self.maxtasksperchild = None if maxtasksperchild is None else positive(self, maxtasksperchild, "tasks")
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
