"""Data sets that are tables: every example has the same named columns, and columns can be had without the others.

A `TabularDataset` answers one question, `get_examples(indices, key_indices)`: these rows of these columns, please, a
list or an array for each column. All else is made of it: single examples, whole batches, and views that slice, join,
concatenate or transform. No view copies anything; it translates the question and asks the data set beneath, so that
a chain of views reads the rows and columns that are wanted and no more.

`indices` is None (all), a slice or a list of integers, `key_indices` None or a tuple of integers. `mode` says what an
example is: `tuple`, `dict`, or None for the bare value of the only column.
"""

from __future__ import annotations

import bisect
import itertools
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy

from minigan import backend
from minigan.dataset.dataset_mixin import DatasetMixin


class TabularDataset(DatasetMixin):
    """A table; a subclass writes `__len__`, `keys`, `mode` and `get_examples`."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of the columns."""
        raise NotImplementedError(f"{type(self).__name__} must define the property keys")

    @property
    def mode(self) -> type | None:
        """What an example is: `tuple`, `dict` or None."""
        raise NotImplementedError(f"{type(self).__name__} must define the property mode")

    def get_examples(self, indices: Any, key_indices: Any) -> tuple[Any, ...]:
        """Return a list or an array of the rows `indices` for each of the columns `key_indices`."""
        raise NotImplementedError(f"{type(self).__name__} must define get_examples")

    def get_example(self, i: int) -> Any:
        """Return the i-th row, in the form that `mode` says."""
        columns = self.get_examples([i], None)
        return _pack(self.mode, self.keys, [column[0] for column in columns])

    def __iter__(self) -> Iterator[Any]:
        return (self.get_example(i) for i in range(len(self)))

    @property
    def slice(self) -> _Slicer:
        """`slice[rows]` and `slice[rows, keys]` are views of these rows and columns.

        Rows are a slice, integers, or as many booleans as there are rows. `keys` is the name or number of one column,
        and an example of the view a bare value, or a tuple of such.

        Raises:
            TypeError: rows are something else.
            IndexError: there is no such row, or no column of that number.
            KeyError: there is no column of that name.
            ValueError: there are more or fewer booleans than rows.
        """
        return _Slicer(self)

    def fetch(self) -> Any:
        """Return all columns in the form that `mode` says: a tuple or a dict of lists or arrays, or just one."""
        columns = self.get_examples(None, None)
        return _pack(self.mode, self.keys, columns)

    def convert(self, data: Any) -> Any:
        """Return what `fetch` gave with each list made an array: by `with_converter`'s converter where there is one."""
        if isinstance(data, tuple):
            return tuple(_as_array(column) for column in data)
        if isinstance(data, dict):
            return {key: _as_array(column) for key, column in data.items()}
        return _as_array(data)

    def astuple(self) -> TabularDataset:
        """Return a view whose examples are tuples."""
        return _WithMode(self, tuple)

    def asdict(self) -> TabularDataset:
        """Return a view whose examples are dicts."""
        return _WithMode(self, dict)

    def concat(self, *datasets: TabularDataset) -> TabularDataset:
        """Return a view of this table's rows and then those of the others; ValueError where their keys differ."""
        return _Concat(self, *datasets)

    def join(self, *datasets: TabularDataset) -> TabularDataset:
        """Return a view with the columns of all tables; ValueError where lengths differ or keys occur twice."""
        return _Join(self, *datasets)

    def transform(self, keys: Any, transform: Callable[..., Any]) -> TabularDataset:
        """Return a view whose examples are `transform(*example)`, or `transform(**example)` of a dict.

        `transform` returns a tuple of values for `keys`, a dict with these keys, or the value of the only key; of what
        form is seen at the first example, and a change later is a ValueError.
        """
        return _Transform(self, keys, transform)

    def transform_batch(self, keys: Any, transform_batch: Callable[..., Any]) -> TabularDataset:
        """Return a view as `transform` does, but `transform_batch` gets, and returns, whole columns of a batch.

        Raises `ValueError`, when read, if a returned column has another length.
        """
        return _TransformBatch(self, keys, transform_batch)

    def with_converter(self, converter: Callable[..., Any]) -> TabularDataset:
        """Return a view with `convert(data)` = `converter(*data)`, or `converter(**data)` of a dict."""
        return _WithConverter(self, converter)


class DelegateDataset(TabularDataset):
    """A table that asks another, `self.dataset`, everything: to be inherited from."""

    def __init__(self, dataset: TabularDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of `dataset`."""
        return self.dataset.keys

    @property
    def mode(self) -> type | None:
        """The mode of `dataset`."""
        return self.dataset.mode

    def get_examples(self, indices: Any, key_indices: Any) -> tuple[Any, ...]:
        """Return the examples of `dataset`."""
        return self.dataset.get_examples(indices, key_indices)


class _View(DelegateDataset):
    """A view: what it does not change is that of the data set beneath, the converter too."""

    def convert(self, data: Any) -> Any:
        return self.dataset.convert(data)


class _WithMode(_View):
    def __init__(self, dataset: TabularDataset, mode: type) -> None:
        super().__init__(dataset)
        self._mode = mode

    @property
    def mode(self) -> type:
        return self._mode


class _WithConverter(_View):
    def __init__(self, dataset: TabularDataset, converter: Callable[..., Any]) -> None:
        super().__init__(dataset)
        self._converter = converter

    def convert(self, data: Any) -> Any:
        return _apply(self._converter, _mode_of(data), data)


class _Slicer:
    """What `dataset.slice` is, so that square brackets can follow."""

    def __init__(self, dataset: TabularDataset) -> None:
        self._dataset = dataset

    def __getitem__(self, index: Any) -> TabularDataset:
        if not isinstance(index, tuple):
            return _Slice(self._dataset, index, None)
        if len(index) != 2:
            raise ValueError(f"slice: got {len(index)} indices; wanted slice[rows] or slice[rows, keys]")
        return _Slice(self._dataset, *index)


class _Slice(_View):
    def __init__(self, dataset: TabularDataset, indices: Any, keys: Any) -> None:
        super().__init__(dataset)
        self._indices = _rows(indices, len(dataset))
        self._several = keys is None or isinstance(keys, (tuple, list))
        names = keys if self._several else [keys]
        self._key_indices = None if keys is None else tuple(_column(name, dataset.keys) for name in names)

    def __len__(self) -> int:
        return _count(self._indices, len(self.dataset))

    @property
    def keys(self) -> tuple[str, ...]:
        keys = self.dataset.keys
        return keys if self._key_indices is None else tuple(keys[k] for k in self._key_indices)

    @property
    def mode(self) -> type | None:
        if self._key_indices is None:
            return self.dataset.mode
        return self.dataset.mode or tuple if self._several else None

    def get_examples(self, indices: Any, key_indices: Any) -> tuple[Any, ...]:
        if indices is None:
            indices = self._indices
        elif isinstance(self._indices, slice):
            indices = _compose(range(len(self.dataset))[self._indices], indices)
        else:
            indices = _compose(self._indices, indices)
        if key_indices is None:
            key_indices = self._key_indices
        elif self._key_indices is not None:
            key_indices = tuple(self._key_indices[k] for k in key_indices)
        return self.dataset.get_examples(indices, key_indices)


class _Concat(_View):
    def __init__(self, *datasets: TabularDataset) -> None:
        super().__init__(datasets[0])
        for dataset in datasets:
            if tuple(dataset.keys) != tuple(self.keys):
                raise ValueError(f"concat: one data set has the keys {tuple(self.keys)}, another "
                                 f"{tuple(dataset.keys)}; wanted the same in the same order")  # fmt: skip
        self._datasets = datasets

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self._datasets)

    def get_examples(self, indices: Any, key_indices: Any) -> tuple[Any, ...]:
        columns = range(len(self.keys if key_indices is None else key_indices))
        if indices is None or isinstance(indices, slice):
            answers = [dataset.get_examples(part, key_indices) for dataset, part in self._parts(indices)]
            if len(answers) == 1:
                return answers[0]
            return tuple(list(itertools.chain.from_iterable(answer[k] for answer in answers)) for k in columns)
        ends = list(itertools.accumulate(len(dataset) for dataset in self._datasets))
        asked: dict[int, list[int]] = {}  # which rows of which data set
        places = []  # and where in the answer each row is found
        for i in _compose(range(ends[-1]), indices):
            number = bisect.bisect_right(ends, i)
            rows = asked.setdefault(number, [])
            places.append((number, len(rows)))
            rows.append(i - (ends[number - 1] if number else 0))
        found = {n: self._datasets[n].get_examples(rows, key_indices) for n, rows in sorted(asked.items())}
        if len(found) == 1:
            return next(iter(found.values()))
        return tuple([found[number][k][place] for number, place in places] for k in columns)

    def _parts(self, indices: slice | None) -> Iterator[tuple[TabularDataset, slice | None]]:
        """The data sets in the order in which they are read, each with its part of the rows."""
        if indices is None:
            yield from ((dataset, None) for dataset in self._datasets)
            return
        start, stop, step = indices.indices(len(self))
        ends = itertools.accumulate(len(dataset) for dataset in self._datasets)
        spans = [(dataset, end - len(dataset), end) for dataset, end in zip(self._datasets, ends)]
        for dataset, low, high in spans if step > 0 else reversed(spans):
            edge = low if step > 0 else high - 1  # the row at which one comes in
            first = edge + (start - edge) % step if (edge - start) * step > 0 else start
            rows = range(first - low, (min(stop, high) if step > 0 else max(stop, low - 1)) - low, step)
            if rows:
                yield dataset, _as_slice(rows)


class _Join(_View):
    def __init__(self, *datasets: TabularDataset) -> None:
        super().__init__(datasets[0])
        for dataset in datasets:
            if len(dataset) != len(self):
                raise ValueError(f"join: one data set has {len(self)} rows, another {len(dataset)}; wanted the same")
        keys = [set(dataset.keys) for dataset in datasets]
        if len(set().union(*keys)) != sum(map(len, keys)):
            raise ValueError(f"join: the data sets have the keys {[tuple(d.keys) for d in datasets]}; wanted no key in "
                             f"two of them")  # fmt: skip
        self._datasets = datasets

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(key for dataset in self._datasets for key in dataset.keys)

    @property
    def mode(self) -> type:
        return next((dataset.mode for dataset in self._datasets if dataset.mode), tuple)

    def get_examples(self, indices: Any, key_indices: Any) -> tuple[Any, ...]:
        if key_indices is None:
            return tuple(column for d in self._datasets for column in d.get_examples(indices, None))
        columns = [(n, k) for n, dataset in enumerate(self._datasets) for k in range(len(dataset.keys))]
        wanted = [columns[k] for k in key_indices]
        found: dict[tuple[int, int], Any] = {}
        for n, dataset in enumerate(self._datasets):
            if mine := tuple(dict.fromkeys(k for number, k in wanted if number == n)):
                found.update(zip(((n, k) for k in mine), dataset.get_examples(indices, mine)))
        return tuple(found[place] for place in wanted)


class _Transform(_View):
    _mode: Any = NotImplemented  # until the first result is seen

    def __init__(self, dataset: TabularDataset, keys: Any, transform: Callable[..., Any]) -> None:
        super().__init__(dataset)
        self._keys = tuple(keys) if isinstance(keys, (tuple, list)) else (keys,)
        self._transform = transform

    @property
    def keys(self) -> tuple[str, ...]:
        return self._keys

    @property
    def mode(self) -> type | None:
        if self._mode is NotImplemented:
            if len(self) == 0:
                raise IndexError("transform: the first example shows what form they have, and there is none")
            self.get_examples([0], None)
        return self._mode

    def get_examples(self, indices: Any, key_indices: Any) -> tuple[Any, ...]:
        columns, form = self.dataset.get_examples(indices, None), (self.dataset.mode, self.dataset.keys)
        rows = [self._call(*form, [column[i] for column in columns]) for i in range(_count(indices, len(self)))]
        return tuple([row[k] for row in rows] for k in self._columns(key_indices))

    def _columns(self, key_indices: Any) -> Any:
        return range(len(self._keys)) if key_indices is None else key_indices

    def _call(self, mode: type | None, keys: Sequence[str], values: Sequence[Any]) -> tuple[Any, ...]:
        """Return the transformed values of all keys; those given, and their form, are of the data set beneath."""
        result = _apply(self._transform, mode, _pack(mode, keys, values))
        mode = _mode_of(result)
        if self._mode is NotImplemented:
            self._mode = mode
        if mode is not self._mode:
            raise ValueError(f"transform: the function returned a {type(result).__name__}, before that a "
                             f"{getattr(self._mode, '__name__', 'bare value')}; wanted one form")  # fmt: skip
        if mode is dict:
            if missing := [key for key in self._keys if key not in result]:
                raise KeyError(f"transform: the function returned no {missing}; wanted values for {self._keys}")
            return tuple(result[key] for key in self._keys)
        result = result if mode is tuple else (result,)
        if len(result) < len(self._keys):
            raise IndexError(f"transform: the function returned {len(result)} values for the keys {self._keys}")
        return result


class _TransformBatch(_Transform):
    def get_examples(self, indices: Any, key_indices: Any) -> tuple[Any, ...]:
        columns = self.dataset.get_examples(indices, None)
        result = self._call(self.dataset.mode, self.dataset.keys, columns)
        lengths, wanted = [len(column) for column in result], _count(indices, len(self))
        if any(length != wanted for length in lengths):
            raise ValueError(f"transform_batch: of {wanted} rows the function made columns of length {lengths}; it "
                             f"must keep the number of rows")  # fmt: skip
        return tuple(result[k] for k in self._columns(key_indices))


class _Column(TabularDataset):
    """A table of one column: an array, a list or a range."""

    def __init__(self, key: Any, data: Any) -> None:
        self._key, self._data = key, data

    def __len__(self) -> int:
        return len(self._data)

    @property
    def keys(self) -> tuple[str, ...]:
        return (self._key,)

    @property
    def mode(self) -> None:
        return None

    def get_examples(self, indices: Any, key_indices: Any) -> tuple[Any, ...]:
        data = self._data
        if isinstance(indices, slice):
            data = data[indices]
        elif indices is not None:
            data = data[list(indices)] if backend.is_array(data) else [data[i] for i in indices]
        return (data,) * (1 if key_indices is None else len(key_indices))


def from_data(data: Any, *, size: int | None = None) -> TabularDataset:
    """Make a table of lists, arrays and functions.

    Args:
        data: One column (the examples are bare values), a tuple of columns (tuples) or a dict (dicts). A column is a
            list, an array, a pair `(key, list, array or function of the row number)`, or `((key, ...), function)` with
            a function that returns a tuple or a dict of several values; in a dict, keys come from there.
        size: The number of rows, if functions are the only columns.

    Raises:
        TypeError: a column is something else.
        ValueError: a function has no key, or nothing says how many rows there are; no columns; columns of different
            lengths; a key occurs twice.
    """
    mode = _mode_of(data)
    if mode is dict:
        columns = list(data.items())
    elif mode is tuple and not (len(data) == 2 and _is_key(data[0])):
        columns = [column if isinstance(column, tuple) else (None, column) for column in data]
    else:
        mode, columns = None, [data if mode is tuple else (None, data)]
    if not columns:
        raise ValueError("from_data: there is no column; give at least one")
    if size is None:
        size = next((len(column) for _, column in columns if _is_data(column)), None)
    first, *others = [_make_column(key, column, size) for key, column in columns]
    if mode is None:
        return first
    return _WithMode(first.join(*others), mode)


def _make_column(key: Any, data: Any, size: int | None) -> TabularDataset:
    if _is_data(data):
        return _Column(f"_{id(data)}" if key is None else key, data)
    if not callable(data):
        raise TypeError(f"from_data: the column {key!r} is of type {type(data).__name__}; wanted a list, an array or a "
                        f"function")  # fmt: skip
    if key is None or size is None:
        raise ValueError(f"from_data: the function of the column {key!r} needs a key and the number of rows: give "
                         f"(key, function), and size=")  # fmt: skip
    return _Column("index", range(size)).transform(key, data)


def _is_data(data: Any) -> bool:
    return isinstance(data, list) or backend.is_array(data)


def _is_key(key: Any) -> bool:
    return isinstance(key, str) or (isinstance(key, tuple) and all(isinstance(k, str) for k in key))


def _mode_of(data: Any) -> type | None:
    return tuple if isinstance(data, tuple) else dict if isinstance(data, dict) else None


def _pack(mode: type | None, keys: Sequence[str], values: Sequence[Any]) -> Any:
    """The values of all keys as the one thing that the mode says."""
    if mode is tuple:
        return tuple(values)
    if mode is dict:
        return dict(zip(keys, values))
    if mode is None:
        return values[0]
    raise ValueError(f"the mode of the table is {mode!r}; wanted tuple, dict or None")


def _apply(function: Callable[..., Any], mode: type | None, data: Any) -> Any:
    return function(*data) if mode is tuple else function(**data) if mode is dict else function(data)


def _as_array(column: Any) -> Any:
    if backend.is_array(column):
        return column
    if len(column) == 0:
        raise IndexError("convert: a column without rows has no type; wanted at least one row, or an array")
    if backend.is_array(column[0]):
        return backend.get_array_module(column[0]).stack(column)
    return numpy.asarray(column)


def _rows(indices: Any, length: int) -> Any:
    """What a user writes for rows as a slice or a list of non-negative integers."""
    if isinstance(indices, slice):
        return indices
    try:
        rows = indices.tolist() if hasattr(indices, "tolist") else list(indices)
        if not rows or not all(isinstance(row, (bool, numpy.bool_)) for row in rows):
            return _compose(range(length), [operator.index(row) for row in rows])
    except TypeError:
        raise TypeError(f"slice: the rows are {indices!r}; wanted a slice, integers or booleans") from None
    if len(rows) != length:
        raise ValueError(f"slice: got {len(rows)} booleans for {length} rows; wanted as many")
    return [i for i, wanted in enumerate(rows) if wanted]


def _column(key: Any, keys: Sequence[str]) -> int:
    if isinstance(key, (int, numpy.integer)):
        if not -len(keys) <= key < len(keys):
            raise IndexError(f"slice: there is no column {key}; the keys are {keys}")
        return int(key) % len(keys)
    if key not in keys:
        raise KeyError(f"slice: there is no column {key!r}; the keys are {keys}")
    return keys.index(key)


def _count(indices: Any, length: int) -> int:
    """How many of `length` rows are meant."""
    return length if indices is None else len(range(length)[indices]) if isinstance(indices, slice) else len(indices)


def _compose(rows: Sequence[int], indices: Any) -> Any:
    """`rows[indices]`, as a slice where a range is sliced."""
    if isinstance(indices, slice):
        part = rows[indices]
        return _as_slice(part) if isinstance(part, range) else part
    try:
        return [rows[i] for i in indices]
    except IndexError:
        wrong = next(i for i in indices if not -len(rows) <= i < len(rows))
        raise IndexError(f"there is no row {wrong} among {len(rows)}") from None


def _as_slice(rows: range) -> slice:
    return slice(rows.start, None if rows.stop < 0 else rows.stop, rows.step)
