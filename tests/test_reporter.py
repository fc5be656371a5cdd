import threading

import numpy as np
import pytest

from minigan.configuration import using_config
from minigan.core import Variable
from minigan.link import Chain, Link
from minigan.reporter import DictSummary, Reporter, Summary, get_current_reporter, report, report_scope
from minigan.serializers.npz import DictionarySerializer, NpzDeserializer


def test_report_goes_to_the_open_scope_under_the_observers_path():
    model = Chain(l=Link(), k=Chain(m=Link()))
    reporter, inner = Reporter(), {}
    reporter.add_observer("main", model)
    reporter.add_observers("main", model.namedlinks(skipself=True))
    with reporter:
        with report_scope(inner):
            report({"a": 1})
            report({"b": 2}, model)
            report({"c": 3}, model.l)
            report({"d": 4}, model.k.m)
        report({"outside": 5})
    assert inner == {"a": 1, "main/b": 2, "main/l/c": 3, "main/k/m/d": 4}
    assert reporter.observation == {"outside": 5}


def test_scope_makes_its_reporter_the_current_one_also_after_an_error():
    outer, inner, observation = Reporter(), Reporter(), {}
    with outer:
        with pytest.raises(RuntimeError):
            with inner.scope(observation):
                assert get_current_reporter() is inner
                raise RuntimeError
        assert get_current_reporter() is outer
    assert inner.observation == {} and inner.observation is not observation


def test_without_a_reporter_nothing_happens():
    report({"a": 1})
    with pytest.raises(IndexError, match="no current reporter"):
        get_current_reporter()


def test_current_reporter_belongs_to_its_thread():
    seen = []
    with Reporter() as _:
        thread = threading.Thread(target=lambda: (report({"a": 1}), seen.append("done")))
        observation = get_current_reporter().observation
        thread.start()
        thread.join()
    assert seen == ["done"] and observation == {}


def test_unknown_observer_is_refused():
    with Reporter():
        with pytest.raises(KeyError, match="add_observer"):
            report({"a": 1}, Link())


def test_variables_lose_their_graph_unless_it_is_asked_for():
    y = Variable(np.ones((), np.float32)) * 2
    reporter = Reporter()
    with reporter:
        report({"y": y})
        with using_config("keep_graph_on_report", True):
            report({"kept": y})
    assert reporter.observation["y"].creator is None
    assert reporter.observation["y"].array is y.array
    assert reporter.observation["kept"] is y and y.creator is not None


def test_summary_weighs():
    # chainer: s = Summary(); s.add(1.); s.add(3., 2); s.make_statistics()
    summary = Summary()
    summary.add(1.0)
    summary.add(np.float32(3.0), 2)
    assert summary.compute_mean() == 2.3333333333333335
    np.testing.assert_allclose(summary.make_statistics(), (2.3333333333333335, 0.9428090415820626), rtol=1e-12)


def test_summary_adds_in_double_precision():
    summary = Summary()
    for _ in range(2):
        summary.add(np.array(2.0**24, np.float32))
        summary.add(np.ones((), np.float32))
    assert summary._x == 2.0**25 + 2


def test_deviation_of_equal_values_is_zero_not_nan():
    summary = Summary()
    for _ in range(3):
        summary.add(0.1)
    assert summary.make_statistics()[1] == pytest.approx(0, abs=1e-8)


def test_summary_of_arrays_and_empty_summary():
    summary = Summary()
    summary.add(np.ones(3))
    summary.add(np.zeros(3))
    mean, deviation = summary.make_statistics()
    np.testing.assert_array_equal(mean, [0.5] * 3)
    np.testing.assert_array_equal(deviation, [0.5] * 3)
    with pytest.raises(ZeroDivisionError):
        Summary().compute_mean()


def test_dict_summary_takes_scalars_only():
    summary = DictSummary()
    summary.add({"a": 1, "v": Variable(np.array(2.0, np.float32)), "w": (3.0, 2), "array": np.ones(3), "text": "x"})
    summary.add({"a": 3, "w": (0.0, 1), "none": None})
    assert summary.compute_mean() == {"a": 2.0, "v": 2.0, "w": 2.0}
    assert summary.make_statistics()["a.std"] == 1.0
    with pytest.raises(ValueError, match="weight of 'w'"):
        summary.add({"w": (1.0, np.ones(2))})


def test_dict_summary_is_stored_as_chainer_stores_it():
    # chainer: d = DictionarySerializer(); s.serialize(d); d.target
    summary = DictSummary()
    summary.add({"a": 1, "é/x": Variable(np.array(2.0, np.float32))})
    target = DictionarySerializer()
    summary.serialize(target)
    assert str(target.target["_names"]) == '["a", "\\u00e9/x"]'
    stored = {k: (v.item(), v.dtype.name) for k, v in target.target.items() if k != "_names"}
    assert stored == {
        "_summaries/0/_x": (1.0, "float64"),
        "_summaries/0/_x2": (1.0, "float64"),
        "_summaries/0/_n": (1, "int64"),
        "_summaries/1/_x": (2.0, "float64"),
        "_summaries/1/_x2": (4.0, "float64"),
        "_summaries/1/_n": (1, "int64"),
    }
    assert list(summary._summaries) == ["a", "é/x"]  # saving changes nothing
    loaded = DictSummary()
    loaded.add({"gone": 1, "a": 100})
    loaded.serialize(NpzDeserializer(target.target))
    assert loaded.compute_mean() == summary.compute_mean()
    loaded.add({"a": 2})
    assert loaded.compute_mean()["a"] == 1.5


def test_fractional_weights_survive_a_round_trip():
    summary, target, loaded = DictSummary(), DictionarySerializer(), DictSummary()
    summary.add({"a": (4.0, 0.5)})
    summary.serialize(target)
    loaded.serialize(NpzDeserializer(target.target))
    assert loaded.compute_mean() == {"a": 4.0}


def test_file_without_statistics_starts_anew_with_a_warning():
    summary = DictSummary()
    summary.add({"a": 1})
    with pytest.warns(UserWarning, match="anew"):
        summary.serialize(NpzDeserializer({}))
    assert summary.compute_mean() == {}
    with pytest.warns(UserWarning, match="anew"):
        Summary().serialize(NpzDeserializer({}))


def test_a_sum_that_is_none_is_refused():
    summary = Summary()
    summary.add(1.0)
    with pytest.raises(ValueError, match="a sum of a mean is None"):
        summary.serialize(NpzDeserializer({"_x": np.array(1.0), "_x2": np.array(1.0), "_n": None}))
