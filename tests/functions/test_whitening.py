import numpy as np
import pytest

from minigan.configuration import using_config
from minigan.core import Variable
from minigan.functions.whitening import (
    decorrelated_batch_normalization,
    fixed_decorrelated_batch_normalization,
    local_response_normalization,
    normalize,
)
from minigan.gradient_check import check_backward, check_double_backward
from minigan.utils.type_check import InvalidType


def test_equal_eigenvalues_have_derivatives_too(rng):
    """The eigenvectors of a multiple of 1 have no derivative, but its inverse root has."""
    corners = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])

    def f(x):
        return decorrelated_batch_normalization(x, groups=1, eps=0.1)

    np.testing.assert_allclose(f(corners).array, corners / np.sqrt(1.1), rtol=1e-12)
    gy, ggx = rng.standard_normal((2, 4, 2))
    check_backward(f, corners, gy, atol=1e-8, rtol=1e-7)
    check_double_backward(f, corners, gy, ggx, atol=1e-7, rtol=1e-6)


def test_running_statistics_are_chainers():
    # Chainer 7.8.1: F.decorrelated_batch_normalization(x, groups=2, eps=.1, running_mean=mean,
    # running_projection=projection, decay=.8)
    x = (np.arange(24, dtype="f").reshape(3, 4, 2) ** 2 % 7) / 4
    mean, projection = np.zeros((2, 2), "f"), np.tile(np.eye(2, dtype="f"), (2, 1, 1))
    y = decorrelated_batch_normalization(
        x, groups=2, eps=0.1, running_mean=mean, running_projection=Variable(projection), decay=0.8
    )
    want = [[-0.9426389, -0.5534436], [0.7379246, -0.4921485], [-0.022902, 0.9385401], [-0.0988234, -0.4169405]]
    np.testing.assert_allclose(y.array[0], want, atol=1e-5)
    np.testing.assert_allclose(mean, [[0.1, 0.1333333], [0.1, 0.0583333]], rtol=1e-5)
    np.testing.assert_allclose(projection[1], [[1.3274499, 0.1319154], [0.1319154, 1.3692231]], rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_gradient_of_the_length_of_zero_counts_as_zero(dtype):
    x = Variable(np.array([[0, 0, 0], [3, 0, 4]], dtype))
    y = normalize(x, eps=0.5)
    np.testing.assert_allclose(y.array, np.array([[0, 0, 0], [3, 0, 4]]) / [[0.5], [5.5]], rtol=1e-3)
    y.grad = np.ones_like(x.array)
    y.backward()
    np.testing.assert_array_equal(x.grad[0], [2, 2, 2])


def test_float16_does_not_overflow_in_squares():
    # Chainer 7.8.1 gives zeros.
    np.testing.assert_allclose(normalize(np.full((1, 4), 300, np.float16)).array, 0.5, rtol=1e-3)


def test_empty_and_0d():
    assert normalize(np.zeros((0, 2), "f")).shape == (0, 2)
    assert normalize(np.zeros((2, 0), "f")).shape == (2, 0)
    np.testing.assert_allclose(normalize(np.array(-3.0), axis=()).array, -3 / 3.00001)


def test_windows_wider_than_the_channels():
    x = np.ones((1, 2, 1), np.float32)
    for n, neighbours in ((0, 1), (1, 1), (2, 2), (3, 2), (99, 2)):
        y = local_response_normalization(x, n=n, k=1, alpha=1, beta=1).array
        np.testing.assert_allclose(y, 1 / (1 + neighbours), rtol=1e-6)


def test_errors_are_sentences():
    x = np.zeros((2, 4), np.float32)
    mean, projection = np.zeros((2, 2), "f"), np.zeros((2, 2, 2), "f")
    with pytest.raises(InvalidType, match="C a multiple of groups=3"):
        decorrelated_batch_normalization(x, groups=3)
    with pytest.raises(TypeError, match="positional"):
        decorrelated_batch_normalization(x, 2)
    with pytest.raises(InvalidType, match=r"mean is \(1, 2\), float32"):
        fixed_decorrelated_batch_normalization(x, mean[:1], projection, groups=2)
    with pytest.raises(InvalidType, match="projection is .* float64"):
        fixed_decorrelated_batch_normalization(x, mean, projection.astype("d"), groups=2)
    with using_config("type_check", False):
        y = fixed_decorrelated_batch_normalization(x, mean, projection.astype("d"), groups=2)
    assert y.dtype == np.float32
    for function in (decorrelated_batch_normalization, local_response_normalization, normalize):
        with pytest.raises(InvalidType, match="x is int64; wanted floating point"):
            function(x.astype(np.int64))
    with pytest.raises(InvalidType, match="wanted .N, C, ..."):
        local_response_normalization(x[0])


def test_the_gradient_keeps_its_digits_with_fewer_samples_than_channels(rng):
    """Four eigenvalues of the covariance are eps; 1 / eps^2 in the gradient would eat all digits of float32."""
    x, gy = rng.uniform(-1, 1, (2, 5, 8))
    eps = 2e-5

    def gradient(dtype):
        v = Variable(x.astype(dtype))
        y = decorrelated_batch_normalization(v, groups=1, eps=eps)
        y.grad = gy.astype(dtype)
        y.backward()
        return v.grad

    exact = gradient(np.float64)
    rounding = np.finfo(np.float32).eps / eps  # of the covariance, as part of the small eigenvalues
    assert abs(gradient(np.float32) - exact).max() < rounding * abs(exact).max()
