"""The IDX format of the MNIST files: four bytes of type and axes, the lengths, then the numbers, big-endian.

A header may lie, by accident or on purpose, so nothing is allocated on its word: the content is read in pieces and
must end exactly where the header says. Compression (gzip, xz) is told by the first bytes, not by the name.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from typing import IO, Any

import numpy

from minigan.dataset.errors import DataError
from minigan.utils.stored import is_bomb

try:
    import lzma
except ImportError:  # a few Python builds lack it
    lzma = None  # type: ignore[assignment]

LIMIT = 1 << 30
"""No file of digits has more bytes than this (the whole of MNIST has 55 MB)."""

DAMAGE: tuple[type[Exception], ...] = (OSError, EOFError, zlib.error) + ((lzma.LZMAError,) if lzma else ())
"""What reading a stream raises if the file is damaged, cut or cannot be read."""

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_PIECE = 1 << 20


def read_idx(path: str | os.PathLike[str]) -> numpy.ndarray:
    """Return the array of an IDX file, plain or compressed with gzip or xz, in the machine's byte order.

    Raises:
        DataError: the file cannot be read, is damaged or cut, is no IDX file, or holds more or less than its header
            says.
    """
    try:
        with open(path, "rb") as file:
            return _parse(stream(file), str(path), os.fstat(file.fileno()).st_size)
    except DAMAGE as error:
        raise damaged(path, error) from error


def damaged(path: str | os.PathLike[str], error: BaseException) -> DataError:
    """Return the error for a file whose reading broke off with `error`."""
    if isinstance(error, OSError) and error.errno is not None:
        return DataError(f"{path}: the file cannot be read ({error.strerror}); check the name and its permissions")
    reason = " ".join(str(error).split()) or type(error).__name__
    return DataError(f"{path}: the file is damaged or cut short ({reason}); delete it and fetch it again")


def stream(file: IO[bytes]) -> IO[bytes]:
    """Return the decompressed content of an open file: gzip and xz are told by their first bytes."""
    start = file.read(6)
    file.seek(0)
    if start[:2] == b"\x1f\x8b":
        return gzip.GzipFile(fileobj=file)  # type: ignore[return-value]
    if start == b"\xfd7zXZ\x00":
        if lzma is None:
            raise DataError(f"{getattr(file, 'name', 'the file')}: this Python was built without the lzma module that "
                            f"reads xz files; give other data with --data or $MINIGAN_DATA")  # fmt: skip
        return lzma.LZMAFile(file)  # type: ignore[return-value]
    return file


def read_at_most(file: Any, size: int) -> bytearray:
    """Return up to `size` bytes, read in pieces so that a false size costs no memory."""
    content = bytearray()
    while len(content) < size and (piece := file.read(min(_PIECE, size - len(content)))):
        content += piece
    return content


def _parse(file: Any, path: str, packed: int) -> numpy.ndarray:
    head = bytes(read_at_most(file, 4))
    if not head:
        raise DataError(f"{path}: the file is empty; delete it and fetch it again")
    if len(head) < 4 or head[:2] != b"\0\0":
        raise DataError(f"{path}: this is no IDX file (it starts with {head.hex(' ')}, wanted 00 00 and a type); give "
                        f"the file as it is published")  # fmt: skip
    kind, ndim = head[2], head[3]
    if kind not in _TYPES or not 1 <= ndim <= 8:
        raise DataError(f"{path}: the IDX header says type 0x{kind:02x} with {ndim} axes; wanted a type of 0x08 to "
                        f"0x0e and 1 to 8 axes; fetch the file again")  # fmt: skip
    lengths = bytes(read_at_most(file, 4 * ndim))
    if len(lengths) < 4 * ndim:
        raise DataError(f"{path}: the file ends inside its IDX header; fetch it again")
    shape = struct.unpack(f">{ndim}I", lengths)
    dtype = numpy.dtype(_TYPES[kind])
    wanted = math.prod(shape) * dtype.itemsize
    if wanted > LIMIT or is_bomb(wanted, packed):
        raise DataError(f"{path}: the IDX header says shape {shape}, {wanted:,} bytes, in a file of {packed:,}; wanted "
                        f"at most {LIMIT:,}; the header is false, fetch the file again")  # fmt: skip
    content = read_at_most(file, wanted + 1)
    if len(content) != wanted:
        found = f"only {len(content):,}" if len(content) < wanted else "more"
        raise DataError(f"{path}: the IDX header says shape {shape}, {wanted:,} bytes, but {found} follow; the header "
                        f"is false or the file is cut: fetch it again")  # fmt: skip
    return numpy.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)
