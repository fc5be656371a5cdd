"""Stacked MNIST: three digits as the red, green and blue of one image, for a thousand modes whose number is known.

A GAN that forgets some of them is found out by counting (Metz et al. 2017; `metrics.mode_coverage`).
"""

from __future__ import annotations

import os

import numpy

from minigan.dataset.dataset_mixin import DatasetMixin
from minigan.datasets.mnist import load_mnist
from minigan.datasets.tuple_dataset import TupleDataset

N = 128_000  #: images in PacGAN's set


class StackedDigits(DatasetMixin):
    """n images, float32 (3, 28, 28) in [-1, 1], whose channels are digits drawn with `seed`, each with its mode.

    The mode of the digits a, b, c is 100 a + 10 b + c, int32. Images are made when asked for, of the bytes
    `digits` (M, 28, 28), whose classes are (M,): the set takes 16 bytes for each image.
    """

    def __init__(self, digits: numpy.ndarray, classes: numpy.ndarray, n: int = N, seed: int = 0) -> None:
        self.digits = digits
        self.picks = numpy.random.RandomState(seed).randint(len(digits), size=(n, 3), dtype=numpy.int32)
        self.modes = classes[self.picks].astype(numpy.int32) @ numpy.array([100, 10, 1], numpy.int32)

    def __len__(self) -> int:
        return len(self.picks)

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the array of all images."""
        return (len(self), 3, *self.digits.shape[1:])

    def get_example(self, i: int) -> numpy.ndarray:
        """Return the i-th image."""
        return self.digits[self.picks[i]].astype(numpy.float32) / 127.5 - 1


def get_stacked_mnist(
    n: int = N, seed: int = 0, directory: str | os.PathLike[str] | None = None, train: bool = True
) -> TupleDataset:
    """Return n images of three random digits, each with its mode, from MNIST's training or test part.

    It is found as `load_mnist` finds it.

    Raises:
        DataError: there is no MNIST, or it is damaged.
    """
    data = load_mnist("mnist", directory)
    images = StackedDigits(*(data[:2] if train else data[2:4]), n, seed)
    return TupleDataset(images, images.modes)
