"""Convolutions of the DCGAN's discriminator, batch 128: forward, and backward (gradients of images and W)."""

import numpy as np

from cases import Row, out_size, random

SMALL = {"4-6 s2 8": (4, 6, 3, 2, 1, 8)}  # for the loops, which take seconds for anything larger
LAYERS = {  # in, out, kernel, stride, pad, size
    "32-64 s2 14": (32, 64, 3, 2, 1, 14), "64-128 s2 7": (64, 128, 3, 2, 0, 7),
    "128-128 s1 14": (128, 128, 3, 1, 1, 14),
}  # fmt: skip


def rows(device, quick, layers=LAYERS, transposed=False):
    """One row forward and one backward for each layer; a deconvolution multiplies once for every pixel of its input."""
    for name, (c, o, k, stride, pad, size) in (SMALL if quick else SMALL | layers).items():
        n = 2 if name in SMALL else 128
        out = size * stride if transposed else out_size(size, k, stride, pad)
        images, results = n * c * size**2, n * o * out**2
        flops = 2 * n * c * o * k * k * (size if transposed else out) ** 2
        for way, times in (("forward", 1), ("backward", 2)):
            arguments = {"way": way, "n": n, "c": c, "o": o, "k": k, "stride": stride, "pad": pad, "size": size}
            moved = 4 * times * (images + results + c * o * k * k)
            shapes = f"({n}, {c}, {size}, {size}) to ({n}, {o}, {out}, {out})"
            yield Row(f"{way} {name}", arguments, shapes, moved, times * flops)


def data(way, n, c, o, k, stride, pad, size):
    out = out_size(size, k, stride, pad)
    return {"x": random(n, c, size, size), "W": random(o, c, k, k), "gy": random(n, o, out, out, seed=1)}


def variants(xp, data, way, k, stride, pad, size, **_):
    x, W, gy = data.values()
    reach = stride * (gy.shape[2] - 1) + 1
    padded = xp.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    places = [(u, v, slice(u, u + reach, stride), slice(v, v + reach, stride)) for u in range(k) for v in range(k)]

    def forward():
        """All windows against all kernels, as one product of tensors."""
        windows = xp.lib.stride_tricks.sliding_window_view(padded, (k, k), axis=(2, 3))[:, :, ::stride, ::stride]
        return xp.tensordot(windows, W, ((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)

    def backward():
        """One product for each place in the kernel."""
        gx, gW = xp.zeros_like(padded), xp.empty_like(W)
        for u, v, i, j in places:
            gW[:, :, u, v] = xp.tensordot(gy, padded[:, :, i, j], ((0, 2, 3), (0, 2, 3)))
            gx[:, :, i, j] += xp.tensordot(gy, W[:, :, u, v], ((1,), (0,))).transpose(0, 3, 1, 2)
        return gx[:, :, pad : pad + size, pad : pad + size], gW

    def loops():
        """One number after the other."""
        y = np.zeros_like(gy)
        for n, o, i, j in np.ndindex(*gy.shape):
            y[n, o, i, j] = (padded[n, :, i * stride : i * stride + k, j * stride : j * stride + k] * W[o]).sum()
        return y

    ways = {"plain": forward if way == "forward" else backward}
    return {**ways, "loops": loops} if way == "forward" and gy.size < 10_000 and xp is np else ways
