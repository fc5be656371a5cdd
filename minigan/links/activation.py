"""Chapter activation: activations with parameters of their own, and the linear layers that are made for one."""

from __future__ import annotations

import math
from typing import Any

from minigan import initializers
from minigan.core import Parameter, Variable, as_variable, reshape
from minigan.functions.activation import maxout, prelu, swish
from minigan.functions.noise import simplified_dropconnect
from minigan.link import Chain, Link
from minigan.links.connection import Linear

__all__ = ["Maxout", "PReLU", "SimplifiedDropconnect", "Swish"]


class PReLU(Link):
    """x where x >= 0, else W * x: the slopes W, of ``shape`` (see ``functions.prelu``), begin as ``init``."""

    def __init__(self, shape: Any = (), init: Any = 0.25) -> None:
        super().__init__()
        with self.init_scope():
            self.W = Parameter(init, shape)

    def forward(self, x: Any) -> Variable:
        """x (N, ...), with axes of the lengths of W after the first."""
        return prelu(x, self.W)


class Swish(Link):
    """x * sigmoid(beta * x): beta, of ``beta_shape`` (None: that of one example), begins as ``beta_init``."""

    def __init__(self, beta_shape: Any, beta_init: Any = 1.0) -> None:
        super().__init__()
        with self.init_scope():
            self.beta = Parameter(beta_init)
        if beta_shape is not None:
            self.beta.initialize(beta_shape)

    def forward(self, x: Any) -> Variable:
        """x (N, ...), with axes of the lengths of beta after the first."""
        if not self.beta.is_initialized:
            self.beta.initialize(x.shape[1:])
        return swish(x, self.beta)


class Maxout(Chain):
    """The largest of ``pool_size`` linear functions: (N, in_size) to (N, out_size) (Goodfellow et al., 2013).

    The child ``linear`` has ``out_size * pool_size`` outputs.

    Args:
        in_size: None: taken from the first x.
        initialW: an initializer, array or number for the shape (out_size, pool_size, in_size).
        initial_bias: the same for (out_size, pool_size); None: no bias.
    """

    def __init__(
        self, in_size: int | None, out_size: int, pool_size: int, initialW: Any = None, initial_bias: Any = 0
    ) -> None:
        super().__init__()
        W = None if initialW is None else _SeenAs((out_size, pool_size, -1), initialW)
        b = None if initial_bias is None else _SeenAs((out_size, pool_size), initial_bias)
        self.out_size, self.pool_size = out_size, pool_size
        with self.init_scope():
            self.linear = Linear(in_size, out_size * pool_size, nobias=b is None, initialW=W, initial_bias=b)

    def forward(self, x: Any) -> Variable:
        """x (N, ...) to (N, out_size)."""
        return maxout(self.linear(x), self.pool_size)


class _SeenAs:
    """An initializer that shows the array to another one in that shape."""

    def __init__(self, shape: tuple[int, ...], initial: Any) -> None:
        self.shape, self.initializer = shape, initializers._get_initializer(initial)
        self.dtype = getattr(self.initializer, "dtype", None)

    def __call__(self, array: Any) -> None:
        self.initializer(array.reshape(self.shape))


class SimplifiedDropconnect(Link):
    """A linear layer of which each weight is left out with probability ``ratio`` while training (Wan et al., 2013).

    Arguments as for ``Linear``; ``in_size`` None is taken from the first x.
    """

    def __init__(
        self, in_size: int | None, out_size: int, ratio: float = 0.5, nobias: bool = False, initialW: Any = None,
        initial_bias: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.out_size, self.ratio = out_size, ratio
        with self.init_scope():
            self.W = Parameter(initializers._get_initializer(initialW))
            self.b = None if nobias else Parameter(0 if initial_bias is None else initial_bias, out_size)
        if in_size is not None:
            self.W.initialize((out_size, in_size))

    def forward(self, x: Any, train: bool = True, mask: Any = None, use_batchwise_mask: bool = True) -> Variable:
        """x (N, ...) to (N, out_size); the other arguments as for ``functions.simplified_dropconnect``."""
        x = as_variable(x)
        size = math.prod(x.shape[1:])
        if not self.W.is_initialized:
            self.W.initialize((self.out_size, size))
        x = reshape(x, (len(x), size))
        return simplified_dropconnect(x, self.W, self.b, self.ratio, train, mask, use_batchwise_mask)
