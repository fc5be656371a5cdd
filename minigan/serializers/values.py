"""What the file formats share: how a stored array becomes the value that an object asks for.

The present value says what is wanted: an array is filled in place, a number is taken only where nothing is rounded, and
None takes whatever there is. Shape and type are looked at before anything is read. After an error, everything that was
loaded before it is taken back (`_load_all_or_nothing`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigan.backend import copyto, is_array
from minigan.serializer import Deserializer
from minigan.serializers.undo import Before
from minigan.utils.stored import Stored

_LONGEST_NUMBER = 2000  # bytes: numbers may be written as text


class DeserializerOfArrays(Deserializer):
    """Base of the deserializers; a subclass finds what is stored, as an array, a `Stored` or None."""

    def __init__(self, strict: bool) -> None:
        self.strict = strict
        self._before: Before | None = None

    def _missing(self, path: str, value: Any) -> Any:
        self._note(path)
        if self.strict:
            raise KeyError(f"{path} is not in the file; pass strict=False to keep the present value of what is missing")
        return value

    def _note(self, path: str) -> None:
        if self._before is not None:
            self._before.asked = path

    def _fit(self, path: str, found: Any, value: Any) -> Any:
        self._note(path)
        if found is None:
            return None
        stored = found if isinstance(found, Stored) else _in_memory(np.asarray(found))
        if stored.dtype.hasobject and stored.shape == () and stored.read()[()] is None:
            return None
        if is_array(value):
            self._fill(path, value, stored)
            return value
        if value is not None and not isinstance(value, str):
            return _as_number(path, stored, type(value))
        stored.check_size(path)
        return stored.read() if value is None else str(stored.read())  # as in Chainer, text takes anything

    def _fill(self, path: str, value: Any, stored: Stored) -> None:
        if stored.shape != value.shape:
            raise ValueError(
                f"{path} has shape {stored.shape} in the file but {value.shape} in the object; "
                "build the object with the sizes it was saved with"
            )
        if not np.can_cast(stored.dtype, value.dtype, "same_kind"):
            raise TypeError(f"{path} is {stored.dtype} in the file, which cannot become {value.dtype}")
        content = stored.read()
        if self._before is not None:
            self._before.overwritten(value)
        copyto(value, content)

    def _load_all_or_nothing(self, obj: Any, source: str) -> None:
        self._before = Before(obj)
        try:
            self.load(obj)
        except BaseException as error:
            self._before.restore()
            _say_where(error, source, self._before.asked)
            raise


def _say_where(error: BaseException, source: str, entry: str) -> None:
    """Add the file, and the entry that was asked for last, to the message of an error that does not name them."""
    if isinstance(error, (KeyError, TypeError, ValueError)) and len(error.args) == 1:
        text = " ".join(str(error.args[0]).split())  # an array in it takes several lines
        if entry not in text and not isinstance(error, KeyError):  # a KeyError is about what is not there
            text = f"{text} (the entry read last: {entry})"
        error.args = (text if source in text else f"{source}: {text}",)


def _in_memory(array: np.ndarray) -> Stored:
    return Stored(array.shape, array.dtype, array.nbytes, lambda: array)


def _as_number(path: str, stored: Stored, kind: type) -> Any:
    """`stored` as a number (or list of them) of that kind; as in Chainer, nothing that would round becomes one."""
    if kind in (list, tuple) and stored.shape:
        stored.check_size(path)
        return kind(stored.read().tolist())
    if stored.size != 1 or stored.dtype.itemsize > _LONGEST_NUMBER:
        raise TypeError(
            f"{path} is {stored.dtype} {stored.shape} in the file but the object holds a single {kind.__name__}"
        )
    if kind in (list, tuple) or (stored.dtype.kind != "U" and not np.can_cast(stored.dtype, kind, "safe")):
        raise TypeError(f"{path} is {stored.dtype} in the file, which cannot safely become a {kind.__name__}")
    content = stored.read().item()
    try:
        number = kind(content)
        if isinstance(number, int) and not -(2**63) <= number < 2**64:  # as a text; it could not be saved again
            raise ValueError("too large")
    except ValueError as error:
        raise ValueError(f"{path} is {content!r:.60} in the file, which is no {kind.__name__}") from error
    return number
