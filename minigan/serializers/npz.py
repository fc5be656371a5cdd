"""Models and snapshots as npz files, in Chainer's format and both ways.

An npz file is a zip archive with one `.npy` member per value; a member's name is the value's path from the root
(`l1/W.npy`). Only what an object asks for is read, and if any of that is damaged or does not fit, the object becomes
again what it was. `minigan.utils.npz_file` is the part that does not trust the file.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import IO, Any

import numpy as np

from minigan.backend import is_array
from minigan.backends import cuda
from minigan.serializer import Serializer
from minigan.serializers.values import DeserializerOfArrays
from minigan.utils.files import atomic_write, open_to_read
from minigan.utils.npz_file import PICKLED_NONE, Archive
from minigan.utils.stored import FileError as FileError

_PLAIN = (bool, int, float, complex, str, np.generic, list, tuple)


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


class NpzDeserializer(DeserializerOfArrays):
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
            self.npz = Archive(npz.zip, "the file")
        self.path = path
        single = isinstance(ignore_names, str) or callable(ignore_names)
        self.ignore_names: list[Any] = [ignore_names] if single else list(ignore_names or ())  # type: ignore[arg-type]

    def __getitem__(self, key: str) -> NpzDeserializer:
        child = NpzDeserializer(self.npz, _child_path(self.path, key), self.strict, self.ignore_names)
        child._before = self._before
        return child

    def __call__(self, key: str, value: Any) -> Any:
        path = self.path + key.lstrip("/")
        if any(name(path) if callable(name) else name == path for name in self.ignore_names):
            return value
        if path not in self.npz:
            return self._missing(path, value)
        return self._fit(path, self.npz[path], value)


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

    Loading is all or nothing: after an error `obj` is what it was before (see `minigan.serializers.undo`). What nobody
    asks for is not read.
    """
    path = path or ""
    if path and not path.endswith("/"):
        path += "/"
    with ExitStack() as stack:
        stream = stack.enter_context(open_to_read(file)) if isinstance(file, str | os.PathLike) else file
        npz = Archive(stream, _describe(file))
        if path and strict and not any(key.startswith(path) for key in npz):
            raise KeyError(f"load_npz: nothing in {_describe(file)} is below {path!r}")
        NpzDeserializer(npz, path, strict, ignore_names)._load_all_or_nothing(obj, _describe(file))


def _child_path(path: str, key: str) -> str:
    return f"{path}{key.strip('/')}/"


def _write_archive(stream: IO[bytes], arrays: Mapping[str, np.ndarray], compression: bool) -> None:
    method = zipfile.ZIP_DEFLATED if compression else zipfile.ZIP_STORED
    with zipfile.ZipFile(stream, "w", method, allowZip64=True) as archive:
        for key, array in arrays.items():
            with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                if array.dtype.hasobject:  # DictionarySerializer lets no object but None through
                    header = {"descr": "|O", "fortran_order": False, "shape": ()}
                    np.lib.format.write_array_header_1_0(member, header)  # type: ignore[arg-type]
                    member.write(PICKLED_NONE)
                else:
                    np.lib.format.write_array(member, array, allow_pickle=False)  # type: ignore[arg-type]


def _describe(file: Any) -> str:
    return repr(os.fspath(file)) if isinstance(file, str | os.PathLike) else f"file {getattr(file, 'name', '')!r}"
