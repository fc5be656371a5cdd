import copy

import numpy as np
import pytest

from minigan.dataset import DatasetMixin
from minigan.iterators import OrderSampler, SerialIterator, ShuffleOrderSampler
from minigan.serializers import NpzDeserializer
from minigan.serializers.npz import serialize


def run(iterator, steps):
    """Batches, each with position, epoch, is_new_epoch, epoch_detail and previous_epoch_detail after it."""
    rows = []
    for _ in range(steps):
        try:
            batch = next(iterator)
        except StopIteration:
            batch = "stop"
        rows.append((batch, iterator.current_position, iterator.epoch, iterator.is_new_epoch,
                     iterator.epoch_detail, iterator.previous_epoch_detail))  # fmt: skip
    return rows


# Chainer 7.8.1: numpy.random.seed(0); SerialIterator(list(range(5)), 2)
SHUFFLED = [
    ([2, 0], 2, 0, False, 0.4, 0.0),
    ([1, 3], 4, 0, False, 0.8, 0.4),
    ([4, 0], 1, 1, True, 1.2, 0.8),
    ([2, 1], 3, 1, False, 1.6, 1.2),
    ([4, 3], 0, 2, True, 2.0, 1.6),
    ([1, 3], 2, 2, False, 2.4, 2.0),
]


def test_same_order_as_chainer_over_epochs():
    np.random.seed(0)
    iterator = SerialIterator(list(range(5)), 2)
    assert (iterator.epoch_detail, iterator.previous_epoch_detail, iterator.repeat) == (0.0, None, True)
    assert run(iterator, 6) == SHUFFLED
    iterator.reset()
    assert (iterator.current_position, iterator.epoch, iterator.previous_epoch_detail) == (0, 0, None)
    assert next(iterator) == [3, 1]  # Chainer's too


def test_without_repeat_the_last_batch_is_short_and_then_it_stops():
    np.random.seed(0)
    iterator = SerialIterator(list(range(5)), 2, repeat=False)
    assert run(iterator, 5) == [
        ([2, 0], 2, 0, False, 0.4, 0.0),
        ([1, 3], 4, 0, False, 0.8, 0.4),
        ([4], 0, 1, True, 1.0, 0.8),
        ("stop", 0, 1, True, 1.0, 1.0),
        ("stop", 0, 1, True, 1.0, 1.0),
    ]
    iterator.reset()
    assert next(iterator) == [1, 3]  # Chainer draws an order at the end of the epoch too


def test_without_shuffle():
    rows = run(SerialIterator(list(range(5)), 2, shuffle=False), 4)
    assert [row[0] for row in rows] == [[0, 1], [2, 3], [4, 0], [1, 2]]
    assert list(SerialIterator(list(range(5)), 2, repeat=False, shuffle=False)) == [[0, 1], [2, 3], [4]]


def test_a_batch_may_span_several_epochs():
    np.random.seed(0)
    # Chainer 7.8.1: numpy.random.seed(0); SerialIterator(list(range(3)), 7, True, True)
    assert run(SerialIterator(list(range(3)), 7, True, True), 3) == [
        ([2, 1, 0, 2, 0, 1, 0], 1, 2, True, 2 + 1 / 3, 0.0),
        ([2, 1, 2, 0, 1, 2, 1], 2, 4, True, 4 + 2 / 3, 2 + 1 / 3),
        ([0, 1, 0, 2, 1, 2, 0], 0, 7, True, 7.0, 4 + 2 / 3),
    ]


def test_the_order_of_an_epoch_is_drawn_before_the_examples_of_the_batch_draw():
    class Drawing(DatasetMixin):
        def __len__(self):
            return 5

        def get_example(self, i):
            return int(i), np.random.randint(100)

    np.random.seed(0)
    iterator = SerialIterator(Drawing(), 2)
    # Chainer 7.8.1: the same lines, with chainer's names
    assert [next(iterator) for _ in range(4)] == [
        [(2, 67), (0, 67)], [(1, 9), (3, 83)], [(4, 88), (1, 12)], [(3, 58), (4, 65)]
    ]  # fmt: skip


def test_every_epoch_shows_every_example_once():
    iterator = SerialIterator(list(range(7)), 3)
    seen = [i for _ in range(7) for i in next(iterator)]
    for epoch in range(3):
        assert sorted(seen[7 * epoch : 7 * epoch + 7]) == list(range(7))


def test_order_samplers():
    class Mine(OrderSampler):
        calls = []

        def __call__(self, order, position):
            self.calls.append((order.tolist(), position))
            return np.array([2, 0, 1])

    iterator = SerialIterator(list(range(5)), 2, order_sampler=Mine())
    assert [row[0] for row in run(iterator, 4)] == [[2, 0], [1, 2], [0, 1], [2, 0]]
    assert Mine.calls == [([0, 1, 2, 3, 4], 0), ([2, 0, 1], 2), ([2, 0, 1], 1)]
    # Chainer 7.8.1: SerialIterator(list(range(5)), 2, order_sampler=ShuffleOrderSampler(numpy.random.RandomState(3)))
    iterator = SerialIterator(list(range(5)), 2, order_sampler=ShuffleOrderSampler(np.random.RandomState(3)))
    assert [row[0] for row in run(iterator, 4)] == [[3, 4], [1, 0], [2, 2], [1, 3]]
    with pytest.raises(NotImplementedError, match="__call__"):
        SerialIterator([1], 1, order_sampler=OrderSampler())


def test_batches_are_lists_of_examples_for_arrays_too():
    batch = SerialIterator(np.arange(12).reshape(6, 2), 3, shuffle=False).next()
    assert isinstance(batch, list) and [x.tolist() for x in batch] == [[0, 1], [2, 3], [4, 5]]


def test_examples_that_the_batch_does_not_need_are_not_made():
    class Counting(DatasetMixin):
        made = 0

        def __len__(self):
            return 100

        def get_example(self, i):
            self.made += 1
            return i

    dataset = Counting()
    next(SerialIterator(dataset, 4))
    assert dataset.made == 4


@pytest.mark.parametrize(
    "arguments, error, says",
    [
        (([], 2), ValueError, "dataset is empty"),
        (([1], 0), ValueError, "batch_size is 0"),
        (([1], -1), ValueError, "batch_size is -1"),
        (([1], 1.5), TypeError, "float"),
        (([1], 1, True, True, ShuffleOrderSampler()), ValueError, "leave shuffle at None"),
        (([1], 1, True, None, lambda order, position: []), ValueError, "at least one index"),
        (([1], 1, True, None, lambda order, position: [[0]]), ValueError, r"shape \(1, 1\)"),
    ],
)
def test_wrong_arguments_give_a_sentence(arguments, error, says):
    with pytest.raises(error, match=says):
        SerialIterator(*arguments)


class Save(dict):
    def __call__(self, key, value):
        self[key] = np.array(value)
        return value


class Load(dict):
    """Reads as Chainer's does: an array is filled in place, a scalar is converted to its old type."""

    def __call__(self, key, value):
        if isinstance(value, np.ndarray):
            np.copyto(value, self[key])
            return value
        return type(value)(self[key])


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("steps", range(6))
def test_a_saved_iterator_goes_on_as_if_never_stopped(shuffle, steps):
    np.random.seed(1)
    iterator = SerialIterator(list(range(5)), 2, shuffle=shuffle)
    run(iterator, steps)
    saved, random_state = Save(), np.random.get_state()
    iterator.serialize(saved)
    wanted = run(iterator, 9)
    other = SerialIterator(list(range(5)), 2, shuffle=shuffle)
    other.serialize(Load(saved))
    np.random.set_state(random_state)
    assert run(other, 9) == wanted


def test_keys_are_chainers():
    np.random.seed(1)
    # Chainer 7.8.1: three steps of SerialIterator(list(range(5)), 2) after numpy.random.seed(1), DictionarySerializer
    saved = Save()
    iterator = SerialIterator(list(range(5)), 2)
    run(iterator, 3)
    iterator.serialize(saved)
    assert {key: value.tolist() for key, value in saved.items()} == {
        "current_position": 1, "epoch": 1, "is_new_epoch": True, "order": [0, 2, 4, 3, 1], "previous_epoch_detail": 0.8,
    }  # fmt: skip
    unshuffled = Save()
    SerialIterator([1], 1, shuffle=False).serialize(unshuffled)
    assert set(unshuffled) == {"current_position", "epoch", "is_new_epoch", "previous_epoch_detail"}
    assert unshuffled["previous_epoch_detail"] == -1


def test_a_snapshot_of_other_data_is_refused_and_changes_nothing():
    saved = Save()
    iterator = SerialIterator(list(range(5)), 2)
    next(iterator)
    iterator.serialize(saved)
    other = SerialIterator(list(range(7)), 2)
    twin = copy.copy(other)
    with pytest.raises(ValueError, match="does not fit a data set of 7"):
        other.serialize(Load(saved))
    assert run(other, 3) == run(twin, 3)


def test_a_position_beyond_the_data_is_refused():
    saved = Save()
    iterator = SerialIterator(list(range(5)), 4, shuffle=False)
    next(iterator)
    iterator.serialize(saved)
    other = SerialIterator(list(range(3)), 4, shuffle=False)
    with pytest.raises(ValueError, match="saved position is 4 but the epoch has 3 examples"):
        other.serialize(Load(saved))
    assert other.current_position == 0


class Ending:
    def __len__(self):
        return 2

    def __getitem__(self, i):
        raise StopIteration


def test_a_data_set_cannot_end_the_training_by_the_way():
    with pytest.raises(RuntimeError, match="the data set or the order sampler raised StopIteration"):
        list(SerialIterator(Ending(), 1))


def test_a_sampler_may_leave_the_order_to_the_data_set():
    # Chainer 7.8.1: SerialIterator(list(range(3)), 2, order_sampler=lambda order, position: None)
    iterator = SerialIterator(list(range(3)), 2, order_sampler=lambda order, position: None)
    assert [next(iterator) for _ in range(3)] == [[0, 1], [2, 0], [1, 2]]


def test_finalize_at_the_end_of_an_iterator():
    class Mine(SerialIterator):
        ended = 0

        def finalize(self):
            Mine.ended += 1

    iterator = Mine([1], 1)
    del iterator
    assert Mine.ended == 1


def test_a_copy_goes_its_own_way():
    iterator = SerialIterator(list(range(5)), 2, repeat=False, shuffle=False)
    next(iterator)
    assert list(copy.copy(iterator)) == [[2, 3], [4]]
    assert next(iterator) == [2, 3]


def test_whether_an_epoch_has_just_ended_is_saved():
    iterator, other = SerialIterator([0, 1, 2, 3], 2), SerialIterator([0, 1, 2, 3], 2)
    for ended in (False, True, False):
        next(iterator)
        NpzDeserializer(serialize(iterator)).load(other)
        assert other.is_new_epoch is ended
