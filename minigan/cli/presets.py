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
        "MNIST (60,000), 15 minutes of one core: Frechet distance 2.6, precision 0.84, recall 0.82, coverage 0.91, "
        "99.3 % of the labels agreed with",
        {"gan": "cgan", "steps": 6000},
    ),
    "digits-plain": Preset(
        "MNIST (60,000), 15 minutes of one core, told of no classes: Frechet distance 4.9, precision 0.76, recall "
        "0.82, coverage 0.87",
        {"gan": "dcgan", "steps": 6000},
    ),
    "stacked": Preset(
        "--data stacked-mnist (128,000 images), 50 minutes of a shared core: 1,000 of 1,000 modes, KL to equal modes "
        "0.040 (of real stacks 0.024), Frechet distance of the digits 2.6",
        {"gan": "dcgan", "arch": "planes", "pack": 2, "r1": 1.0, "steps": 6000},
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
