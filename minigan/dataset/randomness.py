"""Random numbers inside an example, for crops and flips: the same ones whoever reads the example, and after a resume.

NumPy's global generator belongs to the whole process, so threads that read examples at the same time share it, and who
gets which number depends on their timing. So the iterators that read ahead give each example numbers of its own, from
their seed, the epoch and the position; `example_random()` is where a data set finds them.
"""

from __future__ import annotations

import random
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy

_thread = threading.local()


def example_random() -> Any:
    """Return what an example is to draw from, with the methods of `numpy.random.RandomState`.

    In a thread of a `MultithreadIterator` it is a generator of the example's own; else it is `numpy.random`, which
    the workers of a `MultiprocessIterator` seed for each example, and which in a `SerialIterator` goes on.
    """
    name = getattr(_thread, "name", None)
    if name is None:
        return numpy.random
    if _thread.generator is None:  # made when it is wanted: that takes as long as reading a small example
        _thread.generator = numpy.random.RandomState(_seed(name))
    return _thread.generator


@contextmanager
def own_random(*place: int) -> Iterator[None]:
    """Give this thread's `example_random` a generator for the example of that seed, epoch and position."""
    _thread.name, _thread.generator = place, None
    try:
        yield
    finally:
        _thread.name = None


def seed_for_example(*place: int) -> None:
    """Seed `numpy.random` and `random` for the example of that seed, epoch and position."""
    numpy.random.seed(_seed(place))
    random.seed(_text(place))


def _text(place: tuple[int, ...]) -> str:
    return " ".join(map(str, place))


def _seed(place: tuple[int, ...]) -> int:
    return zlib.crc32(_text(place).encode())
