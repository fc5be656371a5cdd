"""Discriminators that answer otherwise than with one logit: each is made of the plain nets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

import minigan.functions as F
import minigan.links as L
from minigan.core import Variable
from minigan.link import Chain


def widened(dis: Any, n: int) -> Any:
    """The discriminator with n numbers (N, n) for an answer."""
    features = dis.last.W.shape[1]
    delattr(dis, dis.LAST)
    with dis.init_scope():
        setattr(dis, dis.LAST, L.Linear(features, n))
    return dis


class Autoencoder(Chain):
    """A generator draws anew what a discriminator says of an image; the answer is how well that succeeds.

    It is minus the mean absolute error of each image (Berthelot et al. 2017, equation 1). `k` is the balance that
    `began.py` keeps, which belongs to D's state.
    """

    def __init__(self, encoder: Any, decoder: Any) -> None:
        super().__init__()
        with self.init_scope():
            self.encoder, self.decoder = encoder, decoder
        self.add_persistent("k", numpy.zeros((), numpy.float32))

    def forward(self, x: Any) -> Variable:
        """-|x - D(x)| (N, 1) for images x."""
        error = F.absolute(self.decoder(self.encoder(x)) - x)
        return -F.average(F.reshape(error, (len(x), -1)), axis=1, keepdims=True)


def autoencoder(dis: Any, generator: Callable[[int], Any], n: int) -> Autoencoder:
    """D as an autoencoder with n numbers between its halves; the second is made by `generator(n)`."""
    return Autoencoder(widened(dis, n), generator(n))


ANSWERS = {"two numbers": lambda dis, _generator, _n: widened(dis, 2), "autoencoder": autoencoder}
