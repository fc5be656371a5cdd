"""F: every differentiable function by name, one file per chapter.

`import minigan.functions as F` is all that a script needs; the library itself imports the chapters.
"""

from minigan.functions import (
    activation, array, connection, convolution_variants, evaluation, linear_algebra, loss, math, noise, normalization,
    pooling, reduction, spatial, util, whitening,
)  # fmt: skip
from minigan.functions.activation import *
from minigan.functions.array import *
from minigan.functions.connection import *
from minigan.functions.convolution_variants import *
from minigan.functions.evaluation import *
from minigan.functions.linear_algebra import *
from minigan.functions.loss import *
from minigan.functions.math import *
from minigan.functions.noise import *
from minigan.functions.normalization import *
from minigan.functions.pooling import *
from minigan.functions.reduction import *
from minigan.functions.spatial import *
from minigan.functions.util import *
from minigan.functions.whitening import *

__all__ = sorted(
    name
    for chapter in (
        activation, array, connection, convolution_variants, evaluation, linear_algebra, loss, math, noise,
        normalization, pooling, reduction, spatial, util, whitening,
    )  # fmt: skip
    for name in chapter.__all__
)
