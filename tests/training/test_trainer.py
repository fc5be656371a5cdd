"""The loop: order of extensions, errors, and a resume that is the uninterrupted run bit for bit."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from training.mlp import make_trainer

from minigan.reporter import report
from minigan.serializers import DictionarySerializer, NpzDeserializer, load_npz, save_npz
from minigan.training import (
    PRIORITY_WRITER,
    Extension,
    Trainer,
    Updater,
    extensions,
    get_trigger,
    make_extension,
    triggers,
)

# `python tests/training/mlp.py chainer OUT` in an environment with Chainer 7.8.1
LOG = [
    {"main/loss": 0.9209749102592468, "main/accuracy": 0.5, "epoch": 0, "iteration": 2},
    {"main/loss": 0.7818661332130432, "main/accuracy": 0.625, "epoch": 0, "iteration": 4},
    {"main/loss": 0.7625719606876373, "main/accuracy": 0.375, "validation/main/loss": 0.7585749626159668,
     "validation/main/accuracy": 0.375, "epoch": 1, "iteration": 6},
    {"main/loss": 0.6403187215328217, "main/accuracy": 0.625, "epoch": 1, "iteration": 8},
    {"main/loss": 0.6582632958889008, "main/accuracy": 0.625, "validation/main/loss": 0.7317689657211304,
     "validation/main/accuracy": 0.5, "epoch": 2, "iteration": 10},
]  # fmt: skip
# the same with `--snapshot tests/training/data/chainer_snapshot.npz`
LOG_AFTER_SNAPSHOT = LOG[:2] + [
    {"main/loss": 0.8074591755867004, "main/accuracy": 0.375, "validation/main/loss": 0.7585749626159668,
     "validation/main/accuracy": 0.375, "epoch": 1, "iteration": 6},
    {"main/loss": 0.6950634121894836, "main/accuracy": 0.5, "epoch": 1, "iteration": 8},
    {"main/loss": 0.6464634537696838, "main/accuracy": 0.625, "validation/main/loss": 0.7310363054275513,
     "validation/main/accuracy": 0.5, "epoch": 2, "iteration": 10},
]  # fmt: skip
CHAINER_SNAPSHOT = Path(__file__).parent / "data" / "chainer_snapshot.npz"
minigan = importlib.import_module("minigan")


def read_log(out, name="log"):
    log = json.loads(Path(out, name).read_text())
    for entry in log:
        assert entry.pop("elapsed_time") > 0
    return log


def assert_log_equals(log, expected):
    assert [list(entry) for entry in log] == [list(entry) for entry in expected]  # the order of the keys, too
    for entry, wanted in zip(log, expected, strict=True):
        assert entry == pytest.approx(wanted, rel=1e-5)


def read_npz(path):
    with np.load(path, allow_pickle=False) as npz:
        return {key: npz[key] for key in npz}


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


class Noting(Extension):
    """Notes what is called, and when."""

    def __init__(self, notes, label):
        self.notes, self.label = notes, label

    def initialize(self, trainer):
        self.notes.append(f"{self.label} initialize")

    def __call__(self, trainer):
        self.notes.append(f"{self.label} {trainer.updater.iteration}")

    def on_error(self, trainer, exception, traceback):
        self.notes.append(f"{self.label} on_error {exception}")

    def finalize(self):
        self.notes.append(f"{self.label} finalize")


def test_log_equals_chainers(tmp_path):
    make_trainer(minigan, tmp_path).run()
    assert_log_equals(read_log(tmp_path), LOG)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "snapshot_iter_10", "snapshot_iter_5"]


def test_snapshot_has_chainers_keys_dtypes_and_shapes(tmp_path):
    make_trainer(minigan, tmp_path, stop=(5, "iteration")).run()
    ours, chainers = read_npz(tmp_path / "snapshot_iter_5"), read_npz(CHAINER_SNAPSHOT)
    assert {key for key in ours if not key.startswith("random/")} == set(chainers)
    exact = ("extension_triggers", "stop_trigger", "updater/it", "updater/optimizer:main/t", "extensions/LogReport/_tr")
    for key, theirs in chainers.items():
        if key != "extensions/LogReport/_log":  # its length is that of the times in it
            assert (ours[key].dtype, ours[key].shape) == (theirs.dtype, theirs.shape), key
        if key.startswith(exact):
            assert same(ours[key], theirs), key
        elif key.startswith(("updater/model", "updater/optimizer")):
            np.testing.assert_allclose(ours[key], theirs, rtol=1e-4, atol=1e-6, err_msg=key)
    assert ours["stop_trigger/previous_iteration"] == 4  # asked before the iteration, and so behind by one


def test_snapshot_of_chainer_trains_on(tmp_path):
    trainer = make_trainer(minigan, tmp_path)
    with pytest.warns(UserWarning, match="no state of the random generators"):
        load_npz(CHAINER_SNAPSHOT, trainer)
    np.random.seed(7)
    trainer.run()
    assert_log_equals(read_log(tmp_path), LOG_AFTER_SNAPSHOT)


def test_model_comes_out_of_a_snapshot():
    trainer = make_trainer(minigan, "unused", seed=1)
    model = trainer.updater.get_optimizer("main").target
    load_npz(CHAINER_SNAPSHOT, model, path="updater/model:main/")
    assert same(model.l1.W.array, read_npz(CHAINER_SNAPSHOT)["updater/model:main/l1/W"])


def extend_fully(trainer):
    """Extensions that a resume could lose or double: behind the snapshot by priority or order, or drawing numbers."""
    model = trainer.updater.get_optimizer("main").target
    trainer.extend(extensions.LogReport(trigger=(3, "iteration"), filename="late"), name="late", priority=-200)
    trainer.extend(extensions.snapshot(filename="more_{.updater.iteration}"), trigger=(2, "iteration"))
    trainer.extend(extensions.snapshot_object(model, "model_{.updater.iteration}"), trigger=(5, "iteration"))
    trainer.extend(extensions.PlotReport("main/loss", trigger=(7, "iteration")))
    trainer.extend(lambda trainer: np.random.rand(3), name="draw")
    trainer.extend(make_extension(initializer=lambda trainer: np.random.rand(5))(lambda trainer: None), name="begin")


@pytest.mark.parametrize("first", ["snapshot_iter_5", "snapshot_iter_10", "more_4", "more_10"])
def test_resume_is_exact(tmp_path, first):
    straight = make_trainer(minigan, tmp_path / "straight", stop=(12, "iteration"))
    extend_fully(straight)
    straight.run()

    begun = make_trainer(minigan, tmp_path / "resumed", stop=(int(first.split("_")[-1]), "iteration"))
    extend_fully(begun)
    begun.run()
    resumed = make_trainer(minigan, tmp_path / "resumed", stop=(12, "iteration"), seed=99)
    extend_fully(resumed)
    load_npz(tmp_path / "resumed" / first, resumed)
    resumed.run()

    names = sorted(path.name for path in (tmp_path / "straight").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "resumed").iterdir())
    assert {"log", "late", "model_5", "model_10", "more_12", "plot.png", "snapshot_iter_10"} <= set(names)
    for name in names:
        a, b = tmp_path / "straight" / name, tmp_path / "resumed" / name
        if name in ("log", "late"):
            assert read_log(a.parent, name) == read_log(b.parent, name)
        elif name == "plot.png":
            assert a.read_bytes() == b.read_bytes()
        else:
            first_content, second_content = read_npz(a), read_npz(b)
            assert set(first_content) == set(second_content)
            for key in first_content:
                if key != "_snapshot_elapsed_time" and not key.endswith("_log"):
                    assert same(first_content[key], second_content[key]), (name, key)


def test_elapsed_time_goes_on_after_resume(tmp_path):
    trainer = make_trainer(minigan, tmp_path, stop=(5, "iteration"))
    with pytest.raises(RuntimeError, match="has not been started"):
        _ = trainer.elapsed_time
    trainer.run()
    elapsed = trainer.elapsed_time
    assert 0 < read_npz(tmp_path / "snapshot_iter_5")["_snapshot_elapsed_time"] <= elapsed
    assert elapsed == trainer.elapsed_time  # the clock stands still after the run
    arrays = read_npz(tmp_path / "snapshot_iter_5")
    arrays["_snapshot_elapsed_time"] = np.array(1000.0)
    resumed = make_trainer(minigan, tmp_path)
    NpzDeserializer(arrays).load(resumed)
    resumed.run()
    assert resumed.elapsed_time > 1000


def test_order_of_extensions(tmp_path):
    trainer = make_trainer(minigan, tmp_path, stop=(2, "iteration"), extensions=False)
    notes = []
    trainer.extend(Noting(notes, "a"))
    trainer.extend(Noting(notes, "b"), name="b", priority=300, trigger=(2, "iteration"))
    trainer.extend(Noting(notes, "c"), name="b", call_before_training=True)
    trainer.extend(lambda trainer: notes.append("plain"), trigger=(2, "iteration"), invoke_before_training=True)
    assert list(trainer._extensions) == ["Noting", "b", "b_1", "<lambda>"]
    assert trainer.get_extension("b_1").name == "b_1"
    trainer.run()
    assert notes == [
        "b initialize", "a initialize", "c initialize", "c 0", "plain", "a 1", "c 1", "b 2", "a 2", "c 2", "plain",
        "b finalize", "a finalize", "c finalize",
    ]  # fmt: skip


def test_not_before_training_when_resumed(tmp_path):
    make_trainer(minigan, tmp_path, stop=(5, "iteration")).run()
    trainer = make_trainer(minigan, tmp_path, stop=(6, "iteration"))
    notes = []
    load_npz(tmp_path / "snapshot_iter_5", trainer)
    trainer.extend(Noting(notes, "a"), call_before_training=True)
    trainer.run()
    assert not trainer.is_before_training
    assert notes == ["a initialize", "a 6", "a finalize"]


def test_reports_before_training_make_a_row_and_a_point(tmp_path):
    # As in Chainer 7.8.1: what an extension reports before the first iteration stands in the log as iteration 0.
    plot = extensions.PlotReport(["validation/main/loss"], "iteration", trigger=(5, "iteration"))
    trainer = make_trainer(minigan, tmp_path, stop=(5, "iteration"))

    @make_extension(trigger=(1, "iteration"), priority=PRIORITY_WRITER)
    def validate(trainer):
        report({"validation/main/loss": 3.0 + trainer.updater.iteration})

    log = extensions.LogReport(trigger=(5, "iteration"), filename=None)
    for extension in (validate, log, plot):
        trainer.extend(extension, call_before_training=True)
    trainer.run()
    assert [(row["iteration"], row["validation/main/loss"]) for row in log.log] == [(0, 3.0), (5, 6.0)]
    assert "main/loss" not in log.log[0] and "main/loss" in log.log[1]
    written = DictionarySerializer()
    plot.serialize(written)
    assert json.loads(written.target["_plot_plot.png"][()]) == {"validation/main/loss": [[0, 3.0], [5, 6.0]]}


RUN = """
import sys, time
from training.mlp import make_trainer
import minigan
trainer = make_trainer(minigan, sys.argv[1], extensions=False)
trainer.extend(lambda trainer: (print("begun", flush=True), time.sleep(60)), name="wait")
trainer.run()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no fcntl")
def test_two_processes_do_not_train_into_one_folder(tmp_path):
    tests = str(Path(__file__).parents[1])
    other = subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path)], stdout=subprocess.PIPE, cwd=tests)
    try:
        assert other.stdout.readline() == b"begun\n"
        with pytest.raises(FileExistsError, match=f"process {other.pid} is training into"):
            make_trainer(minigan, tmp_path, extensions=False).run()
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
    assert (tmp_path / ".lock").read_text() == str(other.pid)  # what a killed process leaves bars nobody
    (tmp_path / ".snapshot_iter_1.abcd_123.tmp").write_text("half")  # nor does it stay for ever
    os.utime(tmp_path / ".snapshot_iter_1.abcd_123.tmp", (0, 0))
    trainer = make_trainer(minigan, tmp_path, stop=(2, "iteration"), extensions=False)
    trainer.extend(lambda trainer: make_trainer(minigan, tmp_path, stop=(1, "iteration"), extensions=False).run(), "in")
    trainer.run()
    make_trainer(minigan, tmp_path, stop=(1, "iteration"), extensions=False).run()
    assert list(tmp_path.iterdir()) == []


def test_resume_at_the_end_stops_at_once(tmp_path):
    make_trainer(minigan, tmp_path, stop=(5, "iteration")).run()
    trainer = make_trainer(minigan, tmp_path, stop=(5, "iteration"))
    load_npz(tmp_path / "snapshot_iter_5", trainer)
    trainer.run()
    assert trainer.updater.iteration == 5


def boom(trainer):
    if trainer.updater.iteration == 2:
        raise ValueError("boom")


@pytest.mark.parametrize("show", [True, False])
def test_exception_is_raised_again_and_everything_finalised(tmp_path, capsys, show):
    trainer = make_trainer(minigan, tmp_path, extensions=False)
    notes = []
    trainer.extend(Noting(notes, "a"))
    trainer.extend(boom)
    trainer.extend(Noting(notes, "late"), name="late")
    with pytest.raises(ValueError, match="boom"):
        trainer.run(show_loop_exception_msg=show)
    assert notes[2:] == [
        "a 1", "late 1", "a 2", "a on_error boom", "late on_error boom", "a finalize", "late finalize",
    ]  # fmt: skip
    told = "Exception in main training loop: boom\nIt was raised in the extension 'boom'.\n"
    assert (told in capsys.readouterr().err) == show
    with pytest.raises(RuntimeError, match="second time"):
        trainer.run()


def test_keyboard_interrupt_finalises_without_on_error(tmp_path):
    trainer = make_trainer(minigan, tmp_path, extensions=False)
    notes = []

    def interrupt(trainer):
        raise KeyboardInterrupt

    trainer.extend(Noting(notes, "a"))
    trainer.extend(interrupt)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert notes == ["a initialize", "a 1", "a finalize"]


def test_one_failing_finalize_does_not_stop_the_others(tmp_path):
    trainer = make_trainer(minigan, tmp_path, stop=(1, "iteration"), extensions=False)
    notes = []

    def fail():
        raise OSError("full")

    trainer.extend(make_extension(finalizer=fail)(lambda trainer: None))
    trainer.extend(Noting(notes, "a"))
    with pytest.raises(OSError, match="full"):
        trainer.run()
    assert notes[-1] == "a finalize"


def test_failing_on_error_does_not_hide_the_error(tmp_path, capsys):
    trainer = make_trainer(minigan, tmp_path, extensions=False)

    def fail(trainer, exception, traceback):
        raise OSError("full")

    trainer.extend(make_extension(on_error=fail)(boom))
    with pytest.raises(ValueError, match="boom"):
        trainer.run()
    assert "full" in capsys.readouterr().err


def test_extensions_argument_and_observation(tmp_path):
    base = make_trainer(minigan, tmp_path, extensions=False)
    seen = []
    trainer = Trainer(
        base.updater, (1, "iteration"), out=str(tmp_path / "new" / "folder"),
        extensions=[make_extension(default_name="look")(lambda trainer: seen.append(dict(trainer.observation)))],
    )  # fmt: skip
    trainer.run()
    assert set(seen[0]) == {"main/loss", "main/accuracy"}
    assert trainer.get_extension("look") and (tmp_path / "new" / "folder").is_dir()


def test_make_extension():
    @make_extension(trigger=(2, "epoch"), priority=7)
    def function(trainer):
        return "called"

    assert (function.trigger, function.priority, function.default_name) == ((2, "epoch"), 7, "function")
    assert function(None) == "called"
    assert (Extension().trigger, Extension().priority, Extension().default_name) == ((1, "iteration"), 100, "Extension")
    with pytest.raises(TypeError, match="no argument 'bla'"):
        make_extension(bla=3)
    with pytest.raises(ValueError, match="no argument 'invoke_before_training'"):  # the class that Chainer 7.8.1 raises
        make_extension(invoke_before_training=True)
    with pytest.raises(NotImplementedError, match="__call__"):
        Extension()(None)


def test_wrong_arguments(tmp_path):
    trainer = make_trainer(minigan, tmp_path, extensions=False)
    with pytest.raises(ValueError, match="extension zzz not found"):
        trainer.get_extension("zzz")
    with pytest.raises(ValueError, match="'training'"):
        trainer.extend(boom, name="training")
    with pytest.raises(TypeError, match="no argument 'bla'"):
        trainer.extend(boom, bla=1)
    with pytest.raises(TypeError, match="cannot be called"):
        trainer.extend(3)
    with pytest.raises(TypeError, match="wanted a callable or a pair"):
        Trainer(trainer.updater, 5)
    trainer.updater.get_optimizer("main").target = None
    with pytest.raises(ValueError, match="optimizer 'main' has no model"):
        Trainer(trainer.updater)


class Clock:
    """A trainer, as far as a trigger looks at it."""

    def __init__(self):
        self.updater = Updater()
        self.at(0)

    def at(self, iteration, per_epoch=5):
        self.updater.iteration = iteration
        self.updater.epoch_detail = iteration / per_epoch
        self.updater.previous_epoch_detail = (iteration - 1) / per_epoch
        return self


@pytest.mark.parametrize(
    "period, unit, fires",
    [(3, "iteration", [3, 6, 9, 12]), (1, "epoch", [5, 10]), (2, "epoch", [10]), (0.5, "epoch", [3, 5, 8, 10])],
)
def test_interval_trigger(period, unit, fires):
    clock, trigger = Clock(), get_trigger((period, unit))
    assert [i for i in range(13) if trigger(clock.at(i))] == fires
    assert trigger.get_training_length() == (period, unit)


def test_interval_trigger_that_is_asked_seldom_fires_late():
    clock, trigger = Clock(), triggers.IntervalTrigger(3, "iteration")
    assert [i for i in range(0, 13, 2) if trigger(clock.at(i))] == [4, 6, 10, 12]


@pytest.mark.parametrize("unit", ["iteration", "epoch"])
def test_trigger_that_is_not_in_the_snapshot_does_not_fire_at_once(tmp_path, unit):
    save_npz(tmp_path / "empty", Extension())
    trigger = triggers.IntervalTrigger(10, unit)
    with pytest.warns(UserWarning, match="the file has no previous_"):
        load_npz(tmp_path / "empty", trigger)
    clock = Clock()
    expected = {"iteration": [50, 60, 70, 80, 90, 100], "epoch": [50, 100]}
    assert [i for i in range(46, 102) if trigger(clock.at(i))] == expected[unit]


def test_get_trigger():
    assert get_trigger(None)(Clock()) is False
    assert get_trigger(boom) is boom
    with pytest.raises(ValueError, match="wanted 'epoch' or 'iteration'"):
        get_trigger((1, "hour"))
    with pytest.raises(ValueError, match="above 0"):
        get_trigger((0, "epoch"))
    with pytest.raises(TypeError, match="get_trigger: trigger is 'x'"):
        get_trigger("x")
