"""Iterators with helpers: the same batches as SerialIterator from one seed, errors raised, threads ended."""

import copy
import threading

import numpy as np
import pytest

from minigan.iterators import MultiprocessIterator, MultithreadIterator, SerialIterator
from minigan.serializers import DictionarySerializer, NpzDeserializer

KINDS = [
    lambda *a, **k: MultithreadIterator(*a, n_threads=3, **k),
    lambda *a, **k: MultiprocessIterator(*a, n_processes=2, **k),
]
every_kind = pytest.mark.parametrize("make", KINDS, ids=["threads", "processes"])


def batches(iterator, n):
    return [next(iterator) for _ in range(n)]


@every_kind
@pytest.mark.parametrize("shuffle", [None, False])
def test_same_batches_as_serial(make, shuffle):
    data = [x * x for x in range(7)]
    np.random.seed(3)
    expected = batches(SerialIterator(data, 3, shuffle=shuffle), 9)
    np.random.seed(3)
    with make(data, 3, shuffle=shuffle) as iterator:
        assert batches(iterator, 9) == expected
        assert iterator.epoch == 3
    assert list(make(data, 3, repeat=False, shuffle=False)) == [[0, 1, 4], [9, 16, 25], [36]]


@every_kind
def test_state_goes_through_a_file_and_copies_go_their_own_way(make):
    iterator, file = make(list(range(10)), 4), DictionarySerializer()
    next(iterator)
    iterator.serialize(file)
    other = make(list(range(10)), 4)
    other.serialize(NpzDeserializer(file.target))
    twin = copy.copy(iterator)
    following = next(iterator)
    assert following == next(other) == next(twin)
    before = threading.active_count()
    for each in (iterator, other, twin):
        each.finalize()
    assert threading.active_count() < before


class Bad:
    def __len__(self):
        return 4

    def __getitem__(self, i):
        if i == 2:
            raise RuntimeError("cannot read example 2")
        return i


@every_kind
def test_an_error_in_a_worker_is_raised(make):
    with make(Bad(), 4, shuffle=False) as iterator, pytest.raises(RuntimeError, match="cannot read example 2"):
        next(iterator)


def test_wrong_numbers_and_arguments_of_chainer():
    with pytest.raises(ValueError, match="0 workers"):
        MultithreadIterator([1], 1, n_threads=0)
    iterator = MultiprocessIterator([1, 2], 1, True, False, 2, 1, None, None, 30.0, None)
    assert (iterator.n_processes, iterator.n_prefetch, next(iterator)) == (2, 1, [1])
    iterator.finalize()
