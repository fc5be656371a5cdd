"""Lines of text files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minigan.dataset.dataset_mixin import DatasetMixin


class TextDataset(DatasetMixin):
    """The i-th example is line i, with its line end, of a file; of several files a tuple of their lines i.

    The lines are read at once and kept in memory, so that processes and threads can share them.

    Args:
        paths: A path, or several.
        encoding, errors, newline: As of `open`, for all files or a list with one for each.
        filter_func: Called with the line (of each file); False leaves it out.

    Raises:
        ValueError: no files, files of different lengths, an option's list of another length, or (UnicodeDecodeError)
            text in another encoding.
    """

    _closed = False

    def __init__(self, paths: str | Sequence[str], encoding: Any = None, errors: Any = None, newline: Any = None,
                 filter_func: Callable[..., bool] | None = None) -> None:  # fmt: skip
        paths = [paths] if isinstance(paths, str) else list(paths)
        options = [
            [given] * len(paths) if given is None or isinstance(given, str) else list(given)
            for given in (encoding, errors, newline)
        ]
        if not paths or any(len(given) != len(paths) for given in options):
            raise ValueError(f"TextDataset: {len(paths)} paths, and options of length {[len(x) for x in options]}; "
                             f"wanted one path or more, and an option for all or for each")  # fmt: skip
        columns = []
        for path, *how in zip(paths, *options):
            with open(path, encoding=how[0], errors=how[1], newline=how[2]) as file:
                columns.append(list(file))
        if len({len(lines) for lines in columns}) > 1:
            raise ValueError(f"TextDataset: the files have {[len(lines) for lines in columns]} lines; wanted as many "
                             f"in each")  # fmt: skip
        self._lines = [lines for lines in zip(*columns) if filter_func is None or filter_func(*lines)]

    def close(self) -> None:
        """Give out no more lines."""
        self._closed = True

    def __len__(self) -> int:
        return len(self._lines)

    def get_example(self, i: int) -> str | tuple[str, ...]:
        """Return line i. Raises `ValueError` after `close`."""
        if self._closed:
            raise ValueError("TextDataset: it is closed; read from it before close()")
        lines = self._lines[i]
        return lines[0] if len(lines) == 1 else lines
