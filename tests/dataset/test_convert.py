import numpy as np
import pytest

from minigan.backend import CpuDevice
from minigan.dataset import ConcatWithAsyncTransfer, Converter, call_converter, concat_examples, converter, to_device

A, B = np.arange(6.0, dtype=np.float32).reshape(2, 3), np.ones((2, 3), np.float32)


def test_arrays_get_a_batch_axis_in_front():
    result = concat_examples([A, B])
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, np.array([A, B]))


def test_tuples_and_dicts_are_joined_element_by_element():
    images, labels = concat_examples([(A, np.int32(1)), (B, np.int32(2))])
    np.testing.assert_array_equal(images, np.array([A, B]))
    assert labels.dtype == np.int32 and labels.tolist() == [1, 2]
    joined = concat_examples([{"x": A, "y": 1.5}, {"x": B, "y": 2.5}])
    np.testing.assert_array_equal(joined["x"], np.array([A, B]))
    assert joined["y"].tolist() == [1.5, 2.5]


# Chainer 7.8.1: concat_examples(examples).dtype
@pytest.mark.parametrize(
    "examples, dtype",
    [
        ([1, 2, 3], "int64"), ([1.0, 2.0], "float64"), ([1, 2.5], "float64"), ([True, False], "bool"),
        ([np.int32(1), np.int32(2)], "int32"), ([np.float32(1), np.float32(2)], "float32"),
        ([np.array(1.0), np.array(2.0)], "float64"), ([[1, 2], [3, 4]], "int64"),
        ([np.ones(2, np.float16), np.ones(2, np.float32)], "float32"),
    ],
)  # fmt: skip
def test_dtypes_are_chainers(examples, dtype):
    result = concat_examples(examples)
    assert result.dtype == dtype and len(result) == len(examples)


def test_a_whole_array_is_a_finished_batch():
    assert concat_examples(A) is A
    assert concat_examples(A, -1) is A


def test_padding_fills_up_the_smaller_ones():
    result = concat_examples([np.arange(3), np.arange(2)], padding=-1)
    assert result.tolist() == [[0, 1, 2], [0, 1, -1]]
    x, y = concat_examples([(np.arange(3), np.ones((1, 2))), (np.arange(2), np.ones((2, 1)))], padding=(0, -1))
    assert x.tolist() == [[0, 1, 2], [0, 1, 0]]
    assert y.tolist() == [[[1, 1], [-1, -1]], [[1, -1], [1, -1]]]
    joined = concat_examples([{"a": np.arange(2)}, {"a": np.arange(1)}], padding={"a": 9})
    assert joined["a"].tolist() == [[0, 1], [0, 9]]
    assert concat_examples([1, 2], padding=0).tolist() == [1, 2]


@pytest.mark.parametrize(
    "batch, padding, says",
    [
        ([], None, "batch is empty"),
        ([np.ones(3), np.ones(2)], None, r"shape \(3,\) but example 1 has shape \(2,\)"),
        ([np.ones((2, 1)), np.ones(2)], 0, "arrays of one ndim"),
        ([(1, 2), (1,)], None, "tuple of 2 but example 1 is a tuple of 1"),
        ([(1, 2), 3], None, "example 1 is of type int"),
        ([{"a": 1}, {"b": 1}], None, r"keys \['a'\] but example 1 is a dict with keys \['b'\]"),
        ([(np.ones(2), 1)] * 2, (0,), "padding has 1 values but an example has 2"),
        ([{"a": np.ones(2)}] * 2, {"b": 0}, r"no value for \['a'\]"),
    ],
)
def test_wrong_batches_give_a_sentence(batch, padding, says):
    with pytest.raises(ValueError, match=says):
        concat_examples(batch, padding=padding)


@pytest.mark.parametrize("batch", [["a", "b"], [None, None], [[1, 2], [3]], [("a", 1), ("b", 2)]])
def test_what_is_no_array_of_numbers(batch):
    with pytest.raises(TypeError, match=r"examples are of type \w+, \.\.\.; wanted arrays or numbers"):  # as Chainer's
        concat_examples(batch)


def test_converter_hands_over_a_device_whatever_names_it():
    @converter()
    def convert(batch, device):
        return batch, device

    assert convert.__name__ == "convert"
    assert convert([1], None) == ([1], None)
    assert isinstance(convert([1], -1)[1], CpuDevice)
    assert isinstance(convert([1], device="@numpy")[1], CpuDevice)


def test_call_converter_gives_old_functions_a_number():
    seen = []

    def old(batch, device):
        seen.append(device)

    for device in (None, -1, "@numpy", CpuDevice()):
        call_converter(old, [1], device)
    assert seen == [None, -1, -1, -1] and type(seen[3]) is int
    x, y = call_converter(concat_examples, [(A, 1)], "@numpy")
    assert x.shape == (1, 2, 3) and y.tolist() == [1]


def test_own_classes_of_converters():
    class First(Converter):
        def __call__(self, batch, device=None):
            return batch[0], device

    assert call_converter(First(), [3], "@numpy") == (3, "@numpy") and isinstance(concat_examples, Converter)
    with pytest.raises(NotImplementedError, match="Converter must define __call__"):
        Converter()([1])


def test_chainers_name_for_scripts_that_overlap_the_copy():
    convert = ConcatWithAsyncTransfer()
    for device in (None, -1, CpuDevice()):
        x, y = convert([(A, 1), (B, 2)], device)
        np.testing.assert_array_equal(x, np.array([A, B]))
        assert y.tolist() == [1, 2]
    assert convert([np.arange(2), np.arange(1)], padding=-1).tolist() == [[0, 1], [0, -1]]


def test_to_device():
    assert to_device(None, A) is A
    assert to_device(-1, (A, B))[1] is B
    with pytest.raises(ValueError, match="get_device"):
        to_device("moon", A)


@pytest.mark.gpu
def test_examples_go_to_the_gpu():
    cupy = pytest.importorskip("cupy")
    if not cupy.cuda.is_available():
        pytest.skip("no CUDA device")
    x, y = concat_examples([(A, 1), (B, 2)], "@cupy:0")
    assert isinstance(x, cupy.ndarray) and isinstance(y, cupy.ndarray)
    np.testing.assert_array_equal(x.get(), np.array([A, B]))
    padded = concat_examples([cupy.arange(3), cupy.arange(2)], padding=-1)
    assert padded.get().tolist() == [[0, 1, 2], [0, 1, -1]]
    assert isinstance(concat_examples([cupy.ones(2)], -1), np.ndarray)
