"""One step of an optimizer for many parameters in one launch: the kernels of optimizers.cu.

The rules are those of :mod:`minigan.optimizers`, which is their twin. Rates, and the number of Adam's step, lie in
device memory: they are uploaded when somebody changes them, not at every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigan.kernels.launch import MOST_INDEX, PACK_BYTES, REAL, THREADS, address, at_once, kernel, launch
from minigan.kernels.workspace import array_module

RULES = {"sgd": 0, "momentum_sgd": 1, "rmsprop": 2, "adam": 3}
MOST, CHUNK = 64, 4096  # tensors of a launch, numbers of a block
STEP = 6  #: where in Adam's hyperparameters the number of steps is
_TABLE = np.dtype(
    [*((name, np.uint64, MOST) for name in "pgmv"), ("size", np.int32, MOST), ("first", np.int32, MOST)], align=True
)


class Step:
    """How the parameters of one optimizer move together: ``rule`` is one of `RULES`, ``xp`` where they are."""

    def __init__(self, rule: str, xp: Any) -> None:
        self.rule = rule
        self.hyper, self.rates = (xp.zeros(8, np.float64) for _ in range(2))
        self._known: tuple[float, ...] = ()  # what the device has

    def prepare(self, hyper: tuple[float, ...]) -> None:
        """Say what the next call moves by: the rates r0, r1, r2 of the rule.

        For Adam alpha, beta1, beta2, eps, eta, weight decay and the number of steps before this one.
        """
        adam = self.rule == "adam"
        if hyper != self._known:
            (self.hyper if adam else self.rates)[: len(hyper)] = array_module(self.hyper).asarray(np.array(hyper))
        self._known = (*hyper[:STEP], hyper[STEP] + 1) if adam else hyper  # as the call leaves it

    def __call__(self, tensors: Sequence[Sequence[Any]], hyper: tuple[float, ...] | None = None) -> None:
        """Move parameters of one dtype, all contiguous.

        tensors: (parameter, gradient, states...) of each; hyper: for `prepare`, unless that was called.
        """
        if hyper is not None:
            self.prepare(hyper)
        known, self._known = self._known, ()  # should a launch fail
        dtype = tensors[0][0].dtype
        most = PACK_BYTES // dtype.itemsize
        if self.rule == "adam":
            begin = kernel("optimizers.cu", "adam_begin", REAL=REAL[dtype], VEC=most, RULE=RULES[self.rule])
            launch(begin, (1,), (1,), (self.hyper, self.rates))
        for first in range(0, len(tensors), MOST):
            some = tensors[first : first + MOST]
            table, blocks = _table(some)
            reach = [a for arrays in some for a in arrays]
            pack = at_once(0, *reach)  # each tensor's last numbers go one by one
            step = kernel("optimizers.cu", "step_all", REAL=REAL[dtype], VEC=pack, RULE=RULES[self.rule])
            launch(step, (blocks,), (THREADS,), (table, len(some), self.rates), reach=reach)
        self._known = known


def _table(tensors: Sequence[Sequence[Any]]) -> tuple[np.ndarray, int]:
    """The table of a launch, and the number of its blocks."""
    table, blocks = np.zeros(1, _TABLE), 0
    row = table[0]
    for i, arrays in enumerate(tensors):
        if arrays[0].size > MOST_INDEX:
            raise ValueError(f"a parameter of {arrays[0].size} elements; one step takes at most {MOST_INDEX}; split it")
        for name, array in zip("pgmv", arrays):
            row[name][i] = address(array)
        row["size"][i], row["first"][i] = arrays[0].size, blocks
        blocks += -(-arrays[0].size // CHUNK)
    return table, blocks
