"""``python bench/quality.py --json FILE``: train each GAN with several seeds and measure what it draws.

A run is what a user would type, `minigan train`, `minigan sample` and `minigan evaluate`: processes of their own with
their share of the cores. The file is written anew after each run. A run that it holds is not done again, so that the
same command goes on after Ctrl-C; one with other settings takes the place of the run of its name and seed.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import click
import numpy

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

from machine import cores, facts  # noqa: E402
from quality_report import draw, line, read  # noqa: E402
from run import hear, stop, target, write  # noqa: E402
from workers import Setting  # noqa: E402

from minigan.cli.data import named_data  # noqa: E402
from minigan.cli.data import read as read_data  # noqa: E402
from minigan.cli.run_folder import build  # noqa: E402
from minigan.cli.settings import COMMON  # noqa: E402
from minigan.gans import ARCHITECTURES, GANS  # noqa: E402
from minigan.utils.files import folder_lock  # noqa: E402

SCALE, FULL, QUICK = 0.5, 10.0, 0.001  # of each GAN's default steps
PEER = ROOT / "bench" / "peers" / "quality_torch.py"
OTHERS = {"data", "labels", "device", "seed", "log_every", "sample_every", "snapshot_every"}  # no part of a row


class Failed(Exception):
    """A command that did not do its work: what it said last."""


class Row(NamedTuple):
    """What is trained under one name, maybe by another library in its own Python."""

    label: str
    options: tuple[str, ...]
    settings: dict[str, Any] | None = None
    python: str | None = None


def rows_of(gans: str | None, presets: tuple[str, ...], more: tuple[str, ...], quick: bool) -> list[Row]:
    """The rows that options ask for, each name once."""
    alone = (presets or more) and not gans
    names = [] if alone else (gans or ("gan,dcgan" if quick else ",".join(GANS))).split(",")
    if unknown := [name for name in names if name not in GANS]:
        raise click.UsageError(f"--gans: there is no {unknown[0]!r}; there are {', '.join(GANS)}")
    rows = [Row(name, (name,)) for name in names] + [Row(name, ("--preset", name)) for name in presets]
    for text in more:
        label, colon, options = text.partition(":")
        if not colon or not options.strip():
            raise click.UsageError(f"--row {text!r}: wanted a name, a colon, and options of `minigan train`")
        rows.append(Row(label.strip(), tuple(shlex.split(options))))
    labels = [row.label for row in rows]
    if twice := [label for label in labels if labels.count(label) > 1]:
        raise click.UsageError(f"there are two rows {twice[0]!r}; name each once")
    return rows


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--json", "path", type=click.Path(path_type=Path), callback=target, required=True, help="The results.")
@click.option("--gans", metavar="NAME,...", help="These only.  [default: all, or none beside --row or --preset]")
@click.option("--row", "more", multiple=True, metavar="NAME:OPTIONS", help="Also what `minigan train OPTIONS` trains.")
@click.option("--preset", "presets", multiple=True, metavar="NAME", help="Also this preset of `minigan train`.")
@click.option("--seeds", type=click.IntRange(1), default=3, help="0, 1, ...: runs of each row.")
@click.option("--data", default="mnist", help="As for `minigan train` and `minigan evaluate --against`.")
@click.option("--n", "n", type=click.IntRange(50), default=10_000, help="Samples that are measured.")
@click.option("--scale", type=click.FloatRange(0, min_open=True), default=SCALE, help="Of each GAN's default steps.")
@click.option("--full", is_flag=True, help=f"Nets twice as wide, {FULL:g} times the default steps: for a GPU.")
@click.option("--quick", is_flag=True, help="A few steps on the built-in digits: to see that everything works.")
@click.option("--jobs", type=click.IntRange(1), default=2, help="Runs at a time, each with its share of the cores.")
@click.option("--device", default="cpu", help="As for `minigan train`.")
@click.option("--torch", "python", metavar="PYTHON", help="After each run of dcgan the same net, for as long, in the "
              "PyTorch of this Python; one core, one run at a time.")  # fmt: skip
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default="runs/quality", help="For the runs.")
def main(path, gans, more, presets, seeds, data, n, scale, full, quick, jobs, device, python, out):
    """Train, draw, measure; Ctrl-C keeps what is done (exit status 130), and the same command goes on."""
    rows = rows_of(gans, presets, more, quick)
    scale = FULL if full else scale
    if quick:
        data, n, scale = "builtin", 100, QUICK
    if python and "dcgan" not in [row.label for row in rows]:
        raise click.UsageError("--torch trains beside dcgan; name it in --gans")
    if python and not (python := shutil.which(asked := python)):
        raise click.UsageError(f"--torch: there is no {asked} to run")
    head = {"data": re.sub(r"[^:]*/", "", data), "n": n}
    try:
        results = read(path) if path.exists() else {**head, "labels": [], "runs": []}
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    if wrong := [f"{key} is {results[key]}, not {head[key]}" for key in head if results[key] != head[key]]:
        raise click.UsageError(f"--json {path} is of other runs: {wrong[0]}; name another file")
    jobs, threads = (1, 1) if python else (jobs, max(1, cores() // jobs))
    bench = Bench(results, path, out.resolve(), named_data(data), device, threads)
    hear(stop)
    try:
        with folder_lock(bench.out):
            status = bench.run(rows, seeds, scale, full, jobs, python)
    except FileExistsError as error:
        raise click.ClickException(f"--out: {error}") from error
    except KeyboardInterrupt as error:
        click.echo("stopped; what is done is kept, and the same command goes on", err=True)
        status = 128 + error.args[0]
    if results["runs"]:
        draw(results, bench.folder, path.with_suffix(".png"))
    sys.exit(status)


class Bench:
    """All runs of one command; `results` is what the JSON holds."""

    def __init__(self, results: dict, path: Path, out: Path, data: str, device: str, threads: int) -> None:
        self.results, self.path, self.out, self.data, self.device = results, path, out, data, device
        self.machine = facts("cuda" if device not in ("cpu", "@numpy", "-1") else "cpu", threads, False)
        del self.machine["seed"], self.machine["tf32"]
        environment = Setting(threads=threads).environment.items()
        self.environment = {name: value for name, value in environment if not name.startswith("MINIGAN_TRAIN_")}
        self.lock, self.children, self.stopped = Lock(), set(), False
        out.mkdir(parents=True, exist_ok=True)

    def run(self, rows: list[Row], seeds: int, scale: float, full: bool, jobs: int, python: str | None) -> int:
        """Do what is missing, the first seed of all rows first; return the exit status."""
        with ThreadPoolExecutor(jobs) as pool:
            try:
                rows = list(pool.map(lambda row: self.settled(row, scale, full), rows))
                if python:
                    at = next(i for i, row in enumerate(rows) if row.label == "dcgan")
                    rows.insert(at + 1, rows[at]._replace(label="dcgan in PyTorch", python=os.path.abspath(python)))
                self.results["labels"] = list(dict.fromkeys([*self.results["labels"], *(row.label for row in rows)]))
                tasks = [(row, seed) for seed in range(seeds) for row in rows if not self.found(row, seed)]
                click.echo(f"{len(tasks)} runs to do, {jobs} at a time", err=True)
                return int(not all([*pool.map(lambda task: self.one(*task), tasks)]))
            except Failed as error:
                raise click.ClickException(str(error)) from error
            except KeyboardInterrupt:
                self.stopped = True
                pool.shutdown(wait=False, cancel_futures=True)
                for child in list(self.children):
                    child.terminate()
                raise

    def settled(self, row: Row, scale: float, full: bool) -> Row:
        """The row with the settings that `minigan train` will use; those of a GAN's name alone are scaled."""
        said, _ = self.minigan("train", *row.options, "--data", self.data, "--device", self.device, "--dry-run")
        settings, more = json.JSONDecoder().raw_decode(said)[0], {}
        if row.options == (row.label,):
            more = {"steps": max(1, round(scale * settings["steps"]))}
            more |= {"width": 2 * settings["width"]} if full else {}
            settings |= more
        own = {k: v for k, v in settings.items() if k not in OTHERS and v and v != COMMON.get(k)}  # 0 stands for off
        added = [word for name, value in more.items() for word in (f"--{name}", str(value))]
        return row._replace(options=(*row.options, *added), settings=own)

    def found(self, row: Row, seed: int) -> dict[str, Any] | None:
        """The run, if the results have it."""
        wanted = row.label, seed, row.settings
        return next((r for r in self.results["runs"] if (r["label"], r["seed"], r["settings"]) == wanted), None)

    def folder(self, label: str, seed: int, settings: dict[str, Any]) -> Path:
        """Where a run is: no other run, and no other settings, have that name."""
        number = zlib.crc32(json.dumps(settings, sort_keys=True).encode())
        return self.out / f"{re.sub('[^A-Za-z0-9.-]+', '-', label)}-{seed}-{number:08x}"

    def one(self, row: Row, seed: int) -> bool:
        """Train, draw, measure, keep; whether all went well."""
        folder = self.folder(row.label, seed, row.settings)
        samples, report = folder / "samples.npz", folder / "report.json"
        shutil.rmtree(folder, ignore_errors=True)
        data, n, started = ("--data", self.data), ("--n", self.results["n"]), time.perf_counter()
        whole = COMMON | ARCHITECTURES[row.settings["arch"]].defaults | row.settings
        counts = [sum(param.size for param in net.params()) for net in build(whole)]
        run = {
            "label": row.label, "seed": seed, "options": row.options, "settings": row.settings,
            "parameters": dict(zip(("gen", "dis"), counts)), "steps": row.settings["steps"], "machine": self.machine,
        }  # fmt: skip
        try:
            if row.python:
                run |= self.peer(row, seed, samples, counts)
                seconds = run["processor_seconds"]
            else:
                device = "--device", self.device
                once = "--seed", seed, "--snapshot-every", run["steps"], "--out", folder, "--quiet"
                _, seconds = self.minigan("train", *row.options, *data, *device, *once)
                run |= {"seconds": time.perf_counter() - started, "processor_seconds": seconds}
                self.minigan("sample", folder, *n, "--out", samples, *device)
            self.minigan("evaluate", samples, "--against", self.data, *n, "--json", report, "--quiet")
        except Failed as error:
            if not self.stopped:
                click.echo(f"{row.label}, seed {seed}: {error}", err=True)
            return False
        on_cpu = self.machine["device"] == "cpu"
        run["ms_per_step"] = 1e3 * (seconds if on_cpu else run["seconds"]) / run["steps"]
        self.keep(run, json.loads(report.read_text()))
        return True

    def peer(self, row: Row, seed: int, samples: Path, counts: list[int]) -> dict[str, Any]:
        """Train the same net in PyTorch for the seconds that minigan took, its start and its pictures included."""
        twin = self.found(row._replace(label="dcgan"), seed)
        if twin is None:
            raise Failed("dcgan has no run of this seed to compare with")
        images = self.out / "images.npy"
        numpy.save(images, read_data(self.data).x_train)
        samples.parent.mkdir()
        asked = {"z_dim": COMMON["z_dim"], **row.settings, "seed": seed, "n": self.results["n"], "parameters": counts,
                 "seconds": twin["processor_seconds"]}  # fmt: skip
        said, _ = self.call(row.python, PEER, json.dumps(asked), images, samples)
        return json.loads(said)

    def minigan(self, *arguments: Any) -> tuple[str, float]:
        return self.call(sys.executable, "-m", "minigan", *arguments)

    def call(self, *command: Any) -> tuple[str, float]:
        """What a command prints, and the processor time that it takes."""
        if self.stopped:
            raise Failed("stopped")
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            child = subprocess.Popen([*map(str, command)], stdout=out, stderr=err, cwd=ROOT, env=self.environment)
            self.children.add(child)
            _, status, usage = os.wait4(child.pid, 0)
            self.children.discard(child)
            child.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0), err.seek(0)
            if child.returncode:
                said = err.read().strip().splitlines() or [f"ended with status {child.returncode}"]
                raise Failed(f"{' '.join(map(str, command[2:4]))}: {said[-1]}")
            return out.read(), usage.ru_utime + usage.ru_stime

    def keep(self, run: dict[str, Any], report: dict[str, Any]) -> None:
        """Add the run to the results, in place of one of its name and seed, and write them."""
        run["metrics"] = next(iter(report["samples"].values()))
        with self.lock:
            others = [r for r in self.results["runs"] if (r["label"], r["seed"]) != (run["label"], run["seed"])]
            self.results.update(
                against=report["against"].partition(" from ")[0], measured=report["n"], floor=report["floor"],
                classifier=report["classifier"], runs=[*others, run],
            )  # fmt: skip
            write(self.path, json.dumps(self.results, indent=1) + "\n")
        click.echo(line(run))


if __name__ == "__main__":
    main()
