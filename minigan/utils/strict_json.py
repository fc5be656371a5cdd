"""JSON from a file that may be damaged, or have been made to do harm."""

from __future__ import annotations

import json
from typing import Any

_LONGEST_INTEGER = 40  # digits; Python takes long for very long ones, or refuses them, depending on its version


def parse_json(text: str | bytes) -> Any:
    """Return what a JSON text says; NaN and Infinity are numbers, as in Python's own files.

    Raises:
        ValueError: it is no JSON, is not UTF-8, is nested too deeply, or names something twice.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode()
        return json.loads(text, object_pairs_hook=_dict, parse_int=_integer)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except TypeError as error:
        raise ValueError(f"it is a {type(text).__name__}, not a text") from error


def _dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("it names something twice")
    return found


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_INTEGER:
        raise ValueError(f"it has an integer of {len(digits)} digits")
    return int(digits)
