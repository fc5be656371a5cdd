"""Gated recurrent units: the equations, the state, the order in which weights are drawn."""

import numpy as np
import pytest

from minigan.core import Variable
from minigan.links.rnn import GRU, StatefulGRU, StatelessGRU
from minigan.serializers.npz import load_npz, save_npz

RNG = np.random.RandomState(0)
X, H = RNG.randn(2, 3).astype("f"), RNG.randn(2, 4).astype("f")


def step(link, h, x):
    def linear(name, v):
        return v @ getattr(link, name).W.array.T + getattr(link, name).b.array

    def sigmoid(v):
        return 1 / (1 + np.exp(-v))

    r = sigmoid(linear("W_r", x) + linear("U_r", h))
    z = sigmoid(linear("W_z", x) + linear("U_z", h))
    return (1 - z) * h + z * np.tanh(linear("W", x) + linear("U", r * h))


def test_the_equations():
    link = StatelessGRU(3, 4, bias_init=0.5)
    np.testing.assert_allclose(link(H, X).array, step(link, H, X), rtol=1e-5, atol=1e-6)
    assert link.U.b.array.tolist() == [0.5] * 4


def test_weights_are_drawn_as_chainer_draws_them():
    # np.random.seed(0); [l.W.array[0, 0] for l in (g.W_r, g.U_r, g.W_z, g.U_z, g.W, g.U)], g = L.StatelessGRU(3, 4)
    np.random.seed(0)
    g = StatelessGRU(3, 4)
    firsts = [link.W.array[0, 0] for link in (g.W_r, g.U_r, g.W_z, g.U_z, g.W, g.U)]
    np.testing.assert_allclose(
        firsts, [1.0184761, 0.38051885, 0.8849505, -0.5242765, 0.03840373, -0.4536492], rtol=1e-6
    )


def test_saved_and_loaded(tmp_path):
    link, other = StatelessGRU(3, 4), StatelessGRU(None, 4)
    save_npz(tmp_path / "gru.npz", link)
    load_npz(tmp_path / "gru.npz", other)
    np.testing.assert_array_equal(other(H, X).array, link(H, X).array)


def test_the_state():
    link = GRU(3, 4)
    first = link(X)
    assert link.h is first
    np.testing.assert_allclose(link(X).array, step(link, first.array, X), rtol=1e-5, atol=1e-6)
    link.reset_state()
    np.testing.assert_array_equal(link(X).array, first.array)
    link.set_state(Variable(H))
    np.testing.assert_allclose(link(X).array, step(link, H, X), rtol=1e-5, atol=1e-6)
    # from nothing, with biases 0, is from zeros
    np.testing.assert_allclose(first.array, step(link, np.zeros((2, 4), "f"), X), rtol=1e-5, atol=1e-6)


def test_errors():
    with pytest.raises(ValueError, match="GRU: got 2 arguments; wanted x alone"):
        GRU(3, 4)(H, X)
    with pytest.raises(TypeError, match="wanted a Variable"):
        StatefulGRU(3, 4).set_state(H)
