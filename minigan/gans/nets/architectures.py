"""The nets by name, and how a pair of them is built."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import minigan.links as L
from minigan.gans.answers import ANSWERS
from minigan.gans.conditional import CONDITIONS
from minigan.gans.nets.base import Generator
from minigan.gans.nets.book import BookDiscriminator, BookGenerator
from minigan.gans.nets.chainer import ChainerDiscriminator, ChainerGenerator
from minigan.gans.nets.encoder import EncoderGenerator
from minigan.gans.nets.minibatch import MinibatchDiscrimination
from minigan.gans.nets.mlp import MLPDiscriminator, MLPGenerator
from minigan.gans.nets.planes import PlanesDiscriminator, PlanesGenerator
from minigan.gans.nets.pool import PoolDiscriminator, PoolGenerator
from minigan.gans.nets.ring import RingDiscriminator, RingGenerator
from minigan.gans.nets.small import DeepDiscriminator, FineGenerator, SmallDiscriminator, SmallGenerator
from minigan.gans.packing import Packed
from minigan.link import Chain
from minigan.link_hooks import SpectralNormalization


class Architecture(NamedTuple):
    """A generator, the discriminator that fits it, and the settings that suit the two."""

    generator: Callable[..., Generator]
    discriminator: Callable[..., Chain]
    defaults: dict[str, Any]

    def build(
        self, z_dim: int, channels: int, size: int, width: int, norm_dis: str | None = None,
        condition: str | None = None, n_classes: int = 0, n_codes: int = 0, answer: str | None = None, pack: int = 1,
        minibatch_dis: bool = False, **own: Any,
    ) -> tuple[Generator, Chain]:  # fmt: skip
        """Return `(gen, dis)` for images (C, size, size) and noise of `z_dim` numbers.

        For `norm_dis` see `NORMS`, for `condition`, which makes both nets conditional, `CONDITIONS`, for
        `answer`, if it is not one logit, `ANSWERS`; D sees `pack` images at a time, and with `minibatch_dis` how near
        each is to the others. `own` is what these nets alone may be told (`OWN`).
        """
        if condition is None:
            n_classes = n_codes = 0
        shape, more = {"size": size, "width": width, **own}, n_classes if condition == "concatenation" else 0
        gen = self.generator(z_dim=z_dim + n_classes + n_codes, channels=channels, **shape)
        dis: Any = self.discriminator(channels=pack * (channels + more), **shape, **_given(norm=norm_dis))
        if answer is not None:
            dis = ANSWERS[answer](dis, lambda n: self.generator(z_dim=n, channels=channels, **shape), z_dim)
        if minibatch_dis:
            setattr(dis, dis.LAST, MinibatchDiscrimination(dis.last))
        if pack > 1:
            dis = Packed(dis, pack)
        if condition is not None:
            gen.z_dim, gen.n_classes, gen.n_codes = z_dim, n_classes, n_codes
            dis = CONDITIONS[condition](dis, n_classes, n_codes)
        if norm_dis == "spectral":
            for link in dis.links():
                if isinstance(link, (L.Convolution2D, L.Linear, L.EmbedID)):
                    link.add_hook(SpectralNormalization())
        return gen, dis


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


OWN = ("doublings", "attention")
"""Settings of some nets only, in whose defaults they stand."""

NORMS = ("batch", "none", "spectral")
"""What D may have: batch normalization where its class says; none, as penalties want; W / sigma(W) in each layer."""


# The paper's alpha of 0.0002 is meant for wide nets and long training. At a width of 32, ten times that (half of it for
# D), a short memory of squared gradients and an averaged G reach in 1,000 steps what the paper's numbers, at a width of
# 64, reach in 2,000. For the paper's own: --width 64 --alpha 2e-4 --beta2 0.999 --ema 0.
_SMALL: dict[str, Any] = {
    "width": 32, "batch_size": 64, "alpha": 2e-3, "alpha_dis": 1e-3, "beta1": 0.5, "beta2": 0.99, "ema": 0.995,
    "steps": 2000, "doublings": 0, "attention": False,
}  # fmt: skip
# Without the penalty D is soon sure of itself, and G learns no more: bench/quality.md has what each of these gains.
_FINE = {**_SMALL, "r1": 2.0, "r1_every": 4, "ema": 0.999, "schedule": "linear"}
ARCHITECTURES = {
    "fine": Architecture(FineGenerator, DeepDiscriminator, _FINE),
    "deep": Architecture(SmallGenerator, DeepDiscriminator, _SMALL),
    "small": Architecture(SmallGenerator, SmallDiscriminator, _SMALL),
    "planes": Architecture(PlanesGenerator, PlanesDiscriminator, {**_FINE, "z_dim": 300}),
    "book": Architecture(
        BookGenerator, BookDiscriminator,
        {"width": 64, "batch_size": 128, "alpha": 1e-3, "alpha_dis": 1e-3, "beta1": 0.9, "beta2": 0.999, "ema": 0.0,
         "steps": 2000},
    ),
    "chainer": Architecture(
        ChainerGenerator, ChainerDiscriminator,
        {"width": 16, "z_dim": 128, "batch_size": 64, "alpha": 1e-3, "alpha_dis": 1e-3, "beta1": 0.5, "beta2": 0.99,
         "ema": 0.99, "steps": 2000},
    ),
    "pool": Architecture(
        PoolGenerator, PoolDiscriminator,
        {"width": 16, "batch_size": 64, "alpha": 1e-3, "alpha_dis": 1e-3, "beta1": 0.5, "beta2": 0.99, "ema": 0.99,
         "steps": 2000},
    ),
    "encoder": Architecture(
        EncoderGenerator, SmallDiscriminator,
        {"width": 32, "batch_size": 64, "alpha": 1e-3, "alpha_dis": 1e-3, "beta1": 0.5, "beta2": 0.99, "ema": 0.99,
         "steps": 2000, "doublings": 0, "attention": False},
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
