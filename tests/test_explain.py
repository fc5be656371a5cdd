"""The pictures that explain: the losses drawn are those that GANs are trained with, and the file is a picture."""

import importlib

import numpy
import pytest
from click.testing import CliRunner
from PIL import Image

from minigan.cli import main
from minigan.core import as_variable
from minigan.gans import GANS

explain = importlib.import_module("minigan.cli.explain")  # the command of this name hides the module
Y = numpy.array([-3.0, -0.5, 0.2, 2.0])


def test_the_first_game_is_the_first_gan():
    game = explain.GAMES["non-saturating"]
    gan, y = GANS["gan"], as_variable(Y)
    both = (game.real(Y) + game.fake(Y)).mean()
    assert float(gan.loss_dis(y, y).array) == pytest.approx(both)
    assert float(gan.loss_gen(y).array) == pytest.approx(game.gen(Y).mean())


def test_the_others_by_their_formulas():
    p = 1 / (1 + numpy.exp(-Y))
    expected = {
        "saturating": (-numpy.log(p), -numpy.log(1 - p), numpy.log(1 - p)),
        "least squares": ((Y - 1) ** 2 / 2, Y**2 / 2, (Y - 1) ** 2 / 2),
        "wasserstein": (-Y, Y, -Y),
        "hinge": (numpy.maximum(0, 1 - Y), numpy.maximum(0, 1 + Y), -Y),
    }
    for name, losses in expected.items():
        for found, wanted in zip(explain.GAMES[name][1:], losses, strict=True):
            numpy.testing.assert_allclose(found(Y), wanted, rtol=1e-12)


def test_the_slope_is_the_derivative():
    numpy.testing.assert_allclose(
        explain.slope(explain.GAMES["saturating"].gen, Y), -1 / (1 + numpy.exp(-Y)), rtol=1e-8
    )


def test_the_command_draws_a_picture_and_says_who_loses_his_push(tmp_path):
    out = tmp_path / "losses.png"
    result = CliRunner().invoke(main, ["explain", "losses", "--out", str(out)])
    assert result.exit_code == 0, result.output
    with Image.open(out) as picture:
        assert picture.width > 1000 and len(picture.convert("RGB").getcolors(1 << 24)) > 100
    assert "  saturating      0.018" in result.output and "  non-saturating  0.982" in result.output


@pytest.mark.parametrize("out, text", [("losses.gif", "must end in .png"), ("nowhere/losses.png", "does not exist")])
def test_a_wrong_name_is_a_sentence(out, text, tmp_path):
    result = CliRunner().invoke(main, ["explain", "losses", "--out", str(tmp_path / out)])
    assert result.exit_code == 2 and text in result.stderr
