"""Kernel files compiled for GPUs on a machine that has none: do they compile, how many registers, do they spill?

NVRTC is the compiler that CuPy itself calls, so what passes here compiles for a user, too. It comes as one package
without a driver (`pip install "minigan[kernels]"`), and its assembler's report says what each kernel will take.
"""

from __future__ import annotations

import ctypes
import importlib.util
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from minigan.kernels.source import CompileError, defines, first_error

OPTIONS = ("-std=c++17", "-ftz=true", "--device-as-default-execution-space", "-Xptxas=-v")  # CuPy's, and a report
ARCHITECTURES = ("sm_75", "sm_80", "sm_90", "sm_100", "sm_120")
MOST_SHARED = 48 << 10


class Resources(NamedTuple):
    """What one thread (registers, stack, spilled bytes) and one block (shared bytes) of a kernel take."""

    kernel: str
    architecture: str
    registers: int
    shared: int
    stack: int
    spilled: int

    def faults(self, most_registers: int = 255) -> list[str]:
        """What is wrong, as sentences."""
        limits = [
            (self.spilled, 0, "bytes of registers spilled to memory", "use fewer variables at once, or smaller blocks"),
            (self.registers, most_registers, "registers a thread", "or raise the file's `// registers:` line"),
            (self.shared, MOST_SHARED, "bytes of static shared memory", "use smaller tiles"),
        ]
        return [
            f"{self.kernel} for {self.architecture}: {got} {what}; wanted at most {most}; {cure}"
            for got, most, what, cure in limits
            if got > most
        ]


def unavailable_reason() -> str | None:
    """Why nothing can be compiled, as a sentence; None where NVRTC is there."""
    try:
        _nvrtc()
    except RuntimeError as error:
        return str(error)
    return None


def supported() -> list[str]:
    """The architectures that this NVRTC compiles for."""
    count = ctypes.c_int()
    _call("nvrtcGetNumSupportedArchs", ctypes.byref(count))
    numbers = (ctypes.c_int * count.value)()
    _call("nvrtcGetSupportedArchs", numbers)
    return [f"sm_{n}" for n in numbers]


def compile_source(
    text: str, name: str, architecture: str, constants: Mapping[str, object] | None = None
) -> list[Resources]:
    """Compile the text of the kernel file `name` for one architecture; returns what each of its kernels takes.

    Raises:
        CompileError: the compiler's first message with file and line as a sentence, then all of them.
        RuntimeError: there is no NVRTC; `unavailable_reason` says why.
    """
    if architecture not in supported():
        raise CompileError(f"{name}: NVRTC knows no {architecture}; it knows {', '.join(supported())}")
    options = [f"-arch={architecture}", *OPTIONS, *defines(text, constants or {})]
    encoded = (ctypes.c_char_p * len(options))(*(o.encode() for o in options))
    program = ctypes.c_void_p()
    _call("nvrtcCreateProgram", ctypes.byref(program), text.encode(), name.encode(), 0, None, None)
    try:
        failed = _nvrtc().nvrtcCompileProgram(program, len(options), encoded)
        size = ctypes.c_size_t()
        _call("nvrtcGetProgramLogSize", program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        _call("nvrtcGetProgramLog", program, log)
    finally:
        _nvrtc().nvrtcDestroyProgram(ctypes.byref(program))
    report = log.value.decode()
    resources = _resources(report, architecture)
    if failed:
        faults = [f"{name}: {fault}" for r in resources for fault in r.faults()] or [f"{name} does not compile"]
        raise CompileError(f"{first_error(report) or faults[0]}\n{report.strip()}")
    unnamed = [r.kernel for r in resources if r.kernel.startswith("_Z")]  # C++ puts the types into the name
    if unnamed or not resources:
        found = f"{unnamed[0]}, which nobody finds by its name" if unnamed else "no kernel"
        raise CompileError(f'{name} has {found}; wanted extern "C" __global__ functions that are no templates')
    return resources


def _resources(log: str, architecture: str) -> list[Resources]:
    """Read the assembler's report, which has a part for each kernel."""
    kernels = re.split(r"Compiling entry function '(\w+)'", log)[1:]

    def number(part: str, what: str) -> int:
        return sum(map(int, re.findall(what, part)))

    return [
        Resources(
            name, architecture, number(part, r"Used (\d+) registers"), number(part, r"(\d+) bytes smem"),
            number(part, r"(\d+) bytes stack"), number(part, r"(\d+) bytes spill"),
        )
        for name, part in sorted(zip(kernels[::2], kernels[1::2]))
    ]  # fmt: skip


@cache
def _nvrtc() -> Any:
    """The library: of an installed package, else of a CUDA toolkit of the system."""
    spec = importlib.util.find_spec("nvidia")
    folders = [Path(f) for f in spec.submodule_search_locations or ()] if spec else []
    found = [str(p) for f in folders for p in sorted(f.glob("*/lib/libnvrtc.so.1?"), reverse=True)]
    for library in [*found, "libnvrtc.so", "/usr/local/cuda/lib64/libnvrtc.so"]:
        try:
            loaded = ctypes.CDLL(library)
        except OSError:
            continue
        loaded.nvrtcGetErrorString.restype = ctypes.c_char_p
        return loaded
    raise RuntimeError('there is no NVRTC to compile for GPUs with; pip install "minigan[kernels]"')


def _call(function: str, *arguments: Any) -> None:
    code = getattr(_nvrtc(), function)(*arguments)
    if code:
        raise RuntimeError(f"{function}: {_nvrtc().nvrtcGetErrorString(code).decode()}")
