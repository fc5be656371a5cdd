"""The eyes of the metrics: a small classifier that minigan trains itself, so that nothing is downloaded.

The Frechet distance and its kin compare features, what a net has learnt to see, rather than pixels. Elsewhere that net
is Inception; for digits and clothes a LeNet is nearer to the matter (it knows what a 7 is) and takes seconds on a CPU.
A number made with one net says nothing beside one made with another, so a file of weights says which it is: data, seed,
accuracy, layer and dimension stand in it. Of this package only this chapter knows links; the others are NumPy.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy

import minigan.functions as F
import minigan.links as L
from minigan import random
from minigan.configuration import no_backprop_mode, using_config
from minigan.core import Variable
from minigan.dataset.errors import DataError
from minigan.link import Chain
from minigan.optimizers import Adam
from minigan.serializers.npz import FileError, load_npz, serialize
from minigan.utils.files import atomic_write
from minigan.utils.npz_file import Archive
from minigan.utils.strict_json import parse_json

WEIGHTS = Path(__file__).parent / "weights"
SHIPPED = {"mnist": WEIGHTS / "mnist.npz", "fashion": WEIGHTS / "fashion.npz"}
LAYER, DIMENSION, CLASSES = "fc3, after ReLU", 128, 10
BATCH = 500  # images seen at a time
ALPHA = 2e-3  # Adam's step size at the start
_FACTS = {"data", "seed", "epochs", "accuracy", "stored_accuracy", "layer", "dimension"}


class LeNet(Chain):
    """1 x 28 x 28 -> 16 x 12 x 12 -> 32 x 4 x 4 -> 128 -> 10: two 5x5 convolutions, each with ReLU and 2x2 max pooling.

    After LeCun et al. 1998, with ReLU instead of the sigmoid and dropout before the last layer. Images (N, 1, 28, 28)
    in [-1, 1] give logits (N, 10).
    """

    def __init__(self) -> None:
        super().__init__()
        with self.init_scope():
            self.c1 = L.Convolution2D(1, 16, 5)
            self.c2 = L.Convolution2D(16, 32, 5)
            self.fc3 = L.Linear(512, DIMENSION)
            self.fc4 = L.Linear(DIMENSION, CLASSES)

    def features(self, x: Any) -> Variable:
        """What the last hidden layer says, (N, 128), never negative."""
        h = F.max_pooling_2d(self.c1(x, activation="relu"), 2)
        h = F.max_pooling_2d(self.c2(h, activation="relu"), 2)
        return self.fc3(h, activation="relu")

    def forward(self, x: Any) -> Variable:
        return self.fc4(F.dropout(self.features(x)))


def as_input(pixels: numpy.ndarray) -> numpy.ndarray:
    """Turn bytes (N, 28, 28) into what the net was trained on, float32 (N, 1, 28, 28) in [-1, 1].

    Raises:
        DataError: the images have another shape.
    """
    if pixels.dtype != numpy.uint8 or pixels.shape[1:] != (28, 28):
        raise DataError(f"the classifier sees images of bytes, (N, 28, 28), but these are {pixels.dtype} "
                        f"{pixels.shape}; scale them, or give features of your own")  # fmt: skip
    return (pixels[:, None].astype(numpy.float32) / 127.5) - 1


def see(net: LeNet, pixels: numpy.ndarray, each: Callable[[Iterable], Iterable] = iter) -> tuple[Any, Any]:
    """Return features (N, 128) and logits (N, 10), float32, of images of bytes (N, 28, 28).

    `each` wraps the list of batches, for a progress bar.
    """
    features = numpy.empty((len(pixels), DIMENSION), numpy.float32)
    logits = numpy.empty((len(pixels), CLASSES), numpy.float32)
    with using_config("train", False), no_backprop_mode():
        for start in each(range(0, len(pixels), BATCH)):
            part = slice(start, start + BATCH)
            h = net.features(as_input(pixels[part]))
            features[part], logits[part] = h.array, net.fc4(h).array
    return features, logits


def train(
    pixels: numpy.ndarray, labels: numpy.ndarray, epochs: int, seed: int, each: Callable[[Iterable], Iterable] = iter
) -> LeNet:
    """Train a new net on images of bytes (N, 28, 28) and labels (N,): Adam, batches of 100, a rate that falls to 0.

    `each` wraps the list of steps, for a progress bar.
    """
    random.seed(seed)
    net, n = LeNet(), len(pixels)
    batch = min(100, n)
    optimizer, steps = Adam(ALPHA).setup(net), max(1, epochs * n // batch)
    order = numpy.concatenate([numpy.random.permutation(n) for _ in range(epochs)])
    for step in each(range(steps)):
        optimizer.hyperparam.alpha = ALPHA * (1 - step / steps)
        part = order[step * batch : (step + 1) * batch]
        loss = F.softmax_cross_entropy(net(as_input(pixels[part])), labels[part].astype(numpy.int32))
        net.cleargrads()
        loss.backward()
        optimizer.update()
    return net


def classes(net: LeNet, pixels: numpy.ndarray) -> numpy.ndarray:
    """Return the classes of images of bytes: (N,) of (N, 28, 28), and (N, C), one of each colour, of (N, 28, 28, C).

    Of Stacked MNIST, three digits in one image, `metrics.mode_coverage(metrics.stacked_modes(classes))` says how many
    of the 1,000 modes there are.
    """
    if pixels.ndim == 4:
        return numpy.stack([classes(net, pixels[..., colour]) for colour in range(pixels.shape[3])], axis=1)
    return see(net, pixels)[1].argmax(axis=1)


def accuracy(net: LeNet, pixels: numpy.ndarray, labels: numpy.ndarray) -> float:
    """Share of the images of bytes (N, 28, 28) whose label (N,) the net finds."""
    return float((classes(net, pixels) == labels).mean())


def as_stored(net: LeNet) -> LeNet:
    """Return a copy with the weights that a file would give back."""
    rounded = net.copy(mode="copy")
    for param in rounded.params():
        param.array = param.array.astype(numpy.float16).astype(numpy.float32)
    return rounded


def save(path: str | os.PathLike[str], net: LeNet, facts: dict[str, Any]) -> None:
    """Write the weights in float16, half the size, and beside them `facts` as a JSON text."""
    arrays: dict[str, Any] = {name: array.astype(numpy.float16) for name, array in serialize(net).items()}
    with atomic_write(path) as file:
        numpy.savez_compressed(file, facts=numpy.array(json.dumps(facts)), **arrays)


def load(path: str | os.PathLike[str]) -> tuple[LeNet, dict[str, Any]]:
    """Return the net of a file that `save` has written, and its facts.

    Raises:
        DataError: the file is missing, damaged, or something else.
    """
    net = LeNet()
    try:
        load_npz(path, net)
        with open(path, "rb") as file:
            stored = Archive(file, str(path))["facts"]
            facts = parse_json(str(stored.read() if stored else ""))
        if missing := sorted(_FACTS - set(facts)):
            raise ValueError(f"it does not say its {', '.join(missing)}")
    except (FileError, OSError, KeyError, ValueError, TypeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: this is no classifier of minigan ({reason}); make one with: minigan "
                        f"train-classifier") from error  # fmt: skip
    return net, facts
