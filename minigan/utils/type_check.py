"""The error that every function raises for arguments of a wrong shape or dtype.

The library's own functions check with a plain ``if`` and raise :class:`InvalidType` with a sentence. A user's
``FunctionNode`` may define ``check_type_forward(in_types)`` and call :func:`expect`, as Chainer's scripts do.
"""

from __future__ import annotations

import builtins
from typing import Any, NamedTuple

import numpy


class InvalidType(Exception):
    """An argument has a shape, a dtype or a number that the function cannot take."""


class TypeInfo(NamedTuple):
    """Shape and dtype of one input, as ``check_type_forward`` sees it."""

    shape: tuple[int, ...]
    dtype: numpy.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)


class TypeInfoTuple(tuple):
    """The inputs of a function, as ``check_type_forward`` sees them."""

    def size(self) -> int:
        """Number of inputs."""
        return len(self)


def get_types(arrays: tuple) -> TypeInfoTuple:
    """Describe ``arrays`` for ``check_type_forward``."""
    return TypeInfoTuple(TypeInfo(a.shape, a.dtype) for a in arrays)


def expect(*conditions: Any) -> None:
    """Raise :class:`InvalidType` unless every condition holds; it names the first that does not by its position."""
    for position, condition in enumerate(conditions, 1):
        if not builtins.bool(condition):
            raise InvalidType(f"check_type_forward: condition {position} of {len(conditions)} does not hold")


def eval(value: Any) -> Any:
    """Return ``value``: conditions are plain Python values here, so there is nothing left to evaluate."""
    return value
