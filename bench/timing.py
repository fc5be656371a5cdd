"""The clock, on the CPU and on a GPU, and what is made of its readings. Needs NumPy only; every process has it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

PAUSE = 0.12  # seconds before each measurement: OpenBLAS's threads wait busily for 0.1 s after a product
LEAST = 25.0  # milliseconds: what is quicker is called several times in one measurement
WARM_UP_SECONDS = 0.2  # on the CPU: of calls before the first measurement, until threads and memory are what they stay
WARM = 100.0  # milliseconds: before a measurement of something quicker it is called once, for threads sleep in a pause


def clock(call: Callable[[], Any], loops: int) -> float:
    """Milliseconds of one call, on the CPU."""
    start = time.perf_counter()
    for _ in range(loops):
        call()
    return 1e3 * (time.perf_counter() - start) / loops


def events(xp: Any, call: Callable[[], Any], loops: int) -> float:
    """The same on a GPU, by its own clock: two events on the stream, with the calls between them; ``xp`` is CuPy."""
    start, stop = xp.cuda.Event(), xp.cuda.Event()
    start.record()
    for _ in range(loops):
        call()
    stop.record()
    stop.synchronize()
    return float(xp.cuda.get_elapsed_time(start, stop)) / loops


def loops_for(stopwatch: Callable[[Any, int], float], call: Callable[[], Any]) -> tuple[int, bool]:
    """How many calls fill a measurement, and whether one should come before it."""
    loops = 1
    while (ms := loops * stopwatch(call, loops)) < LEAST and loops < 10_000:
        loops *= 2
    return loops, ms < WARM


def summary(times: list[float]) -> dict[str, Any]:
    """Median, the range of the middle four fifths, extremes, the spread (that range as a share of the median), all."""
    low, median, high = np.quantile(times, (0.1, 0.5, 0.9))
    return {
        "median_ms": float(median), "low_ms": float(low), "high_ms": float(high), "min_ms": min(times),
        "max_ms": max(times), "spread": float((high - low) / median) if median else 0.0, "repeats": len(times),
        "times_ms": [round(ms, 6) for ms in times],
    }  # fmt: skip


def ratio(mine: list[float], theirs: list[float]) -> tuple[float, float, float]:
    """How many times as long ``mine`` takes: the median over pairs measured one after the other, and where it lies.

    A pair has seen the same machine, whatever the machine did before and after. The interval holds the median of all
    pairs that could be measured with a probability of 95 % (94 % of five, less of fewer): order statistics, Conover,
    Practical Nonparametric Statistics, 1999, section 3.2.
    """
    ratios = sorted(a / b for a, b in zip(mine, theirs))
    left_out = max(0, int((len(ratios) - 1.96 * len(ratios) ** 0.5) / 2))
    return float(np.median(ratios)), ratios[left_out], ratios[-1 - left_out]
