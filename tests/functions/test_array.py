"""What the table cannot say of the chapter array: layouts that survive, odd arguments, and the error sentences."""

import numpy as np
import pytest

import minigan.functions as F
from minigan.core import Variable
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
    ],
)
def test_errors_are_sentences(call, error, sentence):
    with pytest.raises(error) as caught:
        call(np.ones((2, 3)))
    assert sentence in str(caught.value)
