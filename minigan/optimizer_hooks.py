"""Hooks that change gradients before the optimizer uses them: ``optimizer.add_hook(WeightDecay(1e-4))``.

They put a new gradient in place of the old one. Changing it in place would be wrong where two parameters share one
array as their gradient, as the two terms of a sum do.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigan.core import Parameter


class WeightDecay:
    """Adds ``rate * p`` to the gradient of every parameter p: the gradient of ``rate / 2 * sum(p**2)``."""

    name = "WeightDecay"
    call_for_each_param = True
    timing = "pre"

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, rule: Any, param: Parameter) -> None:
        if param.array is not None and param.grad is not None:
            gradient = param.array * float(self.rate)
            gradient += param.grad
            param.grad = gradient


class GradientClipping:
    """Scales all gradients by one factor where their norm, taken together, is above ``threshold``."""

    name = "GradientClipping"
    call_for_each_param = False
    timing = "pre"

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def __call__(self, optimizer: Any) -> None:
        params = [param for param in optimizer.target.params(False) if param.grad is not None]
        norm = math.sqrt(sum(_sum_of_squares(param.grad) for param in params))
        if norm > self.threshold:
            factor = float(self.threshold) / norm
            for param in params:
                param.grad = param.grad * factor


def _sum_of_squares(gradient: Any) -> float:
    flat = gradient.ravel(order="K").astype(np.promote_types(gradient.dtype, np.float32), copy=False)
    return float(flat.dot(flat))
