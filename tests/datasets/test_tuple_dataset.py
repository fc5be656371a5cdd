import numpy as np
import pytest

from minigan.datasets import TupleDataset


def test_examples_are_tuples():
    dataset = TupleDataset(np.arange(5), list("abcde"))
    assert len(dataset) == 5
    assert dataset[0] == (0, "a") and dataset[-1] == (4, "e")
    assert dataset[1:3] == [(1, "b"), (2, "c")]
    assert dataset[::-2] == [(4, "e"), (2, "c"), (0, "a")]


def test_an_array_of_indices_goes_to_each_data_set():
    # Chainer 7.8.1: TupleDataset(arange(5), arange(5) * 2.)[[1, 2]] -> (array([1, 2]), array([2., 4.]))
    x, y = TupleDataset(np.arange(5), np.arange(5) * 2.0)[[1, 2]]
    assert x.tolist() == [1, 2] and y.tolist() == [2, 4]


def test_wrong_data_sets_give_a_sentence():
    with pytest.raises(ValueError, match="no data sets are given"):
        TupleDataset()
    with pytest.raises(ValueError, match="data set 0 has 1 examples but data set 1 has 2"):
        TupleDataset([1], [1, 2])
    with pytest.raises(IndexError):
        TupleDataset([1])[1]
