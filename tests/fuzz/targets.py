"""What files are loaded into, and how one sees whether any of it has changed."""

import gzip
import hashlib
import io
import json
import lzma
import os
import random
import struct
import tempfile
from pathlib import Path

import h5py
import numpy as np

from minigan import Chain, Parameter, links, optimizers, report, training
from minigan.cli.run_folder import RunError, RunFolder
from minigan.dataset.errors import DataError
from minigan.datasets.arrays import read_arrays
from minigan.datasets.idx import read_idx
from minigan.gans import GANS
from minigan.iterators import SerialIterator
from minigan.serializers import load_hdf5, load_npz, save_hdf5, save_npz
from minigan.serializers.npz import serialize
from minigan.training import extensions, triggers


class Net(Chain):
    """Every kind of value that a link can hold."""

    def __init__(self, lazy=False):
        super().__init__()
        with self.init_scope():
            self.fc = links.Linear(None if lazy else 3, 4)
            self.bn = links.BatchNormalization(4)
            self.spare = Parameter(1.0)
        for name, value in {"steps": 3, "rate": 0.5, "ready": True, "kind": "text", "none": None}.items():
            self.add_persistent(name, value)

    def forward(self, x):
        loss = (self.bn(self.fc(x)) ** 2).mean()
        report({"loss": loss}, self)
        return loss


def trainer(lazy=False, iterator=SerialIterator):
    """A trainer with all that has a state."""
    net = Net(lazy)
    updater = training.StandardUpdater(
        iterator(np.arange(30, dtype="f4").reshape(10, 3), 4), optimizers.Adam().setup(net)
    )
    run = training.Trainer(updater, triggers.EarlyStoppingTrigger((1, "iteration"), max_trigger=(9, "iteration")))
    run.extend(extensions.LogReport(trigger=(2, "iteration"), filename=None))
    run.extend(extensions.PlotReport(["main/loss"], trigger=(2, "iteration"), file_name="loss.png"))
    run.extend(extensions.ExponentialShift("alpha", 0.9), trigger=triggers.ManualScheduleTrigger([2, 5], "iteration"))
    run.extend(extensions.MicroAverage("n", "d", "r", trigger=(3, "iteration")))
    run.extend(extensions.observe_lr(), trigger=triggers.MinValueTrigger("main/loss", (2, "iteration")))
    return run


def train(run, n=5):
    """Go on for some iterations, without the loop's folder and files."""
    for _ in range(n):
        run.observation = {}
        with run.reporter.scope(run.observation):
            run.updater.update()
        run.stop_trigger(run)
        log, plot = run.get_extension("LogReport"), run.get_extension("PlotReport")
        for kept in (log, plot):
            kept._summary.add(run.observation)
        entry = {"main/loss": float(run.observation["main/loss"].array), "iteration": run.updater.iteration}
        log._log.append(entry)
        plot._points.setdefault("main/loss", []).append([entry["iteration"], entry["main/loss"]])
    return run


def state(obj):
    """Everything that can be seen of an object, and of the random generators, in a few bytes."""
    generator = np.random.get_state()
    found = hashlib.sha256(repr((hash(random.getstate()), generator[2:])).encode() + generator[1].tobytes())
    for key, value in sorted(serialize(obj).items()):
        if not key.startswith("random/"):
            found.update(
                f"{key} {value.dtype} {value.shape}".encode() + (b"" if value.dtype.hasobject else value.tobytes())
            )
    return found.digest()


def saved(save, obj):
    """The bytes of a file."""
    with tempfile.TemporaryDirectory() as folder:
        save(os.path.join(folder, "file"), obj)
        return Path(folder, "file").read_bytes()


class Case:
    """Valid files of a kind, a way to load them, the errors that are allowed and the object that must not change.

    Args:
        kind: npz, hdf5, idx or json.
        files: The contents of valid files.
        load: `load(path, obj)`.
        make: Makes the object, if there is one.
        errors: Classes.
    """

    def __init__(self, kind, files, load, make=lambda: None, errors=(ValueError, KeyError, TypeError)):
        self.kind, self.files, self.load, self.make, self.errors = kind, files, load, make, errors
        self.renew()

    def renew(self):
        """Forget what has been loaded."""
        self.obj = self.make()
        self.seed()
        self.before = None if self.obj is None else state(self.obj)

    def seed(self):
        """Let the random generators stand where they stood when `before` was noted."""
        np.random.seed(0)
        random.seed(0)

    def changed(self):
        """Whether the object is another than before."""
        return self.obj is not None and state(self.obj) != self.before


def settings():
    """A run's config.json."""
    numbers = ("width", "z_dim", "batch_size", "n_dis", "steps", "channels", "size", "log_every", "sample_every",
               "snapshot_every")  # fmt: skip
    rates = ("alpha", "alpha_dis", "beta1", "beta2", "ema", "seed")
    names = {"gan": next(iter(GANS)), "arch": "small", "data": "mnist", "device": "@numpy"}
    config = {**dict.fromkeys(numbers, 8), **dict.fromkeys(rates, 0.5), **names}
    return {"settings": config, "data": {"crc32": 12345}, "versions": {}}


def read_config(path, obj):
    """As `minigan train --resume` does, which finds the name in the folder."""
    run = RunFolder(Path(path).parent)
    run.config = Path(path)
    return run.read_config()


def cases():
    """All of them, by name."""
    np.random.seed(0)
    run = train(trainer())
    optimizer = run.updater.get_optimizer("main")
    parts = {
        "net": (optimizer.target, Net), "lazy net": (optimizer.target, lambda: Net(lazy=True)),
        "optimizer": (optimizer, lambda: train(trainer(), 1).updater.get_optimizer("main")),
        "new optimizer": (optimizer, lambda: trainer().updater.get_optimizer("main")),
        "trainer": (run, lambda: train(trainer(), 2)), "new trainer": (run, lambda: trainer(lazy=True)),
    }  # fmt: skip
    found = {}
    for name, (obj, make) in parts.items():
        found[f"npz {name}"] = Case("npz", [saved(save_npz, obj)], load_npz, make)
        found[f"hdf5 {name}"] = Case("hdf5", [saved(save_hdf5, obj)], load_hdf5, make)
    images = np.arange(2 * 28 * 28).reshape(2, 28, 28).astype("u1")
    idx = struct.pack(">BBBBIII", 0, 0, 8, 3, *images.shape) + images.tobytes()
    packed = [idx, gzip.compress(idx), lzma.compress(idx)]
    found["idx"] = Case("idx", packed, lambda path, obj: read_idx(path), errors=DataError)
    archive, hdf5 = io.BytesIO(), io.BytesIO()
    np.savez_compressed(archive, x=images, y=images[:, 0, 0])
    with h5py.File(hdf5, "w") as file:
        file.create_dataset("x", data=images, compression="gzip", shuffle=True)
        file["y"] = images[:, 0, 0]

    def read(path, obj):
        return read_arrays(path, [("x",), ("y",)])

    found["npz data"] = Case("npz", [archive.getvalue()], read, errors=DataError)
    found["hdf5 data"] = Case("hdf5", [hdf5.getvalue()], read, errors=DataError)
    config = json.dumps(settings(), indent=2).encode()
    found["json config"] = Case("json", [config], read_config, errors=RunError)
    return found
