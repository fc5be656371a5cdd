"""A generator that is an encoder, a bottleneck and a decoder: it draws an image after a sketch made of noise."""

from __future__ import annotations

from typing import Any

import minigan.functions as F
import minigan.links as L
from minigan.core import Variable
from minigan.gans.answers import widened
from minigan.gans.nets.base import Generator
from minigan.gans.nets.small import SmallDiscriminator, SmallGenerator

BOTTLENECK = 64  # numbers


class EncoderGenerator(Generator):
    """Z -> a sketch, C x S x S -> 2W x S/4 x S/4 -> bottleneck -> 2W x S/4 x S/4 -> C x S x S.

    Noise, and the code of a class if there are any, becomes a sketch of the image's shape by a matrix; the encoder is
    the small discriminator with 64 answers, the decoder the small generator, and `own` are their further arguments.
    """

    def __init__(self, z_dim: int = 100, channels: int = 1, size: int = 28, width: int = 64, **own: Any) -> None:
        super().__init__()
        self.z_dim, self.image_shape = z_dim, (channels, size, size)
        with self.init_scope():
            self.sketch = L.Linear(z_dim, channels * size * size)
            self.encoder = widened(SmallDiscriminator(channels, size, width, **own), BOTTLENECK)
            self.decoder = SmallGenerator(BOTTLENECK, channels, size, width, **own)

    def forward(self, z: Any) -> Variable:
        return self.decoder(self.encoder(F.reshape(self.sketch(z), (len(z), *self.image_shape))))
