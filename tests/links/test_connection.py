"""Links of the chapter connection: shapes, lazy sizes, initial values, save and load, errors."""

import numpy as np
import pytest

from minigan.functions.connection import convolution_2d, deconvolution_2d, linear
from minigan.links.connection import Convolution2D, Deconvolution2D, Linear
from minigan.serializers.npz import load_npz, save_npz
from minigan.utils.type_check import InvalidType

# link, with its input size left out, x, y, W
LINKS = [
    (lambda: Linear(12, 4), lambda: Linear(4), (2, 3, 2, 2), (2, 4), (4, 12)),
    (lambda: Convolution2D(3, 4, 3, 2, 1), lambda: Convolution2D(4, 3, stride=2, pad=1), (2, 3, 7, 7), (2, 4, 4, 4),
     (4, 3, 3, 3)),
    (lambda: Convolution2D(4, 6, (3, 2), groups=2, dilate=2),
     lambda: Convolution2D(None, 6, (3, 2), groups=2, dilate=2),
     (2, 4, 7, 7), (2, 6, 3, 5), (6, 2, 3, 2)),
    (lambda: Deconvolution2D(3, 4, 4, 2, 1), lambda: Deconvolution2D(4, 4, stride=2, pad=1), (2, 3, 7, 7),
     (2, 4, 14, 14), (3, 4, 4, 4)),
    (lambda: Deconvolution2D(4, 6, 3, 2, 1, outsize=14, groups=2),
     lambda: Deconvolution2D(None, 6, 3, 2, 1, outsize=(14, 14), groups=2), (2, 4, 7, 7), (2, 6, 14, 14), (4, 3, 3, 3)),
]  # fmt: skip


@pytest.mark.parametrize("make, make_lazy, x_shape, y_shape, W_shape", LINKS)
def test_shapes_and_lazy_sizes(make, make_lazy, x_shape, y_shape, W_shape):
    x = np.random.randn(*x_shape).astype(np.float32)
    link, lazy = make(), make_lazy()
    assert not lazy.W.is_initialized and "None" in str(lazy)
    assert lazy(x).shape == link(x).shape == y_shape
    assert lazy.W.shape == link.W.shape == W_shape
    assert str(lazy).partition(", out")[0] == str(link).partition(", out")[0]
    assert [path for path, _ in sorted(link.namedparams())] == ["/W", "/b"]
    assert not link.b.array.any() and link.W.dtype == np.float32


@pytest.mark.parametrize("make, make_lazy, x_shape, y_shape, W_shape", LINKS)
def test_saved_and_loaded(tmp_path, make, make_lazy, x_shape, y_shape, W_shape):
    x = np.random.randn(*x_shape).astype(np.float32)
    link, lazy = make(), make_lazy()
    link.b.array[...] = 3
    save_npz(tmp_path / "link.npz", link)
    load_npz(tmp_path / "link.npz", lazy)
    assert np.array_equal(lazy(x).array, link(x).array)


def test_a_link_is_its_function():
    x = np.random.randn(2, 4, 5, 5).astype(np.float32)
    link = Convolution2D(4, 6, 3, 2, (1, 0), initial_bias=0.5, dilate=2, groups=2)
    assert (link.b.array == 0.5).all()
    expected = convolution_2d(x, link.W, link.b, 2, (1, 0), dilate=2, groups=2)
    assert np.array_equal(link(x).array, expected.array)
    link = Deconvolution2D(4, 6, 3, 2, (1, 0), True, (10, 12), dilate=1, groups=2)
    assert link.b is None and [path for path, _ in link.namedparams()] == ["/W"]
    expected = deconvolution_2d(x, link.W, None, 2, (1, 0), (10, 12), groups=2)
    assert np.array_equal(link(x).array, expected.array)
    link = Linear(5, 3, initialW=np.arange(15).reshape(3, 5), initial_bias=np.array([1, 2, 3]))
    assert np.array_equal(link(x, n_batch_axes=3).array, linear(x, link.W, link.b, 3).array)
    assert link(x, n_batch_axes=3).shape == (2, 4, 5, 3)
    assert link.b.array.tolist() == [1, 2, 3]


@pytest.mark.parametrize("make, expected", [
    # np.random.seed(0); L.<link>.W.array.ravel()[:4] in Chainer 7.8.1
    (lambda: Linear(4, 6), [0.8820262, 0.2000786, 0.489369, 1.1204466]),
    (lambda: Convolution2D(4, 6, 3, groups=2), [0.41579112, 0.09431796, 0.23069076, 0.5281836]),
    (lambda: Deconvolution2D(4, 6, 3, groups=2), [0.33949202, 0.07701029, 0.18835822, 0.4312601]),
])  # fmt: skip
def test_initial_weights_of_chainer(make, expected):
    np.random.seed(0)
    np.testing.assert_allclose(make().W.array.ravel()[:4], expected, rtol=1e-6)


@pytest.mark.parametrize("make, error, sentence", [
    (lambda: Linear(2, 4)(np.ones((2, 3, 1), "f")), InvalidType, "Linear: in_size is 2 but x has 3 values per sample"),
    (lambda: Linear(2, 0), ValueError, "Linear: out_size is 0; wanted an integer of at least 1"),
    (lambda: Linear(None), ValueError, "Linear: out_size is None"),
    (lambda: Convolution2D(3, 4, 3)(np.ones((2, 4, 8, 8), "f")), InvalidType,
     r"Convolution2D: in_channels is 3 but x has 4 channels \(shape \(2, 4, 8, 8\)\)"),
    (lambda: Deconvolution2D(4, 4, 3, groups=2)(np.ones((2, 3, 8, 8), "f")), InvalidType,
     "Deconvolution2D: in_channels is 4 but x has 3 channels"),
    (lambda: Convolution2D(3, 4, 3)(np.ones((2, 3), "f")), InvalidType, r"wanted 4 axes \(N, C, H, W\)"),
    (lambda: Convolution2D(4, 5, 3, groups=2), ValueError, "out_channels is 5; wanted a multiple of groups=2"),
    (lambda: Deconvolution2D(None, 4, 3, groups=2)(np.ones((2, 3, 8, 8), "f")), ValueError,
     "in_channels is 3; wanted a multiple of groups=2"),
])  # fmt: skip
def test_errors(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()


@pytest.mark.parametrize("ksize", ["3", (3, 3, 3), 0, 1.5])
def test_wrong_ksize_is_named(ksize):
    with pytest.raises(ValueError, match="Convolution2D: ksize is .*; wanted"):
        Convolution2D(1, 2, ksize)
