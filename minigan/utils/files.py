"""Files that are either the old one or the new one, never half of it.

Snapshots, logs and pictures are all written through `atomic_write`: into a temporary file in the same folder, which
takes the final name only once every byte is on the disk. A crash or a full disk in between leaves the old file alone.
`folder_lock` and `file_lock` keep two processes from writing the same.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_DISK = {errno.ENOSPC, errno.EFBIG, errno.EIO, getattr(errno, "EDQUOT", errno.ENOSPC)}
_TEXT_OPTIONS: dict[str, Any] = {"encoding": "utf-8", "newline": ""}


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a file that appears under `path` only when the `with` block ends without an exception.

    Args:
        path: Final name. A symbolic link is followed, so that the link stays and its target is replaced.
        mode: `"wb"` (default) or `"w"`; text is UTF-8 with line ends written as they are.

    Raises:
        ValueError: `mode` is neither `"wb"` nor `"w"`.
        OSError: the folder is missing or cannot be written to; the old file, if any, is left as it was.
    """
    if mode not in ("wb", "w"):
        raise ValueError(f"atomic_write: mode is {mode!r} but a whole file can only be written; pass 'wb' or 'w'")
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"atomic_write: path {str(path)!r} is a folder; pass the name of a file")
    with _temporary(path, target) as prefix:
        descriptor, temporary = tempfile.mkstemp(prefix=prefix, suffix=".tmp", dir=target.parent)
        try:
            with open(descriptor, mode, **({} if "b" in mode else _TEXT_OPTIONS)) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, _permissions(target))
            os.replace(temporary, target)
        except BaseException:
            with suppress(OSError):
                os.remove(temporary)
            raise
        _sync_folder(target.parent)


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[str]:
    """As `atomic_write`, for writers that want a name and not an open file: they get one that ends in the same way.

    Raises:
        FileNotFoundError: the `with` block has written no file.
        OSError: as in `atomic_write`.
    """
    target = Path(os.path.realpath(path))
    with _temporary(path, target) as prefix:
        folder = tempfile.mkdtemp(prefix=prefix, suffix=".tmp", dir=target.parent)
        try:
            temporary = os.path.join(folder, target.name)
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, target)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        _sync_folder(target.parent)


@contextmanager
def _temporary(path: str | os.PathLike[str], target: Path) -> Iterator[str]:
    """Give what temporary names begin with; an error that has one of them, or none, gets the name that was wanted."""
    prefix = f".{target.name[:100]}."
    try:
        yield prefix
    except OSError as error:
        named = str(error.filename or "")
        if named.startswith(str(target.parent / prefix)) or (not named and error.errno in _DISK):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def _permissions(target: Path) -> int:
    """The old file's permissions, or those that a plain `open` would give a new one (mkstemp gives 0600)."""
    try:
        return target.stat().st_mode & 0o7777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def _sync_folder(folder: Path) -> None:
    """Make the renaming itself survive a power cut, where the system lets a folder be opened (Windows does not)."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def open_to_read(path: str | os.PathLike[str]) -> IO[bytes]:
    """Open a file; of a pipe, nobody waits for the other end."""
    return open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)))


_held: set[str] = set()  # what this process has locked


@contextmanager
def folder_lock(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Inside the `with` block no other process can lock the folder: two runs would write over each other's files.

    The lock is the system's, on a file `.lock` with the number of the process in it, and ends with the process, however
    that ends. Where the system has no such locks, or the folder cannot be written to, nothing is locked.

    Raises:
        FileExistsError: another process has it; the message names it.
    """
    name = os.path.realpath(folder)
    with _locked(os.path.join(name, ".lock"), wait=False) as owner:
        if owner is not None:
            raise FileExistsError(
                f"process {owner or '(unknown)'} is training into {name!r} at this moment; choose another folder, or "
                f"wait until it ends"
            )
        remove_leftovers(name)
        yield


@contextmanager
def file_lock(path: str | os.PathLike[str]) -> Iterator[None]:
    """Inside the `with` block no other process makes the file `path`; waits until the one that does is done or dead.

    As with `folder_lock`, nothing is locked where that is not possible.
    """
    folder, name = os.path.split(os.path.realpath(path))
    with _locked(os.path.join(folder, f".{name[:100]}.lock"), wait=True):
        remove_leftovers(folder, f".{name[:100]}")
        yield


@contextmanager
def _locked(path: str, wait: bool) -> Iterator[str | None]:
    """Lock a file, which is made and removed; gives None, or who has it already. One process may do so twice."""
    descriptor, owner = (None, None) if fcntl is None or path in _held else _lock(path, wait)
    if descriptor is None:
        yield owner
        return
    _held.add(path)
    try:
        yield None
    finally:
        _held.discard(path)
        with suppress(OSError):  # the folder may have gone
            os.remove(path)
        os.close(descriptor)


def _lock(path: str, wait: bool) -> tuple[int | None, str | None]:
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:
            return None, None
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, str(os.getpid()).encode())
                return descriptor, None
        except FileNotFoundError:
            pass  # its owner removed it after it was opened here: once more
        except OSError as error:
            owner = os.read(descriptor, 20).decode(errors="replace")
            os.close(descriptor)
            return None, owner if error.errno in (errno.EACCES, errno.EAGAIN) else None
        os.close(descriptor)


def remove_leftovers(folder: str | os.PathLike[str], beginning: str = ".*", age: float = 60) -> None:
    """Remove the temporary files of a process that was killed; what is younger than `age` seconds may be in use."""
    for left in Path(folder).glob(f"{beginning}.????????.tmp"):
        with suppress(OSError):
            if left.stat().st_mtime < time.time() - age:
                shutil.rmtree(left) if left.is_dir() else left.unlink()
