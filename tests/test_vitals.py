"""What a run notes of its health, beside recomputed numbers, and the pictures made of it."""

from types import SimpleNamespace

import numpy
import pytest
from gan_updaters import same, state, updater

from minigan import pictures, random
from minigan.cli.assemble import some
from minigan.cli.vitals import Vitals, answers
from minigan.configuration import no_backprop_mode, using_config
from minigan.datasets import TupleDataset
from minigan.gans import GANS
from minigan.reporter import Reporter


def vitals_of(u, real, clip=None):
    found = {}
    with Reporter().scope(found):
        Vitals(u.gen.latent(6), real, clip)(SimpleNamespace(updater=u))
    return {key: float(value) for key, value in found.items()}


def test_gradients_of_each_layer_and_the_variety():
    u = updater(ema_decay=0.9)
    u.update()
    real = numpy.random.RandomState(2).uniform(-1, 1, (20, 1, 28, 28))
    random.seed(3)
    with using_config("train", False), no_backprop_mode():
        made = u.ema(u.gen.latent(6)).array
    random.seed(3)
    before = state(u.gen), state(u.dis)
    found = vitals_of(u, real)
    assert same(before[0], state(u.gen)) and same(before[1], state(u.dis))
    layers = {f"{name}/grad/{layer}" for name, net in (("gen", u.gen), ("dis", u.dis)) for layer in net._children}
    assert found.keys() == layers | {"gen/variety"}
    both = numpy.concatenate([u.dis.c1.W.grad.ravel(), u.dis.c1.b.grad])
    numpy.testing.assert_allclose(found["dis/grad/c1"], numpy.linalg.norm(both), rtol=1e-5)
    numpy.testing.assert_allclose(found["gen/grad/fc1"], numpy.linalg.norm(u.gen.fc1.W.grad), rtol=1e-5)
    numpy.testing.assert_allclose(found["gen/variety"], made.std(0).mean() / real.std(0).mean(), rtol=1e-5)


def test_gradients_are_seen_without_their_loss_scale():
    u = updater("mlp")
    u.update()
    real = numpy.ones((4, 1)) * [[0], [1], [2], [3]]
    plain = {key: value for key, value in vitals_of(u, real).items() if "grad" in key}
    for param in (*u.gen.params(), *u.dis.params()):  # as the rules leave those of float16
        param.grad, param._loss_scale = param.grad * 1024, 1024.0
    found = vitals_of(u, real)
    assert {key: found[key] for key in plain} == pytest.approx(plain, rel=1e-5) and plain


def test_gradients_of_a_step_that_overflowed_are_no_numbers_of_the_log():
    u = updater("mlp")
    for optimizer in u.get_all_optimizers().values():
        optimizer.loss_scaling()
    u.update()
    u.dis.fc1.W.grad[0, 0] = numpy.inf
    with pytest.warns(UserWarning, match="/fc1/W is not finite"):
        u.get_optimizer("dis").update()
    found = vitals_of(u, numpy.ones((4, 1)) * [[0], [1], [2], [3]])
    assert numpy.isfinite([*found.values()]).all()
    assert {key.partition("/")[0] for key in found if "grad" in key} == {"gen"}
    u.update()
    assert "dis/grad/fc1" in vitals_of(u, numpy.ones((4, 1)))


def test_images_that_are_all_alike_have_no_variety_to_compare_with():
    found = vitals_of(updater("mlp"), numpy.ones((20, 1, 28, 28), numpy.float32))
    assert "gen/variety" not in found


def test_the_share_of_weights_at_their_bound():
    u = updater(gan="wgan", arch="mlp")
    for param in u.dis.params():
        param.array[...] = 0
    u.dis.fc1.b.array[...] = [0.01, -0.01, 0.0099, 0, 0, 0, 0, 0]
    found = vitals_of(u, numpy.ones((2, 1)) * [[0.0], [1.0]], clip=0.01)
    assert found["dis/clipped"] == pytest.approx(2 / sum(param.size for param in u.dis.params()))


@pytest.mark.parametrize("gan", GANS)
def test_answers_of_every_d(gan):
    u = updater(gan=gan)
    before = state(u.gen), state(u.dis)
    real, fake = answers(u, 16)
    assert len(real) == len(fake) == 16 and numpy.isfinite(real).all() and numpy.isfinite(fake).all()
    assert same(before[0], state(u.gen)) and same(before[1], state(u.dis))


def test_answers_are_those_of_the_nets_to_whole_batches():
    u = updater(arch="mlp", n=20)
    real, _ = answers(u)
    images = numpy.stack([u.get_iterator("main").dataset[i] for i in range(16)])
    numpy.testing.assert_allclose(real, u.dis(images).array, rtol=1e-5)
    assert len(answers(updater(pack=2), 16)[0]) == 8


def test_some_images_of_any_data():
    images = numpy.arange(10.0).reshape(10, 1)
    alone, with_classes = some(images, 4), some(TupleDataset(images, numpy.zeros(10)), 4)
    assert numpy.array_equal(alone, with_classes) and len(set(alone.ravel())) == 4
    assert sorted(some(images, 99).ravel()) == list(range(10))


def test_pictures_of_vitals(tmp_path):
    log = [{"iteration": i, "gen/grad/a": 1.0 / i, "dis/grad/b": 2.0, "gen/variety": 0.5} for i in range(1, 9)]
    for entries in ([], log):
        pictures.save_gradients(tmp_path / "g.png", entries)
        assert pictures.read_png(tmp_path / "g.png").shape == (600, 800, 4)
    for real, fake in ((numpy.ones((4, 1)), numpy.zeros((4, 1))), (numpy.zeros(3), numpy.full(3, numpy.nan))):
        pictures.save_answers(tmp_path / "a.png", real, fake)
        assert pictures.read_png(tmp_path / "a.png").shape == (500, 800, 4)
    pictures.save_curves(tmp_path / "c.png", log, ["a note that is long enough to be broken into lines " * 5] * 3)
    assert pictures.read_png(tmp_path / "c.png").shape[0] > 500


def test_gradients_of_one_size_have_numbers_beside_them(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(pictures, "_save_figure", lambda path, figure: figures.append(figure))
    pictures.save_gradients(tmp_path / "g.png", [{"iteration": i, "dis/grad/b": 2.0 + i / 9} for i in range(1, 9)])
    ax = figures[0].axes[1]
    low, high = ax.get_ylim()
    assert (low, high) == (1, 10) and {1, 10} <= {*ax.get_yticks()}
