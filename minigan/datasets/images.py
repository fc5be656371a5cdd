"""Data sets of image files: lists of paths, zip archives, folders. Needs Pillow, which is imported at first use."""

from __future__ import annotations

import io
import operator
import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy

from minigan import configuration
from minigan.dataset.dataset_mixin import DatasetMixin
from minigan.dataset.errors import DataError
from minigan.dataset.randomness import example_random
from minigan.datasets.idx import damaged, read_at_most
from minigan.datasets.views import ConcatenatedDataset
from minigan.utils.stored import DAMAGE

available = find_spec("PIL") is not None

_LIMIT = 1 << 28  # bytes of one image file in an archive
_ZIP_DAMAGE = (*DAMAGE, KeyError)  # the last for a member that is not there
_ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


@contextmanager
def open_image(file: Any, name: str) -> Iterator[Any]:
    """An image, open for reading; whatever Pillow raises on damaged content becomes one error with the name."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(f"{name}: reading images needs Pillow ({error}); install it: pip install pillow") from error
    try:
        with Image.open(file) as image:
            yield image
    except Exception as error:
        if isinstance(error, DataError) or (isinstance(error, OSError) and error.errno is not None):  # no such file
            raise
        raise DataError(f"{name}: this is no image, or a damaged one ({error}); replace it or leave it out") from error


def _pixels(file: Any, name: str, dtype: numpy.dtype) -> numpy.ndarray:
    """An image as (C, H, W), from 0 to 255; a grey one has one channel."""
    with open_image(file, name) as image:
        image.load()
        pixels = numpy.asarray(image, dtype=dtype)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _upright_bytes(image: Any, name: str) -> Any:
    """The image as the camera was held, with 8 bits for each colour."""
    from PIL import Image, ImageOps

    is_png = image.format == "PNG"
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16") or (image.mode == "I" and is_png):  # converted, it would be cut at 255
        return Image.fromarray((numpy.asarray(image) >> 8).astype(numpy.uint8))
    if image.mode in ("I", "F"):
        raise DataError(f"{name}: its pixels are numbers of 32 bits, of unknown range; save it with 8 or 16 bits")
    return image.convert("RGBA") if "transparency" in image.info else image


def fit(image: Any, size: tuple[int, ...], channels: int, crop: str | None = "center", random: Any = None) -> Any:
    """Cut a Pillow image and scale it, to bytes (H, W), or (H, W, channels); see `ImageFolderDataset`."""
    height, width = size
    scale = min(image.width / width, image.height / height)
    part = (width * scale, height * scale) if crop else image.size
    left, top = (max(whole - length, 0) / 2 for whole, length in zip(image.size, part))  # 30 / 29 * 29 is above 30
    if crop == "random":
        random = random or example_random()
        left, top = 2 * left * random.random_sample(), 2 * top * random.random_sample()
    box = (left, top, min(left + part[0], image.width), min(top + part[1], image.height))
    return numpy.asarray(image.convert(_MODES[channels]).resize((width, height), 2, box))  # bilinear


def _lines(path: str) -> list[str]:
    with open(path, encoding="utf-8") as file:
        return [line.strip() for line in file if line.strip()]


def _pairs(pairs: str | Sequence[tuple[str, int]]) -> Sequence[tuple[str, int]]:
    return [_pair(pairs, line) for line in _lines(pairs)] if isinstance(pairs, str) else pairs


def _pair(file: str, line: str) -> tuple[str, int]:
    parts = line.split()
    try:
        path, label = parts
        return path, int(label)
    except ValueError:
        raise DataError(f"{file}: the line {line!r} is no pair of a path and an integer") from None


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
        path = os.path.join(self._root, self._paths[i])
        return _pixels(path, path, self._dtype)


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
        self._pairs = _pairs(pairs)
        self._images: Any = ImageDataset([path for path, _ in self._pairs], root, dtype)
        self._label_dtype = label_dtype

    def __len__(self) -> int:
        return len(self._pairs)

    def get_example(self, i: int) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Return the i-th image and its label."""
        return self._images[i], numpy.array(self._pairs[i][1], self._label_dtype)


class ZippedImageDataset(DatasetMixin):
    """The images of a zip archive, in the archive's order, as in `ImageDataset`.

    Damage, encryption and members of more than 256 MB raise `DataError` when the archive or the image is opened.

    Args:
        zipfilename: Path of the archive.
        dtype: Dtype of the images; `config.dtype` by default.
    """

    def __init__(self, zipfilename: str | os.PathLike[str], dtype: Any = None) -> None:
        self._zipfilename = zipfilename
        self._dtype = configuration.get_dtype(dtype)
        self._opened: tuple[int, zipfile.ZipFile] | None = None
        self._paths = [info.filename for info in self._archive().infolist() if not info.is_dir()]

    def _archive(self) -> zipfile.ZipFile:
        """The archive, opened in this process: two that share a file move each other's place in it."""
        if self._opened is None or self._opened[0] != os.getpid():
            try:
                self._opened = os.getpid(), zipfile.ZipFile(self._zipfilename)
            except FileNotFoundError:
                raise
            except _ZIP_DAMAGE as error:
                raise damaged(self._zipfilename, error) from error
        return self._opened[1]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def __len__(self) -> int:
        return len(self._paths)

    def get_example(self, i: int) -> numpy.ndarray:
        """Return the i-th image."""
        name = f"{self._zipfilename}: {self._paths[i]}"
        try:
            with self._archive().open(self._paths[i]) as file:
                content = read_at_most(file, _LIMIT + 1)
        except _ZIP_DAMAGE as error:
            raise damaged(name, error) from error
        if len(content) > _LIMIT:
            raise DataError(f"{name}: the image file has more than {_LIMIT:,} bytes; leave it out of the archive")
        return _pixels(io.BytesIO(content), name, self._dtype)


class MultiZippedImageDataset(ConcatenatedDataset):
    """The images of several zip archives one after the other, see `ZippedImageDataset`."""

    def __init__(self, zipfilenames: Sequence[str | os.PathLike[str]], dtype: Any = None) -> None:
        super().__init__(*(ZippedImageDataset(name, dtype) for name in zipfilenames))


class LabeledZippedImageDataset(LabeledImageDataset):
    """Pairs of an image of a zip archive and its label, an array without axes.

    Args:
        zipfilename: Path of the archive.
        labelfilename: Text file with a member of the archive and an integer in each line, or such pairs.
        dtype, label_dtype: As in `LabeledImageDataset`.
    """

    def __init__(self, zipfilename: str | os.PathLike[str], labelfilename: str | Sequence[tuple[str, int]],
                 dtype: Any = None, label_dtype: Any = numpy.int32) -> None:  # fmt: skip
        self._pairs = _pairs(labelfilename)
        self._images = ZippedImageDataset(zipfilename, dtype)
        self._images._paths = [path for path, _ in self._pairs]
        self._label_dtype = label_dtype


def _images_below(root: str | os.PathLike[str]) -> Iterator[str]:
    def fail(error: OSError) -> None:
        raise error

    for folder, below, names in os.walk(root, onerror=fail):
        below[:] = [name for name in below if not name.startswith(".") and name != "__MACOSX"]
        for name in names:
            if name.lower().endswith(_ENDINGS) and not name.startswith("."):
                yield os.path.join(folder, name)


class ImageFolderDataset(DatasetMixin):
    """All images under a folder, cut and scaled to one size, (channels, H, W) from -1 to 1: what a GAN eats.

    Args:
        root: The folder; images are found by their endings, in sub-folders too, and sorted by name. Hidden files and
            folders are passed over. Photos are turned upright, of moving pictures the first one is taken.
        size: H and W, or one number for both.
        crop: `"center"` or `"random"`: the largest part of the right proportions is taken from the centre, or from a
            place drawn anew each time; None squeezes the whole image into the size.
        channels: 1 grey, 3 colours, 4 colours and opacity; images are converted, without 4 opacity is dropped.
        dtype: Dtype of the images; `config.dtype` by default.
        random: Where random places come from; `example_random()` by default, which a resumed training needs.

    Raises:
        ValueError: a wrong size, crop or number of channels.
        OSError: the folder, or one in it, cannot be read.
        DataError: there is no image in the folder; in indexing, an image is damaged, or has 32 bits for each colour.
    """

    def __init__(self, root: str | os.PathLike[str], size: int | tuple[int, int] = 64, crop: str | None = "center",
                 channels: int = 3, dtype: Any = None, random: Any = None) -> None:  # fmt: skip
        self._size = tuple(operator.index(length) for length in numpy.broadcast_to(size, 2))
        if channels not in _MODES or crop not in ("center", "random", None) or min(self._size) < 1:
            raise ValueError(f"ImageFolderDataset: size is {size!r}, crop {crop!r}, channels {channels!r}; wanted a "
                             f"size of 1 or more, 'center', 'random' or None, and 1, 3 or 4")  # fmt: skip
        self._crop, self._channels, self._random = crop, channels, random
        self._dtype = configuration.get_dtype(dtype)
        self.paths = sorted(_images_below(root))
        if not self.paths:
            raise DataError(f"{root}: there are no images in this folder; wanted files that end in one of "
                            f"{' '.join(_ENDINGS)}")  # fmt: skip

    def __len__(self) -> int:
        return len(self.paths)

    def pixels(self, i: int) -> tuple[numpy.ndarray, tuple[int, int]]:
        """Return the i-th image as bytes, (H, W) or (H, W, channels), and its width and height in the file."""
        with open_image(self.paths[i], self.paths[i]) as file:
            image = _upright_bytes(file, self.paths[i])
            return fit(image, self._size, self._channels, self._crop, self._random), image.size

    def get_example(self, i: int) -> numpy.ndarray:
        """Return the i-th image."""
        pixels = self.pixels(i)[0].astype(self._dtype)
        pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        return numpy.ascontiguousarray(pixels / self._dtype.type(127.5) - self._dtype.type(1))
