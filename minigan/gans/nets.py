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
from minigan import initializers
from minigan.core import Variable
from minigan.gans.conditional import CONDITIONS
from minigan.gans.turn import draw, one_hot
from minigan.link import Chain
from minigan.link_hooks import SpectralNormalization

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
    n_classes = 0  #: K of a conditional generator, whose z ends in a one-hot code of K numbers

    def latent(self, n: int, labels: Any = None) -> Any:
        """Draw z (n, Z) from N(0, 1) in the weights' dtype and on their device.

        A conditional generator's is (n, Z + K): the code is that of `labels` (n,), or of classes drawn at random.
        """
        z = draw("normal", self, (n, self.z_dim))
        if not self.n_classes:
            return z
        if labels is None:
            labels = (draw("uniform", self, (n,)) * self.n_classes).astype(numpy.int32)
        return self.xp.concatenate((z, one_hot(self, self.device.send(labels), self.n_classes)), 1)

    def labels_of(self, z: Any) -> Any:
        """The classes (N,) that z asks for; None of a generator without classes."""
        return z[:, self.z_dim :].argmax(1).astype(numpy.int32) if self.n_classes else None


class Discriminator(Chain):
    """What all discriminators share: features (N, ...) of images, and a last layer that makes an answer of them."""

    LAST: str  #: the name of that layer

    @property
    def last(self) -> Any:
        """The last layer."""
        return self[self.LAST]

    def features(self, x: Any) -> Variable:
        """What the last layer sees of x."""
        raise NotImplementedError

    def forward(self, x: Any) -> Variable:
        """The logits (N, 1) of images x."""
        return self.last(self.features(x))


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


class SmallDiscriminator(Discriminator):
    """The mirror image: C x S x S -> W x S/2 x S/2 -> 2W x S/4 x S/4 -> 1 by 4x4 convolutions, stride 2, pad 1.

    LeakyReLU(0.2) throughout, batch normalization in the second layer only: the images themselves are not normalized.
    The biases of the first layer start spread out, U(-a, a) with a = 1 / sqrt(16 C), so that its units respond to
    different grey levels: on digits the Frechet distance after 1,500 steps was 33 with them and 46 with zeros.
    With another `norm` than "batch" the second layer has a bias instead.
    """

    LAST = "fc3"

    def __init__(self, channels: int = 1, size: int = 28, width: int = 64, norm: str = "batch") -> None:
        super().__init__()
        bottom = _check_size("SmallDiscriminator", size)
        w = initializers.Normal(0.02)
        with self.init_scope():
            spread = initializers.Uniform(1 / math.sqrt(16 * channels))
            self.c1 = L.Convolution2D(channels, width, 4, stride=2, pad=1, initialW=w, initial_bias=spread)
            self.c2 = L.Convolution2D(width, 2 * width, 4, stride=2, pad=1, nobias=norm == "batch", initialW=w)
            if norm == "batch":
                self.bn2 = L.BatchNormalization(2 * width)
            self.fc3 = L.Linear(2 * width * bottom**2, 1, initialW=w)

    def features(self, x: Any) -> Variable:
        h = self.c1(x, activation="leaky_relu", slope=SLOPE)
        return _normalized(self, "2", h, SLOPE)


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


class BookDiscriminator(Discriminator):
    """C x 28 x 28 -> 32 x 14 x 14 -> 64 x 7 x 7 -> 128 x 3 x 3 -> 1152 -> 1, 3x3 convolutions of stride 2.

    The third convolution has no padding, which gives the book's 3 x 3 x 128 = 1152 features; Keras' "same" padding, in
    the listing beside it, would give 4 x 4 x 128 = 2048. LeakyReLU(0.01); batch normalization in the second and third,
    or, with another `norm` than "batch", a bias.
    """

    LAST = "fc4"

    def __init__(self, channels: int = 1, size: int = 28, width: int = 64, norm: str = "batch") -> None:
        super().__init__()
        top = (_check_size("BookDiscriminator", size) - 3) // 2 + 1
        if top < 1:
            raise ValueError(f"BookDiscriminator: size is {size} but three stride-2 layers need 12 pixels or more")
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
        h = _normalized(self, "2", h, BOOK_SLOPE)
        return _normalized(self, "3", h, BOOK_SLOPE)


def _normalized(net: Chain, number: str, h: Any, slope: float) -> Variable:
    """A convolution of D, its batch normalization if it has one, and LeakyReLU: layers c2 and bn2 for number 2."""
    convolution, bn = net["c" + number], getattr(net, "bn" + number, None)
    if bn is None:
        return convolution(h, activation="leaky_relu", slope=slope)
    return bn(convolution(h), activation="leaky_relu", slope=slope)


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


class Architecture(NamedTuple):
    """A generator, the discriminator that fits it, and the settings that suit the two."""

    generator: Callable[..., Generator]
    discriminator: Callable[..., Chain]
    defaults: dict[str, Any]

    def build(
        self, z_dim: int, channels: int, size: int, width: int, norm_dis: str | None = None,
        condition: str | None = None, n_classes: int = 0,
    ) -> tuple[Generator, Chain]:  # fmt: skip
        """Return `(gen, dis)` for images (C, size, size) and noise of `z_dim` numbers.

        For `norm_dis` see `NORMS`, for `condition`, which makes both nets conditional, `CONDITIONS`.
        """
        if condition is None:
            n_classes = 0
        shape, more = {"size": size, "width": width}, n_classes if condition == "concatenation" else 0
        gen = self.generator(z_dim=z_dim + n_classes, channels=channels, **shape)
        dis = self.discriminator(channels=channels + more, **shape, **_given(norm=norm_dis))
        if condition is not None:
            gen.z_dim, gen.n_classes = z_dim, n_classes
            dis = CONDITIONS[condition](dis, n_classes)
        if norm_dis == "spectral":
            for link in dis.links():
                if isinstance(link, (L.Convolution2D, L.Linear, L.EmbedID)):
                    link.add_hook(SpectralNormalization())
        return gen, dis


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


NORMS = ("batch", "none", "spectral")
"""What D may have: batch normalization where its class says; none, as penalties want; W / sigma(W) in each layer."""


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
    "ring": Architecture(
        RingGenerator, RingDiscriminator,
        {"width": 128, "z_dim": 2, "batch_size": 128, "alpha": 1e-3, "alpha_dis": 1e-3, "beta1": 0.5, "beta2": 0.999,
         "ema": 0.98, "steps": 3000, "schedule": "linear"},
    ),
}  # fmt: skip
