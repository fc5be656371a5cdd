"""F: every differentiable function by name, one file per chapter.

`import minigan.functions as F` is all that a script needs; a chapter is imported by the library itself.
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
    "absolute", "add", "average", "broadcast", "broadcast_to", "cast", "clip", "concat", "exp", "expand_dims",
    "flatten", "get_item", "log", "matmul", "max", "maximum", "mean", "min", "minimum", "reshape", "split_axis", "sqrt",
    "square", "squeeze", "stack", "sum", "sum_to", "transpose",
]  # fmt: skip
