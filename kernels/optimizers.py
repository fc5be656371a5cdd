"""One step of a rule for many arrays in one launch: the kernels of optimizers.cu and rates.cu.

The rules are those of :mod:`minigan.optimizers`, which is their twin, of its hooks and of moving averages. Rates, and
the number of the step where a rule depends on it, lie in device memory: they are uploaded when somebody changes them,
not at every step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, islice
from typing import Any

import numpy as np

from minigan.kernels.launch import MOST_INDEX, PACK_BYTES, REAL, THREADS, address, available_for, kernel, launch
from minigan.kernels.workspace import array_module

HOOKS = {"scale", "clip_norm", "weight_decay", "lasso", "clip", "lars"}  #: rules that make new gradients
#: rules whose rates come from norms, and how they move then
MEASURING = {"clip_norm": "scale", "lars": "lars"}
COUNTING = {"adam": "adam_begin", "msvag": "msvag_begin", "follow": "follow_begin"}  #: those that depend on the step
MOST, CHUNK, RATES = 64, 4096, 16  # tensors of a launch, numbers of a block, rates of a tensor
MOST_SIZE = MOST_INDEX - CHUNK  # of a tensor: a thread's index, an int, goes one step beyond the last
_NAMES = "p", "g", "a", "b", "c", "half"
_TABLE = np.dtype(
    [*((name, np.uint64, MOST) for name in _NAMES), ("size", np.int32, MOST), ("first", np.int32, MOST)], align=True
)


def movable(p: Any, g: Any, *others: Any) -> bool:
    """Whether the kernels take these arrays: parameter, gradient, states; on one GPU, contiguous, of one shape, dtype.

    Beside a float32 parameter the gradient may be float16; the last one then is the parameter's rounded copy, as is g.
    """
    same, copies = ((p, g, *others), ()) if g.dtype == p.dtype else ((p, *others[:-1]), (g, *others[-1:]))
    if (
        not available_for(*same, halves=True)
        or copies
        and (p.dtype != np.float32 or any(c.dtype != np.float16 for c in copies))
    ):
        return False
    kind, shape, place = type(p), p.shape, _place(p)
    return all(
        type(a) is kind and a.shape == shape and a.flags.c_contiguous and _place(a) == place for a in (*same, *copies)
    )


def _place(array: Any) -> Any:
    """The number of an array's GPU."""
    return getattr(getattr(array, "data", None), "device_id", None)


class Step:
    """How the arrays of one optimizer move together: ``rule`` is a function of optimizers.cu, ``xp`` where they are."""

    def __init__(self, rule: str, xp: Any) -> None:
        self.rule = rule
        self.hyper, self.rates = (xp.empty(RATES, np.float64) for _ in range(2))  # in a graph zeros would come again
        self._known: tuple[float, ...] = ()  # what the device has

    def prepare(self, hyper: tuple[float, ...]) -> None:
        """Say what the next call moves by: the rates of the rule.

        The first is a factor of the gradient. For a rule that depends on the step, the second is the number of steps
        before this one.
        """
        if hyper != self._known:
            target = self.hyper if self.rule in COUNTING or self.rule in MEASURING else self.rates
            target[: len(hyper)] = array_module(target).asarray(np.array(hyper))
        # as the call leaves it
        self._known = (hyper[0], hyper[1] + 1, *hyper[2:]) if self.rule in COUNTING else hyper

    def __call__(self, tensors: Sequence[Sequence[Any]], hyper: tuple[float, ...] | None = None) -> None:
        """Move arrays of one dtype; `movable` says which.

        tensors: (parameter, gradient, states...) of each, for a hook (new gradient, gradient, parameter if it needs
        that); hyper: for `prepare`, unless that was called.
        """
        if hyper is not None:
            self.prepare(hyper)
        known, self._known = self._known, ()  # should a launch fail
        halves = tensors[0][0].dtype != tensors[0][1].dtype
        constants = _constants(self.rule, tensors[0], halves)
        if self.rule in COUNTING:
            begin = kernel("rates.cu", COUNTING[self.rule])
            launch(begin, (1,), (1,), (self.hyper, self.rates))
        rates = self._measured(tensors, constants) if self.rule in MEASURING else self.rates
        apart = RATES if self.rule == "lars" else 0
        for i, (table, blocks, some) in enumerate(_tables(tensors, halves)):
            aligned = not any((table[name] % PACK_BYTES).any() for name in _NAMES)
            step = kernel("optimizers.cu", "step_all", **(constants if aligned else constants | {"VEC": 1}))
            own = rates[i * MOST * apart :] if apart else rates
            reach = [a for arrays in some for a in arrays]
            launch(step, (blocks,), (THREADS,), (table, len(some), own, apart), reach=reach)
        self._known = known

    def _measured(self, tensors: Sequence[Sequence[Any]], constants: dict[str, Any]) -> Any:
        """The rates that follow from the norms of gradients and parameters: of all together, or of each."""
        each, finish = self.rule == "lars", kernel("rates.cu", "norm_rates", **_of_norms(constants))
        rates = array_module(self.hyper).empty(RATES * (len(tensors) if each else 1), np.float64)
        tables, parts = _squares(tensors, constants)
        if not each:
            blocks = sum(blocks for _, blocks, _ in tables)
            launch(finish, (1,), (THREADS,), (tables[0][0], blocks, parts, self.hyper, rates))
            return rates
        done = 0
        for i, (table, blocks, some) in enumerate(tables):
            own = rates[i * MOST * RATES :][: len(some) * RATES]
            launch(finish, (len(some),), (THREADS,), (table, blocks, parts[2 * done :], self.hyper, own))
            done += blocks
        return rates


def all_finite(gradients: Sequence[Any]) -> Any:
    """An array () that tells whether gradients of one dtype are finite; numbers above 1e154 may count as infinite."""
    rows = [(g, g) for g in gradients]
    _, parts = _squares(rows, _constants("scale", rows[0], False))
    return array_module(parts).isfinite(parts).all()


def _constants(rule: str, arrays: Sequence[Any], halves: bool) -> dict[str, Any]:
    """What the kernels are compiled with for such tensors."""
    p, g = arrays[:2]
    return {
        "RULE": MEASURING.get(rule, rule), "STATES": len(arrays) - 2 - halves, "HOOK": int(rule in HOOKS),
        "STATE": REAL.get(p.dtype, "Half"), "GRAD": REAL.get(g.dtype, "Half"),
        "VEC": 1 if p.dtype == np.float64 else 4,
    }  # fmt: skip


def _of_norms(constants: dict[str, Any]) -> dict[str, Any]:
    return {name: constants[name] for name in ("STATES", "STATE", "GRAD")}


def _squares(tensors: Sequence[Sequence[Any]], constants: dict[str, Any]) -> tuple[list[Any], Any]:
    """The tables, and two sums of squares for each of their blocks: of the gradient and of a third array."""
    squares, tables = kernel("rates.cu", "squares", ("parts",), **_of_norms(constants)), list(_tables(tensors, False))
    parts = array_module(tensors[0][1]).empty(2 * sum(blocks for _, blocks, _ in tables), np.float64)
    done = 0
    for table, blocks, some in tables:
        reach = [a for arrays in some for a in arrays[1:]]
        own = parts[2 * done : 2 * (done + blocks)]
        launch(squares, (blocks,), (THREADS,), (table, len(some), own), reach=reach)
        done += blocks
    return tables, parts


def _tables(tensors: Sequence[Sequence[Any]], halves: bool) -> Iterator[tuple[np.ndarray, int, Sequence[Any]]]:
    """For each launch its table, the number of its blocks and its tensors; halves: the last of each is a copy."""
    rest = iter(tensors)
    while some := list(islice(rest, MOST)):
        table, n, sizes = np.zeros(1, _TABLE), len(some), [arrays[0].size for arrays in some]
        if max(sizes) > MOST_SIZE:
            raise ValueError(f"a parameter of {max(sizes)} elements; one step takes at most {MOST_SIZE}; split it")
        for name, column in zip((*_NAMES[: len(some[0]) - halves], "half"), zip(*some)):
            table[name][0, :n] = [address(array) for array in column]
        *first, blocks = accumulate((-(-size // CHUNK) for size in sizes), initial=0)
        table["size"][0, :n], table["first"][0, :n] = sizes, first
        yield table, blocks, some
