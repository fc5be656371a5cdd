"""Rows of the test table: functions.pooling."""

import numpy as np
from functions.table import distinct, normal, row


def geometry(x, ksize, stride, pad):
    """Tuples of ksize, stride and pad, one number per axis."""
    each = [v if isinstance(v, tuple) else (v,) * (x.ndim - 2) for v in (ksize, stride or ksize, pad)]
    return list(zip(x.shape[2:], *each, strict=True))


def pool(reduce, filler):
    def answer(x, ksize, stride=None, pad=0, cover_all=False):
        axes = geometry(x, ksize, stride, pad)
        out = [(n + 2 * p - k + (s - 1 if cover_all else 0)) // s + 1 for n, k, s, p in axes]
        x = np.pad(x, [(0, 0), (0, 0), *((p, p + s - 1) for _, _, s, p in axes)], constant_values=filler)
        y = np.zeros((*x.shape[:2], *out))
        for place in np.ndindex(*out):
            window = [slice(i * s, i * s + k) for i, (_, k, s, _) in zip(place, axes, strict=True)]
            y[(..., *place)] = reduce(x[(..., *window)], axis=tuple(range(2, x.ndim)))
        return y

    return answer


def max_pool(x, ksize, cover_all=True, **arguments):
    return pool(np.max, -np.inf)(x, ksize, cover_all=cover_all, **arguments)


def average_pool(x, ksize, pad_value=0, **arguments):
    return pool(np.mean if pad_value == 0 else np.nanmean, 0.0 if pad_value == 0 else np.nan)(x, ksize, **arguments)


def unpool(x, ksize, stride=None, pad=0, outsize=None, cover_all=True, indexes=None):
    axes = geometry(x, ksize, stride, pad)
    size = [s * (n - 1) + k - 2 * p - (s - 1 if cover_all else 0) for n, k, s, p in axes]
    y = np.zeros(x.shape[:2] + tuple(outsize or size))
    for place in np.ndindex(*x.shape[2:]):
        for number, offset in enumerate(np.ndindex(*(k for _, k, _, _ in axes))):
            to = [i * s + u - p for i, u, (_, _, s, p) in zip(place, offset, axes, strict=True)]
            if all(0 <= i < n for i, n in zip(to, y.shape[2:], strict=True)):
                here = 1 if indexes is None else indexes[(..., *place)] == number
                y[(..., *to)] += x[(..., *place)] * here
    return y


def pyramid(x, pyramid_height, pooling):
    levels = []
    for bins in (2**level for level in range(pyramid_height)):
        kh, kw = (-(-n // bins) for n in x.shape[2:])
        pad = tuple((k * bins - n) // 2 for k, n in zip((kh, kw), x.shape[2:], strict=True))
        levels.append(max_pool(x, (kh, kw), pad=pad).reshape(len(x), -1))
    return np.concatenate(levels, axis=1)[:, :, None, None]


PLACES = np.array([[[[0, 3, 1], [2, 2, 0]], [[1, 1, 3], [0, 3, 2]]]])

ROWS = [
    row("max_pooling_2d", distinct(2, 2, 4, 5), max_pool, ksize=2),
    row("max_pooling_2d", distinct(1, 2, 5, 6), max_pool, ksize=3, stride=2, pad=1, cover_all=False),
    row("max_pooling_2d", distinct(1, 2, 4, 5), max_pool, ksize=(2, 3), stride=(1, 2), pad=(1, 0)),
    row("average_pooling_2d", normal(2, 2, 4, 4), average_pool, ksize=2),
    row("average_pooling_2d", normal(1, 2, 5, 6), average_pool, ksize=(3, 2), stride=2, pad=1),
    row("unpooling_2d", normal(2, 2, 2, 3), unpool, ksize=2),
    row("unpooling_2d", normal(1, 2, 2, 3), unpool, ksize=2, outsize=(4, 6)),
    row("unpooling_2d", normal(1, 2, 3, 2), unpool, ksize=3, stride=2, pad=1, cover_all=False),
    row("max_pooling_nd", distinct(2, 2, 5), max_pool, ksize=2),
    row("max_pooling_nd", distinct(1, 2, 3, 4, 3), max_pool, ksize=(2, 3, 2), stride=(1, 2, 2), pad=(0, 1, 1),
        cover_all=False),
    row("max_pooling_1d", distinct(2, 2, 5), max_pool, ksize=3, stride=1, pad=1),
    row("max_pooling_3d", distinct(1, 1, 4, 3, 4), max_pool, ksize=2),
    row("average_pooling_nd", normal(2, 2, 5), average_pool, ksize=3, stride=2, pad=1),
    row("average_pooling_nd", normal(1, 2, 3, 4, 3), average_pool, ksize=(2, 3, 2), pad=1, pad_value=None),
    row("average_pooling_1d", normal(2, 2, 5), average_pool, ksize=3, stride=1, pad=1, pad_value=None),
    row("average_pooling_3d", normal(1, 1, 4, 3, 4), average_pool, ksize=2),
    row("unpooling_nd", normal(2, 2, 3), unpool, ksize=3, stride=2, pad=1),
    row("unpooling_nd", normal(1, 2, 2, 1, 2), unpool, ksize=(2, 1, 3), stride=(1, 1, 2), cover_all=False),
    row("unpooling_1d", normal(2, 2, 3), unpool, ksize=2, outsize=(6,)),
    row("unpooling_3d", normal(1, 2, 2, 2, 2), unpool, ksize=2),
    row("upsampling_2d", normal(1, 2, 2, 3), unpool, ksize=2, cover_all=False, indexes=PLACES),
    row("upsampling_2d", normal(1, 2, 2, 3), unpool, ksize=2, stride=1, indexes=PLACES),
    row("spatial_pyramid_pooling_2d", distinct(2, 1, 6, 8), pyramid, pyramid_height=3, pooling="max"),
]
