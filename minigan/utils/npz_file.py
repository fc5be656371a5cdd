"""The arrays in an npz file, read without trust: a zip archive with one `.npy` member per array.

Nothing is ever unpickled: the one pickle that Chainer's files do contain, that of None, is known by its bytes. NumPy's
reader of headers takes what they say at its word and evaluates them as Python; here they are matched with what NumPy
writes, and a member that nobody asks for is not touched.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import IO, Any

import numpy as np

from minigan.utils.stored import DAMAGE, FileError, Stored, damage_named

# What NumPy writes for numpy.asarray(None): pickle protocols 2 and 3 as text, 4 and 5 with counted names. NumPy 2 says
# numpy._core where NumPy 1 says numpy.core, which lengthens the two counts of protocols 4 and 5 by one.
PICKLED_NONE = (
    b"\x80\x03cnumpy.core.multiarray\n_reconstruct\nq\x00cnumpy\nndarray\nq\x01K\x00\x85q\x02C\x01bq\x03\x87q\x04Rq\x05"
    b"(K\x01)cnumpy\ndtype\nq\x06X\x02\x00\x00\x00O8q\x07\x89\x88\x87q\x08Rq\t(K\x03X\x01\x00\x00\x00|q\nNNNJ\xff\xff"
    b"\xff\xffJ\xff\xff\xff\xffK?tq\x0bb\x89]q\x0cNatq\rb."
)
_PICKLED_NONE_2 = (
    b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x00cnumpy\nndarray\nq\x01K\x00\x85q\x02c_codecs\nencode\nq\x03X"
    b"\x01\x00\x00\x00bq\x04X\x06\x00\x00\x00latin1q\x05\x86q\x06Rq\x07\x87q\x08Rq\t(K\x01)cnumpy\ndtype\nq\nX\x02\x00"
    b"\x00\x00O8q\x0b\x89\x88\x87q\x0cRq\r(K\x03X\x01\x00\x00\x00|q\x0eNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tq\x0fb"
    b"\x89]q\x10Natq\x11b."
)
_PICKLED_NONE_4 = (
    b"\x80\x04\x95\x86\x00\x00\x00\x00\x00\x00\x00\x8c\x15numpy.core.multiarray\x94\x8c\x0c_reconstruct\x94\x93\x94\x8c"
    b"\x05numpy\x94\x8c\x07ndarray\x94\x93\x94K\x00\x85\x94C\x01b\x94\x87\x94R\x94(K\x01)h\x03\x8c\x05dtype\x94\x93\x94"
    b"\x8c\x02O8\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01|\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?t\x94b\x89]\x94Nat"
    b"\x94b."
)
_EVERY_PICKLED_NONE = frozenset(
    variant
    for old in (_PICKLED_NONE_2, PICKLED_NONE, _PICKLED_NONE_4, b"\x80\x05" + _PICKLED_NONE_4[2:])
    for variant in (
        old,
        old.replace(b"\x95\x86", b"\x95\x87")
        .replace(b"\x15numpy.core", b"\x16numpy._core")
        .replace(b"cnumpy.core", b"cnumpy._core"),
    )
)
_HEADER = re.compile(
    rb"\{'descr': '([<>|=]?[?biufcSUO]\d{0,9})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,19}L?, ?)*(?:\d{1,19}L?)?)\), ?\}\s*"
)
_LONGEST_HEADER = 4096
_LARGEST_DIRECTORY = 1 << 24  # some hundred thousand members
_PIECE = 1 << 20


class Archive(Mapping[str, "Stored | None"]):
    """The `.npy` members of a zip archive by name, without the ending: a `Stored` array each, or None.

    Args:
        file: An open file that can seek, or an archive.
        source: The file's name, for messages.

    Raises:
        FileError: it is no zip archive or a damaged one; when an entry is looked up, it is damaged or not allowed.
    """

    def __init__(self, file: IO[bytes] | zipfile.ZipFile, source: str) -> None:
        self._source = source
        try:
            self._archive = file if isinstance(file, zipfile.ZipFile) else zipfile.ZipFile(_Directory(file))  # type: ignore[arg-type]
        except DAMAGE as error:
            raise FileError(f"{source} is damaged or cut short, or is not an npz file ({error})") from error
        self._members: dict[str, zipfile.ZipInfo] = {}
        for info in self._archive.infolist():
            if info.filename.endswith(".npy"):
                if info.filename[:-4] in self._members:
                    raise FileError(f"{source}: entry {info.filename[:-4]!r:.100} is there twice; save the file anew")
                self._members[info.filename[:-4]] = info

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, key: object) -> bool:  # Mapping's own would open the member
        return key in self._members

    def __getitem__(self, key: str) -> Stored | None:
        info = self._members[key]
        with self._damage(key):
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise FileError(f"it is compressed by method {info.compress_type}, which NumPy does not use")
            member = self._archive.open(info)
            fortran_order, dtype, shape = _read_header(member)
            stored = Stored(shape, dtype, info.compress_size, lambda: self._read(key, stored, member, fortran_order))
            if dtype.hasobject:
                longest = max(map(len, _EVERY_PICKLED_NONE))
                if shape == () and member.read(longest + 1) in _EVERY_PICKLED_NONE:
                    return None
                raise FileError("it holds pickled Python objects, which are never loaded")
            wanted, rest = stored.size * dtype.itemsize, info.file_size - member.tell()
            if wanted != rest or len(shape) > 32:
                raise FileError(f"its header says {dtype} {shape}, {wanted} bytes, but {rest} bytes follow")
            if wanted == 0 and stored.size > 0 and shape:
                raise FileError(f"its header says {dtype} {shape}, elements without a size")
            return stored

    def _read(self, key: str, stored: Stored, member: IO[bytes], fortran_order: bool) -> np.ndarray:
        with self._damage(key):
            content = bytearray()  # grows with what is really there
            while piece := member.read(_PIECE):  # up to the end, where the checksum is
                content += piece
            wanted = stored.size * stored.dtype.itemsize
            if len(content) != wanted:
                raise FileError(f"its header says {wanted} bytes, but {len(content)} bytes follow")
            array = np.frombuffer(content, stored.dtype) if wanted else np.zeros(stored.size, stored.dtype)
            array = array.reshape(stored.shape, order="F" if fortran_order else "C")
            return array.astype(stored.dtype.newbyteorder("="), copy=False)

    def _damage(self, key: str) -> AbstractContextManager[None]:
        return damage_named(self._source, f"entry {key!r:.100}")


class _Directory:
    """A file of which `zipfile` cannot read more at once than the directory of a decent archive."""

    def __init__(self, file: IO[bytes]) -> None:
        self.seek, self.tell, self.seekable, self._file = file.seek, file.tell, lambda: True, file

    def read(self, size: int = -1) -> Any:
        if size > _LARGEST_DIRECTORY:
            raise FileError(f"its directory takes {size:,} bytes; wanted at most {_LARGEST_DIRECTORY:,}")
        return self._file.read(min(size, _LARGEST_DIRECTORY) if size >= 0 else _LARGEST_DIRECTORY)


def _read_header(member: IO[bytes]) -> tuple[bool, np.dtype, tuple[int, ...]]:
    start = member.read(8)
    if start[:6] != b"\x93NUMPY" or len(start) < 8:
        raise FileError(f"it starts with {start.hex(' ')}, which is no .npy file")
    if start[6:] not in (b"\1\0", b"\2\0", b"\3\0"):
        raise FileError(f"its .npy version is {start[6]}.{start[7]}, which is not known here")
    size = int.from_bytes(member.read(2 if start[6] == 1 else 4), "little")
    header = member.read(min(size, _LONGEST_HEADER))
    if len(header) < size or not (match := _HEADER.fullmatch(header)):
        raise FileError(f"its header cannot be read ({header[:60]!r}, {size} bytes); wanted an array of plain numbers")
    kind, fortran_order, shape = match.groups()
    lengths = tuple(int(length.rstrip(b"L")) for length in shape.replace(b" ", b"").split(b",") if length)
    return fortran_order == b"True", np.dtype(kind.decode()), lengths
