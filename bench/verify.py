"""Nothing is timed before all ways of doing it agree."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from workers import BenchError

Answers = dict[str, list[np.ndarray]]


def verify(name: str, case: ModuleType, answers: Answers, rounding: float = 1.0) -> Any:
    """Raise ``BenchError`` unless every variant computes what the first one does; return what the case found.

    rounding: how many times as much as usual may come of it.
    """
    try:
        if hasattr(case, "check"):
            return case.check(answers)
        (first, truth), *others = answers.items()
        tolerance, calls = rounding * getattr(case, "TOLERANCE", 1e-3), getattr(case, "CALLS", 1)
        for variant, answer in others:
            compare(variant, answer, first, truth, tolerance, calls)
    except ValueError as error:
        raise BenchError(f"{name}: {error}; nothing is timed") from error


def compare(
    variant: str, answer: list[np.ndarray], first: str, truth: list[np.ndarray], tolerance: float, calls: int
) -> None:
    """Two variants; the results of several calls are one array, whose rows may differ by more and more."""
    if [a.shape for a in answer] != [a.shape for a in truth]:
        shapes = [[a.shape for a in arrays] for arrays in (answer, truth)]
        raise ValueError(f"{variant} computes arrays of shapes {shapes[0]}, {first} of {shapes[1]}")
    for number, (mine, theirs) in enumerate(zip(answer, truth)):
        if not mine.size:
            continue
        growth = np.arange(1, calls + 1)[:, None] if calls > 1 else 1
        far, scale = float((np.abs(mine - theirs) / growth).max()), float(np.abs(theirs).max())
        if not far <= tolerance * scale:
            raise ValueError(
                f"{variant} computes something else than {first}: "
                f"numbers of result {number}, up to {scale:.3g}, differ by {far:.3g}"
            )
