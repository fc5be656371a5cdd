"""Quality: real commands train, draw and measure; what is done is not done again; tables say what the JSON says."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from minigan.cli import main as cli

BENCH = Path(__file__).resolve().parents[1] / "bench"


def command(*arguments):
    return [sys.executable, str(BENCH / "quality.py"), "--quick", *map(str, arguments)]


def run(*arguments):
    return subprocess.run(command(*arguments), capture_output=True, text=True)


@pytest.fixture
def report(modules):
    return modules("quality_report")


def test_a_run_is_kept_and_not_done_again(tmp_path, report):
    path = tmp_path / "found.json"
    row = "small: cgan --arch deep --steps 2 --width 8"
    arguments = "--row", row, "--json", path, "--out", tmp_path / "runs", "--seeds"
    done = run(*arguments, 1)
    assert done.returncode == 0 and done.stderr == "1 runs to do, 2 at a time\n" and "small, seed 0: Fre" in done.stdout
    first = json.loads(path.read_text())
    (kept,) = first["runs"]
    assert (kept["label"], kept["seed"], kept["options"]) == ("small", 0, row.split()[1:])
    assert kept["settings"]["condition"] == "projection" and kept["steps"] == 2 and kept["ms_per_step"] > 0
    assert kept["metrics"].keys() >= report.MEASURES.keys() and kept["metrics"]["frechet"] > first["floor"]["frechet"]
    assert sum(kept["metrics"]["histogram"]) == first["measured"] == 100
    weights = sum(a.size for a in np.load(next((tmp_path / "runs").glob("small-0-*")) / "gen.npz").values())
    statistics = 2 * (16 + 8) + 2  # of two batch normalisations
    assert kept["parameters"]["gen"] == weights - statistics
    assert kept["machine"].keys() >= {"commit", "processor", "numpy", "date", "threads"}
    assert str(tmp_path) not in path.read_text() and path.with_suffix(".png").stat().st_size > 1000
    done = run(*arguments, 2)
    assert done.stderr.startswith("1 runs to do") and "seed 0" not in done.stdout and "seed 1" in done.stdout
    second = json.loads(path.read_text())
    assert second["runs"][0] == kept and [each["seed"] for each in second["runs"]] == [0, 1]
    assert "| 2 | 2 |" in report.table(report.read(path))  # seeds and steps


@pytest.mark.parametrize("full, options", [(True, "--steps 60000 --width 512"), (False, "--steps 6")])
def test_a_gan_by_its_name_has_its_default_steps_scaled(full, options, tmp_path, modules, monkeypatch):
    quality = modules("quality")

    def minigan(self, *arguments):
        return CliRunner().invoke(cli, [*arguments, "--batch-size", "4"], catch_exceptions=False).stdout, None

    monkeypatch.setattr(quality.Bench, "minigan", minigan)
    bench = quality.Bench({}, tmp_path / "found.json", tmp_path, "builtin", "cpu", 1)
    row = bench.settled(quality.Row("gan", ("gan",)), quality.FULL if full else quality.QUICK, full)
    assert row.options == ("gan", *options.split())
    assert (row.settings["steps"], row.settings["width"]) == ((60_000, 512) if full else (6, 256))
    assert bench.settled(quality.Row("own", ("gan", "--ema", "0")), 9.0, full).options == ("gan", "--ema", "0")


@pytest.mark.parametrize(
    "arguments, text",
    [
        (["--gans", "nogan"], "there is no 'nogan'; there are gan, dcgan"),
        (["--row", "dcgan --steps 8"], "wanted a name, a colon"),
        (["--row", "gan: gan", "--gans", "gan"], "there are two rows 'gan'"),
        (["--gans", "gan", "--torch", "python"], "trains beside dcgan"),
        (["--gans", "dcgan", "--torch", "no/python"], "there is no no/python to run"),
    ],
)
def test_what_cannot_be_is_refused(arguments, text, tmp_path, modules):
    done = CliRunner().invoke(modules("quality").main, [*arguments, "--json", str(tmp_path / "found.json")])
    assert done.exit_code == 2 and text in done.output and not [*tmp_path.iterdir()]


def test_what_minigan_train_refuses_is_said_in_its_words(tmp_path):
    done = run("--row", "bad: dcgan --width 0", "--json", tmp_path / "found.json", "--out", tmp_path / "runs")
    assert done.returncode == 1 and done.stderr.startswith("Error: minigan train: Error: Invalid value for '--width'")


@pytest.mark.parametrize(
    "text, why",
    [
        ('{"data": "builtin", "n": 100, "runs": [', "is not what bench/quality.py writes"),
        ('{"data": "builtin", "n": 100, "runs": [{"label": "gan"}]}', "is not what bench/quality.py writes"),
        ('{"data": "mnist", "n": 100, "runs": []}', "is of other runs: data is mnist, not builtin"),
    ],
)
def test_a_file_that_is_damaged_or_of_other_runs_is_left_alone(text, why, tmp_path, modules):
    path = tmp_path / "found.json"
    path.write_text(text)
    done = CliRunner().invoke(modules("quality").main, ["--quick", "--json", str(path)])
    assert done.exit_code in (1, 2) and why in done.output and "name another" in done.output
    assert path.read_text() == text and [*tmp_path.iterdir()] == [path]


def test_ctrl_c_ends_the_trainings(tmp_path):
    """SIGTERM does it by the same functions of `bench/run.py`, whose test sends both."""
    arguments = "--row", "long: gan --steps 1000000", "--json", tmp_path / "found.json", "--out", tmp_path / "runs"
    with subprocess.Popen(command(*arguments), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr.readline() == "3 runs to do, 2 at a time\n"
        again = run(*arguments)
        assert again.returncode == 1 and "--out: process" in again.stderr and "training into" in again.stderr
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "stopped; what is done is kept, and the same command goes on\n"


def result(label="dcgan", seed=0, frechet=30.0, steps=1000, **more):
    """A run as it is kept."""
    metrics = {"frechet": frechet, "kernel": 2.0, "precision": 0.5, "recall": 0.5, "coverage": 0.5, "classes": 10}
    machine = {"threads": 1, "processor": "P", "date": "2026-01-01T00:00", "commit": "0123456789abcdef"}
    return {
        "label": label, "seed": seed, "settings": {"steps": steps}, "options": [label, "--steps", str(steps)],
        "metrics": metrics, "steps": steps, "ms_per_step": 60.0, "processor_seconds": 60.0,
        "parameters": {"gen": 1000, "dis": 200}, "machine": machine, **more,
    }  # fmt: skip


LABELS = ["dcgan", "dcgan in PyTorch", "long"]


def results(*runs):
    return {"data": "mnist", "n": 100, "measured": 100, "against": "the test images of MNIST: 60,000 training",
            "floor": result()["metrics"] | {"frechet": 1.5}, "labels": LABELS, "runs": list(runs)}  # fmt: skip


def test_the_table_has_mean_and_spread_of_the_same_settings_only(report):
    text = report.table(results(result(seed=1, frechet=34), result(), result(seed=2, frechet=99, steps=50)))
    floor, both, other = text.splitlines()[2:5]
    assert floor.startswith("| real images") and "| 1.5 |" in floor
    assert "| 32.0 +- 2.8 |" in both and "| 2 | 1,000 | 60 | 1,000 + 200 |" in both
    assert "| 99.0 |" in other and "| 1 | 50 |" in other
    assert "1 thread of P" in text and "commit 0123456789ab." in text


def test_a_row_with_options_of_its_own_says_them_and_labels_are_shares(report):
    own = result("long", options=["cgan", "--steps", "9"])
    own["metrics"]["agreed"] = 0.975
    text = report.table(results(own, result()))
    assert "long: `minigan train cgan --steps 9`" in text and "dcgan: `" not in text
    assert "| 97.5% |" in text.splitlines()[4] and "|  |" in text.splitlines()[3]


def test_equal_time_is_told_with_both_sides(report):
    peer = result("dcgan in PyTorch", frechet=40.0, steps=900, torch="2.15.0+cpu")
    text = report.beside(results(result(), peer))
    assert "minigan to 30.0 in 1,000 steps of 60 ms, PyTorch 2.15.0 to 40.0 in 900 steps" in text
    assert "60 s each" in text and "(1 seed)" in text


def test_the_readme_shows_what_the_command_writes(modules):
    table, text = modules("table"), (BENCH.parent / "README.md").read_text()
    section = modules("quality_report").section(table.RESULTS.parent)
    assert table.QUALITY in text and table.written(text, section, table.QUALITY) == text
