"""F: every differentiable function by name, one file per chapter.

`import minigan.functions as F` is all that a script needs; the library itself imports the chapters.
"""

from minigan.functions.activation import elu, leaky_relu, log_softmax, relu, sigmoid, softmax, softplus, tanh
from minigan.functions.array import (
    broadcast,
    broadcast_to,
    cast,
    concat,
    expand_dims,
    flatten,
    get_item,
    reshape,
    split_axis,
    squeeze,
    stack,
    sum_to,
    transpose,
)
from minigan.functions.connection import convolution_2d, deconvolution_2d, linear
from minigan.functions.evaluation import accuracy
from minigan.functions.loss import mean_absolute_error, mean_squared_error, sigmoid_cross_entropy, softmax_cross_entropy
from minigan.functions.math import (
    absolute,
    add,
    average,
    clip,
    exp,
    log,
    matmul,
    max,
    maximum,
    mean,
    min,
    minimum,
    sqrt,
    square,
    sum,
)
from minigan.functions.noise import dropout
from minigan.functions.normalization import batch_normalization, fixed_batch_normalization
from minigan.functions.pooling import average_pooling_2d, max_pooling_2d, unpooling_2d

__all__ = [
    "absolute", "accuracy", "add", "average", "average_pooling_2d", "batch_normalization", "broadcast",
    "broadcast_to", "cast", "clip", "concat", "convolution_2d", "deconvolution_2d", "dropout", "elu", "exp",
    "expand_dims", "fixed_batch_normalization", "flatten", "get_item", "leaky_relu", "linear", "log", "log_softmax",
    "matmul", "max", "max_pooling_2d", "maximum", "mean", "mean_absolute_error", "mean_squared_error", "min",
    "minimum", "relu", "reshape", "sigmoid", "sigmoid_cross_entropy", "softmax", "softmax_cross_entropy",
    "softplus", "split_axis", "sqrt", "square", "squeeze", "stack", "sum", "sum_to", "tanh", "transpose",
    "unpooling_2d",
]  # fmt: skip
