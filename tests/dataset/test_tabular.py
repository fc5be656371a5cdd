"""Tables: whatever is asked of a chain of views, the data set beneath is asked for those rows and columns only."""

import itertools
import pickle

import numpy as np
import pytest

from minigan import functions, iterators, optimizers, training
from minigan import links as L
from minigan.dataset import TabularDataset, concat_examples, tabular
from minigan.datasets import SubDataset, TransformDataset, TupleDataset


class Table(TabularDataset):
    """Cell (i, k) is 10 * i + k; `asked` remembers the questions."""

    mode = tuple
    keys = ("a", "b", "c")

    def __init__(self, rows=6, mode=tuple, keys=("a", "b", "c"), arrays=True):
        self.mode, self.keys, self.arrays, self.asked = mode, keys, arrays, []
        self.cells = 10 * np.arange(rows)[:, None] + np.arange(len(keys))

    def __len__(self):
        return len(self.cells)

    def get_examples(self, indices, key_indices):
        self.asked.append((indices, key_indices))
        cells = self.cells if indices is None else self.cells[indices]
        cells = cells if key_indices is None else cells[:, list(key_indices)]
        return tuple(cells.T if self.arrays else (list(column) for column in cells.T))


def lists(columns):
    return [list(column) for column in columns]


ROWS = [
    slice(None), slice(1, 5), slice(None, None, -1), slice(4, 1, -2), slice(-2, None), slice(9, 99), [2], [0, -1, 0],
    [], np.array([3, 1], np.uint8), [True, False] * 3, np.arange(6) > 3,
]  # fmt: skip


def test_an_example_has_the_form_of_the_mode():
    # Chainer 7.8.1 gives the same for tuple, dict and None: dataset[1], dataset.fetch()
    assert Table()[1] == (10, 11, 12) and Table(mode=dict)[-1] == {"a": 50, "b": 51, "c": 52}
    assert Table(mode=None)[1] == 10 and Table()[1:3] == [(10, 11, 12), (20, 21, 22)]
    assert list(Table(2)) == [(0, 1, 2), (10, 11, 12)]
    assert lists(Table(2).fetch()) == [[0, 10], [1, 11], [2, 12]]
    assert list(Table(2, dict, arrays=False).fetch()) == ["a", "b", "c"] and Table(2, None).fetch().tolist() == [0, 10]
    assert Table(2).asdict()[1] == {"a": 10, "b": 11, "c": 12} and Table(2, dict).astuple()[1] == (10, 11, 12)
    with pytest.raises(ValueError, match="the mode of the table is 'list'; wanted tuple, dict or None"):
        Table(mode="list")[0]
    with pytest.raises(NotImplementedError, match="TabularDataset must define the property keys"):
        len(TabularDataset().keys)


@pytest.mark.parametrize("rows", ROWS, ids=str)
def test_a_slice_of_a_slice_asks_for_the_rows_in_question(rows):
    table = Table()
    view = table.slice[rows, ("c", 0)]
    cells = table.cells[rows][:, [2, 0]]
    assert (len(view), view.keys, view.mode) == (len(cells), ("c", "a"), tuple)
    assert lists(view.fetch()) == cells.T.tolist()
    for inner in (slice(None, None, -1), slice(1, None), [], list(range(-len(cells), len(cells)))):
        assert lists(view.slice[inner].fetch()) == cells[inner].T.tolist()
        assert lists(view.get_examples(inner, (1,))) == cells[inner][:, [1]].T.tolist()
    assert all(key_indices in [(2, 0), (0,)] for _, key_indices in table.asked)
    assert all(isinstance(indices, slice if isinstance(rows, slice) else list) for indices, _ in table.asked[:1])
    if len(cells):
        assert view[-1] == tuple(cells[-1])  # Chainer looks outside of the view
    with pytest.raises(IndexError):
        view[len(cells)]


def test_columns_by_name_and_number():
    table = Table(2)
    assert table.slice[:, "b"][1] == 11 and table.slice[:, -1].keys == ("c",) and table.slice[:, ("b",)][1] == (11,)
    assert Table(2, None).slice[:, ("a",)].mode is tuple and Table(2, dict).slice[:, ["c", "a"]][0] == {"c": 2, "a": 0}
    assert table.slice[:, ()].fetch() == () and table.slice[:, None].keys == table.keys


@pytest.mark.parametrize("index, error, text", [
    (3, TypeError, "the rows are 3; wanted a slice, integers or booleans"), ("a", TypeError, "the rows are 'a'"),
    ([1.0], TypeError, r"the rows are \[1.0\]"), ([6], IndexError, "no row 6 among 6"), ([-7], IndexError, "no row -7"),
    ([True], ValueError, "got 1 booleans for 6 rows"), ((slice(2), "z"), KeyError, "no column 'z'"),
    ((slice(2), 3), IndexError, "no column 3"), ((slice(2), (0, -4)), IndexError, "no column -4"),
    ((slice(2), 1, 1), ValueError, "got 3 indices"),
])  # fmt: skip
def test_what_cannot_be_sliced(index, error, text):
    with pytest.raises(error, match=text):
        Table().slice[index]


def test_concat_is_as_indexing_the_rows_of_all():
    tables = [Table(4), Table(0), Table(3, dict, arrays=False)]
    view = tables[0].concat(*tables[1:])
    cells = np.concatenate([table.cells for table in tables])
    assert (len(view), view.keys, view.mode) == (7, ("a", "b", "c"), tuple) and lists(view.fetch()) == cells.T.tolist()
    bounds = [None, *range(-8, 9)]
    for start, stop, step in itertools.product(bounds, bounds, (None, 2, -1, -2, -3)):
        rows = slice(start, stop, step)
        assert lists(view.get_examples(rows, (2, 0))) == cells[rows][:, [2, 0]].T.tolist(), rows
    for rows in ([], [6, 0, 6], [-1, -7], [3], (4, 3)):
        assert lists(view.get_examples(rows, None)) == cells[list(rows)].T.tolist(), rows
    assert isinstance(view.get_examples([1, 2], None)[0], np.ndarray)  # one data set's answer is passed on as it is
    tables[0].asked.clear()
    view.get_examples(slice(5, 1, -2), None)
    assert tables[0].asked == [(slice(3, 1, -2), None)]
    with pytest.raises(IndexError, match="no row 7 among 7"):
        view[7]
    with pytest.raises(ValueError, match=r"concat: one data set has the keys .* another \('a', 'b'\)"):
        view.concat(Table(keys=("a", "b")))


def test_join_asks_each_table_for_its_columns_once():
    left, right = Table(3), Table(3, dict, ("d", "e"), arrays=False)
    view = left.join(right)
    assert view.keys == ("a", "b", "c", "d", "e") and view[1] == (10, 11, 12, 10, 11)
    left.asked.clear()
    assert lists(view.get_examples([1], (1, 4, 1, -3))) == [[11], [11], [11], [12]]
    assert left.asked == [([1], (1, 2))] and right.asked[-1] == ([1], (1,))
    assert view.get_examples(None, ()) == () and len(left.asked) == 1
    assert Table(3, None, ("z",)).join(right).mode is dict and Table(3, None, ("z",)).join().mode is tuple
    with pytest.raises(ValueError, match="one data set has 3 rows, another 2"):
        left.join(Table(2, keys=("d",)))
    with pytest.raises(ValueError, match="no key in two of them"):
        left.join(Table(3, keys=("c",)))


@pytest.mark.parametrize("made", [tuple, dict, None])
@pytest.mark.parametrize("mode", [tuple, dict, None])
def test_transform(mode, made):
    def function(*args, **kwargs):
        assert (len(args), len(kwargs)) == {tuple: (3, 0), dict: (0, 3), None: (1, 0)}[mode]
        a = args[0] if args else kwargs["a"]
        return {tuple: (a + 1, a + 2), dict: {"y": a + 2, "x": a + 1}, None: a + 1}[made]

    keys = "x" if made is None else ("x", "y")
    for arrays in (True, False):
        table = Table(4, mode, arrays=arrays)
        single = table.transform(keys, function)
        views = [single] + ([table.transform_batch(keys, function)] if arrays else [])
        for view in views:
            assert view.mode is made and len(view) == 4 and view.keys == tuple(keys)
            assert lists(view.get_examples([2, 0], (0,))) == [[21, 1]]
            expected = {tuple: (31, 32), dict: {"x": 31, "y": 32}, None: 31}[made]
            assert view[3] == expected and list(view.slice[::-1])[0] == expected
        assert isinstance(single.get_examples(None, None)[0], list)
        assert table.asked[:2] == [([0], None), ([2, 0], None)]  # the first row, asked once, says the form


@pytest.mark.parametrize("name", ["transform", "transform_batch"])
def test_what_a_transform_may_not_do(name):
    results = iter([([1],), {"x": [1]}])
    view = getattr(Table(1), name)(("x",), lambda *example: next(results))
    view.get_examples([0], None)
    with pytest.raises(ValueError, match="the function returned a dict, before that a tuple; wanted one form"):
        view.get_examples([0], None)
    with pytest.raises(IndexError, match=r"returned 1 values for the keys \('x', 'y'\)"):
        getattr(Table(1), name)(("x", "y"), lambda *example: ([1],)).fetch()
    with pytest.raises(KeyError, match=r"returned no \['y'\]"):
        getattr(Table(1), name)(("x", "y"), lambda *example: {"x": [1]}).fetch()
    with pytest.raises(IndexError, match="the first example shows"):
        isinstance(getattr(Table(0), name)("x", len).mode, type)
    with pytest.raises(ValueError, match=r"of 3 rows the function made columns of length \[2, 3\]"):
        Table(3).transform_batch(("x", "y"), lambda a, b, c: (a[1:], b)).fetch()


def test_convert():
    x, y = Table(2).convert(([1, 2], [np.ones(3, "f")] * 2))
    assert x.tolist() == [1, 2] and y.shape == (2, 3) and y.dtype == np.float32
    assert Table(2, dict).convert({"a": ["u", "v"]})["a"].tolist() == ["u", "v"]
    assert Table().convert([0.5]).shape == (1,)
    with pytest.raises(IndexError, match="a column without rows"):
        Table().convert(([],))
    table = Table(2).with_converter(lambda *columns, **named: (len(columns), sorted(named)))
    for view in (table, table.slice[1:], table.asdict(), table.concat(table), table.join(), table.transform("x", max)):
        assert view.convert((1, 2)) == (2, []) and view.convert({"a": 1}) == (0, ["a"]) and view.convert([5]) == (1, [])
    assert tabular.DelegateDataset(table).convert(([1],))[0].tolist() == [1]  # as in Chainer 7.8.1


def test_delegate():
    class Mine(tabular.DelegateDataset):
        def __init__(self):
            super().__init__(tabular.from_data((("a", np.arange(3)), (("b", "c"), self.get_bc))))

        def get_bc(self, i):
            return {"c": i * i, "b": -i}

    data = Mine()
    assert data.keys == ("a", "b", "c") and data.mode is tuple and list(data)[2] == (2, -2, 4)
    assert pickle.loads(pickle.dumps(tabular.DelegateDataset(Table(2)).slice[1:, "c"])).fetch().tolist() == [12]


def test_from_data():
    array, numbers = np.arange(6).reshape(3, 2), [7, 8, 9]
    assert tabular.from_data(numbers)[1] == 8 and tabular.from_data(array)[1].tolist() == [2, 3]
    assert tabular.from_data(("a", array)).keys == ("a",) and tabular.from_data(("a", array)).mode is None
    several = tabular.from_data((array, ("n", numbers), ("f", lambda i: -i)))
    assert several.mode is tuple and several.keys[1:] == ("n", "f") and several[2][1:] == (9, -2)
    assert several.slice[[-1, 0], "f"].fetch() == [-2, 0] and several[-1][2] == -2  # Chainer calls the function with -1
    assert isinstance(several.get_examples([1], (0,))[0], np.ndarray) and several.get_examples([1], (1,)) == ([8],)
    assert tabular.from_data({"n": numbers, ("p", "q"): lambda i: (i, i)})[1] == {"n": 8, "p": 1, "q": 1}
    assert tabular.from_data((("p", "q"), lambda i: {"q": 1, "p": 0}), size=2)[1] == {"p": 0, "q": 1}
    assert len(tabular.from_data(("f", abs), size=5)) == 5
    first, second = tabular.from_data((list("ab"), [1, 2])), tabular.from_data(([3, 4], [5, 6]))
    assert len(first.join(second).keys) == 4


@pytest.mark.gpu
def test_columns_stay_on_the_gpu():
    cupy = pytest.importorskip("cupy")
    if not cupy.cuda.is_available():
        pytest.skip("no CUDA device")
    table = tabular.from_data({"x": cupy.arange(6), "y": [cupy.ones(2), cupy.zeros(2)] * 3})
    converted = table.convert(table.slice[[4, 0, -1]].concat(table.slice[::-2]).fetch())
    assert isinstance(converted["x"], cupy.ndarray) and isinstance(converted["y"], cupy.ndarray)
    assert converted["x"].tolist() == [4, 0, 5, 5, 3, 1] and converted["y"].shape == (6, 2)
    assert isinstance(table.slice[[1, 2], "x"].fetch(), cupy.ndarray)


@pytest.mark.parametrize("data, error, text", [
    (5, TypeError, "the column None is of type int; wanted a list, an array or a function"),
    ({"a": (1, 2)}, TypeError, "the column 'a' is of type tuple"), (abs, ValueError, "needs a key and the"),
    (("f", abs), ValueError, "the function of the column 'f' needs"), ((), ValueError, "no column"),
    ({}, ValueError, "no column"), (([1], [1, 2]), ValueError, "one data set has 1 rows, another 2"),
    ((("a", [1]), ("a", [2])), ValueError, "no key in two"),
])  # fmt: skip
def test_what_is_no_table(data, error, text):
    with pytest.raises(error, match=text):
        tabular.from_data(data)


def test_with_the_other_data_sets_iterators_and_updater():
    x, y = np.arange(8, dtype="f").reshape(4, 2), np.arange(4, dtype="f")[:, None]
    table = tabular.from_data((("x", x), ("y", y)))
    assert concat_examples(table[1:3])[0].tolist() == x[1:3].tolist()
    assert SubDataset(table, 1, 3)[-1][1] == 2 and TransformDataset(table, lambda e: e[1])[3] == 3
    assert TupleDataset(table.slice[:, "y"], y)[1:3] == [(1, 1), (2, 2)]
    batches = [concat_examples(batch)[1].ravel().tolist() for batch in iterators.SerialIterator(table, 3, False, False)]
    assert batches == [[0, 1, 2], [3]]

    seen, model = [], L.Linear(2, 1)

    def loss(x, y):
        seen.append((x.shape, y.dtype))
        return functions.mean_squared_error(model(x), y)

    training.StandardUpdater(
        iterators.SerialIterator(table, 2), optimizers.SGD(1e-3).setup(model), loss_func=loss,
        converter=lambda batch, device: table.convert(tuple(zip(*batch))),
    ).update()  # fmt: skip
    assert seen == [((2, 2), np.float32)]
