"""Memory for time: a part of the graph that is computed again when its gradient is wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigan.configuration import config, using_config
from minigan.core import FunctionNode, Variable, backward

__all__ = ["forget"]


class Forget(FunctionNode):
    """func(*xs), whose graph is thrown away, and built again from the inputs for the way back."""

    name = "forget"

    def __init__(self, func: Callable) -> None:
        if not callable(func):
            raise TypeError(f"forget: func is a {type(func).__name__}; wanted something to call")
        self.func = func

    def _call(self, arrays: tuple) -> tuple[list[Variable], tuple[Variable, ...]]:
        xs = [Variable(x) for x in arrays]
        ys = self.func(*xs)
        results = ys if isinstance(ys, tuple) else (ys,)
        for i, y in enumerate(results, 1):
            if not isinstance(y, Variable):
                which = f"as the {i}{_suffix(i)} of {len(results)} results" if ys is results else "as its result"
                raise RuntimeError(f"forget: func returned, {which}, {type(y).__name__}; wanted a Variable")
        return xs, results

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        self.retain_inputs(tuple(range(len(inputs))))
        with using_config("enable_backprop", False), using_config("_will_recompute", True):
            return tuple(y.array for y in self._call(inputs)[1])

    def backward(self, indexes: Any, grad_outputs: tuple) -> tuple:  # noqa: D102
        if config.enable_backprop:
            raise RuntimeError("forget: its gradient cannot be differentiated again; call the function without forget")
        with using_config("enable_backprop", True), using_config("in_recomputing", True):
            xs, ys = self._call(tuple(x.array for x in self.get_retained_inputs()))
        pairs = [(y, gy) for y, gy in zip(ys, grad_outputs) if gy is not None]
        # all the way: the gradients of parameters inside of func go where backward puts them
        backward([y for y, _ in pairs], [gy for _, gy in pairs])
        return tuple(xs[i].grad_var for i in indexes)


def _suffix(i: int) -> str:
    return "th" if 10 < i % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(i % 10, "th")


def forget(func: Callable, *xs: Any) -> Any:
    """Return ``func(*xs)`` without keeping what its gradient needs: that is computed a second time on the way back.

    ``func`` takes Variables and returns a Variable or a tuple of them; parameters that it uses receive their gradients
    from ``backward`` (not from ``grad``). It must give the same result twice. Chen et al. 2016, sublinear memory.
    Raises ``TypeError`` for a ``func`` that cannot be called, ``RuntimeError`` for another result, and where the
    gradient shall be differentiated once more.
    """
    node = Forget(func)
    ys = node.apply(xs) if xs else node._call(())[1]
    return ys if len(ys) > 1 else ys[0]
