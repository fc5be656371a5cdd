"""Models and optimizers as HDF5 files, in Chainer's format and both ways: a group per level, a dataset per value.

None is an empty dataset, an array of more than one element is compressed by gzip. h5py is needed only when one of these
names is used. Strings become HDF5 strings, which Chainer can read, too, though not write.
"""

from __future__ import annotations

import importlib.util
import io
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from minigan.serializer import Serializer
from minigan.serializers.npz import DictionarySerializer
from minigan.serializers.values import DeserializerOfArrays
from minigan.utils.files import atomic_write, open_to_read
from minigan.utils.hdf5_file import open_hdf5
from minigan.utils.stored import Stored


def __getattr__(name: str) -> Any:
    if name == "_available":  # scripts ask; the answer may change while they run
        return importlib.util.find_spec("h5py") is not None
    raise AttributeError(f"module {__name__} has no attribute {name!r}")


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise RuntimeError("HDF5 files need h5py; install it by `python -m pip install h5py`, or use npz") from error
    return h5py


class HDF5Serializer(Serializer):
    """Saves into a group of an open HDF5 file.

    Args:
        group: An `h5py.Group`, or the file.
        compression: gzip level, 0 to 9, of arrays of more than one element.
    """

    def __init__(self, group: Any, compression: int = 4) -> None:
        self._empty = _h5py().Empty("f")
        self.group = group
        self.compression = compression

    def __getitem__(self, key: str) -> HDF5Serializer:
        return HDF5Serializer(self.group.require_group(key.strip("/")), self.compression)

    def __call__(self, key: str, value: Any) -> Any:
        key = key.lstrip("/")
        as_npz = DictionarySerializer()
        as_npz(key, value)  # one rule for both formats of what can be saved
        array = as_npz.target[key]
        data = self._empty if value is None else str(array) if array.dtype.kind == "U" and not array.ndim else array
        self.group.create_dataset(key, data=data, compression=self.compression if array.size > 1 else None)
        return value


class HDF5Deserializer(DeserializerOfArrays):
    """Loads from a group of an open HDF5 file.

    Args:
        group: An `h5py.Group`, or the file; None stands for a group that is not there.
        strict: Raise `KeyError` for what is not there; otherwise the value stays as it is.
    """

    def __init__(self, group: Any, strict: bool = True) -> None:
        super().__init__(strict)
        self._string_dtype = _h5py().check_string_dtype
        self.group = group

    def __getitem__(self, key: str) -> HDF5Deserializer:
        key = key.strip("/")
        if self.strict and key not in self.group:
            raise KeyError(f"{self.group.name}/{key} is not in the file")
        group = self.group.get(key) if self.group is not None else None
        if group is not None and not isinstance(group, Mapping):
            raise TypeError(f"{self.group.name}/{key} is a value in the file but the object has parts there")
        child = HDF5Deserializer(group, self.strict)
        child._before = self._before
        return child

    def __call__(self, key: str, value: Any) -> Any:
        key = key.lstrip("/")
        if self.group is None or key not in self.group:
            return self._missing(key, value)
        entry = self.group[key]
        if isinstance(entry, Mapping):
            raise TypeError(f"{self.group.name}/{key} is a group in the file but the object holds a value")
        if entry is None or isinstance(entry, Stored):
            return self._fit(f"{self.group.name}/{key}", entry, value)
        return self._fit(entry.name, None if entry.shape is None else self._read(entry), value)

    def _read(self, dataset: Any) -> np.ndarray:
        return np.asarray(dataset.asstr()[()] if self._string_dtype(dataset.dtype) else dataset[()])


def save_hdf5(filename: str | os.PathLike[str], obj: Any, compression: int = 4) -> None:
    """Save a link, an optimizer or anything else with `serialize` as an HDF5 file, readable by Chainer too.

    Args:
        filename: Name of the file, which is written whole or not at all.
        obj: What is saved.
        compression: gzip level, 0 to 9, of arrays of more than one element.

    Raises `RuntimeError` without h5py.
    """
    content = io.BytesIO()
    with _h5py().File(content, "w") as file:
        HDF5Serializer(file, compression).save(obj)
    with atomic_write(filename) as stream:
        stream.write(content.getbuffer())


def load_hdf5(filename: str | os.PathLike[str], obj: Any) -> None:
    """Load an HDF5 file of this library or of Chainer into `obj`.

    Raises:
        FileError: the file is damaged, is not an HDF5 file, or one of a kind that is not read.
        KeyError: an entry is missing.
        ValueError, TypeError: an entry has another shape, or a type that cannot be converted.
        RuntimeError: h5py is not installed.

    Loading is all or nothing, as in `load_npz`. The HDF5 library does not see it (`minigan.utils.hdf5_file` does).
    """
    _h5py()  # not needed here, but who has no h5py should hear it at once, as in Chainer
    source = repr(os.fspath(filename))
    with open_to_read(filename) as stream:
        HDF5Deserializer(open_hdf5(stream, source))._load_all_or_nothing(obj, source)
