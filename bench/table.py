"""``python bench/table.py``: the tables of README.md and bench/README.md, from cpu.json and quality_*.json in results.

They stand between two marks in either file, and tests assert that they are what this command would write.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import quality_report
from report import NAMES, fastest, short
from timing import ratio

from minigan.utils.files import atomic_write

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results" / "cpu.json"
OWN = ("minigan", "numba")
BRIEF = ("gan_step", "mlp_step", "training", "import")  # what README.md shows row by row
BEGIN, END = "<!-- written by python bench/table.py -->", "<!-- to here -->"
QUALITY = "<!-- quality, written by python bench/table.py -->"
Row = dict[str, dict[str, Any]]


def rows(results: dict[str, Any]) -> Iterator[tuple[str, str, Row]]:
    """(case, row, library -> figures of its fastest variant) of what was compared with a peer."""
    for case, part in results["cases"].items():
        for name, row in part["rows"].items():
            found = fastest(row["variants"])
            if case not in ("roofs", "scaling") and "minigan" in found and found.keys() - {*OWN}:
                yield case, name, found


def milliseconds(ms: float) -> str:
    return f"{ms:.0f}" if ms >= 100 else f"{ms:.3g}"


def lines_of(found: list[tuple[str, Row]], results: dict[str, Any], key: str = "median_ms") -> list[str]:
    """A table: one line for each row, one column for each library, the best of a line in bold; last, comparisons."""
    present = dict.fromkeys(name for _, row in found for name in row)
    own, peers = [name for name in OWN if name in present], [n for n in present if n not in (*OWN, "plain")]
    libraries = [*own, *peers, *(["plain"] if "plain" in present else [])]
    versions = {name: said["version"].split("+")[0] for name, said in results["versions"].items()}
    heads = [f"{NAMES.get(name, name)} {versions.get(name, '')}".strip() for name in libraries]
    peer = peers[0] if peers else "plain"
    heads += [f"{NAMES[name]} takes, of {NAMES.get(peer, peer)}'s time" for name in own]
    lines = ["| | " + " | ".join(heads) + " |", "| --- " * (1 + len(heads)) + "|"]
    for what, row in found:
        best = min(figures[key] for figures in row.values())
        cells = [milliseconds(row[name][key]) if name in row else "" for name in libraries]
        cells = [f"**{cell}**" if cell and row[name][key] == best else cell for name, cell in zip(libraries, cells)]
        for name in own:
            compared = key == "median_ms" and name in row and peer in row
            cells.append("{:.2f} ({:.2f} to {:.2f})".format(*pairwise(row, name, peer)) if compared else "")
        lines.append(f"| {what} | " + " | ".join(cells) + " |")
    return lines


def pairwise(row: Row, own: str, peer: str) -> tuple[float, float, float]:
    """How many times as long one of minigan's takes, measurement by measurement."""
    return ratio(row[own]["times_ms"], row[peer]["times_ms"])


def ranges(found: list[tuple[str, str, Row]], peer: str) -> list[str]:
    """For each layer, the least and the most that minigan takes as a multiple of a peer's time."""
    cases: dict[str, list[float]] = {}
    for case, _, row in found:
        if case not in BRIEF and peer in row and row["minigan"].get("GB/s") and row["minigan"]["median_ms"] > 0.5:
            cases.setdefault(case, []).append(pairwise(row, "minigan", peer)[0])
    return [f"{case} {min(times):.2f} to {max(times):.2f}" for case, times in cases.items()]


def origin(results: dict[str, Any]) -> str:
    """What was measured on, and how: one sentence, and the doubts."""
    machine, doubts = results["machine"], results["quiet"]["reasons"]
    text = f"{machine['cores']} cores of {machine['processor']}, {machine['threads']} threads each, "
    text += f"{machine['date'][:10]}, commit {short(machine['commit'])}: `{results['command']}`."
    return text + "".join(f" Not to be trusted: {doubt}." for doubt in doubts)


def brief(results: dict[str, Any]) -> str:
    """What README.md shows: steps, loops, the import, memory; of the layers the range."""
    found = list(rows(results))
    times = [(f"{case}: {name}, ms", row) for case, name, row in found if case in BRIEF]
    memory = [
        (f"{case}: peak memory, MB", {name: f for name, f in row.items() if "peak_mb" in f})
        for case, _, row in found
        if case.endswith("_step")
    ]
    lines = [*lines_of(times, results), *lines_of(memory, results, "peak_mb")[2:], "", origin(results)]
    for peer in [name for name in results["versions"] if name not in OWN and ranges(found, name)]:
        of = NAMES.get(peer, peer)
        lines.append(f"The layers take, as a multiple of {of}'s time: {'; '.join(ranges(found, peer))}.")
    return "\n".join(lines)


def whole(results: dict[str, Any]) -> str:
    """What bench/README.md shows: every row, and the pictures that were drawn."""
    lines = [origin(results), "", *lines_of([(f"{case}: {name}", row) for case, name, row in rows(results)], results)]
    pictures = [RESULTS.with_name(f"{RESULTS.stem}_{name}.png") for name in ("bars", "roofline", "scaling")]
    lines += [f"\n![{path.stem}](results/{path.name})" for path in pictures if path.exists()]
    return "\n".join(lines)


def written(text: str, table: str, begin: str = BEGIN) -> str:
    """``text`` with the table between the marks."""
    return re.sub(
        f"({re.escape(begin)}\n).*?({re.escape(END)})", lambda m: f"{m[1]}{table}\n{m[2]}", text, flags=re.DOTALL
    )


def main() -> None:
    try:
        results = json.loads(RESULTS.read_text())
        quality = quality_report.section(RESULTS.parent)
        tables = ("README.md", BEGIN, brief(results)), ("bench/README.md", BEGIN, whole(results))
        for path, begin, table in ((ROOT / name, *rest) for name, *rest in (*tables, ("README.md", QUALITY, quality))):
            text = written(path.read_text(), table, begin)
            with atomic_write(path, "w") as file:
                file.write(text)
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"bench/table.py: no tables from {RESULTS.parent}, where bench/run.py and quality.py write: {error!r}")


if __name__ == "__main__":
    main()
