"""Batch normalisation with an activation behind it as the kernels of batch_norm.cu: two launches each way.

The formulas, and what they run on where there is no GPU, are those of :mod:`minigan.kernels.batch_norm`. A
:class:`Plan` says how an array lies in memory: (outer, channels, inner). Images lie channel by channel where a
convolution made them, sample by sample where they come from a data set; both go without a copy.
"""

from __future__ import annotations

import itertools
import math
import operator
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np

from minigan.kernels.launch import (
    MOST_BLOCKS,
    MOST_INDEX,
    REAL,
    THREADS,
    Kernel,
    at_once,
    available_for,
    contiguous,
    kernel,
    launch,
)
from minigan.kernels.workspace import array_module

ACTIVATIONS = {None: 0, "relu": 1, "leaky_relu": 2}
WARPS = THREADS // 32
BLOCKS = 4 * 132  # four for each processor of an H100 or H200
MOST_SPLITS, LEAST_PACKS = 256, 4  # threads of a block that merge them; packs that a thread has at least


class Plan(NamedTuple):
    """How x lies in memory, and what is done behind the normalisation."""

    order: tuple[int, ...]  #: the axes of x from the slowest to the fastest
    outer: int
    channels: int
    inner: int
    activation: str | None
    slope: float

    @property
    def sizes(self) -> tuple[int, int, int]:
        """count, channels, inner, as the kernels take them."""
        return self.outer * self.inner, self.channels, self.inner

    def flat(self, x: Any) -> Any:
        """The memory of an array that lies like x, as a contiguous array."""
        flat = x.transpose(self.order)
        return flat.view(np.uint16) if x.dtype == np.float16 else flat

    def pack(self, *arrays: Any) -> int:
        """How many numbers of these arrays can be moved at once."""
        return at_once(self.inner, *arrays)

    def grid(self, pack: int) -> tuple[int, int]:
        """(splits, channels or, where inner is 1, groups of 32 channels)."""
        columns, threads = (self.channels, THREADS) if self.inner > 1 else (-(-self.channels // 32), WARPS)
        packs = self.outer * self.inner // pack
        return max(1, min(MOST_SPLITS, BLOCKS // columns, packs // (threads * LEAST_PACKS))), columns

    def kernel(self, entry: str, outputs: tuple[str, ...], x: Any, pack: int) -> Kernel:
        """An entry of batch_norm.cu for this plan."""
        return _kernel(entry, outputs, x.dtype, pack, self.activation, self.inner == 1)


@cache
def _kernel(entry: str, outputs: tuple[str, ...], dtype: Any, pack: int, activation: str | None, rows: bool) -> Kernel:
    half = dtype == np.float16
    real = "float" if half else REAL[dtype]
    constants = {"REAL": real, "VEC": pack, "ACT": ACTIVATIONS[activation], "ROWS": int(rows)}
    constants |= {"HALF": 1, "STORE": "unsigned short"} if half else {"STORE": real}
    return kernel("batch_norm.cu", entry, outputs, True, **constants)


def plan(
    x: Any, gamma: Any, beta: Any, axis: tuple[int, ...], activation: str | None = None, slope: float = 0.0
) -> Plan | None:
    """How the kernels would do it; None where they cannot: on the CPU, for axes in other orders.

    x is of the dtype of gamma and beta, float32 or float64, or float16 beside float32.
    """
    wide = gamma.dtype == np.float32 if x.dtype == np.float16 else x.dtype == gamma.dtype
    if not x.size or not wide or not available_for(gamma, beta):
        return None
    layout = _layout(x.shape, x.strides, x.itemsize, axis)
    return layout and Plan(*layout, activation, slope)


@lru_cache(maxsize=1024)
def _layout(shape: Any, strides: Any, itemsize: int, axis: tuple[int, ...]) -> tuple[Any, int, int, int] | None:
    """order, outer, channels and inner of a plan, for an array with gaps those of a copy.

    None for other orders of axes, and for more channels than a grid has rows.
    """
    order = tuple(sorted(range(len(shape)), key=lambda i: (-strides[i] if shape[i] > 1 else 0, i)))
    long = [i for i in order if shape[i] > 1]
    steps = itertools.accumulate([itemsize, *(shape[i] for i in long[:0:-1])], operator.mul)
    if list(steps) != [strides[i] for i in reversed(long)] and long:
        order = tuple(range(len(shape)))
        long = [i for i in order if shape[i] > 1]
    keys = [i for i in long if i not in axis]
    first = long.index(keys[0]) if keys else 0
    last = first + len(keys)
    if long[first:last] != sorted(keys):
        return None
    outer, channels, inner = (math.prod(shape[i] for i in some) for some in (long[:first], keys, long[last:]))
    too_many = outer * inner > MOST_INDEX or inner > 1 and channels > MOST_BLOCKS[1]
    return None if too_many else (order, outer, channels, inner)


def forward(
    plan: Plan, x: Any, gamma: Any, beta: Any, eps: float, running: tuple[Any, Any] | None = None, decay: float = 1.0
) -> tuple[Any, Any, Any, Any]:
    """Return ``(y, mean, var, inv_std)`` as ``batch_norm.forward`` does, y behind the activation, statistics float64.

    The running mean and variance move towards the new ones, the unbiased variance, in place.
    """
    xp = array_module(x)
    x = _dense(plan, x)
    y = xp.empty_like(x)
    pack = plan.pack(x, y)
    splits, columns = plan.grid(pack)
    parts = xp.empty((splits * plan.channels, 3), gamma.dtype)
    moments = plan.kernel("bn_moments", ("parts",), x, pack)
    launch(moments, (splits, columns), (THREADS,), (plan.flat(x), parts, *plan.sizes))
    mean, var, inv_std = (xp.empty(gamma.shape, np.float64) for _ in range(3))
    if running is None:  # the kernel wants arrays, which it leaves alone if decay is 1
        running, decay = (xp.zeros_like(gamma), xp.zeros_like(gamma)), 1.0
    result = plan.kernel("bn_forward", ("y", "mean", "var", "inv_std"), x, pack)
    launch(
        result, (splits, columns), (THREADS,),
        (plan.flat(x), parts, *map(contiguous, (gamma, beta)), plan.flat(y), mean, var, inv_std, *running,
         *plan.sizes, eps, decay, plan.slope),
    )  # fmt: skip
    return y, mean, var, inv_std


def forward_fixed(plan: Plan, x: Any, gamma: Any, beta: Any, mean: Any, var: Any, eps: float) -> Any:
    """Normalise with a given mean and variance, as ``batch_norm.forward_fixed`` does, y behind the activation."""
    x = _dense(plan, x)
    y = array_module(x).empty_like(x)
    pack = plan.pack(x, y)
    parameters = map(contiguous, (gamma, beta, mean, var))
    launch(
        plan.kernel("bn_fixed", ("y",), x, pack), plan.grid(pack), (THREADS,),
        (plan.flat(x), *parameters, plan.flat(y), *plan.sizes, eps, plan.slope),
    )  # fmt: skip
    return y


def backward(plan: Plan, x: Any, gamma: Any, beta: Any, mean: Any, inv_std: Any, gy: Any) -> tuple[Any, Any, Any]:
    """Return ``(gx, ggamma, gbeta)`` for the gradient ``gy`` behind the activation; see ``batch_norm.backward``."""
    xp = array_module(x)
    x = _dense(plan, x)
    gx = xp.empty_like(x)
    if gy.strides != x.strides:
        copy = xp.empty_like(x)
        copy[...] = gy
        gy = copy
    pack = plan.pack(x, gy, gx)
    splits, columns = plan.grid(pack)
    parts = xp.empty((splits * plan.channels, 2), gamma.dtype)
    parameters = [contiguous(p) for p in (gamma, beta, mean, inv_std)]
    both = plan.flat(x), plan.flat(gy)
    sums = plan.kernel("bn_sums", ("parts",), x, pack)
    launch(sums, (splits, columns), (THREADS,), (*both, *parameters, parts, *plan.sizes, plan.slope))
    ggamma, gbeta = (xp.empty_like(gamma, order="C") for _ in range(2))
    result = plan.kernel("bn_backward", ("gx", "ggamma", "gbeta"), x, pack)
    launch(
        result, (splits, columns), (THREADS,),
        (*both, parts, *parameters, plan.flat(gx), ggamma, gbeta, *plan.sizes, plan.slope),
    )  # fmt: skip
    return gx, ggamma, gbeta


def _dense(plan: Plan, x: Any) -> Any:
    """x in the memory that the plan describes: a copy only of an array with gaps, or one that lies otherwise."""
    return x if x.transpose(plan.order).flags.c_contiguous else array_module(x).ascontiguousarray(x)
