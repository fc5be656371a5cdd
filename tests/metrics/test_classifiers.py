"""The classifiers that are no eyes of the metrics: their layers, and that any optimizer teaches them digits."""

import numpy
import pytest
from click.testing import CliRunner

from minigan.cli import main
from minigan.cli.data import read
from minigan.metrics import lenet
from minigan.metrics.classifiers import OPTIMIZERS, SeparableInception, SigmoidMLP
from minigan.optimizers import Adam


@pytest.fixture(scope="module")
def digits():
    return read("builtin")


def test_layers_of_the_inception_net():
    """Row 73 with its faults mended: three convolutions, two of them separable in depth, and three modules."""
    net, x = SeparableInception(), numpy.zeros((2, 1, 28, 28), numpy.float32)
    h = net.c1(x)
    assert h.shape == (2, 32, 28, 28)
    h = net.c2(net.d2(h[:, :, ::2, ::2]))
    assert h.shape == (2, 64, 14, 14) and net.d2.W.shape == (1, 32, 3, 3)
    assert net.c3(net.d3(h)).shape == h.shape
    modules = [net.i4, net.i5, net.i6]
    assert all(module(h).shape == h.shape for module in modules)
    assert {(m.conv1.W.shape[0], m.conv3.W.shape[0], m.conv5.W.shape[0], m.projp.W.shape[0]) for m in modules} == {
        (16, 32, 8, 8)
    }
    assert net.features(x).shape == (2, 64) and net(x).shape == (2, 10)
    convolutions = 32 * 9 + (32 * 9 + 32 * 64) + (64 * 9 + 64 * 64)
    module = (64 * 16 + 16) + (64 * 24 + 24 + 24 * 9 * 32 + 32) + (64 * 4 + 4 + 4 * 25 * 8 + 8) + (64 * 8 + 8)
    assert net.count_params() == convolutions + 2 * (32 + 64 + 64) + 3 * module + (64 * 10 + 10) == 41_662


def test_the_mlp_has_512_sigmoids_and_drops_some_in_training_only():
    net, x = SigmoidMLP(), numpy.random.uniform(-1, 1, (2, 1, 28, 28)).astype(numpy.float32)
    h = net.features(x)
    z = (x.reshape(2, -1) + 0.74) / 0.62 @ net.fc1.W.array.T
    numpy.testing.assert_allclose(h.array, 1 / (1 + numpy.exp(-z)), atol=1e-5)
    assert net.count_params() == 785 * 512 + 513 * 10
    assert not numpy.array_equal(net(x).array, net.logits(h).array)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_any_optimizer_teaches_the_mlp(name, digits):
    make, rate = OPTIMIZERS[name]
    net = lenet.train(digits.x_train, digits.y_train, 1, 0, make=SigmoidMLP, optimizer=make(rate), steps=100, batch=50)
    assert lenet.accuracy(net, digits.x_test[:500], digits.y_test[:500]) > 0.7


def test_the_inception_net_learns(digits):
    """Of images of a third of the size, which takes a tenth of the time."""
    few = [x[:, 2::3, 2::3] for x in (digits.x_train, digits.x_test[:200])]
    net = lenet.train(few[0], digits.y_train, 1, 0, make=SeparableInception, optimizer=Adam(1e-2), steps=80, batch=20)
    assert lenet.accuracy(net, few[1], digits.y_test[:200]) > 0.4


@pytest.mark.parametrize("model", ["lenet", "mlp"])
def test_the_command_trains_any_model(model, tmp_path):
    file = tmp_path / "c.npz"
    result = CliRunner().invoke(main, ["train-classifier", "--model", model, "--steps", "2", "--batch-size", "4",
                                       "--optimizer", "momentum", "--lr", "0.01", "--out", str(file)])  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "0.001 epochs, momentum 0.01, seed 0" in result.output
    with numpy.load(file) as stored:
        assert f'"model": "{model}", "epochs": 0.001, "batch_size": 4, "optimizer": "momentum"' in str(stored["facts"])


@pytest.mark.parametrize(("arguments", "text"), [
    (["--steps", "2", "--epochs", "1"], "--steps and --epochs both say how long to train; pass one of them"),
    (["--optimizer", "sgd", "--beta2", "0.9"], "--beta2 is of adam; sgd has no such number: leave it out"),
])  # fmt: skip
def test_contradictions_are_refused(arguments, text):
    result = CliRunner().invoke(main, ["train-classifier", *arguments])
    assert result.exit_code == 2 and text in result.output
