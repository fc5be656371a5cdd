"""The base class of data sets that compute their examples: write `__len__` and `get_example`, get indexing for free.

Anything with `__len__` and `__getitem__` is a data set, a list or an array too; this class only spares the work of
telling one index from many.
"""

from __future__ import annotations

from typing import Any

import numpy


class DatasetMixin:
    """A data set of `len(self)` examples; the i-th is `get_example(i)`."""

    def __getitem__(self, index: Any) -> Any:
        """Return one example for an integer, a list of examples for a slice, a list or an array of indices.

        A boolean array of length `len(self)` picks the examples where it is true.
        """
        if isinstance(index, slice):
            return [self.get_example(i) for i in range(*index.indices(len(self)))]
        if isinstance(index, numpy.ndarray) and index.ndim > 0:
            if index.dtype == bool:
                if index.shape != (len(self),):
                    raise IndexError(
                        f"{type(self).__name__}: the boolean index has shape {index.shape} but there are {len(self)} "
                        f"examples; pass shape ({len(self)},)"
                    )
                index = numpy.flatnonzero(index)
            return [self.get_example(i) for i in index]
        if isinstance(index, list):
            return [self.get_example(i) for i in index]
        return self.get_example(index)

    def __len__(self) -> int:
        """Return the number of examples."""
        raise NotImplementedError(f"{type(self).__name__} must define __len__")

    def get_example(self, i: int) -> Any:
        """Return the i-th example: an array, a number, or a tuple or dict of such."""
        raise NotImplementedError(f"{type(self).__name__} must define get_example")
