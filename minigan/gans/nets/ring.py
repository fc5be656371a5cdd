"""The nets for points of the plane."""

from __future__ import annotations

import math
from typing import Any

import minigan.links as L
from minigan import initializers
from minigan.core import Variable
from minigan.gans.nets.base import SLOPE, Discriminator, Generator


class RingGenerator(Generator):
    """Z -> width -> width -> a point of the plane, ReLU between; no tanh, for points have no bounds.

    Of noise of two numbers, whose angle is all that there is to learn, it makes the ring in a quarter of the steps that
    it takes with eight.
    """

    def __init__(self, z_dim: int = 2, channels: int = 2, size: int = 1, width: int = 128) -> None:
        super().__init__()
        self.z_dim, w = z_dim, initializers.HeNormal()
        with self.init_scope():
            self.fc1 = L.Linear(z_dim, width, initialW=w)
            self.fc2 = L.Linear(width, width, initialW=w)
            self.fc3 = L.Linear(width, channels, initialW=w)

    def forward(self, z: Any) -> Variable:
        return self.fc3(self.fc2(self.fc1(z, activation="relu"), activation="relu"))


class RingDiscriminator(Discriminator):
    """A point of the plane -> width -> width -> 1, LeakyReLU between. It has no normalization to choose.

    The first layer's units bend along lines all over the ring, since their biases start spread out in the measure of
    their weights. Spectral norms hold the slope at 1, too little to tell points that are 0.05 apart; with them points
    are taken ten times as large.
    """

    LAST = "fc3"

    def __init__(self, channels: int = 2, size: int = 1, width: int = 128, norm: str = "none") -> None:
        super().__init__()
        self.scale = 10 if norm == "spectral" else 1
        w = initializers.HeNormal()
        spread = initializers.Uniform(2 if norm != "spectral" else 2 * self.scale / math.sqrt(width))
        with self.init_scope():
            self.fc1 = L.Linear(channels, width, initialW=initializers.HeNormal(1.5), initial_bias=spread)
            self.fc2 = L.Linear(width, width, initialW=w)
            self.fc3 = L.Linear(width, 1, initialW=w)

    def features(self, x: Any) -> Variable:
        h = self.fc1(self.scale * x, activation="leaky_relu", slope=SLOPE)
        return self.fc2(h, activation="leaky_relu", slope=SLOPE)
