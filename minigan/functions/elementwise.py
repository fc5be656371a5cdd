"""One mechanism for the functions that work element by element: a formula and its derivative make a node of the graph.

A function without arguments is one statement; the lambda's parameters (`gy`, and `x` and `y` as needed) say what the
node must keep until the way back:

    Sin, sin = elementwise("Sin", "sin", "Sine of x.", lambda gy, x: gy * cos(x))
    Exp, exp = elementwise("Exp", "exp", "e to the power of x.", lambda gy, y: gy * y)
    Erf, erf = elementwise("Erf", "erf", "Error function.", lambda gy, x: ..., lambda xp, x: special(xp).erf(x))

One with arguments is a subclass of `Elementwise`, in which `gradient` is a method with the same parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from minigan.backend import get_array_module
from minigan.core import FunctionNode, Variable


class Elementwise(FunctionNode):
    """y = value(xp, x) elementwise, in the dtype of x; gx = gradient(gy, x, y), in arithmetic of Variables.

    `gradient` may leave out x or y: what it does not name is not kept. `InvalidType` unless x is floating point.
    """

    arguments = ("x",)
    needs: ClassVar[tuple[str, ...]] = ()
    gradient: ClassVar[Callable[..., Variable]]

    def __init_subclass__(cls) -> None:
        code = cls.gradient.__code__
        cls.needs = code.co_varnames[: code.co_argcount]

    def value(self, xp: Any, x: Any) -> Any:
        """Compute the result from the array `x`; a wider or narrower dtype is cast to that of x afterwards."""
        raise NotImplementedError

    def forward(self, inputs: tuple) -> tuple:  # noqa: D102
        (x,) = inputs
        if "x" in self.needs:
            self.retain_inputs((0,))
        if "y" in self.needs:
            self.retain_outputs((0,))
        y = self.value(get_array_module(x), x)
        return (y.astype(x.dtype, copy=False) if x.dtype.kind == "f" else y,)  # integers: with config.type_check off

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:  # noqa: D102
        known = {}
        if "x" in self.needs:
            (known["x"],) = self.get_retained_inputs()
        if "y" in self.needs:
            (known["y"],) = self.get_retained_outputs()
        return (self.gradient(grad_outputs[0], **known),)


def elementwise(
    node: str, name: str, doc: str, gradient: Callable[..., Variable], value: Callable[[Any, Any], Any] | None = None,
    label: str | None = None,
) -> tuple[type[Elementwise], Callable[[Any], Variable]]:  # fmt: skip
    """Make a node class called `node` and the public function `name(x)` that applies it.

    `value(xp, x)` is `xp.<name>(x)` unless given, `label` the name of the function.
    """
    if value is None:

        def value(xp: Any, x: Any) -> Any:
            return getattr(xp, name)(x)

    def function(x: Any) -> Variable:
        return kind().apply((x,))[0]

    module = gradient.__module__
    kind = type(node, (Elementwise,), {
        "__module__": module, "__doc__": doc, "name": name, "label": label or name,
        "value": staticmethod(value), "gradient": staticmethod(gradient),
    })  # fmt: skip
    function.__module__, function.__name__, function.__qualname__, function.__doc__ = module, name, name, doc
    return kind, function
