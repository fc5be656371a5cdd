"""Nothing is lost: disks that are full, folders that vanish, processes that are killed, runs that stop anywhere.

The faults are real where a test can make them (a limit on the size of files, /dev/full, a folder that is removed), and
put in at the very system call otherwise. The long version of the kills is `python tests/durability/kill.py 200`.
"""
# ruff: noqa: F811 (fixtures are imported, and named again as arguments)

import errno
import os
import random as python_random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from durability.kill import campaign
from test_cli import TINY, arrays_of, call, few, log_of, run, sentence  # noqa: F401  (fixtures, too)
from training.mlp import make_trainer

import minigan
import minigan.functions as F
import minigan.links as L
import minigan.random
from minigan import iterators, optimizers
from minigan.cli.run_folder import RunFolder
from minigan.gans import ARCHITECTURES, GANS, GANUpdater
from minigan.training import extensions
from minigan.training.extensions import snapshot_writers
from minigan.utils import files

pytestmark = pytest.mark.usefixtures("own_place")
CLOCKS = {"_snapshot_elapsed_time", "extensions/LogReport/_log", "extensions/PlotReport/_plot_gen/loss"}


class Disk:
    """A disk on which one file cannot be written: its `call` fails with `code`, as long as it is not `healed`."""

    def __init__(self, monkeypatch, name, call, code=errno.ENOSPC):
        self.name, self.code, self.healed = name, code, False
        self.descriptors = set()
        make, sync, replace = files.tempfile.mkstemp, files.os.fsync, files.os.replace

        def mkstemp(prefix, suffix, dir):
            concerned = prefix == f".{name}." and not self.healed
            if concerned and call == "open":
                raise OSError(code, os.strerror(code), os.path.join(dir, f"{prefix}12345678{suffix}"))
            descriptor, path = make(prefix=prefix, suffix=suffix, dir=dir)
            if concerned and call == "write":  # from here on it is the system that says that the disk is full
                full = os.open("/dev/full", os.O_RDWR)
                os.dup2(full, descriptor)
                os.close(full)
            self.descriptors = {descriptor} if concerned else set()
            return descriptor, path

        def fsync(descriptor):
            if call == "fsync" and descriptor in self.descriptors:
                raise OSError(code, os.strerror(code))
            sync(descriptor)

        def moved(source, target):
            if call == "rename" and Path(target).name == name and not self.healed:
                raise OSError(code, os.strerror(code), source, None, target)
            replace(source, target)

        monkeypatch.setattr(files.tempfile, "mkstemp", mkstemp)
        monkeypatch.setattr(files.os, "fsync", fsync)
        monkeypatch.setattr(files.os, "replace", moved)


FAULTS = {"write": errno.ENOSPC, "fsync": errno.EIO, "rename": errno.EDQUOT, "open": errno.EROFS}


def names(folder):
    return sorted(path.name for path in Path(folder).rglob("*"))


def same_run(one, other):
    """Assert that two finished runs hold the same, but for the clocks."""
    assert names(one) == names(other)
    assert log_of(one) == log_of(other)
    for file in one.glob("snapshot_iter_*"):
        mine, theirs = arrays_of(file), arrays_of(other / file.name)
        assert mine.keys() == theirs.keys()
        assert [k for k in mine if k not in CLOCKS and not np.array_equal(mine[k], theirs[k])] == []
    for file in [*(one / "samples").iterdir(), one / "progress.gif"]:
        assert file.read_bytes() == next(other.rglob(file.name)).read_bytes()
    ours = arrays_of(one / "gen.npz")
    assert all(np.array_equal(ours[k], w) for k, w in arrays_of(other / "gen.npz").items())


@pytest.mark.parametrize(
    ("name", "where"),
    [*(("snapshot_iter_6", where) for where in FAULTS), ("log", "write"), ("snapshot_iter_7", "open"),
     ("gen.npz", "rename"), ("loss.png", "fsync")],
)  # fmt: skip
def test_a_file_that_cannot_be_written_ends_a_run_in_one_sentence(run, few, tmp_path, monkeypatch, name, where):
    out, code = tmp_path / "r", FAULTS[where]
    options = ["--data", few, "--steps", 7, "--out", out, "--arch", "small", "--ema", "0.9", *TINY]
    disk = Disk(monkeypatch, name, where, code)
    said = sentence(call("train", *options, code=1))
    assert f"{out / name}: {os.strerror(code)}" in said and f"minigan train --resume {out}" in said
    assert "Traceback" not in said and ".tmp" not in said
    assert not [left for left in names(out) if left.endswith(".tmp") or left == ".lock"]
    if name in ("snapshot_iter_6", "snapshot_iter_7"):
        assert f"The newest snapshot is {RunFolder(out).snapshots()[0]}" in said
    disk.healed = True
    call("train", "--resume", out)
    same_run(out, run)


def test_a_picture_that_cannot_be_written_does_not_end_a_run(run, few, tmp_path, monkeypatch):
    Disk(monkeypatch, "iter_0000004.png", "write")
    out = tmp_path / "r"
    result = call("train", "--data", few, "--steps", 7, "--out", out, "--arch", "small", "--ema", "0.9", *TINY)
    assert "iter_0000004.png: No space left on device" in result.stderr and "without the picture" in result.stderr
    assert sorted({*names(run)} - {*names(out)}) == ["iter_0000004.png"]
    assert log_of(out) == log_of(run)


def at_iteration(monkeypatch, iteration, action):
    """Call `action` in the middle of an iteration."""
    update_core = GANUpdater.update_core

    def acting(self):
        update_core(self)
        if self.iteration + 1 == iteration:
            action()

    monkeypatch.setattr(GANUpdater, "update_core", acting)


def test_a_run_folder_that_vanishes_is_named_and_not_made_again(few, tmp_path, monkeypatch):
    out = tmp_path / "r"
    at_iteration(monkeypatch, 4, lambda: shutil.rmtree(out))
    said = sentence(call("train", "--data", few, "--steps", 9, "--out", out, *TINY, code=1))
    assert f"the folder {out} has vanished" in said and "after iteration 4" in said
    assert not out.exists()


def test_a_samples_folder_that_vanishes_is_made_again(few, tmp_path, monkeypatch):
    out = tmp_path / "r"
    at_iteration(monkeypatch, 4, lambda: shutil.rmtree(out / "samples"))
    call("train", "--data", few, "--steps", 7, "--out", out, *TINY)
    assert names(out / "samples") == [f"iter_000000{i}.png" for i in (4, 6, 7)]


def test_a_folder_in_place_of_the_log_is_named(run, few, tmp_path):
    out = tmp_path / "r"
    (out / "log").mkdir(parents=True)
    options = ["--data", few, "--steps", 7, "--out", out, "--arch", "small", "--ema", "0.9", *TINY]
    said = sentence(call("train", *options, code=1))
    assert f"{out / 'log'}" in said and "is a folder" in said and "The newest snapshot is" in said
    (out / "log").rmdir()
    call("train", "--resume", out)
    same_run(out, run)


def in_a_process(*arguments, before):
    command = [sys.executable, "-m", "minigan", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=before)


def test_a_real_limit_on_the_size_of_files(run, few, tmp_path):
    resource = pytest.importorskip("resource")
    out = tmp_path / "r"
    call("train", "--data", few, "--steps", 3, "--out", out, "--arch", "small", "--ema", "0.9", *TINY)
    limit = (out / "snapshot_iter_3").stat().st_size // 2
    assert limit > (out / "progress.gif").stat().st_size
    result = in_a_process(
        "train", "--resume", out, "--steps", 7,
        before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY)),
    )  # fmt: skip
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert "snapshot_iter_6: File too large; raise the limit" in sentence(result)
    assert names(out) == sorted(["answers.png", "config.json", "gen.npz", "gradients.png", "log", "loss.png",
                                     "progress.gif", "samples", "snapshot_iter_3",
                                     *(f"iter_000000{i}.png" for i in (0, 2, 3, 4, 6))])  # fmt: skip
    (out / "samples" / "iter_0000003.png").unlink()  # it was the last one then
    call("train", "--resume", out)
    same_run(out, run)


def test_a_real_full_disk(few, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "none", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        out = disk / "r"
        said = sentence(call("train", "--data", few, "--steps", 2000, "--out", out, *TINY, code=1))
        assert "No space left on device" in said and "make room on the disk" in said
        assert not [left for left in names(out) if left.endswith(".tmp")]
        for file in RunFolder(out).snapshots():
            assert arrays_of(file)["updater/iteration"] == int(file.name.rpartition("_")[2])
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("name", ["SimpleWriter", "ThreadWriter", "ProcessWriter", "ThreadQueueWriter",
                                  "ProcessQueueWriter"])  # fmt: skip
def test_each_writer_raises_what_the_disk_said(tmp_path, monkeypatch, name):
    Disk(monkeypatch, "snapshot_iter_2", "write")
    trainer = make_trainer(minigan, tmp_path, stop=(4, "iteration"), extensions=False)
    writer = getattr(snapshot_writers, name)()
    trainer.extend(extensions.snapshot(writer=writer, n_retains=1), trigger=(1, "iteration"))
    with pytest.raises(OSError, match=r"No space left on device: '.*snapshot_iter_2'"):
        trainer.run(show_loop_exception_msg=False)
    assert [each for each in names(tmp_path) if each.startswith(".") and each != ".lock"] == []
    newest = max(tmp_path.glob("snapshot_iter_*"))
    fresh = make_trainer(minigan, tmp_path, extensions=False)
    fresh.extend(extensions.snapshot(), trigger=(1, "iteration"))
    minigan.serializers.load_npz(newest, fresh)
    assert fresh.updater.iteration == int(newest.name[-1])


def test_kills_lose_nothing(tmp_path):
    assert campaign(3, tmp_path)["kills"] == 3


# -- resuming is exact, at whatever iteration --------------------------------------------------------------------------


class Shaken(minigan.dataset.DatasetMixin):
    """Images that are mirrored and made noisy at random, from the two global generators, each time they are read."""

    def __init__(self, n, size):
        self.images = np.random.RandomState(5).uniform(-1, 1, (n, 1, size, size)).astype(np.float32)

    def __len__(self):
        return len(self.images)

    def get_example(self, i):
        image = self.images[i] + np.random.normal(0, 0.1, self.images[i].shape).astype(np.float32)
        return image[:, :, ::-1] if python_random.random() < 0.5 else image


ITERATORS = {
    "serial": lambda data: iterators.SerialIterator(data, 4),
    "ordered": lambda data: iterators.SerialIterator(
        data, 4, order_sampler=iterators.ShuffleOrderSampler(np.random.RandomState(7))
    ),
    "threads": lambda data: iterators.MultithreadIterator(data, 4, n_threads=3),
    "processes": lambda data: iterators.MultiprocessIterator(data, 4, n_processes=2, n_prefetch=2),
}


def gan_trainer(out, gan, arch, iterator, ema, n_dis, extras):
    """Return a training of tiny nets; with `extras`, other optimizers, and hooks one of which draws."""
    minigan.random.seed(11)
    size = 12 if arch == "book" else 8
    gen, dis = ARCHITECTURES[arch].build(z_dim=3, channels=1, size=size, width=4)
    optimizer = {"gen": optimizers.Adam(1e-3, beta1=0.5), "dis": optimizers.Adam(1e-3, beta1=0.5)}
    if extras:
        optimizer = {"gen": optimizers.AMSBound(1e-3), "dis": optimizers.RMSprop(1e-3)}
    for name, net in (("gen", gen), ("dis", dis)):
        optimizer[name].setup(net)
        if extras:
            optimizer[name].add_hook(minigan.optimizer_hooks.GradientNoise(0.1))
            optimizer[name].add_hook(minigan.optimizer_hooks.WeightDecay(1e-4))
    data = Shaken(11, size)
    updater = GANUpdater(ITERATORS[iterator](data), optimizer, GANS[gan], n_dis=n_dis, ema_decay=ema)
    trainer = minigan.training.Trainer(updater, (STEPS, "iteration"), out=str(out))
    trainer.extend(extensions.LogReport(trigger=(3, "iteration")))
    trainer.extend(extensions.ExponentialShift("alpha", 0.9, optimizer=optimizer["gen"]), trigger=(2, "iteration"))
    trainer.extend(extensions.observe_lr("gen"), trigger=(1, "iteration"))
    trainer.extend(extensions.PlotReport(["gen/loss"], trigger=(2, "iteration"), filename="plot.png"))
    trainer.extend(extensions.snapshot(), trigger=(1, "iteration"))
    return trainer


STEPS = 7
MATRIX = [
    ("dcgan", "small", "serial", 0.9, 1, False),
    ("dcgan", "small", "threads", 0.0, 2, True),
    ("dcgan", "book", "processes", 0.9, 1, True),
    ("dcgan", "mlp", "ordered", 0.0, 3, False),
    ("gan", "mlp", "processes", 0.9, 2, True),
    ("gan", "small", "ordered", 0.9, 2, True),
    ("gan", "book", "serial", 0.0, 1, True),
    ("gan", "mlp", "threads", 0.9, 1, False),
]


def assert_resumable(make, folder, stops):
    """Run `make(out)` to its end; then again from its snapshot of each of `stops`, as another process would."""
    make(folder / "whole").run()
    expected = arrays_of(folder / "whole" / f"snapshot_iter_{STEPS}")
    assert all(np.isfinite(value).all() for value in expected.values() if value.dtype.kind == "f")
    for stop in stops:
        out = folder / f"from {stop}"
        trainer = make(out)
        np.random.seed(stop)
        python_random.seed(int(stop))
        minigan.serializers.load_npz(folder / "whole" / f"snapshot_iter_{stop}", trainer)
        trainer.run()
        resumed = arrays_of(out / f"snapshot_iter_{STEPS}")
        assert resumed.keys() == expected.keys()
        assert [k for k in resumed if k not in CLOCKS and not np.array_equal(resumed[k], expected[k])] == []
        assert log_of(out) == log_of(folder / "whole")
        assert (out / "plot.png").read_bytes() == (folder / "whole" / "plot.png").read_bytes()


@pytest.mark.filterwarnings("ignore:MultithreadIterator")  # examples that draw are read one after the other
@pytest.mark.parametrize("case", MATRIX, ids=lambda case: "-".join(map(str, case)))
def test_a_run_that_stops_anywhere_goes_on_bit_for_bit(tmp_path, case):
    stops = np.random.RandomState(MATRIX.index(case)).randint(1, STEPS - 1, 1)
    assert_resumable(lambda out: gan_trainer(out, *case), tmp_path, stops)


def test_a_parallel_run_with_random_transforms_goes_on_bit_for_bit(tmp_path):
    def make(out):
        minigan.random.seed(1)
        net = Classifying()
        optimizer = optimizers.MomentumSGD(0.05).setup(net)
        data = minigan.datasets.TransformDataset(
            [(x, np.int32(x[0] > 0)) for x in np.random.RandomState(2).randn(13, 4).astype(np.float32)],
            lambda pair: (pair[0] + np.random.normal(0, 0.1, 4).astype(np.float32), pair[1]),
        )
        updater = minigan.training.ParallelUpdater(
            iterators.SerialIterator(data, 6), optimizer, devices={"main": -1, "second": -1}
        )
        trainer = minigan.training.Trainer(updater, (STEPS, "iteration"), out=str(out))
        held_out = iterators.SerialIterator(data, 5, repeat=False, shuffle=False)
        trainer.extend(extensions.Evaluator(held_out, net), trigger=(2, "iteration"))
        trainer.extend(extensions.LogReport(trigger=(3, "iteration")))
        trainer.extend(extensions.PlotReport(["main/loss"], trigger=(2, "iteration"), filename="plot.png"))
        trainer.extend(extensions.snapshot(), trigger=(1, "iteration"))
        return trainer

    assert_resumable(make, tmp_path, [2, 4])


class Classifying(minigan.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l1 = L.Linear(4, 5)
            self.l2 = L.Linear(5, 2)

    def forward(self, x, t):
        loss = F.softmax_cross_entropy(self.l2(F.dropout(F.tanh(self.l1(x)))), t)
        minigan.report({"loss": loss}, self)
        return loss


# -- two runs in one folder --------------------------------------------------------------------------------------------


def test_a_second_run_in_a_folder_is_refused_until_the_first_is_dead(few, tmp_path):
    out = tmp_path / "r"
    command = [sys.executable, "-m", "minigan", "train", "--data", few, "--steps", "1000000", "--out", str(out), *TINY]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as first:
        while not RunFolder(out).snapshots() and first.poll() is None:
            time.sleep(0.02)
        half = out / ".snapshot_iter_9.abcdefgh.tmp"
        half.write_text("being written by the first run")
        for _ in range(2):
            said = sentence(call("train", "--resume", out, "--steps", 9, code=1))
            assert f"process {first.pid} is training into {str(out)!r}" in said
        assert half.exists()
        first.kill()
    assert (out / ".lock").read_text() == str(first.pid)
    done = RunFolder(out).snapshots()[0].name.rpartition("_")[2]
    result = call("train", "--resume", out, "--steps", int(done) + 1)
    assert f"after iteration {done}" in result.stderr
    assert not half.exists() and not (out / ".lock").exists()


@pytest.mark.parametrize("name", ["auto", "folder", "file", "older file"])
def test_resume_takes_auto_a_folder_or_a_snapshot(run, few, tmp_path, name):
    out = tmp_path / "runs" / "r"
    shutil.copytree(run, out)
    given = {"auto": "auto", "folder": out, "file": out / "snapshot_iter_7", "older file": out / "snapshot_iter_3"}
    result = call("train", "--steps", 8, "--resume", given[name])
    assert f"after iteration {3 if name == 'older file' else 7}" in result.stderr
    whole = "--arch", "small", "--ema", "0.9", "--out", tmp_path / "whole"  # as run
    call("train", "--data", few, "--steps", 8, *whole, *TINY)
    mine, theirs = (arrays_of(folder / "snapshot_iter_8") for folder in (out, tmp_path / "whole"))
    assert [k for k in mine if k not in CLOCKS and not np.array_equal(mine[k], theirs[k])] == []
    assert "is no snapshot of" in sentence(call("train", "--resume", out / "config.json", "--steps", 9, code=1))


def test_resume_where_every_snapshot_is_damaged(run, tmp_path):
    out = tmp_path / "r"
    shutil.copytree(run, out)
    for file, damage in zip(RunFolder(out).snapshots(), (b"", b"PK\3\4 no", run.joinpath("log").read_bytes())):
        file.write_bytes(damage)
    said = sentence(call("train", "--resume", out, "--steps", 9, code=1))
    assert f"none of the snapshots of {out} is whole" in said and "snapshot_iter_7" in said


def test_autoload_names_what_is_damaged_and_what_does_not_fit(tmp_path):
    def trainer(**kwargs):
        made = make_trainer(minigan, tmp_path, stop=(3, "iteration"), extensions=False)
        made.extend(extensions.snapshot(**kwargs), trigger=(1, "iteration"))
        return made

    trainer().run()
    net = L.Linear(2, 2)
    loading = extensions.snapshot_object(net, "snapshot_iter_{.updater.iteration}", autoload=True)
    with pytest.raises(KeyError, match="snapshot_iter_3 does not fit"):
        loading.initialize(trainer())
    (tmp_path / "snapshot_iter_3").write_bytes(b"")
    resumed = trainer(autoload=True)
    with pytest.warns(UserWarning, match="snapshot_iter_3 is skipped"):
        resumed.get_extension("_Snapshot").initialize(resumed)
    assert resumed.updater.iteration == 2
    for file in tmp_path.glob("snapshot_iter_*"):
        file.write_bytes(b"PK")
    with pytest.raises(ValueError, match="each of the 3 snapshots in .* is damaged"), pytest.warns(UserWarning):
        resumed.get_extension("_Snapshot").initialize(resumed)


def test_an_error_saves_no_state_that_is_spoiled(tmp_path, capsys):
    trainer = make_trainer(minigan, tmp_path, stop=(5, "iteration"), extensions=False)
    saving = extensions.snapshot(snapshot_on_error=True, n_retains=1)
    trainer.extend(saving, trigger=(1, "iteration"))
    trainer.extend(extensions.FailOnNonNumber())

    @minigan.training.make_extension(priority=500)
    def spoil(trainer):
        if trainer.updater.iteration == 3:
            trainer.updater.get_optimizer("main").target.l2.W.array[0, 0] = np.nan

    trainer.extend(spoil)
    with pytest.raises(RuntimeError, match="/l2/W.* in iteration 3"):
        trainer.run(show_loop_exception_msg=False)
    assert "nothing is saved, as updater/model:main/l2/W holds NaN" in capsys.readouterr().err
    assert names(tmp_path) == ["snapshot_iter_2"]
