"""Minibatch discrimination: D sees how near each image is to the others of its batch, so that a G is found out which
makes few kinds of images."""

from __future__ import annotations

from typing import Any

import minigan.functions as F
import minigan.links as L
from minigan.core import Variable
from minigan.link import Chain


class MinibatchDiscrimination(Chain):
    """A last layer around another one that also sees o(x_i), B numbers (Salimans et al. 2016, arXiv:1606.03498, 3.2).

    o(x_i)_b = sum_j exp(-|M_ib - M_jb|_1), where M_i = f(x_i) T, B rows of C numbers, are made of the features of the
    images of a batch, and j is another image than i. The authors' code has B = 100 and C = 5, of fewer features.
    """

    def __init__(self, last: Any, kernels: int = 50, dimension: int = 5) -> None:
        super().__init__()
        self.shape = (kernels, dimension)
        out_size, in_size = last.W.shape
        with self.init_scope():
            self.last = last
            self.tensor = L.Linear(in_size, kernels * dimension, nobias=True)
            self.nearness = L.Linear(kernels, out_size, nobias=True)

    @property
    def W(self) -> Any:
        """The weight of the layer inside."""
        return self.last.W

    @property
    def b(self) -> Any:
        """Its bias."""
        return self.last.b

    def near(self, h: Any) -> Variable:
        """o(x), (N, B), of features (N, ...)."""
        m = F.reshape(self.tensor(h), (len(h), *self.shape))
        distances = F.sum(F.absolute(m[:, None] - m[None]), axis=3)
        return F.sum(F.exp(-distances), axis=1) - 1  # without the image itself

    def forward(self, h: Any) -> Variable:
        """Features (N, ...) to (N, out_size)."""
        return self.last(h) + self.nearness(self.near(h))
