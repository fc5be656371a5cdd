"""What `minigan kernels check` runs of batch_norm.cu: images of both layouts, vectors, halves, in packs or not."""

import numpy as np

from minigan.kernels import batch_norm, bias_activation
from minigan.kernels import fused_batch_norm as fused
from minigan.kernels.emulator import arrays

SLOPE = 0.2
# shape, whether memory is channel by channel, dtype; in the first and the fourth several blocks share a channel
CASES = [
    ((40, 2, 16, 16), True, "f"), ((6, 5, 8, 8), False, "f"), ((6, 5, 7, 7), False, "f"), ((100, 37), False, "f"),
    ((2, 3, 5, 5), True, "e"),
]  # fmt: skip


def launches() -> None:
    """Training, gradient and inference with LeakyReLU, and LeakyReLU behind a bias, against the formulas."""
    for shape, by_channel, dtype in CASES:
        random = np.random.RandomState(0)
        x, gy = random.randn(2, *shape).astype(dtype)
        gamma, beta, mean, var = random.randn(4, shape[1]).astype("f") ** 2
        axis = (0, *range(2, len(shape)))
        g_x, g_gy = (arrays.asarray(a.swapaxes(0, 1).copy()).swapaxes(0, 1) if by_channel else arrays.asarray(a)
                     for a in (x, gy))  # fmt: skip
        g_gamma, g_beta, g_mean, g_var = map(arrays.asarray, (gamma, beta, mean.copy(), var.copy()))
        plan = fused.plan(g_x, g_gamma, g_beta, axis, "leaky_relu", SLOPE)
        fixed = fused.forward_fixed(plan, g_x, g_gamma, g_beta, g_mean, g_var, 2e-5)
        y, m, _, inv_std = fused.forward(plan, g_x, g_gamma, g_beta, 2e-5, (g_mean, g_var), 0.9)
        found = [y, fixed, *fused.backward(plan, g_x, g_gamma, g_beta, m, inv_std, g_gy), g_mean]
        biased, b = g_x.copy(), arrays.asarray(beta.astype(dtype))
        bias_activation.forward(biased, b, "leaky_relu", SLOPE)
        found += [biased, *bias_activation.backward(biased, arrays.asarray(gy), "leaky_relu", SLOPE)]

        x, gy = x.astype("f"), gy.astype("f")
        h, m, _, inv_std = batch_norm.forward(x, gamma, beta, 2e-5, axis)
        h_fixed = batch_norm.forward_fixed(x, gamma, beta, mean, var, 2e-5, axis)
        gradients = batch_norm.backward(x, gamma, m, inv_std, np.where(h > 0, gy, SLOPE * gy), axis)
        want = [np.where(a > 0, a, SLOPE * a) for a in (h, h_fixed)] + [*gradients, 0.9 * mean + 0.1 * m]
        h = x + beta.reshape(-1, *(1 for _ in axis[1:]))
        gh = np.where(h > 0, gy, SLOPE * gy)
        want += [np.where(h > 0, h, SLOPE * h), gh, gh.sum(axis)]
        for a, expected in zip(found, want):
            tolerance = 1e-3 if a.dtype == np.float16 else 3e-6
            np.testing.assert_allclose(a.get(), expected, rtol=0, atol=tolerance * abs(expected).max())
