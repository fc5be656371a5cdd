"""What the table of all functions does not ask of losses and accuracy: overflow, forms of arguments, errors."""

import numpy as np
import pytest

from minigan.configuration import using_config
from minigan.core import Variable
from minigan.functions.evaluation import accuracy
from minigan.functions.loss import (
    SoftmaxCrossEntropy,
    absolute_error,
    bernoulli_nll,
    black_out,
    contrastive,
    cross_covariance,
    decov,
    discriminative_margin_based_clustering_loss,
    gaussian_nll,
    hinge,
    huber_loss,
    mean_absolute_error,
    mean_squared_error,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    triplet,
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


def test_the_node_of_softmax_cross_entropy_keeps_the_probabilities():
    x, t = Variable(SCORES), np.array([0, 1, -1])
    node = softmax_cross_entropy(x, t).creator
    assert isinstance(node, SoftmaxCrossEntropy) and node.normalize and len(node.inputs) == 2
    np.testing.assert_allclose(node.y, [[0, 1], [0, 1], [0.26894143, 0.7310586]], rtol=1e-6)
    assert softmax_cross_entropy(x, t, cache_score=False).creator.y is None


@pytest.mark.parametrize("cache_score", [True, False])
def test_cached_scores_give_the_same_gradients(cache_score):
    rng = np.random.RandomState(0)
    x, t = Variable(rng.randn(3, 4, 2)), rng.randint(-1, 4, (3, 2))
    weight = rng.rand(4)
    loss = softmax_cross_entropy(x, t, cache_score=cache_score, class_weight=weight)
    loss.backward()
    expected = np.exp(x.array) / np.exp(x.array).sum(1, keepdims=True)
    for n, d in np.ndindex(3, 2):
        expected[n, t[n, d], d] -= 1
        expected[n, :, d] *= weight[t[n, d]] * (t[n, d] >= 0)
    np.testing.assert_allclose(x.grad, expected / (t >= 0).sum(), rtol=1e-12, atol=1e-15)


def test_a_class_that_is_ruled_out_costs_nothing():
    x = Variable(np.array([[0.0, -np.inf, 0.0]]))
    loss = softmax_cross_entropy(x, np.array([0]))
    np.testing.assert_allclose(loss.array, np.log(2))
    loss.backward()
    np.testing.assert_allclose(x.grad, [[-0.5, 0, 0.5]])


def test_labels_out_of_range_in_debug_mode():
    with using_config("debug", True), pytest.raises(ValueError, match="t contains 3 but x has 3 classes"):
        softmax_cross_entropy(FLOATS, INTEGERS[:, 0] + 2)


def test_targets_may_be_of_another_floating_type():
    x = Variable(np.ones((2, 4), np.float16))
    loss = softmax_cross_entropy(x, np.full((2, 4), 0.25))
    loss.backward()
    assert loss.dtype == np.float64 and x.grad.dtype == np.float16
    np.testing.assert_allclose(loss.array, np.log(4), rtol=1e-3)


def test_contrastive_of_equal_vectors_has_a_gradient():
    x = Variable(np.ones((2, 3)))
    loss = contrastive(x, np.ones((2, 3)), np.array([0, 1]))
    loss.backward()
    assert loss.array == 0.25 and not x.grad.any()


def test_huber_loss_is_a_parabola_between_two_lines():
    x = np.array([[-5.0, -1, 0.5, 1, 9]])
    loss = huber_loss(x, np.zeros((1, 5)), delta=1, reduce="no").array
    np.testing.assert_array_equal(loss, [[4.5, 0.5, 0.125, 0.5, 8.5]])


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
        (lambda: softmax_cross_entropy(FLOATS, INTEGERS), InvalidType, r"of int32, has shape \(2, 3\); wanted \(2,\)"),
        (lambda: softmax_cross_entropy(FLOATS, FLOATS[0]), InvalidType, r"t, of float32, has shape \(3,\)"),
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
            r"class_weight is variable\(.*; wanted an array",
        ),
        (lambda: softmax_cross_entropy(FLOATS, FLOATS, soft_target_loss="mse"), ValueError, "loss is 'mse' but"),
        (
            lambda: softmax_cross_entropy(FLOATS, INTEGERS[:, 0], class_weight=INTEGERS[0]),
            ValueError,
            r"class_weight is array\(.*; wanted an array of floats",
        ),
        (lambda: hinge(FLOATS, INTEGERS[:, 0], norm="L3"), NotImplementedError, "hinge: norm is 'L3' but must be"),
        (lambda: hinge(FLOATS, INTEGERS), InvalidType, r"hinge: x has shape \(2, 3\) and t has shape \(2, 3\)"),
        (lambda: hinge(FLOATS, FLOATS[:, 0]), InvalidType, "hinge: t is float32; wanted integers"),
        (lambda: contrastive(FLOATS, FLOATS, INTEGERS[:, 0], margin=0), ValueError, "margin is 0 but must be positive"),
        (lambda: contrastive(FLOATS, FLOATS, INTEGERS[0]), InvalidType, r"are \(2, 3\) and, of y, \(3,\)"),
        (lambda: triplet(FLOATS, FLOATS, FLOATS, margin=-1), ValueError, "triplet: margin is -1"),
        (lambda: triplet(FLOATS[0], FLOATS[0], FLOATS[0]), InvalidType, r"triplet: the shape is \(3,\)"),
        (lambda: huber_loss(FLOATS, FLOATS, 1, reduce="mean"), ValueError, "must be 'sum_along_second_axis' or 'no'"),
        (lambda: cross_covariance(FLOATS, FLOATS[:1]), InvalidType, r"shapes are \(2, 3\) and \(1, 3\)"),
        (lambda: decov(FLOATS, reduce="mean"), ValueError, "decov: reduce is 'mean' but must be 'half_squared_sum'"),
        (lambda: gaussian_nll(FLOATS, FLOATS, FLOATS.astype("d")), InvalidType, "gaussian_nll: got float32"),
        (lambda: bernoulli_nll(FLOATS, FLOATS, "x"), ValueError, "must be 'sum' or 'mean' or 'no'"),
        (lambda: black_out(FLOATS, INTEGERS[0], FLOATS, INTEGERS), InvalidType, "black_out: shapes are"),
        (
            lambda: discriminative_margin_based_clustering_loss(FLOATS, INTEGERS, 1, 1, 3),
            InvalidType,
            r"shapes are \(2, 3\) and \(2, 3\); wanted \(N, C, ...\)",
        ),
        (
            lambda: discriminative_margin_based_clustering_loss(FLOATS, INTEGERS[:, 0], 1, 1, 3, norm=3),
            ValueError,
            "norm is 3 but must be 1 or 2",
        ),
        (lambda: absolute_error(FLOATS, FLOATS[:1]), InvalidType, r"absolute_error: got float32 \(2, 3\) and"),
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


@pytest.mark.parametrize("kind", ["i", "?", "u1"])
def test_likelihood_of_whole_numbers(kind):
    x, y = np.array([[0, 1], [1, 0]], kind), Variable(np.array([[0.5, -1], [2, 3]], "f"))
    for function, parameters in ((bernoulli_nll, (y,)), (gaussian_nll, (y, y))):
        loss = function(x, *parameters, reduce="no")
        np.testing.assert_array_equal(loss.array, function(x.astype("f"), *parameters, reduce="no").array)
        assert loss.dtype == np.float32
