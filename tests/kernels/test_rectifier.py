import numpy as np
import pytest

from minigan.kernels import parallel, rectifier

SPECIAL = np.array([-np.inf, -1.5, -1e-44, -0.0, 0.0, 1e-44, 2.5, np.inf])


def lay_out(x, layout):
    """An array of the values of x (N, C, H, W) in the given memory layout."""
    if layout == "channels_last":
        return x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    if layout == "strided":
        return np.repeat(x, 2, axis=3)[..., ::2]
    return x.copy()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("slope", [0.0, 0.01, 1.0])
def test_values_at_the_kink_and_beyond_all_numbers(slope, dtype):
    x, gy = SPECIAL.astype(dtype), np.arange(1, 9).astype(dtype)
    y, gx = rectifier.forward(x, slope), rectifier.backward(x, gy, slope)
    assert y.dtype == gx.dtype == dtype
    with np.errstate(invalid="ignore"):  # 0 times infinity
        np.testing.assert_array_equal(y, np.where(x > 0, x, dtype(slope) * x if slope else 0))
    np.testing.assert_array_equal(gx, np.where(x > 0, gy, dtype(slope) * gy))
    assert np.isnan(rectifier.forward(np.full(3, np.nan, dtype), slope)).all()


def test_a_slope_too_small_for_the_dtype_is_0():
    x = np.array([-np.inf, -1, 2, np.inf], np.float16)
    np.testing.assert_array_equal(rectifier.forward(x, 1e-9), [0, 0, 2, np.inf])


@pytest.mark.parametrize("size", [3, 200])  # of one image: small ones are computed at once
@pytest.mark.parametrize("layout", ["nchw", "channels_last", "strided"])
@pytest.mark.parametrize("other", ["nchw", "channels_last", "strided"])
def test_every_layout(layout, other, size, monkeypatch):
    monkeypatch.setattr(parallel, "PIECE_BYTES", 4000)
    rng = np.random.default_rng(0)
    x, gy = (rng.standard_normal((9, 4, 2, size), np.float32) for _ in range(2))
    x, gy = lay_out(x, layout), lay_out(gy, other)
    y, gx = rectifier.forward(x, 0.1), rectifier.backward(x, gy, 0.1)
    np.testing.assert_array_equal(y, np.where(x > 0, x, np.float32(0.1) * x))
    np.testing.assert_array_equal(gx, np.where(x > 0, gy, np.float32(0.1) * gy))
    if layout != "strided":
        assert y.strides == gx.strides == x.strides


@pytest.mark.parametrize("shape", [(), (0, 3), (1,)])
def test_small_shapes(shape):
    x = np.full(shape, -2.0, np.float32)
    assert rectifier.forward(x, 0.5).shape == rectifier.backward(x, x, 0.5).shape == shape
    np.testing.assert_array_equal(rectifier.backward(x, x, 0.5), 0.5 * x)
