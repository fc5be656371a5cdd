"""CIFAR-10 and CIFAR-100: 60,000 colour images of 32 x 32 pixels in 10 or 100 classes (Krizhevsky 2009).

Chainer keeps them in its cache as an npz file of bytes, which is read here; where that is missing, the binary version
of the original archive is fetched, checked and stored there in the same form. (The archive that Chainer itself fetches
holds pickled objects, which minigan never loads.)
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from minigan import configuration
from minigan.dataset.download import get_dataset_directory
from minigan.dataset.errors import DataError
from minigan.datasets.arrays import read_arrays
from minigan.datasets.mirrors import Published, fetch_one
from minigan.datasets.tuple_dataset import TupleDataset
from minigan.utils.files import atomic_write

_KEYS = ("train_x", "train_y", "test_x", "test_y")
_PIXELS = 3 * 32 * 32


class _Archive(NamedTuple):
    """The binary archive: its size and SHA-256, its files, and in which byte of a record the label stands."""

    size: int
    sha256: str
    train: tuple[str, ...]
    test: str
    label_bytes: int


_ARCHIVES = {
    "cifar-10": _Archive(170052171, "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                         tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin", 1),
    "cifar-100": _Archive(168513733, "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
                          ("train.bin",), "test.bin", 2),
}  # fmt: skip
_URL = "https://www.cs.toronto.edu/~kriz/{}-binary.tar.gz"


def get_cifar10(withlabel: bool = True, ndim: int = 3, scale: float = 1.0, dtype: Any = None) -> tuple[Any, Any]:
    """Return the training (50,000) and the test part (10,000) of CIFAR-10.

    Images are (3, 32, 32) for `ndim` 3, (3072,) for 1, from 0 to `scale`, of `dtype` (`config.dtype` by default);
    labels int32. With `withlabel` each part is a `TupleDataset`, else an array. What is not in Chainer's cache
    (`pfnet/chainer/cifar/cifar-10.npz`) is downloaded unless `$MINIGAN_OFFLINE` is set.

    Raises:
        ValueError: `ndim` is neither 1 nor 3.
        DataError: the data is not there and cannot be fetched, or is damaged.
    """
    return _chainer_form("cifar-10", withlabel, ndim, scale, dtype)


def get_cifar100(withlabel: bool = True, ndim: int = 3, scale: float = 1.0, dtype: Any = None) -> tuple[Any, Any]:
    """Return the two parts of CIFAR-100, labelled with its 100 fine classes, as `get_cifar10` does."""
    return _chainer_form("cifar-100", withlabel, ndim, scale, dtype)


def _chainer_form(name: str, withlabel: bool, ndim: int, scale: float, dtype: Any) -> tuple[Any, Any]:
    if ndim not in (1, 3):
        raise ValueError(f"get_{name.replace('-', '')}: ndim is {ndim!r}; wanted 1 for (3072,) or 3 for (3, 32, 32)")
    dtype = configuration.get_dtype(dtype)
    path = Path(get_dataset_directory("pfnet/chainer/cifar", create_directory=False)) / f"{name}.npz"
    arrays = read_arrays(path, [(key,) for key in _KEYS]) if path.is_file() else _fetch(name, path)
    parts = []
    for x, y in (arrays[:2], arrays[2:]):
        if x.dtype != numpy.uint8 or x.shape != (len(y), _PIXELS):
            raise DataError(f"{path}: images are {x.dtype} of shape {x.shape}; wanted uint8 (N, {_PIXELS}) for "
                            f"{len(y)} labels; delete the file and fetch it again")  # fmt: skip
        images = x.astype(dtype) * numpy.asarray(scale / 255.0, dtype)
        images = images.reshape(-1, 3, 32, 32) if ndim == 3 else images
        parts.append(TupleDataset(images, y.astype(numpy.int32)) if withlabel else images)
    return parts[0], parts[1]


def _fetch(name: str, path: Path) -> list[numpy.ndarray]:
    """Download the archive, check it, keep its arrays in Chainer's cache."""
    archive = _ARCHIVES[name]
    advice = f"put what Chainer keeps, an npz of {', '.join(_KEYS)}, at {path}"
    content = fetch_one(_URL.format(name), Published(archive.size, archive.sha256, True), advice)
    arrays = _unpack(content, archive)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        numpy.savez_compressed(file, **dict[str, Any](zip(_KEYS, arrays)))
    return arrays


def _unpack(content: bytes, archive: _Archive) -> list[numpy.ndarray]:
    """Images and labels out of the archive's records: one or two label bytes (the fine one last), then the pixels."""
    records: dict[str, numpy.ndarray] = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for member in tar:
            file = tar.extractfile(member)
            if file is not None and member.name.endswith(".bin"):
                flat = numpy.frombuffer(file.read(), numpy.uint8)
                records[Path(member.name).name] = flat.reshape(-1, archive.label_bytes + _PIXELS)
    result = []
    for names in (archive.train, (archive.test,)):
        rows = numpy.concatenate([records[name] for name in names])
        result += [rows[:, archive.label_bytes :], rows[:, archive.label_bytes - 1].astype(numpy.int32)]
    return result
