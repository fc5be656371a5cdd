"""A small classifier and a usual training script, for minigan and for Chainer: both must give the same log.

As a script it needs an environment with Chainer, and prints the log:

    python tests/training/mlp.py chainer OUT

With `--snapshot FILE` it trains on from that snapshot instead of from the start.
"""

import importlib
import json
import sys
from pathlib import Path

import numpy as np


def make_trainer(chainer, out, *, stop=(10, "iteration"), report_every=(2, "iteration"), extensions=True, seed=0):
    """Return a trainer of a 4-6-2 net on 20 points in batches of 4; `chainer` is the module to do it with."""
    face = chainer.__name__
    F, L, training = (importlib.import_module(f"{face}.{name}") for name in ("functions", "links", "training"))

    class MLP(chainer.Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.l1 = L.Linear(None, 6)
                self.l2 = L.Linear(6, 2)

        def forward(self, x, t):
            y = self.l2(F.dropout(F.relu(self.l1(x)), 0.2))
            loss = F.softmax_cross_entropy(y, t)
            chainer.report({"loss": loss, "accuracy": F.accuracy(y, t)}, self)
            return loss

    rng = np.random.RandomState(1)
    x = rng.randn(28, 4).astype(np.float32)
    t = (x.sum(axis=1) > 0).astype(np.int32)
    train, test = chainer.datasets.TupleDataset(x[:20], t[:20]), chainer.datasets.TupleDataset(x[20:], t[20:])
    np.random.seed(seed)
    model = MLP()
    optimizer = chainer.optimizers.Adam(alpha=0.01)
    optimizer.setup(model)
    updater = training.StandardUpdater(chainer.iterators.SerialIterator(train, 4), optimizer)
    trainer = training.Trainer(updater, stop, out=str(out))
    if extensions:
        E = training.extensions
        test_iterator = chainer.iterators.SerialIterator(test, 8, repeat=False, shuffle=False)
        trainer.extend(E.Evaluator(test_iterator, model), trigger=(5, "iteration"))
        trainer.extend(E.LogReport(trigger=report_every))
        trainer.extend(E.snapshot(), trigger=(5, "iteration"))
    return trainer


def main():
    chainer = importlib.import_module(sys.argv[1])
    trainer = make_trainer(chainer, sys.argv[2])
    if "--snapshot" in sys.argv:
        chainer.serializers.load_npz(sys.argv[sys.argv.index("--snapshot") + 1], trainer)
        np.random.seed(7)  # a snapshot of Chainer has no generator state
    trainer.run()
    for entry in json.loads(Path(sys.argv[2], "log").read_text()):
        print({key: value for key, value in entry.items() if key != "elapsed_time"})


if __name__ == "__main__":
    main()
