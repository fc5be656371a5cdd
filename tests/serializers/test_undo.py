"""After a failed load everything is what it was: numbers, lazy parameters, states, logs, iterators, random numbers."""

import io
import os
import random
import types

import numpy as np
import pytest
from fuzz.targets import Net, state, train, trainer

from minigan import Chain, Link, links, optimizers
from minigan.iterators import MultiprocessIterator, MultithreadIterator, SerialIterator
from minigan.links import ExponentialMovingAverage
from minigan.serializers import load_hdf5, load_npz, save_npz
from minigan.serializers.hdf5 import save_hdf5
from minigan.serializers.npz import FileError, serialize
from minigan.serializers.undo import Before

pytestmark = [pytest.mark.filterwarnings(f"ignore:{of}") for of in ("StandardUpdater", "AdamRule")]


class Broken:
    """Loads an object and then fails, as if what comes after it were damaged."""

    def __init__(self, obj):
        self.obj = obj

    def serialize(self, serializer):
        self.obj.serialize(serializer)
        raise RuntimeError("what comes next is damaged")


def file_of(obj):
    stream = io.BytesIO()
    save_npz(stream, obj)
    stream.seek(0)
    return stream


def fail_to_load(stream, obj):
    with pytest.raises(RuntimeError, match="what comes next"):
        load_npz(stream, Broken(obj))


@pytest.mark.parametrize("iterator", [SerialIterator, MultithreadIterator, MultiprocessIterator])
def test_a_trainer_goes_on_as_if_nothing_had_happened(iterator):
    random.seed(1)
    np.random.seed(1)
    stream = file_of(train(trainer()))
    run, twin = (train(seeded(lambda: trainer(iterator=iterator)), 2) for _ in range(2))
    random.seed(2)
    np.random.seed(2)
    before = state(run)
    fail_to_load(stream, run)
    assert state(run) == before
    assert run.get_extension("LogReport").log == twin.get_extension("LogReport").log
    np.random.seed(3)
    train(run, 4)
    np.random.seed(3)
    train(twin, 4)
    for key, value in serialize(twin).items():
        if "elapsed" not in key and not key.startswith("random"):
            np.testing.assert_array_equal(value, serialize(run)[key], key)
    for each in (run, twin):
        each.updater.finalize()


def seeded(make):
    np.random.seed(0)
    return make()


@pytest.mark.parametrize("save, load", [(save_npz, load_npz), (save_hdf5, load_hdf5)])
def test_lazy_parameters_are_lazy_again(tmp_path, save, load):
    save(tmp_path / "file", Chain(a=Net(), b=Link(W=(2,))))
    target = Chain(a=Net(lazy=True), b=Link(W=(3,)))
    target.a.steps = 9
    before = state(target)
    with pytest.raises(ValueError, match=r"b/W has shape \(2,\)"):
        load(tmp_path / "file", target)
    assert state(target) == before and target.a.steps == 9
    weight = target.a.fc.W
    assert not weight.is_initialized and weight.node.shape is None
    save(tmp_path / "file", target)  # and it is still a whole object
    target.a.fc(np.zeros((1, 7), "f4"))
    assert weight.shape == (4, 7)


def test_the_state_of_an_optimizer_is_none_again():
    run = train(trainer())
    fresh = optimizers.Adam().setup(Net())
    fail_to_load(file_of(run.updater.get_optimizer("main")), fresh)
    assert all(param.update_rule.state is None for param in fresh.target.params()) and fresh.t == 0


def test_averages_and_whitening_come_back():
    chain = Chain(w=links.DecorrelatedBatchNormalization(4, groups=2))
    chain.w.avg_mean[...] = 3
    values = {"w/avg_mean": np.ones(2, "f4"), "w/avg_projection": np.eye(2, dtype="f4"), "w/N": np.array(5)}
    old = io.BytesIO()
    np.savez(old, **values)
    before = state(chain)
    with pytest.warns(UserWarning, match="old version"):
        fail_to_load(old, chain)
    assert state(chain) == before
    average, stream = ExponentialMovingAverage(Net(lazy=True)), file_of(Net())
    before = state(average)
    fail_to_load(stream, average)
    assert state(average) == before


def test_what_a_serialize_of_ones_own_does_is_undone():
    class Slots:
        __slots__ = ("kept", "made")

        def __init__(self):
            self.kept = 1

    class Own:
        def __init__(self):
            self.slots, self.helper, self.list, self.dict = Slots(), types.SimpleNamespace(x=1), [1, [2]], {"a": {1}}
            self.rng, self.state = np.random.default_rng(0), np.random.RandomState(0)
            self.circle = self

        def serialize(self, serializer):
            self.slots.kept = self.slots.made = self.new = serializer("x", 0)
            self.list[1].append(self.new)
            self.list.clear()
            self.dict["a"].add(self.new)
            self.dict["b"] = 1
            del self.circle
            self.rng.random(), self.state.rand(), np.random.rand(), random.random()

    own, stream = Own(), io.BytesIO()
    np.savez(stream, x=np.array(5))
    inner, numbers = own.list[1], (np.random.get_state()[2], random.getstate())
    draws = np.random.default_rng(0).random(), np.random.RandomState(0).rand()
    fail_to_load(stream, own)
    assert own.slots.kept == 1 and not hasattr(own.slots, "made") and not hasattr(own, "new")
    assert own.list == [1, [2]] and own.list[1] is inner and own.dict == {"a": {1}} and own.circle is own
    assert (np.random.get_state()[2], random.getstate()) == numbers and (own.rng.random(), own.state.rand()) == draws


def test_examples_of_data_sets_are_not_looked_at():
    class Example:
        @property
        def __dict__(self):
            raise AssertionError("looked at")

    Before(types.SimpleNamespace(dataset=[Example()]))
    iterator = SerialIterator([Example()], 1)
    Before(iterator)


def texts(**values):
    """An archive of a trained trainer with some texts in place of its own."""
    arrays = {**serialize(train(trainer())), **{key: np.array(value) for key, value in values.items()}}
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream


@pytest.mark.parametrize(
    "key, text",
    [
        (key, text)
        for key in ("LogReport/_log", "PlotReport/_plot_loss.png", "LogReport/_summary/_names")
        for text in ("", "[1", "[[[1]]]", '{"a": 1}', "3", "[" * 9000, "9" * 5000, '{"a": 1, "a": []}', "\0")
    ]
    + [("PlotReport/_plot_loss.png", '{"a": [[1, "x"]]}'), ("LogReport/_summary/_names", '["a", "a"]')],
)
def test_texts_in_snapshots_are_checked(key, text):
    stream, run = texts(**{f"extensions/{key}": text}), train(trainer(), 1)
    before = state(run)
    with pytest.raises(FileError, match=f": {key.split('/')[-1]} in the file is .*the file is damaged"):
        load_npz(stream, run)
    assert state(run) == before


@pytest.mark.parametrize(
    "key, value, says",
    [
        ("updater/iteration", -1, "iteration is -1 in the file"),
        ("updater/iteration", np.nan, "float64 in the file"),
        ("updater/optimizer:main/t", -5, "t is -5 in the file"),
        ("updater/iterator:main/epoch", -1, "epoch is -1"),
        ("updater/iterator:main/order", np.arange(10) + 1, "order goes from 1 to 10"),
        ("updater/iterator:main/order", np.arange(10) - 20, "order goes from -20 to -11"),
        ("updater/optimizer:main/fc/W/t", "x", "'x' in the file, which is no int"),
        ("updater/optimizer:main/fc/W/t", "9" * 30, "9' in the file, which is no int"),
        ("random/cupy_seed", np.zeros((2, 1)), r"'cupy_seed' is \[\[0.\] \[0.\]\]; wanted"),
        (
            "updater/optimizer:main/fc/W/m",
            np.zeros((4, 3), int),
            r"m of /fc/W has shape \(4, 3\) in the file \(int64\)",
        ),
    ],
)
def test_numbers_that_cannot_be_are_refused(key, value, says):
    run = trainer()
    with pytest.raises((ValueError, TypeError), match=says):
        load_npz(texts(**{key: value}), run)
    assert run.updater.iteration == 0 and run.get_extension("LogReport").log == []


@pytest.mark.parametrize("save, load", [(save_npz, load_npz), (save_hdf5, load_hdf5)])
def test_an_error_names_the_file_and_the_entry_whoever_raises_it(tmp_path, save, load):
    class Converting(Net):
        def serialize(self, serializer):
            super().serialize(serializer)
            int(serializer("kind", "text"))

    save(tmp_path / "weights", Net())
    with pytest.raises(ValueError, match=r"/weights': invalid literal .*the entry read last: .*kind\)$"):
        load(tmp_path / "weights", Converting())
    with pytest.raises(ValueError, match=r"/weights': /?fc/W has shape \(4, 3\) in the file"):
        load(tmp_path / "weights", Chain(fc=links.Linear(5, 4)))
    with pytest.raises(KeyError, match=r"/weights': /?other.* is not in the file"):
        load(tmp_path / "weights", Chain(fc=links.Linear(3, 4), other=links.Linear(3, 4)))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
@pytest.mark.parametrize("load", [load_npz, load_hdf5])
def test_a_pipe_in_place_of_a_file_is_an_error_and_no_endless_wait(tmp_path, load):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileError, match="pipe"):
        load(tmp_path / "pipe", Net())


@pytest.mark.parametrize("save, load", [(save_npz, load_npz), (save_hdf5, load_hdf5)])
def test_weights_that_were_saved_before_they_had_a_shape_are_no_silent_load(tmp_path, save, load):
    save(tmp_path / "weights", Net(lazy=True))
    net = Net()
    before = net.fc.W.array.copy()
    with pytest.warns(UserWarning, match="Linear: W had no shape yet"):
        load(tmp_path / "weights", net)
    np.testing.assert_array_equal(net.fc.W.array, before)
