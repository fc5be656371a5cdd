"""What code says of itself: this method is final, this function is experimental, that one is not deterministic."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

from minigan.configuration import config


def experimental(api_name: str) -> None:
    """Warn (`FutureWarning`) that `api_name` may change; the root's `disable_experimental_feature_warning` silences."""
    roots = (sys.modules.get(name) for name in ("minigan", "chainer"))
    if not any(getattr(root, "disable_experimental_feature_warning", False) for root in roots):
        text = f"{api_name} is experimental. The interface can change in the future."
        warnings.warn(text, FutureWarning, stacklevel=2)


def nondeterministic(f_name: str) -> None:
    """Warn, if `config.warn_nondeterministic` is set, that `f_name` may give other numbers the next time."""
    if getattr(config, "warn_nondeterministic", False):
        warnings.warn(f"{f_name} is potentially non-deterministic (config.warn_nondeterministic is set)", stacklevel=2)


def final(*args: Callable, action: type[Warning] | None = None) -> Any:
    """Decorate a method that no subclass may override: `TypeError`, or only the warning `action`, where one does.

    The class must come from `enable_final`.
    """

    def mark(method: Any) -> Any:
        method._when_overridden = (action,)
        return method

    return mark(*args) if args else mark


class _EnableFinal(type):
    def __new__(cls, name: str, bases: tuple, body: dict[str, Any]) -> Any:
        for method in body:
            for base in bases:
                for action in getattr(getattr(base, method, None), "_when_overridden", ()):
                    if action is None:
                        raise TypeError(
                            f"{name}: the method {method!r} of {base.__name__} is final; do not override it"
                        )
                    warnings.warn(f"{name}: overriding method {method!r} of {base.__name__}", action, stacklevel=2)
        return super().__new__(cls, name, bases, body)


def enable_final(base: tuple = (), meta_base: tuple = ()) -> type:
    """A base class, itself derived from `base`, whose `final` methods cannot be overridden."""
    metaclass: Any = type("FinalType", (_EnableFinal, *meta_base), {})
    return metaclass("Final", base, {})
