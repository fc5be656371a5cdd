"""Trainings that are killed with SIGKILL again and again, and go on from what they find on the disk.

    python tests/durability/kill.py 200

starts small trainings that write a snapshot in every iteration, kills each at a random moment, also the process that
writes, and looks at what is left: every snapshot must be whole, none may be older than those before the kill, and a
training that has reached its end in spite of it all must have the weights, the state and the log of one that was never
disturbed. It prints what it saw, and ends with status 1 if anything was lost.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import minigan
import minigan.functions as F
import minigan.links as L
import minigan.random
from minigan import training
from minigan.serializers import load_npz
from minigan.training.extensions import LogReport, snapshot, snapshot_writers

STEPS = 40
WRITERS = ("SimpleWriter", "ThreadWriter", "ProcessWriter", "ThreadQueueWriter", "ProcessQueueWriter")
CLOCKS = {"_snapshot_elapsed_time", "extensions/LogReport/_log"}


class Net(minigan.Chain):
    """Large enough that writing it takes most of the time."""

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l1 = L.Linear(200, 400)
            self.l2 = L.Linear(400, 1)

    def forward(self, x):
        loss = F.mean(self.l2(F.dropout(F.relu(self.l1(x)), 0.5)) ** 2)
        minigan.report({"loss": loss}, self)
        return loss


def trainer_in(out, writer):
    """Return a trainer that goes on with what is in the folder."""
    data = np.random.RandomState(1).randn(50, 200).astype(np.float32)
    minigan.random.seed(0)
    optimizer = minigan.optimizers.Adam().setup(Net())
    updater = training.StandardUpdater(minigan.iterators.SerialIterator(data, 8), optimizer)
    trainer = training.Trainer(updater, (STEPS, "iteration"), out=str(out))
    trainer.extend(LogReport(trigger=(2, "iteration")))
    # Three are kept: a queue may hold one when its process is killed.
    saving = snapshot(n_retains=3, autoload=True, writer=getattr(snapshot_writers, writer)())
    trainer.extend(saving, trigger=(1, "iteration"))
    return trainer


def last_state(out):
    """All that the last snapshot holds, the state of the random generators too, but the seconds."""
    with np.load(Path(out, f"snapshot_iter_{STEPS}")) as file:
        return {key: file[key] for key in file.files if key not in CLOCKS}


def log_of(out):
    """The entries of the log, without the seconds."""
    entries = json.loads(Path(out, "log").read_text())
    return [{key: value for key, value in entry.items() if key != "elapsed_time"} for entry in entries]


def snapshots_of(out):
    """The numbers of the snapshots, all of which must be whole; raises what `load_npz` raises otherwise."""
    files = sorted(Path(out).glob("snapshot_iter_*"), key=lambda file: int(file.name.rpartition("_")[2]))
    for file in files:
        with contextlib.suppress(FileNotFoundError):  # its orphaned writer may still be tidying up
            load_npz(file, trainer_in(out, "SimpleWriter"))
    return [int(file.name.rpartition("_")[2]) for file in files]


def killed(out, writer, chance):
    """Start a training, kill it or the process that writes for it, and return whether there was anything to kill."""
    command = [sys.executable, __file__, "--train", str(out), writer]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        time.sleep(chance.uniform(0, 0.25))
        writing = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        helpers = writing.read_text().split() if writing.exists() else []
        victim = int(helpers[0]) if helpers and chance.random() < 0.5 else process.pid
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        _, said = process.communicate(timeout=120)
        if process.returncode == 1 and "ended with exit code -9" not in said:
            raise RuntimeError(said)
        return process.returncode != 0


def campaign(kills, folder, seed=0):
    """Kill that many times, and return what was seen; raises an error if anything was lost."""
    chance = random.Random(seed)
    whole = Path(folder, "whole")
    trainer_in(whole, "SimpleWriter").run()
    count, finished, half = 0, 0, set()
    while count < kills:
        writer = WRITERS[finished % len(WRITERS)]
        out = Path(folder, f"{finished}-{writer}")
        out.mkdir()
        newest = 0
        while newest < STEPS:
            if count < kills:
                count += killed(out, writer, chance)
            else:  # enough: let it come to its end
                command = [sys.executable, __file__, "--train", str(out), writer]
                subprocess.run(command, check=True, timeout=300, capture_output=True)
            half.update(out.glob(".*.tmp"))
            before, newest = newest, max(snapshots_of(out), default=0)
            assert newest >= before, f"{out}: snapshot {before} was there before the kill, now the newest is {newest}"
        trainer_in(out, "SimpleWriter").run()  # reads the last snapshot, and has nothing more to do
        ours, theirs = last_state(out), last_state(whole)
        assert ours.keys() == theirs.keys()
        different = [key for key in theirs if not np.array_equal(ours[key], theirs[key])]
        assert not different, f"{out}: {different} differ from those of a run that was never killed"
        assert log_of(out) == log_of(whole)
        finished += 1
    return {"kills": count, "of these while a file was half written": len(half), "runs finished": finished}


def main():
    """Be the training, or the one that kills it."""
    if sys.argv[1] == "--train":
        trainer = trainer_in(*sys.argv[2:4])
        print("go", flush=True)
        trainer.run(show_loop_exception_msg=False)
        return
    with tempfile.TemporaryDirectory() as folder:
        print(*campaign(int(sys.argv[1]), folder).items(), "nothing was lost")


if __name__ == "__main__":
    main()
