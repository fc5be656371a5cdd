"""An array in a file before it is read: what the file says of it, and the way to get it.

A reader looks at shape and dtype first, so that what does not fit is refused before memory is taken for it.
"""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

_HARMLESS = 1 << 28
_DENSEST = 100  # weights shrink to nine tenths, text to a tenth; only zeros shrink to a thousandth
DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, ValueError, EOFError, OSError, RuntimeError, TypeError, OverflowError,
    MemoryError, IndexError,
)  # fmt: skip
"""All that parsers of bytes raise on bytes that are not what they should be."""


class FileError(ValueError):
    """A file that is damaged, or is not what it should be. The message says which file, which entry and what."""


@contextmanager
def damage_named(source: str, entry: str) -> Iterator[None]:
    """Turn whatever comes of damaged bytes into a `FileError` that names the file and the entry."""
    try:
        yield
    except DAMAGE as error:
        reason = str(error)[:200] or type(error).__name__
        raise FileError(f"{source}: {entry} is damaged or not allowed: {reason}") from error


def is_bomb(size: int, packed: int) -> bool:
    """Whether `size` bytes are many, and nearly nothing in the file."""
    return size > max(_HARMLESS, _DENSEST * packed)


@dataclass
class Stored:
    """An array in a file: what it is said to be, the bytes that it takes there, and a function that reads it."""

    shape: tuple[int, ...]
    dtype: np.dtype
    packed: int
    read: Callable[[], np.ndarray]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def check_size(self, path: str) -> None:
        """Refuse a bomb. For arrays whose shape nobody asks for."""
        size = self.size * self.dtype.itemsize
        if is_bomb(size, self.packed):
            raise FileError(
                f"{path} is {self.dtype} {self.shape}, {size:,} bytes, in the file but takes {self.packed:,} there; "
                "if that is no bomb, load it into an object that already has this shape"
            )
