"""Models and snapshots as npz files, in Chainer's format and both ways.

An npz file is a zip archive with one `.npy` member per value; a member's name is the value's path from the root
(`l1/W.npy`). Nothing is ever unpickled: the one pickle that Chainer's files do contain, that of None, is known by its
bytes. A file is read and checked as a whole before any of it reaches the model.
"""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import prod
from typing import IO, Any

import numpy as np

from minigan.backend import copyto, is_array
from minigan.backends import cuda
from minigan.serializer import Deserializer, Serializer
from minigan.utils.files import atomic_write

# What NumPy writes for numpy.asarray(None): pickle protocols 2 and 3 as text, 4 and 5 with counted names. NumPy 2 says
# numpy._core where NumPy 1 says numpy.core, which lengthens the two counts of protocols 4 and 5 by one.
_PICKLED_NONE = (
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
    for old in (_PICKLED_NONE_2, _PICKLED_NONE, _PICKLED_NONE_4, b"\x80\x05" + _PICKLED_NONE_4[2:])
    for variant in (
        old,
        old.replace(b"\x95\x86", b"\x95\x87")
        .replace(b"\x15numpy.core", b"\x16numpy._core")
        .replace(b"cnumpy.core", b"cnumpy._core"),
    )
)
_PLAIN = (bool, int, float, complex, str, np.generic, list, tuple)
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
# All that zipfile, zlib and NumPy's header reader raise on bytes that are not what they should be.
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, ValueError, EOFError, OSError, NotImplementedError, RuntimeError,
    TypeError, OverflowError, MemoryError, SyntaxError,
)  # fmt: skip


class FileError(ValueError):
    """A file that is damaged, or is not what it should be. The message says which file, which entry and what."""


class DictionarySerializer(Serializer):
    """Saves into a flat dict from path to array.

    Args:
        target: The dict to fill; a new one by default.
        path: What every key starts with.
    """

    def __init__(self, target: dict[str, np.ndarray] | None = None, path: str = "") -> None:
        self.target = {} if target is None else target
        self.path = path

    def __getitem__(self, key: str) -> DictionarySerializer:
        return DictionarySerializer(self.target, _child_path(self.path, key))

    def __call__(self, key: str, value: Any) -> Any:
        path = self.path + key.lstrip("/")
        known = value is None or is_array(value) or isinstance(value, _PLAIN)
        array = cuda.to_cpu(value) if is_array(value) else np.asarray(value if known else None)
        if not known or (array.dtype.hasobject and value is not None):
            raise TypeError(
                f"DictionarySerializer: {path!r} is a {type(value).__name__}, which no file can hold without pickling; "
                "save arrays, numbers, strings or None"
            )
        self.target[path] = array
        return value


class _DeserializerOfArrays(Deserializer):
    """What the file formats share: how a stored array becomes the value that an object asks for."""

    def __init__(self, strict: bool) -> None:
        self.strict = strict
        self._undo: list[tuple[Any, Any]] | None = None

    def _missing(self, path: str, value: Any) -> Any:
        if self.strict:
            raise KeyError(f"{path} is not in the file; pass strict=False to keep the present value of what is missing")
        return value

    def _fit(self, path: str, stored: np.ndarray | None, value: Any) -> Any:
        if stored is None or value is None:
            return stored
        if is_array(value):
            self._fill(path, value, stored)
            return value
        return _as_type(path, stored, type(value))

    def _fill(self, path: str, value: Any, stored: np.ndarray) -> None:
        if stored.shape != value.shape:
            raise ValueError(
                f"{path} has shape {stored.shape} in the file but {value.shape} in the object; "
                "build the object with the sizes it was saved with"
            )
        if not np.can_cast(stored.dtype, value.dtype, "same_kind"):
            raise TypeError(f"{path} is {stored.dtype} in the file, which cannot become {value.dtype}")
        if self._undo is not None:
            self._undo.append((value, value.copy()))
        copyto(value, stored)

    def _load_all_or_nothing(self, obj: Any) -> None:
        self._undo = []
        try:
            self.load(obj)
        except BaseException:
            for array, old in reversed(self._undo):
                array[...] = old
            raise


class NpzDeserializer(_DeserializerOfArrays):
    """Loads from a mapping from path to array, such as `DictionarySerializer.target` or `numpy.load(file)`.

    Args:
        npz: The mapping; a `numpy.lib.npyio.NpzFile` is read without its pickles.
        path: What every key starts with.
        strict: Raise `KeyError` for a key that is not there; otherwise the value stays as it is.
        ignore_names: Path, function from path to bool, or a list of them: what is left as it is.
    """

    def __init__(
        self,
        npz: Mapping[str, Any],
        path: str = "",
        strict: bool = True,
        ignore_names: str | Callable[[str], bool] | Iterable[str | Callable[[str], bool]] | None = None,
    ) -> None:
        super().__init__(strict)
        self.npz: Mapping[str, Any] = npz
        if isinstance(npz, np.lib.npyio.NpzFile) and npz.zip is not None:
            self.npz = _Archive(npz.zip, "the file")
        self.path = path
        single = isinstance(ignore_names, str) or callable(ignore_names)
        self.ignore_names: list[Any] = [ignore_names] if single else list(ignore_names or ())  # type: ignore[arg-type]

    def __getitem__(self, key: str) -> NpzDeserializer:
        child = NpzDeserializer(self.npz, _child_path(self.path, key), self.strict, self.ignore_names)
        child._undo = self._undo
        return child

    def __call__(self, key: str, value: Any) -> Any:
        path = self.path + key.lstrip("/")
        if any(name(path) if callable(name) else name == path for name in self.ignore_names):
            return value
        if path not in self.npz:
            return self._missing(path, value)
        stored = self.npz[path]
        if stored is not None and stored.dtype == object and stored.shape == () and stored[()] is None:
            stored = None
        return self._fit(path, stored, value)


def save_npz(file: str | os.PathLike[str] | IO[bytes], obj: Any, compression: bool = True) -> None:
    """Save a link, an optimizer, a trainer or anything else with `serialize` as npz, readable by Chainer too.

    Args:
        file: Name of the file (it gets no suffix, and is written whole or not at all), or a file open for writing.
        obj: What is saved.
        compression: Deflate the members; weights shrink little (about a tenth) and take longer.
    """
    arrays = serialize(obj)
    if isinstance(file, str | os.PathLike):
        with atomic_write(file) as stream:
            _write_archive(stream, arrays, compression)
    else:
        _write_archive(file, arrays, compression)


def serialize(obj: Any) -> dict[str, np.ndarray]:
    """What an npz file of `obj` would hold, as a dict from path to array."""
    serializer = DictionarySerializer()
    serializer.save(obj)
    return serializer.target


def load_npz(
    file: str | os.PathLike[str] | IO[bytes],
    obj: Any,
    path: str = "",
    strict: bool = True,
    ignore_names: str | Callable[[str], bool] | Iterable[str | Callable[[str], bool]] | None = None,
) -> None:
    """Load an npz file of this library or of Chainer into `obj`.

    Args:
        file: Name of the file, or a file open for reading that can seek.
        obj: A link, an optimizer, a trainer or anything else with `serialize`.
        path: Which part of the file, such as `"updater/model:main/"` for the model in a snapshot.
        strict, ignore_names: As in `NpzDeserializer`; the names are paths in the file.

    Raises:
        FileError: the file is damaged, is not an npz file, or holds pickled objects.
        KeyError: an entry is missing and `strict` is true.
        ValueError, TypeError: an entry has another shape, or a type that cannot be converted.

    The file is read as a whole before `obj` is touched, and if a later step fails, every array that was already
    overwritten gets its old content back (numbers and strings may be those of the file).
    """
    path = path or ""
    if path and not path.endswith("/"):
        path += "/"
    npz = _read_archive(file, path)
    if path and strict and not npz:
        raise KeyError(f"load_npz: nothing in {_describe(file)} is below {path!r}")
    NpzDeserializer(npz, path, strict, ignore_names)._load_all_or_nothing(obj)


def _child_path(path: str, key: str) -> str:
    return f"{path}{key.strip('/')}/"


def _as_type(path: str, stored: np.ndarray, kind: type) -> Any:
    """`stored` as a number or a string; as in Chainer a string takes anything, a number nothing that would round."""
    if kind is str:
        return str(stored)
    if stored.size != 1:
        raise TypeError(f"{path} has shape {stored.shape} in the file but the object holds a single {kind.__name__}")
    if stored.dtype.kind != "U" and not np.can_cast(stored.dtype, kind, "safe"):
        raise TypeError(f"{path} is {stored.dtype} in the file, which cannot safely become a {kind.__name__}")
    return kind(stored.item())


def _write_archive(stream: IO[bytes], arrays: Mapping[str, np.ndarray], compression: bool) -> None:
    method = zipfile.ZIP_DEFLATED if compression else zipfile.ZIP_STORED
    with zipfile.ZipFile(stream, "w", method, allowZip64=True) as archive:
        for key, array in arrays.items():
            with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                if array.dtype.hasobject:  # DictionarySerializer lets no object but None through
                    header = {"descr": "|O", "fortran_order": False, "shape": ()}
                    np.lib.format.write_array_header_1_0(member, header)  # type: ignore[arg-type]
                    member.write(_PICKLED_NONE)
                else:
                    np.lib.format.write_array(member, array, allow_pickle=False)  # type: ignore[arg-type]


def _describe(file: Any) -> str:
    return repr(os.fspath(file)) if isinstance(file, str | os.PathLike) else f"file {getattr(file, 'name', '')!r}"


def _read_archive(file: str | os.PathLike[str] | IO[bytes], path: str) -> dict[str, np.ndarray | None]:
    if isinstance(file, str | os.PathLike):
        with open(file, "rb") as stream:
            return _read_stream(stream, path, _describe(file))
    return _read_stream(file, path, _describe(file))


def _read_stream(stream: IO[bytes], path: str, source: str) -> dict[str, np.ndarray | None]:
    try:
        archive = zipfile.ZipFile(stream)
    except _DAMAGE as error:
        raise FileError(f"{source} is not an npz file, or is cut short ({error})") from error
    with archive:
        entries = _Archive(archive, source)
        return {key: entries[key] for key in entries if key.startswith(path)}


class _Archive(Mapping[str, Any]):
    """The `.npy` members of a zip archive as arrays, or None; read one by one, without unpickling."""

    def __init__(self, archive: zipfile.ZipFile, source: str) -> None:
        self._archive, self._source = archive, source
        self._members = {info.filename[:-4]: info for info in archive.infolist() if info.filename.endswith(".npy")}

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, key: str) -> np.ndarray | None:
        info = self._members[key]
        try:
            with self._archive.open(info) as member:
                return _read_member(member, info.file_size)
        except _DAMAGE as error:
            raise FileError(f"{self._source}: entry {key!r} is damaged or not allowed: {error}") from error


def _read_member(member: IO[bytes], size: int) -> np.ndarray | None:
    """One `.npy` stream of `size` bytes. What the header promises is compared with `size` before memory is taken."""
    version = np.lib.format.read_magic(member)  # type: ignore[arg-type]
    if version not in _HEADERS:
        raise FileError(f"its .npy version is {version}, which is not known here")
    try:
        shape, fortran_order, dtype = _HEADERS[version](member)  # type: ignore[arg-type]
    except Exception as error:  # NumPy parses the header as Python text and lets through what its parser raises
        raise FileError(f"its header cannot be read ({str(error) or type(error).__name__})") from error
    if dtype.hasobject:
        longest = max(map(len, _EVERY_PICKLED_NONE))
        if dtype.kind == "O" and shape == () and member.read(longest + 1) in _EVERY_PICKLED_NONE:
            return None
        raise FileError("it holds pickled Python objects, which are never loaded")
    wanted = prod(shape) * dtype.itemsize
    rest = size - member.tell()
    if any(length < 0 for length in shape) or wanted != rest:
        raise FileError(f"its header says {dtype} {shape}, {wanted} bytes, but {rest} bytes follow")
    if wanted == 0 and prod(shape) > 1:
        raise FileError(f"its header says {dtype} {shape}, elements without a size")
    content = bytearray(member.read())
    if len(content) != wanted:
        raise FileError(f"its header says {dtype} {shape}, {wanted} bytes, but {len(content)} bytes follow")
    array = np.frombuffer(content, dtype) if wanted else np.zeros(prod(shape), dtype)
    return array.reshape(shape, order="F" if fortran_order else "C")
