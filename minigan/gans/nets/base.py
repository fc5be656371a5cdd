"""What all generators and all discriminators share.

A generator maps z (N, Z) to images (N, C, S, S) in (-1, 1); a discriminator maps images to (N, 1) logits: how much more
likely it holds the image to be real, before any sigmoid.
"""

from __future__ import annotations

from typing import Any

import numpy

from minigan.core import Variable
from minigan.dataset.errors import DataError
from minigan.gans.turn import draw, one_hot
from minigan.link import Chain

SLOPE = 0.2  # of LeakyReLU on the negative side: Radford 2015, section 3


class Generator(Chain):
    """What all generators share: the size of their noise and how it is drawn."""

    z_dim: int
    n_classes = 0  #: K of a conditional generator, whose noise is followed by a one-hot code of K numbers
    n_codes = 0  #: C of a generator with further codes, numbers in (-1, 1), with which its z ends

    def latent(self, n: int, labels: Any = None) -> Any:
        """Draw z (n, Z) from N(0, 1) in the weights' dtype and on their device.

        A conditional generator's is (n, Z + K + C): the one-hot code is that of `labels` (n,), or of classes drawn at
        random, and the C further codes are from U(-1, 1).
        """
        z = draw("normal", self, (n, self.z_dim))
        if not self.n_classes:
            return z
        if labels is None:
            labels = (draw("uniform", self, (n,)) * self.n_classes).astype(numpy.int32)
        parts = [z, one_hot(self, self.device.send(labels), self.n_classes)]
        if self.n_codes:
            parts.append(2 * draw("uniform", self, (n, self.n_codes)) - 1)
        return self.xp.concatenate(parts, 1)

    def labels_of(self, z: Any) -> Any:
        """The classes (N,) that z asks for; None of a generator without classes."""
        classes = slice(self.z_dim, self.z_dim + self.n_classes)
        return z[:, classes].argmax(1).astype(numpy.int32) if self.n_classes else None


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


def first_side(net: Any, size: int, doublings: int = 2) -> int:
    """Return the side of the smallest map, which so many layers of stride 2 enlarge to the image's, `size`."""
    if size % 2**doublings or not size >> doublings:
        raise DataError(
            f"{type(net).__name__}: size is {size} but the image side is made by doubling {doublings} times; pass "
            f"--size with a multiple of {2**doublings}, or take other nets: --arch mlp{' or chainer' * (size >= 8)}"
        )
    return size >> doublings


def normalized(net: Chain, number: str, h: Any, slope: float) -> Variable:
    """A convolution of D, its batch normalization if it has one, and LeakyReLU: layers c2 and bn2 for number 2."""
    convolution, bn = net["c" + number], getattr(net, "bn" + number, None)
    if bn is None:
        return convolution(h, activation="leaky_relu", slope=slope)
    return bn(convolution(h), activation="leaky_relu", slope=slope)
