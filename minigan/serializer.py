"""One walk for saving and for loading.

An object with `serialize(serializer)` calls `value = serializer(key, value)` for each of its values and
`child.serialize(serializer[name])` for each of its parts. A `Serializer` stores the value and gives it back as it is; a
`Deserializer` gives back what was stored, so that the same few lines save and load. What a file gives back may be wrong
in ways that no file format knows of: `serialize_count` and `serialize_json` refuse what is no count, or no such text.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from minigan.utils.stored import FileError
from minigan.utils.strict_json import parse_json


class AbstractSerializer:
    """What `serialize` methods rely on; file formats subclass `Serializer` and `Deserializer`."""

    def __getitem__(self, key: str) -> AbstractSerializer:
        """The serializer of the part called `key`."""
        raise NotImplementedError(f"{type(self).__name__} does not define __getitem__(key)")

    def __call__(self, key: str, value: Any) -> Any:
        """Save or load one value: an array, a number, a string or None."""
        raise NotImplementedError(f"{type(self).__name__} does not define __call__(key, value)")


class Serializer(AbstractSerializer):
    """Saves: `serializer(key, value)` stores the value and returns it."""

    def save(self, obj: Any) -> None:
        """Save `obj`, or the values of a dict, each under its key."""
        if isinstance(obj, dict):
            for key, value in obj.items():
                self(key, value)
        else:
            obj.serialize(self)


class Deserializer(AbstractSerializer):
    """Loads: `serializer(key, value)` fills an array `value` in place, or returns the stored value as its type."""

    def load(self, obj: Any) -> None:
        """Load into `obj`."""
        obj.serialize(self)


def serialize_count(serializer: Any, key: str, value: int) -> int:
    """Save or load a number that is never negative; raises `FileError` for one that is, or is missing."""
    count = serializer(key, value)
    if isinstance(serializer, Serializer):
        return value  # whatever a serializer of one's own gives back
    if count is None or (isinstance(count, int) and count < 0):
        raise FileError(f"{key} is {count} in the file; wanted 0 or more; the file is damaged, take another")
    return count


def serialize_json(serializer: Any, key: str, value: Any, fits: Callable[[Any], bool], wanted: str) -> Any:
    """Save `value` as JSON text, or load such a text; raises `FileError` if what it holds does not fit.

    Args:
        serializer: Either kind.
        key: The name of the text.
        value: What is saved.
        fits: Asked of what is loaded.
        wanted: What it should be, in words.
    """
    text = serializer(key, json.dumps(value))
    if isinstance(serializer, Serializer):  # does not parse what it wrote
        return value
    try:
        loaded = parse_json(text)
    except ValueError as error:
        raise FileError(f"{key} in the file is no JSON text ({error}); the file is damaged, take another") from error
    if not fits(loaded):
        raise FileError(f"{key} in the file is {loaded!r:.60}; wanted {wanted}; the file is damaged, take another")
    return loaded
