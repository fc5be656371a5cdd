"""Where the original files of data sets can be fetched, and how to know that they are the right ones.

A mirror is not trusted: a file counts only if its content has the published length and SHA-256. It is checked before it
is written, and written under a temporary name first, so that the cache is never left broken.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import os
import sys
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from minigan.dataset.errors import DataError
from minigan.datasets.idx import DAMAGE, read_at_most, stream
from minigan.utils.files import atomic_write, file_lock

TIMEOUT = 5.0
"""Seconds without an answer after which the next mirror is tried."""

_FAILURES = DAMAGE + (ValueError, http.client.HTTPException)


class Published(NamedTuple):
    """A file as it was published: bytes and SHA-256 of its content, decompressed unless `packed`."""

    size: int
    sha256: str
    packed: bool = False


IMAGES_TRAIN, LABELS_TRAIN = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
IMAGES_TEST, LABELS_TEST = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"

STEMS = (IMAGES_TRAIN, LABELS_TRAIN, IMAGES_TEST, LABELS_TEST)

FILES = {
    "mnist": {
        IMAGES_TRAIN: Published(47040016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
        LABELS_TRAIN: Published(60008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
        IMAGES_TEST: Published(7840016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        LABELS_TEST: Published(10008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    },
    "fashion-mnist": {
        IMAGES_TRAIN: Published(47040016, "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
        LABELS_TRAIN: Published(60008, "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
        IMAGES_TEST: Published(7840016, "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
        LABELS_TEST: Published(10008, "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
    },
    "kmnist": {
        IMAGES_TRAIN: Published(18165135, "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4", True),
        LABELS_TRAIN: Published(29497, "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17", True),
        IMAGES_TEST: Published(3041136, "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5", True),
        LABELS_TEST: Published(5120, "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c", True),
    },
}

MIRRORS = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    "fashion-mnist": (
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    "kmnist": ("https://codh.rois.ac.jp/kmnist/dataset/kmnist/", "http://codh.rois.ac.jp/kmnist/dataset/kmnist/"),
}


def fetch(name: str, folder: Path, mirrors: Sequence[str] | None = None,
          opener: Callable[..., Any] | None = None) -> None:  # fmt: skip
    """Bring the four files of a data set into `folder` as `.gz`; intact files that are there already are kept.

    Of several processes one fetches a file, and the others wait for it.

    Args:
        name: `"mnist"`, `"fashion-mnist"` or `"kmnist"`.
        folder: Where the files go; made if missing.
        mirrors: Addresses that a file name is put behind; the published mirrors unless given.
        opener: Called with `(url, timeout=seconds)`, returns a binary file; `urllib.request.urlopen` unless given.

    Raises:
        DataError: no mirror gave a right copy of some file, or the folder cannot be written to.
    """
    usable = list(MIRRORS[name] if mirrors is None else mirrors)
    for stem, published in FILES[name].items():
        target = folder / f"{stem}.gz"
        if _intact(target, published):
            continue
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with file_lock(target):
                if not _intact(target, published):  # which it may be now, if another process had begun to fetch it
                    content = _from_first(usable, target.name, published, opener or urllib.request.urlopen)
                    with atomic_write(target) as file:
                        file.write(content)
        except OSError as error:
            raise DataError(f"{target}: the downloaded file cannot be written ({error}); set $MINIGAN_CACHE to a "
                            f"folder that can") from error  # fmt: skip


def _from_first(usable: list[str], name: str, published: Published, opener: Callable[..., Any]) -> bytes:
    """Return the file from the first mirror that has it; a mirror that fails is not asked again for other files."""
    failures = []
    for mirror in list(usable):
        try:
            return _fetched(mirror + name, published, TIMEOUT, opener)
        except _FAILURES as error:
            failures.append(f"{mirror}{name}: {error}")
            usable.remove(mirror)
    raise DataError(f"{name}: no mirror gave the file ({'; '.join(failures)}); check the connection, or put the "
                    f"file into a folder and name that with --data or $MINIGAN_DATA")  # fmt: skip


def fetch_one(url: str, published: Published, advice: str) -> bytes:
    """Return the checked content of one address; `advice` says what else one can do.

    Raises:
        DataError: `$MINIGAN_OFFLINE` is set, there is no answer, or the content is not the published one.
    """
    if os.environ.get("MINIGAN_OFFLINE"):
        raise DataError(f"{url}: not fetched, as $MINIGAN_OFFLINE is set; unset it, or {advice}")
    try:
        return _fetched(url, published, 4 * TIMEOUT, urllib.request.urlopen)
    except _FAILURES as error:
        raise DataError(f"{url}: cannot be fetched ({error}); check the connection, or {advice}") from error


def _fetched(url: str, published: Published, timeout: float, opener: Callable[..., Any]) -> bytes:
    """Return the checked content of an address; raises one of `_FAILURES`."""
    print(f"minigan: downloading {url}", file=sys.stderr)
    with opener(url, timeout=timeout) as response:
        # gzip never makes random bytes longer by more than this.
        content = bytes(read_at_most(response, published.size + 65536))
    _verify(content, published)
    return content


def _verify(content: bytes, published: Published) -> None:
    raw = content if published.packed else read_at_most(stream(io.BytesIO(content)), published.size + 1)
    if len(raw) != published.size or hashlib.sha256(raw).hexdigest() != published.sha256:
        raise ValueError("the content is not the published one (its SHA-256 differs)")


def _intact(path: Path, published: Published) -> bool:
    try:
        _verify(path.read_bytes(), published)
    except _FAILURES:
        return False
    return True
