"""From options to the settings of a run: what holds when nothing is given, and what may change when a run goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from minigan.cli.data import MADE, named_data
from minigan.cli.gan_options import TRICKS, check_knobs, check_tricks
from minigan.cli.presets import preset_of
from minigan.cli.run_folder import RunError, RunFolder
from minigan.gans import ARCHITECTURES, GANS

AUTO = "auto"  # --resume without a name
COMMON: dict[str, Any] = {"z_dim": 100, "n_dis": 1, "seed": 0, "graph": False, "norm_dis": None}
COMMON |= {name: default for name, (default, _, _) in TRICKS.items()}
FREE_ON_RESUME = ("data", "labels", "skip_bad", "steps", "epochs", "device", "snapshot_every", "patience")
"""What may change when a run goes on; all else would make it another run."""


def described(name: str) -> str:
    """Say what an option is when it is not given: a number of most architectures, and what others have instead."""
    found: dict[Any, list[str]] = {}
    for arch, nets in ARCHITECTURES.items():
        found.setdefault(nets.defaults[name], []).append(arch)
    most = max(found, key=lambda value: len(found[value]))
    others = [f"{', '.join(archs)} {value}" for value, archs in found.items() if value != most]
    return f"[default: {'; '.join([str(most), *others])}]"


def effective_settings(given: dict[str, Any]) -> dict[str, Any]:
    """Return the settings in effect: given options over a preset's, the GAN's, the architecture's and the common."""
    data = named_data(given["data"])
    chosen = {**preset_of(given, data), **{k: v for k, v in given.items() if v is not None}}
    gan = chosen.get("gan", "dcgan")
    flags = [name for name in ("size", "channels", "labels", "skip_bad") if chosen.get(name)]
    if flags and data.partition(":")[0] in MADE:
        flag = flags[0].replace("_", "-")
        raise click.UsageError(f"--{flag} is for images that are read; --data {data} is made: leave it out")
    own = {"gan": gan, **GANS[gan].DEFAULTS, **({"arch": "ring"} if data == "ring" else {})}
    arch = chosen.get("arch", own["arch"])
    if (arch == "ring") != (data == "ring"):
        raise click.UsageError(
            f"--arch {arch} does not fit --data {data}: the nets ring are for the points of --data ring, all others "
            f"for images; leave --arch out"
        )
    check_knobs(gan, arch, given)
    own |= getattr(GANS[gan], "ON_ARCH", {}).get(arch, {})
    if given["epochs"]:
        chosen["steps"] = None
    if given["alpha"]:
        chosen.setdefault("alpha_dis", given["alpha"])
    settings = {**COMMON, **ARCHITECTURES[arch].defaults, **own, **chosen, "data": data}
    check_tricks(settings)
    return settings


def settle_length(settings: dict[str, Any], n: int) -> None:
    """Turn epochs into steps and fill in the intervals that depend on the number of steps; check the batch."""
    if settings["batch_size"] > n:
        raise click.UsageError(f"--batch-size {settings['batch_size']}: the data has {n} images; pass a smaller one")
    if settings.get("epochs"):
        per_step = settings["batch_size"] * settings["n_dis"] * settings.get("accumulate", 1)
        settings["steps"] = max(1, -(-int(settings["epochs"] * n) // per_step))
    for name, parts in (("snapshot_every", 4), ("sample_every", 20), ("log_every", 40)):
        settings.setdefault(name, max(1, settings["steps"] // parts))


def check_length(given: dict[str, Any]) -> None:
    """Refuse two answers to one question."""
    if given["steps"] and given["epochs"]:
        raise click.UsageError("--steps and --epochs both say how long to train; pass one of them")


def run_to_resume(resume: str, out: Path | None) -> tuple[RunFolder, Path | None]:
    """Return the run that `--resume` means: the one it names, that of `--out`, or the newest; and the snapshot named.

    Raises:
        RunError: there is no such run.
    """
    folder, snapshot = out if resume == AUTO else Path(resume), None
    if folder is not None and folder.is_file():
        folder, snapshot = folder.parent, folder
    if resume != AUTO and out is not None and folder != out:
        raise click.UsageError(f"--resume {resume} and --out {out} name two folders; a run goes on in its own")
    run = RunFolder.newest() if folder is None else RunFolder.open(folder)
    if snapshot is not None and snapshot not in run.snapshots():
        raise RunError(f"--resume {resume} is no snapshot of {folder}; pass the folder, or one of its snapshot_iter_N")
    return run, snapshot


def resumed_settings(run: RunFolder, given: dict[str, Any]) -> dict[str, Any]:
    """Return the run's own settings, of which only length, device, place of the data and snapshots may change."""
    settings = run.settings()
    source = click.get_current_context().get_parameter_source
    for name, value in given.items():
        if value is None or source(name) is click.core.ParameterSource.DEFAULT:
            continue
        if name not in FREE_ON_RESUME and settings.get(name) != value:
            raise click.UsageError(
                f"{run.path} was trained with {name.replace('_', '-')} {settings.get(name)}, not {value}; leave the "
                f"option out to go on with it, or start another run"
            )
        settings[name] = named_data(value) if name == "data" else value
        if name == "steps":
            settings["epochs"] = None
    return settings
