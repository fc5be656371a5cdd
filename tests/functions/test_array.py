"""What the table cannot say of the chapter array: layouts that survive, odd arguments, and the error sentences."""

import numpy as np
import pytest

import minigan.functions as F
from minigan.configuration import using_config
from minigan.core import Variable, grad
from minigan.utils.type_check import InvalidType


def test_concat_keeps_channels_last_memory():
    x = np.zeros((2, 4, 4, 3)).transpose(0, 3, 1, 2)
    y = F.concat([x, x]).array
    assert y.shape == (2, 6, 4, 4) and y.transpose(0, 2, 3, 1).flags.c_contiguous


def test_views_are_not_copies():
    x = np.zeros((2, 3))
    for y in (F.expand_dims(x, 1), F.squeeze(x[:, None], 1), F.flatten(x), F.transpose(x), F.split_axis(x, 3, 1)[2]):
        assert np.shares_memory(x, y.array)


def test_only_the_wanted_gradients_of_concat_are_computed():
    x, fixed = Variable(np.ones((2, 1))), Variable(np.ones((2, 2)), requires_grad=False)
    F.sum(F.concat([fixed, x]) * np.arange(6.0).reshape(2, 3)).backward()
    assert x.grad.tolist() == [[2.0], [5.0]] and fixed.grad is None


def test_single_parts_and_single_arguments():
    x = np.ones((2, 3))
    assert [y.shape for y in F.split_axis(x, 1, 1)] == [(2, 3)]
    assert F.split_axis(x, 1, 1, force_tuple=False).shape == (2, 3)
    assert F.broadcast(x).shape == (2, 3)
    # Chainer 7.8.1: indices out of order give overlapping and empty parts, as slices do
    assert [y.shape for y in F.split_axis(x, [2, 1], 1)] == [(2, 2), (2, 0), (2, 2)]


def test_a_part_without_a_gradient_counts_as_zero_and_parts_may_overlap():
    x = Variable(np.arange(4.0))
    F.sum(F.split_axis(x, 2, 0)[1]).backward()
    assert x.grad.tolist() == [0, 0, 1, 1]
    x = Variable(np.arange(4.0))
    F.sum(F.concat(F.split_axis(x, [3, 1], 0), 0)).backward()
    assert x.grad.tolist() == [1, 2, 2, 1]
    with using_config("debug", True), pytest.raises(ValueError, match="must not fall"):
        F.split_axis(x, [3, 1], 0)


def test_as_strided_sees_the_memory_under_a_view():
    # Chainer 7.8.1: F.as_strided(x, (3, 3), (1, 2), 0) and its gradient, of the view x below
    memory = np.arange(8.0)
    x = Variable(np.lib.stride_tricks.as_strided(memory[3:], (3, 3), (-8, 16)))
    y = F.as_strided(x, (3, 3), (1, 2), 0)
    assert y.array.tolist() == [[0, 2, 4], [1, 3, 5], [2, 4, 6]] and np.shares_memory(y.array, memory)
    F.sum(y).backward()
    assert x.grad.tolist() == [[0.5, 0.5, 0.0], [2.0, 2.0, 1.0], [1.0, 0.5, 0.5]]
    assert F.as_strided(memory[2:], (2,), (1,)).array.tolist() == [2, 3]
    y = F.as_strided(Variable(np.arange(4)), (2,), (1,))
    with pytest.raises(TypeError, match="only floating point has a gradient"):
        y.creator.backward((0,), (y,))


def test_debug_mode_looks_at_the_indexes():
    x = np.ones((2, 3))
    assert F.select_item(x, np.array([0, -1])).shape == (2,) and F.permutate(x, np.array([0, 0])).shape == (2, 3)
    with using_config("debug", True):
        for call in (lambda: F.select_item(x, np.array([0, -1])), lambda: F.permutate(x, np.array([0, 0]))):
            with pytest.raises(ValueError, match="select_item: t goes from|permutate: indices is no permutation"):
                call()


def test_a_copy_is_a_copy():
    x = Variable(np.ones((2, 3)))
    y = F.copy(x, "@numpy")
    assert not np.shares_memory(x.array, y.array)
    F.sum(y * y).backward()
    assert x.grad.tolist() == [[2.0] * 3] * 2


def test_empty_sequences():
    assert F.transpose_sequence([]) == () and F.transpose_sequence([np.ones((0, 2))]) == ()
    assert [y.shape for y in F.transpose_sequence([np.ones((2, 3)), np.ones((0, 3))])] == [(1, 3), (1, 3)]
    assert F.pad_sequence([np.ones((0, 2), np.int32)], length=2, padding=7).array.tolist() == [[[7, 7], [7, 7]]]


def test_no_axes_and_zero_dimensions():
    x = np.array(3.0)
    assert F.flatten(x).shape == (1,) and F.expand_dims(x, -1).shape == (1,) and F.squeeze(x).shape == ()
    assert F.squeeze(np.ones((1, 2)), axis=()).shape == (1, 2)


@pytest.mark.parametrize(
    "call, error, sentence",
    [
        (lambda x: F.concat([]), InvalidType, "concat: xs is empty"),
        (lambda x: F.concat([x, x[:1]]), InvalidType, "xs[1] has shape (1, 3) but xs[0] has (2, 3); only axis 1 may"),
        (lambda x: F.concat([x, x[0]]), InvalidType, "xs[1] has shape (3,) but xs[0] has (2, 3)"),
        (lambda x: F.concat([x, x.astype("f")]), InvalidType, "xs[1] is float32 but xs[0] is float64"),
        (lambda x: F.concat([x], axis=2), InvalidType, "concat: axis 2 does not exist"),
        (lambda x: F.concat([x], axis="x"), TypeError, "concat: axis must be an int, got 'x'"),
        (lambda x: F.stack([x, x[0]]), InvalidType, "stack: xs[1] has shape (3,) but xs[0] (2, 3)"),
        (lambda x: F.split_axis(x, 2, 1), InvalidType, "split_axis: 2 sections do not divide axis 1, of size 3"),
        (lambda x: F.split_axis(x, [4], 1), InvalidType, "split_axis: index 4 is beyond the end of axis 1, of size 3"),
        (lambda x: F.broadcast(x, x[0, :2]), InvalidType, "broadcast: shapes [(2, 3), (2,)] do not fit"),
        (lambda x: F.broadcast_to(x, (3, 3)), InvalidType, "broadcast_to: shape (2, 3) does not broadcast to (3, 3)"),
        (lambda x: F.expand_dims(x, 3), InvalidType, "expand_dims: axis 3 for shape (2, 3); wanted -3 to 2"),
        (lambda x: F.squeeze(x, 0), ValueError, "squeeze: axis 0 has size 2"),
        (lambda x: F.reshape(x, (4, 2)), InvalidType, "reshape: 6 elements of shape (2, 3) do not fill shape (4, 2)"),
        (lambda x: F.get_item(x, (0, 0, 0)), IndexError, "too many indices"),
        (lambda x: F.hstack([x, x[0]]), InvalidType, "hstack: shapes [(2, 3), (3,)]; wanted one number of axes"),
        (lambda x: F.vstack([]), InvalidType, "xs is empty"),
        (lambda x: F.moveaxis(x, 2, 0), InvalidType, "moveaxis: "),
        (lambda x: F.rollaxis(x, "a"), TypeError, "rollaxis: axis must be an int, got 'a'"),
        (lambda x: F.swapaxes(x, 0, 2), np.exceptions.AxisError, "axis 2 is out of bounds"),
        (lambda x: F.flip(x, 2), InvalidType, "flip: axis 2 does not exist"),
        (lambda x: F.fliplr(x[0]), InvalidType, "flip: axis 1 does not exist; x has 1 axes"),
        (lambda x: F.repeat(x, [2]), TypeError, "repeat: got [2]; wanted an int or a tuple of ints"),
        (lambda x: F.repeat(x, -1), ValueError, "repeat: got -1; wanted 0 or more"),
        (lambda x: F.repeat(x, 2, 2), np.exceptions.AxisError, "axis 2 is out of bounds"),
        (lambda x: F.repeat(x, 2, (0,)), TypeError, "repeat: axis must be an int or None, got (0,)"),
        (lambda x: F.repeat(x, 2, True), TypeError, "repeat: axis must be an int or None, got True"),
        (lambda x: F.repeat(x, (1, 2), 1), ValueError, "repeat: 2 repeats for axis 1 of size 3"),
        (lambda x: F.tile(x, 1.5), TypeError, "tile: got 1.5"),
        (lambda x: F.permutate(x, x[0]), ValueError, "permutate: indices is float64 (3,)"),
        (lambda x: F.select_item(x, np.array([0])), InvalidType, "select_item: x has shape (2, 3) and t is int64 (1,)"),
        (lambda x: F.where(x, x, x), InvalidType, "where: got float64, float64 and float64; wanted bool"),
        (lambda x: F.where(x > 0, x, x[:, :2]), InvalidType, "of condition, x and y do not broadcast"),
        (lambda x: F.pad(x, 1, "no"), ValueError, "mode 'no' is not supported"),
        (lambda x: F.sum(F.pad(Variable(x), 1, "mean")).backward(), NotImplementedError, "pad: mode 'mean' has no"),
        (lambda x: F.as_strided(x, (7,), (1,)), ValueError, "as_strided: shape (7,), strides (1,) and offset 0 reach"),
        (lambda x: F.scatter_add(x, (0, 0, 0), x), InvalidType, "scatter_add: a has shape (2, 3): too many indices"),
        (lambda x: F.scatter_add(x, slice(2), x[0]), ValueError, "b has shape (3,), but a[slices] has (2, 3)"),
        (lambda x: F.pad_sequence([]), InvalidType, "pad_sequence: shapes []; wanted one array or more"),
        (lambda x: F.pad_sequence([x], 1), InvalidType, "pad_sequence: length is 1 but the longest array has 2"),
        (lambda x: F.transpose_sequence([x[:1], x]), InvalidType, "lengths [1, 2]; wanted the longest first"),
    ],
)
def test_errors_are_sentences(call, error, sentence):
    with pytest.raises(error) as caught:
        call(np.ones((2, 3)))
    assert sentence in str(caught.value)


def test_padding_outside_of_the_type_wraps_around():
    assert F.pad_sequence([np.array([1], "B")], 2, -1).array.tolist() == [[1, 255]]


def test_scatter_add_of_another_dtype():
    a, b = Variable(np.zeros((2, 2), "e")), Variable(np.ones(2))
    y = F.scatter_add(a, 0, b)
    F.sum(y).backward()
    assert y.array.tolist() == [[1, 1], [0, 0]] and (y.dtype, a.grad.dtype, b.grad.dtype) == ("e", "e", "d")


def test_cast_to_the_same_type_is_a_variable_of_its_own():
    x = Variable(np.ones(1, "f"))
    y, z = F.cast(x, "f"), F.cast(x, np.float32)
    # as in Chainer 7.8.1, which returns x itself only without backprop
    assert [g.array.tolist() for g in grad([y + z], [y, z])] == [[1], [1]] and y.array is x.array
    with using_config("enable_backprop", False):
        assert F.cast(x, "f") is x
