"""Loading is all or nothing: what an object was before, and the way back.

An object loads itself, in `serialize`, and may do there what it likes: assign numbers, make arrays for parameters that
had no shape, fill dicts. So all attributes, lists and dicts that hang on it are noted before, by reference, which costs
next to nothing; only of arrays that are overwritten is the old content kept.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable
from functools import cache, partial
from types import MemberDescriptorType
from typing import Any

import numpy as np

_FOREIGN = {*sys.stdlib_module_names, "numpy", "cupy", "h5py"}  # threads, locks, files: not ours to put back
_PLAIN = (str, bytes, int, float, complex, type(None), np.ndarray, np.generic, type)
_UNSET = object()


class Before:
    """What `obj` and all that hangs on it are now, and the random generators; examples of data sets are passed over.

    The content of an array is put back if `overwritten` was called in time.
    """

    asked = ""  # the entry that was asked for last

    def __init__(self, obj: Any) -> None:
        self._arrays: list[tuple[Any, Any]] = []
        self._containers: list[tuple[Any, Any]] = []
        self._slots: list[tuple[Any, Any, Any]] = []
        self._generators: list[tuple[Any, Any]] = [
            (random.setstate, random.getstate()),
            (np.random.set_state, np.random.get_state(legacy=False)),
        ]
        known, waiting = set(), [obj]
        while waiting:
            thing = waiting.pop()
            if not isinstance(thing, _PLAIN) and id(thing) not in known:
                known.add(id(thing))
                waiting += self._note(thing)

    def _note(self, thing: Any) -> Iterable[Any]:
        """Note what a thing is now; return what hangs on it."""
        if isinstance(thing, (tuple, frozenset)):
            return thing
        if isinstance(thing, (dict, list, set)):
            old: Any = _plain_kind(thing)(thing)
            self._containers.append((thing, old))
            return old.values() if isinstance(old, dict) else old
        if isinstance(thing, np.random.RandomState):
            self._generators.append((thing.set_state, thing.get_state(legacy=False)))
            return ()
        if isinstance(thing, np.random.Generator):
            bits = thing.bit_generator
            self._generators.append((partial(setattr, bits, "state"), bits.state))
            return ()
        kind: Any = type(thing)
        if kind.__module__.partition(".")[0] in _FOREIGN:
            return ()
        attributes = getattr(thing, "__dict__", {})
        self._containers.append((attributes, dict(attributes)))
        slots = [(slot, thing, _value(slot, thing)) for slot in _slots(kind)]
        self._slots += slots
        return [
            *(value for name, value in attributes.items() if name != "dataset" or hasattr(value, "serialize")),
            *(value for _, _, value in slots),
        ]

    def overwritten(self, array: Any) -> None:
        """Keep the content of an array that is about to be overwritten."""
        self._arrays.append((array, array.copy()))

    def restore(self) -> None:
        """Put everything back."""
        for array, old in reversed(self._arrays):
            array[...] = old
        for container, old in self._containers:
            kind = _plain_kind(container)  # whose methods do nothing but what they say, whatever a subclass's do
            if kind is list:
                list.__setitem__(container, slice(None), old)
            else:
                kind.clear(container)
                kind.update(container, old)
        for slot, thing, value in self._slots:
            if value is not _UNSET:
                slot.__set__(thing, value)
            elif _value(slot, thing) is not _UNSET:
                slot.__delete__(thing)
        for put_back, state in self._generators:
            put_back(state)


def _plain_kind(container: Any) -> Any:
    return next(kind for kind in (dict, list, set) if isinstance(container, kind))


@cache
def _slots(cls: Any) -> list[MemberDescriptorType]:
    return [slot for base in cls.__mro__ for slot in vars(base).values() if isinstance(slot, MemberDescriptorType)]


def _value(slot: Any, thing: Any) -> Any:
    try:
        return slot.__get__(thing)
    except AttributeError:
        return _UNSET
