"""`minigan train --preset NAME`: options that were tuned together, and what was measured with them.

A preset stands in for options that are not given; any that is given, on the command line, in the environment or in a
file, still counts. The name is kept in the run's config.json beside the settings that came of it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import click


class Preset(NamedTuple):
    """Options of `minigan train`, and what they reached."""

    reaches: str
    options: dict[str, Any]


PRESETS = {
    "digits": Preset(
        "MNIST (60,000), 11.5 minutes of one core: Frechet distance 4.5, precision 0.83, recall 0.73, coverage 0.87, "
        "99.6 % of the labels agreed with",
        {"gan": "cgan", "arch": "fine", "steps": 6000, "schedule": "linear", "ema": 0.999},
    ),
    "digits-quick": Preset(
        "MNIST (60,000), 4 minutes of one core: Frechet distance 7.1, precision 0.81, recall 0.71, coverage 0.83, "
        "99.1 % of the labels agreed with",
        {"gan": "cgan", "arch": "fine", "steps": 2000, "schedule": "linear"},
    ),
    "digits-guessed": Preset(
        "MNIST (60,000), 4 minutes of one core: Frechet distance 8.1, precision 0.78, recall 0.70, coverage 0.81, "
        "98.3 % of the labels agreed with",
        {"gan": "acgan", "arch": "fine", "steps": 2000, "schedule": "linear"},
    ),
}  # fmt: skip
"""Measured on 10,000 samples with `minigan evaluate` against MNIST's test images, one seed each, machine shared."""
LIST = "list"


def described() -> str:
    """All presets: name, the options as they would be typed, what they reach."""
    return "\n".join(f"{name}: minigan train {_typed(preset.options)}\n    {preset.reaches}"
                     for name, preset in PRESETS.items())  # fmt: skip


def _typed(options: dict[str, Any]) -> str:
    words = [f"--{name.replace('_', '-')} {value}" for name, value in options.items() if name != "gan"]
    return " ".join([options["gan"], *words])


def preset_of(given: dict[str, Any], data: str) -> dict[str, Any]:
    """The options of the preset that is given, if one is: it is for one GAN, and for images."""
    if not given.get("preset"):
        return {}
    name, options = given["preset"], PRESETS[given["preset"]].options
    if given["gan"] not in (None, options["gan"]):
        raise click.UsageError(f"--preset {name} is of {options['gan']}, not of {given['gan']}; leave one of them out")
    if data == "ring":
        raise click.UsageError(f"--preset {name} is for images, and --data ring has points; leave one of them out")
    return options


def _list(context: click.Context, _parameter: click.Parameter, name: str | None) -> str | None:
    if name == LIST:
        click.echo(described())
        context.exit()
    return name


preset_option = click.option(
    "--preset", type=click.Choice([*PRESETS, LIST]), callback=_list, is_eager=True,
    help="Options that were tuned together, where none is given; list: say what each is and reaches.",
)  # fmt: skip
