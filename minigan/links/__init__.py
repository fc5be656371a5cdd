"""L: the links, functions with parameters of their own, as one flat list of names."""

from minigan.links import connection, normalization
from minigan.links.connection import *
from minigan.links.normalization import *

__all__ = sorted([*connection.__all__, *normalization.__all__])
