"""Stacked MNIST by command: a packed run, its resumption, and the modes that `minigan evaluate` counts."""

import json
from pathlib import Path

import numpy
import pytest
from click.testing import CliRunner

from minigan.cli import main
from minigan.cli.data import read
from minigan.datasets import StackedDigits
from minigan.metrics import lenet, mode_coverage, stacked_modes

RUN = "--data stacked-mnist:builtin --schedule constant --width 4 --z-dim 5 --batch-size 8 --quiet".split()
pytestmark = pytest.mark.usefixtures("own_place")


def call(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments], prog_name="minigan")
    assert result.exit_code == code, (result.output, result.exception)
    return result


def weights(file):
    with numpy.load(file) as arrays:
        return {name: arrays[name] for name in arrays.files if "updater" in name}


def stacks(n, seed):
    found = read("builtin")
    made = StackedDigits(found.x_train, found.y_train, n, seed)
    return made.digits[made.picks].transpose(0, 2, 3, 1)


def test_a_packed_run_goes_on_bit_for_bit_and_is_measured():
    call("train", "--pack", 2, "--steps", 3, "--out", "whole", *RUN)
    call("train", "--pack", 2, "--steps", 2, "--out", "parted", *RUN)
    call("train", "--resume", "parted", "--steps", 3, "--quiet")
    one, other = weights("whole/snapshot_iter_3"), weights("parted/snapshot_iter_3")
    assert one.keys() == other.keys() and [k for k in one if not numpy.array_equal(one[k], other[k])] == []
    config = json.loads(Path("whole/config.json").read_text())
    assert config["settings"]["pack"] == 2 and config["data"]["images"] == 128_000
    call("evaluate", "whole", "--against", "stacked-mnist:builtin", "--n", 50, "--json", "run.json", "--quiet")
    call("sample", "whole", "--n", 50, "--out", "samples.npz")
    alone = call("evaluate", "samples.npz", "--against", "stacked-mnist:builtin", "--json", "file.json", "--quiet")
    assert "One run shows no spread" in alone.stdout
    (run,), (file,) = (json.loads(Path(f"{name}.json").read_text())["samples"].values() for name in ("run", "file"))
    assert run == file and run["modes"] <= 50
    assert "was trained with pack 2, not 4" in call("train", "--resume", "whole", "--pack", 4, code=2).output


def test_modes_are_counted_beside_those_of_real_stacks():
    real = stacks(400, 5)
    numpy.savez("real.npz", images=real)
    numpy.savez("half.npz", images=real[:200].repeat(2, 0))
    result = call("evaluate", "real.npz", "half.npz", "--against", "stacked-mnist:builtin", "--json", "r.json")
    report = json.loads(Path("r.json").read_text())
    whole, half = report["samples"].values()
    net, _ = lenet.load(lenet.SHIPPED["mnist"])
    expected = mode_coverage(stacked_modes(lenet.classes(net, real)))
    assert (whole["modes"], whole["kl_uniform"]) == (expected.found, expected.kl)
    assert half["modes"] < whole["modes"] and half["kl_uniform"] > whole["kl_uniform"] + 0.3
    assert report["n"] == 400 and abs(report["floor"]["modes"] - whole["modes"]) < 30
    assert all(column["frechet"] < 12 for column in (report["floor"], whole, half))
    lines = result.stdout.splitlines()
    assert lines[0].endswith("  Frechet of digits")
    assert lines[1].split()[:2] == ["real", str(report["floor"]["modes"])]
    assert [line.split()[0] for line in lines[2:5]] == ["real.npz", "half.npz", "mean"]
    assert "N = 400 each, seed 0" in result.stdout and "99.41%" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["train", "--pack", "3", *RUN], 2, "no whole number of packs; pass a multiple of 3"),
        (["train", "cgan", "--pack", "2", *RUN], 2, "leave --pack out, or train cgan with --condition concatenation"),
        (["train", "--data", "stacked-mnist:nowhere"], 1, "no such folder or file"),
        (["data", "--data", "stacked-mnist"], 2, "is made, so there are no files"),
        (["evaluate", "grey.npz", "--against", "stacked-mnist:builtin"], 1, "are of 28 x 28 pixels in grey"),
        (["evaluate", "grey", "--against", "stacked-mnist:builtin"], 1, "wanted 28 x 28 pixels in colour"),
        (["evaluate", "grey.npz", "--against", "stacked-mnist", "--nearest", "x.png"], 2, "--nearest"),
        (["evaluate", "grey.npz", "--against", "stacked-mnist:builtin", "--classifier", "12.npz"], 1, "knows 12"),
        (["evaluate", "grey.npz", "--against", "stacked-mnist:npz:grey.npz"], 1, "grey images of at most ten classes"),
        (["evaluate", "grey.npz", "--against", "stacked-mnist:npz:ten.npz"], 1, "no test images with classes to stack"),
    ],
)
def test_bad_calls_get_one_sentence(arguments, code, says):
    grey = numpy.zeros((60, 28, 28), numpy.uint8)
    numpy.savez("grey.npz", images=grey)
    lenet.save("12.npz", lenet.LeNet(n_classes=12), {**dict.fromkeys(lenet._FACTS, 0), "n_classes": 12})
    numpy.savez("ten.npz", images=grey, labels=numpy.arange(60) % 10)
    if "grey" in arguments:
        call("train", "--steps", 1, "--out", "grey", "--data", "builtin", *RUN[2:])
    result = call(*arguments, code=code)
    assert says in result.output and "Traceback" not in result.output
