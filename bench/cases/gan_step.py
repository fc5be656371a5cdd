"""One training step of the book's DCGAN: D on real and made images, then G; Adam for both.

G runs once for D without a graph and once for itself; no layer in front of a normalisation has a bias; D's parameters
get no gradient in G's turn. All libraries start from the same weights and see the same images and noise.
"""

import numpy as np

from cases import Row, out_size

FRESH, CALLS = True, 5  # a graph is captured in the third or fourth call, so the last ones are replays
SECONDS = 30.0
Z, ALPHA, BETA1, EPS_BN, SLOPE = 100, 2e-4, 0.5, 2e-5, 0.01
GENERATOR = [(256, 128, 2), (128, 64, 1), (64, 1, 2)]  # in, out, stride of 3x3 deconvolutions
DISCRIMINATOR = [(1, 32, 2, 1), (32, 64, 2, 1), (64, 128, 2, 0)]  # in, out, stride, pad of 3x3 convolutions


def rows(device, quick):
    return [row(2 if device == "emulator" else 8 if quick else 128, 12 if quick else 28)]


def row(batch, size, name=None):
    return Row(name or f"book DCGAN, batch {batch}", {"batch": batch, "size": size}, f"({batch}, 1, {size}, {size})",
               flops=flops(batch, size))  # fmt: skip


def top(size):
    """The side of D's last feature map: 3 for images of 28 x 28."""
    return out_size(size // 4, 3, 2, 0)


def flops(batch, size):
    """Products alone. Of G: two times forward, gradients of weights and of what came in, but not of the noise.

    Of D: in its own turn (two batches) forward, weights, what came in but not the images; in G's all but the weights.
    """
    side, noise, g = size // 4, 2 * Z * 256 * (size // 4) ** 2, 0
    for c, o, stride in GENERATOR:
        g += 2 * 9 * c * o * side**2
        side *= stride
    d = [2 * 9 * c * o * out**2 for (c, o, _, _), out in zip(DISCRIMINATOR, (size // 2, size // 4, top(size)))]
    return batch * (3 * noise + 4 * g + 6 * sum(d) - 2 * d[0] + 2 * sum(d))


def data(batch, size):
    """Images in [-1, 1], the noise of D's and of G's turn, and the weights, first G's and then D's, in their order."""
    rng = np.random.RandomState(0)
    shapes = [(256 * (size // 4) ** 2, Z), *[(c, o, 3, 3) for c, o, _ in GENERATOR]]
    shapes += [*[(o, c, 3, 3) for c, o, _, _ in DISCRIMINATOR], (1, 128 * top(size) ** 2)]
    weights = {f"W{i}": (0.02 * rng.randn(*shape)).astype("f") for i, shape in enumerate(shapes)}
    x = rng.uniform(-1, 1, (batch, 1, size, size)).astype("f")
    return {"x": x, "z_dis": rng.randn(batch, Z).astype("f"), "z_gen": rng.randn(batch, Z).astype("f"), **weights}
