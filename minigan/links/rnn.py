"""Gated recurrent units: the one chapter of recurrence that scripts of GANs ask for."""

from __future__ import annotations

from typing import Any

from minigan.core import Variable
from minigan.functions.activation import sigmoid, tanh
from minigan.link import Chain
from minigan.links.connection import Linear

__all__ = ["GRU", "StatefulGRU", "StatelessGRU"]


class StatelessGRU(Chain):
    """h' = (1 - z) h + z tanh(W x + U (r h)), with r = sigmoid(W_r x + U_r h), z = sigmoid(W_z x + U_z h).

    Cho et al., 2014. The children ``W_r``, ``U_r``, ``W_z``, ``U_z``, ``W``, ``U`` are ``Linear``.

    Args:
        in_size: None: taken from the first x.
        init, inner_init, bias_init: initializers of the weights of x, of those of h, and of all biases.
    """

    def __init__(
        self, in_size: int | None, out_size: int, init: Any = None, inner_init: Any = None, bias_init: Any = None
    ) -> None:
        super().__init__()
        with self.init_scope():
            self.W_r, self.U_r, self.W_z, self.U_z, self.W, self.U = (
                Linear(size, out_size, initialW=W, initial_bias=bias_init)
                for size, W in [(in_size, init), (out_size, inner_init)] * 3
            )

    def forward(self, h: Any, x: Any) -> Variable:
        """h (N, out_size) and x (N, in_size) to the new h; h None stands for zeros, and then the U are left out."""
        if h is None:
            return sigmoid(self.W_z(x)) * tanh(self.W(x))
        r = sigmoid(self.W_r(x) + self.U_r(h))
        z = sigmoid(self.W_z(x) + self.U_z(h))
        return (1 - z) * h + z * tanh(self.W(x) + self.U(r * h))


class StatefulGRU(StatelessGRU):
    """A GRU that keeps its h from call to call, until ``reset_state``."""

    h: Any = None

    def __init__(
        self, in_size: int | None, out_size: int, init: Any = None, inner_init: Any = None, bias_init: Any = 0
    ) -> None:
        super().__init__(in_size, out_size, init, inner_init, bias_init)
        self.state_size = out_size

    def set_state(self, h: Variable) -> None:
        """Go on from h (N, out_size), a Variable."""
        if not isinstance(h, Variable):
            raise TypeError(f"{type(self).__name__}: h is a {type(h).__name__}; wanted a Variable")
        h.to_device(self.device)
        self.h = h

    def reset_state(self) -> None:
        """Forget h."""
        self.h = None

    def forward(self, *args: Any) -> Variable:
        """x (N, in_size) to the new h."""
        if len(args) != 1:
            raise ValueError(
                f"{type(self).__name__}: got {len(args)} arguments; wanted x alone; StatelessGRU takes h too"
            )
        if self.h is not None:
            self.h.to_device(self.device)
        self.h = super().forward(self.h, args[0])
        return self.h


class GRU(StatefulGRU):
    """Another name of ``StatefulGRU``."""
