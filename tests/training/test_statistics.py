"""MicroAverage, ParameterStatistics, FailOnNonNumber and unchain_variables in a real training."""

import json

import numpy as np
import pytest
from training.mlp import make_trainer

import minigan
from minigan.serializers import load_npz, save_npz
from minigan.training import extensions as E
from minigan.training import make_extension


def trainer_of(tmp_path, stop=4):
    return make_trainer(minigan, tmp_path, stop=(stop, "iteration"), extensions=False)


def record(seen):
    @make_extension(trigger=(1, "iteration"), priority=50)
    def recorder(trainer):
        seen.append(dict(trainer.observation))

    return recorder


def report_counts(trainer):
    i = trainer.updater.iteration
    trainer.observation.update(right=np.float32(i), seen=2 * i)


def test_micro_average_divides_sums_and_goes_through_a_file(tmp_path):
    seen, trainer = [], trainer_of(tmp_path)
    trainer.extend(make_extension(priority=300)(report_counts))
    trainer.extend(E.MicroAverage("right", "seen", "rate", trigger=(2, "iteration")))
    trainer.extend(record(seen))
    trainer.run()
    assert [entry.get("rate") for entry in seen] == [None, 0.5, None, 0.5]

    one = E.MicroAverage("a", "b", "c", trigger=(3, "iteration"))
    trainer.updater.iteration, trainer.observation = 1, {"a": 1, "b": 4}
    one(trainer)
    save_npz(tmp_path / "state", one)
    other = E.MicroAverage("a", "b", "c", trigger=(3, "iteration"))
    load_npz(tmp_path / "state", other)
    trainer.updater.iteration, trainer.observation = 3, {"a": 2, "b": 1}
    other(trainer)
    assert trainer.observation["c"] == 3 / 5


def test_parameter_statistics(tmp_path):
    seen, trainer = [], trainer_of(tmp_path)
    link = trainer.updater.get_optimizer("main").target.l2
    trainer.extend(E.ParameterStatistics(link, trigger=(1, "iteration"), prefix="p"))
    trainer.extend(record(seen))
    trainer.run()
    last = seen[-1]
    W, gb = link.W.array, link.b.grad
    np.testing.assert_allclose(last["p/l2/W/data/mean"], W.mean(), rtol=1e-6)
    np.testing.assert_allclose(last["p/l2/b/grad/std"], gb.std(), rtol=1e-6)
    assert last["p/l2/W/data/zeros"] == 0 and last["p/l2/W/data/max"] == W.max()
    np.testing.assert_allclose(
        [last[f"p/l2/W/data/percentile/{i}"] for i in (0, 3, 6)], np.percentile(W, (0.13, 50, 99.87)), rtol=1e-6
    )


def test_parameter_statistics_are_means_over_the_interval_also_of_a_resumed_run(tmp_path):
    def seen_until(stop, resume=None):
        seen, trainer = [], trainer_of(tmp_path, stop)
        link = trainer.updater.get_optimizer("main").target.l2
        trainer.extend(lambda trainer: link.b.array.fill(trainer.updater.iteration), name="set", priority=400)
        trainer.extend(E.ParameterStatistics(link, {"first": lambda x: x[0]}, trigger=(3, "iteration")))
        trainer.extend(record(seen))
        if resume:
            load_npz(resume, trainer)
        trainer.run()
        save_npz(tmp_path / f"after_{stop}", trainer)
        return [entry.get("l2/b/data/first") for entry in seen]

    # Chainer 7.8.1, too, has the mean of 1, 2, 3 in the third iteration, and nothing in the others.
    assert seen_until(7) == [None, None, 2, None, None, 5, None]
    assert seen_until(5) == [None, None, 2, None, None]
    assert seen_until(7, tmp_path / "after_5") == [5, None]


def test_parameter_statistics_of_ones_own_and_nan(tmp_path):
    seen, trainer = [], trainer_of(tmp_path, stop=1)
    link = trainer.updater.get_optimizer("main").target.l2
    own = E.ParameterStatistics([link], {"ends": lambda x: x[[0, -1]]}, report_grads=False, skip_nan_params=True,
                                trigger=(1, "iteration"))  # fmt: skip
    own.register_statistics("size", lambda x: x.size)
    trainer.extend(own)
    trainer.extend(record(seen))
    trainer.extend(make_extension(priority=400)(lambda trainer: link.b.array.fill(np.nan)), name="spoil")
    trainer.run()
    keys = {key for key in seen[0] if key.startswith("l2/")}
    assert keys == {"l2/W/data/ends/0", "l2/W/data/ends/1", "l2/W/data/size", "l2/b/data/ends", "l2/b/data/size"}
    assert seen[0]["l2/W/data/size"] == 12 and np.isnan(seen[0]["l2/b/data/size"])
    with pytest.raises(TypeError, match="links must be"):
        E.ParameterStatistics("l2")


@pytest.mark.parametrize("skip", [False, True])
def test_parameter_statistics_take_nan_where_there_is_no_gradient(skip):
    reporter, link = minigan.Reporter(), minigan.links.Linear(3, 2)
    with reporter:
        for each, prefix in ((link, None), (minigan.links.Linear(None, 2, nobias=True), "lazy")):
            E.ParameterStatistics(each, prefix=prefix, trigger=lambda trainer: True, skip_nan_params=skip)(None)
    # As many keys as Chainer has for a link whose gradients are NaN: 18 of each parameter, or 12 if NaN is skipped.
    grads = {name: value for name, value in reporter.observation.items() if "/grad/" in name}
    assert len(reporter.observation) == (36 if skip else 48) and len(grads) == (12 if skip else 24)
    numbers = {name for name, value in grads.items() if not np.isnan(value)}
    assert numbers == (set() if skip else {"None/W/grad/zeros", "None/b/grad/zeros"})


def test_a_run_stops_when_a_weight_is_no_number(tmp_path):
    trainer = trainer_of(tmp_path)
    trainer.extend(E.FailOnNonNumber())
    trainer.extend(make_extension(priority=400)(spoil_in_iteration_2))
    with pytest.raises(RuntimeError, match="parameter /l1/W of optimizer 'main' holds NaN or infinity in iteration 2"):
        trainer.run(show_loop_exception_msg=False)


def watched(tmp_path, function, debug):
    trainer = trainer_of(tmp_path)
    model = trainer.updater.get_optimizer("main").target
    forward = type(model).forward

    class Spoilt(type(model)):
        def forward(self, x, t):
            if trainer.updater.iteration == 2:
                return function(forward(self, x, t), self)
            return forward(self, x, t)

    model.__class__ = Spoilt
    trainer.extend(E.FailOnNonNumber())
    trainer.extend(E.snapshot(), trigger=(1, "iteration"))
    with minigan.using_config("debug", debug), np.errstate(all="ignore"):
        with pytest.raises(RuntimeError) as caught:
            trainer.run(show_loop_exception_msg=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["snapshot_iter_1", "snapshot_iter_2"]
    assert not minigan.link_hook._get_link_hooks()
    return str(caught.value).replace(str(tmp_path), "OUT")


def report_infinity(loss, model):
    minigan.report({"loss": np.float32(np.inf)}, model)
    model.l1.W.array[...] = np.inf
    model.l1(np.ones((1, 4), np.float32))
    return loss


def test_fail_on_a_loss_and_the_first_link_that_gave_it(tmp_path, capsys):
    text = watched(tmp_path / "a", report_infinity, False)
    assert "main/loss is NaN or infinity in iteration 3" in text and "set_debug(True) shows" in text
    assert text.endswith("\nThe snapshot OUT/snapshot_iter_2 is from before.")
    text = watched(tmp_path / "b", report_infinity, True)
    assert "the first link that gave such values is main/l1 (Linear)" in text and capsys.readouterr().err == ""


def test_in_debug_mode_the_function_raises_and_the_link_is_told(tmp_path, capsys):
    text = watched(tmp_path, lambda loss, model: minigan.functions.log(-loss), True)
    assert text == "NaN is detected on forward computation of log"
    assert capsys.readouterr().err == (
        f"FailOnNonNumber: after iteration 2, in main (Spoilt): {text}\n"
        f"The snapshot {tmp_path / 'snapshot_iter_2'} is from before.\n"
    )


def spoil_in_iteration_2(trainer):
    if trainer.updater.iteration == 2:
        trainer.updater.get_optimizer("main").target.l1.W.array[0, 0] = np.inf


def test_unchain_variables(tmp_path):
    seen, trainer = [], trainer_of(tmp_path, stop=1)
    trainer.extend(record(seen))
    trainer.extend(E.unchain_variables())
    with minigan.using_config("keep_graph_on_report", True):
        trainer.run()
    assert seen[0]["main/loss"].creator is None


def test_dump_graph_writes_the_graph_once_and_puts_the_configuration_back(tmp_path):
    seen, trainer = [], trainer_of(tmp_path, stop=2)
    trainer.extend(E.DumpGraph("main/loss", variable_style={"shape": "box"}))
    trainer.extend(record(seen))
    trainer.run()
    text = (tmp_path / "cg.dot").read_text()
    assert text.startswith("digraph graphname{rankdir=TB;") and text.endswith("}")
    assert 'label="LinearFunction"' in text and 'shape="box"' in text and text.count("->") >= 10
    assert seen[0]["main/loss"].creator is not None and seen[1]["main/loss"].creator is None
    assert minigan.config.keep_graph_on_report is False

    file = tmp_path / "state"
    save_npz(file, trainer.get_extension("dump_graph"))
    again = E.dump_graph("main/loss", out_name="x.dot")
    load_npz(file, again)
    assert not again.trigger(trainer)


def test_dump_graph_lets_graphviz_draw(tmp_path, monkeypatch):
    dot = tmp_path / "dot"
    dot.write_text('#!/bin/sh\n[ "$1" = -Tpng ] && [ "$3" = -o ] && head -c 7 "$2" > "$4"\n')
    dot.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    trainer = trainer_of(tmp_path / "out", stop=1)
    trainer.extend(E.dump_graph("main/loss", filename="graph.dot"))
    trainer.run()
    assert (tmp_path / "out" / "graph.png").read_text() == "digraph"

    dot.write_text("#!/bin/sh\nexit 1\n")
    trainer = trainer_of(tmp_path / "bad", stop=2)
    trainer.extend(E.dump_graph("main/loss"))
    with pytest.warns(UserWarning, match=r"cg.dot has no picture beside it: .*exit status 1"):
        trainer.run()
    assert trainer.updater.iteration == 2 and (tmp_path / "bad" / "cg.dot").exists()


def test_dump_graph_of_what_has_no_graph(tmp_path):
    trainer = trainer_of(tmp_path, stop=1)
    trainer.extend(E.dump_graph("main/los"))
    with pytest.raises(KeyError, match="nothing was reported as 'main/los'"):
        trainer.run(show_loop_exception_msg=False)
    trainer = trainer_of(tmp_path, stop=1)
    trainer.extend(make_extension(priority=300)(report_counts))
    trainer.extend(E.dump_graph("seen"))
    with pytest.raises(TypeError, match="seen is a int; wanted a Variable"):
        trainer.run(show_loop_exception_msg=False)
    with pytest.raises(TypeError, match="no argument 'foo'"):
        E.DumpGraph("x", foo=1)


def test_variable_statistics_plot(tmp_path):
    pytest.importorskip("matplotlib")
    trainer = trainer_of(tmp_path)
    model = trainer.updater.get_optimizer("main").target
    plot = E.VariableStatisticsPlot(model, trigger=(2, "iteration"), max_sample_size=3)
    small = E.VariableStatisticsPlot(
        [model.l1.b], report_grad=False, plot_mean=False, percentile_sigmas=(), trigger=(4, "iteration"), filename="a/b"
    )
    trainer.extend(plot)
    trainer.extend(small, name="small")
    trainer.run()
    for name in ("statistics.png", "a/b"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    places, data = plot._samples.get_data()
    assert data.shape == (3, 2, 11) and (np.diff(places) > 0).all() and plot._samples.counter == 4
    places, data = small._samples.get_data()
    assert len(E.VariableStatisticsPlot([model.l1, [model.l2, (model.l2.b,)]])._vars) == 5
    np.testing.assert_array_equal(places, [1, 2, 3, 4])
    np.testing.assert_allclose(data[-1], [[model.l1.b.array.std()]], rtol=1e-6)


@pytest.mark.parametrize("length", [2, 9])
def test_a_resumed_variable_statistics_plot_chooses_as_if_nothing_had_been(tmp_path, length):
    def plot():
        return E.VariableStatisticsPlot(minigan.Parameter(np.ones(2, "f")), max_sample_size=4)

    first, second = plot(), plot()
    for i in range(length):
        first._samples.add(np.full((2, 11), i))
    save_npz(tmp_path / "state", first)
    load_npz(tmp_path / "state", second)
    for i in range(length, 20):
        for each in (first, second):
            each._samples.add(np.full((2, 11), i))
    for a, b in zip(first._samples.get_data(), second._samples.get_data(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.savez(tmp_path / "chainer.npz", nothing=0)
    load_npz(tmp_path / "chainer.npz", second)
    assert second._samples.counter == 20


def test_reservoir_and_statistician():
    counts = np.zeros(9)
    reservoir = E.variable_statistics_plot.Reservoir(3, (2,))
    for _ in range(500):
        reservoir.counter = 0
        for i in range(9):
            reservoir.add(np.full(2, i))
        places, data = reservoir.get_data()
        counts[places] += 1
        assert (data[:, 0] == places).all() and (np.diff(places) > 0).all()
    assert counts.sum() == 1500 and abs(counts - 500 / 3).max() < 60  # six standard deviations
    x = np.random.RandomState(0).randn(4, 3).astype("f")
    result = E.variable_statistics_plot.Statistician(True, True, (0, 100))(x)
    np.testing.assert_allclose(result["mean"], x.mean(0))
    np.testing.assert_allclose(result["std"], x.std(0))
    np.testing.assert_array_equal(result["percentile"], [x.min(0), x.max(0)])
    assert set(E.variable_statistics_plot.Statistician(False, False, 50)(x)) == {"percentile"}
    with pytest.raises(ValueError, match="hold no variable"):
        E.VariableStatisticsPlot([3])
    with pytest.raises(ValueError, match="nothing is left to plot"):
        E.VariableStatisticsPlot(minigan.Parameter(0.0, (2,)), report_grad=False, report_data=False)


def test_a_log_that_is_loaded_replaces_the_one_that_was_written(tmp_path):
    first, second = trainer_of(tmp_path, stop=3), trainer_of(tmp_path, stop=2)
    for trainer in (first, second):
        trainer.extend(E.LogReport(trigger=(1, "iteration")))
        trainer.run()
    first.get_extension("LogReport").log[0]["note"] = "mine"
    save_npz(tmp_path / "state", first.get_extension("LogReport"))
    report = second.get_extension("LogReport")
    load_npz(tmp_path / "state", report)
    report._write(tmp_path / "log")
    assert json.loads((tmp_path / "log").read_text()) == first.get_extension("LogReport").log
