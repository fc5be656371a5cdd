"""Losses and opinions of a discriminator's logits by the kernels of logits.cu, each in one launch.

Logits come in one batch or two, of any shape; the formulas that are the twins are those of the functions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigan.kernels import launch
from minigan.kernels.launch import THREADS, contiguous, kernel, stored, types
from minigan.kernels.workspace import array_module

MOST = 1 << 16  # logits of a batch: one block looks at all of them


def available_for(*batches: Any) -> bool:
    """Whether kernels may run on these one or two batches: on a GPU or emulated, of one dtype, not too many."""
    return launch.available_for(*batches, halves=True) and all(0 < x.size <= MOST for x in batches)


def softplus_means(batches: tuple, signs: tuple[float, ...]) -> Any:
    """The sum of the means of softplus(sign x), an array ()."""
    loss = array_module(batches[0]).empty((), batches[0].dtype)
    x, y, n, m = _pair(batches)
    _launch("softplus_means", ("loss",), 1, loss.dtype, (x, y, stored(loss), n, m, *_both(signs)))
    return loss


def softplus_means_grad(batches: tuple, signs: tuple[float, ...], g: Any) -> tuple:
    """The gradient of each batch for that of the loss, g ()."""
    xp = array_module(g)
    gradients = tuple(xp.empty(x.shape, x.dtype) for x in batches)
    x, y, n, m = _pair(batches)
    to_x, to_y, *_ = _pair(gradients)
    args = x, y, stored(contiguous(g)), to_x, to_y, n, m, *_both(signs)
    _launch("softplus_means_grad", ("gx", "gy"), -(-(n + m) // THREADS), g.dtype, args)
    return gradients


def opinions(real: Any, fake: Any) -> Any:
    """Mean probabilities of two batches to be real, and the share of right answers: an array (3,), at least float32."""
    found = array_module(real).empty(3, np.promote_types(real.dtype, np.float32))
    x, y, n, m = _pair((real, fake))
    _launch("opinions", ("found",), 1, real.dtype, (x, y, found, n, m))
    return found


def _pair(batches: tuple) -> tuple[Any, Any, int, int]:
    """Two arrays and their sizes; the second of one batch is itself, and has size 0."""
    arrays = [stored(contiguous(x)) for x in batches]
    return arrays[0], arrays[-1], batches[0].size, batches[1].size if len(batches) > 1 else 0


def _both(signs: tuple[float, ...]) -> tuple[float, float]:
    return signs[0], signs[-1]


def _launch(entry: str, outputs: tuple[str, ...], blocks: int, dtype: Any, args: tuple) -> None:
    launch.launch(kernel("logits.cu", entry, outputs, **types(dtype)), (blocks,), (THREADS,), args)
