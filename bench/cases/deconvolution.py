"""Transposed convolutions of the DCGAN's generator, batch 128: forward, and backward (gradients of images and W)."""

from cases import convolution, random

LAYERS = {  # in, out, kernel, stride, pad, size
    "256-128 s2 7": (256, 128, 3, 2, 1, 7), "128-64 s1 14": (128, 64, 3, 1, 1, 14), "64-1 s2 14": (64, 1, 3, 2, 1, 14),
}  # fmt: skip


def rows(device, quick):
    return convolution.rows(device, quick, LAYERS, transposed=True)


def data(way, n, c, o, k, stride, pad, size):
    """W is (in, out, kh, kw); the images come out ``stride`` times as large."""
    return {"x": random(n, c, size, size), "W": random(c, o, k, k), "gy": random(n, o, *2 * [size * stride], seed=1)}


def variants(xp, data, way, k, stride, pad, size, **_):
    x, W, gy = data.values()
    out, reach = gy.shape[2], stride * (size - 1) + 1
    whole = max(out + 2 * pad, reach + k - 1)
    places = [(u, v, slice(u, u + reach, stride), slice(v, v + reach, stride)) for u in range(k) for v in range(k)]

    def forward():
        """Every pixel times the kernel, added where it falls."""
        parts = xp.tensordot(x, W, ((1,), (0,)))  # N, H, W, O, kh, kw
        y = xp.zeros((*gy.shape[:2], whole, whole), x.dtype)
        for u, v, i, j in places:
            y[:, :, i, j] += parts[..., u, v].transpose(0, 3, 1, 2)
        return y[:, :, pad : pad + out, pad : pad + out]

    def backward():
        """One product for each place in the kernel."""
        padded, gx, gW = xp.zeros((*gy.shape[:2], whole, whole), x.dtype), xp.zeros_like(x), xp.empty_like(W)
        padded[:, :, pad : pad + out, pad : pad + out] = gy
        for u, v, i, j in places:
            gW[:, :, u, v] = xp.tensordot(x, padded[:, :, i, j], ((0, 2, 3), (0, 2, 3)))
            gx += xp.tensordot(padded[:, :, i, j], W[:, :, u, v], ((1,), (1,))).transpose(0, 3, 1, 2)
        return gx, gW

    return {"plain": forward if way == "forward" else backward}
