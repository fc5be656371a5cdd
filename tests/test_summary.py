"""`minigan summary`: layers, shapes, parameters and operations beside numbers made by hand."""

import numpy
import pytest
from click.testing import CliRunner

import minigan.functions as F
import minigan.links as L
from minigan import Chain
from minigan.cli import main
from minigan.cli.run_folder import build
from minigan.cli.summary import layers
from minigan.gans import GANS
from minigan.gans.nets import Generator

BOOK = {  # shape; weights, biases, gammas and betas; 2 * places * weights, or 2 * numbers normalized
    "fc1": ((256 * 49,), 100 * 256 * 49, 2 * 100 * 256 * 49),
    "bn1": ((256, 7, 7), 2 * 256, 2 * 256 * 49),
    "dc2": ((128, 14, 14), 256 * 128 * 9, 2 * 49 * 256 * 128 * 9),
    "bn2": ((128, 14, 14), 2 * 128, 2 * 128 * 196),
    "dc3": ((64, 14, 14), 128 * 64 * 9, 2 * 196 * 128 * 64 * 9),
    "bn3": ((64, 14, 14), 2 * 64, 2 * 64 * 196),
    "dc4": ((1, 28, 28), 64 * 9 + 1, 2 * 196 * 64 * 9),
}, {
    "c1": ((32, 14, 14), 32 * 9 + 32, 2 * 196 * 32 * 9),
    "c2": ((64, 7, 7), 32 * 64 * 9, 2 * 49 * 32 * 64 * 9),
    "bn2": ((64, 7, 7), 2 * 64, 2 * 64 * 49),
    "c3": ((128, 3, 3), 64 * 128 * 9, 2 * 9 * 64 * 128 * 9),
    "bn3": ((128, 3, 3), 2 * 128, 2 * 128 * 9),
    "fc4": ((1,), 1152 + 1, 2 * 1152),
}  # fmt: skip


def summary(*arguments, code=0):
    result = CliRunner().invoke(main, ["summary", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


def test_the_book_dcgan_by_hand():
    settings = {"arch": "book", "z_dim": 100, "channels": 1, "size": 28, "width": 64}
    for (net, rows), wanted in zip(layers(*build(settings)), BOOK):
        assert {row.path: row[2:] for row in rows} == wanted
        assert sum(row.params for row in rows) == sum(param.size for param in net.params())
    text = [line.split() for line in summary("dcgan", "--arch", "book").splitlines()]
    assert "dc2 Deconvolution2D 128 x 14 x 14 294,912 28,901,376".split() in text
    assert "total 1,624,513 60,637,696".split() in text and "total 94,017 3,257,216".split() in text


class Odd(Generator):
    """A layer that is called twice, one whose size is found out, one that never is called, and a bare product."""

    z_dim = 6

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.twice, self.lazy, self.idle = L.Linear(6, 6), L.Linear(4), L.Linear(2, 2)

    def forward(self, z):
        return F.matmul(self.lazy(self.twice(self.twice(z))), numpy.ones((4, 3), "f"))


class Plain(Chain):
    takes_labels = False

    def forward(self, x):
        return x


def test_shared_lazy_idle_layers_and_what_stands_between_them():
    (_, rows), (_, none) = layers(Odd(), Plain(), 5)
    assert [row[:1] + row[2:] for row in rows] == [
        ("twice", (6,), 42, 72), ("twice", (6,), 0, 72), ("lazy", (4,), 28, 48), ("(itself)", (3,), 0, 24),
    ]  # fmt: skip
    assert none == []


@pytest.mark.parametrize("gan", GANS)
def test_every_gan_is_counted_whole(gan):
    text = summary(gan, "--size", 32, "--channels", 3, "--width", 8)
    assert text.count("total") == 2 and "(not called)" not in text


@pytest.mark.parametrize("wrong", [["--channels", 2], ["--channels", 5], ["--size", 4097]])
def test_images_that_cannot_be_trained_on_are_none_here(wrong):
    said = summary("dcgan", *wrong, code=2)
    trained = CliRunner().invoke(main, ["train", *map(str, wrong)])
    assert trained.exit_code == 2 and said.splitlines()[-1] == trained.output.splitlines()[-1]


def test_a_pack_is_counted_whole():
    assert "FLOPs are for one image, drawn" in summary("dcgan", "--width", 4)
    text = summary("dcgan", "--width", 4, "--pack", 2)
    assert "FLOPs are for one image, of D for one pack, drawn" in text
    assert f"{2 * 196 * 2 * 16 * 4:,}" in next(line for line in text.splitlines() if line.startswith("body/c1"))


def test_a_layer_that_sees_each_plane_costs_as_often():
    text = summary("dcgan", "--arch", "planes", "--channels", 3, "--width", 8)
    lines = {line.split()[0]: line.split("  ")[-1].strip() for line in text.splitlines() if line.startswith("c2")}
    assert lines == {"c2": f"{3 * 2 * 7 * 7 * 8 * 16 * 16:,}"}  # of D, a 4x4 layer from 8 channels to 16 at 7 x 7
    assert "3 x 16 x 7 x 7" in text


def test_a_run_is_summed_up_by_its_own_settings(tmp_path, plain_charts):
    given = ["--data", "builtin", "--steps", 1, "--width", 4, "--z-dim", 5, "--quiet", "--out", tmp_path / "r"]
    assert CliRunner().invoke(main, ["train", "gan", *map(str, given)]).exit_code == 0
    assert "fc3    Linear           784       7,056  12,544" in summary(tmp_path / "r")
    assert "--width is for a GAN's name" in " ".join(summary(tmp_path / "r", "--width", 8, code=2).split())
    assert "--size with a multiple of 4" in summary("dcgan", "--size", 30, code=2)


def test_options_of_the_nets_count_and_others_are_not_there():
    assert summary("infogan") != summary("infogan", "--n-classes", 3)
    assert "for one pack" in summary("dcgan", "--pack", 3)  # of which no batch can be a multiple
    assert "No such option '--schedule'" in summary("dcgan", "--schedule", "linear", code=2)
    assert "nowhere is no run folder, and no GAN" in summary("nowhere", code=2)
