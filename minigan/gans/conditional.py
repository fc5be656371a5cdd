"""Discriminators that know of classes: each takes one of the plain nets and adds what a paper adds to it.

G learns of classes by its noise alone, which ends in a one-hot code (`Generator.latent`), so that every generator is a
conditional one (Mirza and Osindero 2014, figure 1).
"""

from __future__ import annotations

from typing import Any

import minigan.functions as F
import minigan.links as L
from minigan import initializers
from minigan.core import Variable
from minigan.gans.turn import one_hot
from minigan.link import Chain


class _Wrapped(Chain):
    """A discriminator around another one, `body`."""

    takes_labels = True  #: it is called with images (N, C, H, W) and their classes (N,)
    labelled = True  #: it is trained on images with classes

    def __init__(self, body: Any, classes: int, codes: int = 0) -> None:
        super().__init__()
        self.n_classes, self.n_codes, w = classes, codes, initializers.Normal(0.02)
        with self.init_scope():
            self.body = body
            self._add(body.last.W.shape[1], w)

    def _add(self, n: int, w: Any) -> None:
        """Make the links that see the n features of the body."""

    @property
    def last(self) -> Any:
        """The last layer."""
        return self.body.last

    def _features(self, x: Any) -> Variable:
        return F.reshape(self.body.features(x), (len(x), -1))


class Projection(_Wrapped):
    """y = last(h) + <V[c], h>, with h the body's features (Miyato and Koyama 2018, equation 5)."""

    def _add(self, n: int, w: Any) -> None:
        self.embedding = L.EmbedID(self.n_classes, n, initialW=w)

    def forward(self, x: Any, labels: Any) -> Variable:
        """Logits (N, 1) for images that are said to be of these classes."""
        h = self._features(x)
        return self.last(h) + F.sum(self.embedding(labels) * h, axis=1, keepdims=True)


class Concatenation(_Wrapped):
    """The class as further channels of the image, all of which are 0 but one (Mirza and Osindero 2014).

    The body has so many channels more.
    """

    def forward(self, x: Any, labels: Any) -> Variable:
        """Logits (N, 1) for images that are said to be of these classes."""
        code = one_hot(self, labels, self.n_classes)[:, :, None, None]
        return self.body(F.concat((x, F.broadcast_to(code, (*code.shape[:2], *x.shape[2:])))))


class ClassHead(_Wrapped):
    """Beside the logit one number for each class, of which softmax makes a guess (Odena et al. 2017)."""

    takes_labels = False

    def _add(self, n: int, w: Any) -> None:
        self.guess = L.Linear(n, self.n_classes + 2 * self.n_codes, initialW=w)

    def forward(self, x: Any) -> tuple[Variable, Variable]:
        """Logits (N, 1), and (N, K) of the classes; of a `CodeHead` (N, K + 2 C)."""
        h = self._features(x)
        return self.last(h), self.guess(h)


class CodeHead(ClassHead):
    """The guesses are of G's own codes: classes, and means and log variances of C numbers (Chen et al. 2016)."""

    labelled = False


CONDITIONS = {"projection": Projection, "concatenation": Concatenation, "head": ClassHead, "codes": CodeHead}
