"""Self-attention: every place of a map looks at all others, which convolutions of 4 x 4 pixels cannot."""

from __future__ import annotations

from typing import Any

import minigan.functions as F
import minigan.links as L
from minigan.core import Parameter, Variable
from minigan.link import Chain


class SelfAttention(Chain):
    """y = gamma o + x (Zhang et al. 2018, Self-Attention GANs, arXiv:1805.08318, equations 1 to 3).

    o_j = v(sum_i beta_ji h(x_i)) with beta_ji = exp(s_ij) / sum_i exp(s_ij) and s_ij = f(x_i) . g(x_j), where i and j
    are places; f, g, h and v are 1x1 convolutions, the first three to an eighth of the channels. gamma starts at 0, so
    that a net first learns what is near.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        few = max(channels // 8, 1)
        with self.init_scope():
            self.f, self.g, self.h = (L.Convolution2D(channels, few, 1, nobias=True) for _ in range(3))
            self.v = L.Convolution2D(few, channels, 1, nobias=True)
            self.gamma = Parameter(0, ())

    def forward(self, x: Any) -> Variable:
        """(N, C, H, W) to (N, C, H, W)."""
        f, g, h = (F.reshape(y, (*y.shape[:2], -1)) for y in (self.f(x), self.g(x), self.h(x)))
        beta = F.softmax(F.matmul(g, f, transa=True), axis=2)  # (N, j, i)
        o = F.matmul(h, beta, transb=True)
        return self.gamma * self.v(F.reshape(o, (*o.shape[:2], *x.shape[2:]))) + x
