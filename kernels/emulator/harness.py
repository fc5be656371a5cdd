"""Checking a kernel file by a harness: a Python file beside it that says how its kernels are launched.

The harness of `scale.cu` is `scale_check.py`. It has a generator `launches()`; each `Launch` that it yields is run in
check mode, and when it goes on the arrays hold what the kernel wrote, so that what is wrong can be asserted. minigan's
own call their launchers instead, which `minigan.kernels.launch` sends here; a changed copy of one of minigan's files is
checked by them, too.
"""

from __future__ import annotations

import re
import runpy
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from minigan.kernels.emulator.program import ORDERS, Access, KernelFault, Program
from minigan.kernels.launch import emulation, turned_off
from minigan.kernels.source import CompileError


class Launch(NamedTuple):
    """One launch: as the arguments of `Program.launch`, and the constants that the file is compiled with."""

    entry: str
    grid: int | Sequence[int]
    block: int | Sequence[int]
    args: Sequence[Any]
    shared: int = 0
    constants: Mapping[str, int | float | str] = {}


class HarnessError(Exception):
    """A harness that cannot be used, or that failed by itself."""


class Checked(NamedTuple):
    """What a harness brought to light: faults as sentences; for each launch its entry, and what its accesses cost."""

    faults: list[str]
    accesses: list[tuple[str, list[Access]]]


def default_harness(file: Path) -> Path:
    """The harness of a kernel file unless another is named: the one beside it, else minigan's for such a name."""
    beside = file.with_name(f"{file.stem}_check.py")
    own = Path(__file__).parents[1] / beside.name
    return own if own.is_file() and not beside.is_file() else beside


def check(file: Path, harness: Path | None = None) -> Checked:
    """Run a file's harness in check mode with its threads in forward, reverse and random order.

    An order ends at its first launch with faults, or at the first assertion that fails. Raises `HarnessError` and
    `CompileError`.
    """
    harness = harness or default_harness(file)
    if not harness.is_file():
        raise HarnessError(f"{file} has no harness {harness}; write a launches() there, or name another by --harness")
    try:
        launches = runpy.run_path(str(harness)).get("launches")
    except (Exception, SystemExit) as error:
        raise HarnessError(_where(error, harness)) from error
    if not callable(launches):
        raise HarnessError(f"{harness} has no function launches()")
    faults: dict[str, list[str]] = {}  # text of the first of its like, and the orders in which they were found
    accesses: list[tuple[str, list[Access]]] = []
    for order in ORDERS:
        seen: list[tuple[str, list[Access]]] = []
        try:
            _run(file, launches, order, seen)
        except KernelFault as fault:
            for f in fault.faults:
                alike = re.sub(r"\b(?<!line )\d+", "", f.text)  # an order meets the same fault in other threads
                faults.setdefault(alike, [f.text]).append(order)
        except AssertionError as error:
            last = f"after launch {len(seen)}, {seen[-1][0]}" if seen else "before the first launch"
            text = f"wrong result {last}: {_where(error, harness)}"
            faults.setdefault(text, [text]).append(order)
        except CompileError:
            raise
        except (Exception, SystemExit) as error:
            raise HarnessError(_where(error, harness)) from error
        accesses = accesses or seen
    if not accesses and not faults:
        raise HarnessError(f"launches() of {harness} launches nothing of {file.name}")
    told = [f"{text} (order: {', '.join(dict.fromkeys(orders))})" for text, *orders in faults.values()]
    return Checked(told, accesses)


def _run(
    file: Path, launches: Callable[[], Iterable[Any] | None], order: str, seen: list[tuple[str, list[Access]]]
) -> None:
    programs: dict[tuple[tuple[str, Any], ...], Program] = {}
    with turned_off(False), emulation("check", order, instead=file) as own:
        try:
            for launch in launches() or ():
                if not isinstance(launch, Launch):
                    raise TypeError(f"launches() yields {launch!r:.80}; wanted Launch(entry, grid, block, args)")
                key = tuple(sorted(launch.constants.items()))
                if key not in programs:
                    programs[key] = Program(file, launch.constants, "check")
                found = programs[key].launch(launch.entry, launch.grid, launch.block, launch.args, launch.shared, order)
                seen.append((launch.entry, found))
        finally:
            seen += [(o.kernel.entry, o.report) for o in own if o.kernel.file == file.name]


def _where(error: BaseException, harness: Path) -> str:
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(harness)]
    place = f"{harness.name} line {lines[-1]}: " if lines else f"{harness.name}: "
    return f"{place}{type(error).__name__}: {' '.join(str(error).split())}"
