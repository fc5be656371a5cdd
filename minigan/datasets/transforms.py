"""Images changed a little at random, and brought to a common scale: for `TransformDataset`.

Images are arrays (C, H, W); the shape and the dtype stay. Random changes draw from `example_random()`, so that
`numpy.random.seed` fixes them with every iterator and a resumed training sees the same ones, or from a
`numpy.random.RandomState` given as `random`, whose state is in no snapshot.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy

from minigan.dataset.randomness import example_random
from minigan.functions.spatial import spatial_transformer_grid, spatial_transformer_sampler


def random_crop(image: numpy.ndarray, padding: int = 4, random: Any = None) -> numpy.ndarray:
    """Add `padding` zeros on each side, then cut the old size out at a random place."""
    _, height, width = image.shape
    top, left = (random or example_random()).randint(0, 2 * padding + 1, 2)
    padded = numpy.pad(image, ((0, 0), (padding, padding), (padding, padding)))
    return padded[:, top : top + height, left : left + width]


def random_flip(image: numpy.ndarray, horizontal: bool = True, vertical: bool = False,
                random: Any = None) -> numpy.ndarray:  # fmt: skip
    """Mirror left and right, and top and bottom, each with probability 1/2 if asked for."""
    drawn = (random or example_random()).random_sample(2) < 0.5
    return flip(image, horizontal and drawn[0], vertical and drawn[1])


def flip(image: numpy.ndarray, horizontal: Any = True, vertical: Any = False) -> numpy.ndarray:
    """Mirror left and right, top and bottom."""
    return image[:, :: -1 if vertical else 1, :: -1 if horizontal else 1]


def random_rotation(image: numpy.ndarray, degrees: float, random: Any = None) -> numpy.ndarray:
    """Turn about the centre by an angle between -`degrees` and `degrees`."""
    return rotate(image, (random or example_random()).uniform(-degrees, degrees))


def rotate(image: numpy.ndarray, degrees: float) -> numpy.ndarray:
    """Turn counter-clockwise about the centre; between pixels interpolated, outside of the image 0."""
    height, width = image.shape[1:]
    sin, cos = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    # The grid counts from -1 to 1 along each side, whatever its length.
    ratio = (height - 1) / max(width - 1, 1)
    theta = numpy.array([[[cos, -sin * ratio, 0], [sin / ratio if ratio else 0, cos, 0]]], numpy.float64)
    grid = spatial_transformer_grid(theta, (height, width))
    turned = spatial_transformer_sampler(image[None].astype(numpy.float64), grid).array[0]
    return turned.astype(image.dtype) if image.dtype.kind == "f" else numpy.rint(turned).astype(image.dtype)


class Augment:
    """Applies functions of an image one after the other: to an image, or to the image of an (image, label, ...)."""

    def __init__(self, *changes: Callable[[numpy.ndarray], numpy.ndarray]) -> None:
        self._changes = changes

    def __call__(self, example: Any) -> Any:
        """Return the changed example; labels stay."""
        image, *rest = example if isinstance(example, tuple) else (example,)
        for change in self._changes:
            image = change(image)
        return (image, *rest) if isinstance(example, tuple) else image


class Scale:
    """`(x - shift) / scale` in float32, with its inverse; for examples with labels, within `Augment`.

    `Scale(127.5, 127.5)` brings bytes to [-1, 1], `Scale(0, 255)` to [0, 1]; `Scale.standardise(images)` finds mean and
    deviation.

    Args:
        shift, scale: Numbers, or arrays (C, 1, 1) with one for each channel.
    """

    def __init__(self, shift: Any = 127.5, scale: Any = 127.5) -> None:
        self.shift, self.scale = numpy.asarray(shift, numpy.float32), numpy.asarray(scale, numpy.float32)
        if not (numpy.isfinite(self.shift).all() and numpy.isfinite(self.scale).all() and self.scale.all()):
            raise ValueError(f"Scale: shift is {shift} and scale {scale}; wanted finite numbers, and no scale of 0")

    @classmethod
    def standardise(cls, images: numpy.ndarray) -> Scale:
        """Return the `Scale` that gives `images` (N, C, H, W) mean 0 and variance 1 in each channel."""
        axes = (0, 2, 3)
        deviation = images.std(axes, numpy.float64)[:, None, None]
        return cls(images.mean(axes, numpy.float64)[:, None, None], numpy.where(deviation == 0, 1, deviation))

    def __call__(self, image: numpy.ndarray) -> numpy.ndarray:
        """Return the scaled image or images."""
        return (numpy.asarray(image, numpy.float32) - self.shift) / self.scale

    def inverse(self, image: numpy.ndarray, dtype: Any = numpy.float32) -> numpy.ndarray:
        """Return what was scaled; for integers, rounded and cut to their range."""
        old, dtype = numpy.asarray(image, numpy.float32) * self.scale + self.shift, numpy.dtype(dtype)
        if dtype.kind == "f":
            return old.astype(dtype)
        limits = numpy.iinfo(dtype)
        return numpy.rint(old).clip(limits.min, limits.max).astype(dtype)
