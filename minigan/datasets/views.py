"""Data sets made of other data sets: a part, a sum, a transformed view; and the splits that cross validation wants.

None of them copies an example: they only translate indices. Orders drawn here come from a `numpy.random.RandomState` of
their own seed, as in Chainer, so that one seed gives the split that a Chainer script got.
"""

from __future__ import annotations

import bisect
import itertools
import operator
from collections.abc import Callable
from typing import Any

import numpy

from minigan.dataset.dataset_mixin import DatasetMixin


class SubDataset(DatasetMixin):
    """The examples `start` to `finish - 1` of a data set, or of its permutation `order`.

    Raises `ValueError` for a range outside of the data set or an order of another length, `IndexError` for an index
    outside of the range.
    """

    def __init__(self, dataset: Any, start: int, finish: int, order: Any = None) -> None:
        if start < 0 or finish > len(dataset):
            raise ValueError(f"SubDataset: {start} to {finish} is asked of a data set of {len(dataset)} examples")
        if order is not None and len(order) != len(dataset):
            raise ValueError(f"SubDataset: order has length {len(order)} but the data set {len(dataset)}")
        self._dataset = dataset
        self._start, self._finish = start, finish
        self._order = order

    def __len__(self) -> int:
        return max(self._finish - self._start, 0)

    def get_example(self, i: int) -> Any:
        """Return example `start + i`; a negative `i` counts from `finish`."""
        if not -len(self) <= i < len(self):
            raise IndexError(f"SubDataset: index {i} is outside of its {len(self)} examples")
        index = self._start + i if i >= 0 else self._finish + i
        return self._dataset[index if self._order is None else self._order[index]]


def split_dataset(dataset: Any, split_at: int, order: Any = None) -> tuple[SubDataset, SubDataset]:
    """Return the first `split_at` examples (of the permutation `order`) and the rest, as two data sets."""
    try:
        split_at = operator.index(split_at)
    except TypeError:
        raise TypeError(f"split_dataset: split_at is {split_at!r}; wanted an integer") from None
    return SubDataset(dataset, 0, split_at, order), SubDataset(dataset, split_at, len(dataset), order)


def split_dataset_random(dataset: Any, first_size: int, seed: int | None = None) -> tuple[SubDataset, SubDataset]:
    """Return `first_size` examples drawn at random, and the rest."""
    return split_dataset(dataset, first_size, _permutation(dataset, seed))


def split_dataset_n(dataset: Any, n: int, order: Any = None) -> list[SubDataset]:
    """Return `n` parts of equal size; up to `n - 1` examples at the end are left out."""
    size = len(dataset) // n
    return [SubDataset(dataset, i * size, (i + 1) * size, order) for i in range(n)]


def split_dataset_n_random(dataset: Any, n: int, seed: int | None = None) -> list[SubDataset]:
    """Return `n` random parts of equal size; up to `n - 1` examples are left out."""
    return split_dataset_n(dataset, n, _permutation(dataset, seed))


def get_cross_validation_datasets(
    dataset: Any, n_folds: int | None = None, order: Any = None, **kwargs: Any
) -> list[tuple[SubDataset, SubDataset]]:
    """Return `n_folds` pairs (training set, test set): each example is in exactly one of the test sets.

    `n_fold` is the old name of `n_folds`. More folds than examples are a `ValueError`.
    """
    n_folds = kwargs.pop("n_fold", n_folds)
    if n_folds is None or kwargs:
        raise TypeError(f"get_cross_validation_datasets: wanted n_folds and order, got also {sorted(kwargs)}")
    size = len(dataset)
    if n_folds > size:
        raise ValueError(f"get_cross_validation_datasets: {n_folds} folds are asked of {size} examples; a test set "
                         f"would be empty")  # fmt: skip
    borders = [size * i // n_folds for i in range(n_folds, -1, -1)]
    order = numpy.arange(size) if order is None else numpy.asarray(order)
    pairs = []
    for end, start in itertools.pairwise(borders):
        turned = numpy.roll(order, size - end)  # the test set last
        pairs.append((SubDataset(dataset, 0, size - (end - start), turned),
                      SubDataset(dataset, size - (end - start), size, turned)))  # fmt: skip
    return pairs


def get_cross_validation_datasets_random(
    dataset: Any, n_folds: int, seed: int | None = None, **kwargs: Any
) -> list[tuple[SubDataset, SubDataset]]:
    """Return `n_folds` pairs as `get_cross_validation_datasets` does, of a random order."""
    return get_cross_validation_datasets(dataset, n_folds, _permutation(dataset, seed), **kwargs)


def _permutation(dataset: Any, seed: int | None) -> numpy.ndarray:
    return numpy.random.RandomState(seed).permutation(len(dataset))


class ConcatenatedDataset(DatasetMixin):
    """The examples of several data sets one after the other."""

    def __init__(self, *datasets: Any) -> None:
        self._datasets = datasets
        self._ends = list(itertools.accumulate(len(dataset) for dataset in datasets))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def get_example(self, i: int) -> Any:
        """Return the i-th example of all."""
        if not -len(self) <= i < len(self):
            raise IndexError(f"ConcatenatedDataset: index {i} is outside of its {len(self)} examples")
        i %= len(self)
        which = bisect.bisect_right(self._ends, i)
        return self._datasets[which][i - (self._ends[which - 1] if which else 0)]


class TransformDataset(DatasetMixin):
    """The data set with `transform(example)` in place of each example."""

    def __init__(self, dataset: Any, transform: Callable[[Any], Any]) -> None:
        self._dataset, self._transform = dataset, transform

    def __len__(self) -> int:
        return len(self._dataset)

    def get_example(self, i: int) -> Any:
        """Return the transformed example."""
        return self._transform(self._dataset[i])
