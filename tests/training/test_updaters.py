"""StandardUpdater: names, epochs, devices, converters, and sentences for wrong arguments."""

import warnings

import numpy as np
import pytest
from training.mlp import make_trainer

import minigan
import minigan.functions as F
import minigan.links as L
from minigan import Chain
from minigan.datasets import TupleDataset
from minigan.iterators import SerialIterator
from minigan.optimizers import SGD
from minigan.serializers import load_npz
from minigan.training import StandardUpdater, Trainer, Updater
from minigan.training.extensions import snapshot
from minigan.training.updaters import MultiprocessParallelUpdater, ParallelUpdater, standard_updater
from minigan.training.updaters.parallel_updater import gather_grads, gather_params


@pytest.fixture
def updater():
    return make_trainer(minigan, "unused", extensions=False).updater


def test_counts(updater):
    names = ("iteration", "epoch", "epoch_detail", "previous_epoch_detail", "is_new_epoch")
    rows = [tuple(getattr(updater, name) for name in names)]
    for _ in range(6):
        updater.update()
        rows.append(tuple(getattr(updater, name) for name in names))
    # as Chainer 7.8.1 prints them for the same trainer
    assert rows == [
        (0, 0, 0.0, None, False), (1, 0, 0.2, 0.0, False), (2, 0, 0.4, 0.2, False), (3, 0, 0.6, 0.4, False),
        (4, 0, 0.8, 0.6, False), (5, 1, 1.0, 0.8, True), (6, 1, 1.2, 1.0, False),
    ]  # fmt: skip
    assert updater.get_optimizer("main").epoch == 1


def test_names(updater):
    optimizer, iterator = updater.get_optimizer("main"), updater.get_iterator("main")
    assert updater.get_all_optimizers() == {"main": optimizer} == updater._optimizers
    assert updater._iterators == {"main": iterator}
    named = StandardUpdater({"main": iterator, "extra": iterator}, {"gen": optimizer, "dis": optimizer})
    assert set(named.get_all_optimizers()) == {"gen", "dis"}
    with pytest.raises(KeyError, match="no optimizer 'main'; it has \\['dis', 'gen'\\]"):
        named.update()
    with pytest.raises(KeyError, match="no iterator 'b'"):
        named.get_iterator("b")


def test_pairs_and_other_types_give_a_sentence(updater):
    optimizer, iterator = updater.get_optimizer("main"), updater.get_iterator("main")
    with pytest.raises(TypeError, match="optimizer is a list of tuples; wanted an optimizer or a dict of names"):
        StandardUpdater(iterator, [("main", optimizer), ("main", optimizer)])
    with pytest.raises(TypeError, match="iterator is of type int; wanted an iterator"):
        StandardUpdater(3, optimizer)
    with pytest.raises(TypeError, match=r"optimizer\['gen'\] is of type float"):
        StandardUpdater(iterator, {"gen": 1.0})


@pytest.mark.parametrize("form", ["tuple", "dict", "array"])
def test_batches_become_arguments_of_the_loss(form):
    seen = []
    link = L.Linear(2, 1)

    def loss(*args, **kwargs):
        seen.append((args, kwargs))
        return minigan.functions.sum(link(np.ones((1, 2), np.float32)))

    x = np.arange(8, dtype=np.float32).reshape(4, 2)
    data = {"tuple": TupleDataset(x, x), "dict": [{"x": row, "t": row} for row in x], "array": x}[form]
    optimizer = minigan.optimizers.SGD().setup(link)
    StandardUpdater(SerialIterator(data, 4, shuffle=False), optimizer, loss_func=loss).update()
    (args, kwargs), = seen
    arrays = [*args, *kwargs.values()]
    assert len(args) == {"tuple": 2, "dict": 0, "array": 1}[form]
    assert set(kwargs) == ({"x", "t"} if form == "dict" else set())
    assert all((array == x).all() for array in arrays)


def test_device_moves_the_model_and_reaches_the_converter(updater):
    seen = []

    def converter(batch, device):
        seen.append(device)
        return minigan.dataset.concat_examples(batch, device)

    updater = StandardUpdater(updater.get_iterator("main"), updater.get_optimizer("main"), converter, device=-1)
    updater.update()
    assert seen == [-1] and updater.device == minigan.get_device("@numpy") == updater.input_device
    updater.device = "set by a script"
    assert updater.device == "set by a script"


def test_loss_scale_reaches_the_optimizers(updater):
    scaled = StandardUpdater(updater.get_iterator("main"), updater.get_optimizer("main"), loss_scale=8.0)
    before = scaled.get_optimizer("main").target.l2.b.array.copy()
    scaled.update()
    assert not (scaled.get_optimizer("main").target.l2.b.array == before).all()


def test_auto_new_epoch_can_be_switched_off(updater):
    quiet = StandardUpdater(updater.get_iterator("main"), updater.get_optimizer("main"), auto_new_epoch=False)
    for _ in range(5):
        quiet.update()
    assert quiet.epoch == 1 and quiet.get_optimizer("main").epoch == 0


def test_a_serializer_of_ones_own_may_give_nothing_back(updater):
    class Keys(minigan.Serializer):
        def __getitem__(self, key):
            return self

        def __call__(self, key, value):
            keys.append(key)

    keys = []
    updater.serialize(Keys())  # Chainer's own tests do this
    assert {"iteration", "current_position", "epoch", "t"} < set(keys)


def test_finalize_reaches_every_iterator(updater):
    class Closing(SerialIterator):
        def finalize(self):
            closed.append(self.batch_size)

    closed = []
    iterators = {"main": Closing([1], 1), "extra": Closing([1, 2], 2)}
    StandardUpdater(iterators, updater.get_optimizer("main")).finalize()
    assert closed == [1, 2]


def test_base_class_says_what_is_missing():
    for call in (lambda: Updater().update(), lambda: Updater().get_optimizer("main"), Updater().get_all_optimizers):
        with pytest.raises(NotImplementedError, match="Updater must define"):
            call()


def test_parallel_updater_computes_what_one_device_would(tmp_path):
    """Each device has half of the batch and the mean over it: the gradients add up to twice that of the whole."""

    def weights(parallel):
        np.random.seed(0)
        model = Chain(l=L.Linear(3, 2))
        model.forward = lambda x: F.mean(model.l(x) ** 2) * (1 if parallel else 2)
        optimizer = SGD(0.1).setup(model)
        iterator = SerialIterator(np.random.RandomState(1).randn(8, 3).astype("f"), 4)
        if parallel:
            other = model.copy("copy")
            other.forward = lambda x: F.mean(other.l(x) ** 2)
            updater = ParallelUpdater(iterator, optimizer, models={"main": model, "b": other})
        else:
            updater = StandardUpdater(iterator, optimizer)
        Trainer(updater, (3, "iteration"), out=str(tmp_path)).run()
        return model.l.W.array

    np.testing.assert_allclose(weights(True), weights(False), rtol=1e-5)


def test_parallel_updater_copies_the_model_to_its_devices():
    optimizer = SGD(0.1).setup(Chain(l=L.Linear(3, 2)))
    updater = ParallelUpdater(SerialIterator([1], 1), optimizer, devices={"main": -1, "b": "@numpy"})
    assert list(updater._models) == ["main", "b"] and updater._models["main"] is optimizer.target
    with pytest.raises(KeyError, match="no 'main'"):
        ParallelUpdater(SerialIterator([1], 1), optimizer, devices={"b": -1})
    with pytest.raises(ValueError, match="both missing"):
        ParallelUpdater(SerialIterator([1], 1), optimizer)
    assert not MultiprocessParallelUpdater.available()
    with pytest.raises(RuntimeError, match="use ParallelUpdater"):
        MultiprocessParallelUpdater([], optimizer, devices=[0, 1])


def test_there_is_nothing_to_gather_on_the_cpu():
    for gather in (gather_grads, gather_params):
        with pytest.raises(RuntimeError, match="the Linear is on the CPU"):
            gather(L.Linear(2, 1))


def test_a_run_that_is_resumed_within_an_epoch_waits_for_a_whole_one(tmp_path):
    def run(stop, resume=None):
        trainer = make_trainer(minigan, tmp_path, stop=(stop, "iteration"), extensions=False)
        optimizer = trainer.updater.get_optimizer("main")
        with optimizer.target.init_scope():
            optimizer.target.rare = minigan.Parameter(0.0, (1,))
        optimizer.setup(optimizer.target)

        def loss(x, t):  # five iterations to an epoch
            used = F.sum(optimizer.target.rare) if trainer.updater.iteration % 5 == 1 else 0
            return optimizer.target(x, t) + used

        trainer.updater.loss_func = loss
        if resume:
            load_npz(resume, trainer)
        else:
            trainer.extend(snapshot(), trigger=(stop, "iteration"))
        trainer.run()

    run(4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(12, tmp_path / "snapshot_iter_4")


@pytest.mark.parametrize("idle", ["used", "unused", "frozen"])
def test_a_parameter_that_never_has_a_gradient_is_told_once(tmp_path, idle):
    trainer = make_trainer(minigan, tmp_path, stop=(15, "iteration"), extensions=False)
    model = trainer.updater.get_optimizer("main").target
    if idle != "used":
        with model.init_scope():
            model.more = minigan.links.Linear(2, 3)
        trainer.updater.get_optimizer("main").setup(model)
    if idle == "frozen":
        model.more.disable_update()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.run()
    texts = [str(warning.message) for warning in caught]
    assert len(texts) == (idle == "unused")
    assert all("/more/W, /more/b of optimizer 'main' had no gradient" in text for text in texts)


def test_out_of_memory_says_what_is_free_and_what_to_try(monkeypatch, tmp_path, capsys):
    def update(*args):
        if not seen:
            seen.append(args)
            raise MemoryError("Out of memory allocating 4,096 bytes (allocated so far: 512 bytes).")  # as CuPy says it

    seen = []
    monkeypatch.setattr(standard_updater, "memory_left", lambda: "0.1 of the GPU's 8.0 GB are free")
    model = minigan.links.Linear(1, 1)
    updater = StandardUpdater(SerialIterator(list(np.ones((9, 1), "f")), 6), minigan.optimizers.SGD().setup(model))
    updater.get_optimizer("main").update = update
    with pytest.raises(MemoryError, match="allocating 4,096 bytes"):
        Trainer(updater, (1, "iteration"), out=str(tmp_path)).run()
    assert "0.1 of the GPU's 8.0 GB are free; try batches of 3, not 6" in capsys.readouterr().err
    updater.update()  # life goes on
    assert updater.iteration == 1
