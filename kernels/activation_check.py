"""What `minigan kernels check` runs of activation.cu: each entry, in lengths even and odd."""

import numpy as np

from minigan.kernels.activation import fused
from minigan.kernels.emulator import arrays

VALUES = {
    "leaky_relu": ((0.1,), lambda x: np.where(x > 0, x, 0.1 * x)), "softplus": ((1.0,), lambda x: np.logaddexp(0, x)),
    "sigmoid": ((), lambda x: 1 / (1 + np.exp(-x))),
}  # fmt: skip
GRADIENTS = {
    "leaky_relu_grad": ((0.1,), lambda y, g: np.where(y > 0, g, 0.1 * g)),
    "sigmoid_grad": ((), lambda y, g: g * y * (1 - y)), "tanh_grad": ((), lambda y, g: g * (1 - y * y)),
}  # fmt: skip


def launches() -> None:
    """All entries against formulas."""
    for n, dtype, tolerance in ((1000, "f", 1e-5), (1023, "f", 1e-5), (1000, "e", 2e-3)):
        x, g = np.random.RandomState(0).standard_normal((2, n)).astype(dtype)
        for rows, given in ((VALUES, (x,)), (GRADIENTS, (x, g))):
            for entry, (numbers, formula) in rows.items():
                found = fused(entry, *map(arrays.asarray, given), numbers=numbers)
                want = formula(*(a.astype("d") for a in given))
                np.testing.assert_allclose(found.get(), want, rtol=tolerance, atol=tolerance / 10)
