"""Parts, sums and transformed views; the orders are Chainer 7.8.1's for the same seeds."""

import numpy as np
import pytest

from minigan import datasets as D

DATA = list(range(10))


def lists(parts):
    return [list(part[:]) for part in parts]


def test_split_in_two():
    assert lists(D.split_dataset(DATA, 3)) == [[0, 1, 2], [3, 4, 5, 6, 7, 8, 9]]
    assert lists(D.split_dataset(DATA, 3, np.arange(9, -1, -1))) == [[9, 8, 7], [6, 5, 4, 3, 2, 1, 0]]
    assert lists(D.split_dataset_random(DATA, 3, seed=0)) == [[2, 8, 4], [9, 1, 6, 7, 3, 0, 5]]
    assert lists(D.split_dataset(DATA, 0)) == [[], DATA]
    with pytest.raises(TypeError, match=r"split_at is 1\.5"):
        D.split_dataset(DATA, 1.5)
    with pytest.raises(ValueError, match="-1"):
        D.split_dataset(DATA, -1)


def test_split_in_n():
    assert lists(D.split_dataset_n(DATA, 3)) == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert lists(D.split_dataset_n_random(DATA, 3, seed=1)) == [[2, 9, 6], [4, 0, 3], [1, 7, 8]]


def test_cross_validation():
    pairs = D.get_cross_validation_datasets(DATA, 3)
    assert [(list(a[:]), list(b[:])) for a, b in pairs] == [
        ([0, 1, 2, 3, 4, 5], [6, 7, 8, 9]), ([6, 7, 8, 9, 0, 1, 2], [3, 4, 5]), ([3, 4, 5, 6, 7, 8, 9], [0, 1, 2])
    ]  # fmt: skip
    pairs = D.get_cross_validation_datasets_random(DATA, 3, seed=2)
    assert [list(b[:]) for _, b in pairs] == [[3, 6, 9, 8], [0, 7, 2], [4, 1, 5]]
    assert len(D.get_cross_validation_datasets(DATA, n_fold=2)) == 2
    with pytest.raises(TypeError, match="n_folds"):
        D.get_cross_validation_datasets(DATA)


@pytest.mark.parametrize("split", [D.get_cross_validation_datasets, D.get_cross_validation_datasets_random])
def test_more_folds_than_examples(split):
    assert len(split(DATA, 10)) == 10
    with pytest.raises(ValueError, match="11 folds are asked of 10 examples"):  # as in Chainer
        split(DATA, 11)


def test_sub_dataset():
    part = D.SubDataset(DATA, 2, 5)
    assert (len(part), part[0], part[-1], part[-3], part[0:2], part[[0, 2]]) == (3, 2, 4, 2, [2, 3], [2, 4])
    for index in (3, -4):
        with pytest.raises(IndexError, match="outside"):
            part[index]
    for arguments in ((-1, 3), (0, 11), (0, 3, [1, 2])):
        with pytest.raises(ValueError, match="SubDataset"):
            D.SubDataset(DATA, *arguments)


def test_concatenated():
    whole = D.ConcatenatedDataset([1, 2], (), (3, 4, 5), [6])
    assert whole[:] == [1, 2, 3, 4, 5, 6] and (len(whole), whole[-1]) == (6, 6)
    assert len(D.ConcatenatedDataset()) == 0
    with pytest.raises(IndexError, match="outside of its 6"):
        whole[6]


def test_transformed():
    twice = D.TransformDataset(DATA, lambda x: 2 * x)
    assert (len(twice), twice[1:3], twice[-1]) == (10, [2, 4], 18)


def test_dicts():
    both = D.DictDataset(a=[1, 2], b=[3, 4])
    assert (len(both), both[1], both[0:2]) == (2, {"a": 2, "b": 4}, [{"a": 1, "b": 3}, {"a": 2, "b": 4}])
    with pytest.raises(ValueError, match="length"):
        D.DictDataset(a=[1], b=[2, 3])
    with pytest.raises(ValueError, match="no data sets"):
        D.DictDataset()
