"""Rows of the test table: functions.pooling."""

import numpy as np
from functions.table import distinct, normal, pair, row


def pool(reduce, filler):
    def answer(x, ksize, stride=None, pad=0, cover_all=False):
        (kh, kw), (sy, sx), (ph, pw) = pair(ksize), pair(ksize if stride is None else stride), pair(pad)
        more = (sy - 1, sx - 1) if cover_all else (0, 0)
        out_h = (x.shape[2] + 2 * ph - kh + more[0]) // sy + 1
        out_w = (x.shape[3] + 2 * pw - kw + more[1]) // sx + 1
        x = np.pad(x, ((0, 0), (0, 0), (ph, ph + more[0]), (pw, pw + more[1])), constant_values=filler)
        windows = [
            [reduce(x[:, :, i * sy : i * sy + kh, j * sx : j * sx + kw], axis=(2, 3)) for j in range(out_w)]
            for i in range(out_h)
        ]
        return np.array(windows).transpose(2, 3, 0, 1)

    return answer


def max_pool(x, ksize, cover_all=True, **arguments):
    return pool(np.max, -np.inf)(x, ksize, cover_all=cover_all, **arguments)


def unpool(x, ksize, stride=None, pad=0, outsize=None, cover_all=True):
    k, s = ksize, ksize if stride is None else stride
    size = [s * (n - 1) + k - 2 * pad - (s - 1 if cover_all else 0) for n in x.shape[2:]]
    y = np.zeros(x.shape[:2] + tuple(outsize or size))
    for i, j, a, e in np.ndindex(*x.shape[2:], k, k):
        v, u = i * s + a - pad, j * s + e - pad
        if 0 <= v < y.shape[2] and 0 <= u < y.shape[3]:
            y[:, :, v, u] += x[:, :, i, j]
    return y


ROWS = [
    row("max_pooling_2d", distinct(2, 2, 4, 5), max_pool, ksize=2),
    row("max_pooling_2d", distinct(1, 2, 5, 6), max_pool, ksize=3, stride=2, pad=1, cover_all=False),
    row("max_pooling_2d", distinct(1, 2, 4, 5), max_pool, ksize=(2, 3), stride=(1, 2), pad=(1, 0)),
    row("average_pooling_2d", normal(2, 2, 4, 4), pool(np.mean, 0.0), ksize=2),
    row("average_pooling_2d", normal(1, 2, 5, 6), pool(np.mean, 0.0), ksize=(3, 2), stride=2, pad=1),
    row("unpooling_2d", normal(2, 2, 2, 3), unpool, ksize=2),
    row("unpooling_2d", normal(1, 2, 2, 3), unpool, ksize=2, outsize=(4, 6)),
    row("unpooling_2d", normal(1, 2, 3, 2), unpool, ksize=3, stride=2, pad=1, cover_all=False),
]
