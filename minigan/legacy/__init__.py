"""Run a script that was written for Chainer, without a changed line.

    python -m minigan.legacy train.py --its --own flags

or ``import minigan.legacy`` as the script's first line: from then on `chainer` and every module below it are minigan.
The chapters: ``alias`` (the modules of Chainer's), ``standins`` (chainermn in one process, no ChainerX, no iDeep),
``older`` (what NumPy, Pillow and Chainer itself took away: each only when asked), ``runner``, ``coverage``, ``notes``.
"""

from minigan.legacy import alias, coverage, notes, older, runner, standins
from minigan.legacy.alias import install
from minigan.legacy.older import chainer1, numpy1, pillow9
from minigan.optimizer import Optimizer

__all__ = ["alias", "chainer1", "coverage", "install", "notes", "numpy1", "older", "pillow9", "runner", "standins"]

install()
Optimizer.takes_empty_links = True  # Chainer does, and some of its own tests train such a model
runner.start()
