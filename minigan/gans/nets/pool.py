"""Nets that halve and double with pooling and its reverse, rather than with strides, as CNNs did before DCGAN."""

from __future__ import annotations

from typing import Any

import minigan.functions as F
import minigan.links as L
from minigan import initializers
from minigan.core import Variable
from minigan.gans.nets.base import Discriminator, Generator, first_side


class PoolGenerator(Generator):
    """Z -> 2W x S/4 x S/4 -> W x S/2 x S/2 -> C x S x S by 2x2 unpooling, each followed by a 5x5 convolution.

    Batch normalization and ReLU after all layers but the last, tanh at the end.
    """

    def __init__(self, z_dim: int = 100, channels: int = 1, size: int = 28, width: int = 64) -> None:
        super().__init__()
        self.z_dim, self.first, w = z_dim, first_side(self, size), initializers.HeNormal()
        with self.init_scope():
            self.fc1 = L.Linear(z_dim, 2 * width * self.first**2, nobias=True, initialW=w)
            self.bn1 = L.BatchNormalization(2 * width)
            self.c2 = L.Convolution2D(2 * width, width, 5, pad=2, nobias=True, initialW=w)
            self.bn2 = L.BatchNormalization(width)
            self.c3 = L.Convolution2D(width, channels, 5, pad=2)

    def forward(self, z: Any) -> Variable:
        h = F.reshape(self.fc1(z), (len(z), -1, self.first, self.first))
        h = F.unpooling_2d(self.bn1(h, activation="relu"), 2, cover_all=False)
        h = F.unpooling_2d(self.bn2(self.c2(h), activation="relu"), 2, cover_all=False)
        return self.c3(h, activation="tanh")


class PoolDiscriminator(Discriminator):
    """C x S x S -> W x S/2 x S/2 -> 2W x S/4 x S/4 -> 1: two 5x5 convolutions, each with ReLU and 2x2 max pooling.

    It has no normalization to choose.
    """

    LAST = "fc3"

    def __init__(self, channels: int = 1, size: int = 28, width: int = 64, norm: str = "none") -> None:
        super().__init__()
        first, w = first_side(self, size), initializers.HeNormal()
        with self.init_scope():
            self.c1 = L.Convolution2D(channels, width, 5, pad=2, initialW=w)
            self.c2 = L.Convolution2D(width, 2 * width, 5, pad=2, initialW=w)
            self.fc3 = L.Linear(2 * width * first**2, 1)

    def features(self, x: Any) -> Variable:
        h = F.max_pooling_2d(self.c1(x, activation="relu"), 2)
        return F.max_pooling_2d(self.c2(h, activation="relu"), 2)
