"""Rows of the test table: functions.array."""

import numpy as np
from functions.table import many, normal, row

import minigan.functions as F

ROWS = [
    row("broadcast", (normal(2, 1), normal(3)), lambda *xs: tuple(np.broadcast_arrays(*xs))),
    row("broadcast", normal(2), lambda x: x, note="one"),
    row("broadcast_to", normal(3, 1), np.broadcast_to, shape=(2, 3, 4)),
    row("cast", normal(2, 3), lambda x, typ: x, typ=np.float64),
    row("concat", (normal(2, 1, 2), normal(2, 3, 2)), lambda *xs: np.concatenate(xs, 1), many(lambda xs: F.concat(xs))),
    row("concat", (normal(2, 3), normal(1, 3), normal(4, 3)), many(np.concatenate),
        many(lambda xs, axis: F.concat(xs, axis)), axis=-2),
    row("expand_dims", normal(2, 3), np.expand_dims, axis=1),
    row("expand_dims", normal(2, 3), np.expand_dims, axis=-1),
    row("flatten", normal(2, 3, 2), lambda x: np.array(x.tolist()).reshape(-1)),
    row("get_item", normal(4, 3, 2), lambda x, slices: x[slices], slices=(slice(None, None, -2), Ellipsis, None, 1)),
    row("get_item", normal(3, 2), lambda x, slices: x[slices], note="repeated", slices=[0, 2, 0]),
    row("get_item", normal(2, 2), lambda x, slices: x[slices], note="mask",
        slices=np.array([[True, False], [True, True]])),
    row("reshape", normal(2, 3, 2), lambda x, shape: np.array(x.tolist()).reshape(shape), shape=(3, -1)),
    row("split_axis", normal(2, 6), lambda x, indices_or_sections, axis: tuple(np.split(x, indices_or_sections, axis)),
        indices_or_sections=3, axis=1),
    row("split_axis", normal(5, 2), lambda x, indices_or_sections, axis: (x[:1], x[1:4], x[4:]),
        indices_or_sections=[1, 4], axis=-2),
    row("squeeze", normal(2, 1, 3, 1), lambda x: x[:, 0, :, 0]),
    row("squeeze", normal(2, 1, 3, 1), lambda x, axis: x[..., 0], axis=-1),
    row("stack", (normal(2, 3), normal(2, 3)), many(np.stack), many(lambda xs, axis: F.stack(xs, axis)), axis=-1),
    row("sum_to", normal(2, 3, 4), lambda x, shape: x.sum(axis=(0, 2))[:, None], shape=(3, 1)),
    row("transpose", normal(2, 3, 4), lambda x: np.einsum("abc->cba", x)),
    row("transpose", normal(2, 3, 4), lambda x, axes: np.einsum("abc->cab", x), axes=(-1, 0, 1)),
]
