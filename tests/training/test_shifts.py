"""Schedules: the values call by call, as Chainer 7.8.1 gives them, and their state in a snapshot."""

from types import SimpleNamespace

import numpy as np
import pytest
from training.mlp import make_trainer

import minigan
from minigan.serializers import DictionarySerializer, NpzDeserializer, load_npz
from minigan.training import extensions as E
from minigan.training.triggers import ManualScheduleTrigger

CASES = {
    "exponential": (lambda: E.ExponentialShift("x", 0.5), [2, 1, 0.5, 0.25, 0.125, 0.0625, 0.03125]),
    "exponential up": (lambda: E.ExponentialShift("x", 2, init=1.0, target=10.0), [1, 2, 4, 8, 10, 10, 10]),
    "exponential below 0": (lambda: E.ExponentialShift("x", 0.5, init=-1.0, target=-0.1),
                            [-1, -0.5, -0.25, -0.125, -0.1, -0.1, -0.1]),
    "exponential down": (lambda: E.ExponentialShift("x", 2, init=-1.0, target=-5.0), [-1, -2, -4, -5, -5, -5, -5]),
    "cosine": (lambda: E.CosineShift("x", 4), [2, 1 + 2**-0.5, 1, 1 - 2**-0.5, 0, 0, 0]),
    "linear": (lambda: E.LinearShift("x", (1.0, 3.0), (2, 6)), [1, 1, 1, 1.5, 2, 2.5, 3]),
    "inverse": (lambda: E.InverseShift("x", 0.5, 2.0), [2 / (1 + t / 2) ** 2 for t in range(7)]),
    "inverse to target": (lambda: E.InverseShift("x", 0.5, -1.0, init=1.0, target=2.0), [1, 1.5, 2, 2, 2, 2, 2]),
    "steps": (lambda: E.StepShift("x", 0.5, 3), [2, 2, 2, 1, 1, 1, 0.5]),
    "steps to target": (lambda: E.StepShift("x", 0.5, 2, init=1.0, target=0.3), [1, 1, 0.5, 0.5, 0.3, 0.3, 0.3]),
    "many steps": (lambda: E.MultistepShift("x", 0.1, [2, 4, 5], 1.0), [1, 1, 0.1, 0.1, 0.01, 0.001, 0.001]),
    "polynomial": (lambda: E.PolynomialShift("x", 2, 5), [2, 1.28, 0.72, 0.32, 0.08, 0, 0]),
    "polynomial to target": (lambda: E.PolynomialShift("x", 1, 4, init=1.0, target=0.5), [1, 0.75] + [0.5] * 5),
    "warmup": (lambda: E.WarmupShift("x", 0.1, 4, 1.0), [0.1, 0.325, 0.55, 0.775, 1, 1, 1]),
}  # fmt: skip


class Optimizer:
    x = 2.0


def trainer_with(optimizer):
    return SimpleNamespace(updater=SimpleNamespace(get_optimizer={"main": optimizer}.__getitem__))


def values(extension, trainer, optimizer, calls):
    result = []
    for _ in range(calls):
        extension(trainer)
        result.append(optimizer.x)
    return result


@pytest.mark.parametrize("make, expected", CASES.values(), ids=CASES.keys())
def test_values_and_resuming(make, expected):
    optimizer = Optimizer()
    trainer, extension = trainer_with(optimizer), make()
    extension.initialize(trainer)
    np.testing.assert_allclose([optimizer.x, *values(extension, trainer, optimizer, 3)], expected[:4])
    file = DictionarySerializer()
    extension.serialize(file)
    assert file.target["_t"] == 3

    optimizer = Optimizer()  # the rate itself is not in the file: the script sets the first one again
    trainer, extension = trainer_with(optimizer), make()
    extension.serialize(NpzDeserializer(file.target))
    extension.initialize(trainer)
    np.testing.assert_allclose([optimizer.x, *values(extension, trainer, optimizer, 3)], expected[3:])


EPOCHS = {
    "exponential": (lambda: E.ExponentialShift("alpha", 0.5, init=0.01), [1, 0.5, 0.25, 0.125]),
    "linear": (lambda: E.LinearShift("alpha", (0.01, 0.03), (1, 3)), [1, 1, 2, 3]),
    "inverse": (lambda: E.InverseShift("alpha", 1, 1, init=0.06), [6, 3, 2, 1.5]),
    "steps": (lambda: E.StepShift("alpha", 0.5, 2, init=0.01), [1, 1, 0.5, 0.5]),
    "many steps": (lambda: E.MultistepShift("alpha", 0.1, [1, 3], 0.01), [1, 0.1, 0.1, 0.01]),
    "polynomial": (lambda: E.PolynomialShift("alpha", 1, 4, init=0.01), [1, 0.75, 0.5, 0.25]),
    "warmup": (lambda: E.WarmupShift("alpha", 0.001, 3, 0.01), [0.1, 0.4, 0.7, 1]),
}  # the rates of the epochs in hundredths


def rates_of(out, extension, trigger, batch_size, stop, resume=None):
    """The rate with which each iteration was done, of a run into `out`, or of one that goes on from a file."""
    trainer, rates = make_trainer(minigan, out, stop=stop, extensions=False), []
    trainer.updater.get_iterator("main").batch_size = batch_size
    update_core = trainer.updater.update_core

    def note():
        rates.append(trainer.updater.get_optimizer("main").alpha)
        update_core()

    trainer.updater.update_core = note
    trainer.extend(E.snapshot(), trigger=(1, "iteration"))
    trainer.extend(extension, trigger=trigger)
    if resume is not None:
        load_npz(resume, trainer)
    trainer.run()
    return rates


@pytest.mark.parametrize("batch_size", [4, 6])
@pytest.mark.parametrize("make, expected", EPOCHS.values(), ids=EPOCHS.keys())
def test_the_rate_changes_at_exactly_the_given_epochs(tmp_path, make, expected, batch_size):
    rates = rates_of(tmp_path, make(), (1, "epoch"), batch_size, (4, "epoch"))
    begun = [i * batch_size // 20 for i in range(len(rates))]  # the epoch in which each iteration began
    assert begun[-1] == 3
    np.testing.assert_allclose(rates, [expected[epoch] / 100 for epoch in begun])
    for stop in (5, 6, 13):
        file = tmp_path / f"snapshot_iter_{stop}"
        assert rates_of(tmp_path / "resumed", make(), (1, "epoch"), batch_size, (4, "epoch"), file) == rates[stop:]


@pytest.mark.parametrize("batch_size", [4, 6])
def test_the_rate_changes_at_the_epochs_of_a_schedule(tmp_path, batch_size):
    def run(*args):
        trigger = ManualScheduleTrigger([1, 2.5, 3], "epoch")
        return rates_of(tmp_path, E.ExponentialShift("alpha", 0.1, init=0.01), trigger, batch_size, (4, "epoch"), *args)

    rates = run()
    passed = [sum(i * batch_size / 20 >= point for point in (1, 2.5, 3)) for i in range(len(rates))]
    np.testing.assert_allclose(rates, [0.01 * 0.1**n for n in passed])
    for stop in (4, 5, 12):
        assert run(tmp_path / f"snapshot_iter_{stop}") == rates[stop:]


def test_optimizer_of_its_own():
    optimizer, other = Optimizer(), Optimizer()
    extension = E.ExponentialShift("x", 0.5, optimizer=other)
    extension.initialize(trainer_with(optimizer))
    extension(trainer_with(optimizer))
    assert (optimizer.x, other.x) == (2.0, 1.0)


def test_a_sign_cannot_alternate():
    with pytest.raises(ValueError, match="rate is -1"):
        E.ExponentialShift("x", -1)
    with pytest.raises(ValueError, match="gamma is -1"):
        E.InverseShift("x", -1, 1)
