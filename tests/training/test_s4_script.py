"""A whole script, written for Chainer but for its first import, runs from the data to the pictures."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("s4_script.py")


@pytest.mark.parametrize("label", ["y", "t"])
def test_script_runs_and_gives_chainers_losses(tmp_path, label):
    rng = np.random.RandomState(0)
    arrays = {"x_train": rng.randint(0, 256, (96, 28, 28)).astype(np.uint8)}
    arrays[f"{label}_train"] = rng.randint(0, 10, 96).astype(np.uint8)
    arrays["x_test"] = rng.randint(0, 256, (40, 28, 28)).astype(np.uint8)
    arrays[f"{label}_test"] = rng.randint(0, 10, 40).astype(np.uint8)
    np.savez(tmp_path / "mnist.npz", **arrays)
    warnings = ["-W", "error", "-W", "ignore:optimizer.WeightDecay:DeprecationWarning"]  # the hook's old place
    command = [sys.executable, *warnings, SCRIPT, "mnist.npz", "--batchsize", "16"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("epoch       main/loss_dis  main/loss_gen  validation/main/loss  elapsed_time\n")
    assert (tmp_path / "result" / "samples.png").read_bytes().startswith(b"\x89PNG")
    (entry,) = json.loads((tmp_path / "result" / "log").read_text())
    # the same script with `chainer` for `minigan`, on Chainer 7.8.1
    assert entry["main/loss_dis"] == pytest.approx(1.2433516879876454, rel=1e-4)
    assert entry["main/loss_gen"] == pytest.approx(0.7028202215830485, rel=1e-4)
    assert entry["validation/main/loss"] == pytest.approx(0.44685912132263184, rel=1e-3)
    assert (entry["epoch"], entry["iteration"]) == (1, 6)
