"""Keyword arguments of functions that once had others: a wrong one is named, and an old one gets a sentence."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any


def check_unexpected_kwargs(kwargs: Mapping[str, Any], **unexpected: str) -> None:
    """Raise `ValueError` with the sentence that belongs to it if `kwargs` has an argument of `unexpected`."""
    for name, sentence in unexpected.items():
        if name in kwargs:
            raise ValueError(sentence)


def parse_kwargs(kwargs: Mapping[str, Any], *name_and_values: tuple[str, Any], **unexpected: str) -> tuple:
    """The value in `kwargs`, or the default, of each `(name, default)`.

    Raises `ValueError` as `check_unexpected_kwargs` does, and `TypeError` for an argument that has no name here.
    """
    check_unexpected_kwargs(kwargs, **unexpected)
    names = [name for name, _ in name_and_values]
    _refuse([name for name in kwargs if name not in names])
    return tuple(kwargs.get(name, default) for name, default in name_and_values)


def assert_kwargs_empty(kwargs: Mapping[str, Any]) -> None:
    """Raise `TypeError` if `kwargs` holds anything."""
    _refuse(list(kwargs))


def _refuse(names: list[str]) -> None:
    if names:
        caller = sys._getframe(2).f_code.co_name
        raise TypeError(f"{caller}() got unexpected keyword argument(s) {', '.join(map(repr, sorted(names)))}")
