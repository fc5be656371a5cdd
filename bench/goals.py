"""``python bench/goals.py FOLDER``: what gpu_check.sh wrote, held against the goals that were set for one GPU.

A: the captured training step takes at most 1.0 of PyTorch's manual graph and of torch.compile, the eager one 0.6 of
eager PyTorch. B: im2col and col2im at 0.85 of a copy's bandwidth where the columns take 64 MB. C: batch normalisation
with LeakyReLU likewise, and 1.3 times as fast as PyTorch's pair. D: the GPU ends in the CPU's weights.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LARGE = 64 << 20


def goals(folder: Path) -> list[str]:
    """One line for each figure that a goal asks for: met, missed or unmeasured."""
    lines = []
    for name in ("step", "step_tf32"):
        for row, found in rows(folder / f"gpu_{name}.json", "gan_step"):
            for mine, theirs, most in (("minigan graph", "torch graph", 1.0), ("minigan graph", "torch compile", 1.0),
                                       ("minigan", "torch", 0.6)):  # fmt: skip
                lines.append(line(f"A, {name}, {row}: {mine} / {theirs}", ratio(found, mine, theirs), most=most))
    kernels = folder / "gpu_kernels.json"
    for row, found in rows(kernels, "im2col"):
        a = found["arguments"]
        out = (a["size"] + 2 * a["pad"] - a["k"]) // a["stride"] + 1
        if 4 * a["n"] * a["c"] * (a["k"] * out) ** 2 >= LARGE:
            lines.append(line(f"B, {row}: share of the copy", share(found, "minigan"), least=0.85))
    for row, found in rows(kernels, "batch_norm"):
        a = found["arguments"]
        if 4 * a["n"] * a["c"] * a["size"] ** 2 >= LARGE:
            lines.append(line(f"C, {row}: share of the copy", share(found, "minigan kernel"), least=0.85))
        faster = [r for name in ("torch", "torch channels last") if (r := ratio(found, name, "minigan kernel"))]
        lines.append(line(f"C, {row}: torch / minigan", min(faster, default=None), least=1.3))
    for row, found in rows(folder / "gpu_agreement.json", "agreement"):
        far = [d for name, d in found.get("found", {}).items() if "@cupy" in name]
        cpu = found.get("found", {}).get("minigan float32, CPU")
        times = far[0] / cpu if far and cpu else None
        lines.append(line(f"D, {row}: GPU's distance / CPU's, from float64", times, most=3.0))
    missing = [goal for goal in "ABCD" if not any(text.split(": ")[1].startswith(goal) for text in lines)]
    return lines + [f"unmeasured: {goal}" for goal in missing]


def rows(path: Path, case: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if path.exists():
        yield from json.loads(path.read_text())["cases"].get(case, {}).get("rows", {}).items()


def ratio(row: dict[str, Any], above: str, below: str) -> float | None:
    times = [row["variants"].get(name, {}).get("median_ms") for name in (above, below)]
    return times[0] / times[1] if all(times) else None


def share(row: dict[str, Any], name: str) -> float | None:
    """Of the roof, which is the copy's for what only moves numbers; that of the fastest variant of that name."""
    shares = [v["of_roof"] for n, v in row["variants"].items() if n.startswith(name) and "of_roof" in v]
    return max(shares, default=None)


def line(what: str, found: float | None, most: float | None = None, least: float | None = None) -> str:
    wanted = f"wanted {least} or more" if most is None else f"wanted {most} or less"
    if found is None:
        return f"unmeasured: {what} ({wanted})"
    met = found >= least if most is None else found <= most
    return f"{'met' if met else 'MISSED'}: {what} is {found:.3f} ({wanted})"


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: python bench/goals.py FOLDER, the one into which bench/gpu_check.sh wrote")
    try:
        print("\n".join(goals(Path(sys.argv[1]))))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        sys.exit(f"bench/goals.py: a file in {sys.argv[1]} is not what bench/run.py --json writes: {error!r}")
