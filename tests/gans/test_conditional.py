"""Conditional nets: what G's code and D's three ways to know of classes do to their numbers."""

import numpy
import pytest
from gan_updaters import updater

import minigan.functions as F
from minigan import random
from minigan.core import Variable
from minigan.gans import ARCHITECTURES, GANS
from minigan.gans.turn import Turn, one_hot


def nets(condition, arch="small", **options):
    random.seed(0)
    return ARCHITECTURES[arch].build(
        z_dim=5, channels=1, size=12, width=4, condition=condition, n_classes=3, **options
    )  # fmt: skip


def images(n=4):
    return numpy.random.RandomState(1).uniform(-1, 1, (n, 1, 12, 12)).astype(numpy.float32)


def test_noise_ends_in_the_code_of_a_class():
    gen, _ = nets("projection")
    labels = numpy.array([2, 0, 1, 2], numpy.int32)
    random.seed(4)
    z = gen.latent(4, labels)
    random.seed(4)
    numpy.testing.assert_array_equal(z[:, :5], numpy.random.standard_normal((4, 5)).astype(numpy.float32))
    numpy.testing.assert_array_equal(z[:, 5:], numpy.eye(3)[labels])
    numpy.testing.assert_array_equal(gen.labels_of(z), labels)
    drawn = gen.labels_of(gen.latent(3000))
    assert drawn.dtype == numpy.int32 and (abs(numpy.bincount(drawn, minlength=3) - 1000) < 120).all()
    other = gen(numpy.concatenate([z[:, :5], numpy.eye(3, dtype="f")[[0, 1, 2, 1]]], 1)).array
    assert all(abs(a - b).max() > 0 for a, b in zip(gen(z).array, other))


def test_a_generator_without_classes_has_no_code():
    gen, _ = ARCHITECTURES["small"].build(z_dim=5, channels=1, size=12, width=4)
    assert gen.latent(2).shape == (2, 5) and gen.labels_of(gen.latent(2)) is None


@pytest.mark.parametrize("arch", ["small", "book", "mlp"])
def test_projection_is_the_equation_of_the_paper(arch):
    _, dis = nets("projection", arch, norm_dis="none")
    x, labels = images(), numpy.array([2, 0, 1, 2], numpy.int32)
    h = dis.body.features(x).array.reshape(4, -1)
    want = h @ dis.last.W.array.T + dis.last.b.array + (dis.embedding.W.array[labels] * h).sum(1, keepdims=True)
    numpy.testing.assert_allclose(dis(x, labels).array, want, rtol=1e-4, atol=1e-5)


def test_concatenation_shows_the_class_as_planes():
    _, dis = nets("concatenation", norm_dis="none")
    x, labels = images(), numpy.array([2, 0, 1, 2], numpy.int32)
    planes = numpy.zeros((4, 3, 12, 12), numpy.float32)
    planes[range(4), labels] = 1
    want = dis.body(numpy.concatenate([x, planes], 1)).array
    numpy.testing.assert_array_equal(dis(x, labels).array, want)


def test_a_head_guesses_the_class():
    _, dis = nets("head", norm_dis="none")
    y, guess = dis(images())
    assert y.shape == (4, 1) and guess.shape == (4, 3)
    h = dis.body.features(images()).array.reshape(4, -1)
    numpy.testing.assert_allclose(guess.array, h @ dis.guess.W.array.T + dis.guess.b.array, rtol=1e-4, atol=1e-5)


def test_spectral_norms_reach_what_a_condition_adds():
    _, dis = nets("projection", norm_dis="spectral")
    assert len(dis.embedding.local_link_hooks) == len(dis.last.local_link_hooks) == 1


def test_terms_of_acgan_are_cross_entropies_of_the_guesses():
    rng = numpy.random.RandomState(2)
    real, fake, t_real, t_fake = rng.randn(4, 3), rng.randn(4, 3), numpy.array([0, 2, 1, 1]), numpy.array([2, 2, 0, 1])

    def entropy(y, t):
        return -(y - numpy.log(numpy.exp(y).sum(1, keepdims=True)))[range(4), t].mean()

    options = type("Options", (), {"lam": 0.5})
    turn = Turn(None, None, options, None, None, None, None, t_real, t_fake, Variable(real), Variable(fake))
    of_d, of_g = (getattr(GANS["acgan"], name)(turn)["classes"] for name in ("dis_terms", "gen_terms"))
    assert float(of_d.array) == pytest.approx(0.5 * (entropy(real, t_real) + entropy(fake, t_fake)), rel=1e-12)
    assert float(of_g.array) == pytest.approx(0.5 * entropy(fake, t_fake), rel=1e-12)


@pytest.mark.parametrize("gan", ["cgan", "acgan"])
def test_d_is_told_the_classes_of_the_batch_and_those_that_g_was_asked_for(gan, monkeypatch):
    u, turns = updater(gan=gan), []
    of_dis = getattr(GANS[gan], "dis_terms", lambda turn: {})
    monkeypatch.setattr(GANS[gan], "dis_terms", lambda turn: turns.append(turn) or of_dis(turn), raising=False)
    batch = u.next_images()
    random.seed(3)
    u.update_dis(batch)
    random.seed(3)
    labels = u.gen.labels_of(u.gen.latent(8))
    (turn,) = turns
    numpy.testing.assert_array_equal(turn.labels_real, batch[1])
    numpy.testing.assert_array_equal(turn.labels_fake, labels)
    assert (turn.said_real is None) == (gan == "cgan")


def test_one_hot():
    _, dis = nets("head")
    code = one_hot(dis, numpy.array([1, 0]), 3)
    assert code.dtype == numpy.float32 and code.tolist() == [[0, 1, 0], [1, 0, 0]]
    assert isinstance(F.broadcast_to(code[:, :, None, None], (2, 3, 4, 4)), Variable)
