"""The nets by name: a generator draws images from noise, a discriminator gives one logit per image.

`ARCHITECTURES` names the pairs; the losses live in the GANs' own files and know nothing of what is in here.
"""

from minigan.gans.nets.architectures import ARCHITECTURES, NORMS, OWN, Architecture
from minigan.gans.nets.attention import SelfAttention
from minigan.gans.nets.base import Discriminator, Generator
from minigan.gans.nets.book import BookDiscriminator, BookGenerator
from minigan.gans.nets.chainer import ChainerDiscriminator, ChainerGenerator
from minigan.gans.nets.encoder import EncoderGenerator
from minigan.gans.nets.minibatch import MinibatchDiscrimination
from minigan.gans.nets.mlp import MLPDiscriminator, MLPGenerator
from minigan.gans.nets.planes import PlanesDiscriminator, PlanesGenerator
from minigan.gans.nets.pool import PoolDiscriminator, PoolGenerator
from minigan.gans.nets.ring import RingDiscriminator, RingGenerator
from minigan.gans.nets.small import DeepDiscriminator, FineGenerator, SmallDiscriminator, SmallGenerator

__all__ = [
    "Architecture", "ARCHITECTURES", "BookDiscriminator", "BookGenerator", "ChainerDiscriminator", "ChainerGenerator",
    "DeepDiscriminator", "Discriminator", "EncoderGenerator", "FineGenerator", "Generator", "MinibatchDiscrimination",
    "MLPDiscriminator", "MLPGenerator", "NORMS", "OWN", "PlanesDiscriminator", "PlanesGenerator", "PoolDiscriminator",
    "PoolGenerator", "RingDiscriminator", "RingGenerator", "SelfAttention", "SmallDiscriminator", "SmallGenerator",
]  # fmt: skip
