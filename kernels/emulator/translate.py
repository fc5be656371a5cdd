"""From a .cu file to a library: the little of CUDA's syntax that C++ lacks is rewritten, then the host compiles.

Lines keep their numbers, so the compiler's messages and the checker's faults name lines of the kernel's own file.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from minigan.kernels.source import KERNEL, CompileError, defines, without_comments

HERE = Path(__file__).parent
FLAGS = [
    *"-std=c++17 -fPIC -fvisibility=hidden -ffp-contract=off -fno-threadsafe-statics -U_FORTIFY_SOURCE".split(),
    *"-w -ftrack-macro-expansion=0".split(),  # an error in a macro is in the line that uses it
]
MODES = {
    "fast": ["-O2"],
    "check": [
        *"-O0 -g1 -fsanitize=thread,bounds-strict,alignment".split(),
        "-fsanitize=signed-integer-overflow,integer-divide-by-zero,shift,float-cast-overflow",
    ],
}

_ALIGNMENT = r"(?:alignas|__align__)\s*\([^()]*\)"
_SHARED = re.compile(rf"(?:\b(?:extern|static|volatile|{_ALIGNMENT})\s*)*__shared__\s+[^;]*;")


def translate(text: str, name: str) -> str:
    """C++ of the kernel file `name`: kernels register themselves, shared arrays live in the emulator's own memory."""
    text = without_comments(text)
    if template := re.search(r'template\s*<[^>]*>\s*(?:extern\s*"C"\s*)?__global__', text):
        line = text.count("\n", 0, template.end()) + 1
        raise CompileError(f"{name} line {line}: a kernel cannot be a template; make its types and sizes macros")
    text = KERNEL.sub(_register, text)
    return f'#line 1 "{name}"\n' + _SHARED.sub(_place, text) + "\n"


def _register(m: re.Match[str]) -> str:
    bound = m["b1"] or m["b2"] or "1024"
    declared = " ".join(f'extern "C" void {m["name"]}({m["parameters"]});'.split())
    entry = f'static const emu::Entry emu_entry_{m["name"]}("{m["name"]}", {bound}, {m["name"]});'
    head = re.sub(r"__launch_bounds__\s*\([^)]*\)|extern\s*\"C\"", "", m[0])
    return f'{declared} {entry} extern "C" {head}'


def _place(m: re.Match[str]) -> str:
    """`__shared__ float a[8], b;` as types a_type and b_type, and references to memory of these types.

    A type without a size, `a[]`, has dynamic memory. All memory is aligned for whatever a kernel can ask.
    """
    declaration = re.sub(rf"\bextern\b|\bstatic\b|{_ALIGNMENT}", "", m[0]).replace("__shared__", "typedef")
    plain = re.sub(r"\[[^\]]*\]|<[^>]*>|\([^)]*\)", "", declaration.rstrip(";"))
    names = [part.split()[-1].lstrip("*&") for part in plain.split(",")]
    for name in names:
        declaration = re.sub(rf"\b{name}\b(?=\s*[\[,;])", f"{name}_type", declaration)
        declaration += f' auto& {name} = emu::shared<{name}_type>("{name}", __PRETTY_FUNCTION__, __LINE__);'
    return declaration


def toolchain() -> str | None:
    """Why nothing can be compiled here, as a sentence; None where all is there."""
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        return f"the emulator runs on Linux with x86-64; this is {sys.platform} {platform.machine()}"
    for tool in (_compiler()[0], "addr2line"):
        if shutil.which(tool) is None:
            return f"the emulator needs {tool}, which is not on PATH; install g++ and binutils, or set CXX"
    return None


def _compiler() -> list[str]:
    return shlex.split(os.environ.get("CXX", "")) or ["g++"]


def cache_folder() -> Path:
    """Where compiled programs are kept: $MINIGAN_KERNEL_CACHE, else ~/.cache/minigan/kernels.

    Where there is no home to write to, they go to a folder that ends with the process.
    """
    if named := os.environ.get("MINIGAN_KERNEL_CACHE"):
        return Path(named)
    with suppress(OSError, RuntimeError):  # forbidden; or there is no home at all
        folder = Path.home() / ".cache" / "minigan" / "kernels"
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    return Path(_passing_folder().name)


@cache
def _passing_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="minigan-kernels-")


def build(text: str, name: str, constants: Mapping[str, object], mode: str) -> Path:
    """Return the compiled library of a kernel file; made once for the same text, constants, mode and emulator."""
    reason = toolchain()
    if reason:
        raise RuntimeError(reason)
    headers = "".join((HERE / header).read_text() for header in ("device.h", "runtime.h"))
    objects = [
        _made(f"{part}.o", ["-c", "-O2", f"-I{HERE}"], (HERE / f"{part}.cpp").read_text(), headers)
        for part in ("scheduler", "checker")
    ]
    options = ["-c", *MODES[mode], *defines(text, constants), "-include", str(HERE / "device.h")]
    kernel = _made(f"{Path(name).stem}.o", options, translate(text, name), headers)
    # Linked without the sanitizers' libraries: checker.cpp has what the compiler calls.
    return _made(f"{Path(name).stem}.so", ["-shared", *map(str, (kernel, *objects))], "", "")


def _made(result: str, options: list[str], text: str, headers: str) -> Path:
    """The file that the compiler makes of a text with these options, from the cache if it has been made before."""
    command = [*_compiler(), *FLAGS, *options, *(["-x", "c++", "-"] if text else [])]
    key = hashlib.sha256("\0".join([*command, text, headers]).encode()).hexdigest()[:20]
    target = cache_folder() / f"{key}-{result}"
    if target.exists():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        working = tempfile.TemporaryDirectory(dir=target.parent, prefix=".making-")
    except OSError as error:
        cure = "set MINIGAN_KERNEL_CACHE to a folder that can be written to"
        raise CompileError(f"the emulator cannot keep what it compiles ({error}); {cure}") from error
    with working as folder:
        made = Path(folder, result)
        english = {**os.environ, "LC_ALL": "C"}
        done = subprocess.run([*command, "-o", str(made)], input=text, capture_output=True, text=True, env=english)
        if done.returncode:
            raise CompileError(_explained(done.stderr, result))
        os.replace(made, target)  # whole or not at all, whoever else is making it
    return target


def _explained(messages: str, name: str) -> str:
    found = re.search(r"^([^:\n]+):(\d+):(?:\d+:)? (?:fatal )?error: (.*)$", messages, re.M)
    why = messages.strip().partition("\n")[0]
    first = f"{found[1]} line {found[2]}: {found[3]}" if found else f"{name} cannot be made: {why}"
    return f"{first}\n{messages.strip()}"
