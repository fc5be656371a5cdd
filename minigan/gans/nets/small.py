"""The default nets: DCGAN in little, which learns in minutes on two cores."""

from __future__ import annotations

import math
from typing import Any

import minigan.functions as F
import minigan.links as L
from minigan import initializers
from minigan.core import Variable
from minigan.dataset.errors import DataError
from minigan.gans.nets.attention import SelfAttention
from minigan.gans.nets.base import SLOPE, Discriminator, Generator, first_side, normalized

ATTEND = 16  # pixels: the largest side of a map that looks at itself, for that costs the fourth power of the side


def _sides(net: Any, size: int, doublings: int, attention: bool) -> tuple[int, int, int]:
    """How often the side is doubled, the side of the first map, and that of the map that looks at itself, if any.

    `doublings` of 0 means as many as leave a first map of 4 pixels or more: 2 of 28, 3 of 32, 4 of 64.
    """
    n = doublings or max(n for n in range(2, 12) if n == 2 or (size % 2**n == 0 and size >> n >= 4))
    first = first_side(net, size, n)
    attended = max((first << i for i in range(n) if first << i <= ATTEND), default=first)
    return n, first, attended if attention else 0


class SmallGenerator(Generator):
    """DCGAN in little: Z -> 2W x S/4 x S/4 -> W x S/2 x S/2 -> C x S x S by 4x4 deconvolutions, stride 2, pad 1.

    Batch normalization and ReLU after all layers but the last, tanh at the end, weights from N(0, 0.02)
    (Radford 2015, section 3 and figure 1). Layers in front of a normalization have no bias: its mean would remove it.
    With another number of `doublings`, n, it begins with 2^(n-1) W channels. `attention` is that of its middle.
    """

    finer = False  #: whether each of its maps is gone over once more

    def __init__(
        self, z_dim: int = 100, channels: int = 1, size: int = 28, width: int = 64, doublings: int = 2,
        attention: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.z_dim = z_dim
        self.n, self.first, self.attended = _sides(self, size, doublings, attention)
        w = initializers.Normal(0.02)
        wide = [width << i for i in reversed(range(self.n))]  # channels of each map
        self.wide = wide[0]
        with self.init_scope():
            self.fc1 = L.Linear(z_dim, wide[0] * self.first**2, nobias=True, initialW=w)
            self.bn1 = L.BatchNormalization(wide[0])
            for i, c in enumerate(wide[1:], 2):
                setattr(self, f"dc{i}", L.Deconvolution2D(2 * c, c, 4, stride=2, pad=1, nobias=True, initialW=w))
                setattr(self, f"bn{i}", L.BatchNormalization(c))
            for i, c in enumerate(wide if self.finer else [], 1):
                setattr(self, f"c{i}", L.Convolution2D(c, c, 3, pad=1, nobias=True, initialW=w))
                setattr(self, f"bc{i}", L.BatchNormalization(c))
            setattr(self, f"dc{self.n + 1}", L.Deconvolution2D(width, channels, 4, stride=2, pad=1, initialW=w))
            if attention:
                self.attention = SelfAttention(width * size // (2 * self.attended))

    def forward(self, z: Any) -> Variable:
        h = F.reshape(self.fc1(z), (-1, self.wide, self.first, self.first))
        for i in range(1, self.n + 1):
            h = self[f"bn{i}"](h if i == 1 else self[f"dc{i}"](h), activation="relu")
            if self.finer:
                h = self[f"bc{i}"](self[f"c{i}"](h), activation="relu")
            if h.shape[2] == self.attended:
                h = self.attention(h)
        return self[f"dc{self.n + 1}"](h, activation="tanh")


class FineGenerator(SmallGenerator):
    """The small one with a 3x3 convolution, batch normalized, after each of its maps but the image itself.

    Otherwise two deconvolutions have to make a digit of one linear layer's strokes.
    """

    finer = True


class SmallDiscriminator(Discriminator):
    """The mirror image: C x S x S -> W x S/2 x S/2 -> 2W x S/4 x S/4 -> 1 by 4x4 convolutions, stride 2, pad 1.

    LeakyReLU(0.2) throughout, batch normalization in all layers but the first: the images themselves are not
    normalized. The biases of the first layer start spread out, U(-a, a) with a = 1 / sqrt(16 C), so that its units
    respond to different grey levels: on digits the Frechet distance after 1,500 steps, by an older classifier's
    features, was 33 with them and 46 with zeros. With another `norm` than "batch" the other layers have a bias instead.
    """

    deeper = 0  #: layers besides those that undo G's doublings

    def __init__(
        self, channels: int = 1, size: int = 28, width: int = 64, norm: str = "batch", doublings: int = 2,
        attention: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        n, side, self.attended = _sides(self, size, doublings, attention)
        self.n, side = n + self.deeper, side >> self.deeper
        if not side:
            raise DataError(f"{type(self).__name__}: size is {size} and so small that its last layer sees nothing; "
                            f"pass a larger --size, fewer --doublings, or --arch small")  # fmt: skip
        self.LAST = f"fc{self.n + 1}"
        w = initializers.Normal(0.02)
        with self.init_scope():
            spread = initializers.Uniform(1 / math.sqrt(16 * channels))
            self.c1 = L.Convolution2D(channels, width, 4, stride=2, pad=1, initialW=w, initial_bias=spread)
            for i in range(2, self.n + 1):
                c = width << (i - 1)
                conv = L.Convolution2D(c // 2, c, 4, stride=2, pad=1, nobias=norm == "batch", initialW=w)
                setattr(self, f"c{i}", conv)
                if norm == "batch":
                    setattr(self, f"bn{i}", L.BatchNormalization(c))
            setattr(self, self.LAST, L.Linear((width << (self.n - 1)) * side**2, 1, initialW=w))
            if attention:
                self.attention = SelfAttention(width * size // (2 * self.attended))

    def features(self, x: Any) -> Variable:
        h = x
        for i in range(1, self.n + 1):
            h = normalized(self, str(i), h, SLOPE)
            if h.shape[2] == self.attended:
                h = self.attention(h)
        return h


class DeepDiscriminator(SmallDiscriminator):
    """The small one with one more such layer, 2W x S/4 x S/4 -> 4W x S/8 x S/8, whose units see most of the image.

    The small one's see 10 x 10 pixels: strokes, and not whether they make a digit. A further layer, batch normalized,
    costs a quarter more time, and after 1,000 steps the Frechet distance of digits was 78 with it and 136 without.
    """

    deeper = 1
