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
    THREADS,
    Kernel,
    at_once,
    available_for,
    contiguous,
    kernel,
    launch,
    stored,
    types,
)
from minigan.kernels.workspace import array_module

WARPS = THREADS // 32
BLOCKS = 4 * 132  # four for each processor of an H100 or H200
MOST_SPLITS, LEAST_PACKS = 256, 4  # threads of a block that merge them; packs that a thread has at least
MOST_COUNT = MOST_INDEX - MOST_SPLITS * THREADS  # a thread's index, an int, goes one step beyond the last


class Plan(NamedTuple):
    """How x lies in memory, and what is done behind the normalisation."""

    order: tuple[int, ...]  #: the axes of x from the slowest to the fastest
    outer: int
    channels: int
    inner: int
    axis: tuple[int, ...]  #: those that are not the channels'
    activation: str | None
    slope: float  #: of the activation below 0

    @property
    def below(self) -> float:
        """The slope as the kernels take it: 1 where there is no activation, 0 for ReLU."""
        return {None: 1.0, "relu": 0.0}.get(self.activation, self.slope)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """count, channels, inner, as the kernels take them."""
        return self.outer * self.inner, self.channels, self.inner

    def lay(self, x: Any) -> tuple[Any, int] | None:
        """The memory of an array of x's shape as a contiguous array, and its inner.

        None unless it has no gaps, and its numbers of a channel come in the order of x's.
        """
        layout = _layout(x.shape, x.strides, x.itemsize, self.axis)
        if layout is None or (layout[3] > 1) != (self.inner > 1):
            return None
        orders = [[i for i in order if i in self.axis and x.shape[i] > 1] for order in (layout[0], self.order)]
        flat = x.transpose(layout[0])
        if orders[0] != orders[1] or not flat.flags.c_contiguous:
            return None
        return stored(flat), layout[3]

    def laid(self, x: Any) -> tuple[Any, int]:
        """The same, of a copy where there is no other way."""
        if (laid := self.lay(x)) is None:
            copy = array_module(x).empty([x.shape[i] for i in self.order], x.dtype)
            copy[...] = x.transpose(self.order)
            laid = stored(copy), self.inner
        return laid

    def empty(self, x: Any) -> Any:
        """An array for y: images lie channel by channel whatever x does, as a convolution wants them."""
        xp = array_module(x)
        if 1 in (self.outer, self.inner):
            return xp.empty_like(x)
        order = sorted(self.order, key=lambda i: i in self.axis)
        return xp.empty([x.shape[i] for i in order], x.dtype).transpose([order.index(i) for i in range(x.ndim)])

    def pack(self, *laid: tuple[Any, int]) -> int:
        """How many numbers of these arrays can be moved at once."""
        return at_once(math.gcd(*(inner for _, inner in laid)), *(flat for flat, _ in laid))

    def grid(self, pack: int) -> tuple[int, int]:
        """(splits, channels or, where inner is 1, groups of 32 channels)."""
        columns, threads = (self.channels, THREADS) if self.inner > 1 else (-(-self.channels // 32), WARPS)
        packs = self.outer * self.inner // pack
        return max(1, min(MOST_SPLITS, BLOCKS // columns, packs // (threads * LEAST_PACKS))), columns

    def kernel(self, entry: str, outputs: tuple[str, ...], x: Any, pack: int) -> Kernel:
        """An entry of batch_norm.cu for this plan."""
        return _kernel(entry, outputs, x.dtype, pack, self.inner == 1, self.activation == "tanh")


@cache
def _kernel(entry: str, outputs: tuple[str, ...], dtype: Any, pack: int, rows: bool, tanh: bool) -> Kernel:
    return kernel("batch_norm.cu", entry, outputs, True, **types(dtype), VEC=pack, ROWS=int(rows), TANH=int(tanh))


def plan(
    x: Any, gamma: Any, beta: Any, axis: tuple[int, ...], activation: str | None = None, slope: float = 0.0
) -> Plan | None:
    """How the kernels would do it; None where they cannot: on the CPU, for axes in other orders.

    x is of the dtype of gamma and beta, float32 or float64, or float16 beside float32.
    """
    wide = gamma.dtype == np.float32 if x.dtype == np.float16 else x.dtype == gamma.dtype
    if not x.size or not wide or not available_for(gamma, beta):
        return None
    return plan_of(x, axis, activation, slope)


def plan_of(x: Any, axis: tuple[int, ...], activation: str | None, slope: float) -> Plan | None:
    """How x lies in memory; None if the kernels cannot take it so."""
    layout = _layout(x.shape, x.strides, x.itemsize, axis)
    return layout and Plan(*layout, axis, activation, slope)


@lru_cache(maxsize=1024)
def _layout(shape: Any, strides: Any, itemsize: int, axis: tuple[int, ...]) -> tuple[Any, int, int, int] | None:
    """order, outer, channels and inner of a plan, for an array with gaps those of a copy.

    None for other orders of axes, and for more channels or longer ones than a grid and its threads' steps reach.
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
    too_many = outer * inner > MOST_COUNT or channels > MOST_BLOCKS[1] * (1 if inner > 1 else 32)
    return None if too_many else (order, outer, channels, inner)


def forward(
    plan: Plan, x: Any, gamma: Any, beta: Any, eps: float, running: tuple[Any, Any] | None = None, decay: float = 1.0
) -> tuple[Any, Any, Any, Any]:
    """Return ``(y, mean, var, inv_std)`` as ``batch_norm.forward`` does, y behind the activation, statistics float64.

    The running mean and variance move towards the new ones, the unbiased variance, in place.
    """
    xp = array_module(x)
    x = _dense(plan, x)
    y = plan.empty(x)
    from_x, to_y = plan.laid(x), plan.laid(y)
    pack = plan.pack(from_x, to_y)
    splits, columns = plan.grid(pack)
    parts = xp.empty((splits * plan.channels, 3), gamma.dtype)
    moments = plan.kernel("bn_moments", ("parts",), x, pack)
    launch(moments, (splits, columns), (THREADS,), (from_x[0], parts, *plan.sizes))
    mean, var, inv_std = (xp.empty(gamma.shape, np.float64) for _ in range(3))
    if running is None:  # the kernel wants arrays, which it leaves alone if decay is 1
        running, decay = (xp.empty_like(gamma), xp.empty_like(gamma)), 1.0
    result = plan.kernel("bn_forward", ("y", "mean", "var", "inv_std"), x, pack)
    launch(
        result, (splits, columns), (THREADS,),
        (from_x[0], parts, *map(contiguous, (gamma, beta)), to_y[0], mean, var, inv_std, *running,
         *plan.sizes, to_y[1], eps, decay, plan.below),
    )  # fmt: skip
    return y, mean, var, inv_std


def forward_fixed(plan: Plan, x: Any, gamma: Any, beta: Any, mean: Any, var: Any, eps: float) -> Any:
    """Normalise with a given mean and variance, as ``batch_norm.forward_fixed`` does, y behind the activation."""
    x = _dense(plan, x)
    y = plan.empty(x)
    from_x, to_y = plan.laid(x), plan.laid(y)
    pack = plan.pack(from_x, to_y)
    parameters = map(contiguous, (gamma, beta, mean, var))
    launch(
        plan.kernel("bn_fixed", ("y",), x, pack), plan.grid(pack), (THREADS,),
        (from_x[0], *parameters, to_y[0], *plan.sizes, to_y[1], eps, plan.below),
    )  # fmt: skip
    return y


def backward(plan: Plan, x: Any, gamma: Any, beta: Any, mean: Any, inv_std: Any, gy: Any) -> tuple[Any, Any, Any]:
    """Return ``(gx, ggamma, gbeta)`` for the gradient ``gy`` behind the activation; see ``batch_norm.backward``."""
    xp = array_module(x)
    x = _dense(plan, x)
    gx = xp.empty_like(x)
    from_x, from_gy, to_gx = plan.laid(x), plan.laid(gy), plan.laid(gx)
    pack = plan.pack(from_x, from_gy)
    splits, columns = plan.grid(pack)
    parts = xp.empty((splits * plan.channels, 2), gamma.dtype)
    parameters = [contiguous(p) for p in (gamma, beta, mean, inv_std)]
    both, sizes = (from_x[0], from_gy[0]), (*plan.sizes, from_gy[1], plan.below)
    sums = plan.kernel("bn_sums", ("parts",), x, pack)
    launch(sums, (splits, columns), (THREADS,), (*both, *parameters, parts, *sizes))
    ggamma, gbeta = (xp.empty_like(gamma, order="C") for _ in range(2))
    result = plan.kernel("bn_backward", ("gx", "ggamma", "gbeta"), x, pack)
    launch(
        result, (splits, columns), (THREADS,), (*both, parts, *parameters, to_gx[0], ggamma, gbeta, *sizes)
    )  # fmt: skip
    return gx, ggamma, gbeta


def _dense(plan: Plan, x: Any) -> Any:
    """x in the memory that the plan describes: a copy only of an array with gaps, or one that lies otherwise."""
    return x if x.transpose(plan.order).flags.c_contiguous else array_module(x).ascontiguousarray(x)
