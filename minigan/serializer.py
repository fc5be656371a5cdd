"""One walk for saving and for loading.

An object with `serialize(serializer)` calls `value = serializer(key, value)` for each of its values and
`child.serialize(serializer[name])` for each of its parts. A `Serializer` stores the value and gives it back as it is; a
`Deserializer` gives back what was stored, so that the same few lines save and load.
"""

from __future__ import annotations

from typing import Any


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
