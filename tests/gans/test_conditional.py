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


def coded():
    random.seed(0)
    return ARCHITECTURES["small"].build(
        z_dim=5, channels=1, size=12, width=4, condition="codes", n_classes=3, n_codes=2
    )  # fmt: skip


def test_noise_of_infogan_ends_in_its_codes():
    gen, dis = coded()
    labels = numpy.array([2, 0, 1, 2], numpy.int32)
    z = gen.latent(4, labels)
    assert z.shape == (4, 10) and dis(images())[1].shape == (4, 7)
    numpy.testing.assert_array_equal(z[:, 5:8], numpy.eye(3)[labels])
    numpy.testing.assert_array_equal(gen.labels_of(z), labels)
    codes = gen.latent(3000)[:, 8:]
    assert -1 <= codes.min() < -0.99 and 0.99 < codes.max() <= 1 and abs(codes.std(0) - 3**-0.5).max() < 0.02


def test_terms_of_infogan_are_the_bound_on_the_information():
    gen, _ = coded()
    z = gen.latent(4).astype(numpy.float64)
    said, t, c = numpy.random.RandomState(2).randn(4, 7), gen.labels_of(z), z[:, 8:]
    options = type("Options", (), {"lam": 0.5, "lam_codes": 0.2})
    turn = Turn(gen, None, options, None, None, None, None, None, t, None, Variable(said), z)
    q_class = (numpy.exp(said[:, :3]) / numpy.exp(said[:, :3]).sum(1, keepdims=True))[range(4), t]
    mean, variance = said[:, 3:5], numpy.exp(said[:, 5:])
    q_codes = numpy.exp(-((c - mean) ** 2) / (2 * variance)) / numpy.sqrt(2 * numpy.pi * variance)
    for terms in (GANS["infogan"].dis_terms(turn), GANS["infogan"].gen_terms(turn)):
        assert terms.keys() == {"class", "codes"}
        # equation 5: E[log Q(c | x)] + H(c)
        assert float(terms["class"].array) == pytest.approx(-0.5 * (numpy.log(q_class).mean() + numpy.log(3)))
        bound = numpy.log(q_codes).sum(1).mean() + 2 * numpy.log(2)
        assert float(terms["codes"].array) == pytest.approx(-0.2 * bound)


def test_infogan_wants_no_labels_and_reads_its_codes_off_the_images():
    u = updater(gan="infogan")
    assert u.next_images().shape == (8, 1, 28, 28)
    dis = u.dis
    before = dis.guess.W.array.copy()
    u.update()
    assert not numpy.array_equal(before, dis.guess.W.array)


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
