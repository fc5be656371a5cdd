import numpy as np
import pytest

import minigan.functions as F
from minigan.functions.evaluation import fbeta_score
from minigan.utils.type_check import InvalidType

Y = np.array([[3, 1, 0], [0, 2, 1], [1, 2, 0], [0, 0, 1]], np.float32)
T = np.array([0, 1, 2, -1], np.int32)


def test_summary_is_chainers():
    # Chainer 7.8.1: F.classification_summary(Y, T)
    p, r, f, support = (z.array for z in F.classification_summary(Y, T))
    np.testing.assert_allclose([p, r, f], [[1, 0.5, np.nan], [1, 1, 0], [1, 2 / 3, np.nan]])
    assert support.tolist() == [1, 1, 1] and support.dtype.kind == "i" and p.dtype == np.float64
    np.testing.assert_array_equal(fbeta_score(Y, T, beta=1.0)[0].array, f)


def test_the_number_of_classes_is_that_of_t():
    # Chainer 7.8.1: F.precision(Y, [0, 1, 1, 0]) and F.precision(Y, [2, 2, 2, 2], ignore_label=2)
    p, support = F.precision(Y, np.array([0, 1, 1, 0]))
    assert p.array.tolist() == [1, 1] and support.array.tolist() == [2, 2]
    p, support = F.precision(Y, np.full(4, 2), ignore_label=2)
    assert np.isnan(p.array).tolist() == [True] * 3 and support.array.tolist() == [0, 0, 0]


def test_nothing_that_counts():
    ignored = np.full(4, -1, np.int32)
    assert F.accuracy(Y, ignored, ignore_label=-1).array == 0
    assert F.binary_accuracy(Y[:, 0], ignored).array == 0
    assert F.r2_score(Y, np.ones_like(Y)).array == 0


@pytest.mark.parametrize(
    "call, error, sentence",
    [
        (lambda: F.accuracy(Y, T[:3]), InvalidType, "accuracy: y has shape (4, 3) and t has shape (3,)"),
        (lambda: F.accuracy(Y[:, 0], T), InvalidType, "accuracy: y has shape (4,)"),
        (lambda: F.precision(Y, T.astype("f")), InvalidType, "classification_summary: y is float32 and t is float32"),
        (lambda: F.binary_accuracy(Y, T), InvalidType, "binary_accuracy: y is float32 (4, 3) and t int32 (4,)"),
        (lambda: F.r2_score(Y, Y[:2]), InvalidType, "r2_score: got float32 (4, 3) and float32 (2, 3)"),
        (lambda: F.r2_score(Y, Y, multioutput="no"), ValueError, "r2_score: multioutput is 'no'"),
        (lambda: F.r2_score(Y, Y, sample_weight=T), NotImplementedError, "sample_weight"),
    ],
)
def test_errors_are_sentences(call, error, sentence):
    with pytest.raises(error) as caught:
        call()
    assert sentence in str(caught.value)
