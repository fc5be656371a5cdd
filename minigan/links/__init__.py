"""L: the links, functions with parameters of their own, as one flat list of names."""

from minigan.links.connection import Convolution2D as Convolution2D
from minigan.links.connection import Deconvolution2D as Deconvolution2D
from minigan.links.connection import Linear as Linear
from minigan.links.normalization import BatchNormalization as BatchNormalization
