"""``--compare OLD.json``: what has changed by more than the spread, both ways, and whether that means anything."""

from __future__ import annotations

from typing import Any

from report import short

MACHINE = ("device", "processor", "cores", "threads", "numpy", "python", "tf32", "driver")  # what should be alike

FEW = 5


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, float, float]]:
    """``(what, old ms, new ms)`` for every variant whose times do not overlap any more, in the order of ``new``.

    A variant has changed if the middle four fifths of its times before and after have nothing in common, and the
    medians differ by more than 2 %.
    """
    found = []
    for case, row, variant, now in variants(new):
        before = old["cases"].get(case, {}).get("rows", {}).get(row, {}).get("variants", {}).get(variant)
        if before is None or same(before, now):
            continue
        found.append((f"{case}, {row}, {variant}", before["median_ms"], now["median_ms"]))
    return found


def same(before: dict[str, float], now: dict[str, float]) -> bool:
    apart = now["low_ms"] > before["high_ms"] or now["high_ms"] < before["low_ms"]
    return not apart or abs(now["median_ms"] / before["median_ms"] - 1) <= 0.02


def variants(results: dict[str, Any]):
    for case, part in results["cases"].items():
        for row, kept in part["rows"].items():
            for variant, figures in kept["variants"].items():
                yield case, row, variant, figures


def compared(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """The lines to be printed."""
    was = old["machine"]
    lines = [f"\ncompared with {short(was.get('commit', 'unknown'))} of {was.get('date', 'an unknown day')}:"]
    for key in MACHINE:
        before, now = (results["machine"].get(key) for results in (old, new))
        if before != now:
            lines.append(f"  not the same machine: {key} was {before}, is {now}")
    for library, now in new["versions"].items():
        before = old["versions"].get(library, now)
        if library != "minigan" and before != now:
            lines.append(f"  not the same {library}: it was {before}, is {now}")
    for name, results in (("that run", old), ("this run", new)):
        lines += [f"  {name} is not to be trusted: {reason}" for reason in results.get("quiet", {}).get("reasons", [])]
    if few := sum(figures.get("repeats", FEW) < FEW for results in (old, new) for *_, figures in variants(results)):
        lines.append(f"  {few} variants were measured less than {FEW} times: their spread says little")
    changed = changes(old, new)
    for what, before, now in changed:
        word = "SLOWER" if now > before else "faster"
        lines.append(f"  {word} {max(now, before) / min(now, before):.2f} x: {what}: {before:.3f} ms, now {now:.3f} ms")
    known = {(case, row, variant) for case, row, variant, _ in variants(old)}
    both = [place for *place, _ in variants(new) if tuple(place) in known]
    lines.append(f"  {len(both)} variants are in both runs, {len(changed)} have changed by more than the spread")
    return lines
