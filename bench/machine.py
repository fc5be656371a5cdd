"""What is measured on, and whether it was quiet enough for its figures to be trusted."""

from __future__ import annotations

import os
import platform
import re
import resource
import subprocess
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
MOST_SPREAD, MOST_OTHERS, MOST_STOLEN = 0.15, 0.05, 0.02  # what a quiet machine stays below


def facts(device: str, threads: int, tf32: bool) -> dict[str, Any]:
    """Processor, system, versions of what this process has, commit; on a GPU its driver and clocks."""
    processor = re.search(r"^model name\s*: (.*)$", _read("/proc/cpuinfo"), re.MULTILINE)
    commit = said("git", "rev-parse", "HEAD") or os.environ.get("MINIGAN_COMMIT", "unknown")  # where no .git came along
    found = {
        "device": device, "processor": processor[1] if processor else platform.processor() or platform.machine(),
        "cores": cores(), "threads": threads, "system": platform.platform(), "python": platform.python_version(),
        "numpy": np.__version__, "commit": commit + "-dirty" * bool(said("git", "status", "--porcelain", "-uno")),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"), "seed": 0, "tf32": tf32,
    }  # fmt: skip
    if device == "cuda":
        found |= {"driver": gpu("driver_version"), "power_limit": gpu("power.limit"), "clocks": clocks()}
    return found


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def clocks() -> str:
    return gpu("clocks.sm,clocks.mem,temperature.gpu")


def gpu(what: str) -> str:
    return said("nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader", "--id=0")


def said(*command: str) -> str:
    """What a command prints; nothing where there is no such command, or it fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT).stdout.strip()
    except OSError:
        return ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


class Watch:
    """Looks at the machine from the beginning of a run to its end."""

    def __init__(self) -> None:
        self.load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
        self.started, self.ticks, self.ours = time.perf_counter(), _ticks(), _our_seconds()
        self.loops: list[float] = []

    def calibrate(self) -> None:
        """Time a loop that is always the same, and fits into the first cache."""
        start = time.perf_counter()
        sum(range(100_000))
        self.loops.append(1e3 * (time.perf_counter() - start))

    def verdict(self) -> dict[str, Any]:
        """What was seen, and ``trusted``; ``reasons`` says why not. Call when all workers have ended."""
        elapsed, hertz = time.perf_counter() - self.started, os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
        busy, stolen = ((b - a) / hertz / elapsed / (os.cpu_count() or 1) for a, b in zip(self.ticks, _ticks()))
        others = max(0.0, busy - (_our_seconds() - self.ours) / elapsed / (os.cpu_count() or 1))
        low, median, high = np.quantile(self.loops or [1.0], (0.1, 0.5, 0.9))
        spread = float((high - low) / median)
        reasons = [
            text
            for wrong, text in (
                (spread > MOST_SPREAD, f"a loop that is always the same took {low:.2f} to {high:.2f} ms"),
                (others > MOST_OTHERS, f"other processes took {others:.0%} of the cores"),
                (stolen > MOST_STOLEN, f"other machines on this one's hardware took {stolen:.0%} of the cores"),
            )
            if wrong
        ]
        return {"load_before": self.load, "loop_spread": spread, "others": others, "stolen": stolen,
                "trusted": not reasons, "reasons": reasons}  # fmt: skip


def _ticks() -> tuple[int, int]:
    """Ticks that all cores together were busy, and that were stolen; zeros where the system does not say."""
    numbers = [int(n) for n in _read("/proc/stat").partition("\n")[0].split()[1:]]
    if len(numbers) < 8:
        return 0, 0
    user, nice, system, _, _, irq, softirq, steal = numbers[:8]
    return user + nice + system + irq + softirq, steal


def _our_seconds() -> float:
    parts = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in parts)
