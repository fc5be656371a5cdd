"""Stacked MNIST: what is in an image and its mode, and how little memory it takes."""

import numpy

from minigan.dataset.convert import concat_examples
from minigan.datasets import StackedDigits, get_mnist, get_stacked_mnist
from minigan.metrics import stacked_modes


def digits(m=20):
    rng = numpy.random.RandomState(0)
    return rng.randint(0, 256, (m, 28, 28)).astype(numpy.uint8), (numpy.arange(m) % 10).astype(numpy.uint8)


def test_channels_are_three_digits_and_the_mode_names_them():
    x, y = digits()
    stacked = StackedDigits(x, y, n=50, seed=3)
    assert len(stacked) == 50 and stacked.shape == (50, 3, 28, 28) and stacked.modes.dtype == numpy.int32
    numpy.testing.assert_array_equal(stacked.modes, stacked_modes(y[stacked.picks]))
    for i in (0, 17, 49):
        assert stacked[i].dtype == numpy.float32
        pixels = numpy.rint((stacked[i] + 1) * 127.5)
        found = [numpy.flatnonzero((x == channel).all((1, 2)))[0] for channel in pixels]
        assert stacked.modes[i] == int("".join(str(y[k]) for k in found))


def test_the_seed_decides():
    a, b, c = (StackedDigits(*digits(), n=30, seed=seed) for seed in (1, 1, 2))
    assert (a.picks == b.picks).all() and not (a.picks == c.picks).all()


def test_a_batch_is_made_when_it_is_asked_for():
    """The 300 MB of bytes, or 1.2 GB of floats, of PacGAN's 128,000 images are never there together."""
    x, y = digits()
    stacked = StackedDigits(x, y)
    assert len(stacked) == 128_000
    assert stacked.picks.nbytes + stacked.modes.nbytes == 16 * 128_000
    assert concat_examples(stacked[5:9]).shape == (4, 3, 28, 28)


def test_found_as_mnist_is(monkeypatch):
    monkeypatch.setenv("MINIGAN_DATA", "builtin")
    monkeypatch.setenv("MINIGAN_OFFLINE", "1")
    train, test = (get_stacked_mnist(n=2000, seed=1, train=part) for part in (True, False))
    image, mode = train[7]
    assert image.shape == (3, 28, 28) and image.min() == -1 and image.max() == 1 and 0 <= mode < 1000
    reals = get_mnist(withlabel=False, ndim=2, scale=2.0)
    assert all((abs(real - (data[3][0][0] + 1)).max((1, 2)) < 1e-6).any() for real, data in zip(reals, (train, test)))
    assert 1500 > len(numpy.unique([mode for _, mode in train[:]])) > 800
