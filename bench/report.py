"""From milliseconds to what they mean: rates, shares of the roofs, ratios to the peers; and the table on the screen."""

from __future__ import annotations

from typing import Any

from timing import ratio

INFINITE = float("inf")
NAMES = {
    "minigan": "minigan", "numba": "minigan with numba", "torch": "PyTorch", "chainer": "Chainer", "dezero": "DeZero",
    "plain": "plain NumPy",
}  # fmt: skip
HEAD = f"  {'':<34}{'ms':>10}{'spread':>8}{'GB/s':>8}{'GFLOP/s':>9}{'of roof':>9}{'peak MB':>9}  minigan takes"


def rated(figures: dict[str, dict], row: dict[str, Any], roofs: dict[str, float]) -> None:
    """Add to each variant's figures its rates, its share of the roof and the time minigan takes as a multiple of it.

    The roof: no row can be faster than its bytes at the speed of a copy, or its FLOPs at the speed of a large product.
    (An array that stays in the cache can.)
    """
    work = (("GB/s", row["bytes"]), ("GFLOP/s", row["flops"]))
    bound = max(much / 1e6 / roofs[rate] if rate in roofs else 0.0 for rate, much in work)
    for variant, found in figures.items():
        ms = found["median_ms"]
        found.update({rate: much / ms / 1e6 for rate, much in work if much})
        if bound:
            found["of_roof"] = bound / ms
        if (mine := counterpart(variant, figures)) and mine != variant:
            ratios = ratio(figures[mine]["times_ms"], found["times_ms"])
            found["minigan_takes"], *found["minigan_takes_between"] = ratios


def counterpart(variant: str, figures: dict[str, dict]) -> str | None:
    """The variant of minigan that another is compared with: of the same form ("torch graph"), else the fastest."""
    own = [name for name in figures if name.split()[0] == "minigan"]
    if variant in own or not own:
        return None
    form = variant.partition(" ")[2]
    form = {"channels last": "own layout"}.get(form, form)
    same = f"minigan {form}".strip() if variant.split()[0] != "NumPy" else "minigan"
    return same if same in own else min(own, key=lambda name: figures[name]["median_ms"])


def short(commit: str) -> str:
    """As people quote it, and whether files were changed since."""
    return commit[:12] + "-dirty" * commit.endswith("-dirty")


NOT_LIBRARIES = {"loops", "NumPy", "NumPy,", "CuPy"}


def fastest(variants: dict[str, dict]) -> dict[str, dict]:
    """Library -> figures of its fastest variant, minigan first and the plain formulas last."""
    found: dict[str, dict] = {}
    for variant, figures in variants.items():
        library = variant.split()[0]
        if (
            library not in NOT_LIBRARIES
            and figures["median_ms"] < found.get(library, {"median_ms": INFINITE})["median_ms"]
        ):
            found[library] = figures
    return {name: found[name] for name in sorted(found, key=lambda name: (name == "plain", name != "minigan"))}


CELLS = (("median_ms", "{:.3f}", 10), ("spread", "{:.0%}", 8), ("GB/s", "{:.1f}", 8), ("GFLOP/s", "{:.0f}", 9),
         ("of_roof", "{:.0%}", 9), ("peak_mb", "{:.0f}", 9))  # fmt: skip


def table(name: str, row: dict[str, Any]) -> str:
    """The lines of one row."""
    lines = [f"  {name}   {row['shapes']}"]
    for variant, found in row["variants"].items():
        cells = [f"{text.format(found[key]) if key in found else '':>{width}}" for key, text, width in CELLS]
        if "minigan_takes" in found:
            low, high = found["minigan_takes_between"]
            cells.append(f"  {found['minigan_takes']:.2f} ({low:.2f} to {high:.2f}) x as long")
        lines.append(f"    {variant:<32}{''.join(cells)}".rstrip())
    return "\n".join(lines)
