"""Start a script as `python script.py` would, with `chainer` being minigan.

The script is ``__main__``, its folder stands first in ``sys.path``, its arguments in ``sys.argv``; what it raises is
shown without the lines of this package; processes that it starts by `multiprocessing` know `chainer` too.
"""

from __future__ import annotations

import multiprocessing.spawn
import os
import runpy
import sys
import types
from importlib.machinery import SourceFileLoader
from typing import Any

from minigan.legacy import coverage, older

USAGE = """usage: python -m minigan.legacy [--numpy1] [--pillow9] [--chainer1] SCRIPT [ARGUMENTS ...]
       python -m minigan.legacy [--numpy1] [--pillow9] [--chainer1] -m MODULE [ARGUMENTS ...]
       python -m minigan.legacy --coverage

Run a script that was written for Chainer.

  --numpy1    put back the names that NumPy removed: np.float, np.int, np.bool, np.object, np.product ...
  --pillow9   put back what Pillow removed: Image.ANTIALIAS ...
  --chainer1  accept Chainer 1's volatile=, test=, train=, wscale= and zero_grads, and say what was done
  --coverage  print which names of Chainer are there
"""
VARIABLE = "MINIGAN_LEGACY"
MAIN = "MINIGAN_LEGACY_MAIN"  # tells spawned processes where the script is
_HERE = os.path.dirname(os.path.abspath(__file__))
_print_error = sys.excepthook


def start() -> None:
    """Do what the environment asks, and let errors say what would have helped."""
    for word in os.environ.get(VARIABLE, "").replace(",", " ").split():
        if word not in older.FLAGS:
            raise ValueError(f"{VARIABLE}: got {word!r}; wanted words of {', '.join(older.FLAGS)}")
        older.FLAGS[word]()
    sys.excepthook = show


def _ours(tb: types.TracebackType) -> bool:
    name = tb.tb_frame.f_code.co_filename
    return name.startswith((_HERE, "<frozen")) or name == runpy.__file__  # frozen from Python 3.11 on


def _cleaned(tb: types.TracebackType | None) -> types.TracebackType | None:
    """The traceback from the script's first line to the last that is not of this package."""
    frames = []
    while tb is not None:
        frames.append(tb)
        tb = tb.tb_next
    while frames and _ours(frames[0]):
        frames.pop(0)
    while frames and _ours(frames[-1]):
        frames.pop()
    for frame, following in zip(frames, [*frames[1:], None]):
        frame.tb_next = following
    return frames[0] if frames else None


def show(kind: type[BaseException], error: BaseException, tb: types.TracebackType | None) -> None:
    """Print an error as Python does, without the frames of this package, and a hint where there is one."""
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = _cleaned(link.__traceback__)
        link = link.__cause__ or link.__context__
    _print_error(kind, error, error.__traceback__)
    if text := older.hint(error):
        print(text, file=sys.stderr)


def run_script(path: str, arguments: list[str]) -> None:
    """Run the file `path` as ``__main__``."""
    sys.argv[:] = [path, *arguments]
    sys.path[0] = os.path.dirname(os.path.realpath(path))
    path = os.path.abspath(path)
    main = types.ModuleType("__main__")
    vars(main).update(
        __file__=path, __loader__=SourceFileLoader("__main__", path), __builtins__=__builtins__, __cached__=None
    )
    sys.modules["__main__"] = main
    execute(path, vars(main))


def execute(path: str, scope: dict[str, Any]) -> None:
    """Run the file `path` with the global names `scope`."""
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec")
    exec(code, scope)


def _let_children_know() -> None:
    """Have processes that are not forked import the script through ``minigan.legacy.child``."""
    plain = multiprocessing.spawn.get_preparation_data

    def prepare(name: str) -> dict[str, Any]:
        data = plain(name)
        if path := data.pop("init_main_from_path", None):
            os.environ[MAIN] = path
            data["init_main_from_name"] = "minigan.legacy.child"
        return data

    multiprocessing.spawn.get_preparation_data = prepare


def main(argv: list[str]) -> None:
    """The command line of ``python -m minigan.legacy``."""
    flags = []
    while argv and argv[0].startswith("--") and argv[0][2:] in older.FLAGS:
        flags.append(argv.pop(0)[2:])
    if argv[:1] == ["--coverage"]:
        print(coverage.table())
        return
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE, end="", file=sys.stdout if argv else sys.stderr)
        sys.exit(0 if argv else 2)
    if argv[0].startswith("-") and argv[0] != "-m" or argv == ["-m"]:
        sys.exit(f"minigan.legacy: unknown option {argv[0]}\n{USAGE}")
    for flag in flags:
        older.FLAGS[flag]()
    if flags:  # for the processes that the script starts
        os.environ[VARIABLE] = " ".join([os.environ.get(VARIABLE, ""), *flags]).strip()
    _let_children_know()
    if argv[0] == "-m":
        sys.argv[:] = argv[1:]
        sys.path[0] = os.getcwd()
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    elif not os.path.isfile(argv[0]):
        print(f"{sys.executable}: can't open file {os.path.abspath(argv[0])!r}: no such file", file=sys.stderr)
        sys.exit(2)
    else:
        run_script(argv[0], argv[1:])

