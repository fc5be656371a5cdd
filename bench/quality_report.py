"""What ``bench/quality.py`` found: a line on the screen, the README's table, a sheet of samples."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from report import short

from minigan import pictures
from minigan.utils.strict_json import parse_json

MEASURES = {  # key: head, format
    "frechet": ("Frechet", ".1f"), "kernel": ("KID", ".1f"), "precision": ("precision", ".2f"),
    "recall": ("recall", ".2f"), "coverage": ("coverage", ".2f"), "classes": ("classes", ".0f"),
    "agreed": ("labels right", ".1%"),
}  # fmt: skip
ACROSS, LEFT, GREYS = 16, 130, 16  # samples of a row of the sheet, pixels for its name, colours


def read(path: Path) -> dict[str, Any]:
    """The results in a file. Raises ``ValueError`` for what ``bench/quality.py`` has not written."""
    try:
        results = parse_json(path.read_bytes())
        results["data"], results["n"], table(results)
        return results
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror})") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not what bench/quality.py writes ({error!r}); name another file") from error


def line(run: dict[str, Any]) -> str:
    """One run on the screen."""
    found = run["metrics"]
    cells = [f"{head} {found[key]:{form}}" for key, (head, form) in MEASURES.items() if key in found]
    return f"{run['label']}, seed {run['seed']}: {', '.join(cells)}; {run['ms_per_step']:.0f} ms a step"


def groups(results: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """The runs that differ in nothing but the seed, the seeds in order; names in the order of the commands."""
    found: dict[str, list[dict[str, Any]]] = {}
    for run in sorted(results["runs"], key=lambda run: (results["labels"].index(run["label"]), run["seed"])):
        found.setdefault(json.dumps([run["label"], run["settings"]], sort_keys=True), []).append(run)
    return list(found.values())


def spread(values: list[Any], form: str) -> str:
    """Mean and standard deviation, of one alone the number; nothing if one is missing."""
    if None in values:
        return ""
    mean = f"{np.mean(values):{form}}"
    return mean if len(values) == 1 else f"{mean} +- {np.std(values, ddof=1):{form}}"


def section(folder: Path) -> str:
    """What README.md shows: the table, the comparison at equal time if there is one, the samples."""
    cpu, torch = folder / "quality_cpu.json", folder / "quality_torch.json"
    parts = [make(read(file)) for file, make in ((cpu, table), (torch, beside)) if file.exists()]
    return "\n\n".join(parts + [f"![samples of each](bench/results/{cpu.stem}.png)"] * cpu.exists())


def table(results: dict[str, Any]) -> str:
    """The floor, and a row for each name."""
    if not results["runs"]:
        return "no runs yet"
    heads = ["", *(head for head, _ in MEASURES.values()), "seeds", "steps", "ms a step", "weights G + D"]
    floor = {"metrics": results["floor"]}
    lines = [[f"real images {results['against'].partition(':')[0]}", *measures([floor]), "", "", "", ""]]
    runs = groups(results)
    for same in runs:
        weights = " + ".join(f"{same[0]['parameters'][net]:,}" for net in ("gen", "dis"))
        costs = (f"{np.mean([run[key] for run in same]):,.0f}" for key in ("steps", "ms_per_step"))
        lines.append([same[0]["label"], *measures(same), str(len(same)), *costs, weights])
    rows = ["| " + " | ".join(cells) + " |" for cells in (heads, ["---"] * len(heads), *lines)]
    return "\n".join([*rows, "", origin(results, runs)])


def measures(runs: list[dict[str, Any]]) -> list[str]:
    return [spread([run["metrics"].get(key) for run in runs], form) for key, (_, form) in MEASURES.items()]


def origin(results: dict[str, Any], groups: list[list[dict[str, Any]]]) -> str:
    """What was measured and on what, and how to do it again."""
    machines = [run["machine"] for run in results["runs"]]
    seen = {key: ", ".join(dict.fromkeys(str(m[key]) for m in machines)) for key in ("threads", "processor")}
    dates, commits = sorted({m["date"][:10] for m in machines}), dict.fromkeys(short(m["commit"]) for m in machines)
    own = {runs[0]["label"]: runs[0]["options"] for runs in groups if "python" not in runs[0]}
    more = [f"{label}: `minigan train {' '.join(options)}`" for label, options in own.items() if options[0] != label]
    return (
        f"Mean +- standard deviation over the seeds, {results['measured']:,} samples of each against "
        f"{results['against']}; features of the classifier that comes along. The first row, other real images, is as "
        f"far as one can get. A step's time is the processor's, of the whole command, its start and its pictures "
        f"included, with {seen['threads']} thread of {seen['processor']}; {' to '.join({dates[0]: 0, dates[-1]: 0})}, "
        f"commit {', '.join(commits)}.{' ' * bool(more)}{'; '.join(more)}"
    )


def beside(results: dict[str, Any]) -> str:
    """The same net in PyTorch, for the same time on the same core, in a sentence."""
    texts = []
    for runs in groups(results):
        library = f"PyTorch {runs[0]['torch'].split('+')[0]}" if "torch" in runs[0] else "minigan"
        distance = spread([run["metrics"]["frechet"] for run in runs], ".1f")
        steps, ms = (np.mean([run[key] for run in runs]) for key in ("steps", "ms_per_step"))
        texts.append(f"{library} to {distance} in {steps:,.0f} steps of {ms:.0f} ms")
    seconds = np.mean([run["processor_seconds"] for run in results["runs"]])
    seeds = len(groups(results)[0])
    return (
        f"Equal time: on one core, one after the other, {seconds:.0f} s each, the same DCGAN came down to a Frechet "
        f"distance of: {', '.join(texts)} ({seeds} seed{'s' * (seeds > 1)}). minigan's time holds its start, snapshots "
        f"and pictures, PyTorch's the steps alone: `python bench/quality.py --gans dcgan --torch PYTHON --json "
        f"bench/results/quality_torch.json`, commit {short(results['runs'][-1]['machine']['commit'])}."
    )


def draw(results: dict[str, Any], folder: Callable[..., Path], path: Path) -> None:
    """A row of samples of the first seed for each name, of those whose samples are still there."""
    from PIL import Image, ImageDraw

    first = [runs[0] for runs in groups(results)]
    files = [folder(run["label"], run["seed"], run["settings"]) / "samples.npz" for run in first]
    found = [(run["label"], np.load(file)["images"][:ACROSS]) for run, file in zip(first, files) if file.exists()]
    if not found:
        return
    sheet = pictures.grid(np.concatenate([images for _, images in found]), len(found))
    high = (sheet.shape[0] + pictures.GAP) // len(found)
    picture = Image.new("L", (LEFT + sheet.shape[1], sheet.shape[0]))
    picture.paste(Image.fromarray(sheet), (LEFT, 0))
    for i, (label, _) in enumerate(found):
        ImageDraw.Draw(picture).text((4, i * high + high // 3), label, fill=255)
    pictures.save_png(path, np.asarray(picture.quantize(GREYS).convert("L")))
