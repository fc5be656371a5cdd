import numpy as np
import pytest

from minigan.kernels import batch_norm, blas

LAYOUTS = ["nchw", "channels_last", "channels_first_batch_second", "strided", "reversed"]


def lay_out(x, layout):
    """An array of the values of x (N, C, H, W) in the given memory layout."""
    if layout == "channels_last":
        return x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    if layout == "channels_first_batch_second":
        return x.transpose(1, 0, 2, 3).copy().transpose(1, 0, 2, 3)
    if layout == "strided":
        wide = np.zeros((*x.shape[:3], 2 * x.shape[3]), x.dtype)
        wide[..., ::2] = x
        return wide[..., ::2]
    if layout == "reversed":
        return x[:, :, ::-1].copy()[:, :, ::-1]
    return x.copy()


def by_loop(x, gamma, beta, eps, gy):
    """Forward and backward of one channel at a time in float64, from the definition."""
    y, gx = np.empty(x.shape), np.empty(x.shape)
    ggamma, gbeta = np.empty(len(gamma)), np.empty(len(gamma))
    for c in range(len(gamma)):
        values, g = x[:, c].astype(np.float64), gy[:, c].astype(np.float64)
        m = values.size
        mean = sum(values.ravel()) / m
        var = sum((values.ravel() - mean) ** 2) / m
        std = np.sqrt(var + eps)
        xhat = (values - mean) / std
        y[:, c] = gamma[c] * xhat + beta[c]
        # The full Jacobian of xhat: d xhat_i / d x_j = (delta_ij - 1/m - xhat_i xhat_j / m) / std.
        flat = xhat.ravel()
        jacobian = (np.eye(m) - 1 / m - np.outer(flat, flat) / m) / std
        gx[:, c] = gamma[c] * (jacobian.T @ g.ravel()).reshape(values.shape)
        ggamma[c], gbeta[c] = (g * xhat).sum(), g.sum()
    return y, gx, ggamma, gbeta


@pytest.fixture(params=["blocks", "small blocks"])
def block_size(request, monkeypatch):
    if request.param == "small blocks":
        monkeypatch.setattr(batch_norm, "BLOCK_BYTES", 512)
        monkeypatch.setattr(batch_norm, "SHARED_BYTES", 600)
        monkeypatch.setattr(batch_norm, "ROW_BYTES", 128)


@pytest.mark.parametrize("dtype, tolerance", [(np.float16, 5e-3), (np.float32, 2e-6), (np.float64, 1e-13)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_equals_the_definition_in_every_layout(layout, dtype, tolerance, block_size):
    rng = np.random.RandomState(0)
    x, gy = (lay_out(rng.randn(6, 5, 3, 7).astype(dtype), layout) for _ in range(2))
    gamma, beta = rng.randn(2, 5).astype(dtype)
    y, mean, var, inv_std = batch_norm.forward(x, gamma, beta, 1e-3)
    gx, ggamma, gbeta = batch_norm.backward(x, gamma, mean, inv_std, gy)
    want = by_loop(x, gamma, beta, 1e-3, gy)
    for got, expected in zip((y, gx, ggamma, gbeta), want):
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * max(1, np.abs(expected).max()))
    np.testing.assert_allclose(mean, x.mean(axis=(0, 2, 3), dtype=np.float64), atol=tolerance)
    np.testing.assert_allclose(var, x.astype(np.float64).var(axis=(0, 2, 3)), rtol=max(tolerance, 2e-6))
    assert y.dtype == gx.dtype == dtype
    assert ggamma.dtype == gbeta.dtype == (np.float64 if dtype == np.float64 else np.float32)
    assert mean.dtype == var.dtype == inv_std.dtype == np.float64
    if layout not in ("strided", "reversed"):
        assert y.strides == gx.strides == x.strides


@pytest.mark.parametrize("slope", [0.0, 0.3])
@pytest.mark.parametrize("other", ["nchw", "channels_last"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_with_a_rectifier_behind_it(layout, other, slope, block_size):
    rng = np.random.RandomState(0)
    x, gy = lay_out(rng.randn(6, 5, 3, 7), layout), lay_out(rng.randn(6, 5, 3, 7), other)
    x[0, 0, 0, 0] += 100  # one channel far off
    gamma, beta = rng.randn(2, 5)
    z, mean, _, inv_std = batch_norm.forward(x, gamma, beta)
    y = batch_norm.forward(x, gamma, beta, slope=slope)[0]
    np.testing.assert_array_equal(y, np.where(z > 0, z, slope * z))
    got = batch_norm.backward(x, gamma, mean, inv_std, gy, y=y, slope=slope)
    want = batch_norm.backward(x, gamma, mean, inv_std, np.where(z > 0, gy, slope * gy))
    for a, b in zip(got, want):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-13)


def test_same_bits_on_one_thread_as_on_all(monkeypatch):
    x, gy = np.random.RandomState(0).randn(2, 64, 32, 16, 50).astype(np.float32)  # 6.5 MB
    gamma, beta = np.ones(32, np.float32), np.zeros(32, np.float32)

    def run():
        y, mean, _, inv_std = batch_norm.forward(x, gamma, beta, slope=0.1)
        gy_behind = gy.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
        return y, *batch_norm.backward(x, gamma, mean, inv_std, gy_behind, y=y, slope=0.1)

    first = run()
    with blas.at_most(1), monkeypatch.context() as patched:  # then BLAS has no more, either
        patched.setattr(blas, "threads", 1)
        second = run()
    for a, b in zip(first, second):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "shape, axis",
    [((7, 4), (0,)), ((5, 3, 4), (0, 2)), ((5, 3, 4), (0,)), ((2, 3, 4, 5), (0, 1, 2)), ((2, 3, 4, 5), (1, 3)),
     ((2, 3, 4, 2, 3), (0, 2, 3, 4)), ((1, 3, 1, 1), (0, 2, 3)), ((6,), (0,)), ((49, 3), (0,))],
)  # fmt: skip
@pytest.mark.parametrize("order", ["C", "F"])
def test_any_axes(shape, axis, order, block_size):
    rng = np.random.RandomState(1)
    x, gy = (np.asarray(rng.randn(*shape), order=order) for _ in range(2))
    keys = tuple(i for i in range(x.ndim) if i not in axis)
    gamma, beta = rng.randn(2, *(shape[i] for i in keys))
    got = batch_norm.forward(x, gamma, beta, 1e-3, axis)
    got += batch_norm.backward(x, gamma, got[1], got[3], gy, axis)
    # The same as (m, C): reduced axes first, then the rest.
    flat_x, flat_gy = (a.transpose(axis + keys).reshape(-1, max(1, gamma.size)) for a in (x, gy))
    y, gx, ggamma, gbeta = by_loop(flat_x, gamma.ravel(), beta.ravel(), 1e-3, flat_gy)
    np.testing.assert_allclose(got[0].transpose(axis + keys).ravel(), y.ravel(), atol=1e-12)
    np.testing.assert_allclose(got[4].transpose(axis + keys).ravel(), gx.ravel(), atol=1e-12)
    np.testing.assert_allclose(got[5].ravel(), ggamma, atol=1e-12)
    np.testing.assert_allclose(got[6].ravel(), gbeta, atol=1e-12)
    assert got[1].shape == got[2].shape == got[3].shape == got[5].shape == gamma.shape


@pytest.mark.parametrize("layout", LAYOUTS)
def test_fixed_statistics(layout):
    rng = np.random.RandomState(0)
    x = lay_out(rng.randn(4, 5, 3, 2), layout)
    gamma, beta, mean = rng.randn(3, 5)
    var = rng.uniform(0.5, 2, 5)
    y = batch_norm.forward_fixed(x, gamma, beta, mean, var, 1e-3)
    for c in range(5):
        want = gamma[c] * (x[:, c] - mean[c]) / np.sqrt(var[c] + 1e-3) + beta[c]
        np.testing.assert_allclose(y[:, c], want, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("layout", ["nchw", "channels_last"])
def test_mean_much_larger_than_std(layout):
    x = np.random.RandomState(0).normal(1e4, 1, (64, 5, 8, 8))
    x[:, 1] += 1e5
    x[:, 2] = np.sort(x[:, 2], axis=0)
    x[0, 3] = 0  # a channel whose first image is far off
    x = lay_out(x.astype(np.float32), layout)
    ones, zeros = np.ones(5, np.float32), np.zeros(5, np.float32)
    y, mean, var, _ = batch_norm.forward(x, ones, zeros, 2e-5)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(var, exact.var(axis=(0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(mean, exact.mean(axis=(0, 2, 3)), rtol=1e-7)
    std = np.sqrt(exact.var(axis=(0, 2, 3), keepdims=True) + 2e-5)
    want = (exact - exact.mean(axis=(0, 2, 3), keepdims=True)) / std
    np.testing.assert_allclose(y, want, atol=2e-6)


@pytest.mark.parametrize("mean", [0, 1.5, 2.5, 30, 1e3])  # in standard deviations; above 2 x is centred first
@pytest.mark.parametrize("scale", [1e-6, 1, 1e12])
@pytest.mark.parametrize("layout", ["nchw", "channels_last"])
def test_float32_is_as_exact_as_its_input(mean, scale, layout):
    rng = np.random.RandomState(0)
    x = lay_out(((rng.randn(16, 2, 4, 4) + mean) * scale).astype(np.float32), layout)
    gy = rng.randn(*x.shape).astype(np.float32)
    gamma, beta = np.array([[1, -2], [0.5, 1]], np.float32)
    eps = 1e-3 * scale**2
    y, got_mean, var, inv_std = batch_norm.forward(x, gamma, beta, eps)
    gx, ggamma, gbeta = batch_norm.backward(x, gamma, got_mean, inv_std, gy)
    want = by_loop(x, gamma, beta, eps, gy)
    np.testing.assert_allclose(y, want[0], atol=4e-6)
    np.testing.assert_allclose(gx * scale, want[1] * scale, atol=4e-6)
    np.testing.assert_allclose(ggamma, want[2], rtol=1e-5, atol=2e-5)
    np.testing.assert_allclose(gbeta, want[3], rtol=1e-5, atol=2e-5)
    np.testing.assert_allclose(var, x.astype(np.float64).var(axis=(0, 2, 3)), rtol=4e-6)


def test_squares_that_overflow_are_computed_again():
    x = (np.random.RandomState(0).randn(16, 2, 4, 4) * 1e15 + 1e20).astype(np.float32)
    y, _, var, _ = batch_norm.forward(x, np.ones(2, np.float32), np.zeros(2, np.float32))
    assert np.isfinite(var).all() and abs(y.std() - 1) < 1e-3


def test_a_constant_channel_gives_beta():
    x = np.full((4, 3, 2, 2), 12345.678, np.float32)
    y, _, var, inv_std = batch_norm.forward(x, np.ones(3, np.float32), np.full(3, 0.5, np.float32), 2e-5)
    assert (var == 0).all()
    np.testing.assert_allclose(inv_std, 2e-5**-0.5, rtol=1e-6)
    np.testing.assert_allclose(y, 0.5, atol=1e-4)


def test_formulas_for_other_array_libraries_agree():
    rng = np.random.RandomState(0)
    x, gy = rng.randn(2, 4, 3, 2, 5)
    gamma, beta = rng.randn(2, 3)
    rows = batch_norm.forward(x, gamma, beta, 1e-3)
    plain = batch_norm._plain_forward(x, gamma, beta, 1e-3, (0, 2, 3))
    for a, b in zip(rows, plain):
        np.testing.assert_allclose(a, b, atol=1e-12)
    rows = batch_norm.backward(x, gamma, rows[1], rows[3], gy)
    plain = batch_norm._plain_backward(x, gamma, plain[1], plain[3], gy, (0, 2, 3))
    for a, b in zip(rows, plain):
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_broadcast_views():
    rng = np.random.RandomState(0)
    x = np.broadcast_to(rng.randn(4, 3, 1, 5), (4, 3, 2, 5))
    gy = np.broadcast_to(rng.randn(3, 1, 1), x.shape)
    gamma, beta = rng.randn(2, 3)
    y, mean, _, inv_std = batch_norm.forward(x, gamma, beta, 1e-3)
    got = (y, *batch_norm.backward(x, gamma, mean, inv_std, gy))
    for a, b in zip(got, by_loop(x, gamma, beta, 1e-3, gy)):
        np.testing.assert_allclose(a, b, atol=1e-13)


def test_inputs_are_not_changed():
    x, gy = np.random.RandomState(0).randn(2, 4, 3, 2, 2)
    gamma, beta = np.ones(3), np.zeros(3)
    copies = [a.copy() for a in (x, gy, gamma, beta)]
    _, mean, _, inv_std = batch_norm.forward(x, gamma, beta)
    batch_norm.backward(x, gamma, mean, inv_std, gy)
    for a, b in zip((x, gy, gamma, beta), copies):
        np.testing.assert_array_equal(a, b)
