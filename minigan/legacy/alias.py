"""`chainer` as a second name of minigan: whoever imports `chainer.a.b` gets minigan's own objects.

Chainer spreads over 300 files what minigan says in chapters, so a module of Chainer's is here a name list without
contents: ``surface.txt`` says which modules Chainer has and which names each of them; a name is looked up, at each use,
in the module of minigan that has the same path, then in the chapters beside it. What Chainer does not have at that
place stays hidden, so that a script cannot come to depend on what minigan adds.
"""

from __future__ import annotations

import builtins
import difflib
import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import pkgutil
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from minigan.legacy import notes, standins

MISSING = object()
VERSION = "7.8.1"  # scripts compare it
HINT = "`minigan legacy --coverage` lists what is there"
BEYOND = {"cli", "gans", "kernels", "legacy", "metrics", "pictures", "random", "run_folder"}  # not Chainer's parts


def _read_surface() -> dict[str, tuple[str, ...]]:
    """Chainer's modules, each with its public names."""
    lines = Path(__file__).with_name("surface.txt").read_text(encoding="ascii").splitlines()
    parts = [line.partition(":") for line in lines if not line.startswith("#")]
    return {module: tuple(names.split()) for module, _, names in parts}


SURFACE = _read_surface()
KNOWN = {name for names in SURFACE.values() for name in names} | {path.rpartition(".")[2] for path in SURFACE}
_REACHED = {"chainer.array": "chainer.functions.array", "chainer.basic_math": "chainer.functions.math.basic_math"}
_originals: dict[tuple[str, str], Any] = {}  # what was written over under the old names
adapters: list[Callable[[str, str, Any], Any]] = []  # `older.chainer1` puts one here: (path, name, object) -> object


def _import(name: str) -> types.ModuleType | None:
    """The module of minigan of that name, or under that name (``minigan.cuda``); None where there is none."""
    parent, _, last = name.rpartition(".")
    package = _import(parent) if parent else None
    if parent and not hasattr(package, "__path__"):
        return None
    if importlib.util.find_spec(name):
        return importlib.import_module(name)
    module = getattr(package, last, None)
    return module if isinstance(module, types.ModuleType) else None


def _chapters(package: types.ModuleType) -> list[types.ModuleType]:
    names = [info.name for info in pkgutil.iter_modules(package.__path__) if info.name not in BEYOND]
    return [importlib.import_module(f"{package.__name__}.{name}") for name in names if not name.startswith("_")]


@functools.cache
def is_package(path: str) -> bool:
    """Whether Chainer's module `path` is a folder."""
    return any(other.startswith(path + ".") for other in SURFACE)


@functools.cache
def places(path: str) -> tuple[types.ModuleType, ...]:
    """Where names of Chainer's module `path` are looked up: its namesake, then the chapters around it, inside out."""
    root, *parts = path.split(".")
    if root != "chainer":
        return (standins,)
    found: list[types.ModuleType] = []
    for depth in range(len(parts), -1, -1):
        if module := _import(".".join(["minigan", *parts[:depth]])):
            found += [module, *(_chapters(module) if hasattr(module, "__path__") else ())]
            if depth == len(parts) and is_package(path):
                break
    if parts[:1] in (["functions"], ["distributions"]):  # they share names with links and initializers, not objects
        found = [module for module in found if module.__name__ not in ("minigan.links", "minigan.initializers")]
    return tuple(dict.fromkeys([*found, standins]))


@functools.cache
def _holder(path: str, name: str) -> types.ModuleType | None:
    """The module of minigan that has Chainer's `path.name`; modules of others (``collections_abc``) are let through."""
    listed = name.startswith("_") or name in (SURFACE[path] if is_package(path) else KNOWN)
    for place in places(path):
        value = getattr(place, name, MISSING)
        if isinstance(value, types.ModuleType):
            if place is places(path)[0] and not value.__name__.startswith("minigan"):
                return place
        elif listed and value is not MISSING:
            return place
    return None


def find(path: str, name: str) -> Any:
    """What `path.name` of Chainer's is here; `MISSING` where minigan has it not, or Chainer has no such name there."""
    place = _holder(path, name)
    value = MISSING if place is None else getattr(place, name, MISSING)
    for adapt in adapters:
        value = adapt(path, name, value)
    return value


@functools.cache
def exists(path: str) -> bool:
    """Whether Chainer's module `path` can be imported: it has a namesake, or any of its names is there."""
    if path not in SURFACE:
        return False
    root, *parts = path.split(".")
    if not parts or (root == "chainer" and _import(".".join(["minigan", *parts]))):
        return True
    below = [other for other in SURFACE if other.startswith(path + ".")]
    if not SURFACE[path] and not below:  # a module of private names
        return _import(".".join(["minigan", *parts[:-1]])) is not None
    return any(find(path, name) is not MISSING for name in SURFACE[path]) or any(map(exists, below))


def sentence(path: str, name: str) -> str:
    """Say that `path.name` is missing, whether Chainer has it, and what comes nearest."""
    full = f"{path}.{name}"
    if name in SURFACE.get(path, ()) or full in SURFACE:
        why = notes.reason(path, name)
        text = f"minigan has no {full}, which Chainer has{f' ({why})' if why else ''}"
    elif name.startswith("_"):
        text = f"minigan has no {full}"
    else:
        text = f"there is no {full}, in Chainer {VERSION} neither"
    near = _nearest(path, name)
    return f"{text}{f'; the nearest is {near}' if near else ''}; {HINT}"


@functools.cache
def _there() -> dict[str, str]:
    """Every name that is there, with the shortest path to it."""
    paths = sorted(SURFACE, key=len, reverse=True)
    return {name: path for path in paths for name in SURFACE[path] if find(path, name) is not MISSING}


@functools.cache
def _nearest(path: str, name: str) -> str | None:
    there = _there()
    if name in there:  # the very name, at another place
        return f"{there[name]}.{name}"
    if not isinstance(getattr(places(path)[0], name, notes), types.ModuleType):
        return f"minigan's own {path.replace('chainer', 'minigan')}.{name}"
    here = [n for n in SURFACE.get(path, ()) if n in there]
    for names, cutoff in ((here, 0.6), (there, 0.75)):
        for close in difflib.get_close_matches(name, names, n=1, cutoff=cutoff):
            return f"{path if close in here else there[close]}.{close}"
    return None


class AliasModule(types.ModuleType):
    """A module of Chainer's: reads and writes go to the module of minigan with the name; deleting undoes a write."""

    def __getattr__(self, name: str) -> Any:
        path = self.__name__
        if name == "__version__" and path in ("chainer", "chainer._version", "chainermn"):
            return VERSION
        if name == "__all__":
            return [n for n in SURFACE[path] if find(path, n) is not MISSING]
        if name.startswith("__") and name.endswith("__"):  # the import system asks; the nearest name takes long to find
            raise AttributeError(f"module {path!r} has no attribute {name!r}")
        full = f"{path}.{name}"
        if full in SURFACE and name not in SURFACE[path]:
            if full in sys.modules or exists(full):
                return importlib.import_module(full)
        elif (value := find(path, name)) is not MISSING:
            return value
        # what Chainer's files import is reached through them too: convolution_2d.cuda, chainer.array
        other = _REACHED.get(full, "" if is_package(path) else name if name == "chainer" else f"chainer.{name}")
        if other in SURFACE and exists(other):
            return importlib.import_module(other)
        raise AttributeError(sentence(path, name))

    def __setattr__(self, name: str, value: Any) -> None:
        full = f"{self.__name__}.{name}"
        if isinstance(value, types.ModuleType) and full in SURFACE:
            return  # the import system ties a module to its package; here packages find them by name
        if full in SURFACE and name not in SURFACE[self.__name__]:  # a test puts something else in a module's place
            super().__setattr__(name, value)
        elif place := self._place(name):
            _originals.setdefault((place.__name__, name), getattr(place, name, getattr(builtins, name, None)))
            setattr(place, name, value)
        else:
            super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        if place := self._place(name):  # what a test patched goes back; minigan itself loses no name
            setattr(place, name, _originals.pop((place.__name__, name), getattr(place, name)))
        else:
            super().__delattr__(name)

    def _place(self, name: str) -> types.ModuleType | None:
        if name in vars(self) or name.startswith("__") or (name not in KNOWN and name not in vars(builtins)):
            return None
        namesake = places(self.__name__)[0] if name in vars(builtins) else None  # a test may patch its `open`
        return next((place for place in places(self.__name__) if name in vars(place)), namesake)

    def __dir__(self) -> list[str]:
        start = self.__name__ + "."
        below = {p[len(start) :].split(".")[0] for p in SURFACE if p.startswith(start) and exists(p)}
        return sorted({*vars(self), *self.__all__, *below})


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Makes the modules of `chainer`, `chainermn` and an empty `chainerx`, before anything that is installed."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: Any = None) -> Any:
        """Return the spec of an alias; None for names that are not Chainer's."""
        if fullname.partition(".")[0] not in ("chainer", "chainermn", "chainerx"):
            return None
        if not exists(fullname):  # no ModuleNotFoundError: `from package import name` would hide it
            parent, _, name = fullname.rpartition(".")
            raise ImportError(sentence(parent, name), name=fullname) from None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: Any) -> AliasModule:
        """An empty module: its names are looked up."""
        return AliasModule(spec.name, f"minigan under the name {spec.name}.")

    def exec_module(self, module: types.ModuleType) -> None:
        """Import the files of a folder, as Chainer's folders do: a test may take them out of `sys.modules`."""
        path = module.__name__
        module.__dict__["__file__"] = sys.modules["minigan"].__file__
        for below in SURFACE if path != "chainer" else ():
            if below.rpartition(".")[0] == path and not is_package(below) and exists(below):
                importlib.import_module(below)


def install() -> None:
    """Make `import chainer` give minigan. Raises ``ImportError`` where another `chainer` was imported before.

    A `chainer` that is just being imported steps aside: it is a folder ``chainer`` whose ``__init__.py`` is the line
    ``import minigan.legacy``. On ``PYTHONPATH`` it makes every Python know `chainer`, those that a script starts, too.
    """
    standing_in = []
    for root in ("chainer", "chainermn", "chainerx"):
        other = sys.modules.get(root)
        if getattr(getattr(other, "__spec__", None), "_initializing", False):
            standing_in.append(root)
        elif other is not None and not isinstance(other, AliasModule):
            where = getattr(other, "__file__", "an unknown place")
            raise ImportError(
                f"minigan.legacy: {root} was imported before, from {where}; import minigan.legacy before anything that "
                f"imports {root}, or start the script by `python -m minigan.legacy`"
            )
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())
    for root in standing_in:  # `import` gives what is here when the folder has been run
        del sys.modules[root]
        importlib.import_module(root)
