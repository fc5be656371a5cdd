"""Updaters: what one iteration of training does."""

from minigan.training.updaters.parallel_updater import MultiprocessParallelUpdater, ParallelUpdater
from minigan.training.updaters.standard_updater import StandardUpdater
from minigan.training.updaters.updater import Updater

__all__ = ["MultiprocessParallelUpdater", "ParallelUpdater", "StandardUpdater", "Updater"]
