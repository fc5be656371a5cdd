"""The cases find themselves: every file here but this one is a case, and its name is what ``--case`` wants.

A case needs NumPy only, for the peers read it in interpreters of their own. Its docstring says what is measured;

    rows(device, quick)      gives ``Row``s: what is measured, of which size
    data(**arguments)        the arrays of a row, the same in every process
    variants(xp, data, **arguments)
                             name -> callable for the plain ways of doing it with NumPy or CuPy; may be left out

and what minigan and its peers do for it is a function of the case's name in ``bench/peers/with_*.py``. A callable gives
the arrays that are compared; a pair (callable, view) has them seen through ``view`` first. The rest is optional:

    CALLS = 1                how many calls' results are compared: of a training step, whose state moves on, several
    TOLERANCE = 1e-3         largest difference, as a share of the largest number; twice that in the second call ...
    FRESH = False            whether every row has a process of its own, whose peak memory is then measured
    NAME                     the case whose function the peers take, if it is another
    check(answers)           instead of comparing with the first variant
    stopwatch(call, loops)   instead of the clock: milliseconds of one call
    TIMED = True
    SECONDS                  after which a row ends, if not as usual
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np


class Row(NamedTuple):
    """One thing to be measured, in several variants."""

    name: str
    arguments: dict[str, Any]  # as JSON can carry them
    shapes: str
    bytes: float = 0  # that must move at the least: read once, written once
    flops: float = 0


def find() -> dict[str, ModuleType]:
    """Name -> case; a trailing underscore in the file's name only keeps Python from stumbling over it."""
    files = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem != "__init__")
    return {file.rstrip("_"): importlib.import_module(f"cases.{file}") for file in files}


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed).standard_normal(shape).astype("f")


def out_size(size: int, k: int, stride: int, pad: int) -> int:
    return (size + 2 * pad - k) // stride + 1
