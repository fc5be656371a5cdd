"""What `minigan kernels check` runs of batch_norm.cu: images of both layouts, with packs of numbers and without."""

import numpy as np

from minigan.kernels import batch_norm
from minigan.kernels import fused_batch_norm as fused
from minigan.kernels.emulator import arrays


def launches() -> None:
    """Training, gradient and inference, without activation, against the formulas."""
    for shape, axis in (((6, 5, 8, 8), (0, 2, 3)), ((6, 5, 7, 7), (0, 2, 3)), ((60, 37), (0,))):
        random = np.random.RandomState(0)
        x, gy = random.randn(2, *shape).astype("f")
        gamma, beta = random.randn(2, shape[1]).astype("f")
        g_x, g_gy, g_gamma, g_beta, mean, var = map(arrays.asarray, (x, gy, gamma, beta, 0 * gamma, 0 * gamma + 1))
        plan = fused.plan(g_x, g_gamma, g_beta, axis, None, 0.0)
        y, *moments, inv_std = fused.forward(plan, g_x, g_gamma, g_beta, 2e-5, (mean, var), 0.9)
        gradients = fused.backward(plan, g_x, g_gamma, g_beta, moments[0], inv_std, g_gy)
        fixed = fused.forward_fixed(plan, g_x, g_gamma, g_beta, mean, var, 2e-5)
        want_y, *want = batch_norm.forward(x, gamma, beta, 2e-5, axis)
        want = [want_y, *batch_norm.backward(x, gamma, want[0], want[2], gy, axis)]
        want.append(batch_norm.forward_fixed(x, gamma, beta, mean.get(), var.get(), 2e-5, axis))
        for got, expected in zip((y, *gradients, fixed), want):
            np.testing.assert_allclose(got.get(), expected, atol=3e-6 * abs(expected).max())
