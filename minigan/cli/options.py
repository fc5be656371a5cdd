"""What several commands share: the device option, finite numbers, and options read from a TOML file."""

from __future__ import annotations

import importlib
import math
import sys
from pathlib import Path
from typing import Any

import click

from minigan.backend import Device, get_device

device_option = click.option(
    "--device", default="cpu", show_default=True, help="cpu (or @numpy, -1), or a GPU: cuda:0 (or @cupy:0, 0)."
)


class Sectioned(click.Command):
    """A command whose help has its options under headings, each of which names some; the others come at the end."""

    def __init__(self, *args: Any, sections: dict[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections = sections

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one list for each heading."""
        records = {str(p.name): record for p in self.get_params(ctx) if (record := p.get_help_record(ctx))}
        parts = {heading: [records.pop(name) for name in names.split()] for heading, names in self.sections.items()}
        for heading, part in {**parts, "Options": list(records.values())}.items():
            with formatter.section(heading):
                formatter.write_dl(part)


class Number(click.FloatRange):
    """A finite number in a range; click itself lets inf through, and nan, which is outside of no range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number, or fail as click does."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


def check_file(flag: str, file: Path, *endings: str) -> None:
    """Refuse a file that could not be written, before any work is done."""
    if endings and file.suffix not in endings:
        raise click.UsageError(f"{flag} {file}: the name must end in {' or '.join(endings)}, which says what to write")
    if not file.absolute().parent.is_dir():
        raise click.UsageError(f"{flag} {file}: the folder {file.parent} does not exist; make it, or choose another")


def named_device(spec: str) -> Device:
    """Return the device that `--device` names: a wrong name is a usage error, a missing GPU a failure with reason."""
    try:
        return get_device(spec)
    except ValueError as error:
        raise click.UsageError(f"--device {spec}: {error}") from error
    except RuntimeError as error:
        raise click.ClickException(f"--device {spec}: {error}; leave --device out to compute on the CPU") from error


def _toml_reader() -> Any:
    """Return tomllib; before Python 3.11 the package tomli stands in for it."""
    name = "tomllib" if sys.version_info >= (3, 11) else "tomli"
    try:
        return importlib.import_module(name)
    except ImportError as error:
        cure = f'--config needs tomli on this Python ({error}); pip install "minigan[toml]"'
        raise click.ClickException(cure) from error


def read_config_file(context: click.Context, _parameter: click.Parameter, path: Path | None) -> Path | None:
    """Make the keys of a TOML file the defaults of this command; command line and environment still come first."""
    if path is None:
        return None
    tomllib = _toml_reader()
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.UsageError(f"--config {path}: not a TOML file ({error})", context) from error
    hidden = ("config", "resume", "dry_run", "help")
    known = {str(p.name): p for p in context.command.params if p.name not in hidden}
    defaults: dict[str, Any] = {}
    for key, value in table.items():
        name = {"lr": "alpha"}.get(key, key.replace("-", "_"))
        if name not in known:
            allowed = ", ".join(sorted(k.replace("_", "-") for k in known))
            raise click.UsageError(f"--config {path}: there is no option {key!r}; known are {allowed}", context)
        if not _fits(value, known[name]):
            wanted = "true or false" if getattr(known[name], "is_flag", False) else known[name].type.name
            raise click.UsageError(f"--config {path}: {key} is {value!r}; wanted one value: {wanted}", context)
        defaults[name] = value
    context.default_map = {**(context.default_map or {}), **defaults}
    return path


def _fits(value: Any, parameter: click.Parameter) -> bool:
    """Whether a TOML value may be handed to click, which would round 1.5 steps and take true for 1."""
    if isinstance(value, str):
        return "\0" not in value  # click reads it as it reads the command line, where no such character can stand
    if isinstance(value, bool):
        return bool(getattr(parameter, "is_flag", False))
    integer = isinstance(value, int) and isinstance(parameter.type, click.IntRange)
    return integer or (isinstance(value, (int, float)) and isinstance(parameter.type, click.FloatRange))
