"""A property that is computed once for each way of using it: with a graph, and without."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from minigan.configuration import config


class cached_property:
    """Computed at the first use and kept in the object; a value made without a graph never stands in for one with.

    Raises ``AttributeError`` when it is assigned to.
    """

    def __init__(self, func: Callable[[Any], Any]) -> None:
        functools.update_wrapper(self, func)  # type: ignore[arg-type]
        self._function = func

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        if obj is None:
            return self
        values = vars(obj).setdefault(self._function.__name__, {})
        if config.enable_backprop not in values:
            values[config.enable_backprop] = self._function(obj)
        return values[config.enable_backprop]

    def __set__(self, obj: Any, value: Any) -> None:
        raise AttributeError(f"{type(obj).__name__}.{self._function.__name__}: a cached property is read only")
