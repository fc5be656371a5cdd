"""Batch normalisation and a LeakyReLU behind it, in training: forward (3 passes over the array), backward (5)."""

from cases import Row, random

SLOPE, EPS = 0.2, 2e-5
SIZES = {  # images, channels, size
    "cpu": [(128, 64, 28), (128, 128, 14)], "cuda": [(128, 64, 64), (128, 64, 32), (128, 128, 14)],
}  # fmt: skip


def rows(device, quick):
    for n, c, size in [(4, 8, 7)] if quick else SIZES[device]:
        numbers = n * c * size**2
        for way, passes, operations in (("forward", 3, 7), ("backward", 5, 13)):
            arguments = {"way": way, "n": n, "c": c, "size": size}
            shape = f"({n}, {c}, {size}, {size})"
            yield Row(f"{way} {c}x{size}x{size}", arguments, shape, 4 * passes * numbers, operations * numbers)


def data(way, n, c, size):
    """No gradient comes in where rounding decides on which side of the LeakyReLU's kink a number is."""
    x, gamma, beta, gy = random(n, c, size, size), 1 + 0.1 * random(c), random(c), random(n, c, size, size, seed=1)
    axes = 0, 2, 3
    y = gamma[:, None, None] * (x - x.mean(axes, keepdims=True)) / x.std(axes, keepdims=True) + beta[:, None, None]
    gy[abs(y) < 1e-3] = 0
    return {"x": x, "gamma": gamma, "beta": beta, "gy": gy}


def variants(xp, data, way, **_):
    x, gamma, beta, gy = data.values()
    gamma, beta, axes = gamma[:, None, None], beta[:, None, None], (0, 2, 3)

    def normalised():
        mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
        inv_std = 1 / xp.sqrt(var + x.dtype.type(EPS))
        return (x - mean) * inv_std, inv_std

    def forward():
        y = gamma * normalised()[0] + beta
        return xp.where(y > 0, y, y * x.dtype.type(SLOPE))

    def backward():
        g = xp.where(gamma * xhat + beta > 0, gy, gy * x.dtype.type(SLOPE))
        gbeta, ggamma = g.sum(axes, keepdims=True), (g * xhat).sum(axes, keepdims=True)
        m = x.size // x.shape[1]
        return gamma * inv_std * (g - (xhat * ggamma + gbeta) / m), ggamma.ravel(), gbeta.ravel()

    xhat, inv_std = normalised()
    return {"plain": forward if way == "forward" else backward}
