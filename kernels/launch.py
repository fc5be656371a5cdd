"""One launcher for all CUDA kernels, with two backends.

A :class:`Kernel` knows its ``.cu`` file, the name of the entry and the constants it is compiled with. :func:`launch`
checks the arguments against the signature that the file itself declares, then runs the kernel where its arrays live:
through CuPy on a GPU, or in the emulator, which compiles the same file for the processor and works on NumPy's arrays.
So everything above this file, grids, argument order and whole training steps, runs without a GPU as it does on one.
``MINIGAN_KERNELS=0`` in the environment turns the kernels off; the functions then use plain array formulas.
"""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minigan.kernels import source
from minigan.kernels.source import CompileError
from minigan.kernels.workspace import array_module

FOLDER = Path(__file__).parent
REAL = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}
THREADS = 256  #: of a block, in nearly all kernels
PACK_BYTES = 16  #: the most that a thread moves at once
MOST_THREADS, MOST_SHARED, MOST_BLOCKS, MOST_INDEX = 1024, 48 * 1024, (2**31 - 1, 65535, 65535), 2**31 - 1

_TYPES = {
    "float": np.float32, "double": np.float64, "int": np.int32, "unsigned": np.uint32, "unsigned int": np.uint32,
    "long long": np.int64, "unsigned long long": np.uint64, "unsigned char": np.uint8,
    "short": np.int16, "unsigned short": np.uint16, "Half": np.uint16, "bool": np.bool_, "size_t": np.uint64,
}  # fmt: skip
_HERE: AbstractContextManager[None] = nullcontext()
_enabled = os.environ.get("MINIGAN_KERNELS", "1") != "0"


class Parameter(NamedTuple):
    """One parameter of a kernel: an array's pointer or a number, ``dtype`` None for a struct by value."""

    name: str
    dtype: np.dtype | None
    is_array: bool
    is_const: bool
    low: float = -math.inf  #: what an integer can hold
    high: float = math.inf


class Kernel:
    """The entry ``entry`` of kernels/``file``, compiled with ``constants`` (``-Dname=value``).

    ``outputs`` names the arrays that the kernel fills whatever they hold; other arrays that are not ``const`` are
    changed in place. ``wide``: offsets into arrays have 64 bits, so these may have 2**31 elements and more. Make it by
    :func:`kernel`, which keeps what is compiled.
    """

    def __init__(self, file: str, entry: str, outputs: tuple[str, ...], wide: bool, constants: dict[str, Any]) -> None:
        self.file, self.entry, self.outputs, self.wide, self.constants = file, entry, outputs, wide, constants
        self.path = FOLDER / file
        self.text = source.read(self.path)
        self.parameters = _signature(self.text, file, entry, constants)
        everything = [*enumerate(self.parameters)]
        self.arrays = [(i, p) for i, p in everything if p.is_array]
        self.records = [(i, p.name) for i, p in everything if p.dtype is None]
        self.numbers = [i for i, p in everything if not p.is_array and p.dtype is not None]
        self._loaded: dict[Any, Any] = {}

    def __repr__(self) -> str:
        constants = ", ".join(f"{name}={value}" for name, value in self.constants.items())
        return f"{self.file}: {self.entry}" + (f" with {constants}" if constants else "")

    def on_gpu(self, cupy: Any, device: int) -> Any:
        """CuPy's function for that device; compiled at the first call."""
        if device not in self._loaded:
            options = ("-std=c++17", *source.defines(self.text, self.constants))
            module = cupy.RawModule(code=f'#line 1 "{self.file}"\n{self.text}', options=options)
            try:
                module.compile()  # now, where the error is ours; CuPy would wait for the launch
                self._loaded[device] = module.get_function(self.entry)
            except cupy.cuda.compiler.CompileException as error:
                log = str(error)
                place = source.first_error(log) or "without a message"
                raise CompileError(f"{self!r} does not compile for device {device}: {place}\n{log}") from error
            except Exception as error:  # the compiler is missing, or newer than the driver
                raise CompileError(f"{self!r} cannot be built: {error}; {_versions(cupy)}") from error
        return self._loaded[device]

    def emulated(self, mode: str, instead: Path | None = None) -> Any:
        """The emulator's program of that mode, of the file ``instead`` if it has this one's name; compiled once."""
        path = instead if instead and instead.name == self.file else self.path
        if (mode, path) not in self._loaded:
            emulator = importlib.import_module("minigan.kernels.emulator")
            self._loaded[mode, path] = emulator.Program(path, constants=self.constants, mode=mode)
        return self._loaded[mode, path]


def _versions(cupy: Any) -> str:
    """Which CUDA is there and what may help, as a sentence: the package brings the compiler, too."""
    runtime, driver = cupy.cuda.runtime.runtimeGetVersion(), cupy.cuda.runtime.driverGetVersion()
    return (
        f"CuPy {cupy.__version__} runs CUDA {runtime // 1000}.{runtime % 1000 // 10}, the driver CUDA up to "
        f"{driver // 1000}.{driver % 1000 // 10}; install minigan[cuda{min(runtime, driver) // 1000}]"
        f"{' or a new driver' if driver < runtime else ''}"
    )


@cache
def kernel(file: str, entry: str, outputs: tuple[str, ...] = (), wide: bool = False, **constants: Any) -> Kernel:
    """The kernel of that file, entry and constants, the same object every time."""
    return Kernel(file, entry, outputs, wide, constants)


def available_for(*arrays: Any, halves: bool = False) -> bool:
    """Whether kernels may run on these arrays: on a GPU or emulated, not turned off, all alike float32 or float64.

    Or float16, for kernels that take ``halves``.
    """
    if isinstance(arrays[0], np.ndarray):
        return False
    dtype = arrays[0].dtype
    known = dtype in REAL or halves and dtype == np.float16
    return _enabled and known and all(a.dtype == dtype for a in arrays)


def types(dtype: Any) -> dict[str, str]:
    """Constants of a kernel for arrays of that dtype: what it computes with, and what it stores."""
    real = REAL.get(dtype, "float")
    return {"REAL": real, "STORE": "Half" if dtype == np.float16 else real}


def stored(x: Any) -> Any:
    """x as a kernel takes it: halves are their 16 bits."""
    return x.view(np.uint16) if x.dtype == np.float16 else x


def address(array: Any) -> int:
    """Where an array begins, in bytes; moving 16 of them at once asks for a multiple of 16."""
    host = _host(array)
    return int(host.ctypes.data) if isinstance(host, np.ndarray) else host.data.ptr


def at_once(length: int, *arrays: Any) -> int:
    """How many numbers a thread may move at once in runs of ``length``: 16 bytes of them, or 1.

    It is 1 where a run does not consist of whole packs, or an array does not begin at a multiple of 16 bytes.
    """
    most = PACK_BYTES // arrays[0].itemsize
    return most if length % most == 0 and all(address(a) % PACK_BYTES == 0 for a in arrays) else 1


def contiguous(x: Any) -> Any:
    """x, or a copy if its rows do not follow one another."""
    return x if x.flags.c_contiguous else array_module(x).ascontiguousarray(x)


def on_device_of(xp: Any, array: Any) -> AbstractContextManager[Any]:
    """A block in which the current device is that of the array, one of the library xp; new arrays are made there."""
    if xp.__name__ != "cupy" or array.data.device_id == xp.cuda.runtime.getDevice():
        return _HERE
    return xp.cuda.Device(array.data.device_id)


def _host(array: Any) -> Any:
    """The NumPy array in one of the emulator's; any other as it is."""
    return getattr(array, "_array", array)


@contextmanager
def turned_off(off: bool = True) -> Iterator[None]:
    """Use plain array formulas inside the ``with`` block, as ``MINIGAN_KERNELS=0`` does; or kernels again."""
    global _enabled
    before, _enabled = _enabled, not off
    try:
        yield
    finally:
        _enabled = before


class Launched(NamedTuple):
    """One launch, as :func:`emulation` has seen it."""

    kernel: Kernel
    grid: tuple[int, ...]
    block: tuple[int, ...]
    args: Sequence[Any]
    report: Any  #: what the emulator's ``Program.launch`` returned; None on a GPU


class _Emulation(NamedTuple):
    mode: str = "fast"
    order: str = "forward"
    seed: int = 0
    instead: Path | None = None
    launches: list[Launched] | None = None


_emulation = _Emulation()


@contextmanager
def emulation(
    mode: str = "fast", order: str = "forward", seed: int = 0, instead: Path | None = None
) -> Iterator[list[Launched]]:
    """Choose how emulated kernels run inside the ``with`` block; gives the list of all launches, which grows.

    mode: "fast", or "check", which finds races, overruns and the like; order: of the threads, "forward", "reverse" or
    "random" with ``seed``; instead: a .cu file that is taken for the one of minigan's that has its name.
    """
    global _emulation
    launches: list[Launched] = []
    before, _emulation = _emulation, _Emulation(mode, order, seed, instead, launches)
    try:
        yield launches
    finally:
        _emulation = before


def launch(
    kernel: Kernel, grid: Sequence[int], block: Sequence[int], args: Sequence[Any], shared: int = 0,
    reach: Sequence[Any] = (),
) -> None:  # fmt: skip
    """Run ``kernel`` on ``grid`` blocks of ``block`` threads, with ``shared`` bytes of dynamic shared memory.

    ``args`` are arrays and numbers in the order of the kernel's parameters; numbers take the type declared there.
    ``reach`` are the arrays whose addresses stand in other arguments.
    Raises ``TypeError`` or ``ValueError`` in a sentence for arguments that do not fit, before anything is launched,
    and :class:`CompileError` for a kernel that does not compile. A grid without blocks does nothing.
    """
    if 0 in grid:
        return
    grid, block = tuple(grid), tuple(block)
    _check_sizes(kernel, grid, block, shared)
    checked = _check_arguments(kernel, args)
    first = args[kernel.arrays[0][0]]
    xp = array_module(first)
    if xp.__name__ == "cupy":
        _check_device(kernel, args, first.data.device_id)
        with on_device_of(xp, first):
            kernel.on_gpu(xp, first.data.device_id)(grid, block, tuple(checked), shared_mem=shared)
        report = None
    else:
        if xp is not np:
            xp.noted(repr(kernel), grid, block, shared, *(a for a in checked if not isinstance(a, np.ndarray)), *reach)
        report = _emulate(kernel, grid, block, checked, shared, reach)
    if _emulation.launches is not None:
        _emulation.launches.append(Launched(kernel, grid, block, checked, report))


def _emulate(kernel: Kernel, grid: tuple, block: tuple, args: list[Any], shared: int, reach: Sequence[Any]) -> Any:
    emulator = importlib.import_module("minigan.kernels.emulator")

    def role(parameter: Parameter, value: Any) -> Any:
        if not parameter.is_array:
            return value
        kinds = emulator.In, emulator.Out, emulator.InOut
        return kinds[0 if parameter.is_const else 1 if parameter.name in kernel.outputs else 2](_host(value))

    mode, order, seed, instead, _ = _emulation
    wrapped = [role(p, a) for p, a in zip(kernel.parameters, args)]
    program, near = kernel.emulated(mode, instead), [_host(a) for a in reach]
    return program.launch(kernel.entry, grid, block, wrapped, shared, order=order, seed=seed, reach=near)


@lru_cache(maxsize=4096)
def _check_sizes(kernel: Kernel, grid: tuple, block: tuple, shared: int) -> None:
    if not 0 < math.prod(block) <= MOST_THREADS or len(block) > 3:
        raise ValueError(f"{kernel!r}: a block of {block} threads; wanted 1 to {MOST_THREADS} in all")
    if len(grid) > 3 or any(not 0 < n <= most for n, most in zip(grid, MOST_BLOCKS)):
        raise ValueError(f"{kernel!r}: a grid of {grid} blocks; wanted at most {MOST_BLOCKS}; split the work")
    if not 0 <= shared <= MOST_SHARED:
        raise ValueError(f"{kernel!r}: {shared} bytes of shared memory; a block has {MOST_SHARED}; use smaller blocks")


def _check_arguments(kernel: Kernel, args: Sequence[Any]) -> list[Any]:
    """The arguments with numbers in their declared types."""
    if len(args) != len(kernel.parameters):
        names = ", ".join(p.name for p in kernel.parameters)
        raise TypeError(f"{kernel!r}: got {len(args)} arguments; wanted {len(kernel.parameters)}: {names}")
    checked, library = [*args], None
    for i, name in kernel.records:
        _check_record(kernel, name, args[i])
    for i, number in zip(kernel.numbers, _numbers(kernel, *[args[i] for i in kernel.numbers])):
        checked[i] = number
    for i, (name, dtype, *_) in kernel.arrays:
        value = args[i]
        if not hasattr(value, "flags"):
            raise TypeError(f"{kernel!r}: {name} is a {type(value).__name__}; wanted an array of {dtype}")
        library = library or type(value)
        if type(value) is not library:
            raise TypeError(
                f"{kernel!r}: {name} is a {type(value).__module__} array, another argument one of {library.__module__};"
                " send all to one device"
            )
        if value.dtype != dtype:
            raise TypeError(f"{kernel!r}: {name} is {value.dtype}; the file says {dtype}; cast it")
        if not value.flags.c_contiguous:
            raise ValueError(f"{kernel!r}: {name} of shape {value.shape} is not contiguous; pass a contiguous copy")
        if not kernel.wide and value.size > MOST_INDEX:
            raise ValueError(
                f"{kernel!r}: {name} has {value.size} elements; an index has 32 bits; work on parts of the batch"
            )
    return checked


@lru_cache(maxsize=4096)  # a step has the same sizes every time
def _numbers(kernel: Kernel, *values: Any) -> tuple[Any, ...]:
    """Numbers in the types of their parameters."""
    found = []
    for i, value in zip(kernel.numbers, values):
        name, dtype, _, _, low, high = kernel.parameters[i]
        if not low <= value <= high:
            raise ValueError(f"{kernel!r}: {name} is {value}: {dtype} cannot hold it; work on parts of the batch")
        found.append(np.dtype(dtype).type(value))
    return tuple(found)


def _check_record(kernel: Kernel, name: str, value: Any) -> None:
    """Raise unless it is a struct: an array of one record, which goes by value."""
    if not isinstance(value, np.ndarray) or value.size != 1 or value.dtype.names is None:
        raise TypeError(f"{kernel!r}: {name} is a {type(value).__name__}; wanted a structured array of one record")


def _check_device(kernel: Kernel, args: Sequence[Any], device: int) -> None:
    for i, parameter in kernel.arrays:
        if (other := args[i].data.device_id) != device:
            text = f"{kernel!r}: {parameter.name} is on GPU {other}, another argument on GPU {device}"
            raise ValueError(f"{text}; send all to one device")


def _signature(text: str, file: str, entry: str, constants: dict[str, Any]) -> list[Parameter]:
    """The parameters of an entry as its file declares them, with constants such as ``REAL`` put in."""
    values = {**source.constants(text), **constants}
    entries = {found.name: found.parameters for found in source.kernels(text)}
    if entry not in entries:
        raise CompileError(f"{file} has no kernel {entry}; it has {', '.join(entries) or 'none'}")
    parameters = []
    for declared in filter(None, entries[entry]):
        *kind, name = declared.replace("*", " ").split()
        words = " ".join(str(values.get(word, word)) for word in kind if word != "const")
        dtype = np.dtype(_TYPES[words]) if words in _TYPES else None
        if dtype is None and "*" in declared:
            raise CompileError(f"{file}: {entry}: {name} is an array of {words}; wanted one of {', '.join(_TYPES)}")
        ends = (np.iinfo(dtype).min, np.iinfo(dtype).max) if dtype is not None and dtype.kind in "iu" else ()
        parameters.append(Parameter(name, dtype, "*" in declared, "const" in kind, *ends))
    return parameters
