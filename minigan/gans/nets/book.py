"""The nets of a book's chapter on DCGAN and MNIST, layer by layer."""

from __future__ import annotations

from typing import Any

import minigan.functions as F
import minigan.links as L
from minigan import initializers
from minigan.core import Variable
from minigan.dataset.errors import DataError
from minigan.gans.nets.base import Discriminator, Generator, first_side, normalized

BOOK_SLOPE = 0.01


class BookGenerator(Generator):
    """Z -> 256 x 7 x 7 -> 128 x 14 x 14 -> 64 x 14 x 14 -> C x 28 x 28, 3x3 deconvolutions of stride 2, 1 and 2.

    Batch normalization and LeakyReLU(0.01) after all layers but the last, tanh at the end. A 3x3 kernel with stride 2
    and pad 1 makes 13 or 14 out of 7, so `outsize` says which is meant.
    """

    def __init__(self, z_dim: int = 100, channels: int = 1, size: int = 28, width: int = 64) -> None:
        super().__init__()
        self.z_dim, self.bottom, self.width = z_dim, first_side(self, size), width
        half, whole = (size // 2, size // 2), (size, size)
        w = initializers.GlorotUniform()
        with self.init_scope():
            self.fc1 = L.Linear(z_dim, 4 * width * self.bottom**2, nobias=True, initialW=w)
            self.bn1 = L.BatchNormalization(4 * width)
            self.dc2 = L.Deconvolution2D(4 * width, 2 * width, 3, 2, 1, nobias=True, outsize=half, initialW=w)
            self.bn2 = L.BatchNormalization(2 * width)
            self.dc3 = L.Deconvolution2D(2 * width, width, 3, 1, 1, nobias=True, initialW=w)
            self.bn3 = L.BatchNormalization(width)
            self.dc4 = L.Deconvolution2D(width, channels, 3, 2, 1, outsize=whole, initialW=w)

    def forward(self, z: Any) -> Variable:
        h = F.reshape(self.fc1(z), (len(z), 4 * self.width, self.bottom, self.bottom))
        h = self.bn1(h, activation="leaky_relu", slope=BOOK_SLOPE)
        h = self.bn2(self.dc2(h), activation="leaky_relu", slope=BOOK_SLOPE)
        h = self.bn3(self.dc3(h), activation="leaky_relu", slope=BOOK_SLOPE)
        return self.dc4(h, activation="tanh")


class BookDiscriminator(Discriminator):
    """C x 28 x 28 -> 32 x 14 x 14 -> 64 x 7 x 7 -> 128 x 3 x 3 -> 1152 -> 1, 3x3 convolutions of stride 2.

    The third convolution has no padding, which gives the book's 3 x 3 x 128 = 1152 features; Keras' "same" padding, in
    the listing beside it, would give 4 x 4 x 128 = 2048. LeakyReLU(0.01); batch normalization in the second and third,
    or, with another `norm` than "batch", a bias.
    """

    LAST = "fc4"

    def __init__(self, channels: int = 1, size: int = 28, width: int = 64, norm: str = "batch") -> None:
        super().__init__()
        top = (first_side(self, size) - 3) // 2 + 1
        if top < 1:
            raise DataError(f"BookDiscriminator: size is {size} but three stride-2 layers need 12 pixels; pass "
                            f"--size 12, or more")  # fmt: skip
        half, plain = max(width // 2, 1), norm != "batch"
        w = initializers.GlorotUniform()
        with self.init_scope():
            self.c1 = L.Convolution2D(channels, half, 3, 2, 1, initialW=w)
            self.c2 = L.Convolution2D(half, width, 3, 2, 1, nobias=not plain, initialW=w)
            self.c3 = L.Convolution2D(width, 2 * width, 3, 2, 0, nobias=not plain, initialW=w)
            if not plain:
                self.bn2, self.bn3 = L.BatchNormalization(width), L.BatchNormalization(2 * width)
            self.fc4 = L.Linear(2 * width * top**2, 1, initialW=w)

    def features(self, x: Any) -> Variable:
        h = self.c1(x, activation="leaky_relu", slope=BOOK_SLOPE)
        h = normalized(self, "2", h, BOOK_SLOPE)
        return normalized(self, "3", h, BOOK_SLOPE)
