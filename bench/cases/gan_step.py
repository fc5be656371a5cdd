"""One training step of row 5's DCGAN, batch 128, each library in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

PEERS = Path(__file__).resolve().parents[1] / "peers"
SCRIPTS = {
    "minigan": ["chainer_like.py", "minigan"], "chainer": ["chainer_like.py", "chainer"], "torch": ["pytorch.py"],
}  # fmt: skip


def run(repeats, peers, rounds=3):
    """Return name -> result for minigan and each of ``peers`` (name -> Python interpreter that has it).

    They take turns for ``rounds`` rounds of ``repeats`` steps, so that a busy machine is busy for all of them.
    Raises ``ValueError`` if a peer's first losses differ from minigan's by more than 1 %: it does other work. (The
    first steps only: a bias in front of a batch normalisation has no true gradient, and Adam turns its rounding noise
    into full steps, so that trajectories drift apart.)
    """
    results = {}
    for _ in range(rounds):
        for name, python in {"minigan": sys.executable, **peers}.items():
            result = take_steps(name, python, repeats)
            for mine, other in zip(results.get("minigan", result)["losses"], result["losses"]):
                if any(abs(a - b) > 0.01 * abs(a) for a, b in zip(mine, other)):
                    raise ValueError(f"gan_step: {name} has losses {other} where minigan has {mine}; not the same work")
            before = results.setdefault(name, {**result, "times": []})
            before["times"] = before["times"] + result["times"]
            before["peak_mb"] = max(before["peak_mb"], result["peak_mb"])
    return results


def take_steps(name, python, repeats):
    """Run one library's script in a process of its own and return what it printed."""
    script, *arguments = SCRIPTS[name]
    command = [python, str(PEERS / script), *arguments, str(repeats)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise ValueError(f"gan_step: {name} has no interpreter at {python} ({error.strerror})") from error
    if done.returncode:
        raise ValueError(f"gan_step: {name} failed under {python}: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout.splitlines()[-1])
