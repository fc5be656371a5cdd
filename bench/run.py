"""``python bench/run.py``: verify, then time; print a table, write JSON, draw plots.

A run is two walks over the same rows. The first asks every variant of every library for its results and compares them;
if one differs, that is the end, and nothing is timed. The second takes their times, in turn. Each library computes in a
process of its own (``workers.py``); this one only asks, so that it disturbs nobody.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).resolve().parent))

from cases import Row, find  # noqa: E402
from compare import compared, read  # noqa: E402
from machine import Watch, clocks, cores, facts  # noqa: E402
from report import HEAD, rated, table  # noqa: E402
from timing import PAUSE, summary  # noqa: E402
from verify import verify  # noqa: E402
from workers import LIBRARIES, BenchError, Missing, Setting, Worker, parse_peers, team  # noqa: E402

CASES = find()
SECONDS, LEAST_REPEATS = 6.0, 5  # a row ends after so many seconds, but not before so many repeats


def names(context: Any, parameter: Any, text: str) -> list[str]:
    chosen = list(dict.fromkeys(name for name in text.split(",") if name))
    if not chosen:
        raise click.BadParameter(f"{text!r} names no case; there are {', '.join(CASES)}, or all")
    if wrong := [name for name in chosen if name not in [*CASES, "all"]]:
        raise click.BadParameter(f"there is no {wrong[0]!r}; there are {', '.join(CASES)}, or all")
    return list(CASES) if "all" in chosen else chosen


def target(context: Any, parameter: Any, path: Path | None) -> Path | None:
    """The path, if something can be written there: which is better said now than in ten minutes."""
    if path is None:
        return None
    if path.is_dir():
        raise click.BadParameter(f"{path} is a folder; a file's name is wanted")
    if not path.resolve().parent.is_dir():
        raise click.BadParameter(f"there is no folder {path.parent} to write {path.name} into")
    if not os.access(path.resolve().parent, os.W_OK):
        raise click.BadParameter(f"nothing can be written into the folder {path.parent}")
    if parameter.name == "plot" and importlib.util.find_spec("matplotlib") is None:
        raise click.BadParameter(f"the pictures want matplotlib, which {sys.executable} does not have")
    return path


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--case", "chosen", default="all", callback=names, metavar="CASE,...", help=f"Of {', '.join(CASES)}.")
@click.option(
    "--device", type=click.Choice(["cpu", "cuda", "emulator"]), default="cpu", help="emulator: the GPU's way."
)
@click.option("--peers", default="", metavar="NAME[=PYTHON],...", help="Libraries to compare with, and their Pythons.")
@click.option("--quick", is_flag=True, help="Small arrays, two repeats: to see that everything works.")
@click.option("--repeats", type=click.IntRange(1), default=20, help="Measurements of each variant.")
@click.option("--threads", type=click.IntRange(1), default=cores(), help="Of every library.")
@click.option("--tf32", is_flag=True, help="Let a GPU's products of float32 round their factors, in all libraries.")
@click.option("--compiled", is_flag=True, help="Steps by torch.compile on a GPU, too, which takes a minute or two.")
@click.option("--json", "out", type=click.Path(path_type=Path), callback=target, help="Write the results there.")
@click.option("--plot", type=click.Path(path_type=Path), callback=target, help="Draw PLOT_bars.png and its like.")
@click.option("--compare", "old", type=click.Path(exists=True, path_type=Path), help="Mark what changed since.")
def main(chosen, device, peers, quick, repeats, threads, tf32, compiled, out, plot, old):
    """Verify that all variants compute the same, then time them in turn.

    Ctrl-C keeps what is done (exit status 130), and so does SIGTERM (143).
    """
    emulated = device == "emulator"
    try:
        before = read(old) if old else None
    except BenchError as error:
        raise click.ClickException(str(error)) from error
    bench = Bench(Setting(device, threads, tf32, compiled), quick or emulated, 2 if quick or emulated else repeats)
    status = 0
    hear(stop)
    try:
        libraries = parse_peers(peers)
        if emulated and libraries:
            raise BenchError("--peers: the emulator is minigan's own; leave out --peers, or take another --device")
        bench.run(["roofs", *(name for name in chosen if name != "roofs")], libraries)
    except KeyboardInterrupt as error:
        click.echo(f"\nstopped; {'what is done is kept' if bench.results['cases'] else 'nothing was timed'}", err=True)
        bench.results["interrupted"], status = True, 128 + error.args[0]
    except BenchError as error:
        if not bench.results["cases"]:
            raise click.ClickException(str(error)) from error
        click.echo(f"Error: {error}; what is done is kept", err=True)
        bench.results["failed"], status = str(error), 1
    hear(signal.SIG_IGN)  # until what is done is written
    if not bench.results["cases"]:  # an earlier run's results are worth more
        sys.exit(status)
    results = bench.finished()
    for reason in results["quiet"]["reasons"]:
        click.echo(f"this machine is too noisy for these figures to be trusted: {reason}")
    try:
        if out:
            write(out, json.dumps(results, indent=1) + "\n")
        hear(stop)
        if before:
            click.echo("\n".join(compared(before, results)))
        if plot:
            import plots  # and matplotlib with it

            drawn = plots.draw(results, plot)
            click.echo("\n".join(f"drew {path}" for path in drawn) or "nothing that was measured makes a picture")
    except OSError as error:
        raise click.ClickException(f"nothing could be written: {error}") from error
    except KeyboardInterrupt as error:
        status = 128 + error.args[0]
    sys.exit(status)


def hear(what: Any) -> None:
    """Say what Ctrl-C and SIGTERM do from now on."""
    signal.signal(signal.SIGINT, what)
    signal.signal(signal.SIGTERM, what)


def stop(number: int, frame: Any) -> None:
    """End the run; once is enough, for what is done must still be written."""
    hear(signal.SIG_IGN)
    raise KeyboardInterrupt(number)


def write(path: Path, text: str) -> None:
    from minigan.utils.files import atomic_write  # a Python without minigan gets a sentence from the worker

    with atomic_write(path, "w") as file:
        file.write(text)


class Bench:
    """One run: what was found so far is in ``results`` at any time."""

    def __init__(self, setting: Setting, quick: bool, repeats: int) -> None:
        self.setting, self.quick, self.repeats = setting, quick, repeats
        self.watch = Watch()
        asked = re.sub(rf"({'|'.join(LIBRARIES)})=[^,\s]+", r"\1=PYTHON", " ".join(sys.argv[1:]))
        self.results: dict[str, Any] = {
            "machine": facts(setting.device, setting.threads, setting.tf32),
            "command": f"python bench/run.py {asked}",
            "versions": {}, "left_out": [], "cases": {},
        }  # fmt: skip

    def run(self, chosen: list[str], peers: list[tuple[str, str]]) -> None:
        rows = [(name, row) for name in chosen for row in CASES[name].rows(self.setting.device, self.quick)]
        with ExitStack() as stack:
            workers = [stack.enter_context(Worker("minigan", sys.executable, self.setting))]
            for name, python in peers:
                try:
                    workers.append(stack.enter_context(Worker(name, python, self.setting)))
                except Missing as error:
                    click.echo(str(error))
                    self.results["left_out"].append(str(error))
            self.results["versions"] = {worker.name: worker.hello for worker in workers}
            click.echo(f"comparing what {', '.join(self.results['versions'])} compute in {len(rows)} rows", err=True)
            found = [self.verify(name, row, workers) for name, row in rows]
            for (name, row), seen in zip(rows, found):
                self.measure(name, row, workers, seen)

    def verify(self, name: str, row: Row, workers: list[Worker]) -> Any:
        """Compare what all variants of a row compute; return what the case finds worth telling."""
        variants = [pair for worker in workers for pair in prepared(name, row, worker)]
        answers = {variant: worker.answer(variant) for worker, variant in variants}
        return verify(f"{name}, {row.name}", CASES[name], answers, 10 if self.setting.tf32 else 1)

    def measure(self, name: str, row: Row, workers: list[Worker], found: Any) -> None:
        """Time all variants of a row in turn, keep the figures and print them."""
        case = CASES[name]
        kept = {**row._asdict(), "variants": {}}
        del kept["name"]
        if found is not None:
            kept["found"] = found
        if getattr(case, "TIMED", True):
            if getattr(case, "FRESH", False):
                with team([(worker.name, worker.python) for worker in workers], self.setting) as fresh:
                    kept["variants"] = self.times(name, row, fresh)
            else:
                kept["variants"] = self.times(name, row, workers)
            rated(kept["variants"], kept, self.roofs(name))
        rows = self.results["cases"].setdefault(name, {"about": about(case), "rows": {}})["rows"]
        if not rows:
            click.echo(f"\n{name}: {about(case)}\n{HEAD}")
        rows[row.name] = kept
        click.echo(table(row.name, kept))
        for what, number in (found or {}).items():
            click.echo(f"    {what:<32}{number:10.3g}")

    def times(self, name: str, row: Row, workers: list[Worker]) -> dict[str, dict]:
        """Variant -> figures. A measurement of one is followed by one of the next: all see the same machine."""
        variants = [pair for worker in workers for pair in prepared(name, row, worker)]
        for worker, variant in variants:
            worker.ask("warm", variant=variant, quick=self.quick)
        readings: dict[str, list[float]] = {variant: [] for _, variant in variants}
        start = time.perf_counter()
        for done in range(self.repeats):
            if done >= LEAST_REPEATS and time.perf_counter() - start > getattr(CASES[name], "SECONDS", SECONDS):
                break
            self.watch.calibrate()
            for worker, variant in variants:
                time.sleep(0 if self.quick else PAUSE)
                readings[variant].append(worker.ask("time", variant=variant)["ms"])
        figures = {variant: summary(times) for variant, times in readings.items()}
        if getattr(CASES[name], "FRESH", False):
            for worker, variant in variants:
                figures[variant] |= worker.ask("peak")
        return figures

    def roofs(self, name: str) -> dict[str, float]:
        """The best of what was measured first: GB/s of a copy, GFLOP/s of a product."""
        if name == "roofs":
            return {}
        rows = self.results["cases"]["roofs"]["rows"].values()
        best = {
            rate: max((v[rate] for row in rows for v in row["variants"].values() if rate in v), default=0.0)
            for rate in ("GB/s", "GFLOP/s")
        }
        self.results["roofs"] = best
        return best

    def finished(self) -> dict[str, Any]:
        """The results, with what is known only at the end."""
        if self.setting.device == "cuda":
            self.results["machine"]["clocks_after"] = clocks()
        self.results["quiet"] = self.watch.verdict()
        return self.results


def prepared(name: str, row: Row, worker: Worker) -> list[tuple[Worker, str]]:
    """A worker and each of its variants of a row."""
    return [(worker, variant) for variant in worker.ask("prepare", case=name, arguments=row.arguments)["variants"]]


def about(case: Any) -> str:
    """The first sentence of a case's docstring."""
    return case.__doc__.partition("\n")[0]


if __name__ == "__main__":
    main()
