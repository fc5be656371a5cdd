import pickle

import numpy as np
import pytest

from minigan import FunctionNode, Variable
from minigan.utils import type_check as T


class Checked(FunctionNode):
    def __init__(self, check):
        self.check_type_forward = check

    def forward(self, inputs):
        return inputs


@pytest.mark.parametrize(
    "condition, expect, actual",
    [
        (lambda t: t.size() == 2, "in_types.size == 2", "1 != 2"),
        (lambda t: t[0].ndim >= 3, "in_types[0].ndim >= 3", "2 < 3"),
        (lambda t: t[0].dtype == np.float64, "in_types[0].dtype == <class 'numpy.float64'>",
         "float32 != <class 'numpy.float64'>"),
        (lambda t: t[0].dtype.kind == "i", "in_types[0].dtype.kind == i", "f != i"),
        (lambda t: t[0].shape[-1] * 2 == t[0].ndim + 1, "in_types[0].shape[-1] * 2 == in_types[0].ndim + 1", "6 != 3"),
        (lambda t: T.prod(t[0].shape) < 6, "prod(in_types[0].shape) < 6", "6 >= 6"),
        (lambda t: t[0].shape == (2, 4), "in_types[0].shape == (2, 4)", "(2, 3) != (2, 4)"),
    ],
)  # fmt: skip
def test_a_condition_that_fails_is_written_out(condition, expect, actual):
    # texts as of Chainer 7.8.1
    node = Checked(lambda types: T.expect(types[0].ndim == 2, condition(types)))
    with pytest.raises(T.InvalidType) as info:
        node.apply((Variable(np.zeros((2, 3), "f")),))
    message = f"\nInvalid operation is performed in: Checked (Forward)\n\nExpect: {expect}\nActual: {actual}"
    assert str(info.value) == message and (info.value.expect, info.value.actual) == (expect, actual)
    again = pickle.loads(pickle.dumps(info.value))
    assert str(again) == message and again.expect == expect


def test_conditions_that_hold_are_plain_bools():
    seen = []

    def check(types):
        seen.append((T.in_light_mode(), types[0].ndim == 2, T.eval(types[0].shape[0]), T.prod(types[0].shape)))
        T.expect(types.size() == 1, types[0].ndim == 2)

    Checked(check).apply((np.zeros((2, 3), "f"),))
    assert seen == [(True, True, 2, 6)]


def test_a_sentence():
    error = T.InvalidType("f: x is wrong")
    assert str(error) == "f: x is wrong" and str(pickle.loads(pickle.dumps(error))) == "f: x is wrong"

    def check(types):
        raise error

    with pytest.raises(T.InvalidType, match="^f: x is wrong$"):
        Checked(check).apply((np.zeros(1),))
    with pytest.raises(T.InvalidType, match="condition 2 of 2"):
        T.expect(True, False)


@pytest.mark.parametrize(
    "text",
    ["x + y - x", "x + (y - x)", "x ** y ** x", "(x ** y) ** x", "-x ** y", "(-x) ** y", "-(x + y)", "1 // x % 2",
     "x[1:, ...]", "x[:2:3]", "x.shape[-1]", "x(1, y)", "~x | y ^ x & y << 2", "x == (1, y)"],
)  # fmt: skip
def test_expressions_are_printed_as_they_were_written(text):
    assert str(eval(text, {"x": T.Variable(1, "x"), "y": T.Variable(2, "y")})) == text


def test_expressions_are_computed_late():
    x, y = T.Variable([1, 2, 3], "x"), T.Variable(2, "y")
    assert (x[y] ** y - 1 / y).eval() == 8.5 and (-x[0]).eval() == -1 and T.prod(x).eval() == 6
    assert T.eval((y, 1)) == (2, 1) and (x == [1, y, 3]).eval()
    assert T.Call(T.Variable(max, "max"), (x,)).eval() == 3
    with pytest.raises(IndexError):
        x[5].eval()
    with pytest.raises(RuntimeError, match="no truth value"):
        bool(y == 2)
    with pytest.raises(TypeError, match="cannot be iterated"):
        iter(x)


def test_broadcasting():
    T.expect_broadcast_shapes((2, 3), (3,), (1, 1))
    with pytest.raises(T.InvalidType, match=r"(?s)cannot broadcast .*a.shape = \(2, 3\)"):
        T.expect_broadcast_shapes(T.Variable((2, 3), "a.shape"), T.Variable((4,), "b.shape"))


def test_names_of_arguments():
    types = T.get_types((np.zeros(2), np.zeros(3)), "in_types", False)
    T._argname(types, ("a", "b"))
    assert str(types[1].shape) == "b.shape" and types.name == "in_types"
    with pytest.raises(T.InvalidType, match="Invalid number of arguments"):
        T._argname(types, ("a",))
    assert T.same_types(np.zeros(1), np.zeros(2)) and not T.same_types(np.zeros(1), 2)
    assert T.TypeInfo((2, 3), np.dtype("f")).size == 6
