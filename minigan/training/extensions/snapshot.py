"""Saving while training: the whole trainer, to go on from there, or one object, such as a generator to sample from."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minigan.serializers.npz import FileError, load_npz, save_npz, serialize
from minigan.training.extension import Extension
from minigan.training.extensions.snapshot_writers import SimpleWriter


class _Snapshot(Extension):
    """Saves an object, the trainer itself if `target` is None; made by `snapshot` and `snapshot_object`."""

    trigger = (1, "epoch")
    priority = -100

    def __init__(
        self, target: Any = None, condition: Callable[[], bool] | None = None,
        writer: Callable[[str, str, dict[str, Any]], None] | None = None,
        filename: str | Callable[[Any], str] = "snapshot_iter_{.updater.iteration}", snapshot_on_error: bool = False,
        n_retains: int = -1, autoload: bool = False,
    ) -> None:  # fmt: skip
        if callable(filename) and (autoload or n_retains > 0):
            raise TypeError("snapshot: n_retains and autoload look for files by name, so filename must be a string")
        self._target = target
        self._snapshot_on_error = snapshot_on_error
        self.filename = filename
        self.condition = condition or _always
        self.writer = writer or SimpleWriter()
        self.n_retains = n_retains
        self.autoload = autoload
        self._trainer: Any = None
        self.closes_iteration = target is None  # else the extensions after it would be lost, or doubled, on resume

    def initialize(self, trainer: Any) -> None:
        """Load the newest file that is whole, if `autoload` is on and there is any file."""
        found = self._files(trainer.out) if self.autoload else []
        while found:
            newest = found.pop()
            try:
                load_npz(newest, self._what(trainer))
                break
            except (FileError, OSError) as error:
                if not found:
                    raise
                warnings.warn(f"snapshot: {error}; {newest.name} is skipped, and the file before it is taken")

    def __call__(self, trainer: Any) -> None:
        """Save, unless the condition forbids it, and remove what is more than `n_retains`."""
        if self.condition():
            self._save(trainer)
            self._remove_old(trainer)
            self._trainer = trainer

    def on_error(self, trainer: Any, exception: Exception, traceback: Any) -> None:
        """Save if `snapshot_on_error` is on; the iteration was not finished, so a resumed run may differ."""
        if self._snapshot_on_error:
            self._save(trainer)

    def finalize(self) -> None:
        """Let the writer finish; only now is it known how many files there are."""
        if hasattr(self.writer, "finalize"):
            self.writer.finalize()
        if self._trainer is not None:
            self._remove_old(self._trainer)

    def _what(self, trainer: Any) -> Any:
        return trainer if self._target is None else self._target

    def _save(self, trainer: Any) -> None:
        name = self.filename(trainer) if callable(self.filename) else self.filename.format(trainer)
        self.writer(name, trainer.out, serialize(self._what(trainer)))

    def _remove_old(self, trainer: Any) -> None:
        if self.n_retains > 0:
            for old in self._files(trainer.out)[: -self.n_retains]:
                old.unlink(missing_ok=True)

    def _files(self, out: str) -> list[Path]:
        """The files that this extension may have written, oldest first; of one moment, lower numbers first."""
        path = Path(out, str(self.filename))
        pattern = re.compile("(.+)".join(map(re.escape, re.split(r"\{[^{}]*\}", path.name))))
        found = [file for file in path.parent.glob("*") if pattern.fullmatch(file.name) and file.is_file()]
        return sorted(found, key=lambda file: (file.stat().st_mtime_ns, *map(int, re.findall(r"\d+", file.name))))


def _always() -> bool:
    return True


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
        n_retains: How many files to keep, the newest; -1 keeps all.
        autoload: Whether to go on from the newest file in the trainer's folder, if there is one; a damaged file is
            skipped with a warning.
    """
    if savefun is not None and writer is not None:
        raise TypeError("snapshot: savefun and writer are both given; the writer saves, so drop savefun")
    writer = writer or SimpleWriter(savefun or save_npz)
    return _Snapshot(target, condition, writer, filename, snapshot_on_error, n_retains, autoload)


def snapshot_object(
    target: Any,
    filename: str | Callable[[Any], str],
    savefun: Callable[[Any, Any], None] | None = None,
    **kwargs: Any,
) -> Extension:
    """Return an extension that saves `target`, each epoch by default; the other arguments are those of `snapshot`."""
    return snapshot(savefun, filename, target=target, **kwargs)
