"""Rows of the test table: functions.connection."""

import numpy as np
from functions.table import normal, pair, row


def convolve(x, W, b=None, stride=1, pad=0, cover_all=False, dilate=1, groups=1):
    (sy, sx), (ph, pw), (dy, dx) = pair(stride), pair(pad), pair(dilate)
    N, C, H, Wd = x.shape
    O, _, kh, kw = W.shape
    more = (sy - 1, sx - 1) if cover_all else (0, 0)
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph + more[0]), (pw, pw + more[1])))
    out_h = (H + 2 * ph + more[0] - (kh - 1) * dy - 1) // sy + 1
    out_w = (Wd + 2 * pw + more[1] - (kw - 1) * dx - 1) // sx + 1
    y = np.zeros((N, O, out_h, out_w))
    for o in range(O):
        g = o // (O // groups)
        channels = slice(g * (C // groups), (g + 1) * (C // groups))
        for i in range(out_h):
            for j in range(out_w):
                window = x[:, channels, i * sy : i * sy + dy * kh : dy, j * sx : j * sx + dx * kw : dx]
                y[:, o, i, j] = (window * W[o]).sum(axis=(1, 2, 3))
    return y if b is None else y + b.reshape(1, -1, 1, 1)


def deconvolve(x, W, b=None, stride=1, pad=0, outsize=None, dilate=1, groups=1):
    (sy, sx), (ph, pw), (dy, dx) = pair(stride), pair(pad), pair(dilate)
    N, C, H, Wd = x.shape
    _, per_group, kh, kw = W.shape
    out_h, out_w = outsize or (sy * (H - 1) + dy * (kh - 1) + 1 - 2 * ph, sx * (Wd - 1) + dx * (kw - 1) + 1 - 2 * pw)
    y = np.zeros((N, per_group * groups, out_h, out_w))
    for c in range(C):
        g = c // (C // groups)
        for i, j, a, e in np.ndindex(H, Wd, kh, kw):
            v, u = i * sy + a * dy - ph, j * sx + e * dx - pw
            if 0 <= v < out_h and 0 <= u < out_w:
                for o in range(per_group):
                    y[:, g * per_group + o, v, u] += x[:, c, i, j] * W[c, o, a, e]
    return y if b is None else y + b.reshape(1, -1, 1, 1)


def linear(x, W, b=None, n_batch_axes=1):
    y = np.zeros(x.shape[:n_batch_axes] + (len(W),))
    for i in np.ndindex(*y.shape):
        y[i] = (x[i[:-1]].ravel() * W[i[-1]]).sum() + (0.0 if b is None else b[i[-1]])
    return y


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
]
