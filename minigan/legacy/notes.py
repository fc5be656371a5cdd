"""What differs from Chainer, and why names are missing: the one place where it is written down.

`minigan legacy --coverage` prints these notes, and the error of a missing name quotes them. A key is a pattern for
``module.name`` without ``chainer.``; the first that fits counts.
"""

from __future__ import annotations

import fnmatch

# Why a name is missing.
ABSENT = {
    "functions.rnn*": "recurrent nets are left for later",
}

# What is there, but not quite as in Chainer, on purpose.
DIFFERENT: dict[str, str] = {}


def _first(notes: dict[str, str], path: str, name: str) -> str:
    full = f"{path}.{name}".removeprefix("chainer.")
    return next((text for pattern, text in notes.items() if fnmatch.fnmatchcase(full, pattern)), "")


def reason(path: str, name: str) -> str:
    """Why Chainer's `path.name` is missing; empty where nothing is noted."""
    return _first(ABSENT, path, name)


def difference(path: str, name: str) -> str:
    """How `path.name` differs from Chainer's; empty where it does not."""
    return _first(DIFFERENT, path, name)
