"""The pictures of a run: bars (time beside minigan's), the roofline, and how time and memory grow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from report import NAMES, fastest, short

from minigan.utils.files import atomic_path

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

COLOURS = {
    "minigan": "#1f77b4", "numba": "#7fb6dd", "torch": "#e8743b", "chainer": "#2ca02c", "dezero": "#9467bd",
    "plain": "#8c8c8c",
}  # fmt: skip
MARKERS = {"im2col": "s", "batch_norm": "o", "convolution": "^", "deconvolution": "v", "elementwise": "D"}
FIRST = ("gan_step", "mlp_step", "training", "import")
WIDEST = 5.0  # times minigan's time; longer bars are cut, and say so


def colour(library: str) -> str:
    return COLOURS.get(library, "#17becf")


def draw(results: dict[str, Any], path: Path) -> list[Path]:
    """Draw what the results hold into PATH_bars.png, PATH_roofline.png, PATH_scaling.png; return which were drawn."""
    drawn = []
    for name, picture in (("bars", bars), ("roofline", roofline), ("scaling", scaling)):
        if figure := picture(results):
            target = path.with_name(f"{path.stem}_{name}.png")
            figure.text(0.01, 0.005, caption(results), fontsize=7, color="#555555", va="bottom")
            with atomic_path(target) as name:
                figure.savefig(name, dpi=140)
            plt.close(figure)
            drawn.append(target)
    return drawn


def caption(results: dict[str, Any]) -> str:
    machine = results["machine"]
    where = results["versions"].get("minigan", {}).get("gpu") or f"{machine['cores']} cores of {machine['processor']}"
    versions = ", ".join(f"{name} {said['version']}" for name, said in results["versions"].items())
    doubt = "" if results["quiet"]["trusted"] else "; NOT A QUIET MACHINE"
    return f"{where}, {machine['threads']} threads; {versions}\ncommit {short(machine['commit'])}{doubt}"


def large(rows: dict[str, dict]) -> dict[str, dict]:
    """Without the small rows that are there for the loops, if there are others."""
    most = max((row["bytes"] for row in rows.values()), default=0)
    return {name: row for name, row in rows.items() if row["bytes"] >= 0.01 * most}


def timed(results: dict[str, Any]) -> dict[str, dict[str, dict]]:
    """Case -> row -> library -> figures, in the order of what matters most to a user."""
    found = {}
    for case in sorted(results["cases"], key=lambda name: (name not in FIRST, name)):
        rows = {name: fastest(row["variants"]) for name, row in large(results["cases"][case]["rows"]).items()}
        rows = {name: row for name, row in rows.items() if "minigan" in row and len(row) > 1}
        if case not in ("roofs", "scaling") and rows:
            found[case] = rows
    return found


def bars(results: dict[str, Any]) -> Any:
    """One panel for each case, one group for each row, one bar for each library, in units of minigan's time."""
    cases = timed(results)
    if not cases:
        return None
    libraries = list(dict.fromkeys(name for rows in cases.values() for row in rows.values() for name in row))
    heights = {case: 0.75 + sum(0.16 + 0.13 * len(row) for row in rows.values()) for case, rows in cases.items()}
    columns: list[list[str]] = [[], []]
    for case in cases:  # into the column that is shorter so far
        min(columns, key=lambda column: sum(heights[name] for name in column)).append(case)
    columns = [column for column in columns if column]
    height = max(sum(heights[name] for name in column) for column in columns) + 1
    figure = plt.figure(figsize=(7 * len(columns), height), layout="constrained")
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour(name)) for name in libraries]
    names = [NAMES.get(name, name) for name in libraries]
    figure.legend(handles, names, loc="outside upper center", ncols=len(names), frameon=False, fontsize=9)
    for part, column in zip(np.atleast_1d(figure.subfigures(1, len(columns))), columns):
        filling = height - sum(heights[name] for name in column)
        axes = part.subplots(len(column) + 1, height_ratios=[*(heights[name] for name in column), filling])
        axes[-1].axis("off")
        for ax, case in zip(axes, column):
            panel(ax, case, cases[case], libraries)
        label = "time as a multiple of minigan's; the line is the middle four fifths"
        axes[len(column) - 1].set_xlabel(label, fontsize=8)
    return figure


def panel(ax: Any, case: str, rows: dict[str, dict], libraries: list[str]) -> None:
    top, ticks = 0.0, []
    for name, row in rows.items():
        ticks.append((top + (len(row) - 1) * 0.13 / 2, name))
        mine = row["minigan"]["median_ms"]
        for library in [name for name in libraries if name in row]:
            ms, low, high = (row[library][key] for key in ("median_ms", "low_ms", "high_ms"))
            ax.barh(top, min(ms / mine, WIDEST), 0.12, color=colour(library))
            said, end = f"{ms:.0f} ms" if ms >= 100 else f"{ms:.3g} ms", min(high / mine, WIDEST)
            if ms / mine < WIDEST:
                ax.hlines(top, low / mine, end, color="black", lw=0.7)
            else:
                said, end = f"{said}, {ms / mine:.1f} x", WIDEST
            ax.text(end + 0.03, top, said, va="center", fontsize=6.5)
            top += 0.13
        top += 0.16
    ax.set_yticks([at for at, _ in ticks], [name for _, name in ticks], fontsize=8)
    ax.set_ylim(top - 0.12, -0.12)
    ax.set_xlim(0, WIDEST + 0.9)
    ax.axvline(1, color=COLOURS["minigan"], lw=0.8, ls="--", zorder=0)
    ax.set_title(case, loc="left", fontsize=9, fontweight="bold")
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelsize=7)
    ax.spines[["top", "right", "left"]].set_visible(False)


def roofline(results: dict[str, Any]) -> Any:
    """FLOP/s over FLOP per byte, under the roof that was measured; beside it, what only moves numbers."""
    roofs = results.get("roofs", {})
    if not roofs.get("GB/s") or not roofs.get("GFLOP/s"):
        return None
    computing, moving = [], []
    for case, part in results["cases"].items():
        for name, row in large(part["rows"]).items():
            if case != "roofs" and row["bytes"] and row["variants"]:
                (computing if row["flops"] else moving).append((case, name, row))
    if not computing and not moving:
        return None
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 6), width_ratios=(3, 2), layout="constrained")
    ridge = roofs["GFLOP/s"] / roofs["GB/s"]
    x = np.geomspace(0.1, max(4 * ridge, 300), 200)
    left.plot(x, np.minimum(x * roofs["GB/s"], roofs["GFLOP/s"]), color="black", lw=1.5)
    left.text(0.5, 0.65 * roofs["GB/s"], f"copy: {roofs['GB/s']:.0f} GB/s", ha="right", fontsize=8)
    left.text(x[-1], 1.08 * roofs["GFLOP/s"], f"product: {roofs['GFLOP/s']:.0f} GFLOP/s", ha="right", fontsize=8)
    libraries, cases = {}, {}
    for case, _, row in computing:
        for library, found in fastest(row["variants"]).items():
            intensity = row["flops"] / row["bytes"]
            size = 8 if library == "minigan" else 6
            mark = dict(marker=MARKERS.get(case, "o"), color=colour(library), ls="", ms=size)
            left.plot(intensity, found["GFLOP/s"], **mark, alpha=0.85, mec="white", mew=0.5)
            libraries.setdefault(NAMES.get(library, library), plt.Rectangle((0, 0), 1, 1, color=colour(library)))
            cases.setdefault(case, plt.Line2D([], [], **{**mark, "color": "black", "ms": 6}))
    left.set(xscale="log", yscale="log", xlabel="FLOP per byte that must move\n\n", ylabel="GFLOP/s")
    left.set_ylim(roofs["GB/s"] * 0.02, roofs["GFLOP/s"] * 2)
    left.grid(which="both", color="#eeeeee")
    seen = libraries | cases
    left.legend(seen.values(), seen, loc="lower right", fontsize=8)
    title = "above the line: arrays that stay in the cache; convolutions that save products"
    left.set_title(title, fontsize=9, loc="left")
    top, ticks = 0.0, []
    for _, name, row in moving:
        libraries = fastest(row["variants"])
        ticks.append((top + (len(libraries) - 1) * 0.17 / 2, name))
        for library, found in libraries.items():
            right.barh(top, found["GB/s"] / roofs["GB/s"], 0.155, color=colour(library))
            right.text(found["GB/s"] / roofs["GB/s"] + 0.01, top, f"{found['GB/s']:.1f} GB/s", va="center", fontsize=7)
            top += 0.17
        top += 0.2
    right.axvline(1, color="black", lw=1.5)
    right.set_yticks([at for at, _ in ticks], [name for _, name in ticks], fontsize=8)
    right.set_ylim(top, -0.2)
    right.set_xlabel("share of the copy's bandwidth\n\n")
    right.spines[["top", "right", "left"]].set_visible(False)
    right.set_title("what only moves numbers", fontsize=9, loc="left")
    return figure


def scaling(results: dict[str, Any]) -> Any:
    """Time and peak memory over the batch and over the area of an image; straight lines where growth is linear."""
    rows = results["cases"].get("scaling", {}).get("rows", {}).values()
    if len(rows) < 2:
        return None
    found = series(rows)
    figure, axes = plt.subplots(2, len(found), figsize=(5.5 * len(found), 7), layout="constrained", squeeze=False)
    for column, (label, points) in enumerate(found.items()):
        for line, (key, unit) in enumerate((("median_ms", "ms per step"), ("peak_mb", "peak memory, MB"))):
            ax = axes[line, column]
            for library in dict.fromkeys(name for _, row in points for name in fastest(row["variants"])):
                pairs = [(x, row["variants"][library][key]) for x, row in points if library in row["variants"]]
                if len(pairs) < 2:
                    continue
                x, y = np.array(pairs).T
                slope, start = np.polyfit(x, y, 1)
                off = np.abs(slope * x + start - y).max() / y.max()
                ax.plot(x, y, "o", color=colour(library), ms=5)
                label_of = f"{NAMES.get(library, library)}: off the straight line by {off:.0%} at most"
                ax.plot([0, x.max()], [start, slope * x.max() + start], color=colour(library), lw=1, label=label_of)
            ax.set_xlim(0)
            ax.set_ylim(0, 1.25 * ax.get_ylim()[1])  # room for the legend
            ax.set_xlabel(label + "\n\n" * line, fontsize=9)
            ax.set_ylabel(unit, fontsize=9)
            ax.legend(fontsize=7, frameon=False, loc="upper left")
            ax.spines[["top", "right"]].set_visible(False)
    figure.suptitle("one step of the book's DCGAN; the lines are fitted", fontsize=10)
    return figure


def series(rows: Any) -> dict[str, list[tuple[int, dict]]]:
    """Rows that differ in the batch alone, and in the size alone: label -> (x, row)."""
    rows = list(rows)
    sizes, batches = ([row["arguments"][key] for row in rows] for key in ("size", "batch"))
    size, batch = min(sizes), min(batches)
    found = {
        f"batch, of {size} x {size} images": [(b, row) for b, s, row in zip(batches, sizes, rows) if s == size],
        f"pixels of an image, batch {batch}": [(s * s, row) for b, s, row in zip(batches, sizes, rows) if b == batch],
    }
    return {label: points for label, points in found.items() if len(points) > 1}
