"""Convolutions with fewer multiplications, after Winograd (1980) and Lavin & Gray (2016).

Along one axis, 2 outputs of a kernel with 3 taps, or 3 of one with 2 taps, need 4 products instead of 6: of 4 sums of
inputs with 4 sums of taps. On images this holds along every axis, so that 16 products do the work of 36; each is one of
many channels with many, a matrix product. With stride s the taps u, u + s, u + 2 s, ... see every s-th pixel alone, a
convolution of stride 1. What fits no tile at the borders is multiplied directly, and zeros outside are not multiplied.

The rule is a sum of triple products w x y. So, as in :mod:`minigan.kernels.convolution`, there are three operations and
one plan for them: the sums of x and of y are formed ("analysis"), multiplied, and spread out again ("synthesis"), which
is the transpose of the analysis. Images are channels-last.

Errors against float64 are about those of the direct form; in the result's standard deviation, rms and greatest: 128
images of 14x14, 128 to 64 channels 3.6e-7 and 2.2e-6 (direct 3.5e-7 and 3.0e-6), gradient of the weight 4.5e-7 and
2.3e-6 (3.3e-7 and 1.8e-6); stride 2, 256 to 128 channels 4.1e-7 and 5.6e-6 (3.1e-7 and 5.0e-6), gradient of the weight
4.2e-7 and 4.0e-6 (3.5e-7 and 2.0e-6). But infinities and NaN spread over whole tiles.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache, reduce
from typing import Any, Literal, NamedTuple

import numpy as np

from minigan.kernels import compiled
from minigan.kernels.im2col import CHUNK_BYTES, Lengths, chunks
from minigan.kernels.parallel import product, small_products, spread
from minigan.kernels.workspace import borrow

# What it costs, in multiply-adds of the direct form: one here, one number that enters or leaves the products,
# one of the sums of a kernel. Fitted to 21 layers of all kinds, whose times it foretells to 12 % on average.
PRODUCT_COST, SUM_COST, WEIGHT_COST = 0.73, 38, 154
# What it costs to have one segment more, in products.
SEGMENT_COST = 2
# An image whose sums take more goes the direct way, in strips: they would come from memory, and stay borrowed.
MOST_BYTES = 8 << 20
# Into how many sums the gradient of a weight is split, for as many threads; half as many where they are large.
SUMS = 8
_ALL = slice(None)


class Form(NamedTuple):
    """A rule: y[i] = sum_k y[i, k] (sum_j x[j, k] input j) (sum_u w[k, u] tap u)."""

    x: Any
    y: Any
    w: Any


_DIRECT = Form(*(np.ones((1, 1)) for _ in range(3)))
_INPUTS = np.array([[1, 0, 0, 0], [0, 1, -1, -1], [-1, 1, 1, 0], [0, 0, 0, 1]])
_FORMS = {
    2: Form(
        _INPUTS, np.array([[1, 1, 1, 0], [0, 1, -1, 0], [0, 1, 1, 1]]),
        np.array([[1, 0], [0.5, 0.5], [0.5, -0.5], [0, 1]]),
    ),
    3: Form(
        _INPUTS, np.array([[1, 1, 1, 0], [0, 1, -1, 1]]),
        np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]),
    ),
}  # fmt: skip

Terms = tuple[tuple[bool, Any], ...]  # (whether it is added, index) for each of a sum


class Side(NamedTuple):
    """How the tiles of a segment lie over an axis of x or of y; the indexes are for arrays channels-last."""

    analysis: list[tuple[int, Any, Terms]]  # number of the product, index of tiles, places in the image
    synthesis: list[tuple[bool, Any, Any, Terms]]  # whether written first here, places, index of tiles, products
    analysis_moves: compiled.Moves  # the same for `compiled`
    synthesis_moves: compiled.Moves


class Segment(NamedTuple):
    """Tiles of one form: `rows` are its products among all of the axis."""

    rows: slice
    products: int
    tiles: int
    x: Side
    y: Side


class Axis(NamedTuple):
    """The plan for one axis: w (products, taps) makes the kernel's sums; `rest_x`, `rest_y`: where sums begin at 0."""

    segments: list[Segment]
    w: Any
    rest_x: list[Any]
    rest_y: list[Any]
    position: int


@lru_cache(maxsize=256)
def plan(position: int, k: int, s: int, p: int, size: int, out: int) -> Axis:
    """Cut an axis into segments with as few products as possible.

    position: which axis of the array, counted from its end; k, s, p: kernel, stride, padding; size, out: of x and y.
    """
    chosen: list[tuple[Form, int, int, int]] = []  # form, its first tap, its first output, tiles
    for first_tap in range(min(s, k)):
        taps = range(first_tap, k, s)
        options = [_directly(taps, range(out), s, p, size)]
        if form := _FORMS.get(len(taps)):
            m = len(form.y)
            for first in range(min(m, out)):
                least = (out - first) // m
                for tiles in range(max(1, least), least + 2):  # the last one may stick out
                    others = [*range(first), *range(first + m * tiles, out)]
                    options.append([(form, first_tap, first, tiles), *_directly(taps, others, s, p, size)])
        chosen += min(options, key=lambda option: sum(len(form.w) * tiles + SEGMENT_COST for form, *_, tiles in option))
    chosen.sort(key=lambda one: -len(one[0].y) * one[3])
    segments, weights, seen_x, seen_y = [], [], np.zeros(size, bool), np.zeros(out, bool)
    begin_x, begin_y = np.zeros(size, bool), np.zeros(out, bool)
    for form, tap, first, tiles in chosen:
        m, products = form.y.shape
        starts = [s * (first + i) + tap - p for i in range(len(form.x))]
        x = _side(position, form.x, starts, s * m, tiles, seen_x, begin_x)
        y = _side(position, form.y, [first + i for i in range(m)], m, tiles, seen_y, begin_y)
        w = np.zeros((products, k))
        w[:, tap : tap + s * form.w.shape[1] : s] = form.w
        row = sum(map(len, weights))
        segments.append(Segment(slice(row, row + products), products, tiles, x, y))
        weights.append(w)
    rests = [[_at(position, int(i)) for i in np.flatnonzero(~begin)] for begin in (begin_x, begin_y)]
    return Axis(segments, np.concatenate([np.empty((0, k)), *weights]), *rests, position)


def _directly(taps: Any, outputs: Any, s: int, p: int, size: int) -> list[tuple[Form, int, int, int]]:
    """One product for each tap of each of these outputs whose pixel lies in the image; neighbours are one segment."""
    found = []
    for u in taps:
        inside = [i for i in outputs if 0 <= s * i + u - p < size]
        for _, run in itertools.groupby(enumerate(inside), lambda pair: pair[1] - pair[0]):
            members = [i for _, i in run]
            found.append((_DIRECT, u, members[0], len(members)))
    return found


def _side(position: int, matrix: Any, starts: list[int], step: int, tiles: int, seen: Any, begin: Any) -> Side:
    """Number i of tile t lies at starts[i] + t step; what lies outside is left out.

    `seen` marks where an earlier synthesis adds something, `begin` where the first one writes; both are brought up.
    """
    inside = []
    for start in starts:
        last = max(0, min(tiles, (len(seen) - 1 - start) // step + 1))
        inside.append((min(last, max(0, -(start // step))), last))

    def places(i: int, first: int, last: int) -> slice:
        return slice(starts[i] + first * step, starts[i] + (last - 1) * step + 1, step)

    analysis, synthesis = [], []
    for number, column in enumerate(matrix.T):
        members = _signed(column)
        cuts = sorted({0, tiles, *(cut for _, i in members for cut in inside[i])})
        for first, last in itertools.pairwise(cuts):
            terms = tuple(
                (plus, _at(position, places(i, first, last)))
                for plus, i in members if inside[i][0] <= first and last <= inside[i][1]
            )  # fmt: skip
            analysis.append((number, _at(position, slice(first, last)), terms))
    for i, row in enumerate(matrix):
        first, last = inside[i]
        if first < last:
            where = places(i, first, last)
            fresh = not seen[where].any()
            seen[where] = True
            begin[where] |= fresh
            synthesis.append((fresh, _at(position, where), _at(position, slice(first, last)), _signed(row)))
    there = [(k, tiles[1], tiles[1], [(plus, at[1].start) for plus, at in terms]) for k, tiles, terms in analysis]
    back = [(fresh, at[1], tiles[1], list(terms)) for fresh, at, tiles, terms in synthesis]
    return Side(analysis, synthesis, compiled.moves(there, step), compiled.moves(back, step))


def _signed(numbers: Any) -> Terms:
    """(is positive, place) of those that are not 0, positive ones first."""
    return tuple((plus, int(i)) for plus in (True, False) for i in np.flatnonzero(numbers > 0 if plus else numbers < 0))


def _at(position: int, index: Any) -> tuple:
    return (..., index, *(_ALL,) * (-position - 1))


def axes_if_cheaper(
    images: int, ksize: Lengths, stride: Lengths, pad: Lengths, dilate: Lengths, groups: int, size: Lengths,
    out: Lengths, channels: tuple[int, int], dtype: Any,
) -> list[Axis] | None:  # fmt: skip
    """The plans for all axes, if it is float32 without groups and dilation and this way costs less than the direct one.

    channels: those of x and of y. Who computes in float64 wants every digit, and gets the direct form.
    """
    if dtype != np.float32 or groups != 1 or max(dilate) > 1 or not images:
        return None
    axes = [plan(i - len(ksize) - 1, *one) for i, one in enumerate(zip(ksize, stride, pad, size, out))]
    all_direct = all(segment.products == 1 for axis in axes for segment in axis.segments)
    if all_direct or not all(axis.segments for axis in axes) or _numbers(axes) * sum(channels) * 4 > MOST_BYTES:
        return None
    products = math.prod(sum(segment.products * segment.tiles for segment in axis.segments) for axis in axes)
    weights = math.prod(len(axis.w) for axis in axes)
    pairs = math.prod(channels)
    cost = products * (PRODUCT_COST * pairs + SUM_COST * sum(channels)) + WEIGHT_COST * weights * pairs / images
    return axes if cost < math.prod(ksize) * math.prod(out) * pairs else None


def convolve(x: Any, kernel: Any, b: Any, y: Any, axes: list[Axis]) -> None:
    """Fill y (N, oh, ow, O) with the correlation of x (N, H, W, C) and kernel (kh, kw, C, O), plus b (O,) or None."""
    _fill(x, kernel, b, y, axes, "x", "y")


def deconvolve(x: Any, kernel: Any, b: Any, y: Any, axes: list[Axis]) -> None:
    """The transpose: fill y (N, H, W, O) from x (N, oh, ow, C) and kernel (kh, kw, C, O)."""
    _fill(x, kernel, b, y, axes, "y", "x")


def _fill(
    x: Any, kernel: Any, b: Any, y: Any, axes: list[Axis], of_x: Literal["x", "y"], of_y: Literal["x", "y"]
) -> None:
    sums = product(_matrix(axes, kernel.dtype), np.ascontiguousarray(kernel).reshape(-1, math.prod(kernel.shape[-2:])))
    sums = sums.reshape(*(len(axis.w) for axis in axes), *kernel.shape[-2:])
    row = None if b is None else np.tile(b, y.shape[-2])

    def descend(x: Any, y: Any, depth: int, kernel: Any) -> None:
        if depth == len(axes):
            rows_of_y = y.reshape(*y.shape[:depth], -1, y.shape[-1])
            small_products(_as_rows(x, depth, "rows"), kernel, rows_of_y)
            return
        axis = axes[-1 - depth]
        for place in getattr(axis, f"rest_{of_y}"):
            y[place] = 0
        for segment in axis.segments:
            part = _part(kernel, axis, segment)
            products = borrow(np, f"products {depth}", _shape(y, axis, segment), y.dtype)
            descend(_analyse(x, axis, segment, of_x), products, depth + 1, part)
            _synthesise(products, axis, segment, of_y, y)

    def fill(some: slice) -> None:
        descend(_contiguous(x[some], "x"), y[some], 0, sums)
        if row is not None:
            rows = y[some].reshape(-1, row.size)
            rows += row

    spread(fill, chunks(len(x), 1, _bytes(x, y, axes))[0])


def weight_gradient(x: Any, gy: Any, axes: list[Axis], ksize: Lengths) -> Any:
    """gW (kh, kw, C, O) of x (N, H, W, C) and gy (N, oh, ow, O), contiguous."""
    shape = (*(len(axis.w) for axis in axes), x.shape[-1], gy.shape[-1])

    def descend(x: Any, gy: Any, depth: int, total: Any, first: bool) -> None:
        if depth == len(axes):
            a, b = _as_rows(x, depth, "rows").swapaxes(-1, -2), _as_rows(gy, depth, "rows of gy")
            if first:
                small_products(a, b, total)
            else:
                total += small_products(a, b, borrow(np, "weight", total.shape, total.dtype))
            return
        axis = axes[-1 - depth]
        for segment in axis.segments:
            sums = _analyse(x, axis, segment, "x"), _analyse(gy, axis, segment, "y")
            descend(*sums, depth + 1, _part(total, axis, segment), first)

    def add_up(part: list[slice]) -> Any:
        total = np.empty(shape, x.dtype)
        for some in part:
            descend(_contiguous(x[some], "x"), _contiguous(gy[some], "y"), 0, total, some is part[0])
        return total

    # a piece is at least as large as the sum that it is added to
    sums = max(1, math.prod(shape) * x.itemsize / CHUNK_BYTES)
    images = chunks(len(x), 1, max(1, int(_bytes(x, gy, axes) / sums)))[0]
    share = -(-len(images) // (SUMS if sums == 1 else SUMS // 2))
    total, *others = spread(add_up, [images[i : i + share] for i in range(0, len(images), share)])
    for other in others:
        total += other
    matrix = _matrix(axes, x.dtype)
    return product(matrix.T, total.reshape(len(matrix), -1)).reshape(*ksize, *shape[-2:])


def _matrix(axes: list[Axis], dtype: Any) -> Any:
    """The kernel's sums for all axes at once, (products, taps)."""
    return reduce(np.kron, [axis.w for axis in axes]).astype(dtype)


def _numbers(axes: list[Axis]) -> int:
    """How many products of an image are made at most at a time, for one channel."""
    return math.prod(max(segment.products * segment.tiles for segment in axis.segments) for axis in axes)


def _bytes(x: Any, y: Any, axes: list[Axis]) -> int:
    """What they and their factors take."""
    return _numbers(axes) * (x.shape[-1] + y.shape[-1]) * x.itemsize


def _contiguous(x: Any, name: str) -> Any:
    """x itself if its channels are contiguous, otherwise a borrowed copy."""
    if x.strides[-1] == x.itemsize or x.shape[-1] == 1:
        return x
    copy = borrow(np, name, x.shape, x.dtype)
    copy[...] = x
    return copy


def _part(products: Any, axis: Axis, segment: Segment) -> Any:
    """Those of a segment among all (..., products, ..., C, O)."""
    return products[_at(axis.position - 1, segment.rows)]


def _shape(x: Any, axis: Axis, segment: Segment) -> tuple[int, ...]:
    """That of its sums or products."""
    shape = [segment.products, *x.shape]
    shape[axis.position] = segment.tiles
    return tuple(shape)


def _analyse(x: Any, axis: Axis, segment: Segment, side: Literal["x", "y"]) -> Any:
    """The sums that enter the products, (products, ..., tiles, ...); single pixels are a view."""
    moves = getattr(segment, side).analysis
    if segment.products == 1:
        ((_, _, ((_, where),)),) = moves
        return x[where][None]
    sums = borrow(np, f"sums of {side} {axis.position}", _shape(x, axis, segment), x.dtype)
    if compiled.on and x.flags.c_contiguous:
        compiled.analyse(_split(x, axis), *getattr(segment, side).analysis_moves, _split(sums, axis, 1))
        return sums
    for number, tiles, terms in moves:
        _sum(sums[number][tiles], [(plus, x[where]) for plus, where in terms], True)
    return sums


def _synthesise(products: Any, axis: Axis, segment: Segment, side: Literal["x", "y"], y: Any) -> None:
    """Spread the products out over y."""
    if compiled.on and y.flags.c_contiguous:
        compiled.synthesise(_split(products, axis, 1), *getattr(segment, side).synthesis_moves, _split(y, axis))
        return
    for fresh, where, tiles, terms in getattr(segment, side).synthesis:
        _sum(y[where], [(plus, products[k][tiles]) for plus, k in terms], fresh)


def _split(x: Any, axis: Axis, first: int = 0) -> Any:
    """x as (axes before the axis, axis, axes behind it), after the ``first`` ones, which stay."""
    middle = x.ndim + axis.position
    shape = x.shape
    return x.reshape(*shape[:first], math.prod(shape[first:middle]), shape[middle], math.prod(shape[middle + 1 :]))


def _sum(target: Any, terms: list[tuple[bool, Any]], fresh: bool) -> None:
    """target = the sum of the terms, or += if it is not fresh. The order of additions is that of the terms."""
    if not terms:
        target[...] = 0
        return
    (plus, total), *others = terms
    if not others:
        if not fresh:
            (np.add if plus else np.subtract)(target, total, out=target)
        elif plus:
            target[...] = total
        else:
            np.negative(total, out=target)
        return
    for left, (plus, term) in zip(range(len(others), 0, -1), others):
        out = target if fresh and left == 1 else borrow(np, "sum", total.shape, total.dtype)
        total = (np.add if plus else np.subtract)(total, term, out=out)
    if not fresh:
        np.add(target, total, out=target)


def _as_rows(x: Any, depth: int, name: str) -> Any:
    """x (products..., N, tiles..., C) as matrices (products..., rows, C)."""
    if not x.flags.c_contiguous:
        copy = borrow(np, name, x.shape, x.dtype)
        copy[...] = x
        x = copy
    return x.reshape(*x.shape[:depth], -1, x.shape[-1])
