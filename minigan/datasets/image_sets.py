"""Images of one's own: a folder of pictures or an array in a file, as bytes of one size, with classes if there are any.

What a folder or a file holds is read once, and checked before anything is trained on it. Pictures are cut in the middle
to a square and scaled; the sentence on where they come from says so.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from minigan.dataset.dataset_mixin import DatasetMixin
from minigan.dataset.errors import DataError
from minigan.datasets.arrays import read_arrays
from minigan.datasets.images import ImageFolderDataset, fit

SIZE = 64  # pixels to a side, of a folder
CHANNELS = (1, 3, 4)
LIMIT = 1 << 34  # bytes of one array
IMAGES = ("images", "samples", "x_train", "x", "arr_0")
LABELS = ("labels", "y_train", "t_train", "y", "t")
WANTED = "`images`, as `minigan sample` writes it, or one of the names " + ", ".join(IMAGES[1:])


class ImageSet(NamedTuple):
    """Bytes (N, H, W) or (N, H, W, C), classes (N,), both again to test on, a line on their origin, the classes' names.

    What is not there is None.
    """

    x_train: numpy.ndarray
    y_train: Any = None
    x_test: Any = None
    y_test: Any = None
    source: str = ""
    names: Sequence[str] = ()

    def fitted(self, size: int | None = None, channels: int | None = None) -> ImageSet:
        """Cut and scale all images to squares of `size`, by default their shorter side, with that many channels."""
        height, width, own = (*self.x_train.shape[1:], 1)[:3]
        size, channels = size or min(height, width), channels or own
        if (height, width, own) == (size, size, channels):
            return self
        parts: list[Any] = [None if x is None else _fitted(x, size, channels) for x in (self.x_train, self.x_test)]
        source = f"{self.source}, of {width} x {height} pixels{_scaled({(width, height)}, size)}"
        return self._replace(x_train=parts[0], x_test=parts[1], source=source)


class ScaledImages(DatasetMixin):
    """Images of bytes as a GAN wants them, float32 (C, H, W) in [-1, 1], made when they are asked for."""

    def __init__(self, pixels: numpy.ndarray) -> None:
        self._pixels = (pixels[..., None] if pixels.ndim == 3 else pixels).transpose(0, 3, 1, 2)
        self.shape = self._pixels.shape  #: that of the array of all images

    def __len__(self) -> int:
        return len(self._pixels)

    def get_example(self, i: Any) -> numpy.ndarray:
        """Return the i-th image, or all of a slice."""
        return numpy.divide(self._pixels[i], 127.5, dtype=numpy.float32, order="C") - numpy.float32(1)


def _fitted(pixels: numpy.ndarray, size: int, channels: int) -> numpy.ndarray:
    from PIL import Image

    return numpy.stack([fit(Image.fromarray(image), (size, size), channels) for image in pixels])


def _scaled(sizes: set[tuple[int, int]], size: int) -> str:
    done = ["cropped in the middle"] if any(width != height for width, height in sizes) else []
    done += [f"scaled to {size} x {size}"] if any(min(pair) != size for pair in sizes) else []
    return ", " * bool(done) + " and ".join(done)


def read_folder(
    root: str | os.PathLike[str], size: int | None = None, channels: int | None = None,
    labels: str | os.PathLike[str] | None = None, skip_bad: bool = False, each: Callable[[Iterable], Iterable] = iter,
) -> ImageSet:  # fmt: skip
    """Read all pictures below a folder, see `ImageFolderDataset`.

    Args:
        root: The folder. Where all pictures lie in sub-folders, of which there are several, these are the classes.
        size: Pixels to a side, 64 by default.
        channels: 1 grey, 3 colours, 4 with opacity; by default the least that loses nothing.
        labels: A text file that names the class of each picture: lines `NAME CLASS` or `NAME,CLASS`, with names as seen
            from the folder.
        skip_bad: Leave out what cannot be read.
        each: Wraps the list of pictures, for a progress bar.

    Raises:
        DataError: there are no pictures, some cannot be read, or the labels do not match.
    """
    images = ImageFolderDataset(root, size or SIZE, channels=channels or 4)
    names = [Path(path).relative_to(root) for path in images.paths]
    classes = _of_file(labels, names) if labels else _of_folders(names)
    pixels: Any = None
    good: list[int] = []
    sizes, bad = set(), []
    for i in each(range(len(images))):
        try:
            image, whole = images.pixels(i)
            pixels = numpy.empty((len(images), *image.shape), numpy.uint8) if pixels is None else pixels
            pixels[len(good)] = image
            good.append(i)
            sizes.add(whole)
        except (DataError, OSError) as error:
            bad.append((names[i], str(error).removeprefix(f"{images.paths[i]}: ").partition(";")[0]))
    listed = ", ".join(str(name) for name, _ in bad[:5]) + ", ..." * (len(bad) > 5)
    if bad and (not good or not skip_bad):
        raise DataError(f"{root}: {len(bad)} of {len(images)} images cannot be read: {listed} (of the first: "
                        f"{bad[0][1]}); replace them{', or leave them out with --skip-bad' * bool(good)}")  # fmt: skip
    pixels = pixels[: len(good)]
    if channels is None:
        used = 4 if (pixels[..., 3] < 255).any() else 3 if (pixels[..., :1] != pixels[..., 1:3]).any() else 1
        pixels = numpy.ascontiguousarray(pixels[..., 0] if used == 1 else pixels[..., :used])
    low, high = (" x ".join(map(str, pick(sizes, key=math.prod))) for pick in (min, max))
    source = f"{len(pixels):,} images below {root}, of {low if low == high else f'{low} to {high}'} pixels"
    source += _scaled(sizes, size or SIZE) + f" ({len(bad)} unreadable left out: {listed})" * bool(bad)
    return ImageSet(pixels, None if classes is None else classes[0][good], None, None, source,
                    () if classes is None else classes[1])  # fmt: skip


def _of_folders(names: list[Path]) -> tuple[numpy.ndarray, Sequence[str]] | None:
    folders = [name.parts[0] for name in names if len(name.parts) > 1]
    return _numbered(folders) if len(folders) == len(names) and len(set(folders)) > 1 else None


def _of_file(file: str | os.PathLike[str], names: list[Path]) -> tuple[numpy.ndarray, Sequence[str]]:
    found: dict[Path, str] = {}
    try:
        lines = Path(file).read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: this is no text ({error}); wanted lines of NAME CLASS or NAME,CLASS") from error
    for line in filter(str.strip, lines):
        match = re.fullmatch(r"\s*(.*[^,\s])\s*[,\s]\s*([^,\s]+)\s*", line)
        if match is None or found.setdefault(Path(match[1]), match[2]) != match[2]:
            what = "is no name of an image and its class" if match is None else "gives an image a second class"
            raise DataError(f"{file}: the line {line!r:.100} {what}; wanted lines of NAME CLASS or NAME,CLASS, one for "
                            f"each image")  # fmt: skip
    without, unknown = [name for name in names if name not in found], sorted(found.keys() - {*names})
    if few := without or unknown:
        more = f" and {len(few) - 1} more" * (len(few) > 1)
        raise DataError(f"{file}: it {'says nothing of' if without else 'names what is not there:'} {few[0]}{more}; "
                        f"wanted one line for each of the {len(names)} images, named as seen from the "
                        f"folder")  # fmt: skip
    return _numbered([found[name] for name in names])


def _numbered(names: list[str]) -> tuple[numpy.ndarray, Sequence[str]]:
    """Number names in their order, that of the numbers if they are some."""
    known = sorted(set(names), key=(lambda name: (len(name), name)) if all(map(str.isdecimal, names)) else None)
    number = {name: i for i, name in enumerate(known)}
    return numpy.array([number[name] for name in names], numpy.int32), known


def read_file(path: str | os.PathLike[str]) -> ImageSet:
    """Read the images of an npz, npy or HDF5 file, of any size, with their labels if it has some.

    They stand under one of the names `IMAGES` and `LABELS`, those to test on as `x_test` and `y_test`. Images are
    (N, H, W), (N, H, W, C) or (N, C, H, W) with 1, 3 or 4 channels, as bytes, whole numbers from 0 to 255, or fractions
    from 0 to 1 or from -1 to 1, which are rounded to bytes; labels are whole numbers (N,) from 0 on.

    Raises:
        DataError: the file is damaged or holds something else.
    """
    path = Path(path)
    arrays: list[Any] = [None] * 4
    if path.suffix == ".npy":
        try:
            with open(path, "rb") as file:
                arrays[0] = numpy.lib.format.read_array(file, allow_pickle=False)
            if arrays[0].dtype.kind not in "biuf":
                raise ValueError(f"its dtype is {arrays[0].dtype}")
        except (ValueError, EOFError) as error:
            raise DataError(f"{path}: this is no array of numbers, or a damaged one ({error}); save it anew") from error
    else:
        keys = [LABELS, ("x_test",), ("y_test", "t_test")]
        arrays = read_arrays(path, [IMAGES], LIMIT, keys, WANTED)
    x, y, x_test, y_test = arrays
    images, tests = as_pixels(x, str(path)), None if x_test is None else as_pixels(x_test, str(path))
    if tests is not None and tests.shape[1:] != images.shape[1:]:
        raise DataError(f"{path}: images to train on are {images.shape}, those to test on {tests.shape}; wanted one "
                        f"size, and as many channels")  # fmt: skip
    labels = [None if b is None or a is None else _labels(b, len(a), path) for a, b in ((x, y), (x_test, y_test))]
    return ImageSet(images, labels[0], tests, labels[1], f"{len(images):,} images of {path}")


def as_pixels(images: numpy.ndarray, place: str) -> numpy.ndarray:
    """Turn an array of images, see `read_file`, into bytes, (N, H, W) or (N, H, W, C); `DataError` if it is none."""
    shape = images.shape
    if images.ndim == 4 and shape[1] in CHANNELS and (shape[3] not in CHANNELS or shape[2] == shape[3]):
        images = images.transpose(0, 2, 3, 1)
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    if images.ndim not in (3, 4) or 0 in shape or images.shape[3:] not in ((), (3,), (4,)):
        raise DataError(f"{place}: images are {images.dtype} of shape {shape}; wanted (N, H, W), (N, H, W, C) or "
                        f"(N, C, H, W) with 1, 3 or 4 channels C")  # fmt: skip
    low, high = images.min(), images.max()
    fraction = images.dtype.kind == "f"
    if not (-1 if fraction else 0) <= low <= high <= (1 if fraction else 255):  # NaN is in no range
        raise DataError(f"{place}: images are {images.dtype} from {low} to {high}; wanted bytes from 0 to 255, or "
                        f"fractions from 0 to 1 or from -1 to 1; scale them")  # fmt: skip
    if fraction or images.dtype == bool:
        images = numpy.rint((images + 1.0) * 127.5 if low < 0 else images * 255.0)
    return numpy.ascontiguousarray(images, numpy.uint8)


def _labels(labels: numpy.ndarray, n: int, path: Path) -> numpy.ndarray:
    if labels.shape != (n,) or labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= 1 << 16:
        values = f", from {labels.min()} to {labels.max()}" if labels.size and labels.dtype.kind in "iuf" else ""
        raise DataError(f"{path}: labels are {labels.dtype} of shape {labels.shape} for {n} images{values}; wanted one "
                        f"whole number for each, 0 for the first class, less than {1 << 16}")  # fmt: skip
    return labels.astype(numpy.int32)
