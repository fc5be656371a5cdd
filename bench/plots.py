"""The pictures of a run: bars (time beside minigan's), the roofline, and how time and memory grow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

COLOURS = {"minigan": "#1f77b4", "torch": "#e8743b", "chainer": "#2ca02c", "dezero": "#9467bd", "plain": "#8c8c8c"}
MARKERS = {"im2col": "s", "batch_norm": "o", "convolution": "^", "deconvolution": "v", "elementwise": "D"}
WIDEST = 5.0  # times minigan's time; longer bars are cut, and say so


def draw(results: dict[str, Any], path: Path) -> list[Path]:
    """Draw what the results hold into PATH_bars.png, PATH_roofline.png, PATH_scaling.png; return which were drawn."""
    drawn = []
    for name, picture in (("bars", bars), ("roofline", roofline), ("scaling", scaling)):
        if figure := picture(results):
            target = path.with_name(f"{path.stem}_{name}.png")
            figure.text(0.01, 0.005, caption(results), fontsize=7, color="#555555", va="bottom")
            figure.savefig(target, dpi=140)
            plt.close(figure)
            drawn.append(target)
    return drawn


def caption(results: dict[str, Any]) -> str:
    machine = results["machine"]
    where = results["versions"].get("minigan", {}).get("gpu") or f"{machine['cores']} cores of {machine['processor']}"
    versions = ", ".join(f"{name} {said['version']}" for name, said in results["versions"].items())
    doubt = "" if results["quiet"]["trusted"] else "; NOT A QUIET MACHINE"
    return f"{where}, {machine['threads']} threads; {versions}; commit {machine['commit'][:12]}{doubt}"


def fastest(variants: dict[str, dict]) -> dict[str, dict]:
    """Library -> figures of its fastest variant; the loops are left out."""
    found: dict[str, dict] = {}
    for variant, figures in variants.items():
        library = variant.split()[0]
        if library in COLOURS and figures["median_ms"] < found.get(library, {"median_ms": np.inf})["median_ms"]:
            found[library] = figures
    return found


def timed(results: dict[str, Any]) -> dict[str, dict[str, dict]]:
    """Case -> row -> library -> figures, without the small rows that are there for the loops, if there are others."""
    found = {}
    for case, part in results["cases"].items():
        rows = {name: row for name, row in part["rows"].items() if "minigan" in fastest(row["variants"])}
        large = {name: row for name, row in rows.items() if "loops" not in row["variants"]}
        if case not in ("roofs", "scaling") and rows:
            found[case] = {name: fastest(row["variants"]) for name, row in (large or rows).items()}
    return found


def bars(results: dict[str, Any]) -> Any:
    """One panel for each case, one group for each row, one bar for each library, in units of minigan's time."""
    cases = timed(results)
    if not cases:
        return None
    libraries = [name for name in COLOURS if any(name in row for rows in cases.values() for row in rows.values())]
    heights = [0.6 + sum(0.3 + 0.17 * len(row) for row in rows.values()) for rows in cases.values()]
    figure, axes = plt.subplots(
        len(cases), figsize=(9, sum(heights) + 1.2), height_ratios=heights, squeeze=False, layout="constrained", sharex=True
    )
    for ax, (case, rows) in zip(axes[:, 0], cases.items()):
        top, ticks = 0.0, []
        for name, row in rows.items():
            ticks.append((top + (len(row) - 1) * 0.17 / 2, name))
            for library in [name for name in libraries if name in row]:
                ms, times = row[library]["median_ms"], row[library]["median_ms"] / row["minigan"]["median_ms"]
                low, high = (row[library][key] / row["minigan"]["median_ms"] for key in ("low_ms", "high_ms"))
                ax.barh(top, min(times, WIDEST), 0.155, color=COLOURS[library])
                if times < WIDEST:
                    ax.hlines(top, low, min(high, WIDEST), color="black", lw=0.8)
                said = f"{ms:.3g} ms" + (f", {times:.1f} x" if times >= WIDEST else "")
                ax.text(min(max(times, high), WIDEST) + 0.03, top, said, va="center", fontsize=7)
                top += 0.17
            top += 0.3
        ax.set_yticks([at for at, _ in ticks], [name for _, name in ticks], fontsize=8)
        ax.set_ylim(top - 0.2, -0.2)
        ax.set_xlim(0, WIDEST + 0.8)
        ax.axvline(1, color=COLOURS["minigan"], lw=0.8, ls="--", zorder=0)
        ax.set_title(case, loc="left", fontsize=9, fontweight="bold")
        ax.tick_params(axis="y", length=0)
        ax.tick_params(axis="x", labelsize=8)
        ax.spines[["top", "right", "left"]].set_visible(False)
    axes[-1, 0].set_xlabel("time as a multiple of minigan's (shorter is faster; the line is the middle four fifths)\n\n")
    handles = [plt.Rectangle((0, 0), 1, 1, color=COLOURS[name]) for name in libraries]
    figure.legend(handles, libraries, loc="outside upper center", ncols=len(libraries), frameon=False, fontsize=9)
    return figure


def roofline(results: dict[str, Any]) -> Any:
    """FLOP/s over FLOP per byte, under the roof that was measured; beside it, what only moves numbers."""
    roofs = results.get("roofs", {})
    if not roofs.get("GB/s") or not roofs.get("GFLOP/s"):
        return None
    computing, moving = [], []
    for case, part in results["cases"].items():
        large = [row for row in part["rows"].values() if "loops" not in row["variants"]]
        for name, row in part["rows"].items():
            if case == "roofs" or not row["bytes"] or large and row not in large:
                continue
            (computing if row["flops"] else moving).append((case, name, row))
    if not computing and not moving:
        return None
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 6), width_ratios=(3, 2), layout="constrained")
    ridge = roofs["GFLOP/s"] / roofs["GB/s"]
    x = np.geomspace(0.1, max(4 * ridge, 300), 200)
    left.plot(x, np.minimum(x * roofs["GB/s"], roofs["GFLOP/s"]), color="black", lw=1.5)
    left.text(0.12, 0.17 * roofs["GB/s"], f"copy: {roofs['GB/s']:.0f} GB/s", rotation=37, fontsize=8, rotation_mode="anchor")
    left.text(x[-1], 1.08 * roofs["GFLOP/s"], f"product: {roofs['GFLOP/s']:.0f} GFLOP/s", ha="right", fontsize=8)
    seen: dict[str, Any] = {}
    for case, _, row in computing:
        for library, found in fastest(row["variants"]).items():
            intensity = row["flops"] / row["bytes"]
            mark = dict(marker=MARKERS.get(case, "o"), color=COLOURS[library], ls="", ms=8 if library == "minigan" else 6)
            left.plot(intensity, found["GFLOP/s"], **mark, alpha=0.85, mec="white", mew=0.5)
            seen.setdefault(library, plt.Rectangle((0, 0), 1, 1, color=COLOURS[library]))
            seen.setdefault(case, plt.Line2D([], [], **{**mark, "color": "black", "ms": 6}))
    left.set(xscale="log", yscale="log", xlabel="FLOP per byte that must move\n\n", ylabel="GFLOP/s")
    left.set_ylim(roofs["GB/s"] * 0.02, roofs["GFLOP/s"] * 2)
    left.grid(which="both", color="#eeeeee")
    left.legend(seen.values(), seen, loc="lower right", fontsize=8, frameon=False, ncols=2)
    left.set_title("the roofline: no point above the line, unless its arrays stay in the cache", fontsize=9, loc="left")
    top, ticks = 0.0, []
    for case, name, row in moving:
        libraries = fastest(row["variants"])
        ticks.append((top + (len(libraries) - 1) * 0.17 / 2, name if name.startswith(case) else f"{name}"))
        for library, found in libraries.items():
            right.barh(top, found["GB/s"] / roofs["GB/s"], 0.155, color=COLOURS[library])
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
    figure, axes = plt.subplots(2, 2, figsize=(10, 7), layout="constrained")
    for column, (label, points) in enumerate(series(rows).items()):
        for line, (key, unit) in enumerate((("median_ms", "ms per step"), ("peak_mb", "peak memory, MB"))):
            ax = axes[line, column]
            for library, of in COLOURS.items():
                found = [(x, row["variants"][library][key]) for x, row in points if library in row["variants"]]
                if len(found) < 2:
                    continue
                x, y = np.array(found).T
                slope, start = np.polyfit(x, y, 1)
                off = np.abs(slope * x + start - y).max() / y.max()
                ax.plot(x, y, "o", color=of, ms=5)
                ax.plot([0, x.max()], [start, slope * x.max() + start], color=of, lw=1, ls="--" if library != "minigan" else "-",
                        label=f"{library}: off the straight line by {off:.0%} at most")  # fmt: skip
            ax.set_xlim(0)
            ax.set_ylim(0)
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
