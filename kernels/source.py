"""What a kernel file says of itself: its kernels and their parameters, its constants, how it wants to be compiled.

Constants are macros with a default, between `#ifndef NAME` and `#endif`, so that a file compiles as it stands. Comment
lines `// variant: NAME=VALUE,VALUE ...` name others that it must compile with, in all combinations. Tests launch it
with no others, but for the constants of a line `// any: NAME ...`, which are too many: their numbers are free, and each
of their words is in some variant. `// registers: 80` is the most that its kernels may use. `#include "half.h"` puts a
header in, one beside the file or of minigan's own.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

KERNEL = re.compile(
    r'(?:extern\s*"C"\s*)?__global__\s+(?:__launch_bounds__\s*\((?P<b1>[^,)]*)[^)]*\)\s*)?void\s+'
    r"(?:__launch_bounds__\s*\((?P<b2>[^,)]*)[^)]*\)\s*)?(?P<name>\w+)\s*\((?P<parameters>[^)]*)\)(?=\s*\{)"
)
REGISTERS = 64  # an SM's 65,536 then hold 1,024 threads, half of what it can


class CompileError(RuntimeError):
    """Source that a compiler refuses: the first message with file and line as a sentence, then all of them."""


class Kernel(NamedTuple):
    """One `__global__` function: `parameters` as declared, and the first sentence of the comment above it."""

    name: str
    parameters: list[str]
    summary: str


def read(path: Path) -> str:
    """The text of a kernel file; the header of an `#include "NAME.h"` stands in that line, so that lines keep numbers.

    So whoever keeps what is compiled by its text, as CuPy does, sees a header change. Raises `CompileError` for what is
    no text.
    """

    def header(m: re.Match[str]) -> str:
        found = next((f for f in (path.with_name(m[1]), Path(__file__).with_name(m[1])) if f.exists()), None)
        return " ".join(without_comments(found.read_text("utf-8")).split()) if found else m[0]

    try:
        return re.sub(r'^#include "(\w+\.h)"$', header, path.read_text("utf-8"), flags=re.M)
    except (OSError, UnicodeDecodeError) as error:
        raise CompileError(f"{path} cannot be read: {error}") from error


def first_error(log: str) -> str:
    """The first error in what NVRTC says, with file and line as a sentence; empty if there is none."""
    found = re.search(r"^(.+)\((\d+)\): (?:catastrophic )?error[^:]*: (.*)$", log, re.M)
    return f"{found[1]} line {found[2]}: {found[3]}" if found else ""


def without_comments(text: str) -> str:
    """The text with comments blanked, so that lines and columns stay."""
    both = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', re.S)
    return both.sub(lambda m: m[0] if m[0][0] == '"' else re.sub(r"[^\n]", " ", m[0]), text)


def kernels(text: str) -> list[Kernel]:
    """The kernels of a file, in its order."""
    found = []
    for m in KERNEL.finditer(without_comments(text)):
        declared = [" ".join(p.replace("__restrict__", "").split()) for p in m["parameters"].split(",")]
        comment = re.search(r"((?:^[ \t]*//[^\n]*\n)+)\Z", text[: m.start()], re.M)
        words = re.sub(r"^[ \t]*//", "", comment[1] if comment else "", flags=re.M).split()
        found.append(Kernel(m["name"], declared, re.split(r"(?<=\.)\s(?=[A-Z])", " ".join(words))[0]))
    return found


def constants(text: str) -> dict[str, str]:
    """The constants of a file and their defaults."""
    blocks = re.findall(r"^#ifndef \w+\s*\n((?:#define [^\n]*\n)+)#endif", without_comments(text), re.M)
    return {n: v.strip() for block in blocks for n, v in re.findall(r"#define (\w+)[ \t]+([^\n]*)", block)}


def variants(text: str) -> list[dict[str, str]]:
    """The sets of constants that a file must compile with: its defaults, and all that its `// variant:` lines say."""
    found: list[dict[str, str]] = [{}]
    for line in re.findall(r"^// variant: (.*)$", text, re.M):
        choices = [[(n, v) for v in values.split(",")] for n, _, values in (w.partition("=") for w in line.split())]
        found += [dict(chosen) for chosen in itertools.product(*choices)]
    return found


def most_registers(text: str) -> int:
    """How many registers the kernels of a file may use: what its line `// registers:` says, else `REGISTERS`."""
    found = re.search(r"^// registers: (\d+)", text, re.M)
    return int(found[1]) if found else REGISTERS


def defines(text: str, values: Mapping[str, object]) -> list[str]:
    """The constants of a file as a compiler's options, defaults but for these; True is 1, a float is a double's."""
    every = {**constants(text), **values}
    return [f"-D{name}={int(v) if isinstance(v, bool) else v}" for name, v in every.items()]
