"""The nets of Chainer's own DCGAN example, which make images of any side from 8 pixels on."""

from __future__ import annotations

from typing import Any

import minigan.functions as F
import minigan.links as L
from minigan import initializers
from minigan.core import Variable
from minigan.dataset.errors import DataError
from minigan.gans.nets.base import SLOPE, Discriminator, Generator, normalized


def _sides(net: Any, size: int) -> list[int]:
    """The sides of the maps, from the smallest: 3, 7, 14 and 28, or 4, 8, 16 and 32."""
    if size < 8:
        raise DataError(f"{type(net).__name__}: size is {size} but three halvings need 8 pixels; pass --size 8 or more")
    return [size // 8, size // 4, size // 2, size]


class ChainerGenerator(Generator):
    """Z -> 8W x S/8 x S/8 -> 4W x S/4 x S/4 -> 2W x S/2 x S/2 -> W x S x S -> C x S x S.

    Three 4x4 deconvolutions of stride 2, and one of 3x3; a side may be twice the one before, or one more. Batch
    normalization and ReLU after all layers but the last, tanh at the end, weights from N(0, 0.02). In the example Z is
    128, W is 64, and the first map 4 pixels wide.
    """

    def __init__(self, z_dim: int = 128, channels: int = 1, size: int = 28, width: int = 64) -> None:
        super().__init__()
        sides, w = _sides(self, size), initializers.Normal(0.02)
        self.z_dim, self.first = z_dim, sides[0]
        with self.init_scope():
            self.l0 = L.Linear(z_dim, 8 * width * self.first**2, nobias=True, initialW=w)
            self.bn0 = L.BatchNormalization(8 * width * self.first**2)
            for i, side in enumerate(sides[1:], 1):
                c, whole = 8 * width >> i, (side, side)
                dc = L.Deconvolution2D(2 * c, c, 4, 2, 1, nobias=True, outsize=whole, initialW=w)
                setattr(self, f"dc{i}", dc)
                setattr(self, f"bn{i}", L.BatchNormalization(c))
            self.dc4 = L.Deconvolution2D(width, channels, 3, 1, 1, initialW=w)

    def forward(self, z: Any) -> Variable:
        h = F.reshape(self.bn0(self.l0(z), activation="relu"), (len(z), -1, self.first, self.first))
        for i in (1, 2, 3):
            h = self[f"bn{i}"](self[f"dc{i}"](h), activation="relu")
        return self.dc4(h, activation="tanh")


class ChainerDiscriminator(Discriminator):
    """C x S x S -> W x S x S -> 2W x S/2 x S/2 -> 4W x S/4 x S/4 -> 8W x S/8 x S/8 -> 1, halves rounded down.

    In turn 3x3 convolutions of stride 1 and 4x4 ones of stride 2; LeakyReLU(0.2), batch normalization in all but the
    first, or, with another `norm`, a bias. The example's noise between its layers is left to `--instance-noise`.
    """

    LAST = "l7"

    def __init__(self, channels: int = 1, size: int = 28, width: int = 64, norm: str = "batch") -> None:
        super().__init__()
        first, w = _sides(self, size)[0], initializers.Normal(0.02)
        with self.init_scope():
            self.c0 = L.Convolution2D(channels, width, 3, 1, 1, initialW=w)
            for i in range(1, 7):
                inner, outer = width << i // 2, width << (i + 1) // 2
                ksize, stride = (4, 2) if i % 2 else (3, 1)
                c = L.Convolution2D(inner, outer, ksize, stride, 1, nobias=norm == "batch", initialW=w)
                setattr(self, f"c{i}", c)
                if norm == "batch":
                    setattr(self, f"bn{i}", L.BatchNormalization(outer))
            self.l7 = L.Linear(8 * width * first**2, 1, initialW=w)

    def features(self, x: Any) -> Variable:
        h = x
        for i in range(7):
            h = normalized(self, str(i), h, SLOPE)
        return h
