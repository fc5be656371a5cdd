"""`minigan kernels`: which CUDA kernels there are, whether they compile for every GPU, whether they are right."""

from __future__ import annotations

from collections.abc import Sized
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

import minigan.kernels
from minigan.kernels import compile as compiler
from minigan.kernels import source
from minigan.kernels.emulator import HarnessError, default_harness, toolchain
from minigan.kernels.emulator import check as check_file

_files = click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))


def _own() -> tuple[Path, ...]:
    return tuple(sorted(Path(minigan.kernels.__file__).parent.glob("*.cu")))


def _read(file: Path) -> str:
    try:
        return source.read(file)
    except source.CompileError as error:
        raise click.ClickException(str(error)) from error


def _table(head: str, rows: list[list[str]]) -> None:
    """Print columns, words to the left and numbers to the right."""
    names = [name.replace("_", " ") for name in head.split()]
    widths = [max(map(len, column)) for column in zip(names, *rows)]
    for row in [names, *rows]:
        cells = [c.rjust(w) if c[:1].isdigit() else c.ljust(w) for c, w in zip(row, widths)]
        click.echo("  ".join(cells).rstrip())


def _fail(faults: list[str]) -> None:
    for fault in faults:
        click.echo(fault, err=True)
    if faults:
        raise click.ClickException(_count(faults, "fault"))


def _count(things: Sized, name: str, plural: str = "s") -> str:
    return f"{len(things)} {name}{plural if len(things) != 1 else ''}"


@click.group()
def kernels() -> None:
    """Look at CUDA kernels without a GPU: minigan's own, or a .cu file of yours."""


@kernels.command("list")
@_files
def list_(files: tuple[Path, ...]) -> None:
    """Say which kernels there are, what they do and the constants that they are compiled with."""
    for file in files or _own():
        text = _read(file)
        given = ", ".join(f"{name} = {value}" for name, value in source.constants(text).items())
        click.echo(f"{file.name}{f' ({given})' if given else ''}")
        for kernel in source.kernels(text):
            click.echo(f"  {kernel.name:<24} {kernel.summary}")


def _compiled(job: tuple[str, str, str, dict[str, str]]) -> list[compiler.Resources] | source.CompileError:
    """What each kernel of a file takes, or why it does not compile."""
    try:
        return compiler.compile_source(*job)
    except source.CompileError as error:
        return error


@kernels.command("compile")
@_files
@click.option("--arch", "architectures", multiple=True, metavar="sm_XX", help="Architecture; can be given repeatedly.  "
              f"[default: {', '.join(compiler.ARCHITECTURES)}]")  # fmt: skip
@click.option("-D", "constants", multiple=True, metavar="NAME=VALUE", help="Constant; instead of the file's variants.")
def compile_(files: tuple[Path, ...], architectures: tuple[str, ...], constants: tuple[str, ...]) -> None:
    """Compile for GPUs that need not be there; fail on an error, a spill, or more registers than a file allows.

    Each file is compiled with its defaults and for each of its lines `// variant: NAME=VALUE ...`.
    """
    reason = compiler.unavailable_reason()
    if reason:
        raise click.ClickException(reason)
    faults: list[str] = []
    rows: list[list[str]] = []
    chosen = [dict(c.partition("=")[::2] for c in constants)]
    jobs = [
        (text, file.name, architecture, variant)
        for file in files or _own()
        for text in [_read(file)]
        for variant in (chosen if constants else source.variants(text))
        for architecture in architectures or compiler.ARCHITECTURES
    ]
    with ThreadPoolExecutor() as pool:  # NVRTC works outside of Python's lock
        results = list(pool.map(_compiled, jobs))
    for (text, name, architecture, variant), found in zip(jobs, results):
        if isinstance(found, source.CompileError):
            faults.append(f"{str(found).splitlines()[0]} ({architecture})")
            continue
        words = " ".join(f"{constant}={value}" for constant, value in variant.items())
        for r in found:
            rows.append([name, r.kernel, architecture, words or "-", *map(str, r[2:])])
            faults += [f"{name} {fault}" for fault in r.faults(source.most_registers(text))]
    _table("file kernel architecture constants registers shared stack spilled", rows)
    _fail(faults)


@kernels.command()
@_files
@click.option("--harness", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Python file with launches().  [default: FILE_check.py beside FILE.cu, else minigan's]")  # fmt: skip
def check(files: tuple[Path, ...], harness: Path | None) -> None:
    """Run kernels on the CPU and look at every access: overruns, races, barriers, overflow, words never written.

    A harness says how they are launched; kernels/README.md shows one. The table says what each source line costs:
    sectors of 32 bytes that a warp's request takes, against the least possible.
    """
    reason = toolchain()
    if reason:
        raise click.ClickException(reason)
    faults: list[str] = []
    for file in files or [f for f in _own() if default_harness(f).exists()]:
        try:
            checked = check_file(file, harness)
        except (HarnessError, RuntimeError) as error:
            raise click.ClickException(str(error).splitlines()[0]) from error
        faults += checked.faults
        declared = {k.name: k.parameters for k in source.kernels(_read(file))}
        sums: dict[tuple[str, ...], list[float]] = {}
        for entry, accesses in checked.accesses:
            for a in accesses:
                names = declared[entry]
                if isinstance(a.argument, str):
                    name = a.argument
                else:  # beyond the arguments lies what addresses in a table lead to
                    name = names[a.argument].split()[-1] if a.argument < len(names) else "(by address)"
                row = sums.setdefault((entry, str(a.line), a.op, a.space, name), [0, 0, 0, 0])
                for i, cost in enumerate((1, a.sectors_per_request, a.ideal, a.bank_conflicts)):
                    row[i] += cost * a.requests
        orders = "in forward, reverse and random order"
        wrong = f"{_count(checked.faults, 'fault')} {orders}"
        right = f"{_count(checked.accesses, 'launch', 'es')} {orders}: no fault"
        click.echo(f"{file.name}: {wrong if checked.faults else right}")
        if sums:
            rows = [[*key, str(n), *(f"{cost / n:.1f}" for cost in costs)] for key, (n, *costs) in sums.items()]
            rows.sort(key=lambda row: (row[0], int(row[1])))
            _table("kernel line op space argument requests sectors ideal bank_conflicts", rows)
    _fail(faults)
