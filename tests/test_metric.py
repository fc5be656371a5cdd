"""`minigan train --metric`: what is measured and kept, when a run ends early, and that it goes on exactly."""

import json
import re
import shutil

import numpy
import pytest
from click.testing import CliRunner

from minigan import pictures
from minigan.cli import main
from minigan.cli.assemble import drawn, generators_of_its_own, some
from minigan.cli.metric import Metric
from minigan.cli.run_folder import RunFolder
from minigan.cli.sample import render
from minigan.configuration import mixed16, using_config
from minigan.datasets import load_mnist
from minigan.metrics import frechet_distance, lenet

TINY = "--data builtin --width 4 --z-dim 5 --batch-size 8 --log-every 2 --snapshot-every 4".split()
MEASURED = [*TINY, "--metric-every", "2", "--metric-n", "60"]
pytestmark = pytest.mark.usefixtures("plain_charts")


def call(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def log_of(run, key):
    return {entry["iteration"]: entry[key] for entry in json.loads((run / "log").read_text()) if key in entry}


def arrays_of(file):
    with numpy.load(file) as npz:
        return {name: npz[name] for name in npz.files if "_log" not in name and "time" not in name}


def same(one, other):
    a, b = arrays_of(one), arrays_of(other)
    return a.keys() == b.keys() and all(numpy.array_equal(a[k], b[k]) for k in a)


@pytest.fixture(scope="module")
def run(tmp_path_factory, plain_charts):
    out = tmp_path_factory.mktemp("metric") / "r"
    result = call("train", "gan", *MEASURED, "--metric", "frechet", "--steps", 8, "--out", out)
    (out.parent / "said").write_text(result.stdout)
    return out


def test_the_number_in_the_log_is_that_of_the_weights_kept(run):
    values = log_of(run, "gen/frechet")
    assert [*values] == [2, 4, 6, 8]
    gen, file = RunFolder.open(run).generator(run / "best.npz")
    assert file == run / "best.npz"
    net, _ = lenet.load(lenet.SHIPPED["mnist"])
    images = load_mnist("mnist", pictures.Path(lenet.__file__).parents[1] / "datasets" / "data").x_train
    with generators_of_its_own(0):
        made = render(gen, 60, [drawn(gen, 60)])
    real, other = (lenet.see(net, part)[0] for part in numpy.split(some(images, 120), 2))
    found = frechet_distance(real, lenet.see(net, made)[0])
    assert found == pytest.approx(min(values.values()), rel=1e-5)
    said = re.search(r"of 60 samples .* (\S+) \(other real images: (.*)\): ", (run.parent / "said").read_text())
    floor = frechet_distance(real, other)
    assert [float(number) for number in said.groups()] == pytest.approx([found, floor], rel=1e-3)
    call("sample", run / "best.npz", "--n", 4, "--out", run.parent / "a.png")
    assert "best.npz" in call("evaluate", run / "best.npz", "--against", "builtin", "--n", 60, "--quiet").output


def test_measuring_disturbs_nothing(run, tmp_path):
    call("train", "gan", *TINY, "--steps", 8, "--out", tmp_path / "q")
    assert same(run / "gen.npz", tmp_path / "q" / "gen.npz") and not (tmp_path / "q" / "best.npz").exists()


def test_it_goes_on_bit_for_bit(run, tmp_path):
    parted = shutil.copytree(run, tmp_path / "r")
    for name in ("snapshot_iter_8", "best.npz", "gen.npz"):
        (parted / name).unlink()
    call("train", "--resume", parted)
    assert same(run / "snapshot_iter_8", parted / "snapshot_iter_8") and same(run / "gen.npz", parted / "gen.npz")
    assert log_of(run, "gen/frechet") == log_of(parted, "gen/frechet")
    if min(log_of(run, "gen/frechet").items(), key=lambda item: item[1])[0] > 4:
        assert same(run / "best.npz", parted / "best.npz")


@pytest.mark.parametrize(("metric", "values", "best"), [("frechet", [5, 4, 6, 7, 1], 4), ("recall", [0, 0, 0], 2)])
def test_patience_ends_a_run_and_the_best_is_kept(tmp_path, monkeypatch, metric, values, best):
    given = iter(values)
    monkeypatch.setattr(Metric, "measured", lambda self, made: 0.5 if made is self.other else float(next(given)))
    run, ended = tmp_path / "r", best + 4
    result = call("train", "gan", *MEASURED, "--metric", metric, "--patience", 2, "--steps", 20, "--out", run)
    assert f"ended early, after {ended} of 20 steps: none of 2 measurements was better" in result.stdout
    assert f"{metric} of 60 samples was best after iteration {best}, {values[best // 2 - 1]} (other" in result.stdout
    assert RunFolder(run).snapshots()[0].name == f"snapshot_iter_{ended}"
    assert (run / "samples" / f"iter_{ended:07}.png").exists() and not same(run / "best.npz", run / "gen.npz")
    assert "ended early" in call("train", "--resume", run).stdout
    if metric == "frechet":
        monkeypatch.setattr(Metric, "measured", lambda self, made: 1.0 * next(given, 9))
        call("train", "--resume", run, "--patience", 3)
        assert [*log_of(run, "gen/frechet").values()] == [5, 4, 6, 7, 1, 9, 9, 9]


def test_mixed_runs_are_measured_in_float32(tmp_path):
    out = tmp_path / "r"
    call("train", "gan", *MEASURED, "--mixed", "--metric", "frechet", "--steps", 2, "--out", out)
    with using_config("dtype", mixed16):
        assert {param.dtype.char for param in lenet.load(lenet.SHIPPED["mnist"])[0].params()} == {"f"}
    assert "frechet of 60 samples was best" in call("train", "--resume", out, "--steps", 3).stdout


def test_the_ring_is_measured_by_its_modes(tmp_path):
    ring = [*MEASURED, "--data", "ring", "--steps", 4]
    said = call("train", "gan", *ring, "--metric", "modes", "--out", tmp_path / "r").stdout
    assert "modes of 60 samples was best" in said
    assert (tmp_path / "r" / "best.npz").exists()


@pytest.mark.parametrize(("given", "says"), [
    (["--metric", "modes"], "choose one of frechet, kernel"),
    (["--metric", "frechet", "--data", "ring"], "choose one of modes, good"),
    (["--patience", "3"], "--patience says how to measure, and nothing is measured; pass --metric, too"),
    (["--metric-n", "10", "--metric", "kernel"], "10 is not in the range x>=50"),
])  # fmt: skip
def test_what_cannot_be_measured(given, says):
    assert says in " ".join(call("train", *given, code=2).stderr.split())
