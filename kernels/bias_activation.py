"""A bias and the activation behind it in one launch, in place; their gradients in one launch: kernels of batch_norm.cu.

Behind a convolution or a linear function they cost two launches and twice the memory traffic one by one, and the
gradient's sums over the batch a third. Nothing but the output is kept for the backward pass. Where there is no GPU the
functions do them one by one.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from minigan.kernels import launch
from minigan.kernels.fused_batch_norm import MOST_COUNT, Plan, plan_of
from minigan.kernels.launch import THREADS, contiguous, stored
from minigan.kernels.workspace import array_module

MOST_ROWS = 4096  # of a grid: so many channels, or 32 times as many where a sample has one number of each
_local = threading.local()


def available_for(x: Any, W: Any, b: Any) -> bool:
    """Whether kernels may do bias and activation behind the product of these: on a GPU or emulated, of one dtype."""
    return launch.available_for(x, W, b, halves=True) and 0 < b.size <= MOST_ROWS and 0 < x.size <= MOST_COUNT


def forward(y: Any, b: Any, activation: str, slope: float) -> None:
    """y = activation(y + b), in place, for y (N, C, ...) without gaps and b (C,)."""
    plan, (flat, _) = _planned(y, activation, slope)
    pack = plan.pack((flat, plan.inner))
    args = flat, stored(contiguous(b)), *plan.sizes, plan.below
    launch.launch(plan.kernel("bias_activation", (), y, pack), plan.grid(pack), (THREADS,), args)


def backward(y: Any, gy: Any, activation: str, slope: float) -> tuple[Any, Any]:
    """The gradients in front of the activation, like y, and of the bias, for ``gy`` behind the activation."""
    xp = array_module(y)
    plan, from_y = _planned(y, activation, slope)
    gx, gb = xp.empty_like(y), xp.empty(y.shape[1], y.dtype)
    from_gy = plan.laid(gy)
    pack = plan.pack(from_y, from_gy)
    splits, rows = plan.grid(pack)
    wide = np.float64 if y.dtype == np.float64 else np.float32
    parts = xp.empty((splits * plan.channels, 2), wide)
    entry = plan.kernel("bias_activation_grad", ("gx", "gbias", "parts"), y, pack)
    args = from_y[0], from_gy[0], plan.laid(gx)[0], stored(gb), parts, _arrivals(xp), *plan.sizes, from_gy[1]
    launch.launch(entry, (splits, rows), (THREADS,), (*args, plan.below))
    return gx, gb


def _planned(y: Any, activation: str, slope: float) -> tuple[Plan, tuple[Any, int]]:
    plan = plan_of(y, (0, *range(2, y.ndim)), activation, slope)
    assert plan is not None  # as `available_for` has found
    return plan, plan.laid(y)


def _arrivals(xp: Any) -> Any:
    """Zeros in which blocks count each other, and which they leave as zeros.

    One array per thread, device and stream, on which launches follow one another; for ever, since a captured graph
    knows its address.
    """
    kept = _local.__dict__.setdefault("arrivals", {})
    place = xp, int(xp.cuda.Device().id), xp.cuda.get_current_stream().ptr
    if place not in kept:
        kept[place] = xp.zeros(MOST_ROWS, np.uint32)
    return kept[place]
