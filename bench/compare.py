"""``--compare OLD.json``: what has changed by more than the spread, both ways, and whether that means anything."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from report import short
from workers import BenchError

MACHINE = ("device", "processor", "cores", "threads", "numpy", "python", "tf32", "driver")  # what should be alike

FEW = 5


def read(path: Path) -> dict[str, Any]:
    """The results of an earlier run. Raises ``BenchError`` for what ``--json`` would not have written."""
    try:
        results = json.loads(path.read_text())
        found = {key: results[key] for key in ("machine", "versions", "quiet", "cases")}
        for place, figures in variants(found).items():
            if not all(0 < figures[key] < math.inf for key in ("low_ms", "median_ms", "high_ms")):
                raise ValueError(f"{', '.join(place[:3])} takes {figures['median_ms']} ms")
        compared(found, found)
        return found
    except OSError as error:
        raise BenchError(f"--compare: {path} cannot be read ({error.strerror})") from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise BenchError(f"--compare: {path} is not what --json writes ({error})") from error


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, float, float]]:
    """``(what, old ms, new ms)`` for every variant whose times do not overlap any more, in the order of ``new``.

    A variant has changed if the middle four fifths of its times before and after have nothing in common, and the
    medians differ by more than 2 %; measured less than five times, by more than a factor of 2.
    """
    was = variants(old)
    return [
        (", ".join(filter(None, place[:3])), was[place]["median_ms"], now["median_ms"])
        for place, now in variants(new).items() if place in was and not same(was[place], now)
    ]  # fmt: skip


def same(before: dict[str, float], now: dict[str, float]) -> bool:
    apart = now["low_ms"] > before["high_ms"] or now["high_ms"] < before["low_ms"]
    past, present = before["median_ms"], now["median_ms"]
    few = min(figures.get("repeats", FEW) for figures in (before, now)) < FEW
    return not apart or max(past, present) <= (2 if few else 1.02) * min(past, present)


def variants(results: dict[str, Any]) -> dict[tuple[str, str, str, str], dict[str, float]]:
    """(case, row, variant, shapes) -> figures; a row of other shapes is another one."""
    return {
        (case, row, variant, kept.get("shapes", "")): figures
        for case, part in results["cases"].items()
        for row, kept in part["rows"].items()
        for variant, figures in kept["variants"].items()
    }


def compared(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """The lines to be printed."""
    machine = old["machine"]
    lines = [f"\ncompared with {short(machine.get('commit', 'unknown'))} of {machine.get('date', 'an unknown day')}:"]
    for key in MACHINE:
        before, present = (results["machine"].get(key) for results in (old, new))
        if before != present:
            lines.append(f"  not the same machine: {key} was {before}, is {present}")
    for library, present in new["versions"].items():
        before = old["versions"].get(library, present)
        if library != "minigan" and before != present:
            lines.append(f"  not the same {library}: it was {before}, is {present}")
    for name, results in (("that run", old), ("this run", new)):
        lines += [f"  {name} is not to be trusted: {reason}" for reason in results.get("quiet", {}).get("reasons", [])]
    was, now = variants(old), variants(new)
    if few := sum(figures.get("repeats", FEW) < FEW for figures in (*was.values(), *now.values())):
        lines.append(f"  {few} variants were measured less than {FEW} times: their spread says little")
    changed = changes(old, new)
    for what, past, present in changed:
        word, factor = "SLOWER" if present > past else "faster", max(past, present) / min(past, present)
        lines.append(f"  {word} {factor:.2f} x: {what}: {past:.3f} ms, now {present:.3f} ms")
    if gone := [place for place in was if place[0] in new["cases"] and place not in now]:
        lines.append(f"  {len(gone)} variants of that run are not in this one, the first of them {', '.join(gone[0])}")
    both = len(was.keys() & now)
    lines.append(f"  {both} variants are in both runs, {len(changed)} have changed by more than the spread")
    return lines
