"""What several commands share: the device option, and options read from a TOML file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from minigan.backend import Device, get_device

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

device_option = click.option(
    "--device", default="cpu", show_default=True, help="cpu (or @numpy, -1), or a GPU: cuda:0 (or @cupy:0, 0)."
)


def named_device(spec: str) -> Device:
    """Return the device that `--device` names: a wrong name is a usage error, a missing GPU a failure with reason."""
    try:
        return get_device(spec)
    except ValueError as error:
        raise click.UsageError(f"--device {spec}: {error}") from error
    except RuntimeError as error:
        raise click.ClickException(f"--device {spec}: {error}; leave --device out to compute on the CPU") from error


def read_config_file(context: click.Context, _parameter: click.Parameter, path: Path | None) -> Path | None:
    """Make the keys of a TOML file the defaults of this command; command line and environment still come first."""
    if path is None:
        return None
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.UsageError(f"--config {path}: not a TOML file ({error})", context) from error
    except OSError as error:
        raise click.UsageError(f"--config {path}: {error}", context) from error
    known = {str(p.name) for p in context.command.params} - {"config", "resume", "dry_run", "help"}
    defaults: dict[str, Any] = {}
    for key, value in table.items():
        name = {"lr": "alpha"}.get(key, key.replace("-", "_"))
        if name not in known:
            allowed = ", ".join(sorted(k.replace("_", "-") for k in known))
            raise click.UsageError(f"--config {path}: there is no option {key!r}; known are {allowed}", context)
        if isinstance(value, (dict, list)):
            raise click.UsageError(f"--config {path}: {key} must be one value, not a table or a list", context)
        defaults[name] = value
    context.default_map = {**(context.default_map or {}), **defaults}
    return path
