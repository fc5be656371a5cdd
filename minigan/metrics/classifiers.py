"""Two more classifiers of digits, to compare optimizers and layers with: `minigan train-classifier --model`.

The measures look through neither of them: their eyes are `lenet.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import minigan.functions as F
import minigan.links as L
from minigan.core import Variable
from minigan.initializers import LeCunNormal
from minigan.metrics.lenet import ALPHA, Classifier, LeNet
from minigan.optimizers import SGD, Adam, MomentumSGD, RMSprop


class SigmoidMLP(Classifier):
    """C S S -> 512 -> K: a hidden layer of sigmoids, dropout before the last."""

    layer, dimension, ratio = "fc1, after the sigmoid", 512, 0.1

    def __init__(self, channels: int = 1, size: int = 28, n_classes: int = 10) -> None:
        super().__init__(channels, size, n_classes)
        w = LeCunNormal(2)  # twice the usual, for sigmoids are flat
        with self.init_scope():
            self.fc1 = L.Linear(channels * size**2, self.dimension, initialW=w)
            self.fc2 = L.Linear(self.dimension, n_classes, initialW=w)

    def features(self, x: Any) -> Variable:
        """What the hidden layer says, (N, 512), from 0 to 1."""
        return F.sigmoid(self.fc1((x + 0.74) / 0.62))  # of MNIST's pixels the mean becomes 0, the deviation 1

    def logits(self, features: Any) -> Variable:
        """(N, K) of features (N, 512)."""
        return self.fc2(features)


class SeparableInception(Classifier):
    """C x S x S -> 32 x S/2 x S/2 -> 64 x S/4 x S/4 -> 64 x S/4 x S/4, three Inception modules, mean, 64 -> K.

    Three 3x3 convolutions with batch normalization and ReLU, of which the second and third are separable in depth
    (Chollet 2017: each channel alone, then 1x1), 2x2 max pooling after the first two. The modules, with branches of
    1x1, 3x3, 5x5 and pooling, are a quarter as wide as GoogLeNet's first: 16 + 32 + 8 + 8 channels (Szegedy et al.
    2014).
    """

    layer, dimension, ratio = "the mean over all places", 64, 0.2

    def __init__(self, channels: int = 1, size: int = 28, n_classes: int = 10) -> None:
        super().__init__(channels, size, n_classes)
        with self.init_scope():
            self.c1 = L.Convolution2D(channels, 32, 3, pad=1, nobias=True)
            self.d2 = L.DepthwiseConvolution2D(32, 1, 3, pad=1, nobias=True)
            self.c2 = L.Convolution2D(32, 64, 1, nobias=True)
            self.d3 = L.DepthwiseConvolution2D(64, 1, 3, pad=1, nobias=True)
            self.c3 = L.Convolution2D(64, 64, 1, nobias=True)
            self.bn1, self.bn2, self.bn3 = (L.BatchNormalization(n) for n in (32, 64, 64))
            self.i4, self.i5, self.i6 = (L.Inception(64, 16, 24, 32, 4, 8, 8) for _ in range(3))
            self.fc7 = L.Linear(64, n_classes)

    def features(self, x: Any) -> Variable:
        """The mean over all places, (N, 64), never negative."""
        h = F.max_pooling_2d(self.bn1(self.c1(x), activation="relu"), 2)
        h = F.max_pooling_2d(self.bn2(self.c2(self.d2(h)), activation="relu"), 2)
        h = self.bn3(self.c3(self.d3(h)), activation="relu")
        for module in (self.i4, self.i5, self.i6):
            h = module(h)
        return F.average(h, axis=(2, 3))

    def logits(self, features: Any) -> Variable:
        """(N, K) of features (N, 64)."""
        return self.fc7(features)


OPTIMIZERS: dict[str, tuple[Callable[..., Any], float]] = {
    "adam": (Adam, ALPHA), "momentum": (MomentumSGD, 0.1), "rmsprop": (RMSprop, 1e-3), "sgd": (SGD, 0.5),
}  # fmt: skip
"""By name, each with the rate that it starts with."""

MODELS: dict[str, Callable[..., Classifier]] = {"lenet": LeNet, "mlp": SigmoidMLP, "inception": SeparableInception}
