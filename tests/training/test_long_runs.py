"""A training with every extension there is holds no more at its end than at its beginning, but for its log."""

import gc
import inspect
import os
import tracemalloc

import pytest
from training.mlp import make_trainer

import minigan
from minigan.training import extensions as E

# Of minigan alone: Matplotlib fills caches of its own for a while, of fonts and texts.
OURS = os.path.join(os.path.dirname(minigan.__file__), "*")
OFTEN, SELDOM = (2, "iteration"), (40, "iteration")


def extend_with_all(trainer, out):
    model = trainer.updater.get_optimizer("main").target
    every = [
        (E.LogReport(["main/loss"], trigger=OFTEN), None), (E.PrintReport(["main/loss"], out=out), None),
        (E.ProgressBar(update_interval=20, out=out), None), (E.PlotReport("main/loss", trigger=SELDOM), None),
        (E.VariableStatisticsPlot(model, max_sample_size=5, figsize=(2, 2), trigger=SELDOM), None),
        (E.ParameterStatistics(model), OFTEN), (E.MicroAverage("main/loss", "main/accuracy", "x", OFTEN), None),
        (E.FailOnNonNumber(), None), (E.DumpGraph("main/loss"), None), (E.unchain_variables(), None),
        (E.observe_lr(), OFTEN), (E.observe_value("y", lambda trainer: 1.0), OFTEN),
        (E.snapshot(n_retains=2), SELDOM), (E.snapshot_object(model, "model_{.updater.iteration}"), SELDOM),
        (E.ExponentialShift("alpha", 1.0), OFTEN), (E.StepShift("alpha", 1.0, 2), OFTEN),
        (E.InverseShift("alpha", 0.0, 1.0), OFTEN), (E.LinearShift("alpha", (0.01, 0.01), (1, 2)), OFTEN),
        (E.MultistepShift("alpha", 1.0, [1, 2], 0.01), OFTEN), (E.PolynomialShift("alpha", 0.0, 9), OFTEN),
        (E.CosineShift("alpha", 1e9), OFTEN), (E.WarmupShift("alpha", 0.01, 2, 0.01), OFTEN),
        (E.Evaluator(minigan.iterators.SerialIterator(trainer.updater.get_iterator("main").dataset, 4, False), model),
         SELDOM),
    ]  # fmt: skip
    for extension, trigger in every:
        trainer.extend(extension, trigger=trigger)
    return {type(extension).__name__ for extension, _ in every}


def test_memory_of_a_long_run_is_flat(tmp_path):
    pytest.importorskip("matplotlib")
    trainer, sizes, objects = make_trainer(minigan, tmp_path, stop=(120, "iteration"), extensions=False), [], []

    def look(trainer):
        if trainer.updater.iteration == 40:
            tracemalloc.start(3)  # all has been called once, so what is imported and kept for good is there
        elif trainer.updater.iteration in (80, 120):
            trainer.get_extension("LogReport").log.clear()  # these are meant to grow
            trainer.get_extension("LogReport")._texts.clear()
            trainer.get_extension("PlotReport")._points.clear()
            gc.collect()
            kinds = (str(type(each).__module__) for each in gc.get_objects())
            objects.append(sum(kind.startswith("minigan") for kind in kinds))
            ours = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, OURS, all_frames=True)])
            sizes.append(sum(trace.size for trace in ours.traces))

    with open(os.devnull, "w") as out:
        names = extend_with_all(trainer, out)
        trainer.extend(look, trigger=(1, "iteration"), priority=-1000)
        try:
            trainer.run()
        finally:
            tracemalloc.stop()
    classes = {name for name in E.__all__ if inspect.isclass(getattr(E, name))}
    assert names >= classes - {"PrintReportNotebook", "dump_graph"}
    assert objects[1] - objects[0] < 40, objects  # one object in each iteration would be 40
    assert sizes[1] - sizes[0] < 10_000, sizes  # and one array of 25 numbers 12,000 bytes
