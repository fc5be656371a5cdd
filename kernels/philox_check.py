"""What `minigan kernels check` runs of philox.cu: all that a stream gives, in lengths even and odd."""

import numpy as np

from minigan.kernels.emulator import arrays
from minigan.kernels.philox import Generator


def launches() -> None:
    """Uniform and normal numbers and dropout, against NumPy's twin."""
    for n, dtype, tolerance in ((1000, "f", 2e-6), (1023, "f", 2e-6), (1023, "d", 1e-14), (1023, "e", 2e-3)):
        device, host = Generator(arrays, 5), Generator(np, 5)
        x = np.ones(n, dtype)
        np.testing.assert_array_equal(device.uniform(n, dtype).get(), host.uniform(n, dtype))
        for got, want in zip(device.dropout(arrays.asarray(x), 0.25), host.dropout(x, 0.25)):
            np.testing.assert_array_equal(got.get(), want)
        np.testing.assert_allclose(device.normal(n, dtype).get(), host.normal(n, dtype), rtol=0, atol=tolerance)
