"""The name that `minigan.training.updaters` had in Chainer 2, which older scripts use."""

from minigan.training.updaters.parallel_updater import MultiprocessParallelUpdater as MultiprocessParallelUpdater
from minigan.training.updaters.parallel_updater import ParallelUpdater as ParallelUpdater
from minigan.training.updaters.standard_updater import StandardUpdater as StandardUpdater
from minigan.training.updaters.updater import Updater as Updater
