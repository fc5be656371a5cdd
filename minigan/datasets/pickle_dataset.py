"""Pickled examples one after the other in a file, as Chainer writes them.

A pickle is a program: who reads one runs whatever its writer, or whoever changed the file since, has put in. So reading
must be asked for in so many words. This is the only module of minigan that unpickles.
"""

from __future__ import annotations

import os
import pickle
import threading
import weakref
from typing import IO, Any

from minigan.dataset.dataset_mixin import DatasetMixin
from minigan.dataset.errors import DataError


class PickleDatasetWriter:
    """Writes examples to a binary file, for `PickleDataset`; closes the file at the end of a `with` block."""

    def __init__(self, writer: IO[bytes], protocol: int = pickle.HIGHEST_PROTOCOL) -> None:
        self._writer, self._protocol = writer, protocol

    def write(self, x: Any) -> None:
        """Append an example."""
        pickle.dump(x, self._writer, self._protocol)

    def flush(self) -> None:
        """Hand what is written to the system."""
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()

    def __enter__(self) -> PickleDatasetWriter:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()


class PickleDataset(DatasetMixin):
    """The examples of a file that `PickleDatasetWriter` wrote.

    Args:
        reader: The file, open for reading bytes; closed at the end of a `with` block. If it has a method `after_fork`,
            that is called in forked processes.
        allow_pickle: True says that the file may run programs on this machine, since you know who made it. So does the
            environment variable `MINIGAN_ALLOW_PICKLE=1`, for scripts of Chainer.

    Raises:
        ValueError: reading is not allowed.
        DataError: the file is damaged.
    """

    def __init__(self, reader: IO[bytes], allow_pickle: bool = False) -> None:
        if not allow_pickle and os.environ.get("MINIGAN_ALLOW_PICKLE") != "1":
            raise ValueError(
                f"PickleDataset: {getattr(reader, 'name', 'the file')} is a pickle, and reading a pickle runs whatever "
                f"programs are in it; if you trust who made the file, pass allow_pickle=True or set "
                f"MINIGAN_ALLOW_PICKLE=1"
            )
        self._reader, self._starts = reader, list[int]()
        self._begin()
        reader.seek(0)
        end = reader.seek(0, os.SEEK_END)
        position = reader.seek(0)
        while position < end:
            self._load(position)
            self._starts.append(position)
            position = reader.tell()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        _living.add(self)

    def _after_fork(self) -> None:
        self._begin()
        if hasattr(self._reader, "after_fork"):
            self._reader.after_fork()

    def __getstate__(self) -> dict[str, Any]:
        return {"_reader": self._reader, "_starts": self._starts}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._begin()

    def _load(self, position: int) -> Any:
        self._reader.seek(position)
        try:
            return pickle.load(self._reader)
        except Exception as error:
            raise DataError(f"{getattr(self._reader, 'name', 'the file')}: the example at byte {position} cannot be "
                            f"unpickled ({error}); write the file again") from error  # fmt: skip

    def __len__(self) -> int:
        return len(self._starts)

    def get_example(self, i: int) -> Any:
        """Return the i-th example."""
        with self._lock:
            return self._load(self._starts[i])

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    def __enter__(self) -> PickleDataset:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()


_living: weakref.WeakSet[PickleDataset] = weakref.WeakSet()


def _after_fork() -> None:
    for dataset in tuple(_living):
        dataset._after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_after_fork)


class _FileReader:
    """A file that each process opens for itself: the place in an open file is shared by those that are forked."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._file = open(path, "rb")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __reduce__(self) -> Any:
        return _FileReader, (self._path,)

    def after_fork(self) -> None:
        """Open the file anew."""
        self._file.close()
        self._file = open(self._path, "rb")


def open_pickle_dataset(path: str | os.PathLike[str], allow_pickle: bool = False) -> PickleDataset:
    """Return the data set of a file, see `PickleDataset`."""
    reader: Any = _FileReader(path)
    try:
        return PickleDataset(reader, allow_pickle)
    except BaseException:
        reader.close()
        raise


def open_pickle_dataset_writer(path: str | os.PathLike[str],
                               protocol: int = pickle.HIGHEST_PROTOCOL) -> PickleDatasetWriter:  # fmt: skip
    """Return a writer to a new file, see `PickleDatasetWriter`."""
    return PickleDatasetWriter(open(path, "wb"), protocol)
