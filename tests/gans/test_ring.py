"""With its own defaults a GAN covers a ring of eight Gaussians: no mode is lost, and most samples lie on one.

One stands for all here, for it takes seconds; `minigan train NAME --data ring --seed N` does it for any.
"""

import json

from click.testing import CliRunner

from minigan.cli import main


def test_all_modes_of_the_ring_are_found(tmp_path):
    """At least 7 of 8 modes and 80 % of samples within 3 sigma."""
    out, steps = tmp_path / "ring", "1800"
    result = CliRunner().invoke(
        main, ["train", "gan", "--data", "ring", "--out", str(out), "--quiet", "--steps", steps, "--log-every", steps]
    )
    assert result.exit_code == 0, result.output
    (entry,) = json.loads((out / "log").read_text())
    assert entry["gen/modes"] >= 7 and entry["gen/good"] >= 0.8
