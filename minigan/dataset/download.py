"""Chainer's data folder, so that data which a Chainer script has fetched once is found again.

The folder is `$CHAINER_DATASET_ROOT`, or `~/.chainer/dataset`. Whatever is written here is written under a temporary
name first: a broken download or a crash leaves no half file behind.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minigan.dataset.errors import DataError
from minigan.utils.files import atomic_path, atomic_write, file_lock

TIMEOUT = 20.0
"""Seconds without a byte after which a download is given up."""

_root: str | None = None


def get_dataset_root() -> str:
    """Return the folder of all data sets: the one set last, else `$CHAINER_DATASET_ROOT`, else `~/.chainer/dataset`."""
    if _root is not None:
        return _root
    return os.environ.get("CHAINER_DATASET_ROOT") or os.path.join(os.path.expanduser("~"), ".chainer", "dataset")


def set_dataset_root(path: str | os.PathLike[str] | None) -> None:
    """Set the folder of all data sets for this process; None goes back to the environment."""
    global _root
    _root = None if path is None else os.fspath(path)


def get_dataset_directory(dataset_name: str, create_directory: bool = True) -> str:
    """Return the folder of one data set, e.g. `"pfnet/chainer/mnist"`, and make it unless told otherwise."""
    path = os.path.join(get_dataset_root(), dataset_name)
    if create_directory:
        os.makedirs(path, exist_ok=True)
    return path


def cached_download(url: str) -> str:
    """Download `url` unless that was done before, and return the name of the local file.

    A download that another process has begun is waited for.

    Raises:
        DataError: the download failed; no file is left behind.
    """
    folder = get_dataset_directory("_dl_cache")
    path = os.path.join(folder, hashlib.md5(url.encode("utf-8"), usedforsecurity=False).hexdigest())
    if os.path.exists(path):
        return path
    with file_lock(path):
        if os.path.exists(path):  # another process was downloading it
            return path
        print(f"Downloading from {url}...", file=sys.stderr)
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT) as response, atomic_write(path) as file:
                shutil.copyfileobj(response, file)
                _check_length(response, file.tell())
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise DataError(f"cached_download: {url} could not be downloaded ({error}); check the address and the "
                            f"connection") from error  # fmt: skip
    return path


def _check_length(response: Any, got: int) -> None:
    """A connection that is cut looks like the end of the file; the length in the header tells them apart."""
    declared = response.headers.get("Content-Length")
    if declared is not None and declared.isdigit() and int(declared) != got:
        raise OSError(f"got {got} bytes of {declared}")


def cache_or_load_file(path: str | os.PathLike[str], creator: Callable[[str], Any],
                       loader: Callable[[str], Any]) -> Any:  # fmt: skip
    """Return `loader(path)` if the file exists, else `creator(path)`, which has to write it.

    `creator` gets a temporary name with the same ending; the file takes its place when `creator` is done.

    Of several processes one creates it, and the others wait and load it.

    Raises:
        DataError: `creator` wrote no file.
        RuntimeError: the folder of all data sets can neither be found nor made.
    """
    target = Path(path)
    if target.exists():
        return loader(str(target))
    try:
        os.makedirs(get_dataset_root(), exist_ok=True)
    except OSError as error:
        raise RuntimeError(f"cache_or_load_file: the folder of data sets cannot be made ({error}); set "
                           f"$CHAINER_DATASET_ROOT to another") from error  # fmt: skip
    target.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(target):
        if target.exists():  # another process was creating it
            return loader(str(target))
        try:
            with atomic_path(target) as temporary:
                content = creator(temporary)
            return content
        except FileNotFoundError as error:
            if error.filename != str(target):
                raise
            raise DataError(f"cache_or_load_file: the creator wrote no file {target.name}; it must write to the path "
                            f"that it is given") from error  # fmt: skip
