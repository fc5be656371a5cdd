"""Links of the chapter activation: initial values, lazy sizes, save and load."""

import pickle

import numpy as np
import pytest

from minigan.configuration import using_config
from minigan.functions.activation import prelu, swish
from minigan.links.activation import Maxout, PReLU, SimplifiedDropconnect, Swish
from minigan.serializers.npz import load_npz, save_npz
from minigan.utils.type_check import InvalidType

X = np.random.RandomState(0).randn(4, 6).astype("f")

LINKS = [
    (lambda: PReLU((6,)), lambda: PReLU((6,), init=0.5), {"/W": (6,)}, (4, 6)),
    (lambda: PReLU(), lambda: PReLU(init=0.5), {"/W": ()}, (4, 6)),
    (lambda: Swish((6,)), lambda: Swish(None, 2.0), {"/beta": (6,)}, (4, 6)),
    (lambda: Maxout(6, 5, 2), lambda: Maxout(None, 5, 2), {"/linear/W": (10, 6), "/linear/b": (10,)}, (4, 5)),
    (lambda: SimplifiedDropconnect(6, 5, ratio=0), lambda: SimplifiedDropconnect(None, 5, ratio=0),
     {"/W": (5, 6), "/b": (5,)}, (4, 5)),
]  # fmt: skip


@pytest.mark.parametrize(("make", "make_other", "shapes", "y_shape"), LINKS)
def test_shapes_saved_and_loaded(tmp_path, make, make_other, shapes, y_shape):
    link, other = make(), make_other()
    y = link(X)
    assert y.shape == y_shape and y.dtype == np.float32
    assert {path: p.shape for path, p in link.namedparams()} == shapes
    save_npz(tmp_path / "link.npz", link)
    load_npz(tmp_path / "link.npz", other)
    np.testing.assert_array_equal(other(X).array, y.array)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(link))(X).array, y.array)


def test_initial_slopes():
    np.testing.assert_array_equal(PReLU((3,)).W.array, [0.25] * 3)
    np.testing.assert_array_equal(PReLU((6,))(X).array, prelu(X, np.full(6, 0.25, "f")).array)
    link = Swish(None)
    assert not link.beta.is_initialized
    np.testing.assert_array_equal(link(X).array, swish(X, np.ones(6, "f")).array)


@pytest.mark.parametrize("bias", ["array", None])
def test_maxout_takes_weights_by_output_and_piece(bias):
    rng = np.random.RandomState(1)
    W, b = rng.randn(5, 2, 6), rng.randn(5, 2) if bias else None
    link = Maxout(6, 5, 2, W, b)
    expected = (np.einsum("ni,opi->nop", X, W) + (0 if b is None else b)).max(axis=2)
    np.testing.assert_allclose(link(X).array, expected, rtol=1e-5, atol=1e-5)
    assert (link.linear.b is None) == (b is None)


def test_maxout_lets_an_initializer_see_that_shape():
    seen = []

    def fill(array):
        seen.append(array.shape)
        array[...] = 1

    link = Maxout(6, 5, 2, fill, fill)
    assert sorted(seen) == [(5, 2), (5, 2, 6)]
    assert (link.linear.W.array == 1).all() and (link.linear.b.array == 1).all()
    with using_config("dtype", np.float64):
        assert Maxout(6, 5, 2, 0.5).linear.W.dtype == np.float64
    with pytest.raises(InvalidType):
        link(X[:, :5])


def test_dropconnect_drops_while_told_to():
    link = SimplifiedDropconnect(6, 5, initialW=np.ones((5, 6)), nobias=True)
    whole = X.sum(axis=1, keepdims=True) * np.ones(5)
    np.testing.assert_allclose(link(X, train=False).array, whole, rtol=1e-5)
    mask = np.zeros((4, 5, 6), bool)
    mask[..., 0] = True
    np.testing.assert_allclose(link(X, mask=mask).array, 2 * X[:, :1] * np.ones(5), rtol=1e-6)
    assert not np.allclose(link(X).array, whole) and link.b is None
