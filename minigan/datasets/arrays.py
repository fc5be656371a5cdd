"""Arrays out of npz and HDF5 files, read with the same distrust as IDX files.

No pickled object is ever loaded, and a header's word about a size is held against the file before memory is taken.
"""

from __future__ import annotations

import math
import os
import struct
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy

from minigan.dataset.errors import DataError
from minigan.datasets.idx import DAMAGE, LIMIT, damaged, read_at_most

Keys = Iterable["tuple[str, ...]"]
"""What to read: for each array the names under which it may stand, the first that is there counts."""

ZIP_DAMAGE = DAMAGE + (ValueError, RuntimeError, KeyError, zipfile.BadZipFile, struct.error)
"""What reading a zip archive raises if it is damaged, or made by somebody with odd ideas."""

_HEADER_READERS = {
    (1, 0): numpy.lib.format.read_array_header_1_0,
    (2, 0): numpy.lib.format.read_array_header_2_0,
}


def read_arrays(path: str | os.PathLike[str], keys: Keys, limit: int = LIMIT) -> list[numpy.ndarray]:
    """Return one array for each tuple of names in `keys`, from an npz or an HDF5 file (told by the first bytes).

    An array of more than `limit` bytes is refused.

    Raises:
        DataError: the file cannot be read, is neither kind, is damaged, lacks a name, or holds objects or too much.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            start = file.read(8)
    except OSError as error:
        raise damaged(path, error) from error
    if not start:
        raise DataError(f"{path}: the file is empty; delete it and fetch it again")
    if start == b"\x89HDF\r\n\x1a\n":
        return _read_hdf5(path, keys, limit)
    if start[:2] == b"PK":
        return _read_npz(path, keys, limit)
    raise DataError(f"{path}: this is neither an npz nor an HDF5 file (it starts with {start.hex(' ')}); give one of "
                    f"these or a folder with IDX files")  # fmt: skip


def _choose(path: Path, names: tuple[str, ...], present: list[str]) -> str:
    for name in names:
        if name in present:
            return name
    has = ", ".join(sorted(present)[:12]) or "nothing"
    raise DataError(f"{path}: there is no array {' or '.join(names)} in the file (it has {has}); wanted x_train, "
                    f"y_train (or t_train), x_test, y_test (or t_test); in a train.npz or test.npz x "
                    f"and y")  # fmt: skip


def _read_npz(path: Path, keys: Keys, limit: int) -> list[numpy.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            present = [name[:-4] for name in archive.namelist() if name.endswith(".npy")]
            return [_read_npy(path, archive, _choose(path, names, present), limit) for names in keys]
    except DataError:
        raise
    except ZIP_DAMAGE as error:
        raise damaged(path, error) from error


def _read_npy(path: Path, archive: zipfile.ZipFile, name: str, limit: int) -> numpy.ndarray:
    """Read one array; NumPy's own reader would allocate what the header says before looking further."""
    with archive.open(f"{name}.npy") as file:
        version = numpy.lib.format.read_magic(file)
        if version not in _HEADER_READERS:
            raise DataError(f"{path}: array {name} is stored in npy version {version}; wanted 1.0 or 2.0; save it with "
                            f"numpy.savez")  # fmt: skip
        try:
            shape, fortran, dtype = _HEADER_READERS[version](file)
        except Exception as error:  # NumPy parses the header as Python text and lets through what its parser raises
            raise damaged(path, error) from error
        wanted = _check(path, name, shape, dtype, limit)
        content = read_at_most(file, wanted + 1)
    if len(content) != wanted:
        found = f"only {len(content):,}" if len(content) < wanted else "more"
        raise DataError(f"{path}: array {name} says shape {shape}, {wanted:,} bytes, but {found} follow; the file is "
                        f"cut or false: fetch it again")  # fmt: skip
    array = numpy.frombuffer(content, dtype)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


def _read_hdf5(path: Path, keys: Keys, limit: int) -> list[numpy.ndarray]:
    import h5py

    arrays = []
    try:
        with h5py.File(path, "r") as file:
            for names in keys:
                name = _choose(path, names, list(file.keys()))
                data = file[name]
                if not isinstance(data, h5py.Dataset) or data.shape is None:
                    raise DataError(f"{path}: {name} is a group or has no content; wanted an array")
                wanted = _check(path, name, data.shape, data.dtype, limit)
                if wanted > 0 and data.id.get_storage_size() == 0:
                    raise DataError(f"{path}: array {name} says shape {data.shape} but nothing is stored in the file; "
                                    f"write it again")  # fmt: skip
                arrays.append(data[()])
    except DataError:
        raise
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise damaged(path, error) from error
    return arrays


def _check(path: Path, name: str, shape: tuple[int, ...], dtype: numpy.dtype, limit: int) -> int:
    """Return the bytes of an array of numbers, or refuse objects, text and sizes beyond reason."""
    if dtype.kind not in "biuf":
        raise DataError(f"{path}: array {name} has dtype {dtype}; wanted numbers; objects are never unpickled, so save "
                        f"the array as uint8")  # fmt: skip
    wanted = math.prod(shape) * dtype.itemsize
    if wanted > limit or any(type(length) is not int or length < 0 for length in shape):
        raise DataError(f"{path}: array {name} says shape {shape}, {wanted:,} bytes; wanted at most {limit:,}; the "
                        f"header is false, fetch the file again")  # fmt: skip
    return wanted
