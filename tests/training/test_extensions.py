"""The extensions one by one: texts and files as Chainer writes them."""

import errno
import io
import json
import os
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from training.mlp import make_trainer

import minigan
from minigan.iterators import SerialIterator
from minigan.serializers import DictionarySerializer, NpzDeserializer, load_npz, save_npz
from minigan.serializers.npz import FileError
from minigan.training import extensions, make_extension
from minigan.training.extensions import snapshot_writers


def trainer_of(tmp_path, stop=(10, "iteration")):
    return make_trainer(minigan, tmp_path, stop=stop, extensions=False)


def file_names(path):
    return sorted(file.name for file in path.iterdir())


def boom(trainer):
    if trainer.updater.iteration == 2:
        raise ValueError("boom")


# LogReport


def test_log_report_keys_postprocess_and_filename(tmp_path):
    trainer = trainer_of(tmp_path)
    trainer.extend(
        extensions.LogReport(["main/loss", "none"], postprocess=lambda d: d.update(extra=1.0), filename="l/{epoch}")
    )
    trainer.run()
    assert file_names(tmp_path / "l") == ["1", "2"]
    log = trainer.get_extension("LogReport").log
    assert [list(entry) for entry in log] == [["main/loss", "epoch", "iteration", "elapsed_time", "extra"]] * 2
    assert (tmp_path / "l" / "2").read_text() == json.dumps(log, indent=4)


def test_log_report_without_file(tmp_path):
    trainer = trainer_of(tmp_path)
    trainer.extend(extensions.LogReport(log_name=None))
    trainer.extend(extensions.LogReport(log_name="old"), name="old")
    trainer.extend(extensions.LogReport(filename="new", log_name="old"), name="new")
    trainer.run()
    assert file_names(tmp_path) == ["new", "old"] and len(trainer.get_extension("LogReport").log) == 2


def test_log_report_writes_what_json_writes_at_every_moment(tmp_path):
    trainer = trainer_of(tmp_path)
    log, texts = extensions.LogReport(trigger=(1, "iteration"), postprocess=lambda d: d.update(x={"a\n": [1, {}]})), []

    def look(trainer):
        texts.append((tmp_path / "log").read_text())
        assert texts[-1] == json.dumps(log.log, indent=4)
        log.log[-1]["later"] = trainer.updater.iteration  # extensions do this, to the entry that is the last one

    trainer.extend(log)
    trainer.extend(look)
    trainer.run()
    assert len(texts) == 10 and json.loads(texts[-1])[8]["later"] == 9


def test_work_gets_its_share_of_the_time(monkeypatch):
    clock = SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)
    monkeypatch.setattr(extensions.util, "time", clock)
    ration, done = extensions.util.Ration(1 / 4), []
    for second in range(60):
        clock.now = max(clock.now, float(second))
        if ration.allows():
            done.append(second)
            with ration:
                clock.now += 2
    assert done == [0, 10, 20, 30, 40, 50]  # two seconds of work, then at least eight of none


@pytest.mark.parametrize("failing", [False, True])
def test_a_long_log_and_plot_are_held_back_but_not_lost(tmp_path, monkeypatch, failing):
    for module in (extensions.log_report, extensions.plot_report):
        monkeypatch.setattr(module, "_ALWAYS", 3)
    monkeypatch.setattr(extensions.util.Ration, "allows", lambda self: trainer.updater.iteration == 6)
    trainer, lengths, drawn = trainer_of(tmp_path), [], []
    each = {"trigger": (1, "iteration")}
    trainer.extend(extensions.LogReport(**each))
    trainer.extend(extensions.LogReport(filename="log_{iteration}", **each), name="many")
    plot = extensions.PlotReport(
        "main/loss", postprocess=lambda f, a, s: drawn.append(len(plot._points["main/loss"])), **each
    )
    trainer.extend(plot)
    own = extensions.LogReport(filename="own", **each)
    trainer.extend(extensions.PrintReport(["iteration"], own, out=io.StringIO()), **each)
    trainer.extend(lambda trainer: lengths.append(len(json.loads((tmp_path / "log").read_text()))), name="look")
    if failing:
        trainer.extend(lambda trainer: 1 / (8 - trainer.updater.iteration), name="boom", priority=0)
        with pytest.raises(ZeroDivisionError):
            trainer.run(show_loop_exception_msg=False)
    else:
        trainer.run()
    end = 8 if failing else 10
    assert lengths == [1, 2, 3, 3, 3, 6, 6, 6, 6, 6][:end] and drawn == [1, 2, 3, 6, end]
    assert (tmp_path / "log").read_text() == json.dumps(trainer.get_extension("LogReport").log, indent=4)
    assert (tmp_path / "own").read_text() == json.dumps(own.log, indent=4)
    assert len(json.loads((tmp_path / "log").read_text())) == end
    assert {f"log_{i}" for i in range(1, end + 1)} <= set(file_names(tmp_path))


# PrintReport


def test_print_report_text(tmp_path):
    trainer, out = trainer_of(tmp_path, (2, "epoch")), io.StringIO()

    def fix(entry):
        entry.update({"main/loss": 0.57687835, "elapsed_time": 0.459986496999818, "who": "me"})

    trainer.extend(extensions.LogReport(postprocess=fix))
    entries = ["epoch", "iteration", "main/loss", "nothing/which/is/long", "elapsed_time"]
    trainer.extend(extensions.PrintReport(entries, out=out))
    words = io.StringIO()
    trainer.extend(extensions.PrintReport(["who"], out=words), name="words")
    trainer.run()
    # a header and rows of Chainer 7.8.1 with these values
    assert out.getvalue() == (
        "epoch       iteration   main/loss   nothing/which/is/long  elapsed_time\n"
        "\x1b[J1           5           0.576878                           0.459986      \n"
        "\x1b[J2           10          0.576878                           0.459986      \n"
    )
    assert words.getvalue() == "who       \n\x1b[Jme          \n\x1b[Jme          \n"


def test_print_report_with_a_log_report_of_its_own(tmp_path, capsys):
    trainer = trainer_of(tmp_path)
    trainer.extend(extensions.PrintReport(["iteration"], extensions.LogReport(trigger=(4, "iteration"))))
    trainer.extend(extensions.snapshot(), trigger=(10, "iteration"))
    trainer.run()
    assert capsys.readouterr().out == "iteration \n\x1b[J4           \n\x1b[J8           \n"
    with np.load(tmp_path / "snapshot_iter_10") as npz:
        assert "extensions/PrintReport/_log_report/_log" in npz


def test_print_report_errors(tmp_path):
    trainer = trainer_of(tmp_path)
    trainer.extend(extensions.PrintReport(["epoch"]))
    with pytest.raises(ValueError, match="extension LogReport not found"):
        trainer.run(show_loop_exception_msg=False)
    with pytest.raises(TypeError, match="wanted a list of keys"):
        extensions.PrintReport("epoch")


class Notebook:
    """IPython as it is seen from within a notebook: keeps what its one display shows."""

    def __init__(self, kernel=True):
        self.shown, self.updates = None, 0
        self.display = SimpleNamespace(HTML=str, display=self.show)
        self.get_ipython = lambda: SimpleNamespace(kernel=1) if kernel else None

    def show(self, text, display_id):
        assert display_id is True and self.shown is None
        self.shown = text
        return SimpleNamespace(update=self.update)

    def update(self, text):
        self.shown, self.updates = text, self.updates + 1


def test_print_report_notebook_is_one_table_that_grows(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", notebook := Notebook())
    trainer, out = trainer_of(tmp_path, (10, "iteration")), io.StringIO()
    trainer.extend(extensions.LogReport(trigger=(5, "iteration"), postprocess=lambda entry: entry.update(a="<&>")))
    trainer.extend(extensions.PrintReportNotebook(["iteration", "a", "nothing"], out=out), trigger=(1, "iteration"))
    trainer.run()
    head = "<table><tr><th>iteration</th><th>a</th><th>nothing</th></tr>"
    rows = "<tr><td>5</td><td>&lt;&amp;&gt;</td><td></td></tr><tr><td>10</td><td>&lt;&amp;&gt;</td><td></td></tr>"
    assert notebook.shown == f"{head}{rows}</table>" and out.getvalue() == ""
    assert notebook.updates == 2  # not in iterations without a new row
    trainer.get_extension("LogReport").log[:] = [{"iteration": i} for i in range(1000)]
    trainer.get_extension("PrintReportNotebook")(trainer)
    assert notebook.shown.count("<tr>") == 202 and "<td>...</td>" in notebook.shown and "<td>999</td>" in notebook.shown


def test_print_report_notebook_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", Notebook(kernel=False))
    trainer, out = trainer_of(tmp_path, (1, "epoch")), io.StringIO()
    trainer.extend(extensions.LogReport())
    trainer.extend(extensions.PrintReportNotebook(["iteration"], out=out))
    trainer.run()
    assert out.getvalue() == "iteration \n\x1b[J5           \n"
    monkeypatch.setitem(sys.modules, "IPython", None)
    with pytest.raises(ImportError, match="IPython is missing"):
        extensions.PrintReportNotebook(["iteration"])


# ProgressBar

SPEED = r" *[0-9.e+]+ iters/sec\."


def test_progress_bar_text(tmp_path):
    trainer, out = trainer_of(tmp_path, (7, "iteration")), io.StringIO()
    trainer.extend(extensions.ProgressBar(update_interval=2, out=out))
    trainer.run()
    blocks = out.getvalue().split("\x1b[J")
    assert blocks[0] == "" and blocks[-1] == "" and len(blocks) == 5
    for block, bars in zip(  # the bars are those of Chainer 7.8.1
        blocks[1:],
        [
            "     total [##############....................................] 28.57%\n"
            "this epoch [####################..............................] 40.00%\n"
            "         2 iter, 0 epoch / 7 iterations\n",
            "     total [############################......................] 57.14%\n"
            "this epoch [########################################..........] 80.00%\n"
            "         4 iter, 0 epoch / 7 iterations\n",
            "     total [##########################################........] 85.71%\n"
            "this epoch [#########.........................................] 20.00%\n"
            "         6 iter, 1 epoch / 7 iterations\n",
        ],
        strict=False,
    ):
        rest = SPEED + r" Estimated time to finish: 0:00:0[0-9.]+\n\x1b\[4A"
        assert block.startswith(bars) and re.fullmatch(rest, block[len(bars) :])


def test_rows_take_the_place_of_the_bar(tmp_path):
    trainer, out = trainer_of(tmp_path, (4, "iteration")), io.StringIO()
    trainer.extend(extensions.LogReport(trigger=(2, "iteration")))
    trainer.extend(extensions.PrintReport(["iteration"], out=out))
    trainer.extend(extensions.ProgressBar(update_interval=1, out=out))
    trainer.run()
    screen, row = [], 0
    for piece in re.split(r"(\x1b\[J|\x1b\[4A|\n)", out.getvalue()):
        if piece == "\x1b[J":
            del screen[row:]
        elif piece == "\x1b[4A":
            row -= 4
        elif piece == "\n":
            row += 1
        elif piece:
            screen[row : row + 1] = [piece.rstrip()]
    assert screen == ["iteration", "2", "4"]


def test_progress_bar_of_epochs_and_of_unknown_length(tmp_path, capsys):
    trainer, out = trainer_of(tmp_path, lambda trainer: trainer.updater.iteration == 6), io.StringIO()
    trainer.extend(extensions.ProgressBar((2, "epoch"), update_interval=5, bar_length=10, out=out))
    trainer.extend(extensions.ProgressBar(update_interval=6), name="unknown")
    trainer.run()
    assert "     total [#####.....] 50.00%\n" in out.getvalue()
    assert "         5 iter, 1 epoch / 2 epochs\n" in out.getvalue()
    drawn = capsys.readouterr().out
    assert "total" not in drawn
    assert re.search(r"this epoch \[#{9,10}\.{40,41}\] 20.00%\n         6 iter, 1 epoch\n" + SPEED, drawn)


# snapshot


def test_snapshot_object_and_names(tmp_path):
    trainer = trainer_of(tmp_path)
    model = trainer.updater.get_optimizer("main").target
    trainer.extend(extensions.snapshot_object(model, "sub/model_{.updater.epoch:03}.npz"))
    trainer.extend(extensions.snapshot(filename=lambda trainer: f"all_{trainer.updater.iteration}"))
    trainer.run()
    assert file_names(tmp_path) == ["all_10", "all_5", "sub"]
    assert file_names(tmp_path / "sub") == ["model_001.npz", "model_002.npz"]
    assert list(trainer._extensions) == ["_Snapshot", "_Snapshot_1"]
    other = trainer_of(tmp_path).updater.get_optimizer("main").target
    load_npz(tmp_path / "sub" / "model_002.npz", other)
    assert (other.l1.W.array == model.l1.W.array).all()


def test_snapshot_with_savefun_writer_and_condition(tmp_path):
    trainer, written = trainer_of(tmp_path, (5, "iteration")), []
    model = trainer.updater.get_optimizer("main").target
    trainer.extend(extensions.snapshot_object(model, "text", lambda path, link: open(path, "w").close()))
    trainer.extend(extensions.snapshot(writer=lambda name, folder, arrays: written.append((name, folder, arrays))))
    trainer.extend(extensions.snapshot(filename="never", condition=lambda: False))
    trainer.run()
    assert file_names(tmp_path) == ["text"]
    ((name, folder, arrays),) = written
    assert (name, folder) == ("snapshot_iter_5", str(tmp_path)) and arrays["updater/iteration"] == 5
    with pytest.raises(TypeError, match="both given"):
        extensions.snapshot(lambda path, trainer: None, writer=print)
    with pytest.raises(TypeError, match="filename must be a string"):
        extensions.snapshot(filename=str, autoload=True)


WRITERS = ["SimpleWriter", "ThreadWriter", "ProcessWriter", "ThreadQueueWriter", "ProcessQueueWriter"]


@pytest.mark.parametrize("name", WRITERS)
def test_snapshot_writers_write_what_was_there_when_they_were_called(tmp_path, name):
    for writer in ("SimpleWriter", name):
        trainer = trainer_of(tmp_path / writer, (5, "iteration"))
        trainer.extend(
            extensions.snapshot(writer=getattr(snapshot_writers, writer)(), n_retains=2), trigger=(1, "iteration")
        )
        trainer.run()
    assert file_names(tmp_path / name) == ["snapshot_iter_4", "snapshot_iter_5"]
    with np.load(tmp_path / "SimpleWriter" / "snapshot_iter_4") as a, np.load(tmp_path / name / "snapshot_iter_4") as b:
        assert sorted(a) == sorted(b)
        assert all((a[key] == b[key]).all() for key in a if key.startswith(("updater/model", "random/")))


def refuse(path, arrays):
    raise OSError("no room")


@pytest.mark.parametrize("name", WRITERS)
def test_snapshot_writers_tell_of_their_errors(tmp_path, name):
    trainer = trainer_of(tmp_path, (5, "iteration"))
    trainer.extend(extensions.snapshot(writer=getattr(snapshot_writers, name)(refuse)), trigger=(3, "iteration"))
    with pytest.raises((OSError, RuntimeError), match="no room"):
        trainer.run(show_loop_exception_msg=False)
    assert file_names(tmp_path) == []


def test_snapshot_writer_for_each_call_and_for_a_queue(tmp_path):
    class Worker:
        def __init__(self, notes):
            self.start, self.join = (lambda: notes.append("start")), (lambda: notes.append("join"))

    notes, puts, taken = [], [], []
    each = snapshot_writers.StandardWriter()
    each.create_worker = lambda *args: Worker(notes)
    each("a", tmp_path, {})
    each("b", tmp_path, {})
    each.finalize()
    assert notes == ["start", "join", "start", "join"]

    class Queued(snapshot_writers.QueueWriter):
        def create_queue(self):
            return SimpleNamespace(put=puts.append, get=lambda: puts.pop(0), task_done=lambda: taken.append("done"),
                                   join=lambda: notes.append("join the queue"))  # fmt: skip

        def create_consumer(self, q):
            return Worker(notes)

    writer = Queued(task=lambda *args: taken.append(args[0]))
    writer("a", tmp_path, {})
    writer.finalize()
    writer.finalize()
    assert [put and put[1] for put in puts] == ["a", None]
    writer.consume(writer._queue)
    assert taken == ["a", "done", "done"] and notes[4:] == ["start", "join", "join the queue"]


def test_snapshot_of_a_savefun_gets_a_dict_of_arrays(tmp_path):
    h5py = pytest.importorskip("h5py")
    trainer = trainer_of(tmp_path, (5, "iteration"))
    trainer.extend(extensions.snapshot(minigan.serializers.save_hdf5, "all.h5"))
    trainer.extend(extensions.snapshot(lambda path, arrays: save_npz(path, arrays), "sub/all.npz"))
    trainer.run()
    with h5py.File(tmp_path / "all.h5") as file:
        assert file["updater/iteration"][()] == 5 and "l1" in file["updater/model:main"]
    other = trainer_of(tmp_path)
    load_npz(tmp_path / "sub" / "all.npz", other)
    assert other.updater.iteration == 5


def test_snapshot_that_fails_leaves_the_old_file(tmp_path):
    (tmp_path / "model").write_text("old")
    trainer = trainer_of(tmp_path, (5, "iteration"))

    def fail(path, link):
        with open(path, "w") as file:
            file.write("half")
        raise OSError("full")

    trainer.extend(extensions.snapshot_object(trainer.updater.get_optimizer("main").target, "model", fail))
    with pytest.raises(OSError, match="full"):
        trainer.run(show_loop_exception_msg=False)
    assert (tmp_path / "model").read_text() == "old" and file_names(tmp_path) == ["model"]


def test_snapshot_n_retains(tmp_path):
    (tmp_path / "snapshot_other").write_text("mine")
    trainer = trainer_of(tmp_path)
    trainer.extend(extensions.snapshot(n_retains=2), trigger=(1, "iteration"))
    trainer.run()
    assert file_names(tmp_path) == ["snapshot_iter_10", "snapshot_iter_9", "snapshot_other"]


def test_snapshot_autoload(tmp_path):
    for stop in (4, 6):
        trainer, begins = trainer_of(tmp_path, (stop, "iteration")), []
        trainer.extend(extensions.LogReport(trigger=(1, "iteration")))
        trainer.extend(extensions.snapshot(autoload=True), trigger=(2, "iteration"))

        def see(trainer, begins=begins):
            begins.append(trainer.updater.iteration)

        trainer.extend(make_extension(initializer=see)(see))
        trainer.run()
    assert begins == [4, 5, 6] and len(trainer.get_extension("LogReport").log) == 6


def test_snapshot_autoload_skips_what_is_damaged(tmp_path):
    trainer = trainer_of(tmp_path, (4, "iteration"))
    trainer.extend(extensions.snapshot(), trigger=(2, "iteration"))
    trainer.run()
    with open(tmp_path / "snapshot_iter_4", "r+b") as file:
        file.truncate(900)
    resumed = trainer_of(tmp_path, (3, "iteration"))
    resumed.extend(extensions.snapshot(autoload=True), trigger=(2, "iteration"))
    with pytest.warns(UserWarning, match="snapshot_iter_4 is skipped, and the file before it is taken"):
        resumed.run()
    (tmp_path / "snapshot_iter_2").write_bytes(b"")
    last = trainer_of(tmp_path)
    last.extend(extensions.snapshot(autoload=True))
    with pytest.warns(UserWarning, match="is skipped"), pytest.raises(FileError, match="is not an npz file"):
        last.run(show_loop_exception_msg=False)


@pytest.mark.parametrize("how", ["full", "read only", "vanished"])
def test_snapshot_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch, how):
    trainer = trainer_of(tmp_path / "out", (4, "iteration"))
    trainer.extend(extensions.snapshot(), trigger=(2, "iteration"))

    def harm(trainer):
        if trainer.updater.iteration != 4:
            return
        if how == "full":
            monkeypatch.setattr(os, "fsync", full)
        elif how == "read only":
            os.chmod(tmp_path / "out", 0o500)
        else:
            os.rename(tmp_path / "out", tmp_path / "moved")
            (tmp_path / "out").write_text("a file")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    if how == "read only" and os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    trainer.extend(harm)
    with pytest.raises(OSError, match="snapshot_iter_4|out"):
        trainer.run(show_loop_exception_msg=False)
    monkeypatch.undo()
    folder = tmp_path / ("moved" if how == "vanished" else "out")
    os.chmod(folder, 0o700)
    assert [name for name in file_names(folder) if name != ".lock"] == ["snapshot_iter_2"]
    load_npz(folder / "snapshot_iter_2", trainer_of(tmp_path))


@pytest.mark.parametrize("on_error", [True, False])
def test_snapshot_on_error(tmp_path, on_error):
    trainer = trainer_of(tmp_path)
    trainer.extend(extensions.snapshot(snapshot_on_error=on_error))
    trainer.extend(boom)
    with pytest.raises(ValueError, match="boom"):
        trainer.run(show_loop_exception_msg=False)
    assert file_names(tmp_path) == (["snapshot_iter_2"] if on_error else [])


# PlotReport


def test_plot_report(tmp_path):
    trainer, drawn = trainer_of(tmp_path), []

    def look(figure, axes, summary):
        drawn.append([line.get_xydata().tolist() for line in axes.get_lines()])

    keys = ["main/loss", "main/accuracy", "not/reported"]
    trainer.extend(extensions.PlotReport(keys, "epoch", postprocess=look, filename="epochs.png"))
    trainer.extend(extensions.PlotReport("main/loss", trigger=(3, "iteration"), file_name="sub/steps.png"), "steps")
    trainer.extend(extensions.LogReport())
    trainer.run()
    assert extensions.PlotReport.available()
    for path in (tmp_path / "epochs.png", tmp_path / "sub" / "steps.png"):
        assert path.read_bytes().startswith(b"\x89PNG")
    log = trainer.get_extension("LogReport").log
    assert drawn[-1] == [[[entry["epoch"], entry[key]] for entry in log] for key in keys[:2]]

    stored = DictionarySerializer()  # as Chainer stores it, with a list for what was never reported
    trainer.get_extension("PlotReport").serialize(stored)
    points = json.loads(str(stored.target["_plot_epochs.png"]))
    stored.target["_plot_epochs.png"] = np.asarray(json.dumps({**points, "not/reported": []}))
    trainer.get_extension("PlotReport").serialize(NpzDeserializer(stored.target))
    trainer.get_extension("PlotReport")._draw(tmp_path / "again.png", None)
    assert drawn[-1] == drawn[-2] and (tmp_path / "again.png").exists()


def test_plot_report_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    trainer = trainer_of(tmp_path, (5, "iteration"))
    trainer.extend(extensions.PlotReport(["main/loss"]))
    with pytest.warns(UserWarning, match="Matplotlib is not installed"):
        trainer.run()
    assert file_names(tmp_path) == []


# Evaluator


def make_evaluator(trainer, **kwargs):
    rng = np.random.RandomState(3)
    data = minigan.datasets.TupleDataset(rng.randn(10, 4).astype(np.float32), rng.randint(0, 2, 10).astype(np.int32))
    iterator = SerialIterator(data, 4, repeat=False, shuffle=False)
    return extensions.Evaluator(iterator, trainer.updater.get_optimizer("main").target, **kwargs), data


def test_evaluator_is_the_mean_over_batches_in_test_mode(tmp_path):
    trainer = trainer_of(tmp_path)
    evaluator, data = make_evaluator(trainer)
    model = trainer.updater.get_optimizer("main").target
    losses = []
    with minigan.using_config("train", False):
        for start in (0, 4, 8):
            x, t = minigan.dataset.concat_examples(data[start : start + 4])
            losses.append(float(model(x, t).array))
    result = evaluator()
    assert result["main/loss"] == pytest.approx(np.mean(losses), rel=1e-6)
    assert evaluator() == result  # the iterator begins again
    evaluator.name = "val"
    assert set(evaluator()) == {"val/main/loss", "val/main/accuracy"}
    assert minigan.config.train and minigan.config.enable_backprop


@pytest.mark.parametrize("device", [-1, "@numpy", "cpu"])
def test_the_converter_of_an_evaluator_gets_a_device(tmp_path, device):
    seen = []

    @minigan.dataset.converter()
    def convert(batch, device):
        seen.append(device)
        return minigan.dataset.concat_examples(batch, device)

    evaluator, _ = make_evaluator(trainer_of(tmp_path), converter=convert, device=device)
    evaluator()
    assert seen == [minigan.get_device("@numpy")] * 3 and evaluator.device is seen[0]


def test_evaluator_in_a_trainer(tmp_path):
    trainer = trainer_of(tmp_path, (1, "epoch"))
    seen, hooked = [], []
    model = trainer.updater.get_optimizer("main").target

    def count(x, t):
        assert not minigan.config.train and not minigan.config.enable_backprop
        minigan.report({"count": len(x)}, model)

    evaluator, _ = make_evaluator(trainer, eval_func=count, eval_hook=hooked.append, device=-1)
    trainer.extend(lambda trainer: seen.append(dict(trainer.observation)), name="see")
    trainer.extend(evaluator)
    trainer.run()
    assert seen[-1]["validation/main/count"] == pytest.approx(10 / 3)
    assert all("validation/main/count" not in observation for observation in seen[:-1])
    assert hooked == [evaluator] and trainer.get_extension("validation") is evaluator
    assert evaluator.get_all_targets() == {"main": evaluator.get_target("main")}
    assert evaluator.get_all_iterators() == {"main": evaluator.get_iterator("main")}


def test_evaluator_of_an_endless_iterator_warns(tmp_path):
    with pytest.warns(UserWarning, match="make it with repeat=False"):
        extensions.Evaluator(SerialIterator([1, 2], 1), {})


def test_evaluator_with_a_progress_bar(tmp_path, capsys):
    evaluator, _ = make_evaluator(trainer_of(tmp_path), progress_bar=True)
    evaluator()
    out = capsys.readouterr().out  # the lines are those of Chainer 7.8.1
    assert out.count("\x1b[3A") == 3 and out.endswith("\x1b[J")
    assert "validation [####################..............................] 40.00%\n         4 / 10 iterations\n" in out


# observe_value, observe_lr


def test_observed_values_reach_the_log(tmp_path):
    trainer = trainer_of(tmp_path)
    trainer.extend(extensions.observe_lr())
    trainer.extend(extensions.observe_value("twice", lambda trainer: 2 * trainer.updater.epoch))
    trainer.extend(extensions.LogReport())
    trainer.run()
    log = trainer.get_extension("LogReport").log
    assert [entry["twice"] for entry in log] == [2, 4]
    # Adam's step size with bias correction, alpha sqrt(1 - beta2^t) / (1 - beta1^t)
    assert log[0]["lr"] == pytest.approx(0.01 * np.sqrt(1 - 0.999**5) / (1 - 0.9**5))
    assert list(trainer._extensions)[:2] == ["_observe_value", "_observe_value_1"]
