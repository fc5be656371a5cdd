"""The nets by name: a generator draws images from noise, a discriminator gives one logit per image.

`ARCHITECTURES` names the pairs; the losses live in the GANs' own files and know nothing of what is in here.
"""

from minigan.gans.nets.architectures import ARCHITECTURES, NORMS, Architecture
from minigan.gans.nets.base import Discriminator, Generator
from minigan.gans.nets.book import BookDiscriminator, BookGenerator
from minigan.gans.nets.mlp import MLPDiscriminator, MLPGenerator
from minigan.gans.nets.ring import RingDiscriminator, RingGenerator
from minigan.gans.nets.small import SmallDiscriminator, SmallGenerator

__all__ = [
    "ARCHITECTURES", "Architecture", "BookDiscriminator", "BookGenerator", "Discriminator", "Generator",
    "MLPDiscriminator", "MLPGenerator", "NORMS", "RingDiscriminator", "RingGenerator", "SmallDiscriminator",
    "SmallGenerator",
]  # fmt: skip
