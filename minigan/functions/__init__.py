"""F: every differentiable function by name, one file per chapter.

`import minigan.functions as F` is all that a script needs; the library itself imports the chapters.
"""

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

__all__ = [
    "absolute", "add", "average", "broadcast", "broadcast_to", "cast", "clip", "concat", "convolution_2d",
    "deconvolution_2d", "exp", "expand_dims", "flatten", "get_item", "linear", "log", "matmul", "max", "maximum",
    "mean", "min", "minimum", "reshape", "split_axis", "sqrt", "square", "squeeze", "stack", "sum", "sum_to",
    "transpose",
]  # fmt: skip
