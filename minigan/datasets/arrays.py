"""Arrays out of npz and HDF5 files, read with the same distrust as IDX files, and as models are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy

from minigan.dataset.errors import DataError
from minigan.datasets.idx import LIMIT, damaged
from minigan.utils.hdf5_file import SIGNATURE, open_hdf5
from minigan.utils.npz_file import Archive
from minigan.utils.stored import FileError, Stored

Keys = Iterable["tuple[str, ...]"]
"""What to read: for each array the names under which it may stand, the first that is there counts."""
DIGITS = "x_train, y_train (or t_train), x_test, y_test (or t_test); in a train.npz or test.npz x and y"


def read_arrays(path: str | os.PathLike[str], keys: Keys, limit: int = LIMIT, optional: Keys = (),
                wanted: str = DIGITS) -> list[Any]:  # fmt: skip
    """Return one array for each tuple of names in `keys`, from an npz or an HDF5 file (told by the first bytes).

    After them come those of `optional`, None where the file has none. An array of more than `limit` bytes is refused.
    `wanted` says what such a file should hold.

    Raises:
        DataError: the file cannot be read, is neither kind, is damaged, lacks a name, or holds objects or too much.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            start = file.read(8)
            if not start:
                raise DataError(f"{path}: the file is empty; delete it and fetch it again")
            if start != SIGNATURE and start[:2] != b"PK":
                raise DataError(f"{path}: this is neither an npz nor an HDF5 file (it starts with {start.hex(' ')}); "
                                f"give one of these or a folder with IDX files")  # fmt: skip
            entries = (open_hdf5 if start == SIGNATURE else Archive)(file, f"{path}: the file")
            chosen = [_choose(path, names, entries, wanted) for names in keys]
            chosen += [next((name for name in names if name in entries), None) for names in optional]
            return [name and _read(path, entries, name, limit) for name in chosen]
    except FileError as error:
        raise DataError(f"{error}; fetch the file again, or save arrays of numbers") from error
    except OSError as error:
        raise damaged(path, error) from error


def _choose(path: Path, names: tuple[str, ...], present: Iterable[str], wanted: str) -> str | None:
    for name in names:
        if name in present:
            return name
    has = ", ".join(name[:40] for name in sorted(present)[:12]) or "nothing"
    raise DataError(f"{path}: there is no array {' or '.join(names)} in the file (it has {has}); wanted {wanted}")


def _read(path: Path, entries: Mapping[str, Any], name: str, limit: int) -> numpy.ndarray:
    stored = entries[name]
    if not isinstance(stored, Stored):
        raise DataError(f"{path}: {name} is a group or has no content; wanted an array")
    if stored.dtype.kind not in "biuf":
        raise DataError(f"{path}: array {name} has dtype {stored.dtype}; wanted numbers; save the array as "
                        f"uint8")  # fmt: skip
    wanted = stored.size * stored.dtype.itemsize
    if wanted > limit:
        raise DataError(f"{path}: array {name} says shape {stored.shape}, {wanted:,} bytes; wanted at most {limit:,}; "
                        f"the header is false, fetch the file again")  # fmt: skip
    stored.check_size(f"{path}: array {name}")
    return stored.read()
