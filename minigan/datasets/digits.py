"""Which files make up a set of digits, and whether they really do.

Images must be (N, 28, 28) bytes (or a shape that means the same), labels N numbers from 0 to 9 or N one-hot rows;
everything else is refused with a sentence that names the file.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy

from minigan.dataset.errors import DataError
from minigan.datasets.arrays import read_arrays
from minigan.datasets.idx import read_idx
from minigan.datasets.mirrors import FILES, LABELS_TRAIN, STEMS


class Digits(NamedTuple):
    """Images (N, 28, 28) and their labels (N,), both uint8."""

    images: numpy.ndarray
    labels: numpy.ndarray


def data_files(folder: Path, name: str) -> tuple[Path, ...]:
    """Return the files in `folder` that make up a data set: four IDX files, two npz files or one; none if it has none.

    Raises:
        DataError: some of the IDX files are there and some are not.
    """
    if not folder.is_dir():
        return ()
    idx = [_idx_file(folder, stem) for stem in STEMS]
    if missing := [stem for stem, file in zip(STEMS, idx, strict=True) if file is None]:
        if len(missing) < len(STEMS):
            raise DataError(f"{folder}: {' and '.join(missing)} (plain or .gz) are missing beside the other IDX files; "
                            f"put all four there")  # fmt: skip
    else:
        return tuple(file for file in idx if file is not None)
    pair = (folder / "train.npz", folder / "test.npz")
    if all(file.is_file() for file in pair):
        return pair
    for single in (f"{name}.npz", "mnist.npz", f"{name}.h5", f"{name}.hdf5", "mnist.h5", "mnist.hdf5"):
        if (folder / single).is_file():
            return (folder / single,)
    return ()


def _idx_file(folder: Path, stem: str) -> Path | None:
    for spelling in (stem, stem.replace("-idx", ".idx")):
        for ending in ("", ".gz", ".xz"):
            if (file := folder / (spelling + ending)).is_file():
                return file
    return None


def read_digits(files: Sequence[Path], name: str) -> tuple[Digits, Digits]:
    """Return the training and the test part out of the files that `data_files` gave.

    Raises:
        DataError: a file is damaged, has a wrong shape, dtype or label, or is that of another data set.
    """
    if len(files) == 4:
        arrays = [read_idx(file) for file in files]
        places = [str(file) for file in files]
    elif len(files) == 2:
        arrays = [array for file in files for array in read_arrays(file, [("x",), ("y",)])]
        places = [f"{file}: array {key}" for file in files for key in "xy"]
    else:
        keys = (("x_train",), ("y_train", "t_train"), ("x_test",), ("y_test", "t_test"))
        arrays = read_arrays(files[0], keys)
        places = [f"{files[0]}: array {names[0]}" for names in keys]
    train = _digits(arrays[0], arrays[1], places[0], places[1])
    test = _digits(arrays[2], arrays[3], places[2], places[3])
    _refuse_other(train.labels, name, places[1])
    return train, test


def _digits(images: numpy.ndarray, labels: numpy.ndarray, images_at: str, labels_at: str) -> Digits:
    result = Digits(_images(images, images_at), _labels(labels, labels_at))
    if len(result.images) != len(result.labels):
        raise DataError(f"{images_at} has {len(result.images):,} images but {labels_at} has {len(result.labels):,} "
                        f"labels; give files that belong together")  # fmt: skip
    return result


def _images(array: numpy.ndarray, place: str) -> numpy.ndarray:
    if array.ndim == 0 or array.shape[1:] not in ((28, 28), (784,), (1, 28, 28), (28, 28, 1)):
        raise DataError(f"{place}: images have shape {array.shape}; wanted (N, 28, 28); give images of 28x28 pixels "
                        f"with one channel")  # fmt: skip
    if len(array) == 0:
        raise DataError(f"{place}: there are no images in it (shape {array.shape}); give a file with some")
    if array.dtype != numpy.uint8:
        if array.dtype.kind not in "iu":
            raise DataError(f"{place}: images have dtype {array.dtype}; wanted uint8 from 0 to 255; if they were "
                            f"scaled to 0...1, save numpy.rint(x * 255).astype('uint8')")  # fmt: skip
        if array.min() < 0 or array.max() > 255:
            raise DataError(f"{place}: pixels go from {array.min()} to {array.max()}; wanted 0 to 255; save them as "
                            f"uint8")  # fmt: skip
        array = array.astype(numpy.uint8)
    return array.reshape(len(array), 28, 28)


def _labels(array: numpy.ndarray, place: str) -> numpy.ndarray:
    if array.ndim == 2 and array.shape[1] == 10:
        wrong = ((array != 0) & (array != 1)).any(axis=1) | (array.sum(axis=1) != 1)
        if wrong.any():
            raise DataError(f"{place}: labels have shape {array.shape} but row {wrong.argmax()} is not one-hot; wanted "
                            f"one 1 and nine 0 in each row, or plain labels of shape (N,)")  # fmt: skip
        return array.argmax(axis=1).astype(numpy.uint8)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DataError(f"{place}: labels have shape {array.shape} and dtype {array.dtype}; wanted (N,) integers from "
                        f"0 to 9, or (N, 10) one-hot")  # fmt: skip
    if len(array) and (array.min() < 0 or array.max() > 9):
        raise DataError(f"{place}: labels go from {array.min()} to {array.max()}; wanted 0 to 9; give the labels of "
                        f"these images")  # fmt: skip
    return array.astype(numpy.uint8)


def _refuse_other(labels: numpy.ndarray, name: str, place: str) -> None:
    """MNIST and Fashion-MNIST have files of the same names; their published labels tell one from the other."""
    content = bytes([0, 0, 8, 1]) + struct.pack(">I", len(labels)) + labels.tobytes()
    digest = hashlib.sha256(content).hexdigest()
    for other, files in FILES.items():
        if other != name and files[LABELS_TRAIN].sha256 == digest:
            raise DataError(f"{place}: these are the labels of {other}, not of {name}; name the folder of {name}")
