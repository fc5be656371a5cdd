"""Classifier: which argument is the label, what is kept and reported."""

import numpy as np
import pytest

from minigan.core import Variable
from minigan.functions.loss import softmax_cross_entropy
from minigan.link import Chain
from minigan.links.classifier import Classifier
from minigan.links.connection import Linear
from minigan.reporter import Reporter


class Predictor(Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l = Linear(3, 2)

    def forward(self, *xs, scale=1):
        return self.l(xs[0]) * scale if xs else Variable(np.zeros((4, 2), "f"))


X = np.random.RandomState(0).randn(4, 3).astype("f")
T = np.array([0, 1, 1, 0])


@pytest.mark.parametrize(
    ("key", "args", "kwargs"),
    [(-1, (X, T), {}), (1, (X, T), {}), (0, (T, X), {}), (1, (X, T, X), {}), (0, (T,), {}), ("t", (X,), {"t": T}),
     ("t", (X,), {"t": T, "scale": 2}), (-1, (X, T), {"scale": 2})],
)  # fmt: skip
def test_label_key(key, args, kwargs):
    model = Classifier(Predictor(), label_key=key)
    reporter = Reporter()
    reporter.add_observer("main", model)
    with reporter:
        loss = model(*args, **kwargs)
    y = Predictor.forward(model.predictor, *[X] if len(args) > 1 or kwargs else [], scale=kwargs.get("scale", 1))
    np.testing.assert_array_equal(loss.array, softmax_cross_entropy(y, T).array)
    np.testing.assert_array_equal(model.y.array, y.array)
    assert model.loss is loss and set(reporter.observation) == {"main/loss", "main/accuracy"}
    assert model.accuracy.array == np.mean(y.array.argmax(1) == T)
    assert sorted(path for path, _ in model.namedparams()) == ["/predictor/l/W", "/predictor/l/b"]


def test_without_accuracy_and_with_functions_of_ones_own():
    model = Classifier(Predictor(), lossfun=lambda y, t: y, accfun=lambda y, t: 7)
    assert model(X, T).shape == (4, 2) and model.accuracy == 7
    model.compute_accuracy = False
    model(X, T)
    assert model.accuracy is None


def test_errors():
    with pytest.raises(TypeError, match="label_key must be int or str, but is NoneType"):
        Classifier(Predictor(), label_key=None)
    for key in (1, -2, "t"):
        with pytest.raises(ValueError, match=f"Label key {key!r} is not among the arguments"):
            Classifier(Predictor(), label_key=key)(X)
