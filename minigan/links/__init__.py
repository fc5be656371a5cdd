"""L: the links, functions with parameters of their own, as one flat list of names."""

from minigan.links import activation, classifier, composite, connection, gan, normalization, rnn, vision
from minigan.links.activation import *
from minigan.links.classifier import *
from minigan.links.composite import *
from minigan.links.connection import *
from minigan.links.gan import *
from minigan.links.normalization import *
from minigan.links.rnn import *
from minigan.links.vision import *

__all__ = sorted(
    name
    for chapter in (activation, classifier, composite, connection, gan, normalization, rnn, vision)
    for name in chapter.__all__
)
