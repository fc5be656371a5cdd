import numpy as np
import pytest

from minigan.configuration import using_config
from minigan.core import Variable, grad
from minigan.functions.noise import Dropout, dropout, gaussian, gumbel_softmax, simplified_dropconnect, zoneout
from minigan.gradient_check import check_backward, check_double_backward
from minigan.utils.type_check import InvalidType


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_seed_gives_chainers_mask(dtype):
    # Chainer 7.8.1: np.random.seed(3); F.dropout(np.ones((3, 4)), .3, return_mask=True)
    np.random.seed(3)
    y, mask = dropout(np.full((3, 4), 2, dtype), 0.3, return_mask=True)
    want = np.array([[1, 1, 0, 1], [1, 1, 0, 0], [0, 1, 0, 1]]) * dtype(1.4285714285714286)
    np.testing.assert_array_equal(mask, want)
    np.testing.assert_array_equal(y.array, 2 * want)
    assert y.dtype == mask.dtype == dtype


def test_mean_stays_and_ratio_is_met():
    y = dropout(np.ones((200, 500)), 0.2).array
    assert abs(y.mean() - 1) < 0.01
    assert abs((y == 0).mean() - 0.2) < 0.01
    assert set(np.unique(y)) == {0, 1.25}


def test_evaluation_mode_gives_x_itself():
    x = Variable(np.ones((2, 3), np.float32))
    with using_config("train", False):
        assert dropout(x) is x
        assert dropout(x, return_mask=True) == (x, None)
        assert isinstance(dropout(x.array), Variable)
        assert dropout(x, 1.5) is x


def test_mask_can_be_given_and_used_again():
    x = np.ones((50, 4), np.float32)
    y, mask = dropout(x, return_mask=True)
    again, same = dropout(x, mask=mask, return_mask=True)
    np.testing.assert_array_equal(again.array, y.array)
    assert same is mask
    assert dropout(x, mask=mask.astype(np.float64)).dtype == np.float32
    node = Dropout(0.5)
    (y,) = node.apply((x,))
    np.testing.assert_array_equal(y.array, node.mask)


def test_ratio_0_changes_nothing(rng):
    x = rng.standard_normal((3, 4))
    np.testing.assert_array_equal(dropout(x, 0.0).array, x)


def test_derivatives(rng):
    x, gy, ggx = rng.standard_normal((3, 4, 5))
    mask = (rng.uniform(size=(4, 5)) > 0.5) * 2.0

    def f(x):
        y = dropout(x, mask=mask)
        return y * y * y

    check_backward(f, x, gy, atol=1e-7, rtol=1e-6)
    check_double_backward(f, x, gy, ggx, atol=1e-7, rtol=1e-6)


def test_backward_uses_the_mask_of_forward():
    x = Variable(np.ones((20, 20)))
    y, mask = dropout(x, return_mask=True)
    (gx,) = grad([y], [x])
    np.testing.assert_array_equal(gx.array, mask)


def test_the_mask_does_not_depend_on_memory_layout(rng):
    x = rng.standard_normal((4, 2, 3, 5)).transpose(0, 3, 1, 2)
    np.random.seed(0)
    y = dropout(x)
    np.random.seed(0)
    np.testing.assert_array_equal(y.array, dropout(np.ascontiguousarray(x)).array)
    assert y.array.strides == x.strides


def test_no_axes():
    assert dropout(np.array(1.0), 0.0).shape == ()


def test_errors_are_sentences():
    x = np.ones((2, 3), np.float32)
    for ratio in (1.0, -0.1, np.nan):
        with pytest.raises(ValueError, match="dropout: ratio is"):
            dropout(x, ratio)
    with pytest.raises(ValueError, match=r"dropout: mask has shape \(2, 2\) but x has \(2, 3\)"):
        dropout(x, mask=np.ones((2, 2), np.float32))
    with pytest.raises(InvalidType, match="dropout: x is int32"):
        dropout(x.astype(np.int32))


def test_a_seed_gives_chainers_other_noise():
    # Chainer 7.8.1: x = np.linspace(-1, 1, 6, dtype="f").reshape(2, 3); np.random.seed(1) before each of
    # F.gaussian(x, x), F.gumbel_softmax(x, 1.0), F.simplified_dropconnect(x, x), F.zoneout(x, x * x)
    x = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
    for function, want in (
        (lambda: gaussian(x, x), [[-0.01478469, -1.0532, -0.6779096], [-0.9858138, 1.768178, -2.794596]]),
        (lambda: gumbel_softmax(x, 1.0), [[9.523038e-05, 6.016688e-05, 0.9998446], [0.07902674, 0.2674277, 0.6535456]]),
        (lambda: simplified_dropconnect(x, x), [[0.72, 0.0], [0.0, 2.08]]),
        (lambda: zoneout(x, x * x), [[-1.0, 0.36, -0.2], [0.2, 0.6, 1.0]]),
    ):
        np.random.seed(1)
        np.testing.assert_allclose(function().array, want, rtol=1e-5)


def test_nodes_keep_what_they_drew():
    x = np.zeros((2, 3), np.float32)
    y, eps = gaussian(x, x, return_eps=True)
    assert eps.dtype == np.float32 and (y.array == eps).all()
    v = Variable(x)
    node = zoneout(v, v + 1, 0.5).creator
    assert (node.flag_h == ~node.flag_x).all() and node.zoneout_ratio == 0.5
    node = simplified_dropconnect(v, np.ones((4, 3), np.float32)).creator
    assert node.mask.shape == (2, 4, 3) and node.mask.dtype == bool
    again = simplified_dropconnect(v, np.ones((4, 3), np.float32), mask=Variable(node.mask))  # arrays or Variables
    assert (again.creator.mask == node.mask).all()
    assert simplified_dropconnect(v + 1, np.ones((4, 3), np.float64), train=False).array.tolist() == [[3.0] * 4] * 2


def test_errors_of_the_others():
    x = np.ones((2, 3), np.float32)
    with pytest.raises(InvalidType, match=r"gaussian: mean has shape \(2, 3\) and ln_var \(2,\)"):
        gaussian(x, x[:, 0])
    for W, b, mask in ((x[:, :2], None, None), (x, x[0], None), (x.astype(int), None, None), (x, None, x > 0)):
        with pytest.raises(InvalidType, match="simplified_dropconnect: "):
            simplified_dropconnect(x, W, b, mask=mask)
    with pytest.raises(ValueError, match="simplified_dropconnect: ratio is 1"):
        simplified_dropconnect(x, x, ratio=1)


def test_gumbel_softmax_of_one_number_is_one():
    assert gumbel_softmax(np.array(3.0, "f")).array == np.float32(1)  # as in Chainer 7.8.1
