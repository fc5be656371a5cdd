from functools import partial

import numpy as np
import pytest

from minigan.configuration import mixed16, using_config
from minigan.core import Variable
from minigan.functions.normalization import fixed_batch_normalization
from minigan.functions.util import forget
from minigan.initializers import Constant
from minigan.links.normalization import (
    BatchNormalization,
    BatchRenormalization,
    DecorrelatedBatchNormalization,
    GroupNormalization,
    LayerNormalization,
)
from minigan.serializers.npz import load_npz, save_npz
from minigan.utils.type_check import InvalidType

IMAGES = (0, 2, 3)


@pytest.fixture
def x():
    return np.random.RandomState(0).randn(4, 3, 2, 2).astype(np.float32)


def names(link):
    return [path for path, _ in link.namedparams()]


def test_parameters_and_persistent_values():
    link = BatchNormalization(3)
    assert names(link) == ["/beta", "/gamma"]
    np.testing.assert_array_equal(link.gamma.array, [1, 1, 1])
    np.testing.assert_array_equal(link.beta.array, [0, 0, 0])
    np.testing.assert_array_equal(link.avg_mean, [0, 0, 0])
    np.testing.assert_array_equal(link.avg_var, [1, 1, 1])
    assert (link.N, link.decay, link.eps, link.axis) == (0, 0.9, 2e-5, None)
    assert link.gamma.dtype == link.beta.dtype == link.avg_mean.dtype == link.avg_var.dtype == np.float32


def test_training_follows_the_batches(x):
    # Chainer 7.8.1: l = L.BatchNormalization(3); l(np.random.RandomState(0).randn(4, 3, 2, 2).astype('f'))
    link = BatchNormalization(3)
    y = link(x)
    np.testing.assert_allclose(link.avg_mean, [0.05913185, 0.02342555, -0.02721613], rtol=1e-5)
    np.testing.assert_allclose(link.avg_var, [1.000428, 1.0473367, 1.012371], rtol=1e-6)
    np.testing.assert_allclose(y.array.mean(axis=IMAGES), 0, atol=1e-6)
    np.testing.assert_allclose(y.array.var(axis=IMAGES), 1, atol=1e-4)
    assert link.N == 0


def test_evaluation_uses_the_running_statistics_and_leaves_them(x):
    link = BatchNormalization(3, initial_gamma=2, initial_beta=0.5)
    link(x)
    mean, var = link.avg_mean.copy(), link.avg_var.copy()
    with using_config("train", False):
        y = link(x + 1)
        assert link(x, finetune=True).shape == x.shape
    want = fixed_batch_normalization(x + 1, np.full(3, 2, "f"), np.full(3, 0.5, "f"), mean, var)
    np.testing.assert_array_equal(y.array, want.array)
    np.testing.assert_array_equal((link.avg_mean, link.avg_var), (mean, var))
    assert link.N == 0


def test_finetuning_is_the_mean_over_batches(x):
    # Chainer 7.8.1: l.start_finetuning(); for i in range(3): l(x + i, finetune=True); print(l.N, l.avg_mean); l(x)
    link = BatchNormalization(3)
    link(x + 7)
    link.start_finetuning()
    for i in range(3):
        link(x + i, finetune=True)
        assert link.N == i + 1
    np.testing.assert_allclose(link.avg_mean, [1.5913186, 1.2342554, 0.72783875], rtol=1e-6)
    np.testing.assert_allclose(link.avg_var, [1.0042795, 1.4733671, 1.1237093], rtol=1e-6)
    link(x)
    np.testing.assert_allclose(link.avg_mean, [1.4913186, 1.1342554, 0.62783873], rtol=1e-6)
    assert link.N == 3
    link.start_finetuning()
    assert link.N == 0


@pytest.mark.parametrize("use_gamma", [True, False])
@pytest.mark.parametrize("use_beta", [True, False])
def test_without_gamma_or_beta(use_gamma, use_beta, x):
    link = BatchNormalization(3, use_gamma=use_gamma, use_beta=use_beta)
    assert names(link) == ["/beta"] * use_beta + ["/gamma"] * use_gamma
    assert (link.gamma is not None, link.beta is not None) == (use_gamma, use_beta)
    y = link(Variable(x))
    np.testing.assert_array_equal(y.array, BatchNormalization(3)(x).array)
    y.grad = np.ones_like(x)
    y.backward()
    assert all(p.grad is not None for p in link.params())
    with using_config("train", False):
        assert link(x).shape == x.shape


def test_gradients_reach_the_parameters(x):
    link = BatchNormalization(3)
    y = link(x)
    y.grad = np.ones_like(x)
    y.backward()
    np.testing.assert_array_equal(link.beta.grad, [16, 16, 16])
    np.testing.assert_allclose(link.gamma.grad, 0, atol=1e-5)


@pytest.mark.parametrize(
    "axis, shape", [(IMAGES, (3,)), ((0,), (3, 2, 2)), (0, (3, 2, 2)), ((0, 1), (2, 2)), ((0, 1, 2), (2,))]
)
def test_size_from_the_first_batch(axis, shape, x):
    link = BatchNormalization(axis=axis)
    assert link.avg_mean is None and not link.gamma.is_initialized and not link.beta.is_initialized
    assert names(link) == ["/beta", "/gamma"]
    assert link(x).shape == x.shape
    assert link.gamma.shape == link.beta.shape == link.avg_mean.shape == link.avg_var.shape == shape


def test_size_from_the_first_batch_in_evaluation_mode(x):
    link = BatchNormalization(axis=IMAGES)
    with using_config("train", False):
        y = link(x)
    np.testing.assert_allclose(y.array, x / np.sqrt(1 + 2e-5), rtol=1e-6)


def test_size_as_a_tuple(x):
    link = BatchNormalization((3, 2, 2))
    assert link.gamma.shape == link.avg_var.shape == (3, 2, 2)
    np.testing.assert_allclose(link(x).array.mean(axis=0), 0, atol=1e-6)


@pytest.mark.parametrize("lazy", [False, True])
def test_initial_values(lazy, x):
    given = dict(initial_gamma=3, initial_beta=np.array([1.0, 2, 3]), initial_avg_mean=Constant(4), initial_avg_var=5)
    link = BatchNormalization(None if lazy else 3, axis=IMAGES, **given)
    with using_config("train", False):
        link(x)
    np.testing.assert_array_equal(link.gamma.array, [3, 3, 3])
    np.testing.assert_array_equal(link.beta.array, [1, 2, 3])
    np.testing.assert_array_equal(link.avg_mean, [4, 4, 4])
    np.testing.assert_array_equal(link.avg_var, [5, 5, 5])
    assert link.beta.dtype == link.avg_mean.dtype == np.float32


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtype_is_that_of_the_link_not_of_x(dtype, lazy, x):
    with using_config("dtype", dtype):
        by_config = BatchNormalization(3)
    for link in (BatchNormalization(None if lazy else 3, dtype=dtype, axis=IMAGES), by_config):
        for x_type in (np.float16, np.float32, np.float64):
            assert link(x.astype(x_type)).dtype == x_type
        assert link.gamma.dtype == link.beta.dtype == link.avg_mean.dtype == link.avg_var.dtype == dtype


@pytest.mark.parametrize("lazy", [False, True])
def test_file_round_trip(lazy, x, tmp_path):
    link = BatchNormalization(3)
    link(x)
    link(x, finetune=True)
    link.gamma.array[...] = [1, 2, 3]
    save_npz(tmp_path / "link.npz", link)
    with np.load(tmp_path / "link.npz") as saved:
        assert sorted(saved) == ["N", "avg_mean", "avg_var", "beta", "gamma"]
        assert saved["N"].dtype == np.int64 and saved["N"].shape == () and saved["N"] == 1
    other = BatchNormalization(axis=IMAGES) if lazy else BatchNormalization(3)
    load_npz(tmp_path / "link.npz", other)
    for name in ("avg_mean", "avg_var", "N"):
        np.testing.assert_array_equal(getattr(other, name), getattr(link, name))
    with using_config("train", False):
        np.testing.assert_array_equal(other(x).array, link(x).array)
    np.testing.assert_array_equal(other(x).array, link(x).array)


def test_a_link_without_a_size_can_be_saved_and_loaded(tmp_path, x):
    save_npz(tmp_path / "lazy.npz", BatchNormalization(axis=IMAGES))
    link = BatchNormalization(axis=IMAGES)
    load_npz(tmp_path / "lazy.npz", link)
    assert link.avg_mean is None
    assert link(x).shape == x.shape


def test_copies_have_statistics_of_their_own(x):
    link = BatchNormalization(3)
    other = link.copy(mode="copy")
    other(x)
    assert other.avg_mean.any() and not link.avg_mean.any()


def test_text():
    text = "BatchNormalization(size=3, decay=0.9, eps=2e-05, dtype=float32, use_gamma=True, use_beta=True)"
    assert str(BatchNormalization(3)) == text
    assert str(BatchNormalization(axis=IMAGES)).startswith("BatchNormalization(size=None")


def test_errors(x):
    with pytest.raises(RuntimeError, match="size and axis are both None"):
        BatchNormalization()
    with pytest.raises(InvalidType, match=r"gamma has shape \(4,\) but x \(shape \(4, 3, 2, 2\)\) has \(3,\)"):
        BatchNormalization(4)(x)
    with pytest.raises(ValueError, match="using_config"):
        BatchNormalization(3)(x, test=True)
    with pytest.raises(TypeError, match="positional"):
        BatchNormalization(3)(x, True)


def test_sizes_and_axes_may_be_numpy_integers():
    link = BatchNormalization(np.int64(3), axis=np.int64(0))
    assert link.avg_mean.shape == (3,) and link(np.ones((2, 3), "f")).shape == (2, 3)


def test_renormalization_follows_the_batches(x):
    # Chainer 7.8.1: l = L.BatchRenormalization(3, 1.3, .4); l.avg_mean[...] = [0, 1, -1]; y = l(x); l(x, finetune=True)
    link = BatchRenormalization(3, 1.3, 0.4)
    link.avg_mean[...] = [0, 1, -1]
    y = link(x)
    np.testing.assert_allclose(y.array[0, :, 0, 0], [1.5727222, 1.2332863, 0.56894076], rtol=1e-5)
    np.testing.assert_allclose(link.avg_mean, [0.05913185, 0.9234255, -0.9272161], rtol=1e-5)
    link(x, True)
    assert link.N == 1
    np.testing.assert_allclose(link.avg_mean, x.mean(IMAGES), rtol=1e-5)
    with using_config("train", False):
        want = BatchNormalization(3, initial_avg_mean=link.avg_mean, initial_avg_var=link.avg_var)(x)
        np.testing.assert_array_equal(link(x).array, want.array)
    assert str(link).startswith("BatchRenormalization(size=3, decay=0.9")


def test_decorrelation_follows_the_batches(tmp_path):
    # Chainer 7.8.1: l = L.DecorrelatedBatchNormalization(4, groups=2); l(x); print(l.avg_mean, l.avg_projection[0])
    x = np.random.RandomState(0).randn(7, 4, 3).astype(np.float32)
    link = DecorrelatedBatchNormalization(4, groups=2)
    y = link(x).array
    rows = np.moveaxis(y, 1, 0).reshape(2, 2, -1)
    np.testing.assert_allclose(rows @ rows.swapaxes(1, 2) / 21, [np.eye(2)] * 2, atol=1e-4)
    np.testing.assert_allclose(link.avg_mean, [[0.01483651, -0.002818], [-0.02879482, -0.00121553]], rtol=1e-4)
    np.testing.assert_allclose(link.avg_projection[0], [[1.0016026, -0.00511891], [-0.00511891, 0.99451756]], rtol=1e-4)
    link.start_finetuning()
    link(x, finetune=True)
    assert link.N == 1
    np.testing.assert_allclose(link.avg_mean.ravel(), x.mean((0, 2)), rtol=1e-5)
    save_npz(tmp_path / "link.npz", link)
    other = DecorrelatedBatchNormalization(4, groups=2)
    load_npz(tmp_path / "link.npz", other)
    with using_config("train", False):
        np.testing.assert_array_equal(other(x).array, link(x).array)


def test_decorrelation_reads_files_from_before_there_were_groups(tmp_path):
    # Chainer 7.8.1: the same save_npz, load_npz; print(l.avg_mean), and a UserWarning for groups=2
    save_npz(tmp_path / "old.npz", {"avg_mean": np.arange(2.0), "avg_projection": np.eye(2), "N": np.array(0)})
    link = DecorrelatedBatchNormalization(4, groups=2)
    with pytest.warns(UserWarning, match="old version"):
        load_npz(tmp_path / "old.npz", link)
    assert link.avg_mean.tolist() == [[0, 1], [0, 1]] and link.avg_projection.shape == (2, 2, 2)


@pytest.mark.parametrize("make", [lambda size: GroupNormalization(2, size), LayerNormalization], ids=["group", "layer"])
@pytest.mark.parametrize("size", [None, 4])
def test_layers_without_statistics(make, size, tmp_path):
    x = np.random.RandomState(0).randn(3, 4).astype(np.float32)
    link = make(size)
    assert names(link) == ["/beta", "/gamma"] and not link._persistent
    assert link.gamma.is_initialized == (size is not None)
    with using_config("train", False):
        y = link(x).array
    np.testing.assert_allclose(y, link(x).array)
    np.testing.assert_allclose(y.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_array_equal(link.gamma.array, [1, 1, 1, 1])
    link.beta.array[...] = 5
    save_npz(tmp_path / "link.npz", link)
    other = make(None)
    load_npz(tmp_path / "link.npz", other)
    np.testing.assert_allclose(other(x).array, y + 5, rtol=1e-5)


def test_errors_of_layers_without_statistics():
    images = np.zeros((2, 4, 3), np.float32)
    with pytest.raises(InvalidType, match="wanted .N, C."):
        LayerNormalization()(images)
    with pytest.raises(InvalidType, match="gamma has shape"):
        LayerNormalization(4)(images[0])
    with pytest.raises(ValueError, match="does not divide"):
        GroupNormalization(3)(images)
    with pytest.raises(TypeError, match="groups is 2.5"):
        GroupNormalization(2.5)(images)
    with pytest.raises(ValueError, match="wanted .N, C, ..."):
        GroupNormalization(2)(images[0, 0])
    with pytest.raises(TypeError, match="wanted an int or a tuple of ints"):
        BatchNormalization({})


def test_mixed_precision_keeps_parameters_in_float32():
    # Chainer 7.8.1: the same; layer normalisation wants one dtype.
    x = np.random.RandomState(0).randn(4, 4).astype(np.float16)
    with using_config("dtype", mixed16):
        links = BatchNormalization(4), BatchRenormalization(4), GroupNormalization(2, 4), LayerNormalization(4)
        assert [link(x).dtype for link in links] == [np.float16] * 4
    assert [link.gamma.dtype for link in links] == [np.float32] * 3 + [np.float16]
    assert links[0].avg_mean.dtype == np.float32


@pytest.mark.parametrize("finetune", [False, True])
@pytest.mark.parametrize(
    "make", [lambda: BatchNormalization(3), lambda: BatchRenormalization(3, 2.0, 1.0),
             lambda: DecorrelatedBatchNormalization(3, groups=3)],
)  # fmt: skip
def test_forget_counts_each_batch_once(make, finetune, rng):
    x, gy = rng.standard_normal((2, 4, 3)).astype("f")
    plain, forgetful = make(), make()
    gradients = []
    for _, call in ((plain, plain.forward), (forgetful, lambda *xs, **k: forget(partial(forgetful, **k), *xs))):
        v = Variable(x)
        y = call(v, finetune=finetune)
        y.grad = gy
        y.backward()
        gradients.append(v.grad)
    np.testing.assert_allclose(*gradients, atol=1e-6)
    assert plain.N == forgetful.N == finetune
    for name in sorted(plain._persistent):
        np.testing.assert_array_equal(getattr(plain, name), getattr(forgetful, name))
