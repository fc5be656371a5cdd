"""The link that turns a network into a loss: it compares what the predictor says with the label, and reports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigan.core import Variable
from minigan.functions.evaluation import accuracy
from minigan.functions.loss import softmax_cross_entropy
from minigan.link import Chain, Link
from minigan.reporter import report

__all__ = ["Classifier"]


class Classifier(Chain):
    """``lossfun(predictor(x), t)``. Reports ``loss`` and, if ``compute_accuracy``, ``accuracy``.

    Args:
        predictor: the network; the child of that name.
        lossfun, accfun: functions of (y, t).
        label_key: which argument is t: its position, or its name. ``TypeError`` for anything else.

    After each call ``y``, ``loss`` and ``accuracy`` hold the results.
    """

    compute_accuracy = True

    def __init__(
        self, predictor: Link, lossfun: Callable = softmax_cross_entropy, accfun: Callable = accuracy,
        label_key: int | str = -1,
    ) -> None:  # fmt: skip
        if not isinstance(label_key, int | str):
            raise TypeError(f"Classifier: label_key must be int or str, but is {type(label_key).__name__}")
        super().__init__()
        self.lossfun, self.accfun, self.label_key = lossfun, accfun, label_key
        self.y: Any = None
        self.loss: Any = None
        self.accuracy: Any = None
        with self.init_scope():
            self.predictor = predictor

    def forward(self, *args: Any, **kwargs: Any) -> Variable:
        """All arguments but t go to the predictor. ``ValueError`` where t is missing."""
        inputs, key = list(args), self.label_key
        try:
            t = kwargs.pop(key) if isinstance(key, str) else inputs.pop(key)
        except LookupError:
            given = f"{len(args)} positional arguments and the names {sorted(kwargs)}"
            raise ValueError(f"Classifier: Label key {key!r} is not among the arguments: got {given}") from None
        self.y = self.loss = self.accuracy = None
        self.y = self.predictor(*inputs, **kwargs)
        self.loss = self.lossfun(self.y, t)
        report({"loss": self.loss}, self)
        if self.compute_accuracy:
            self.accuracy = self.accfun(self.y, t)
            report({"accuracy": self.accuracy}, self)
        return self.loss
