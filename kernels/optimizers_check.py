"""What `minigan kernels check` runs of optimizers.cu: parameters of several sizes, at even and odd addresses."""

import numpy as np

from minigan.kernels.emulator import arrays
from minigan.kernels.optimizers import Step

SIZES = 5000, 1, 36
RULES = [  # with their rates, how many states they have, whether the gradient's size drops out
    ("sgd", (0.1,), 0, False), ("momentum_sgd", (0.1, 0.9), 1, False), ("rmsprop", (0.1 * 0.1**0.5, 0.9, 0.0), 1, True),
    ("adam", (0.1, 0.9, 0.999, 0.0, 1.0, 0.0, 0), 2, True),
]  # fmt: skip


def launches() -> None:
    """The first step of each rule from states of 0: 0.1 g, or 0.1 sign(g) where g is divided by what it has been."""
    random = np.random.RandomState(0)
    for offset in (0, 1):  # from the second number on: no address is a multiple of 16
        for rule, hyper, states, divided in RULES:
            p, g = ([random.randn(n + offset).astype("f") for n in SIZES] for _ in range(2))
            rows = [[a, b, *(np.zeros_like(a) for _ in range(states))] for a, b in zip(p, g)]
            tensors = [[arrays.array(a)[offset:] for a in row] for row in rows]
            Step(rule, arrays)(tensors, hyper)
            for (moved, *_), a, b in zip(tensors, p, g):
                change = np.sign(b) if divided else b
                np.testing.assert_allclose(moved.get(), (a - np.float32(0.1) * change)[offset:], rtol=0, atol=1e-5)
