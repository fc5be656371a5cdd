"""HDF5 files read without trust, and without the HDF5 library.

The library crashes and hangs on damaged files, follows links into other files and loads plugins. Chainer, minigan and
h5py with its defaults write a small part of the format, the one of 1998 ("HDF5 File Format Specification", version 0 of
the superblock): groups as B-trees of names, arrays of numbers or text, in one piece or in deflated chunks. That part
fits here; whatever else a file holds is refused, entry by entry. No address is followed twice, and memory is taken for
what is there and not for what is said to be there.
"""

from __future__ import annotations

import io
import math
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import cached_property, partial
from typing import IO, Any

import numpy as np

from minigan.utils.stored import FileError, Stored, damage_named

SIGNATURE = b"\x89HDF\r\n\x1a\n"
# Types of messages in the header of an entry, and of filters.
_DATASPACE, _DATATYPE, _EXTERNAL, _LAYOUT, _FILTERS, _CONTINUED, _SYMBOLS = 1, 3, 7, 8, 11, 16, 17
_DEFLATE, _SHUFFLE = 1, 2
_ELSEWHERE, _NOWHERE = -1, 2**64 - 1
# Offset and bits of the number, place and size of exponent and mantissa, bias: those of IEEE 754.
_FLOATS = {
    2: (0, 16, 10, 5, 0, 10, 15),
    4: (0, 32, 23, 8, 0, 23, 127),
    8: (0, 64, 52, 11, 0, 52, 1023),
}
_FALSE_AND_TRUE = b"FALSE\0\0\0TRUE\0\0\0\0\0\1"  # h5py's bool is an enumeration of int8
_TEXT = np.dtype("V16")  # a text of any length: its length, and where it is
_Guard = Callable[[], AbstractContextManager[None]]  # names the entry in what goes wrong, now and when it is read


class _Bytes:
    """A file of which only what is there can be read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.size = file, file.seek(0, os.SEEK_END)

    def at(self, place: int, size: int) -> bytes:
        if place + size > self.size:
            raise FileError(f"byte {place:,} is wanted, but it has only {self.size:,}")
        self._file.seek(place)
        content = self._file.read(size)
        if len(content) != size:
            raise FileError(f"byte {place:,} cannot be read")
        return content

    def numbers(self, layout: str, place: int) -> tuple[Any, ...]:
        return struct.unpack("<" + layout, self.at(place, struct.calcsize("<" + layout)))


def open_hdf5(file: IO[bytes], source: str) -> Group:
    """Return the root group of an open file; raises `FileError` if it is none, or of a kind that is not read here."""
    try:
        content = _Bytes(file)
        if content.at(0, 8) != SIGNATURE:
            raise FileError("it does not start as one")
        version, sizes = content.at(8, 1)[0], content.at(13, 2)
        if version not in (0, 1) or sizes != b"\x08\x08":
            raise FileError(
                f"version {version} of the layout is not read here; write it by h5py.File(name, 'w', libver='earliest')"
            )
        base, _, end, _, _, root = content.numbers("6Q", 24 + 4 * version)
        if base or end > content.size:
            raise FileError(f"it should have {base + end:,} bytes and has {content.size:,}")
    except (FileError, OSError) as error:
        raise FileError(f"{source} is not an HDF5 file, is damaged or is cut short ({error})") from error
    return Group(content, root, "", source)


class Group(Mapping[str, "Group | Stored | None"]):
    """A group: by name, or path, its groups and arrays; None stands for an empty array (`h5py.Empty`).

    Raises `FileError` for a damaged entry, or one of a kind that is not read here.
    """

    def __init__(self, content: _Bytes, header: int, name: str, source: str) -> None:
        self._content, self._header, self.name, self._source = content, header, name, source

    def __iter__(self) -> Iterator[str]:
        return iter(self._headers)

    def __len__(self) -> int:
        return len(self._headers)

    def __contains__(self, path: Any) -> bool:
        first, _, rest = path.strip("/").partition("/")
        if not rest or first not in self._headers:
            return first in self._headers
        child = self[first]
        return isinstance(child, Group) and rest in child

    def __getitem__(self, path: str) -> Group | Stored | None:
        first, _, rest = path.strip("/").partition("/")
        header, name = self._headers[first], f"{self.name}/{first}"
        guard = partial(damage_named, self._source, name)
        with guard():
            if header == _ELSEWHERE:
                raise FileError("it is a link to another place, which is not followed")
            messages = _messages(self._content, header)
            entry: Group | Stored | None
            if _SYMBOLS in messages:
                entry = Group(self._content, header, name, self._source)
            else:
                entry = _array(self._content, messages, guard)
        if not rest:
            return entry
        if not isinstance(entry, Group):
            raise KeyError(path)
        return entry[rest]

    @cached_property
    def _headers(self) -> dict[str, int]:
        """Where the entries' headers are."""
        with damage_named(self._source, self.name or "/"):
            messages, content = _messages(self._content, self._header), self._content
            if _SYMBOLS not in messages:
                raise FileError("its links are of a kind that is not read here (external ones are); save it anew")
            tree, heap = _unpack("QQ", messages[_SYMBOLS])
            signature, _, size, _, names_at = content.numbers("4sIQQQ", heap)
            if signature != b"HEAP":
                raise FileError(f"there is no heap of names at byte {heap:,}")
            names, found = content.at(names_at, size), {}
            for node in _leaves(content, tree, "Q", kind=0):
                signature, _, count = content.numbers("4sHH", node[-1])
                if signature != b"SNOD":
                    raise FileError(f"there are no names at byte {node[-1]:,}")
                for i in range(count):
                    name_at, header, link, *_ = content.numbers("QQI", node[-1] + 8 + 40 * i)
                    name = names[name_at : names.find(b"\0", name_at)].decode()
                    if name in found or not name:
                        raise FileError(f"the name {name!r} is there twice")
                    found[name] = _ELSEWHERE if link == 2 else header
            return found


def _unpack(layout: str, content: bytes) -> tuple[Any, ...]:
    return struct.unpack_from("<" + layout, content)


def _messages(content: _Bytes, header: int) -> dict[int, bytes]:
    """The messages of an object header, by type."""
    version, count, _, size = content.numbers("BxHII", header)
    if version != 1:
        raise FileError(f"there is no header of version 1 at byte {header:,}")
    found: dict[int, bytes] = {}
    blocks, known = [(header + 16, size)], set()
    while blocks:
        place, size = blocks.pop()
        if place in known:
            raise FileError(f"byte {place:,} continues itself")
        known.add(place)
        block, at = content.at(place, size), 0
        while at + 8 <= size and count > 0:
            kind, length, flags = _unpack("HHB", block[at : at + 8])
            message = block[at + 8 : at + 8 + length]
            if kind == _CONTINUED:
                blocks.append(_unpack("QQ", message))
            elif kind in (_DATATYPE, _DATASPACE, _LAYOUT, _FILTERS, _SYMBOLS, _EXTERNAL):
                if flags & 2 or kind in found:
                    raise FileError("its type is stored elsewhere or twice, which is not read here")
                found[kind] = message
            at, count = at + 8 + length, count - 1
    return found


def _leaves(content: _Bytes, root: int, key: str, kind: int) -> Iterator[tuple[int, ...]]:
    """`(*key, address)` of each entry of the lowest level of a B-tree."""
    waiting, known = [(root, None)], set()
    step = struct.calcsize("<" + key) + 8
    while waiting:
        node, wanted = waiting.pop()
        signature, found, level, count = content.numbers("4sBBH", node)
        if signature != b"TREE" or found != kind or node in known or (wanted is not None and level != wanted):
            raise FileError(f"there is no tree at byte {node:,}, or one that goes in circles")
        known.add(node)
        block = content.at(node + 24, count * step)
        entries = [_unpack(key + "Q", block[i * step :]) for i in range(count)]
        if level:
            waiting += [(entry[-1], level - 1) for entry in reversed(entries)]
        else:
            yield from entries


def _array(content: _Bytes, messages: dict[int, bytes], guard: _Guard) -> Stored | None:
    if _EXTERNAL in messages or not {_DATASPACE, _DATATYPE, _LAYOUT} <= messages.keys():
        raise FileError("it is neither a group nor an array that lies in this file")
    version, ndim = messages[_DATASPACE][:2]
    if version == 2 and messages[_DATASPACE][3] == 2:
        return None
    shape = _unpack(f"{ndim}Q", messages[_DATASPACE][8 if version == 1 else 4 :])
    if version not in (1, 2) or ndim > 32:
        raise FileError(f"it has {ndim} axes, by version {version}")
    layout_version, layout = messages[_LAYOUT][:2]
    if layout_version != 3:
        raise FileError(f"version {layout_version} of its layout is not read here")
    dtype = _dtype(messages[_DATATYPE])
    if layout == 2:
        return _chunked(content, shape, dtype, messages, guard)
    if layout == 0:
        (size,) = _unpack("H", messages[_LAYOUT][2:])
        place, content = 0, _Bytes(io.BytesIO(messages[_LAYOUT][4:]))
    else:
        place, size = _unpack("QQ", messages[_LAYOUT][2:])
    wanted = math.prod(shape) * dtype.itemsize
    place = place if wanted else 0  # an array without elements is nowhere
    if layout > 1 or wanted > size or place + wanted > content.size:
        raise FileError(f"it is said to be {dtype} {shape}, {wanted:,} bytes, but they are not there")
    if dtype == _TEXT:
        text = _text(content, shape, content.at(place, wanted))
        return Stored((), text.dtype, text.nbytes, lambda: text)

    def read() -> np.ndarray:
        with guard():
            return _native(np.frombuffer(bytearray(content.at(place, wanted)), dtype).reshape(shape))

    return Stored(shape, dtype.newbyteorder("="), wanted, read)


def _native(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind == "S":
        return np.char.decode(array, "utf-8")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _dtype(message: bytes) -> np.dtype:
    kind, order, _, size = _unpack("BBHI", message)
    kind, flags, details = kind & 15, order, message[8:]
    sign = ">" if order & 1 else "<"
    if kind == 0 and size in (1, 2, 4, 8) and _unpack("HH", details) == (0, 8 * size) and not flags & ~9:
        return np.dtype(f"{sign}{'i' if flags & 8 else 'u'}{size}")
    if kind == 1 and size in _FLOATS and not flags & 64 and _unpack("HHBBBBI", details) == _FLOATS[size]:
        return np.dtype(f"{sign}f{size}")
    if kind == 8 and size == 1 and flags == 2 and details[8:].startswith(_FALSE_AND_TRUE, 4):
        return np.dtype(bool)
    if kind == 3 and size > 0:
        return np.dtype(f"S{size}")
    if kind == 9 and flags & 15 == 1 and size == 16:
        return _TEXT
    raise FileError(f"its type (class {kind}, {size} bytes) is none of plain numbers, bool and text")


def _text(content: _Bytes, shape: tuple[int, ...], reference: bytes) -> np.ndarray:
    """The one text that a reference into a heap of texts names."""
    if shape:
        raise FileError(f"it is an array {shape} of texts, which is not read here")
    length, heap, wanted = _unpack("IQI", reference)
    signature, version, size = content.numbers("4sB3xQ", heap)
    block, at = content.at(heap, size), 16
    if signature != b"GCOL" or version != 1:
        raise FileError(f"there is no heap of texts at byte {heap:,}")
    while at + 16 <= size:
        index, room = _unpack("H6xQ", block[at : at + 16])
        if index == wanted and length <= room <= size - at - 16:
            return np.array(block[at + 16 : at + 16 + length].decode())
        at += 16 + (room + 7) // 8 * 8
    raise FileError(f"there is no text {wanted} in the heap at byte {heap:,}")


def _chunked(content: _Bytes, shape: tuple[int, ...], dtype: np.dtype, messages: dict[int, bytes],
             guard: _Guard) -> Stored:  # fmt: skip
    """An array cut into chunks, each of the same shape and packed by itself; those on the edge stand out over it."""
    axes, tree = _unpack("BQ", messages[_LAYOUT][2:])
    *chunk, width = _unpack(f"{axes}I", messages[_LAYOUT][11:])
    filters = _filters(messages[_FILTERS]) if _FILTERS in messages else []
    whole, room = math.prod(shape) * dtype.itemsize, math.prod(chunk) * dtype.itemsize
    if len(chunk) != len(shape) or width != dtype.itemsize or dtype == _TEXT or room > whole + (1 << 20) or not room:
        raise FileError(f"its chunks {tuple(chunk)} of {width} bytes do not fit {dtype} {shape}")
    pieces = {}
    for size, mask, *corner, _, place in _leaves(content, tree, f"II{axes}Q", kind=1) if tree != _NOWHERE else ():
        pieces[tuple(corner)] = size, mask, place
    missing = math.prod(-(-length // side) for length, side in zip(shape, chunk)) - len(pieces)
    if missing or any(at % side or at >= length for corner in pieces for at, side, length in zip(corner, chunk, shape)):
        raise FileError(f"it is said to be {dtype} {shape}, but of its chunks {missing or 'some'} are missing")

    def read() -> np.ndarray:
        array = np.empty(shape, dtype)
        with guard():
            for corner, (size, mask, place) in pieces.items():
                packed = content.at(place, size)
                for i, number in reversed(list(enumerate(filters))):
                    if not mask >> i & 1:
                        packed = _unfiltered(number, packed, room, dtype.itemsize)
                if len(packed) != room:
                    raise FileError(f"its chunk at {corner} has {len(packed):,} bytes, wanted {room:,}")
                piece = np.frombuffer(packed, dtype).reshape(chunk)
                here = tuple(slice(at, at + side) for at, side in zip(corner, chunk))
                target = array[here]
                target[...] = piece[tuple(slice(length) for length in target.shape)]
            return _native(array)

    return Stored(shape, dtype.newbyteorder("="), sum(size for size, _, _ in pieces.values()), read)


def _filters(message: bytes) -> list[int]:
    version, count = message[:2]
    at, found = 8 if version == 1 else 2, []
    for _ in range(count):
        (number,) = _unpack("H", message[at:])
        named = version == 1 or number >= 256
        length, _, values = _unpack("HHH" if named else "0sHH", message[at + 2 :])
        at += (8 if named else 6) + (-(-length // 8) * 8 if named else 0) + 4 * (values + (values % 2 * (version == 1)))
        if number not in (_DEFLATE, _SHUFFLE):
            raise FileError(f"it is packed by filter {number}; wanted gzip; save it anew with compression='gzip'")
        found.append(number)
    return found


def _unfiltered(number: int, packed: bytes, room: int, width: int) -> bytes:
    if number == _DEFLATE:
        return zlib.decompressobj().decompress(packed, room + 1)
    return np.frombuffer(packed, np.uint8).reshape(width, -1).T.tobytes()  # shuffled: all first bytes, all second ...
