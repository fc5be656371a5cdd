"""What `minigan kernels check` runs of logits.cu: one batch and two, whose sizes are no multiple of anything."""

import numpy as np

from minigan.kernels import logits
from minigan.kernels.emulator import arrays

SIGNS = -1.0, 1.0


def launches() -> None:
    """Losses, gradients and opinions against formulas."""
    for dtype, tolerance in (("f", 1e-6), ("e", 1e-3)):
        real, fake = (np.random.RandomState(i).standard_normal(n).astype(dtype) for i, n in enumerate((300, 77)))
        for batches in ((real,), (real, fake)):
            on_device, signs = tuple(map(arrays.asarray, batches)), SIGNS[: len(batches)]
            wide = [s * x.astype("d") for s, x in zip(signs, batches)]
            loss = logits.softplus_means(on_device, signs)
            np.testing.assert_allclose(loss.get(), sum(np.logaddexp(0, v).mean() for v in wide), rtol=tolerance)
            g = arrays.asarray(np.array(2, dtype))
            for got, s, v in zip(logits.softplus_means_grad(on_device, signs, g), signs, wide):
                np.testing.assert_allclose(got.get(), 2 * s / v.size / (1 + np.exp(-v)), rtol=0, atol=tolerance)
        x, y = (a.astype("d") for a in (real, fake))
        want = [(1 / (1 + np.exp(-v))).mean() for v in (x, y)] + [((x > 0).mean() + (y < 0).mean()) / 2]
        np.testing.assert_allclose(logits.opinions(*map(arrays.asarray, (real, fake))).get(), want, rtol=1e-5)
