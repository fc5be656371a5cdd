"""A bar with the time that is left, for loops that take long; nothing where standard error is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import click


def bar(label: str, quiet: bool = False) -> Callable[[Iterable], Iterable]:
    """Return what wraps an iterable of known length."""

    def wrap(items: Any) -> Iterator[Any]:
        if quiet or not sys.stderr.isatty():
            yield from items
            return
        with click.progressbar(items, label=label, file=sys.stderr) as shown:
            yield from shown

    return wrap
