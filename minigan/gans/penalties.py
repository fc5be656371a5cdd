"""Penalties on D's slope, which are terms of its loss: their gradient is a gradient of a gradient."""

from __future__ import annotations

from typing import Any

import numpy

import minigan.functions as F
from minigan.core import Variable, grad


def squared_slopes(y: Variable, x: Variable) -> Variable:
    """|d y / d x|_2^2 for each answer y = D(x), over all axes but the batch: (N,) from x (N, ...)."""
    (slope,) = grad([y], [x], [Variable(y.xp.ones_like(y.array))], enable_double_backprop=True)
    return F.sum(F.square(F.reshape(slope, (len(y), -1))), axis=1)


def slopes(dis: Any, x: Any) -> Variable:
    """|d D(x) / d x|_2 for each answer of D: (N,) from an array x (N, ...).

    A slope of exactly 0, as of a D that says the same everywhere, has the gradient 0.
    """
    x = Variable(x)
    squares = squared_slopes(dis(x), x)
    return F.sqrt(F.maximum(squares, dis.xp.full_like(squares.array, numpy.finfo(squares.dtype).tiny)))


def gradient_penalty(dis: Any, x: Any) -> Variable:
    """E[(|d D(x) / d x|_2 - 1)^2], from an array x (N, ...)."""
    return F.average(F.square(slopes(dis, x) - 1))
