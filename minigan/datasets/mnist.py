"""MNIST, Fashion-MNIST and Kuzushiji-MNIST: found where they may lie, checked, and given out in Chainer's form.

`find_mnist` says where the data is (a folder that the user names, Chainer's cache, minigan's cache, a download, the
digits that come with the package), `load_mnist` reads it as bytes, `get_mnist` and its like are Chainer's
functions. Nobody is left in doubt about the data: every result carries a line that says where it is from.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from minigan import configuration
from minigan.dataset.download import get_dataset_directory
from minigan.dataset.errors import DataError
from minigan.datasets import mirrors
from minigan.datasets.digits import data_files, read_digits
from minigan.datasets.tuple_dataset import TupleDataset

TITLES = {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST", "kmnist": "Kuzushiji-MNIST"}
_WORDS = {"mnist": "mnist", "fashion": "fashion-mnist", "kmnist": "kmnist"}
_CHAINERS_NAMES = {"mnist": "mnist", "fashion-mnist": "fashion-mnist", "kmnist": "kuzushiji_mnist"}
_BUILT_IN = Path(__file__).parent / "data"

_data_directory: str | None = None
_announced: set[str] = set()


class DataSource(NamedTuple):
    """Where a data set was found: its name, the files, and the place in words."""

    name: str
    files: tuple[Path, ...]
    place: str


class MnistData(NamedTuple):
    """Images (N, 28, 28) uint8 and labels (N,) uint8 of the training and the test part, and a line on their origin."""

    x_train: numpy.ndarray
    y_train: numpy.ndarray
    x_test: numpy.ndarray
    y_test: numpy.ndarray
    source: str


def set_data_directory(path: str | os.PathLike[str] | None) -> None:
    """Set the folder (or file) that is read before any other in this process; None goes back to `$MINIGAN_DATA`."""
    global _data_directory
    _data_directory = None if path is None else os.fspath(path)


def get_cache_directory(name: str = "mnist") -> Path:
    """Return the folder that downloads go to: in `$MINIGAN_CACHE`, else in `~/.cache/minigan`."""
    root = os.environ.get("MINIGAN_CACHE") or os.path.join(os.path.expanduser("~"), ".cache", "minigan")
    return Path(root) / _known(name)


def download_mnist(name: str = "mnist", **options: Any) -> Path:
    """Fetch the original files into minigan's cache unless they are there, and return the folder.

    Args:
        name: `"mnist"`, `"fashion-mnist"` or `"kmnist"`.
        options: `mirrors`, `opener`, see `minigan.datasets.mirrors.fetch`.

    Raises:
        DataError: `$MINIGAN_OFFLINE` is set, no mirror gave a right copy, or the cache cannot be written to.
    """
    if os.environ.get("MINIGAN_OFFLINE"):
        raise DataError(f"download_mnist: $MINIGAN_OFFLINE is set, so {TITLES[_known(name)]} is not downloaded; unset "
                        f"it, or name a folder with the files by --data DIR or $MINIGAN_DATA")  # fmt: skip
    folder = get_cache_directory(name)
    mirrors.fetch(name, folder, **options)
    return folder


def find_mnist(name: str = "mnist", directory: str | os.PathLike[str] | None = None, download: bool = False,
               **options: Any) -> DataSource:  # fmt: skip
    """Return the place of a data set, the first that has it of:

    1. `directory`, else the one of `set_data_directory`, else `$MINIGAN_DATA`: a folder with IDX files, `train.npz` and
       `test.npz`, `mnist.npz` or `mnist.h5`, or with a folder `mnist` that has these; or such a file itself. A place
       that is named must have the data, no other is tried. `$MINIGAN_DATA` may also be `builtin`, and in
       `fashion:DIR` it names a place for that data set only;
    2. Chainer's cache, `pfnet/chainer/mnist` in `$CHAINER_DATASET_ROOT` or `~/.chainer/dataset`;
    3. minigan's cache, see `get_cache_directory`;
    4. a download to there, if `download` allows it (`options` as in `download_mnist`);
    5. for MNIST the built-in subset of 8,000 training and 2,000 test digits.

    Raises:
        DataError: the named place has no such data, or the data is nowhere and cannot be fetched.
    """
    title = TITLES[_known(name)]
    if named := directory or _data_directory or _named_by_environment(name):
        return DataSource(name, _files_in_named(Path(named), name), str(named))
    chainer = Path(get_dataset_directory(f"pfnet/chainer/{_CHAINERS_NAMES[name]}", create_directory=False))
    if files := data_files(chainer, name):
        return DataSource(name, files, f"Chainer's cache {chainer}")
    cache = get_cache_directory(name)
    failure = ""
    if not (files := _complete(cache)) and download:
        try:
            files = _complete(download_mnist(name, **options))
        except DataError as error:
            failure = f"; the download failed: {error}"
    if files:
        return DataSource(name, files, f"minigan's cache {cache}")
    if name == "mnist":
        place = "the built-in subset (the whole set has 60,000 + 10,000: minigan data --download mnist, or --data DIR)"
        return DataSource(name, data_files(_BUILT_IN, name), place + failure)
    raise DataError(
        f"{title} is not on this machine: no folder was named, and neither {chainer} nor {cache} has it"
        f"{failure}; fetch it with: minigan data --download {name.removesuffix('-mnist')}, or name a folder with the "
        f"files by --data DIR or $MINIGAN_DATA"
    )


def load_mnist(name: str = "mnist", directory: str | os.PathLike[str] | None = None, download: bool = False,
               **options: Any) -> MnistData:  # fmt: skip
    """Return the checked images and labels of `find_mnist`'s place, as bytes.

    Raises:
        DataError: no data, or a file that is damaged or is not what it should be; the text names it.
    """
    source = find_mnist(name, directory, download, **options)
    train, test = read_digits(source.files, name)
    counts = f"{len(train.images):,} training and {len(test.images):,} test images"
    return MnistData(*train, *test, f"{TITLES[name]}: {counts} from {source.place}")


def get_mnist(withlabel: bool = True, ndim: int = 1, scale: float = 1.0, dtype: Any = None,
              label_dtype: Any = numpy.int32, rgb_format: bool = False) -> tuple[Any, Any]:  # fmt: skip
    """Return the training and the test part of MNIST.

    Images are (784,) for `ndim` 1, (28, 28) for 2, (1, 28, 28) for 3, or (3, 28, 28) with `rgb_format` too, from 0 to
    `scale`. What is not on the machine is downloaded unless `$MINIGAN_OFFLINE` is set; without a connection the
    built-in subset is taken. A line on stderr says, once, which data it is.

    Args:
        withlabel: Whether to give `TupleDataset`s of (image, label) or bare arrays of images.
        ndim: Axes of an image.
        scale: The value of white.
        dtype: A floating dtype of the images; `config.dtype` by default.
        label_dtype: The dtype of the labels.
        rgb_format: Whether to repeat the image in three channels.

    Raises:
        ValueError: `ndim` is not 1, 2 or 3.
        TypeError: `dtype` is not floating.
        DataError: a file is damaged or is not what it should be.
    """
    return _chainer_form("mnist", withlabel, ndim, scale, dtype, label_dtype, rgb_format)


def get_fashion_mnist(withlabel: bool = True, ndim: int = 1, scale: float = 1.0, dtype: Any = None,
                      label_dtype: Any = numpy.int32, rgb_format: bool = False) -> tuple[Any, Any]:  # fmt: skip
    """Return the training and the test part of Fashion-MNIST, as `get_mnist` does; there is no built-in subset."""
    return _chainer_form("fashion-mnist", withlabel, ndim, scale, dtype, label_dtype, rgb_format)


def get_fashion_mnist_labels() -> list[str]:
    """Return the names of Fashion-MNIST's ten classes, in the order of the labels."""
    return ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]


def get_kuzushiji_mnist(withlabel: bool = True, ndim: int = 1, scale: float = 1.0, dtype: Any = None,
                        label_dtype: Any = numpy.int32, rgb_format: bool = False) -> tuple[Any, Any]:  # fmt: skip
    """Return the training and the test part of Kuzushiji-MNIST (Clanuwat et al. 2018), as `get_mnist` does."""
    return _chainer_form("kmnist", withlabel, ndim, scale, dtype, label_dtype, rgb_format)


def get_kuzushiji_mnist_labels() -> list[tuple[str, str]]:
    """Return the reading and the modern form of the ten characters, in the order of the labels."""
    return list(zip("o ki su tsu na ha ma ya re wo".split(), "おきすつなはまやれを"))


def _chainer_form(name: str, withlabel: bool, ndim: int, scale: float, dtype: Any, label_dtype: Any,
                  rgb_format: bool) -> tuple[Any, Any]:  # fmt: skip
    function = f"get_{_CHAINERS_NAMES[name].replace('-', '_')}"
    if ndim not in (1, 2, 3):
        raise ValueError(f"{function}: ndim is {ndim!r}; wanted 1 for (784,), 2 for (28, 28) or 3 "
                         f"for (1, 28, 28)")  # fmt: skip
    dtype = configuration.get_dtype(dtype)
    if dtype.kind != "f":
        raise TypeError(f"{function}: dtype is {dtype}; wanted a floating one, as scaled images are; "
                        f"load_mnist gives the bytes")  # fmt: skip
    data = load_mnist(name, download=not os.environ.get("MINIGAN_OFFLINE"))
    if data.source not in _announced:
        _announced.add(data.source)
        print(f"minigan: {data.source}", file=sys.stderr)
    parts = []
    for images, labels in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        x = images.astype(dtype)
        x *= scale / 255.0
        if ndim == 1:
            x = x.reshape(len(x), 784)
        elif ndim == 3:
            x = x[:, None].repeat(3, axis=1) if rgb_format else x[:, None]
        parts.append(TupleDataset(x, labels.astype(label_dtype)) if withlabel else x)
    return parts[0], parts[1]


def _known(name: str) -> str:
    if name not in TITLES:
        raise ValueError(f"there is no data set {name!r}; wanted one of {', '.join(TITLES)}")
    return name


def _named_by_environment(name: str) -> str | None:
    """The place that `$MINIGAN_DATA` names for this data set; it may be anything that `--data` may be."""
    spec = os.environ.get("MINIGAN_DATA", "")
    if spec == "builtin":
        return str(_BUILT_IN) if name == "mnist" else None
    word, colon, place = spec.partition(":")
    if word in _WORDS and (colon or not Path(spec).exists()):
        return (place or None) if _WORDS[word] == name else None
    return spec or None


def _files_in_named(path: Path, name: str) -> tuple[Path, ...]:
    if path.is_file():
        return (path,)
    if not path.is_dir():
        raise DataError(f"{path}: there is no such folder or file; check --data or $MINIGAN_DATA")
    if files := data_files(path / name, name) or data_files(path, name):
        return files
    raise DataError(f"{path}: the folder has no {TITLES[name]}; wanted four IDX files (train-images-idx3-ubyte, ... "
                    f"plain or .gz), {name}.npz, {name}.h5, or train.npz and test.npz; check --data or "
                    f"$MINIGAN_DATA")  # fmt: skip


def _complete(cache: Path) -> tuple[Path, ...]:
    """The cache's own files if all four are there: a download that was stopped has left fewer, whole ones."""
    files = tuple(cache / f"{stem}.gz" for stem in mirrors.STEMS)
    return files if all(file.is_file() for file in files) else ()
