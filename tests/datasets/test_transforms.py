"""Transforms: seeded, of unchanged shape, with their inverses."""

import numpy as np
import pytest

from minigan.datasets import TransformDataset, TupleDataset, get_mnist
from minigan.datasets.transforms import (
    Augment,
    Scale,
    flip,
    random_crop,
    random_flip,
    random_rotation,
    rotate,
)


@pytest.fixture
def image(rng):
    return rng.rand(3, 9, 12).astype(np.float32)


@pytest.mark.parametrize(
    "change",
    [random_crop, random_flip, lambda x, random=np.random: random_flip(x, False, True, random=random),
     lambda x, random=np.random: random_rotation(x, 30, random=random)],
)  # fmt: skip
def test_random_changes_are_seeded_and_keep_the_shape(image, change):
    np.random.seed(4)
    drawn = [change(image) for _ in range(20)]
    assert all(x.shape == image.shape and x.dtype == image.dtype for x in drawn)
    assert len({x.tobytes() for x in drawn}) > 1
    np.random.seed(4)
    again, state = [change(image) for _ in range(20)], np.random.RandomState(4)
    np.testing.assert_array_equal(drawn, again)
    np.testing.assert_array_equal(drawn, [change(image, random=state) for _ in range(20)])


@pytest.mark.parametrize("axes", [(True, False), (False, True), (True, True), (False, False)])
def test_flips_are_involutions(image, axes):
    flipped = flip(image, *axes)
    np.testing.assert_array_equal(flip(flipped, *axes), image)
    np.testing.assert_array_equal(flipped, np.flip(image, [i + 1 for i, a in enumerate(axes[::-1]) if a]))


def test_random_flip_flips_half(image):
    flipped = sum(not np.array_equal(random_flip(image), image) for _ in range(400))
    assert 160 < flipped < 240


def test_crops_are_parts(image):
    for _ in range(20):
        y = random_crop(image, 2)
        places = [(i, j) for i in range(5) for j in range(5)]
        padded = np.pad(image, ((0, 0), (2, 2), (2, 2)))
        assert any(np.array_equal(y, padded[:, i : i + 9, j : j + 12]) for i, j in places)


def test_rotation(image):
    square = image[:, :, :9]
    for quarter in range(-4, 5):
        np.testing.assert_allclose(rotate(square, 90 * quarter), np.rot90(square, quarter, (1, 2)), atol=1e-5)
    np.testing.assert_allclose(rotate(image, 180), image[:, ::-1, ::-1], atol=1e-5)
    wide = np.zeros((1, 21, 41))
    wide[0, 10, 10:31] = 1  # a bar through the centre, not distorted though the image is no square
    turned = rotate(wide, 90)
    np.testing.assert_allclose(turned[0, :, 20], 1, atol=1e-6)
    assert abs(turned.sum() - 21) < 1e-6
    bytes_ = np.arange(49, dtype=np.uint8).reshape(1, 7, 7)
    np.testing.assert_array_equal(rotate(bytes_, 90), np.rot90(bytes_, 1, (1, 2)))


def test_labels_are_kept(image):
    data = TransformDataset(TupleDataset([image] * 3, [5, 6, 7]), Augment(random_crop, random_flip))
    assert [label for _, label in data] == [5, 6, 7] and data[0][0].shape == image.shape
    assert Augment(flip, flip)(image).tobytes() == image.tobytes()
    x, label = Augment(flip, Scale(0, 2))((image, 5))
    np.testing.assert_array_equal(x, flip(image) / 2)
    assert label == 5


def test_scales_and_their_inverses(rng):
    images = rng.randint(0, 256, (20, 3, 5, 6)).astype(np.uint8)
    for scale, low, high in ((Scale(), -1, 1), (Scale(0, 255), 0, 1)):
        scaled = scale(images)
        assert scaled.dtype == np.float32 and (scaled.min(), scaled.max()) == (low, high)
        np.testing.assert_array_equal(scale.inverse(scaled, np.uint8), images)
    assert Scale().inverse(np.array([-3.0, 3.0]), np.uint8).tolist() == [0, 255]
    images[:, 2] = 7
    scale = Scale.standardise(images)
    scaled = scale(images)
    np.testing.assert_allclose(scaled.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.var((0, 2, 3)), [1, 1, 0], atol=1e-5)
    np.testing.assert_array_equal(scale.inverse(scaled, np.uint8), images)
    for wrong in ((0, 0), (np.nan, 1), (0, np.inf)):
        with pytest.raises(ValueError, match="wanted finite numbers"):
            Scale(*wrong)


def test_digits_are_augmented(monkeypatch):
    monkeypatch.setenv("MINIGAN_OFFLINE", "1")
    train, _ = get_mnist(ndim=3)
    data = TransformDataset(train, Augment(lambda x: random_rotation(x, 20), random_crop))
    x, t = data[0]
    assert x.shape == (1, 28, 28) and x.dtype == np.float32 and t == train[0][1] and 0 <= x.min() <= x.max() <= 1
