"""Blocks that nets may have: self-attention and minibatch discrimination are the equations of their papers."""

import json

import numpy
import pytest
from click.testing import CliRunner

from minigan import random
from minigan.cli import main
from minigan.configuration import using_config
from minigan.gans.nets import ARCHITECTURES, MinibatchDiscrimination, SelfAttention
from minigan.gradient_check import check_backward, check_double_backward
from minigan.links import Linear


@pytest.fixture(autouse=True)
def double():
    random.seed(0)
    with using_config("dtype", numpy.float64):
        yield


def attention(channels=16, gamma=0.7):
    net = SelfAttention(channels)
    net.gamma.array[...] = gamma
    return net


def test_attention_is_the_papers_sums_place_by_place():
    net, x = attention(), numpy.random.standard_normal((2, 16, 2, 3))
    places = x.reshape(2, 16, 6)
    f, g, h, v = (c.W.array[:, :, 0, 0] for c in (net.f, net.g, net.h, net.v))
    assert f.shape == g.shape == h.shape == (2, 16) and v.shape == (16, 2)
    want = x.reshape(2, 16, 6).copy()
    for n in range(2):
        for j in range(6):
            s = numpy.array([(f @ places[n, :, i]) @ (g @ places[n, :, j]) for i in range(6)])
            beta = numpy.exp(s) / numpy.exp(s).sum()
            want[n, :, j] += 0.7 * v @ sum(beta[i] * (h @ places[n, :, i]) for i in range(6))
    numpy.testing.assert_allclose(net(x).array, want.reshape(x.shape), rtol=1e-12)


def test_attention_starts_as_the_identity_and_gamma_can_learn():
    net, x = attention(gamma=0), numpy.random.standard_normal((2, 16, 3, 3))
    y = net(x)
    numpy.testing.assert_array_equal(y.array, x)
    y.grad = numpy.ones_like(x)
    y.backward()
    assert net.gamma.grad != 0


def test_gradients_of_attention():
    net, x, gy = attention(8), *numpy.random.standard_normal((2, 2, 8, 2, 3))
    check_backward(net, x, gy, tuple(net.params()), dtype="d")
    check_double_backward(net, x, gy, numpy.random.standard_normal(x.shape), dtype="d")


@pytest.mark.parametrize(
    ("size", "doublings", "side"), [(28, 2, 14), (32, 0, 16), (64, 0, 16), (64, 2, 16), (128, 2, 32)]
)
def test_attention_stands_in_the_middle_of_both_nets(size, doublings, side, monkeypatch):
    seen = []
    monkeypatch.setattr(SelfAttention, "forward", lambda _, x: [x, seen.append(x.shape[1:])][0])
    for net in ARCHITECTURES["small"].build(3, 1, size, 4, attention=True, doublings=doublings):
        net(net.latent(2) if hasattr(net, "latent") else numpy.zeros((2, 1, size, size)))
        assert net.attention.f.W.shape[1] == 4 * size // 2 // side
    assert seen == [(4 * size // 2 // side, side, side)] * 2


def near(n=4):
    random.seed(0)
    net = MinibatchDiscrimination(Linear(5, 1), kernels=3, dimension=2)
    return net, numpy.random.standard_normal((n, 5))


def test_minibatch_discrimination_is_the_papers_sum_pair_by_pair():
    net, h = near()
    m = (h @ net.tensor.W.array.T).reshape(4, 3, 2)
    o = numpy.zeros((4, 3))
    for i in range(4):
        for j in range(4):
            o[i] += (i != j) * numpy.exp(-abs(m[i] - m[j]).sum(1))
    numpy.testing.assert_allclose(net.near(h).array, o, rtol=1e-12)
    want = net.last(h).array + o @ net.nearness.W.array.T
    numpy.testing.assert_allclose(net(h).array, want, rtol=1e-12)


def test_images_that_are_all_alike_are_as_near_as_can_be():
    net, h = near()
    numpy.testing.assert_array_equal(net.near(h[:1].repeat(4, 0)).array, 3)
    assert (net.near(h).array < 3).all()


def test_gradients_of_minibatch_discrimination():
    net, h = near()
    gy, ggx = numpy.random.standard_normal((4, 1)), numpy.random.standard_normal(h.shape)
    check_backward(net, h, gy, tuple(net.params()), dtype="d")
    check_double_backward(net, h, gy, ggx, dtype="d")


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_any_discriminator_can_look_at_the_others_of_a_batch(arch):
    size, channels = (1, 2) if arch == "ring" else (28, 1)
    for more in ({}, {"norm_dis": "spectral"}, {"condition": "projection", "n_classes": 3}):
        if arch == "ring" and "condition" in more:
            continue
        _, dis = ARCHITECTURES[arch].build(3, channels, size, 4, minibatch_dis=True, **more)
        x = numpy.random.standard_normal((6, channels) if arch == "ring" else (6, channels, size, size))
        labels = (numpy.array([0, 1, 2, 0, 1, 2]),) if "condition" in more else ()
        with using_config("train", False):
            y, alone = dis(x, *labels), dis(x[:1], *(t[:1] for t in labels))
        assert y.shape == (6, 1) and abs(y.array[:1] - alone.array) > 1e-6
        if "norm_dis" in more:
            assert len(dis.last.tensor.local_link_hooks) == len(dis.last.nearness.local_link_hooks) == 1


@pytest.mark.parametrize("arguments", [["sngan", "--minibatch-dis", "--attention"], ["cgan", "--arch", "encoder"]])
def test_a_run_with_them_can_be_gone_on_with(arguments, tmp_path, rng, plain_charts):
    """Bit for bit, with the nets that its settings name."""
    def call(*args):
        result = CliRunner().invoke(main, [*map(str, args)])
        assert result.exit_code == 0, result.output

    with using_config("dtype", numpy.float32):
        numpy.savez(tmp_path / "few.npz", images=rng.randint(0, 256, (20, 16, 16)), labels=numpy.arange(20) % 2)
        few = [*arguments, "--data", f"npz:{tmp_path / 'few.npz'}", "--quiet"]
        few += ["--width", 2, "--batch-size", 4, "--n-dis", 1, "--snapshot-every", 2]
        call("train", *few, "--steps", 4, "--out", tmp_path / "straight")
        call("train", *few, "--steps", 2, "--out", tmp_path / "halved")
        call("train", "--resume", tmp_path / "halved", "--steps", 4, "--quiet")
    with numpy.load(tmp_path / "straight" / "gen.npz") as one, numpy.load(tmp_path / "halved" / "gen.npz") as other:
        assert one.files == other.files and all(numpy.array_equal(one[k], other[k]) for k in one.files)
    kept = json.loads((tmp_path / "straight" / "config.json").read_text())["settings"]
    assert kept["minibatch_dis"] == ("--minibatch-dis" in arguments)


@pytest.mark.parametrize(("arguments", "text"), [
    (["--attention", "--arch", "mlp"],
     "--attention is of fine, deep, small, planes, encoder; mlp has no such choice: leave it out"),
    (["--doublings", "3"], "FineGenerator: size is 28 but the image side is made by doubling 3 times; pass --size"),
    (["began", "--minibatch-dis"], "answers with an image, not with a last layer; leave it out"),
    (["wgan-gp", "--minibatch-dis"], "--minibatch-dis: wgan-gp holds the critic's slope at each image for itself"),
    (["wgan-gp", "--norm-dis", "batch"], "--norm-dis batch: wgan-gp holds the critic's slope at each image"),
])  # fmt: skip
def test_what_cannot_be_is_said_before_a_folder_is_made(arguments, text, tmp_path):
    result = CliRunner().invoke(main, ["train", *arguments, "--steps", "2", "--out", str(tmp_path / "run")])
    assert result.exit_code and text in result.output and not (tmp_path / "run").exists()
