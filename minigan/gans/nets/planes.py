"""Nets that make and judge every colour plane of an image with the same weights, and then the planes together.

They suit images whose planes are alike, as are the three digits of Stacked MNIST: one plane is as hard as a grey image,
and the nets learn from all planes at once. Nets that mix the planes from their first layer on have to learn each
apart.
"""

from __future__ import annotations

from typing import Any

import minigan.functions as F
import minigan.links as L
from minigan import initializers
from minigan.core import Variable
from minigan.gans.nets.base import SLOPE
from minigan.gans.nets.small import DeepDiscriminator, FineGenerator


class PlanesGenerator(FineGenerator):
    """z -> 2W x S/4 x S/4 for each of C planes, by a linear layer; each becomes 1 x S x S as in `FineGenerator`."""

    def __init__(self, z_dim: int = 300, channels: int = 3, size: int = 28, width: int = 32, **own: Any) -> None:
        super().__init__(z_dim, 1, size, width, **own)
        n = self.fc1.W.shape[0]
        self.fc1 = L.Linear(z_dim, channels * n, nobias=True, initialW=initializers.Normal(0.02))

    def forward(self, z: Any) -> Variable:
        planes = super().forward(z)
        return F.reshape(planes, (len(z), -1, *planes.shape[2:]))


class PlanesDiscriminator(DeepDiscriminator):
    """The layers of `DeepDiscriminator` for each of C planes; their features, C F, -> 256 -> 1.

    The 256 units are what compares the planes: the answer of a linear layer would be a sum of one answer to each.
    """

    HIDDEN = 256

    def __init__(self, channels: int = 3, size: int = 28, width: int = 32, norm: str = "batch", **own: Any) -> None:
        super().__init__(1, size, width, norm, **own)
        self.see, n, w = self.LAST, channels * self.last.W.shape[1], initializers.Normal(0.02)
        self.LAST = f"fc{self.n + 2}"
        setattr(self, self.see, L.Linear(n, self.HIDDEN, initialW=w))
        with self.init_scope():
            setattr(self, self.LAST, L.Linear(self.HIDDEN, 1, initialW=w))

    def features(self, x: Any) -> Variable:
        h = super().features(F.reshape(x, (-1, 1, *x.shape[2:])))
        return self[self.see](F.reshape(h, (len(x), -1)), activation="leaky_relu", slope=SLOPE)
