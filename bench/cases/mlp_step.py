"""One training step of a small GAN of linear layers, where most of the time is the library's own bookkeeping.

G: 100-256-256-784, ReLU, tanh at the end; D: 784-256-256-1, LeakyReLU. By the same rules as gan_step.
"""

import numpy as np

from cases import Row

FRESH, CALLS, SECONDS = True, 5, 30.0
ALPHA, BETA1, SLOPE = 2e-4, 0.5, 0.2
WIDTHS_GEN, WIDTHS_DIS = (100, 256, 256, 784), (784, 256, 256, 1)


def rows(device, quick):
    batch = 4 if quick else 64
    g, d = (sum(2 * a * b for a, b in zip(widths, widths[1:])) for widths in (WIDTHS_GEN, WIDTHS_DIS))
    first_g, first_d = 2 * 100 * 256, 2 * 784 * 256
    flops = batch * (4 * g - first_g + 6 * d - 2 * first_d + 2 * d)
    return [Row(f"784-256-256, batch {batch}", {"batch": batch}, f"({batch}, 784)", flops=flops)]


def data(batch):
    rng = np.random.RandomState(0)
    shapes = [(b, a) for widths in (WIDTHS_GEN, WIDTHS_DIS) for a, b in zip(widths, widths[1:])]
    weights = {f"W{i}": (0.05 * rng.randn(*shape)).astype("f") for i, shape in enumerate(shapes)}
    x = rng.uniform(-1, 1, (batch, 784)).astype("f")
    return {"x": x, "z_dis": rng.randn(batch, 100).astype("f"), "z_gen": rng.randn(batch, 100).astype("f"), **weights}
