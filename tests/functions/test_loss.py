"""What the table of all functions does not ask of losses and accuracy: overflow, forms of arguments, errors."""

import numpy as np
import pytest

from minigan.core import Variable
from minigan.functions.evaluation import accuracy
from minigan.functions.loss import (
    mean_absolute_error,
    mean_squared_error,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
)
from minigan.utils.type_check import InvalidType

# Values: Chainer 7.8.1, python -c "import chainer.functions as F, numpy as np; print(F.<loss>(<the same arrays>))"
SCORES = np.array([[-1000, 2], [0.5, 1000], [1, 2]], np.float32)
BITS = np.array([[0, 1], [-1, 0], [-1, -1]], np.int32)
CLASS_SCORES = np.array([[-1000, 2, 3], [0.5, 1000, 1], [1, 2, 0]], np.float32)
CLASSES = np.array([1, 0, -1], np.int32)
WEIGHTS = np.array([1, 2, 3], np.float32)


def test_sigmoid_cross_entropy_of_large_scores():
    x = Variable(SCORES)
    loss = sigmoid_cross_entropy(x, BITS)
    assert loss.shape == () and loss.dtype == np.float32
    np.testing.assert_allclose(loss.array, 333.37564, rtol=1e-6)
    loss.backward()
    np.testing.assert_allclose(x.grad, [[0, -0.0397343], [0, 1 / 3], [0, 0]], atol=1e-6)
    each = sigmoid_cross_entropy(SCORES, BITS, reduce="no").array
    np.testing.assert_allclose(each, [[0, 0.126928], [0, 1000], [0, 0]], rtol=1e-6)


def test_sigmoid_cross_entropy_is_exact_where_the_probability_is_one():
    assert sigmoid_cross_entropy(np.array([40.0]), np.array([1])).array == np.exp(-40.0)


def test_normalize_counts_labels_or_examples():
    each = sigmoid_cross_entropy(SCORES, BITS[::-1], reduce="no").array
    total = each.sum()
    np.testing.assert_allclose(sigmoid_cross_entropy(SCORES, BITS[::-1]).array, total / 3, rtol=1e-6)
    wide = np.zeros((1, 4), np.float32)
    bits = np.array([[1, 0, -1, 1]])
    np.testing.assert_allclose(sigmoid_cross_entropy(wide, bits).array, np.log(2), rtol=1e-6)
    np.testing.assert_allclose(sigmoid_cross_entropy(wide, bits, normalize=False).array, 3 * np.log(2), rtol=1e-6)


def test_softmax_cross_entropy_of_large_scores():
    def loss(**arguments):
        return softmax_cross_entropy(CLASS_SCORES, CLASSES, **arguments).array

    np.testing.assert_allclose(loss(), 500.4066, rtol=1e-6)
    np.testing.assert_allclose(loss(normalize=False), 333.60443, rtol=1e-6)
    np.testing.assert_allclose(loss(reduce="no"), [1.3132617, 999.5, 0], rtol=1e-6)
    np.testing.assert_allclose(loss(class_weight=WEIGHTS), 501.06326, rtol=1e-6)
    np.testing.assert_allclose(
        softmax_cross_entropy(CLASS_SCORES, np.array([0, 1, 2]), ignore_label=0).array, 1.2038031, rtol=1e-6
    )


def test_one_hot_targets_equal_labels():
    x = np.random.RandomState(0).randn(5, 3, 2)
    t = np.random.RandomState(1).randint(0, 3, (5, 2))
    one_hot = np.eye(3)[t].transpose(0, 2, 1)
    by_label, by_vector = Variable(x), Variable(x.copy())
    first, second = softmax_cross_entropy(by_label, t), softmax_cross_entropy(by_vector, one_hot)
    np.testing.assert_allclose(first.array, second.array, rtol=1e-14)
    first.backward()
    second.backward()
    np.testing.assert_allclose(by_label.grad, by_vector.grad, rtol=1e-12, atol=1e-16)


def test_cross_entropy_is_entropy_plus_divergence():
    rng = np.random.RandomState(0)
    x, t = rng.randn(4, 6), rng.dirichlet(np.ones(6), 4)
    t[0] = [1, 0, 0, 0, 0, 0]  # 0 log 0 is 0
    cross = softmax_cross_entropy(x, t, reduce="no").array
    divergence = softmax_cross_entropy(x, t, reduce="no", soft_target_loss="kl-divergence").array
    entropy = -np.sum(t * np.log(np.where(t > 0, t, 1)), axis=1)
    np.testing.assert_allclose(cross, entropy + divergence, rtol=1e-12)


@pytest.mark.parametrize("loss", [sigmoid_cross_entropy, softmax_cross_entropy])
@pytest.mark.parametrize("shape", [(3, 1), (0, 1)])
def test_nothing_to_learn_from_is_zero(loss, shape):
    t = np.full(shape if loss is sigmoid_cross_entropy else shape[:1], -1)
    x = Variable(np.ones(shape, np.float32))
    y = loss(x, t)
    assert y.array == 0
    y.backward()
    assert x.grad.shape == shape and not x.grad.any()


def test_errors_in_float16_are_added_up_in_float32():
    x0, x1 = np.full((300, 300), 20, np.float16), np.zeros((300, 300), np.float16)
    assert mean_squared_error(x0, x1).array == np.float16(400)
    assert mean_absolute_error(x0, x1).array == np.float16(20)


@pytest.mark.parametrize("loss", [mean_squared_error, mean_absolute_error])
def test_errors_of_numbers_and_of_nothing(loss):
    y = loss(np.array(3, np.float32), np.array(2, np.float32))
    assert y.array == 1 and y.dtype == np.float32 and y.shape == ()
    assert np.isnan(loss(np.zeros((0, 2)), np.zeros((0, 2))).array)


FLOATS = np.ones((2, 3), np.float32)
INTEGERS = np.ones((2, 3), np.int32)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: sigmoid_cross_entropy(FLOATS, FLOATS), InvalidType, "sigmoid_cross_entropy: t is float32; wanted int"),
        (lambda: sigmoid_cross_entropy(FLOATS, FLOATS > 0), InvalidType, "sigmoid_cross_entropy: t is bool"),
        (lambda: sigmoid_cross_entropy(INTEGERS, INTEGERS), InvalidType, "sigmoid_cross_entropy: x is int32"),
        (lambda: sigmoid_cross_entropy(FLOATS, INTEGERS[0]), InvalidType, r"x has shape \(2, 3\) but t has .* \(3,\)"),
        (lambda: sigmoid_cross_entropy(FLOATS, INTEGERS, reduce="sum"), ValueError, "reduce is 'sum' but must be"),
        (lambda: softmax_cross_entropy(FLOATS, INTEGERS[:, 0], reduce="sum"), ValueError, "reduce is 'sum' but must"),
        (lambda: softmax_cross_entropy(FLOATS, INTEGERS), InvalidType, r"t has shape \(2, 3\); wanted \(2,\)"),
        (lambda: softmax_cross_entropy(FLOATS, FLOATS[0]), InvalidType, r"t, which holds floats, has shape \(3,\)"),
        (lambda: softmax_cross_entropy(FLOATS[0], INTEGERS[0]), InvalidType, r"x has shape \(3,\); wanted \(N, C\)"),
        (lambda: softmax_cross_entropy(INTEGERS, INTEGERS[:, 0]), InvalidType, "softmax_cross_entropy: x is int32"),
        (lambda: softmax_cross_entropy(FLOATS, INTEGERS[:, 0] + 2), IndexError, "t contains 3 but x has 3 classes"),
        (lambda: softmax_cross_entropy(FLOATS, INTEGERS[:, 0] - 3), IndexError, "t contains -2 but x has 3 classes"),
        (
            lambda: softmax_cross_entropy(FLOATS, INTEGERS[:, 0], class_weight=WEIGHTS[:2]),
            ValueError,
            r"class_weight has shape \(2,\); wanted \(3,\)",
        ),
        (
            lambda: softmax_cross_entropy(FLOATS, INTEGERS[:, 0], class_weight=Variable(WEIGHTS)),
            ValueError,
            "class_weight is a Variable",
        ),
        (lambda: softmax_cross_entropy(FLOATS, FLOATS, soft_target_loss="mse"), ValueError, "loss is 'mse' but"),
        (lambda: mean_squared_error(FLOATS, FLOATS[:1]), InvalidType, r"x0 has shape \(2, 3\) but x1 has .* \(1, 3\)"),
        (lambda: mean_squared_error(FLOATS, FLOATS.astype("d")), InvalidType, "x0 is float32 but x1 is float64"),
        (lambda: mean_absolute_error(INTEGERS, INTEGERS), InvalidType, "mean_absolute_error: x0 is int32"),
        (lambda: accuracy(FLOATS, FLOATS[:, 0]), InvalidType, "accuracy: y is float32 and t is float32"),
        (lambda: accuracy(FLOATS, INTEGERS[0]), InvalidType, r"accuracy: y has shape \(2, 3\) and t has shape \(3,\)"),
    ],
)
def test_error_sentences(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()


def test_accuracy():
    y = np.array([[-10, 2, 3], [0.5, 10, 1], [1, 2, 0]], np.float32)
    t = np.array([2, 1, -1], np.int32)
    result = accuracy(Variable(y), Variable(t))
    assert result.dtype == np.float32 and result.shape == () and result.creator is None
    np.testing.assert_allclose(result.array, 2 / 3, rtol=1e-6)
    assert accuracy(y, t, ignore_label=-1).array == 1
    assert accuracy(y, np.full(3, -1), ignore_label=-1).array == 0
    np.testing.assert_allclose(accuracy(y[:, :, None, None], t).array, 2 / 3, rtol=1e-6)
    assert accuracy(np.eye(3)[None], np.array([[0, 1, 1]])).array == pytest.approx(2 / 3)
    assert np.isnan(accuracy(y[:0], t[:0]).array)


@pytest.mark.parametrize("function", [softmax_cross_entropy, sigmoid_cross_entropy])
def test_labels_in_a_list_are_refused_with_a_cure(function):
    with pytest.raises(TypeError, match="got list.*numpy.array"):
        function(np.ones((2, 2), "f"), [0, 1])
