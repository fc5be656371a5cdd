"""What `minigan kernels check` runs of optimizers.cu: arrays of several sizes, at even and odd addresses, in halves."""

import numpy as np

from minigan.kernels.emulator import arrays
from minigan.kernels.optimizers import HOOKS, Step

SIZES = 5000, 1, 36


def plain(p, g):
    """A step along the gradient."""
    return p - 0.1 * g


def divided(p, g):
    """Where the gradient is divided by what it has been."""
    return p - 0.1 * np.sign(g)


def lars(p, g):
    """The gradient with decay in the size of the parameter."""
    norm, of_gradient = np.sqrt(p @ p), np.sqrt(g @ g)
    return (g + 0.5 * p) * norm / (of_gradient + 0.5 * norm) if norm > 0.3 else g + 0.5 * p


ADAM = 1.0, 0, 0.1, 0.9, 0.999, 0, 1, 0
RULES = [  # with what they are told, what their states begin with, and the first step
    ("sgd", (1.0, 0.1), (), plain),
    ("sgd", (0.5, 0.2), (), plain),
    ("momentum_sgd", (1.0, 0.1, 0.9), (0,), plain),
    ("corrected_momentum_sgd", (1.0, 0.1, 0.9), (0,), plain),
    ("nesterov_ag", (1.0, 0.04, 0.5, 0.25, 0.09), (0,), plain),
    ("adagrad", (1.0, 0.1, 0), (0,), divided),
    ("adadelta", (1.0, 0, 1, 0), (0, 0.01), divided),
    ("rmsprop", (1.0, 0.1 * 0.1**0.5, 0.9, 0.1, 0, 0), (0,), divided),
    ("rmsprop_graves", (1.0, 0.05, 0.5, 0.5, 0.9, 0), (0, 0, 0), divided),
    ("smorms3", (1.0, 0.1 * 0.5**0.5, 0), (1, 0, 0), divided),
    ("msvag", (1.0, 0, 0.1, 0, 1, 0, 0.9), (0, 0), plain),
    ("adam", (*ADAM, 0, 0), (0, 0), divided),
    ("adam", (*ADAM, 0, 0), (0, 0, 0), divided),
    ("adam", (*ADAM, 1.0, 1e9), (0, 0), plain),  # AdaBound, whose bounds have met
    ("follow", (1.0, 0, 0.9), (), lambda p, g: p + 9 / 11 * (g - p)),
    ("scale", (1.0, 0.5), 2, lambda p, g: 0.5 * g),
    ("clip_norm", (1.0, 0.5), 2, lambda p, g: g / NORM * 0.5),
    ("weight_decay", (1.0, 0.5), 3, lambda p, g: g + 0.5 * p),
    ("lasso", (1.0, 0.5), 3, lambda p, g: g + 0.5 * np.sign(p)),
    ("clip", (1.0, -1.0, 0.5), 2, lambda p, g: g.clip(-1, 0.5)),
    ("lars", (1.0, 0.3, 0.5, 0, 1.0), 3, lars),
]


def launches() -> None:
    """Every rule once; from the second number on, where no address is a multiple of 16, and in halves a few."""
    for case in RULES:
        check(*case)
    for case in RULES[0], RULES[12]:
        check(*case, offset=1)
        check(*case, kinds=(np.float16, np.float16))
        check(*case, kinds=(np.float32, np.float16))
        check(*case, kinds=(np.float64, np.float64))


def check(rule, hyper, states, formula, offset=0, kinds=(np.float32, np.float32)) -> None:
    """The first step of a rule; kinds: the dtypes of p and g."""
    global NORM
    random = np.random.RandomState(0)
    p, g = ([random.randn(n + offset).astype(kind) for n in SIZES] for kind in kinds)
    NORM = np.sqrt(sum(b @ b for b in g))
    rows = []
    for a, b in zip(p, g):
        row = [np.zeros_like(b), b, a][:states] if rule in HOOKS else [a, b, *(np.full_like(a, s) for s in states)]
        if kinds[0] != kinds[1]:
            row.append(np.zeros_like(b))  # the copy in halves
        rows.append([arrays.array(x)[offset:] for x in row])
    Step(rule, arrays)(rows, hyper)
    for row, a, b in zip(rows, p, g):
        tolerance = 2e-3 if np.float16 in kinds else 1e-5
        np.testing.assert_allclose(row[0].get(), formula(a, b)[offset:], rtol=tolerance, atol=tolerance)
        if kinds[0] != kinds[1]:
            np.testing.assert_array_equal(row[-1].get(), row[0].get().astype(np.float16))
