"""Saving while training: the whole trainer, to go on from there, or one object, such as a generator to sample from.

What is saved is gathered at once, by the `serialize` methods that will load it again, and handed to a writer, which
puts it on the disk whole or not at all (`snapshot_writers`, `minigan.utils.files`). A trainer takes snapshots of itself
after all its other extensions, so that what is in one is a finished iteration.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from minigan.serializers.npz import FileError, load_npz, save_npz, serialize
from minigan.training.extension import Extension
from minigan.training.extensions.snapshot_writers import SimpleWriter
from minigan.training.extensions.util import is_finite


class _Snapshot(Extension):
    """Saves an object, the trainer itself if `target` is None; made by `snapshot` and `snapshot_object`."""

    trigger = (1, "epoch")
    priority = -100

    def __init__(
        self, target: Any = None, condition: Callable[[], bool] | None = None,
        writer: Callable[[str, str, dict[str, Any]], None] | None = None,
        filename: str | Callable[[Any], str] = "snapshot_iter_{.updater.iteration}", snapshot_on_error: bool = False,
        n_retains: int = -1, autoload: bool = False, **kwargs: int,
    ) -> None:  # fmt: skip
        n_retains = _renamed(n_retains, kwargs)
        if callable(filename) and (autoload or n_retains > 0):
            raise TypeError("snapshot: n_retains and autoload look for files by name, so filename must be a string")
        self._target = target
        self._snapshot_on_error = snapshot_on_error
        self.filename = filename
        self.condition = condition or _always_true
        self.writer = writer or SimpleWriter()
        self.n_retains = n_retains
        self.autoload = autoload
        self._trainer: Any = None
        self.closes_iteration = target is None  # else the extensions after it would be lost, or doubled, on resume

    def initialize(self, trainer: Any) -> None:
        """Load the newest file that is whole, if `autoload` is on and there is any file.

        Raises:
            FileError: there are files, and all of them are damaged.
            KeyError, ValueError, TypeError: the newest whole file was written by something else than the target.
        """
        found = []
        if self.autoload:
            with suppress(FileNotFoundError):  # a subfolder is made by the first snapshot
                found = _find_snapshot_files(str(self.filename), trainer.out)
        for number, (_, name) in enumerate(reversed(found), 1):
            file = Path(trainer.out, name)
            try:
                load_npz(file, self._what(trainer))
                return
            except (FileError, OSError) as error:
                if number == len(found):
                    each = "the only snapshot" if number == 1 else f"each of the {number} snapshots"
                    raise FileError(
                        f"snapshot: {each} in {trainer.out} is damaged, the oldest so: {error}; remove them to begin "
                        f"again"
                    ) from error
                warnings.warn(f"snapshot: {error}; {name} is skipped, and the file before it is taken")
            except (KeyError, ValueError, TypeError) as error:
                kind = next(kind for kind in (KeyError, TypeError, ValueError) if isinstance(error, kind))
                raise kind(
                    f"snapshot: {file} does not fit what it is loaded into ({error}); build that as it was when the "
                    f"file was written, or choose another folder"
                ) from error

    def __call__(self, trainer: Any) -> None:
        """Save, unless the condition forbids it, and remove what is more than `n_retains`."""
        if self.condition():
            self._write(trainer, serialize(self._what(trainer)))
            self._remove_old(trainer)
            self._trainer = trainer

    def on_error(self, trainer: Any, exception: Exception, traceback: Any) -> None:
        """Save if `snapshot_on_error` is on; the iteration was not finished, so a resumed run may differ.

        What holds NaN or infinity is not saved: it would take the place of a snapshot that one can go on from.
        """
        if self._snapshot_on_error:
            arrays = serialize(self._what(trainer))
            spoiled = [key for key, value in arrays.items() if not key.startswith("ext") and not is_finite(value)]
            if spoiled:
                print(f"snapshot: nothing is saved, as {spoiled[0]} holds NaN or infinity", file=sys.stderr)
            else:
                self._write(trainer, arrays)

    def finalize(self) -> None:
        """Let the writer finish; only now is it known how many files there are."""
        if hasattr(self.writer, "finalize"):
            self.writer.finalize()
        if self._trainer is not None:
            self._remove_old(self._trainer)

    def _what(self, trainer: Any) -> Any:
        return trainer if self._target is None else self._target

    def _write(self, trainer: Any, arrays: dict[str, Any]) -> None:
        name = self.filename(trainer) if callable(self.filename) else self.filename.format(trainer)
        self.writer(name, trainer.out, arrays)

    def _remove_old(self, trainer: Any) -> None:
        if self.n_retains <= 0:
            return
        with suppress(FileNotFoundError):  # another may be tidying up, or have removed the folder
            for name in _find_stale_snapshots(str(self.filename), trainer.out, self.n_retains):
                Path(trainer.out, name).unlink()


def _always_true() -> bool:
    return True


def _renamed(n_retains: int, old: dict[str, int]) -> int:
    """The value of `n_retains`, which was called `num_retain` before Chainer 7."""
    if "num_retain" in old:
        warnings.warn("snapshot: num_retain is now called n_retains", DeprecationWarning, stacklevel=3)
        n_retains = old.pop("num_retain")
    if old:
        raise TypeError(f"snapshot() got unexpected keyword argument(s) {', '.join(map(repr, old))}")
    return n_retains


def _find_snapshot_files(fmt: str, path: str) -> list[tuple[float, str]]:
    """Time and name of what `fmt` may have named in the folder `path`, oldest first; of one time, lower numbers first.

    Raises `OSError` if there is no such folder.
    """
    folder, name = os.path.split(fmt)
    pattern = re.compile("(.+)".join(map(re.escape, re.split(r"\{[^{}]*\}", name))))
    with os.scandir(os.path.join(path, folder)) as entries:
        found = [(entry.stat().st_mtime_ns, os.path.join(folder, entry.name)) for entry in entries
                 if pattern.fullmatch(entry.name) and entry.is_file()]  # fmt: skip
    found.sort(key=lambda file: (file[0], *map(int, re.findall(r"\d+", file[1]))))
    return [(nanoseconds / 1e9, name) for nanoseconds, name in found]


def _find_latest_snapshot(fmt: str, path: str) -> str | None:
    """The name of the newest file, or None."""
    found = _find_snapshot_files(fmt, path)
    return found[-1][1] if found else None


def _find_stale_snapshots(fmt: str, path: str, n_retains: int) -> Iterator[str]:
    """The names of all but the `n_retains` newest files, oldest first."""
    return (name for _, name in _find_snapshot_files(fmt, path)[:-n_retains])


def snapshot(
    savefun: Callable[[Any, Any], None] | None = None,
    filename: str | Callable[[Any], str] = "snapshot_iter_{.updater.iteration}",
    *,
    target: Any = None,
    condition: Callable[[], bool] | None = None,
    writer: Callable[[str, str, dict[str, Any]], None] | None = None,
    snapshot_on_error: bool = False,
    n_retains: int = -1,
    autoload: bool = False,
    **kwargs: Any,
) -> Extension:
    """Return an extension that saves the trainer, each epoch by default; `load_npz(file, trainer)` resumes from it.

    It runs after all other extensions, whatever its priority: what it saves is a finished iteration, and a resumed run
    neither loses nor doubles an entry of the log.

    Args:
        savefun: `(path, dict of arrays)`, `save_npz` by default; `save_hdf5` is another.
        filename: Name in the trainer's folder, formatted with the trainer, or a function of the trainer.
        target: Save this instead of the trainer.
        condition: Asked each time; nothing is saved when it returns false.
        writer: `(filename, folder, dict of arrays)`, saves in place of `savefun`; see `snapshot_writers`.
        snapshot_on_error: Whether to save also when the loop is left by an exception.
        n_retains: How many files to keep, the newest; -1 keeps all. An old one is removed only once the new one is
            whole and on the disk.
        autoload: Whether to go on from the newest npz file in the trainer's folder, if there is one; a damaged file is
            skipped with a warning, one that was written by something else is an error.
        kwargs: `num_retain`, the old name of `n_retains`.
    """
    if savefun is not None and writer is not None:
        raise TypeError("snapshot: savefun and writer are both given; the writer saves, so drop savefun")
    writer = writer or SimpleWriter(savefun or save_npz)
    return _Snapshot(target, condition, writer, filename, snapshot_on_error, n_retains, autoload, **kwargs)


def snapshot_object(
    target: Any,
    filename: str | Callable[[Any], str],
    savefun: Callable[[Any, Any], None] | None = None,
    **kwargs: Any,
) -> Extension:
    """Return an extension that saves `target`, each epoch by default; the other arguments are those of `snapshot`."""
    return snapshot(savefun, filename, target=target, **kwargs)
