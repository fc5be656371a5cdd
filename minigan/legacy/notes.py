"""What differs from Chainer, and why names are missing: reads ``notes.txt``, the one place where it is written down."""

from __future__ import annotations

import configparser
import fnmatch
from pathlib import Path

_FILE = configparser.ConfigParser(delimiters=(":",), interpolation=None)
_FILE.optionxform = str  # type: ignore[assignment,method-assign]
_FILE.read(Path(__file__).with_name("notes.txt"), encoding="ascii")
ABSENT, DIFFERENT = dict(_FILE["missing"]), dict(_FILE["different"])


def _first(notes: dict[str, str], path: str, name: str) -> str:
    full = f"{path}.{name}".removeprefix("chainer.")
    return next((text for pattern, text in notes.items() if fnmatch.fnmatchcase(full, pattern)), "")


def reason(path: str, name: str) -> str:
    """Why Chainer's `path.name` is missing; empty where nothing is noted."""
    return _first(ABSENT, path, name)


def difference(path: str, name: str) -> str:
    """How `path.name` differs from Chainer's; empty where it does not."""
    return _first(DIFFERENT, path, name)
