"""Noise that regularises: dropout.

The mask comes from the array module's global generator (``numpy.random`` on the CPU), so that ``seed`` fixes it.
"""

from __future__ import annotations

from typing import Any

from minigan.backend import get_array_module
from minigan.configuration import config
from minigan.core import FunctionNode, as_variable

__all__ = ["dropout"]


class Dropout(FunctionNode):
    """x times a mask of zeros and 1 / (1 - ratio); ``mask`` is known after ``apply``."""

    name = "dropout"
    arguments = ("x",)

    def __init__(self, dropout_ratio: float, mask: Any = None) -> None:
        if not 0.0 <= dropout_ratio < 1.0:
            raise ValueError(f"dropout: ratio is {dropout_ratio}; wanted 0 <= ratio < 1")
        self.dropout_ratio = dropout_ratio
        self.mask = mask

    def forward(self, inputs: tuple) -> tuple:
        """Draw the mask unless one is given, and apply it."""
        (x,) = inputs
        xp = get_array_module(x)
        if self.mask is None:
            kept = xp.random.rand(*x.shape) >= self.dropout_ratio
            self.mask = xp.multiply(kept, x.dtype.type(1 / (1 - self.dropout_ratio)), out=xp.empty_like(x))
        elif self.mask.shape != x.shape:
            raise ValueError(f"dropout: mask has shape {self.mask.shape} but x has {x.shape}; wanted the same")
        self.mask = self.mask.astype(x.dtype, copy=False)
        return (x * self.mask,)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        """The gradient under the same mask."""
        return (grad_outputs[0] * self.mask,)


def dropout(x: Any, ratio: float = 0.5, *, mask: Any = None, return_mask: bool = False) -> Any:
    """Set each element to 0 with probability ``ratio`` and scale the others by 1 / (1 - ratio), so that the mean stays.

    Only while training (``config.train``); otherwise x comes back as it is, and the mask is None.
    Srivastava et al. 2014; the scaling at training time is called inverted dropout.

    Args:
        x: any shape, floating.
        ratio: 0 <= ratio < 1.
        mask: use this array (shape of x) instead of drawing one.
        return_mask: return ``(y, mask)``; the mask can be passed to another call.
    """
    if not config.train:
        return (as_variable(x), None) if return_mask else as_variable(x)
    node = Dropout(ratio, mask)
    (y,) = node.apply((x,))
    return (y, node.mask) if return_mask else y
