"""The windows of images as the columns of a matrix, and back (col2im): nothing but moving numbers."""

import numpy as np

from cases import Row, out_size, random

GEOMETRIES = {  # images, channels, size, kernel, stride, pad
    "cpu": [(2, 3, 8, 3, 2, 1), (128, 64, 28, 3, 2, 1), (128, 128, 14, 3, 1, 1)],
    "cuda": [(128, 64, 64, 4, 2, 1), (128, 64, 32, 4, 2, 1), (128, 128, 14, 3, 1, 1), (128, 64, 28, 3, 2, 1)],
}
QUICK = [(2, 3, 8, 3, 2, 1), (4, 8, 14, 3, 1, 1)]


def rows(device, quick):
    for n, c, size, k, stride, pad in QUICK if quick else GEOMETRIES[device]:
        out, shape = out_size(size, k, stride, pad), f"{c}x{size}x{size} k{k} s{stride}"
        moved = 4 * n * c * (size**2 + (k * out) ** 2)
        for way in ("im2col", "col2im"):
            arguments = {"way": way, "n": n, "c": c, "size": size, "k": k, "stride": stride, "pad": pad}
            shapes = f"({n}, {c}, {size}, {size}) and ({c * k * k}, {n * out * out})"
            yield Row(f"{way} {shape}", arguments, shapes, moved)


def data(way, n, c, size, k, stride, pad):
    """x (N, C, H, W), or col (C, kh kw, N, oh, ow) as minigan and the formulas below have it."""
    out = out_size(size, k, stride, pad)
    return {"x": random(n, c, size, size) if way == "im2col" else random(c, k * k, n, out, out)}


def variants(xp, data, way, n, c, size, k, stride, pad):
    x, out = data["x"], out_size(size, k, stride, pad)
    ways = {"plain": lambda: slices(xp, way, x, size, k, stride, pad, out)}
    if x.size < 10_000 and xp is np:
        ways["loops"] = lambda: loops(way, x, size, k, stride, pad, out)
    return ways


def loops(way, x, size, k, stride, pad, out):
    """One number after the other."""
    c, n = (x.shape[1], x.shape[0]) if way == "im2col" else (x.shape[0], x.shape[2])
    result = np.zeros((c, k * k, n, out, out) if way == "im2col" else (n, c, size, size), x.dtype)
    for index in np.ndindex(c, k, k, n, out, out):
        channel, u, v, image, i, j = index
        row, column = i * stride + u - pad, j * stride + v - pad
        if 0 <= row < size and 0 <= column < size:
            if way == "im2col":
                result[channel, u * k + v, image, i, j] = x[image, channel, row, column]
            else:
                result[image, channel, row, column] += x[channel, u * k + v, image, i, j]
    return result


def slices(xp, way, x, size, k, stride, pad, out):
    """One strided slice of the padded images for each place in the window."""
    c, n = (x.shape[1], x.shape[0]) if way == "im2col" else (x.shape[0], x.shape[2])
    images, reach = xp.zeros((c, n, size + 2 * pad, size + 2 * pad), x.dtype), stride * (out - 1) + 1
    inside = images[:, :, pad : pad + size, pad : pad + size]
    places = [images[:, :, u : u + reach : stride, v : v + reach : stride] for u in range(k) for v in range(k)]
    if way == "im2col":
        inside[...] = x.swapaxes(0, 1)
        return xp.stack(places, axis=1)
    for number, place in enumerate(places):
        place += x[:, number]
    return inside.swapaxes(0, 1)
