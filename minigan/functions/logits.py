"""What a discriminator's logits cost, and what they say: on a GPU one launch each, elsewhere what they are made of.

The logits are a few numbers per batch, so their formulas cost a GPU nothing but launches: some forty in a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigan.configuration import no_backprop_mode
from minigan.core import FunctionNode, Variable, as_variable, broadcast_to, sum
from minigan.functions.activation import sigmoid, softplus
from minigan.functions.reduction import average
from minigan.kernels import logits

__all__: list[str] = []  # for the GANs, not for F


class SoftplusMeans(FunctionNode):
    """The sum over one or two inputs of the mean of softplus(sign x), by one kernel."""

    name = "softplus_means"

    def __init__(self, signs: tuple[float, ...]) -> None:
        self.signs = signs

    def forward(self, inputs: tuple) -> tuple:
        """Compute the loss, an array ()."""
        self.retain_inputs(tuple(range(len(inputs))))
        return (logits.softplus_means(inputs, self.signs),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """Both gradients by one kernel."""
        gradients = SoftplusMeansGrad(self.signs).apply((*self.get_retained_inputs(), *grad_outputs))
        return tuple(gradients[i] for i in indexes)


class SoftplusMeansGrad(FunctionNode):
    """(x..., g) -> g sign sigmoid(sign x) / n for each x."""

    name = "gradient of softplus_means"

    def __init__(self, signs: tuple[float, ...]) -> None:
        self.signs = signs

    def forward(self, inputs: tuple) -> tuple:
        """Compute them."""
        self.retain_inputs(tuple(range(len(inputs))))
        return logits.softplus_means_grad(inputs[:-1], self.signs, inputs[-1])

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """In core operations."""
        *xs, g = self.get_retained_inputs()
        gradients: list[Variable | None] = [None] * (len(xs) + 1)
        for i, (x, sign, ggx) in enumerate(zip(xs, self.signs, grad_outputs)):
            if ggx is not None:
                s = sigmoid(x * sign)
                of_g = ggx * s * (sign / x.size)
                gradients[i] = of_g * (1 - s) * sign * broadcast_to(g, x.shape)
                gradients[-1] = sum(of_g) if gradients[-1] is None else gradients[-1] + sum(of_g)
        return tuple(gradients[i] for i in indexes)


def softplus_means(xs: Sequence[Any], signs: tuple[float, ...]) -> Variable:
    """The sum over one or two logits of any shape of the mean of softplus(sign x), for signs 1 and -1.

    softplus(-x) is -log sigmoid(x), and softplus(x) is -log(1 - sigmoid(x)).
    """
    xs = [as_variable(x) for x in xs]
    if logits.available_for(*(x.array for x in xs)):
        return SoftplusMeans(signs).apply(xs)[0]
    first, *others = (average(softplus(x if sign > 0 else -x)) for x, sign in zip(xs, signs))
    return first + others[0] if others else first


def opinions(real: Any, fake: Any) -> tuple[Any, Any, Any]:
    """Of arrays of logits for real and made images: mean probabilities to be real, and the share of right answers."""
    if logits.available_for(real, fake):
        found = logits.opinions(real, fake)
        return found[0], found[1], found[2]
    with no_backprop_mode():
        right = (real > 0).mean(dtype=np.float32) + (fake < 0).mean(dtype=np.float32)
        return sigmoid(real).array.mean(), sigmoid(fake).array.mean(), right / 2
