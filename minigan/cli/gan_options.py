"""The options of `minigan train` that belong to some GANs only: their own numbers, which stand in their `DEFAULTS`."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import click

from minigan.cli.options import Number
from minigan.gans import GANS

KNOBS: dict[str, tuple[click.ParamType, str]] = {
    "lam": (Number(0), "Weight of the GAN's further term (lambda)"),
    "clip": (Number(0, min_open=True), "Bound of the critic's weights"),
    "spread": (Number(0), "Noise around real images, in their standard deviations"),
}


def knob_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command one option for each number that some GAN has."""
    for name, (kind, text) in reversed(KNOBS.items()):
        owners = ", ".join(f"{gan} {module.DEFAULTS[name]:g}" for gan, module in _owners(name).items())
        add = click.option(f"--{name.replace('_', '-')}", name, type=kind, help=f"{text}.  [default: {owners}]")
        command = add(command)
    return command


def check_knobs(gan: str, given: dict[str, Any]) -> None:
    """Refuse a number that the GAN does not have."""
    for name in KNOBS:
        if given.get(name) is not None and name not in GANS[gan].DEFAULTS:
            flag, owners = name.replace("_", "-"), ", ".join(_owners(name))
            raise click.UsageError(f"--{flag} is of {owners}; {gan} has no such number: leave it out")


def _owners(name: str) -> dict[str, ModuleType]:
    return {gan: module for gan, module in GANS.items() if name in module.DEFAULTS}
