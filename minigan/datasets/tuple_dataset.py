"""Several data sets side by side, images with their labels, say: as tuples or as dicts."""

from __future__ import annotations

from typing import Any


class TupleDataset:
    """The i-th example is the tuple of the i-th examples of the given data sets.

    Raises:
        ValueError: no data set is given, or their lengths differ.
    """

    def __init__(self, *datasets: Any) -> None:
        if not datasets:
            raise ValueError("TupleDataset: no data sets are given; give at least one")
        for i, dataset in enumerate(datasets):
            if len(dataset) != len(datasets[0]):
                raise ValueError(
                    f"TupleDataset: data set 0 has {len(datasets[0])} examples but data set {i} has {len(dataset)}; "
                    f"give data sets of one length"
                )
        self._datasets = datasets

    def __getitem__(self, index: Any) -> Any:
        """Return a tuple for an integer, a list of tuples for a slice.

        Any other index goes to each data set as it is: an array of indices into arrays gives a tuple of arrays.
        """
        columns = [dataset[index] for dataset in self._datasets]
        return list(zip(*columns, strict=True)) if isinstance(index, slice) else tuple(columns)

    def __len__(self) -> int:
        return len(self._datasets[0])


class DictDataset:
    """The i-th example is the dict of the i-th examples of the given data sets.

    Raises:
        ValueError: no data set is given, or their lengths differ.
    """

    def __init__(self, **datasets: Any) -> None:
        self._names = list(datasets)
        self._columns = TupleDataset(*datasets.values())

    def __getitem__(self, index: Any) -> Any:
        """Return a dict for an integer, a list of dicts for a slice."""
        examples = self._columns[index]
        if isinstance(index, slice):
            return [dict(zip(self._names, example)) for example in examples]
        return dict(zip(self._names, examples))

    def __len__(self) -> int:
        return len(self._columns)
