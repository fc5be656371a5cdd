"""`minigan train --preset`: options beneath all that is given, and one sentence for what does not fit."""

import json
import re

import numpy
import pytest
from click.testing import CliRunner

from minigan.cli import main
from minigan.cli.presets import PRESETS

TINY = ["--width", 4, "--z-dim", 5, "--batch-size", 8, "--quiet"]
pytestmark = pytest.mark.usefixtures("plain_charts")


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """A file with 20 images, as Keras' mnist.npz."""
    path = tmp_path_factory.mktemp("data") / "mnist.npz"
    x = numpy.random.RandomState(0).randint(0, 256, (20, 28, 28)).astype(numpy.uint8)
    y = (numpy.arange(20) % 10).astype(numpy.uint8)
    numpy.savez(path, x_train=x, y_train=y, x_test=x, y_test=y)
    return path


def call(*arguments, code=0, env=None):
    result = CliRunner().invoke(main, ["train", *map(str, arguments)], env=env, prog_name="minigan")
    assert result.exit_code == code, (result.output, result.exception)
    return result


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_stands_in_for_what_is_not_given(name, few):
    options = PRESETS[name].options
    settings, _ = json.JSONDecoder().raw_decode(call("--preset", name, "--data", few, "--dry-run", *TINY).stdout)
    assert settings["preset"] == name and settings["width"] == 4 and settings["batch_size"] == 8
    for option in options.keys() - {"width", "z_dim", "batch_size"}:
        assert settings[option] == options[option]


def test_the_name_is_in_the_run_and_must_not_change(few, tmp_path):
    name, other = list(PRESETS)[:2]
    out = tmp_path / "run"
    call("--preset", name, "--epochs", 0.5, "--data", few, "--out", out, *TINY)
    settings = json.loads((out / "config.json").read_text())["settings"]
    assert settings["preset"] == name and settings["gan"] == PRESETS[name].options["gan"]
    assert settings["epochs"] == 0.5 and settings["steps"] == 2  # and not the preset's number
    call("--resume", out, "--preset", name, "--steps", 3, "--quiet")
    refused = call("--resume", out, "--preset", other, code=2)
    assert f"was trained with preset {name}, not {other}" in refused.stderr


def test_the_environment_too_comes_before_a_preset(few):
    name = next(iter(PRESETS))
    env = {"MINIGAN_TRAIN_PRESET": name, "MINIGAN_TRAIN_EMA": "0.25"}
    settings, _ = json.JSONDecoder().raw_decode(call("--data", few, "--dry-run", *TINY, env=env).stdout)
    assert settings["preset"] == name and settings["ema"] == 0.25


def test_list_says_what_each_reaches():
    text = call("--preset", "list").stdout
    for name, preset in PRESETS.items():
        assert f"{name}: minigan train {preset.options['gan']} --" in text and preset.reaches in text
        assert re.search(r"Frechet distance (of the digits )?\d", preset.reaches)


@pytest.mark.parametrize(("arguments", "expected"), [
    (["--preset", "best"], "is not one of"),
    (["wgan", "--preset", next(iter(PRESETS))], "not of wgan; leave one of them out"),
    (["--preset", next(iter(PRESETS)), "--data", "ring"], "--data ring has points; leave one of them out"),
])  # fmt: skip
def test_what_does_not_fit_is_one_sentence(arguments, expected):
    result = call(*arguments, code=2)
    assert [expected in line for line in result.stderr.splitlines() if line.startswith("Error: ")] == [True]
