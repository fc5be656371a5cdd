"""A run is a folder: what was asked for, what happened, and all that is needed to go on.

config.json        settings in effect, versions, data
log                losses and opinions of D, a JSON list (LogReport)
samples/           the same noise drawn again and again, one PNG per interval
loss.png           curves of the log             progress.gif   the samples as an animation
gradients.png      of each layer, their lengths  answers.png    D's, at the end, to real and made images
diagnosis.txt      what the log says, in words, if it says anything
best.npz           weights of the generator where --metric was best
snapshot_iter_N    everything needed to resume   gen.npz        the weights of the generator alone
"""

from __future__ import annotations

import errno
import json
import math
import os
import platform
import re
from pathlib import Path
from typing import Any

import numpy

from minigan._version import __version__
from minigan.gans import ARCHITECTURES, GANS
from minigan.gans.nets import OWN, Generator
from minigan.link import Chain
from minigan.serializers import load_npz
from minigan.serializers.npz import FileError
from minigan.utils.files import atomic_write, remove_leftovers
from minigan.utils.strict_json import parse_json

RUNS = Path("runs")


class RunError(Exception):
    """A run folder that cannot be used, or a run that cannot go on; the text is a whole sentence."""


class Damaged(RunError):
    """A file that is not what was once written."""


_CURES = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room: your share of the disk is used up",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f), or choose another disk",
    errno.EIO: "the disk, or the way to it, seems to be broken",
    errno.EROFS: "the disk can be read only: choose a folder on another one",
    errno.EACCES: "get the right to it, or choose another folder",
    errno.EPERM: "get the right to it, or choose another folder",
    errno.ENOENT: "it is not there (any more): put it back, or choose another",
    errno.ENOTDIR: "a file stands where a folder is wanted: move it away",
    errno.EISDIR: "a folder stands where a file is wanted: move it away",
}


def explained(error: OSError) -> str:
    """Say what the system would not do, with which file, and what helps."""
    if error.errno is None or error.filename is None:
        return str(error)
    return f"{error.filename}: {error.strerror}; {_CURES.get(error.errno, 'look at it, and try again')}"


class RunFolder:
    """The files of one run by name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.samples = path / "samples"
        self.config = path / "config.json"
        self.log = path / "log"
        self.weights = path / "gen.npz"
        self.best = path / "best.npz"
        self.curves = path / "loss.png"
        self.gradients = path / "gradients.png"
        self.answers = path / "answers.png"
        self.diagnosis = path / "diagnosis.txt"
        self.animation = path / "progress.gif"

    @classmethod
    def check_free(cls, path: Path) -> RunFolder:
        """Return the run that a folder may become; refuse one that holds a run, or that could not be made."""
        run = cls(path)
        if run.config.exists() or run.snapshots():
            raise RunError(
                f"{path} already holds a run: go on with it by --resume {path}, or choose another folder with --out"
            )
        there = next(p for p in (path.absolute(), *path.absolute().parents) if os.path.exists(p))
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            why = errno.EACCES if there.is_dir() else errno.ENOTDIR
            raise _cannot_be_written(path, OSError(why, os.strerror(why), str(there)))
        return run

    @classmethod
    def create(cls, path: Path, settings: dict[str, Any], data: dict[str, Any]) -> RunFolder:
        """Make the folder and write down what was asked for; refuse it as `check_free` does."""
        run = cls.check_free(path)
        versions = {"minigan": __version__, "python": platform.python_version(), "numpy": numpy.__version__}
        try:
            run.samples.mkdir(parents=True, exist_ok=True)
            run.write_config({"settings": settings, "data": data, "versions": versions})
        except OSError as error:
            raise _cannot_be_written(path, error) from error
        return run

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Return the run in a folder; raises `RunError` where there is none."""
        run = cls(path)
        if not path.exists():
            raise RunError(f"{path} does not exist; pass the folder of a run, as `minigan train` names it at its end")
        if not run.config.is_file():
            raise RunError(f"{path} is no run folder (it has no config.json); pass one that `minigan train` has made")
        run.read_config()
        return run

    @classmethod
    def newest(cls, parent: Path = RUNS) -> RunFolder:
        """Return the run that was written to last."""
        found = sorted(parent.glob("*/config.json"), key=lambda file: file.stat().st_mtime)
        if not found:
            raise RunError(f"there is no run in {parent}/ to go on with; start one with `minigan train`")
        return cls.open(found[-1].parent)

    def read_config(self) -> dict[str, Any]:
        """Return config.json; raises `RunError` if it is damaged."""
        try:
            config = parse_json(self.config.read_bytes())
            _check_settings(config["settings"])
            int(config["data"]["crc32"])
            return config
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise RunError(
                f"{self.config} is damaged: it does not hold the settings of a run ({error}); put them right, or start "
                f"another run"
            ) from error

    def write_config(self, config: dict[str, Any]) -> None:
        """Write config.json anew."""
        with atomic_write(self.config, "w") as file:
            file.write(json.dumps(config, indent=2) + "\n")

    def settings(self) -> dict[str, Any]:
        """Return the settings in effect."""
        return self.read_config()["settings"]

    def tidy(self) -> None:
        """Make the folder ready to go on: remove the half files of a run that was killed."""
        self.samples.mkdir(exist_ok=True)
        for folder in (self.path, self.samples):
            remove_leftovers(folder, age=0)

    def sample(self, iteration: int) -> Path:
        """Name the sample grid of an iteration."""
        return self.samples / f"iter_{iteration:07}.png"

    def snapshot(self, iteration: int) -> Path:
        """Name the snapshot of an iteration."""
        return self.path / f"snapshot_iter_{iteration}"

    def snapshots(self) -> list[Path]:
        """Return the snapshots, newest first."""
        found = [p for p in self.path.glob("snapshot_iter_*") if re.fullmatch(r"snapshot_iter_\d+", p.name)]
        return sorted(found, key=iteration_of, reverse=True)

    def generator(self, snapshot: Path | None = None) -> tuple[Generator, Path]:
        """Return G with the newest weights, or those of `snapshot`, and the file they came from."""
        settings = self.settings()
        gen, _ = build(settings)
        own = (self.weights.name, self.best.name)
        if snapshot is not None and snapshot.name not in own and snapshot not in self.snapshots():
            raise RunError(f"{snapshot} has no weights; pass the run's folder, its gen.npz or best.npz, or a snapshot")
        if snapshot is not None and snapshot.name in own:
            load(snapshot, gen)
            return gen, snapshot
        for file in [snapshot] if snapshot else self.snapshots():
            load(file, gen, "updater/ema/" if settings["ema"] else "updater/model:gen/")
            return gen, file
        if not self.weights.exists():
            raise RunError(f"{self.path} has no snapshot yet, so there are no weights yet; let it train longer")
        load(self.weights, gen)
        return gen, self.weights


def _cannot_be_written(path: Path, error: OSError) -> RunError:
    return RunError(f"--out {path} cannot be written to ({explained(error)})")


def _check_settings(settings: dict[str, Any]) -> None:
    """Raise `ValueError` for settings that `minigan train` cannot have written, `KeyError` for one that is missing."""
    for name in ("width", "z_dim", "batch_size", "n_dis", "steps", "channels", "size", "log_every", "sample_every",
                 "snapshot_every"):  # fmt: skip
        if type(settings[name]) is not int or not 1 <= settings[name] < 2**31:
            raise ValueError(f"{name} is {settings[name]!r}")
    for name in ("alpha", "alpha_dis", "beta1", "beta2", "ema", "seed"):
        if not isinstance(settings[name], (int, float)) or not math.isfinite(settings[name]):
            raise ValueError(f"{name} is {settings[name]!r}")
    for name, known in (("gan", GANS), ("arch", ARCHITECTURES), ("data", None), ("device", None)):
        if not isinstance(settings[name], str) or (known is not None and settings[name] not in known):
            raise ValueError(f"{name} is {settings[name]!r}")


def iteration_of(snapshot: Path) -> int:
    """Return N of .../snapshot_iter_N."""
    return int(snapshot.name.rpartition("_")[2])


def build(settings: dict[str, Any]) -> tuple[Generator, Chain]:
    """Return `(gen, dis)` as the settings of a run describe them."""
    architecture = ARCHITECTURES[settings["arch"]]
    return architecture.build(
        settings["z_dim"], settings["channels"], settings["size"], settings["width"],
        norm_dis=settings.get("norm_dis"), condition=settings.get("condition"), n_classes=settings.get("n_classes", 0),
        n_codes=settings.get("n_codes", 0), answer=settings.get("answer"), pack=settings.get("pack", 1),
        minibatch_dis=settings.get("minibatch_dis", False),
        **{name: settings[name] for name in OWN if name in settings},
    )  # fmt: skip


def load(file: Path, target: Any, path: str = "") -> None:
    """Fill a net, or a whole trainer, from a file; one sentence says what is wrong with it if that fails."""
    try:
        load_npz(file, target, path=path)
    except (FileError, OSError) as error:
        raise Damaged(f"{file} is damaged ({error}); delete it to go back to the snapshot before it") from error
    except (KeyError, ValueError, TypeError) as error:
        raise RunError(
            f"{file} does not fit: it was written by another architecture, or is damaged ({error}); use the settings "
            f"it was trained with"
        ) from error
