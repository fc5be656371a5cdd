"""Rows of the test table: functions.connection."""

import numpy as np
from functions.table import fixed, normal, row


def each(value, n):
    return value if isinstance(value, tuple) else (value,) * n


def convolve(x, W, b=None, stride=1, pad=0, cover_all=False, dilate=1, groups=1):
    n = x.ndim - 2
    s, p, d, k = (each(v, n) for v in (stride, pad, dilate, W.shape[2:]))
    more = [i - 1 if cover_all else 0 for i in s]
    out = [(x.shape[2 + i] + 2 * p[i] + more[i] - (k[i] - 1) * d[i] - 1) // s[i] + 1 for i in range(n)]
    x = np.pad(x, [(0, 0), (0, 0), *((p[i], p[i] + more[i]) for i in range(n))])
    y = np.zeros((x.shape[0], W.shape[0], *out))
    for o in range(W.shape[0]):
        first = o // (W.shape[0] // groups) * W.shape[1]
        for place in np.ndindex(*out):
            window = [slice(place[i] * s[i], place[i] * s[i] + d[i] * k[i], d[i]) for i in range(n)]
            part = x[(slice(None), slice(first, first + W.shape[1]), *window)]
            y[(slice(None), o, *place)] = (part * W[o]).sum(axis=tuple(range(1, n + 2)))
    return y if b is None else y + b.reshape(-1, *[1] * n)


def deconvolve(x, W, b=None, stride=1, pad=0, outsize=None, dilate=1, groups=1):
    n = x.ndim - 2
    s, p, d, k = (each(v, n) for v in (stride, pad, dilate, W.shape[2:]))
    out = outsize or [s[i] * (x.shape[2 + i] - 1) + d[i] * (k[i] - 1) + 1 - 2 * p[i] for i in range(n)]
    y = np.zeros((x.shape[0], W.shape[1] * groups, *out))
    for c in range(x.shape[1]):
        first = c // (x.shape[1] // groups) * W.shape[1]
        for place in np.ndindex(*x.shape[2:], *k):
            to = [place[i] * s[i] + place[n + i] * d[i] - p[i] for i in range(n)]
            if all(0 <= to[i] < out[i] for i in range(n)):
                for o in range(W.shape[1]):
                    y[(slice(None), first + o, *to)] += x[(slice(None), c, *place[:n])] * W[(c, o, *place[n:])]
    return y if b is None else y + b.reshape(-1, *[1] * n)


def linear(x, W, b=None, n_batch_axes=1):
    y = np.zeros(x.shape[:n_batch_axes] + (len(W),))
    for i in np.ndindex(*y.shape):
        y[i] = (x[i[:-1]].ravel() * W[i[-1]]).sum() + (0.0 if b is None else b[i[-1]])
    return y


def bilinear(e1, e2, W, V1=None, V2=None, b=None):
    e1, e2 = e1.reshape(len(e1), -1), e2.reshape(len(e2), -1)
    y = np.einsum("nj,nk,jkl->nl", e1, e2, W)
    return y if b is None else y + e1 @ V1 + e2 @ V2 + b


def embed(x, W, ignore_label=None):
    rows = [np.zeros(W.shape[1]) if i == ignore_label else W[i] for i in x.ravel()]
    return np.array(rows).reshape(*x.shape, -1)


def depthwise(x, W, b=None, **arguments):
    channels = [convolve(x[:, c : c + 1], W[:, c : c + 1], **arguments) for c in range(x.shape[1])]
    y = np.concatenate(channels, axis=1)
    return y if b is None else y + b[:, None, None]


def dilated(x, W, b=None, stride=1, pad=0, dilate=1, cover_all=False):
    return convolve(x, W, b, stride, pad, cover_all, dilate)


def local(x, W, b=None, stride=1):
    sy, sx = each(stride, 2)
    kh, kw = W.shape[4:]
    y = np.zeros((len(x), *W.shape[:3]))
    for o, i, j in np.ndindex(*W.shape[:3]):
        window = x[:, :, i * sy : i * sy + kh, j * sx : j * sx + kw]
        y[:, o, i, j] = (window * W[o, i, j]).sum(axis=(1, 2, 3))
    return y if b is None else y + b


def shift(x, ksize=3, dilate=1):
    (kh, kw), (dy, dx) = each(ksize, 2), each(dilate, 2)
    offsets = [((u - kh // 2) * dy, (v - kw // 2) * dx) for u in range(kh) for v in range(kw)]
    middle = len(offsets) // 2
    offsets[middle], offsets[-1] = offsets[-1], offsets[middle]
    y = np.zeros_like(x)
    for c, i, j in np.ndindex(*x.shape[1:]):
        down, right = offsets[min(c // (x.shape[1] // len(offsets)), len(offsets) - 1)]
        if 0 <= i - down < x.shape[2] and 0 <= j - right < x.shape[3]:
            y[:, c, i, j] = x[:, c, i - down, j - right]
    return y


def deformable(x, offset, W, b=None, stride=1, pad=0):
    s, taps = stride, W.shape[2] * W.shape[3]
    y = np.zeros((len(x), len(W), *offset.shape[2:]))
    for n, i, j, k in np.ndindex(len(x), *offset.shape[2:], taps):
        row = i * s - pad + k // W.shape[3] + offset[n, taps + k, i, j]
        column = j * s - pad + k % W.shape[3] + offset[n, k, i, j]
        for v, u in np.ndindex(*x.shape[2:]):
            weight = max(0, 1 - abs(row - v)) * max(0, 1 - abs(column - u))
            y[n, :, i, j] += weight * W[:, :, k // W.shape[3], k % W.shape[3]] @ x[n, :, v, u]
    return y if b is None else y + b[:, None, None]


def off_grid(*shape):
    """Offsets of some pixels, at least 0.1 from whole numbers, where the interpolation has its kinks."""
    return lambda rng: rng.randint(-2, 2, shape) + rng.uniform(0.1, 0.9, shape)


ROWS = [
    row("linear", (normal(3, 2, 2), normal(5, 4), normal(5)), linear),
    row("linear", (normal(2, 3, 4), normal(5, 4)), linear, n_batch_axes=2),
    row("convolution_2d", (normal(2, 2, 4, 5), normal(3, 2, 3, 2), normal(3)), convolve),
    row("convolution_2d", (normal(2, 2, 5, 4), normal(3, 2, 3, 3)), convolve, stride=2, pad=1),
    row("convolution_2d", (normal(1, 2, 6, 5), normal(2, 2, 2, 3), normal(2)), convolve, stride=(3, 2), pad=(1, 0),
        cover_all=True),
    row("convolution_2d", (normal(2, 2, 6, 5), normal(2, 2, 3, 2), normal(2)), convolve, pad=1, dilate=(2, 1)),
    row("convolution_2d", (normal(2, 4, 4, 4), normal(6, 2, 3, 3), normal(6)), convolve, stride=2, pad=1, groups=2),
    row("convolution_2d", (normal(2, 3, 4, 4), normal(2, 3, 1, 1)), convolve, note="1x1"),
    row("convolution_2d", (normal(2, 3, 4, 4), normal(2, 3, 4, 4), normal(2)), convolve, note="whole"),
    row("convolution_2d", (normal(1, 2, 5, 5), normal(2, 2, 2, 2)), convolve, note="leftover", stride=2),
    row("deconvolution_2d", (normal(2, 3, 2, 3), normal(3, 2, 3, 2), normal(2)), deconvolve),
    row("deconvolution_2d", (normal(2, 2, 3, 2), normal(2, 3, 4, 4)), deconvolve, stride=2, pad=1),
    row("deconvolution_2d", (normal(1, 2, 2, 3), normal(2, 2, 3, 3), normal(2)), deconvolve, stride=2, pad=1,
        outsize=(4, 6)),
    row("deconvolution_2d", (normal(2, 2, 3, 3), normal(2, 2, 2, 3), normal(2)), deconvolve, stride=(1, 2),
        dilate=(2, 1)),
    row("deconvolution_2d", (normal(2, 4, 2, 2), normal(4, 3, 3, 3), normal(6)), deconvolve, stride=2, pad=1, groups=2),
    row("deconvolution_2d", (normal(2, 3, 1, 1), normal(3, 2, 4, 4), normal(2)), deconvolve, note="project"),
    row("convolution_nd", (normal(2, 2, 5), normal(3, 2, 2), normal(3)), convolve, stride=2, pad=1, cover_all=True),
    row("convolution_nd", (normal(1, 4, 3, 4, 3), normal(2, 2, 2, 3, 2), normal(2)), convolve, stride=(1, 2, 1),
        pad=(0, 1, 1), dilate=(2, 1, 1), groups=2),
    row("convolution_1d", (normal(2, 2, 5), normal(3, 2, 2)), convolve, pad=1),
    row("convolution_3d", (normal(2, 1, 3, 3, 2), normal(2, 1, 2, 2, 2)), convolve),
    row("deconvolution_nd", (normal(2, 2, 3), normal(2, 3, 2), normal(3)), deconvolve, stride=2, outsize=(7,)),
    row("deconvolution_nd", (normal(1, 4, 2, 2, 2), normal(4, 1, 2, 3, 2), normal(2)), deconvolve, stride=(1, 2, 1),
        pad=(0, 1, 1), dilate=(2, 1, 3), groups=2),
    row("deconvolution_1d", (normal(2, 2, 3), normal(2, 3, 2)), deconvolve, pad=1),
    row("deconvolution_3d", (normal(1, 2, 2, 2, 2), normal(2, 1, 2, 2, 2)), deconvolve, stride=2),
    row("bilinear", (normal(3, 2), normal(3, 2, 2), normal(2, 4, 2)), bilinear),
    row("bilinear", (normal(2, 3), normal(2, 2), normal(3, 2, 2), normal(3, 2), normal(2, 2), normal(2)), bilinear,
        note="all"),
    row("embed_id", (fixed([[0, 2, -1], [1, 1, 2]], np.int32), normal(3, 2)), embed, ignore_label=-1),
    row("embed_id", (fixed([3, 0, 3], np.int64), normal(4, 2)), embed),
    row("depthwise_convolution_2d", (normal(2, 3, 4, 4), normal(2, 3, 3, 2), normal(6)), depthwise, stride=2, pad=1),
    row("dilated_convolution_2d", (normal(1, 2, 6, 5), normal(2, 2, 2, 2), normal(2)), dilated, pad=1, dilate=(3, 2)),
    row("local_convolution_2d", (normal(2, 2, 4, 5), normal(2, 2, 2, 2, 2, 3), normal(2, 2, 2)), local, stride=2),
    row("shift", normal(2, 7, 3, 4), shift, ksize=(1, 3)),
    row("shift", normal(1, 9, 4, 5), shift, dilate=(1, 2)),
    row("deformable_convolution_2d_sampler", (normal(2, 2, 3, 4), off_grid(2, 8, 2, 2), normal(2, 2, 2, 2), normal(2)),
        deformable, stride=2, pad=1),
]
