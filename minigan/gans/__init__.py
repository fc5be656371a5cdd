"""The GANs by name. Each is a module: two losses, its defaults, its equation and its paper.

A new GAN is one file with `loss_dis`, `loss_gen`, `DEFAULTS`, `EQUATION` and `PAPER`, and what else `updater.py` looks
for there, maybe `ON_ARCH` (defaults for some nets only), and one name in `GANS`; the command line and the tests find it
there.
"""

from types import ModuleType

from minigan.gans import (
    acgan,
    began,
    cgan,
    dcgan,
    dragan,
    gan,
    infogan,
    lsgan,
    relativistic,
    sngan,
    two_way,
    wgan,
    wgan_gp,
)
from minigan.gans.nets import ARCHITECTURES
from minigan.gans.updater import GANUpdater

GANS: dict[str, ModuleType] = {
    "gan": gan, "dcgan": dcgan, "lsgan": lsgan, "wgan": wgan, "wgan-gp": wgan_gp, "dragan": dragan, "sngan": sngan,
    "relativistic": relativistic, "cgan": cgan, "acgan": acgan, "infogan": infogan, "began": began,
    "two-way": two_way,
}  # fmt: skip

__all__ = ["ARCHITECTURES", "GANS", "GANUpdater"]
