"""utils: arguments, arrays, the alias method, final methods, warnings, cached properties."""

import os

import numpy as np
import pytest

import minigan
from minigan import utils
from minigan.configuration import using_config
from minigan.utils import argument, array
from minigan.utils.cache import cached_property


def test_keyword_arguments():
    def call(**kwargs):
        return argument.parse_kwargs(kwargs, ("x", 1), ("y", 2), old="old is gone; use x")

    assert call(y=5) == (1, 5)
    with pytest.raises(TypeError, match=r"call\(\) got unexpected keyword argument\(s\) 'p', 'q'"):
        call(x=1, q=3, p=2)
    with pytest.raises(ValueError, match="old is gone; use x"):
        call(old=3)
    argument.assert_kwargs_empty({})
    with pytest.raises(TypeError, match="'x'"):
        argument.assert_kwargs_empty({"x": 1})


@pytest.mark.parametrize(
    ("start", "end"), [((), ()), ((3,), ()), ((3,), (1,)), ((2, 3), (3,)), ((2, 3, 4), (3, 1)), ((2, 0), (1, 1))]
)
def test_sum_to(start, end):
    x = np.arange(np.prod(start, dtype=int), dtype=np.float32).reshape(start)
    expected = np.zeros(end, np.float32)
    for index in np.ndindex(*start):
        place = index[len(start) - len(end) :]
        expected[tuple(i if n > 1 else 0 for i, n in zip(place, end, strict=True))] += x[index]
    y = utils.sum_to(x, end)
    assert isinstance(y, np.ndarray) and y.dtype == np.float32
    np.testing.assert_array_equal(y, expected)


def test_arrays():
    assert utils.size_of_shape((2, 3)) == 6 and utils.size_of_shape(()) == 1
    assert utils.force_array(np.float32(3)).shape == () and utils.force_array(3.0, "e").dtype == np.float16
    x = np.ones((2, 3, 4), np.float32)
    assert utils.force_array(x) is x and utils.force_array(x, "d").dtype == np.float64
    assert utils.force_type(np.dtype("f"), 3) == 3 and isinstance(utils.force_type(np.dtype("f"), 3), int)
    assert utils.force_type(np.dtype("f"), np.float64(3)).dtype == np.float32
    assert array.as_vec(x).shape == (24,) and array.as_mat(x).shape == (2, 12)
    assert array.empty_like(x).shape == x.shape and utils.get_conv_outsize(5, 3, 1, 1) == 5


def test_walker_alias_draws_chainers_numbers():
    # Chainer 7.8.1: utils.WalkerAlias(...); numpy.random.seed(...); .sample(...).tolist()
    sampler = utils.WalkerAlias([1, 2, 3, 0])
    np.random.seed(0)
    drawn = sampler.sample((2, 5))
    assert drawn.tolist() == [[1, 2, 2, 1, 2], [2, 2, 2, 2, 0]] and drawn.dtype == np.int32
    sampler = utils.WalkerAlias(np.array([0.5, 0.1, 0.2, 0.9, 3.3]))
    np.random.seed(3)
    assert sampler.sample((12,)).tolist() == [4, 3, 4, 4, 4, 4, 4, 2, 4, 0, 4, 0]


def test_walker_alias_keeps_the_probabilities():
    weights = np.array([5, 3, 4, 1, 2])
    sampler = utils.WalkerAlias(weights)
    assert sampler.to_cpu() is sampler and not sampler.use_gpu and sampler.xp is np and sampler.sample(()).shape == ()
    share = np.zeros(5)  # exactly: each column's two parts
    for column in range(5):
        share[sampler.values[2 * column]] += sampler.threshold[column]
        share[sampler.values[2 * column + 1]] += 1 - sampler.threshold[column]
    np.testing.assert_allclose(share / 5, weights / weights.sum(), atol=1e-6)


def test_final_methods():
    class Base(utils.enable_final(base=(dict,))):
        @utils.final
        def closed(self):
            pass

        @utils.final(action=DeprecationWarning)
        def closing(self):
            pass

    assert issubclass(Base, dict) and Base(a=1) == {"a": 1}
    with pytest.raises(TypeError, match="'closed' of Base is final"):
        type(Base)("Sub", (Base,), {"closed": None})
    with pytest.warns(DeprecationWarning, match="'closing'"):
        type(Base)("Sub", (Base,), {"closing": None})


def test_warnings(monkeypatch):
    with pytest.warns(FutureWarning, match="C.f is experimental."):
        utils.experimental("C.f")
    monkeypatch.setattr(minigan, "disable_experimental_feature_warning", True, raising=False)
    utils.experimental("C.f")
    utils.nondeterministic("f")
    with using_config("warn_nondeterministic", True), pytest.warns(UserWarning, match="f is potentially"):
        utils.nondeterministic("f")
    with utils.tempdir(suffix="x") as folder:
        assert os.path.isdir(folder)
    assert not os.path.exists(folder)


def test_cached_property_is_computed_once_with_a_graph_and_once_without():
    class Square:
        calls = 0

        @cached_property
        def y(self):
            """x squared."""
            self.calls += 1
            return minigan.Variable(np.array(3.0)) ** 2

    square = Square()
    assert square.y is square.y and square.y.creator is not None and square.calls == 1
    with minigan.no_backprop_mode():
        assert square.y is square.y and square.y.creator is None and square.calls == 2
    assert Square.y.__doc__ == "x squared."
    with pytest.raises(AttributeError, match="Square.y: a cached property is read only"):
        square.y = 3
