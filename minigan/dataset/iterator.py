"""The base class of iterators: what a training loop may rely on when it asks for the next batch.

Besides `next`, an updater reads `epoch`, `is_new_epoch` and `epoch_detail` from an iterator, and a snapshot calls
`serialize`; `minigan.iterators.SerialIterator` has them all.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any


class Iterator:
    """Yields batches, each a list of examples; usable in `for` loops and as a context manager."""

    def __iter__(self) -> Iterator:
        return self

    def __next__(self) -> Any:
        """Return the next batch, or raise `StopIteration`."""
        raise NotImplementedError(f"{type(self).__name__} must define __next__")

    def next(self) -> Any:
        """Return the next batch, as `next(iterator)` does."""
        return self.__next__()

    def finalize(self) -> None:
        """Free what the iterator holds; there is nothing to free unless a subclass says so."""

    def serialize(self, serializer: Any) -> None:
        """Write the state to a serializer, or read it from a deserializer; there is no state unless a subclass has."""

    def __del__(self) -> None:
        with suppress(Exception):  # at the end of a script, or after an error in __init__, parts may be missing
            self.finalize()

    def __enter__(self) -> Iterator:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.finalize()
