"""The training loop and everything that can be hooked into it, under Chainer's names.

A `Trainer` repeats `updater.update()` until its stop trigger fires, and after each iteration calls the extensions whose
triggers fire: logs, snapshots, plots, evaluation. Read `trainer.py` first, then `updaters/standard_updater.py`.
"""

from minigan.training import extensions, triggers, updater, updaters
from minigan.training.extension import (
    PRIORITY_EDITOR,
    PRIORITY_READER,
    PRIORITY_WRITER,
    Extension,
    make_extension,
)
from minigan.training.trainer import Trainer
from minigan.training.trigger import IntervalTrigger, get_trigger
from minigan.training.updaters import ParallelUpdater, StandardUpdater, Updater

__all__ = [
    "PRIORITY_EDITOR", "PRIORITY_READER", "PRIORITY_WRITER", "Extension", "IntervalTrigger", "ParallelUpdater",
    "StandardUpdater", "Trainer", "Updater", "extensions", "get_trigger", "make_extension", "triggers", "updater",
    "updaters",
]  # fmt: skip
