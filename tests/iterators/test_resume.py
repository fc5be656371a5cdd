"""A snapshot at any position, of any iterator in any other: what follows is what would have followed."""

import itertools
import random
import warnings

import numpy as np
import pytest

from minigan.dataset import example_random
from minigan.datasets import ImageFolderDataset, TransformDataset
from minigan.datasets.transforms import Augment, random_crop, random_flip, random_rotation
from minigan.iterators import MultiprocessIterator, MultithreadIterator, SerialIterator, ShuffleOrderSampler
from minigan.serializers import DictionarySerializer, NpzDeserializer, load_hdf5, save_hdf5

MAKERS = {
    "serial": SerialIterator,
    "threads": lambda *a, **k: MultithreadIterator(*a, n_threads=3, **k),
    "processes": lambda *a, **k: MultiprocessIterator(*a, n_processes=1, n_prefetch=2, **k),
}


class Turning:
    """An order sampler with a state of its own, which it saves."""

    turns = 0

    def __call__(self, order, position):
        self.turns += 1
        return np.roll(np.arange(5), self.turns)

    def serialize(self, serializer):
        self.turns = serializer("turns", self.turns)


ORDERS = {
    "shuffled": dict,
    "in order": lambda: {"shuffle": False},
    "own generator": lambda: {"order_sampler": ShuffleOrderSampler(np.random.RandomState(4))},
    "own sampler": lambda: {"order_sampler": Turning()},
}


def walk(iterator, steps):
    """What a script sees: batches, the place after each, and a number that it draws itself."""
    seen = []
    for _ in range(steps):
        batch = next(iterator, "end")
        place = (iterator.current_position, iterator.epoch, iterator.is_new_epoch, iterator.epoch_detail,
                 iterator.previous_epoch_detail)  # fmt: skip
        seen.append((batch, place, np.random.rand()))
    return seen


def snapshot(iterator):
    file = DictionarySerializer()
    iterator.serialize(file)
    return file.target


@pytest.mark.parametrize("repeat", [True, False])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("before, after", list(itertools.product(MAKERS, MAKERS)))
def test_every_position_in_two_epochs(before, after, order, repeat):
    data, steps = list(range(100, 105)), 7

    def make(kind, seed):
        np.random.seed(seed)
        return MAKERS[kind](data, 2, repeat=repeat, **ORDERS[order]())

    wanted = walk(make("serial", 1), steps)
    with make(after, 7) as other, make(before, 1) as iterator:
        for place in range(steps):
            saved, state = snapshot(iterator), np.random.get_state()
            other.serialize(NpzDeserializer(saved))
            assert walk(other, steps - place) == wanted[place:]
            np.random.set_state(state)
            assert walk(iterator, 1) == wanted[place : place + 1]


def test_the_generator_of_a_sampler_through_hdf5_and_not_at_all(tmp_path):
    def make(seed):
        return SerialIterator(list(range(9)), 4, order_sampler=ShuffleOrderSampler(np.random.RandomState(seed)))

    iterator, other = make(1), make(2)
    walk(iterator, 3)
    save_hdf5(tmp_path / "it.h5", iterator)
    load_hdf5(tmp_path / "it.h5", other)
    assert [next(iterator) for _ in range(9)] == [next(other) for _ in range(9)]
    foreign = {key: value for key, value in snapshot(iterator).items() if "sampler" not in key}  # Chainer's
    with pytest.warns(UserWarning, match="no state of the order sampler"):
        make(3).serialize(NpzDeserializer(foreign))
    damaged = snapshot(iterator)
    damaged["order_sampler/random_position"] = np.array(2**32)
    with pytest.raises(ValueError, match="position 4294967296 but a Mersenne Twister has 624 words"):
        make(3).serialize(NpzDeserializer(damaged))


# --- examples that draw ---


class Noise:
    """`draw` is where the numbers come from."""

    def __init__(self, draw):
        self.draw = draw

    def __len__(self):
        return 7

    def __getitem__(self, i):
        return i, self.draw(), self.draw()


def own():
    return example_random().randint(1 << 30)


def test_examples_have_numbers_of_their_own_in_threads_as_in_processes():
    def make(kind, n, seed=5):
        np.random.seed(seed)
        return MultithreadIterator(Noise(own), 3, n_threads=n) if kind == "threads" else MultiprocessIterator(
            Noise(own), 3, n_processes=n)  # fmt: skip

    with make("threads", 1) as one, make("threads", 4) as four, make("processes", 2) as processes:
        wanted = walk(one, 3)
        saved, state = snapshot(one), np.random.get_state()
        wanted += walk(one, 6)
        assert len({x[1:] for batch, *_ in wanted for x in batch}) == 27
        np.random.seed(5)
        processes.reset()
        assert walk(processes, 9) == wanted
        np.random.set_state(state)
        four.serialize(NpzDeserializer(saved))
        assert walk(four, 6) == wanted[3:]
    with make("threads", 2, 6) as other:
        assert {x[1] for batch, *_ in walk(other, 2) for x in batch}.isdisjoint(
            x[1] for batch, *_ in wanted for x in batch)  # fmt: skip


@pytest.mark.parametrize("draw", [np.random.rand, random.random])
def test_threads_do_not_share_a_generator(draw):
    """Examples that draw from the one generator of all threads are read as SerialIterator reads them."""

    def make(kind):
        np.random.seed(1)
        random.seed(1)
        return MAKERS[kind](Noise(draw), 3)

    wanted = walk(make("serial"), 8)
    with make("threads") as iterator, make("threads") as other:
        np.random.seed(1)
        iterator.reset()
        with pytest.warns(RuntimeWarning, match="read one after the other"):
            head = walk(iterator, 3)
        saved, states = snapshot(iterator), (np.random.get_state(), random.getstate())
        assert head + walk(iterator, 5) == wanted
        np.random.set_state(states[0])
        random.setstate(states[1])
        other.serialize(NpzDeserializer(saved))
        with pytest.warns(RuntimeWarning, match="read one after the other"):
            assert walk(other, 5) == wanted[3:]


def test_transforms_and_crops_are_the_same_with_any_number_of_threads(tmp_path):
    PIL = pytest.importorskip("PIL.Image")
    for i, pixels in enumerate(np.random.RandomState(0).randint(0, 255, (5, 12, 9, 3)).astype(np.uint8)):
        PIL.fromarray(pixels).save(tmp_path / f"{i}.png")
    change = Augment(random_crop, random_flip, lambda x: random_rotation(x, 20))
    data = TransformDataset(ImageFolderDataset(tmp_path, 8, "random"), change)
    runs = []
    for n in (1, 3):
        np.random.seed(2)
        with warnings.catch_warnings(), MultithreadIterator(data, 2, n_threads=n) as iterator:
            warnings.simplefilter("error")
            runs.append(np.array([next(iterator) for _ in range(6)]))
    np.testing.assert_array_equal(*runs)
