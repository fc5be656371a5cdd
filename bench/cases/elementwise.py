"""What touches every number once: an activation and a gradient, Adam over six parameters at once, normal noise."""

import itertools

import numpy as np

from cases import Row, random

SLOPE, ALPHA, BETA1, BETA2, EPS = 0.2, 2e-4, 0.5, 0.999, 1e-8
PARAMETERS = [(12544, 100), (256, 128, 3, 3), (128, 64, 3, 3), (1152, 100), (128,), (64,)]


def rows(device, quick):
    n = 1 << (12 if quick else 26 if device == "cuda" else 22)
    parameters = sum(int(np.prod(shape)) for shape in (PARAMETERS[-2:] if quick else PARAMETERS))
    for what, passes, operations in (("leaky_relu", 2, 2), ("tanh gradient", 3, 3), ("normal", 1, 0)):
        yield Row(what, {"what": what, "n": n}, f"({n},)", 4 * passes * n, operations * n)
    names = {"what": "adam", "n": 2 if quick else len(PARAMETERS)}
    yield Row("adam", names, f"{names['n']} arrays, {parameters} numbers", 28 * parameters, 12 * parameters)


def data(what, n):
    if what == "normal":
        return {}
    if what != "adam":
        return {"x": random(n), "gy": random(n, seed=1)}
    shapes = PARAMETERS[-n:]
    values = {f"value{i}": random(*shape) for i, shape in enumerate(shapes)}
    return values | {f"gradient{i}": random(*shape, seed=1) for i, shape in enumerate(shapes)}


def variants(xp, data, what, n):
    if what == "leaky_relu":
        x, slope = data["x"], data["x"].dtype.type(SLOPE)
        return {"plain": lambda: xp.where(x > 0, x, x * slope)}
    if what == "tanh gradient":
        y, gy = xp.tanh(data["x"]), data["gy"]
        return {"plain": lambda: (1 - y * y) * gy}
    if what == "adam":
        values, gradients = ([data[f"{name}{i}"] for i in range(n)] for name in ("value", "gradient"))
        return {"plain": adam(xp, [value.copy() for value in values], gradients)}
    return {}


def adam(xp, values, gradients):
    moments, squares, count = [xp.zeros_like(v) for v in values], [xp.zeros_like(v) for v in values], itertools.count(1)

    def step():
        t = next(count)
        rate = ALPHA * (1 - BETA2**t) ** 0.5 / (1 - BETA1**t)
        for value, g, m, v in zip(values, gradients, moments, squares):
            m += np.float32(1 - BETA1) * (g - m)
            v += np.float32(1 - BETA2) * (g * g - v)
            value -= np.float32(rate) * m / (xp.sqrt(v) + np.float32(EPS))
        return values

    return step
