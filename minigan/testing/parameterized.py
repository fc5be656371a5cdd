"""One test case for every set of parameters."""

from __future__ import annotations

import itertools
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any


def product(parameter: Any) -> list[dict[str, Any]]:
    """Every combination: of ``{"name": [values], "name,name": [pairs]}``, or of a list of lists of dicts."""
    if isinstance(parameter, dict):
        return product_dict(*(from_pytest_parameterize(key, parameter[key]) for key in sorted(parameter)))
    return product_dict(*parameter)


def product_dict(*parameters: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every combination of one dict of each list, merged."""
    return [{k: v for part in parts for k, v in part.items()} for parts in itertools.product(*parameters)]


class _Bundle(list):
    """The cases that a decorator made; the next decorator takes each of them."""


def bundle(variants: Callable[[type], Iterable[tuple[str, dict[str, Any], Callable[[Any], Any]]]]) -> Any:
    """Decorator that puts, for each ``(suffix, members, mark)``, a derived test case into the module of the first."""

    def decorator(cases: Any) -> _Bundle:
        made = _Bundle()
        for case in cases if isinstance(cases, _Bundle) else [cases]:
            scope = vars(sys.modules[case.__module__])
            scope.pop(case.__name__, None)
            for suffix, members, mark in variants(case):
                name = case.__name__ + suffix
                derived = mark(type(name, (case,), {"__module__": case.__module__, **members}))
                scope[name] = derived
                made.append(derived)
        return made

    return decorator


def parameterize(*params: dict[str, Any]) -> Any:
    """Decorator: run a test case once for each dict, whose entries are attributes of the case."""

    def members(param: dict[str, Any]) -> dict[str, Any]:  # a function shall not become a method
        return {k: staticmethod(v) if isinstance(v, types.FunctionType) else v for k, v in param.items()}

    def suffix(i: int, param: dict[str, Any]) -> str:
        text = ", ".join(f"{k}={getattr(v, '__name__', None) or repr(v)}" for k, v in sorted(param.items()))
        return f"_param_{i}_{{{text}}}"

    return bundle(lambda case: [(suffix(i, p), members(p), lambda c: c) for i, p in enumerate(params)])


def from_pytest_parameterize(names: str | list[str], values: Iterable[Any]) -> list[dict[str, Any]]:
    """Return the dicts for ``parameterize`` from the arguments of ``pytest.mark.parametrize``."""
    if isinstance(names, str):
        names = [name.strip() for name in names.split(",")]
    return [dict(zip(names, value if len(names) > 1 else (value,))) for value in values]


def parameterize_pytest(names: str | list[str], values: Iterable[Any]) -> Any:
    """Decorator as ``parameterize``, with the arguments of ``pytest.mark.parametrize``."""
    return parameterize(*from_pytest_parameterize(names, values))
