"""The fully connected nets: a few products of matrices, for any size of image."""

from __future__ import annotations

from typing import Any

import minigan.functions as F
import minigan.links as L
from minigan.core import Variable
from minigan.gans.nets.base import SLOPE, Discriminator, Generator


class MLPGenerator(Generator):
    """Z -> width -> 2 width -> C S S, ReLU between and tanh at the end (Goodfellow 2014 used such nets on MNIST)."""

    def __init__(self, z_dim: int = 100, channels: int = 1, size: int = 28, width: int = 256) -> None:
        super().__init__()
        self.z_dim, self.image_shape = z_dim, (channels, size, size)
        with self.init_scope():
            self.fc1 = L.Linear(z_dim, width)
            self.fc2 = L.Linear(width, 2 * width)
            self.fc3 = L.Linear(2 * width, channels * size * size)

    def forward(self, z: Any) -> Variable:
        h = self.fc1(z, activation="relu")
        h = self.fc2(h, activation="relu")
        return F.reshape(self.fc3(h, activation="tanh"), (len(z), *self.image_shape))


class MLPDiscriminator(Discriminator):
    """C S S -> 2 width -> width -> 1, LeakyReLU between; the input is flattened. It has no normalization to choose."""

    LAST = "fc3"

    def __init__(self, channels: int = 1, size: int = 28, width: int = 256, norm: str = "none") -> None:
        super().__init__()
        with self.init_scope():
            self.fc1 = L.Linear(channels * size * size, 2 * width)
            self.fc2 = L.Linear(2 * width, width)
            self.fc3 = L.Linear(width, 1)

    def features(self, x: Any) -> Variable:
        h = self.fc1(F.reshape(x, (len(x), -1)), activation="leaky_relu", slope=SLOPE)
        return self.fc2(h, activation="leaky_relu", slope=SLOPE)
