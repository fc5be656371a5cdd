"""How a snapshot reaches the disk: at once, in a thread or process for each, or through one that works off a queue.

A writer is called with `(filename, outdir, target)`, where `target` is a dict of arrays, and `finalize` waits until all
is written. Unlike Chainer's, the ones that write later copy the arrays first, so that training does not change what
is being written, and raise at their next call, or in `finalize`, what went wrong. A writer that is killed, or whose
training is, leaves whole files only.
"""

from __future__ import annotations

import errno
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import numpy as np

from minigan.serializers.npz import save_npz
from minigan.utils.files import atomic_path

Savefun = Callable[..., Any]


class Writer:
    """Base class of writers; a subclass must define `__call__(filename, outdir, target)`."""

    _failed: BaseException | None = None

    def __call__(self, filename: str, outdir: str, target: Any) -> None:
        """Save `target`, now or later."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(filename, outdir, target)")

    def finalize(self) -> None:
        """Wait until everything is written."""

    def save(self, filename: str, outdir: str, target: Any, savefun: Savefun, **kwds: Any) -> None:
        """Write the file, whole or not at all; a folder in `filename` is made, `outdir` is not.

        Raises:
            OSError: the file cannot be written; one that was there before is as it was.
        """
        if not os.path.isdir(outdir):
            raise FileNotFoundError(
                errno.ENOENT, "the folder of the run has vanished, so no snapshot can be written", str(outdir)
            )
        path = Path(outdir, filename)
        path.parent.mkdir(parents=True, exist_ok=True)
        if savefun is save_npz:  # does so by itself
            savefun(path, target, **kwds)
            return
        with atomic_path(path) as temporary:
            savefun(temporary, target, **kwds)

    def _try_to_save(self, *args: Any, **kwds: Any) -> None:
        try:
            self.save(*args, **kwds)
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._failed = error

    def _check(self, worker: Any) -> None:
        """Raise what went wrong in the worker."""
        failed, self._failed = self._failed, None
        if failed is not None:
            raise failed
        code = getattr(worker, "exitcode", None)
        if isinstance(code, int) and code:
            raise RuntimeError(
                f"{type(self).__name__}: the process that writes snapshots ended with exit code {code} (-9: it was "
                f"killed, mostly as memory ran out); what it was to write is missing, the snapshots before are whole"
            )


class _InProcess(Writer):
    """What the writers with a process share: an error comes back through a pipe."""

    _errors: Any = None  # the end of this process
    _pipe: Any = None  # the end of the other, in the other

    def _process(self, work: Callable[..., None], args: Any, kwds: Any, daemon: bool) -> multiprocessing.Process:
        self._errors, pipe = multiprocessing.Pipe(duplex=False)
        return multiprocessing.Process(target=self._work, args=(pipe, work, args, kwds), daemon=daemon)

    def _work(self, pipe: Any, work: Callable[..., None], args: Any, kwds: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business; this snapshot is finished
        self._pipe = pipe
        work(*args, **kwds)

    def _fail(self, error: BaseException) -> None:
        """Send the error, as it is if it is one of Python's own: those can be pickled for sure."""
        own = type(error).__module__ == "builtins"
        self._pipe.send(error if own else RuntimeError(f"{type(error).__name__}: {error}"))

    def _check(self, worker: Any) -> None:
        with suppress(EOFError):  # the process has ended without any
            if self._errors is not None and self._errors.poll():
                self._failed = self._errors.recv()
        super()._check(worker)


class SimpleWriter(Writer):
    """Saves at once.

    Args:
        savefun: `(path, dict of arrays, **kwds)`.
    """

    def __init__(self, savefun: Savefun = save_npz, **kwds: Any) -> None:
        self._savefun = savefun
        self._kwds = kwds

    def __call__(self, filename: str, outdir: str, target: Any) -> None:
        """Save."""
        self.save(filename, outdir, target, self._savefun, **self._kwds)


class StandardWriter(SimpleWriter):
    """Base of the writers that start a worker for each snapshot; one at a time."""

    _worker: Any = None

    def __call__(self, filename: str, outdir: str, target: Any) -> None:
        """Wait for the worker before, and start the next one."""
        self.finalize()
        worker = self.create_worker(filename, outdir, _copied(target), **self._kwds)
        worker.start()
        self._worker = worker  # after the start: a process takes a copy of this writer along

    def create_worker(self, filename: str, outdir: str, target: Any, **kwds: Any) -> Any:
        """Return something with `start` and `join` that saves."""
        raise NotImplementedError(f"{type(self).__name__} must define create_worker(filename, outdir, target)")

    def finalize(self) -> None:
        """Wait for the worker."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.join()
            self._check(worker)


class ThreadWriter(StandardWriter):
    """Saves in a thread."""

    def create_worker(self, filename: str, outdir: str, target: Any, **kwds: Any) -> threading.Thread:
        """Return the thread."""
        return threading.Thread(target=self._try_to_save, args=(filename, outdir, target, self._savefun), kwargs=kwds)


class ProcessWriter(_InProcess, StandardWriter):
    """Saves in a process, so that compressing takes no time from training."""

    def create_worker(self, filename: str, outdir: str, target: Any, **kwds: Any) -> multiprocessing.Process:
        """Return the process."""
        return self._process(self._try_to_save, (filename, outdir, target, self._savefun), kwds, daemon=False)


class QueueWriter(Writer):
    """Base of the writers with one worker for the whole run, which takes snapshots from a queue.

    Args:
        savefun: `(path, dict of arrays)`.
        task: Called by the worker as `(filename, outdir, dict of arrays)`; a `SimpleWriter` by default.
    """

    _writing: AbstractContextManager[Any] = nullcontext()  # held while a file is being written

    def __init__(self, savefun: Savefun = save_npz, task: Callable[..., Any] | None = None) -> None:
        self._task = self.create_task(savefun) if task is None else task
        self._queue: Any = self.create_queue()
        self._consumer: Any = self.create_consumer(self._queue)
        self._consumer.start()
        self._finalized = False

    def __call__(self, filename: str, outdir: str, target: Any) -> None:
        """Put a copy into the queue."""
        self._check(self._consumer)
        self._queue.put([self._task, filename, outdir, _copied(target)])

    def create_task(self, savefun: Savefun) -> Callable[..., Any]:
        """Return what the worker calls."""
        return SimpleWriter(savefun)

    def create_queue(self) -> Any:
        """Return a queue with `put`, `get` and `task_done`."""
        raise NotImplementedError(f"{type(self).__name__} must define create_queue()")

    def create_consumer(self, q: Any) -> Any:
        """Return something with `start` and `join` that consumes the queue."""
        raise NotImplementedError(f"{type(self).__name__} must define create_consumer(queue)")

    def consume(self, q: Any) -> None:
        """Save what comes, until None comes."""
        while True:
            task = q.get()
            try:
                if task is None:
                    return
                with self._writing:
                    task[0](task[1], task[2], task[3])
            except Exception as error:
                self._fail(error)
            finally:
                q.task_done()

    def finalize(self) -> None:
        """Wait until the queue is empty, and let the worker go."""
        if not self._finalized:
            self._finalized = True
            self._queue.put(None)
            self._consumer.join()  # and not the queue first, in which a dead worker's snapshots stay for ever
            self._check(self._consumer)
            self._queue.join()


class ThreadQueueWriter(QueueWriter):
    """Saves in one thread."""

    def create_queue(self) -> Any:
        """Return a queue between threads."""
        return queue.Queue()

    def create_consumer(self, q: Any) -> threading.Thread:
        """Return the thread."""
        return threading.Thread(target=self.consume, args=(q,), daemon=True)


class ProcessQueueWriter(_InProcess, QueueWriter):
    """Saves in one process."""

    def create_queue(self) -> Any:
        """Return a queue between processes."""
        return multiprocessing.JoinableQueue()

    def create_consumer(self, q: Any) -> multiprocessing.Process:
        """Return the process."""
        return self._process(self._consume, (q,), {}, daemon=True)

    def _consume(self, q: Any) -> None:
        self._writing = threading.Lock()
        threading.Thread(target=self._follow_parent, daemon=True).start()
        self.consume(q)

    def _follow_parent(self) -> None:
        """End with the training, even if that was killed in the middle of a put; a file that is begun is finished."""
        wait([multiprocessing.parent_process().sentinel])  # type: ignore[union-attr]
        with self._writing:
            os._exit(1)

    def _check(self, worker: Any) -> None:
        if worker.exitcode:
            self._queue.cancel_join_thread()  # else this process would never end: nobody takes what is left in it
        super()._check(worker)


def _copied(target: Any) -> dict[str, np.ndarray]:
    return {key: np.array(value) for key, value in target.items()}
