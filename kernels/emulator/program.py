"""A kernel file compiled for the processor: launches on NumPy arrays, and what the checker found in them."""

from __future__ import annotations

import ctypes
import math
import re
import subprocess
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minigan.kernels.emulator.translate import MODES, build
from minigan.kernels.source import kernels, read

ORDERS = ("forward", "reverse", "random")
GAP = 1 << 20  # bytes between arguments in check mode, never touched, so that what strays is in none of them
MOST_SHARED = 227 << 10
STRAY = -2  # as in runtime.h
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class In:
    """An array that a kernel only reads."""

    array: np.ndarray


@dataclass(frozen=True)
class Out:
    """An array that a kernel writes, every word of it unless it is `partial`, and does not read before."""

    array: np.ndarray
    partial: bool = False


@dataclass(frozen=True)
class InOut:
    """An array that a kernel changes; a bare array is taken for one."""

    array: np.ndarray


@dataclass(frozen=True)
class Fault:
    """One thing that a kernel did wrong, and how often that line did it; block and thread are the first that did."""

    kind: str
    argument: int | str | None  #: the number of an argument, or the name of a shared array
    offset: int | None  #: in bytes
    block: tuple[int, ...] | None
    thread: tuple[int, ...] | None
    line: int | None
    times: int
    text: str  #: all of it as a sentence


@dataclass(frozen=True)
class Access:
    """What the loads or the stores of one source line cost on a GPU, on average over the requests of its warps."""

    line: int
    op: str  #: "load" or "store"
    space: str  #: "global" or "shared"
    argument: int | str
    requests: int
    sectors_per_request: float  #: pieces of 32 bytes fetched from global memory
    ideal: float  #: the least that the same bytes would take, side by side
    bank_conflicts: float  #: extra passes through shared memory


class KernelFault(Exception):
    """A launch that went wrong; `faults` lists how."""

    def __init__(self, entry: str, faults: list[Fault]) -> None:
        super().__init__(f"{entry}:" + "".join(f"\n  {f.text}" for f in faults))
        self.faults = faults


class _Parameter(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("kind", "bytes", "element", "pointer", "constant")]


class _Entry(ctypes.Structure):
    pass


_Entry._fields_ = [
    ("name", ctypes.c_char_p), ("most_threads", ctypes.c_int), ("count", ctypes.c_int),
    ("parameters", ctypes.POINTER(_Parameter)), ("function", ctypes.c_void_p), ("call", ctypes.c_void_p),
    ("next", ctypes.POINTER(_Entry)),
]  # fmt: skip


class _Place(ctypes.Structure):
    _fields_ = [("site", ctypes.c_uint32), *((name, ctypes.c_int) for name in ("line", "block", "thread"))]


class _Fault(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_char_p) for name in ("kind", "note", "array")), ("region", ctypes.c_int),
        *((name, ctypes.c_int64) for name in ("offset", "bytes", "count")), ("here", _Place), ("other", _Place),
    ]  # fmt: skip


class _Traffic(ctypes.Structure):
    _fields_ = [
        ("site", ctypes.c_uint32), *((name, ctypes.c_int) for name in ("region", "write")),
        ("name", ctypes.c_char_p), *((name, ctypes.c_int64) for name in ("requests", "sectors", "ideal", "conflicts")),
    ]  # fmt: skip


Vector = tuple[int, int, int]


class Program:
    """A .cu file, compiled with `constants` as macros.

    Args:
        source: Path of the file, or its text.
        mode: "fast" computes, with no checks of memory; "check" finds faults and counts accesses, some 10 times slower.

    Raises:
        CompileError: the compiler refuses it; file, line and message.
        RuntimeError: there is no compiler (`toolchain()` says why).
    """

    def __init__(self, source: str | Path, constants: Mapping[str, int | float | str] = {}, mode: str = "fast") -> None:
        if mode not in MODES:
            raise ValueError(f"Program: mode is {mode!r}; wanted one of {', '.join(MODES)}")
        is_text = isinstance(source, str) and "\n" in source
        self.name, self.mode = "kernel.cu" if is_text else Path(source).name, mode
        text = str(source) if is_text else read(Path(source))
        self._path = build(text, self.name, constants, mode)
        try:
            self._library = ctypes.CDLL(str(self._path))
        except OSError:  # the file was damaged since it was made
            self._path.unlink(missing_ok=True)
            self._library = ctypes.CDLL(str(build(text, self.name, constants, mode)))
        self._library.emu_entries.restype = ctypes.POINTER(_Entry)
        self._library.emu_faults.restype = ctypes.POINTER(_Fault)
        self._library.emu_traffic.restype = ctypes.POINTER(_Traffic)
        self._library.emu_unwritten.restype = ctypes.c_int64
        self._declared = {k.name: k.parameters for k in kernels(text)}
        self._entries: dict[str, Any] = {}
        entry = self._library.emu_entries()
        while entry:
            self._entries[entry.contents.name.decode()] = entry.contents
            entry = entry.contents.next
        self.entries = sorted(self._entries)
        self.accesses: list[Access] = []
        self._lines: dict[int, int] = {}

    def launch(
        self, entry: str, grid: int | Sequence[int], block: int | Sequence[int], args: Sequence[Any], shared: int = 0,
        order: str = "forward", seed: int = 0, reach: Sequence[Any] = (),
    ) -> list[Access]:  # fmt: skip
        """Run a kernel; arrays are changed in place. Returns `accesses`, of this launch.

        Args:
            args: C-contiguous NumPy arrays, bare or as In, Out or InOut; NumPy scalars of the declared type; structs by
                value as ctypes structures or structured arrays of size 1.
            shared: Bytes of dynamic shared memory.
            order: Of threads and blocks: "forward", "reverse" or "random" with `seed`.
            reach: Arrays that the kernel reaches through addresses in other arguments (a table of pointers).

        Raises:
            TypeError, ValueError: arguments, grid or block do not fit; nothing was run.
            KernelFault: faults were found; in fast mode only those of barriers and collectives.
        """
        if entry not in self._entries:
            raise ValueError(f"{self.name} has no kernel {entry!r}; it has {', '.join(self.entries) or 'none'}")
        if order not in ORDERS:
            raise ValueError(f"{entry}: order is {order!r}; wanted one of {', '.join(ORDERS)}")
        kernel, shape = self._entries[entry], (_vector(grid), _vector(block))
        _check_sizes(entry, kernel, *shape, shared)
        self._check_arguments(entry, kernel, args)
        with _ONE_AT_A_TIME:  # the library has one state, and ctypes lets other threads of Python run
            return self._run(entry, kernel, args, shape, shared, ORDERS.index(order), seed, reach)

    def _run(
        self, entry: str, kernel: Any, args: Sequence[Any], shape: tuple[Vector, Vector], shared: int, order: int,
        seed: int, reach: Sequence[Any],
    ) -> list[Access]:  # fmt: skip
        check = self.mode == "check"
        self._library.emu_begin(check)
        memory = _Memory(self._library, args, reach) if check else None  # whose copies live until it goes
        values = [memory and memory.addresses.get(i) or _value(a) for i, a in enumerate(args)]
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(v) for v in values))
        count = self._library.emu_launch(
            ctypes.byref(kernel), *((ctypes.c_uint * 3)(*v) for v in shape), ctypes.c_size_t(shared), pointers,
            order, seed,
        )  # fmt: skip
        found = self._library.emu_faults()[: abs(count)]
        if memory:
            memory.copy_back()
        self._find_lines([f.here.site for f in found] + [f.other.site for f in found])
        faults = [self._fault(f, entry, args, shape, memory) for f in found]
        if memory and count >= 0:  # where the launch was stopped, most is not written
            faults += self._unwritten(memory, entry, args)
        self.accesses = self._counted(memory) if memory else []
        if faults:
            raise KernelFault(entry, faults)
        return self.accesses

    def _check_arguments(self, entry: str, kernel: Any, args: Sequence[Any]) -> None:
        declared = self._declared[entry]
        if len(args) != kernel.count:
            raise TypeError(f"{entry}: got {len(args)} arguments; wanted {kernel.count}: {', '.join(declared)}")
        for i, (given, name) in enumerate(zip(args, declared)):
            parameter, value = kernel.parameters[i], _bare(given)
            where = f"{entry}: argument {i}, {name!r},"
            kind = chr(parameter.kind)
            wanted = None if kind == "V" else np.dtype(f"{kind}{parameter.element}" if kind != "b" else "?")
            if parameter.pointer:
                if not isinstance(value, np.ndarray):
                    raise TypeError(f"{where} is a {type(value).__name__}; wanted an array of {wanted or 'structs'}")
                if not value.flags.c_contiguous:
                    raise ValueError(f"{where} of shape {value.shape} is not contiguous; pass numpy.ascontiguousarray")
                if wanted not in (None, value.dtype):
                    raise TypeError(f"{where} is {value.dtype}; wanted {wanted}; cast it")
                if parameter.constant and isinstance(given, Out):
                    raise TypeError(f"{where} is an Out, but const; pass In, or drop the const")
                if not (value.flags.writeable or parameter.constant or isinstance(given, In)):
                    raise ValueError(f"{where} is an array that cannot be written to; pass a copy")
            elif kind == "V":
                size = value.nbytes if isinstance(value, np.ndarray) else ctypes.sizeof(type(value)) if isinstance(
                    value, ctypes.Structure) else -1  # fmt: skip
                if size != parameter.bytes:
                    raise TypeError(f"{where} is a {type(value).__name__}{f' of {size} bytes' if size >= 0 else ''}; "
                                    f"wanted a struct of {parameter.bytes} bytes")  # fmt: skip
            elif not isinstance(value, np.generic) or value.dtype != wanted:
                got = value.dtype if isinstance(value, (np.generic, np.ndarray)) else type(value).__name__
                raise TypeError(f"{where} is {got}; wanted numpy.{wanted}(...)")

    def _find_lines(self, sites: Iterable[int]) -> None:
        """Ask the debugging information which lines these addresses belong to."""
        new = sorted({s for s in sites if s and s not in self._lines})
        if new:
            command = ["addr2line", "-e", str(self._path), *map(hex, new)]
            answer = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
            found = [re.search(r":(\d+)", line) for line in answer]
            self._lines.update({site: int(m[1]) if m else 0 for site, m in zip(new, found)})

    def _fault(
        self, f: _Fault, entry: str, args: Sequence[Any], shape: tuple[Vector, Vector], memory: _Memory | None
    ) -> Fault:
        def who(place: _Place) -> tuple[int, Vector, Vector]:
            return place.line or self._lines.get(place.site, 0), *map(_unravel, (place.block, place.thread), shape)

        line, block, thread = who(f.here)
        argument = memory.owners[f.region] if memory and f.region >= 0 else f.array.decode() if f.array else None
        text = f"{self.name} line {line}: {f.kind.decode()}"
        text += f" of {f.bytes} bytes" if f.bytes else ""
        text += f" at byte {f.offset} of {self._named(entry, args, argument)}" if argument is not None else ""
        text += " at an address in no argument" if f.region == STRAY else ""
        text += f" ({f.note.decode()})" if f.note else ""
        text += f", in block {block}, thread {thread}"
        if f.other.thread >= 0:
            its_line, its_block, its_thread = who(f.other)
            text += f"; the other: {f'line {its_line}, ' if its_line else ''}block {its_block}, thread {its_thread}"
        text += f"; {f.count} times" if f.count > 1 else ""
        offset = None if argument is None else f.offset
        return Fault(f.kind.decode(), argument, offset, block, thread, line, f.count, text)

    def _named(self, entry: str, args: Sequence[Any], argument: int | str) -> str:
        if isinstance(argument, str):
            return f"the shared array {argument!r}"
        if argument >= len(args):
            return f"array {argument - len(args)} in reach"
        return f"argument {argument}, {self._declared[entry][argument]!r} ({_bare(args[argument]).nbytes} bytes)"

    def _unwritten(self, memory: _Memory, entry: str, args: Sequence[Any]) -> list[Fault]:
        faults, first = [], ctypes.c_int64()
        for i, argument in enumerate(args):
            if isinstance(argument, Out) and not argument.partial:
                missing = self._library.emu_unwritten(memory.regions[i], ctypes.byref(first))
                if missing:
                    text = f"never written: {missing} words of {self._named(entry, args, i)}, first byte {first.value}"
                    faults.append(Fault("never written", i, first.value, None, None, None, missing, text))
        return faults

    def _counted(self, memory: _Memory) -> list[Access]:
        n = ctypes.c_int()
        found = self._library.emu_traffic(ctypes.byref(n))
        sites = [found[i] for i in range(n.value)]
        self._find_lines([s.site for s in sites])
        sums: dict[tuple[int, str, str, int | str], list[int]] = {}
        for s in sites:
            argument = s.name.decode() if s.name else memory.owners[s.region]
            key = self._lines[s.site], "store" if s.write else "load", "shared" if s.name else "global", argument
            added = (s.requests, s.sectors, s.ideal, s.conflicts)
            sums[key] = [a + b for a, b in zip(sums.get(key, [0] * 4), added)]
        return [Access(*key, n, *(round(v / n, 3) for v in rest)) for key, (n, *rest) in sorted(
            sums.items(), key=lambda item: (item[0][0], str(item[0])))]  # fmt: skip


class _Memory:
    """Check mode's copies of the arrays, far from each other and aligned as on a GPU; the same array twice is one."""

    def __init__(self, library: Any, args: Sequence[Any], reach: Sequence[Any]) -> None:
        self.owners: list[int] = []  # by region, the argument; beyond them, what is in reach
        self.regions: dict[int, int] = {}  # by argument
        self.addresses: dict[int, ctypes.c_void_p] = {}
        self._copies: list[tuple[np.ndarray, np.ndarray]] = []
        spans: dict[tuple[int, int], list[int]] = {}  # from where to where, and the arguments that lie there
        for i, a in enumerate(args):
            if _is_array(a):
                begin = _bare(a).ctypes.data
                spans.setdefault((begin, begin + _bare(a).nbytes), []).append(i)
        arena = np.empty(sum(end - begin + GAP + 256 for begin, end in spans) + GAP, np.uint8)
        free = -(arena.ctypes.data + GAP) % 256 + GAP
        for (begin, end), same in spans.items():
            for (other, its_end), (i, *_) in spans.items():
                if other < begin < its_end or begin == other and end < its_end:
                    raise ValueError(f"arguments {i} and {same[0]} overlap in memory; pass the whole array once")
            array, copy = _bare(args[same[0]]), arena[free : free + end - begin]
            copy[...] = array.reshape(-1).view(np.uint8)
            self._copies.append((array, copy))
            self.regions.update(dict.fromkeys(same, len(self.owners)))
            self.addresses.update(dict.fromkeys(same, ctypes.c_void_p(copy.ctypes.data)))
            self.owners.append(same[0])
            only_read, only_written = (all(isinstance(args[i], kind) for i in same) for kind in (In, Out))
            _add_region(library, copy, array.itemsize, not only_written, only_read)
            free += (end - begin + 255) // 256 * 256 + GAP
        for j, a in enumerate(reach):
            self.owners.append(len(args) + j)
            _add_region(library, _bare(a), _bare(a).itemsize, not isinstance(a, Out), isinstance(a, In))

    def copy_back(self) -> None:
        for array, copy in self._copies:
            if array.flags.writeable:
                array.reshape(-1).view(np.uint8)[...] = copy


def _add_region(library: Any, array: np.ndarray, itemsize: int, initialised: bool, only_read: bool) -> None:
    address, size = ctypes.c_void_p(array.ctypes.data), ctypes.c_size_t(array.nbytes)
    library.emu_region(address, size, itemsize if itemsize in (1, 2) else 4, initialised, only_read)


def _bare(argument: Any) -> Any:
    return argument.array if isinstance(argument, (In, Out, InOut)) else argument


def _is_array(argument: Any) -> bool:
    """An array that is passed as a pointer; one record goes by value."""
    array = _bare(argument)
    return isinstance(array, np.ndarray) and not (array is argument and array.size == 1 and array.dtype.names)


def _value(argument: Any) -> Any:
    """What ctypes passes for an argument, of which the kernel is given the address."""
    if isinstance(argument, ctypes.Structure):
        return argument
    if _is_array(argument):
        return ctypes.c_void_p(_bare(argument).ctypes.data)
    return ctypes.create_string_buffer(argument.tobytes())


def _vector(size: int | Sequence[int]) -> Vector:
    sizes = tuple(size) if isinstance(size, Sequence) else (size,)
    if not 1 <= len(sizes) <= 3 or not all(map(_is_whole, sizes)):
        raise ValueError(f"a grid or block of {size!r}; wanted 1 to 3 whole numbers")
    x, y, z = (*map(int, sizes), 1, 1)[:3]
    return x, y, z


def _is_whole(number: Any) -> bool:
    return isinstance(number, (int, np.integer))


def _unravel(number: int, shape: Vector) -> Vector:
    return number % shape[0], number // shape[0] % shape[1], number // shape[0] // shape[1]


def _check_sizes(entry: str, kernel: Any, grid: Vector, block: Vector, shared: int) -> None:
    most = min(1024, kernel.most_threads)
    if min(block) < 1 or math.prod(block) > most or block[2] > 64:
        raise ValueError(f"{entry}: a block of {block} threads; wanted 1 to {most} in all, 64 at most along z")
    if min(grid) < 1 or max(grid[1:]) > 65535 or math.prod(grid) >= 2**31:
        raise ValueError(f"{entry}: a grid of {grid} blocks; wanted at least 1, at most 65535 along y and z")
    if not _is_whole(shared) or not 0 <= shared <= MOST_SHARED:
        raise ValueError(f"{entry}: {shared} bytes of dynamic shared memory; wanted 0 to {MOST_SHARED}")
