"""The triggers beyond the interval: when they fire, and that a resumed one fires as the uninterrupted one.

The expected firings are Chainer 7.8.1's for the same twelve iterations (four to an epoch).
"""

from types import SimpleNamespace

import numpy as np
import pytest

from minigan.serializers import DictionarySerializer, NpzDeserializer
from minigan.training import triggers
from minigan.utils.stored import FileError

VALUES = [5, 4, 6, 3, 3, 8, 1, 2, 9, 0.5, 7, 7]
CASES = {
    "once": (lambda: triggers.OnceTrigger(), [1]),
    "iterations": (lambda: triggers.ManualScheduleTrigger([2, 5, 7], "iteration"), [2, 5, 7]),
    "one iteration": (lambda: triggers.ManualScheduleTrigger(3, "iteration"), [3]),
    "epochs": (lambda: triggers.ManualScheduleTrigger([0.3, 1, 2.6], "epoch"), [2, 4, 11]),
    "seconds": (lambda: triggers.TimeTrigger(4.0), [3, 6, 9, 11]),
    "max": (lambda: triggers.MaxValueTrigger("v", (2, "iteration")), [2, 6, 12]),
    "min": (lambda: triggers.MinValueTrigger("v", (2, "iteration")), [2, 8]),
    "best": (lambda: triggers.BestValueTrigger("v", lambda best, new: new > best, (1, "iteration")), [1, 3, 6, 9]),
    "early": (lambda: triggers.EarlyStoppingTrigger(
        (1, "iteration"), "v", patience=2, max_trigger=(10, "iteration")), [6, 9, 10, 11, 12]),
    "early, larger is better": (lambda: triggers.EarlyStoppingTrigger(
        (2, "iteration"), "v", patience=2, mode="max", max_trigger=(10, "iteration")), [10, 11]),
    "early, old name": (lambda: triggers.EarlyStoppingTrigger(
        (1, "iteration"), "v", patients=2, mode="min", max_trigger=(30, "iteration")), [6, 9, 12]),
}  # fmt: skip


def trainer_at(iteration):
    updater = SimpleNamespace(iteration=iteration, epoch_detail=iteration / 4, epoch=iteration // 4)
    return SimpleNamespace(updater=updater, observation={"v": VALUES[iteration - 1]}, elapsed_time=1.5 * iteration)


@pytest.mark.parametrize("make, fires", CASES.values(), ids=CASES.keys())
def test_fires_and_resumes(make, fires):
    trigger = make()
    assert [i for i in range(1, 13) if trigger(trainer_at(i))] == fires
    for stop in (1, 6, 10):
        before, after, file = make(), make(), DictionarySerializer()
        assert [i for i in range(1, stop + 1) if before(trainer_at(i))] == [i for i in fires if i <= stop]
        before.serialize(file)
        after.serialize(NpzDeserializer(file.target))
        assert [i for i in range(stop + 1, 13) if after(trainer_at(i))] == [i for i in fires if i > stop]


def test_a_value_that_is_never_observed_is_told():
    trigger = triggers.EarlyStoppingTrigger(monitor="w", max_trigger=(10, "iteration"))
    with pytest.warns(UserWarning, match="w is not in observation"):
        assert [i for i in range(1, 13) if trigger(trainer_at(i))] == [10]


@pytest.mark.parametrize("call_on_resume, fires", [(False, []), (True, [5])])
def test_files_of_old_versions_say_nothing_of_triggers(call_on_resume, fires):
    once = triggers.OnceTrigger(call_on_resume)
    with pytest.warns(UserWarning, match="OnceTrigger: the file has no _flag_first"):
        once.serialize(NpzDeserializer({}))
    assert [i for i in range(5, 13) if once(trainer_at(i))] == fires
    manual = triggers.ManualScheduleTrigger([2, 6, 7], "iteration")
    with pytest.warns(UserWarning, match="ManualScheduleTrigger: the file has no"):
        manual.serialize(NpzDeserializer({}))
    assert [i for i in range(5, 13) if manual(trainer_at(i))] == [6, 7] and manual.finished


def test_once_again_after_resuming():
    file = DictionarySerializer()
    trigger = triggers.OnceTrigger(call_on_resume=True)
    assert trigger(None) and not trigger(None) and trigger.finished
    trigger.serialize(file)
    resumed = triggers.OnceTrigger(call_on_resume=True)
    resumed.serialize(NpzDeserializer(file.target))
    assert resumed(None) and not resumed(None)


def test_early_stopping_starts_anew_from_a_file_of_chainer_which_says_nothing_of_it():
    trigger = triggers.EarlyStoppingTrigger((1, "iteration"), "v", patience=2, max_trigger=(30, "iteration"))
    trigger.serialize(NpzDeserializer({}))
    assert [i for i in range(1, 7) if trigger(trainer_at(i))] == [6]


@pytest.mark.parametrize("value", [np.inf, np.nan, 1e30, [1, 2], [[1, 2], [3, 4]]])
def test_what_is_no_number_in_a_file_is_an_error(value):
    with pytest.raises(FileError, match="previous_iteration is .*; the file is damaged"):
        triggers.IntervalTrigger(2, "iteration").serialize(NpzDeserializer({"previous_iteration": np.array(value)}))


def test_early_stopping_says_so_if_asked(capsys):
    trigger = triggers.EarlyStoppingTrigger(
        (1, "iteration"), "v", patience=1, verbose=True, max_trigger=(3, "iteration")
    )
    assert trigger.get_training_length() == (3, "iteration")
    assert not trigger(trainer_at(2))
    assert trigger(trainer_at(3)) and capsys.readouterr().out == ""  # long enough
    assert trigger(trainer_at(4))  # mean 4.5 since, after 4
    assert capsys.readouterr().out == "Epoch 1: early stopping\n"


def test_wrong_arguments():
    with pytest.raises(ValueError, match="unit is 'hours'"):
        triggers.ManualScheduleTrigger([3], "hours")
    with pytest.raises(TypeError, match="no argument 'foo'"):
        triggers.EarlyStoppingTrigger(foo=1)
    with pytest.raises(TypeError, match="one thing by two names"):
        triggers.EarlyStoppingTrigger(patience=3, patients=3)
    assert triggers.EarlyStoppingTrigger().patience == 3  # as in Chainer 7.8.1
    with pytest.warns(UserWarning, match="'auto' is taken"):
        triggers.EarlyStoppingTrigger(mode="best")
