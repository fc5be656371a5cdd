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
from minigan.backends import cuda
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
DIMENSION = 128
BATCH = 500  # images seen at a time
ALPHA = 2e-3  # Adam's step size at the start
_SHAPE = {"channels": 1, "size": 28, "n_classes": 10}  # where a file does not say so
_FACTS = {"data", "seed", "epochs", "accuracy", "stored_accuracy", "layer", "dimension"}


class Classifier(Chain):
    """What these nets share: they see images of bytes, and guess from features (N, D) of what kind each is."""

    layer: str  #: where the features are from
    dimension: int  #: D
    batch = None  # images seen at a time: BATCH
    ratio = 0.5  # of the features that are dropped

    def __init__(self, channels: int = 1, size: int = 28, n_classes: int = 10) -> None:
        super().__init__()
        self.shape: tuple[int, ...] = (size, size) if channels == 1 else (size, size, channels)  # of an image of bytes
        self.n_classes = n_classes

    def as_input(self, pixels: numpy.ndarray) -> numpy.ndarray:
        """Turn bytes (N, S, S) or (N, S, S, C) into what the net is trained on, float32 (N, C, S, S) in [-1, 1].

        Raises:
            DataError: the images have another shape.
        """
        if pixels.dtype != numpy.uint8 or pixels.shape[1:] != self.shape:
            raise DataError(f"the classifier sees images of bytes, (N, {', '.join(map(str, self.shape))}), but these "
                            f"are {pixels.dtype} {pixels.shape}; scale them, or give features of your own")  # fmt: skip
        x = pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)
        return (x.astype(numpy.float32) / 127.5) - 1

    def features(self, x: Any) -> Variable:
        """What the last hidden layer says."""
        raise NotImplementedError

    def logits(self, features: Any) -> Variable:
        """(N, K) of features (N, D)."""
        raise NotImplementedError

    def forward(self, x: Any) -> Variable:
        return self.logits(F.dropout(self.features(x), self.ratio))


class LeNet(Classifier):
    """1 x 28 x 28 -> 16 x 12 x 12 -> 32 x 4 x 4 -> 128 -> 10: two 5x5 convolutions, each with ReLU and 2x2 max pooling.

    After LeCun et al. 1998, with ReLU instead of the sigmoid and dropout before the last layer. Images (N, C, S, S)
    in [-1, 1] give logits (N, K). There are as many convolutions as leave less than 12 pixels to a side: three from 57
    pixels on, four from 117; the third and later ones have 64 channels.
    """

    dimension = DIMENSION

    def __init__(self, channels: int = 1, size: int = 28, n_classes: int = 10) -> None:
        super().__init__(channels, size, n_classes)
        self.depth = 0
        with self.init_scope():
            while size >= 12:
                self.depth, width, size = self.depth + 1, min(16 << self.depth, 64), (size - 3) // 2
                setattr(self, f"c{self.depth}", L.Convolution2D(channels, width, 5))
                channels = width
            setattr(self, f"fc{self.depth + 1}", L.Linear(channels * size**2, DIMENSION))
            setattr(self, f"fc{self.depth + 2}", L.Linear(DIMENSION, n_classes))
        self.layer = f"fc{self.depth + 1}, after ReLU"

    def features(self, x: Any) -> Variable:
        """What the last hidden layer says, (N, 128), never negative."""
        for i in range(self.depth):
            x = F.max_pooling_2d(self[f"c{i + 1}"](x, activation="relu"), 2)
        return self[f"fc{self.depth + 1}"](x, activation="relu")

    def logits(self, features: Any) -> Variable:
        """(N, K) of features (N, 128)."""
        return self[f"fc{self.depth + 2}"](features)


def see(net: Any, pixels: numpy.ndarray, each: Callable[[Iterable], Iterable] = iter) -> tuple[Any, Any]:
    """Return features (N, D) and logits (N, K), float32, of images of bytes (N, H, W) or (N, H, W, C).

    `net` is a `LeNet`, or an `Inception`; `each` wraps the list of batches, for a progress bar.
    """
    parts, step = [], net.batch or BATCH
    with using_config("train", False), no_backprop_mode():
        for start in each(range(0, len(pixels), step)):
            h = net.features(net.device.send(net.as_input(pixels[start : start + step])))
            parts.append(cuda.to_cpu([h.array, net.logits(h).array]))
    features, logits = (numpy.concatenate(column) for column in zip(*parts))
    return features, logits


def train(
    pixels: numpy.ndarray, labels: numpy.ndarray, epochs: int, seed: int, each: Callable[[Iterable], Iterable] = iter,
    n_classes: int = 10, *, make: Callable[..., Any] = LeNet, optimizer: Any = None, steps: int | None = None,
    batch: int = 100,
) -> Any:  # fmt: skip
    """Train a new net on images of bytes, (N, S, S) or (N, S, S, C), and labels (N,).

    Adam, or another `optimizer`, with a rate that falls to 0; so many `steps`, if given, instead of `epochs`. `each`
    wraps the list of steps, for a progress bar.
    """
    random.seed(seed)
    net, n = make((*pixels.shape, 1)[3], pixels.shape[1], n_classes), len(pixels)
    batch = min(batch, n)
    steps = steps or max(1, epochs * n // batch)
    optimizer = (optimizer or Adam(ALPHA)).setup(net)
    rate = "lr" if "lr" in vars(optimizer.hyperparam) else "alpha"
    start = getattr(optimizer.hyperparam, rate)
    order = numpy.concatenate([numpy.random.permutation(n) for _ in range(-(-steps * batch // n))])
    for step in each(range(steps)):
        setattr(optimizer.hyperparam, rate, start * (1 - step / steps))
        part = order[step * batch : (step + 1) * batch]
        loss = F.softmax_cross_entropy(net(net.as_input(pixels[part])), labels[part].astype(numpy.int32))
        net.cleargrads()
        loss.backward()
        optimizer.update()
    return net


def classes(net: LeNet, pixels: numpy.ndarray) -> numpy.ndarray:
    """Return the classes (N,) of images of bytes; of a net that sees grey only, (N, C) of (N, S, S, C), of each colour.

    Of Stacked MNIST, three digits in one image, `metrics.mode_coverage(metrics.stacked_modes(classes))` says how many
    of the 1,000 modes there are.
    """
    if pixels.ndim == 4 and len(net.shape) == 2:
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
    """Return the net of a file that `save` has written, and its facts, of which `_SHAPE` says what it sees.

    Raises:
        DataError: the file is missing, damaged, or something else.
    """
    try:
        with open(path, "rb") as file:
            stored = Archive(file, str(path))["facts"]
            facts = parse_json(str(stored.read() if stored else ""))
        if missing := sorted(_FACTS - set(facts)):
            raise ValueError(f"it does not say its {', '.join(missing)}")
        if facts.get("model", "lenet") != "lenet":
            raise ValueError(f"its model is {facts['model']}; `minigan evaluate` looks through lenet")
        with using_config("dtype", numpy.float32):  # whatever else is computed with: a GAN's --mixed, say
            net = LeNet(*(_whole(facts.get(name, usual)) for name, usual in _SHAPE.items()))
        load_npz(path, net)
    except (FileError, OSError, KeyError, ValueError, TypeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: this is no classifier of minigan to look through ({reason}); make one with: minigan "
                        f"train-classifier") from error  # fmt: skip
    return net, facts


def _whole(number: Any) -> int:
    if type(number) is not int or not 1 <= number <= 4096:
        raise ValueError(f"its facts have the number {number!r}")
    return number
