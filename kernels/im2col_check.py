"""What `minigan kernels check` runs of im2col.cu: windows that are even, uneven, and with gaps between their pixels."""

import numpy as np

from minigan.kernels.emulator import arrays
from minigan.kernels.im2col import Images, Windows, add_columns, columns, get_conv_outsize

# size, kernel, stride, padding, dilation
GEOMETRIES = [
    ((8, 8), (4, 4), (2, 2), (1, 1), (1, 1)), ((7, 9), (3, 2), (2, 1), (1, 2), (1, 2)),
    ((8, 8), (3, 3), (2, 2), (2, 2), (2, 3)),
]  # fmt: skip


def launches() -> None:
    """Columns of some images of a batch and their transpose, against the formulas."""
    for size, k, s, p, d in GEOMETRIES:
        out = tuple(get_conv_outsize(n, *rest) for n, *rest in zip(size, k, s, p, (False, False), d))
        images = Images(1, 3, Windows(k, s, p, d, size, out))
        x, b = np.random.RandomState(0).randn(5, 3, *size).astype("f"), np.ones(3, "f")
        col = columns(arrays.asarray(x), images)
        np.testing.assert_array_equal(col.get(), columns(x, images))
        for bias, behind in ((b, None), (b, ("leaky_relu", 0.25)), (None, None)):
            y, want = arrays.zeros((3, 5, *size), "f"), np.zeros((3, 5, *size), "f")
            add_columns(col, y, images, None if bias is None else arrays.asarray(bias), behind)
            add_columns(col.get(), want, images, bias, behind)
            np.testing.assert_array_equal(y.get(), want)
