"""The nets by name: a generator draws images from noise, a discriminator gives one logit per image.

Every generator maps z (N, Z) to images (N, C, S, S) in (-1, 1); every discriminator maps images to (N, 1) logits: how
much more likely it holds the image to be real, before any sigmoid. `ARCHITECTURES` names the pairs; the losses live in
the GANs' own files and know nothing of what is in here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy

import minigan.functions as F
import minigan.links as L
from minigan import initializers, random
from minigan.configuration import config
from minigan.core import Variable
from minigan.link import Chain

SLOPE = 0.2  # of LeakyReLU on the negative side: Radford 2015, section 3
BOOK_SLOPE = 0.01


def _check_size(name: str, size: int) -> int:
    """Return the side of the smallest feature map, which two stride-2 layers enlarge four times."""
    if size < 4 or size % 4:
        raise ValueError(f"{name}: size is {size} but the image side is made by doubling twice; pass a multiple of 4")
    return size // 4


class Generator(Chain):
    """What all generators share: the size of their noise and how it is drawn."""

    z_dim: int

    def latent(self, n: int) -> Any:
        """Draw z (n, Z) from N(0, 1) in the weights' dtype and on their device.

        The numbers come from NumPy's global generator: unlike CuPy's its state can be saved, so that a run on a GPU,
        too, is resumed bit for bit. With `config.cuda_graph` they are made on the GPU, whose stream begins anew in each
        iteration of a trainer.
        """
        if config.cuda_graph and self.xp is not numpy:
            return random.normal(self.xp, (n, self.z_dim), next(self.params()).dtype)
        z = numpy.random.standard_normal((n, self.z_dim))
        return self.device.send(z.astype(next(self.params()).dtype))


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


class MLPDiscriminator(Chain):
    """C S S -> 2 width -> width -> 1, LeakyReLU between; the input is flattened."""

    def __init__(self, channels: int = 1, size: int = 28, width: int = 256) -> None:
        super().__init__()
        with self.init_scope():
            self.fc1 = L.Linear(channels * size * size, 2 * width)
            self.fc2 = L.Linear(2 * width, width)
            self.fc3 = L.Linear(width, 1)

    def forward(self, x: Any) -> Variable:
        h = self.fc1(F.reshape(x, (len(x), -1)), activation="leaky_relu", slope=SLOPE)
        h = self.fc2(h, activation="leaky_relu", slope=SLOPE)
        return self.fc3(h)


class SmallGenerator(Generator):
    """DCGAN in little: Z -> 2W x S/4 x S/4 -> W x S/2 x S/2 -> C x S x S by 4x4 deconvolutions, stride 2, pad 1.

    Batch normalization and ReLU after all layers but the last, tanh at the end, weights from N(0, 0.02)
    (Radford 2015, section 3 and figure 1). Layers in front of a normalization have no bias: its mean would remove it.
    """

    def __init__(self, z_dim: int = 100, channels: int = 1, size: int = 28, width: int = 64) -> None:
        super().__init__()
        self.z_dim, self.bottom, self.width = z_dim, _check_size("SmallGenerator", size), width
        w = initializers.Normal(0.02)
        with self.init_scope():
            self.fc1 = L.Linear(z_dim, 2 * width * self.bottom**2, nobias=True, initialW=w)
            self.bn1 = L.BatchNormalization(2 * width)
            self.dc2 = L.Deconvolution2D(2 * width, width, 4, stride=2, pad=1, nobias=True, initialW=w)
            self.bn2 = L.BatchNormalization(width)
            self.dc3 = L.Deconvolution2D(width, channels, 4, stride=2, pad=1, initialW=w)

    def forward(self, z: Any) -> Variable:
        h = F.reshape(self.fc1(z), (len(z), 2 * self.width, self.bottom, self.bottom))
        h = self.bn1(h, activation="relu")
        h = self.bn2(self.dc2(h), activation="relu")
        return self.dc3(h, activation="tanh")


class SmallDiscriminator(Chain):
    """The mirror image: C x S x S -> W x S/2 x S/2 -> 2W x S/4 x S/4 -> 1 by 4x4 convolutions, stride 2, pad 1.

    LeakyReLU(0.2) throughout, batch normalization in the second layer only: the images themselves are not normalized.
    The biases of the first layer start spread out, U(-a, a) with a = 1 / sqrt(16 C), so that its units respond to
    different grey levels: on digits the Frechet distance after 1,500 steps was 33 with them and 46 with zeros.
    """

    def __init__(self, channels: int = 1, size: int = 28, width: int = 64) -> None:
        super().__init__()
        bottom = _check_size("SmallDiscriminator", size)
        w = initializers.Normal(0.02)
        with self.init_scope():
            spread = initializers.Uniform(1 / math.sqrt(16 * channels))
            self.c1 = L.Convolution2D(channels, width, 4, stride=2, pad=1, initialW=w, initial_bias=spread)
            self.c2 = L.Convolution2D(width, 2 * width, 4, stride=2, pad=1, nobias=True, initialW=w)
            self.bn2 = L.BatchNormalization(2 * width)
            self.fc3 = L.Linear(2 * width * bottom**2, 1, initialW=w)

    def forward(self, x: Any) -> Variable:
        h = self.c1(x, activation="leaky_relu", slope=SLOPE)
        h = self.bn2(self.c2(h), activation="leaky_relu", slope=SLOPE)
        return self.fc3(h)


class BookGenerator(Generator):
    """Z -> 256 x 7 x 7 -> 128 x 14 x 14 -> 64 x 14 x 14 -> C x 28 x 28, 3x3 deconvolutions of stride 2, 1 and 2.

    Batch normalization and LeakyReLU(0.01) after all layers but the last, tanh at the end. A 3x3 kernel with stride 2
    and pad 1 makes 13 or 14 out of 7, so `outsize` says which is meant.
    """

    def __init__(self, z_dim: int = 100, channels: int = 1, size: int = 28, width: int = 64) -> None:
        super().__init__()
        self.z_dim, self.bottom, self.width = z_dim, _check_size("BookGenerator", size), width
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


class BookDiscriminator(Chain):
    """C x 28 x 28 -> 32 x 14 x 14 -> 64 x 7 x 7 -> 128 x 3 x 3 -> 1152 -> 1, 3x3 convolutions of stride 2.

    The third convolution has no padding, which gives the book's 3 x 3 x 128 = 1152 features; Keras' "same" padding, in
    the listing beside it, would give 4 x 4 x 128 = 2048. LeakyReLU(0.01); batch normalization in the second and third.
    """

    def __init__(self, channels: int = 1, size: int = 28, width: int = 64) -> None:
        super().__init__()
        top = (_check_size("BookDiscriminator", size) - 3) // 2 + 1
        if top < 1:
            raise ValueError(f"BookDiscriminator: size is {size} but three stride-2 layers need 12 pixels or more")
        half = max(width // 2, 1)
        w = initializers.GlorotUniform()
        with self.init_scope():
            self.c1 = L.Convolution2D(channels, half, 3, 2, 1, initialW=w)
            self.c2 = L.Convolution2D(half, width, 3, 2, 1, nobias=True, initialW=w)
            self.bn2 = L.BatchNormalization(width)
            self.c3 = L.Convolution2D(width, 2 * width, 3, 2, 0, nobias=True, initialW=w)
            self.bn3 = L.BatchNormalization(2 * width)
            self.fc4 = L.Linear(2 * width * top**2, 1, initialW=w)

    def forward(self, x: Any) -> Variable:
        h = self.c1(x, activation="leaky_relu", slope=BOOK_SLOPE)
        h = self.bn2(self.c2(h), activation="leaky_relu", slope=BOOK_SLOPE)
        h = self.bn3(self.c3(h), activation="leaky_relu", slope=BOOK_SLOPE)
        return self.fc4(h)


class Architecture(NamedTuple):
    """A generator, the discriminator that fits it, and the settings that suit the two."""

    generator: Callable[..., Generator]
    discriminator: Callable[..., Chain]
    defaults: dict[str, Any]

    def build(self, z_dim: int, channels: int, size: int, width: int) -> tuple[Generator, Chain]:
        """Return `(gen, dis)` for images (C, size, size) and noise of `z_dim` numbers."""
        shape = {"channels": channels, "size": size, "width": width}
        return self.generator(z_dim=z_dim, **shape), self.discriminator(**shape)


# The paper's alpha of 0.0002 is meant for wide nets and long training. At a width of 32, ten times that (half of it for
# D), a short memory of squared gradients and an averaged G reach in 1,000 steps what the paper's numbers, at a width of
# 64, reach in 2,000. For the paper's own: --width 64 --alpha 2e-4 --beta2 0.999 --ema 0.
ARCHITECTURES = {
    "small": Architecture(
        SmallGenerator, SmallDiscriminator,
        {"width": 32, "batch_size": 64, "alpha": 2e-3, "alpha_dis": 1e-3, "beta1": 0.5, "beta2": 0.99, "ema": 0.995,
         "steps": 2000},
    ),
    "book": Architecture(
        BookGenerator, BookDiscriminator,
        {"width": 64, "batch_size": 128, "alpha": 1e-3, "alpha_dis": 1e-3, "beta1": 0.9, "beta2": 0.999, "ema": 0.0,
         "steps": 2000},
    ),
    "mlp": Architecture(
        MLPGenerator, MLPDiscriminator,
        {"width": 256, "batch_size": 64, "alpha": 2e-4, "alpha_dis": 2e-4, "beta1": 0.5, "beta2": 0.999, "ema": 0.99,
         "steps": 6000},
    ),
}  # fmt: skip
