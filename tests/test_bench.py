"""The benchmark verifies before it times, and says what it ran on."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from emulated import needs_compiler

BENCH = Path(__file__).resolve().parents[1] / "bench"


def run(*arguments):
    command = [sys.executable, str(BENCH / "run.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_layers_are_verified_timed_and_written(tmp_path):
    done = run("--case", "layers", "--quick", "--json", tmp_path / "out.json")
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "out.json").read_text())
    assert set(results["machine"]) >= {"device", "cores", "python", "numpy", "commit"}
    assert len(results["layers"]) == 6
    for variants in results["layers"].values():
        assert set(variants) == {"minigan", "plain"}
        assert all(v["min_ms"] <= v["median_ms"] <= v["max_ms"] and v["repeats"] == 2 for v in variants.values())


@needs_compiler
def test_kernels_are_verified_timed_and_compared_with_a_copy(tmp_path):
    done = run("--case", "kernels", "--device", "@emulator", "--quick", "--json", tmp_path / "out.json")
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "out.json").read_text())["kernels"]
    assert len(results) == 2 + 2 * 4 + 2 * 3 + 2 + 3
    for variants in results.values():
        assert all(v["GB/s"] > 0 and v["of_copy"] > 0 for v in variants.values())


@needs_compiler
def test_the_step_as_a_graph_is_verified_and_timed(tmp_path):
    done = run("--case", "gpu_step", "--device", "@emulator", "--quick", "--json", tmp_path / "out.json")
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "out.json").read_text())
    assert results["machine"]["tf32"] is False and results["gpu_step"].keys() == {"minigan eager", "minigan graph"}
    eager, graph = results["gpu_step"].values()
    assert eager["losses"] == graph["losses"] and graph["median_ms"] > 0


def test_a_training_step_runs_in_a_process_of_its_own(tmp_path):
    done = run("--case", "gan_step", "--quick", "--json", tmp_path / "out.json")
    assert done.returncode == 0, done.stderr
    step = json.loads((tmp_path / "out.json").read_text())["gan_step"]["minigan"]
    assert np.isfinite(step["losses"]).all() and step["peak_mb"] > 0


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--peer", "torch"], "wanted NAME=PYTHON"),
        (["--peer", "theano=python"], "NAME one of"),
        (["--case", "gan_step", "--quick", "--peer", "torch=nowhere"], "torch has no interpreter at nowhere"),
        (["--device", "abc"], "get_device: got 'abc'"),
        (["--case", "kernels"], "--case kernels: @numpy has none; wanted --device @cupy:0"),
        (["--case", "gpu_step"], "--case gpu_step: @numpy has no graphs; wanted --device @cupy:0"),
    ],
)
def test_what_cannot_be_run_is_a_sentence(arguments, sentence):
    done = run(*arguments)
    assert done.returncode != 0 and sentence in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_wrong_variant_is_refused(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    import run as bench_run

    with pytest.raises(ValueError, match="deconvolution: fast computes something else than slow"):
        bench_run.verify("deconvolution", {"slow": lambda: np.ones(3), "fast": lambda: np.array([1, 1, 1.1])})
