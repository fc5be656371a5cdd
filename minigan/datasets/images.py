"""Data sets of image files: a list of paths, with or without labels. Needs Pillow, which is imported at first use."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy

from minigan import configuration
from minigan.dataset.dataset_mixin import DatasetMixin
from minigan.dataset.errors import DataError


def _read_image(path: str, dtype: numpy.dtype) -> numpy.ndarray:
    """An image file as (C, H, W), from 0 to 255; a grey one has one channel."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(f"{path}: reading images needs Pillow ({error}); install it: pip install pillow") from error
    with Image.open(path) as image:
        pixels = numpy.asarray(image, dtype=dtype)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _lines(path: str) -> list[str]:
    with open(path, encoding="utf-8") as file:
        return [line.strip() for line in file if line.strip()]


class ImageDataset(DatasetMixin):
    """Images (C, H, W) of values 0 to 255, each read from its file when it is asked for.

    Args:
        paths: Paths of image files, or the name of a text file with one path in each line.
        root: Folder that the paths begin in.
        dtype: Dtype of the images; `config.dtype` by default.
    """

    def __init__(self, paths: str | Sequence[str], root: str = ".", dtype: Any = None) -> None:
        self._paths = _lines(paths) if isinstance(paths, str) else paths
        self._root = root
        self._dtype = configuration.get_dtype(dtype)

    def __len__(self) -> int:
        return len(self._paths)

    def get_example(self, i: int) -> numpy.ndarray:
        """Return the i-th image."""
        return _read_image(os.path.join(self._root, self._paths[i]), self._dtype)


class LabeledImageDataset(DatasetMixin):
    """Pairs of an image, as in `ImageDataset`, and its label, an array without axes.

    Args:
        pairs: Pairs (path, label), or the name of a text file with a path and an integer in each line.
        root: Folder that the paths begin in.
        dtype: Dtype of the images; `config.dtype` by default.
        label_dtype: Dtype of the labels.
    """

    def __init__(self, pairs: str | Sequence[tuple[str, int]], root: str = ".", dtype: Any = None,
                 label_dtype: Any = numpy.int32) -> None:  # fmt: skip
        self._pairs = [_pair(pairs, line) for line in _lines(pairs)] if isinstance(pairs, str) else pairs
        self._root = root
        self._dtype = configuration.get_dtype(dtype)
        self._label_dtype = label_dtype

    def __len__(self) -> int:
        return len(self._pairs)

    def get_example(self, i: int) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Return the i-th image and its label."""
        path, label = self._pairs[i]
        return _read_image(os.path.join(self._root, path), self._dtype), numpy.array(label, self._label_dtype)


def _pair(file: str, line: str) -> tuple[str, int]:
    parts = line.split()
    try:
        path, label = parts
        return path, int(label)
    except ValueError:
        raise DataError(f"{file}: the line {line!r} is no pair of a path and an integer") from None
