import numpy as np
import pytest

from minigan.configuration import using_config
from minigan.core import Variable
from minigan.gradient_check import check_backward
from minigan.link import Chain
from minigan.links.connection import Convolution2D, Linear
from minigan.links.gan import (
    ConditionalBatchNormalization,
    ExponentialMovingAverage,
    InstanceNormalization,
    SNConvolution2D,
    SNDeconvolution2D,
    SNEmbedID,
    SNLinear,
)
from minigan.links.normalization import BatchNormalization
from minigan.serializers import DictionarySerializer
from minigan.serializers.npz import load_npz, save_npz

POSITIONS = (2, 3)


@pytest.fixture
def x():
    return (3 + 2 * np.random.RandomState(0).randn(4, 3, 5, 5)).astype(np.float32)


def names(link):
    return sorted(name for name, _ in link.namedparams())


def test_instances_have_mean_0_and_variance_1(x):
    link = InstanceNormalization(3)
    assert names(link) == [] and link._persistent == set()
    for train in (True, False):
        with using_config("train", train):
            y = link(x).array
        np.testing.assert_allclose(y.mean(POSITIONS), 0, atol=1e-5)
        np.testing.assert_allclose(y.var(POSITIONS), 1, rtol=1e-4)


def test_instance_scale_and_shift_take_their_size_from_x(x):
    link = InstanceNormalization(use_gamma=True, use_beta=True, initial_gamma=2, initial_beta=np.arange(3))
    y = link(x).array
    assert names(link) == ["/beta", "/gamma"] and link.gamma.shape == link.beta.shape == (3,)
    np.testing.assert_allclose(y.mean(POSITIONS), [[0, 1, 2]] * 4, atol=1e-5)
    np.testing.assert_allclose(y.std(POSITIONS), 2, rtol=1e-4)


def test_instance_statistics_are_tracked_if_asked_for(x, tmp_path):
    link = InstanceNormalization(track_statistics=True, decay=0.6)
    link(x)
    mean, var = 0.4 * x.mean(POSITIONS).mean(0), 0.6 + 0.4 * x.var(POSITIONS, ddof=1).mean(0)
    np.testing.assert_allclose(link.avg_mean, mean, rtol=1e-5)
    np.testing.assert_allclose(link.avg_var, var, rtol=1e-5)
    save_npz(tmp_path / "link.npz", link)
    other = InstanceNormalization(3, track_statistics=True)
    load_npz(tmp_path / "link.npz", other)
    with using_config("train", False):
        want = (x - mean.reshape(3, 1, 1)) / np.sqrt(var.reshape(3, 1, 1) + 1e-5)
        np.testing.assert_allclose(other(x).array, want, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(other.avg_mean, mean, rtol=1e-5)


def test_conditional_batch_normalization_is_a_scale_and_shift_for_each_class(x, tmp_path):
    rng, c = np.random.RandomState(1), np.array([1, 0, 1, 2])
    link = ConditionalBatchNormalization(3, 4, initial_gamma=rng.rand(4, 3), initial_beta=rng.rand(4, 3))
    plain = BatchNormalization(3)
    assert names(link) == ["/beta", "/gamma"] and link.gamma.shape == (4, 3) and link.gamma.dtype == np.float32
    for train in (True, False):
        with using_config("train", train):
            gamma, beta = (p.array[c].reshape(4, 3, 1, 1) for p in (link.gamma, link.beta))
            np.testing.assert_allclose(link(x, c).array, gamma * plain(x).array + beta, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(link.avg_mean, plain.avg_mean)
    save_npz(tmp_path / "link.npz", link)
    with np.load(tmp_path / "link.npz") as saved:
        assert sorted(saved) == ["N", "avg_mean", "avg_var", "beta", "gamma"]
    y = link(x.astype(np.float16), Variable(c))
    assert y.dtype == np.float16


def test_conditional_gradients_reach_the_rows_of_the_classes(x):
    link, c = ConditionalBatchNormalization(3, 4, dtype=np.float64), np.array([1, 0, 1, 2])
    gy = np.random.RandomState(2).randn(*x.shape)
    check_backward(lambda x: link(x, c), (x.astype(np.float64),), gy, params=(link.gamma, link.beta), atol=1e-6)
    link.cleargrads()
    y = link(x.astype(np.float64), c)
    y.grad = gy
    y.backward()
    np.testing.assert_array_equal(link.beta.grad[3], 0)
    np.testing.assert_allclose(link.beta.grad[1], (gy[0] + gy[2]).sum((1, 2)), rtol=1e-10)


@pytest.mark.parametrize("c", [np.zeros(3, int), np.zeros((4, 1), int), np.zeros(4, "f")])
def test_classes_are_one_whole_number_for_each_sample(x, c):
    with pytest.raises(ValueError, match="wanted one whole number for each of the 4 samples"):
        ConditionalBatchNormalization(3, 4)(x, c)


def test_spectral_layers_have_weights_of_norm_1_and_plain_files(x, tmp_path):
    link = SNConvolution2D(3, 4, 3, pad=1, nobias=True, n_power_iteration=200, use_gamma=True)
    assert isinstance(link, Convolution2D) and names(link) == ["/W", "/gamma"]
    plain = Convolution2D(3, 4, 3, pad=1, nobias=True)
    plain.W.array[...] = link.W.array / np.linalg.svd(link.W.array.reshape(4, -1))[1][0]
    link.gamma.array[...] = 1
    np.testing.assert_allclose(link(x).array, plain(x).array, rtol=1e-4, atol=1e-5)
    save_npz(tmp_path / "link.npz", link)
    with np.load(tmp_path / "link.npz") as saved:
        assert sorted(saved) == ["W", "W_u", "gamma"]
    rows = SNLinear(None, 2, n_power_iteration=200, factor=3)
    y = rows(np.eye(5, dtype=np.float32)).array - rows.b.array
    np.testing.assert_allclose(np.linalg.svd(y)[1][0], 3, rtol=1e-5)
    up = SNDeconvolution2D(3, 4, 2, stride=2)
    assert up(x).shape == (4, 4, 10, 10) and up.W_u.shape == (4,)
    table = SNEmbedID(6, 2, n_power_iteration=200)
    np.testing.assert_allclose(np.linalg.svd(table(np.arange(6, dtype=np.int32)).array)[1][0], 1, rtol=1e-5)


class Net(Chain):
    def __init__(self, size=5):
        super().__init__(l=Linear(size, 3), bn=BatchNormalization(3))

    def forward(self, x):
        return self.bn(self.l(x))


def test_the_average_follows_weights_and_running_statistics():
    net = Net()
    ema = ExponentialMovingAverage(net, 0.75)
    start, x = ema.average.l.W.array.copy(), np.random.RandomState(0).randn(4, 5).astype(np.float32)
    net.l.W.array += 1
    net(x)
    net.bn.N = 7
    ema.update()
    np.testing.assert_allclose(ema.average.l.W.array, start + 0.25, rtol=1e-6)
    np.testing.assert_allclose(ema.average.bn.avg_mean, 0.25 * net.bn.avg_mean, rtol=1e-6)
    assert ema.average.bn.N == 7
    ema.update(step=1)
    np.testing.assert_allclose(ema.average.l.W.array, start + 0.25 + 0.75 * 9 / 11, rtol=1e-6)
    with using_config("train", False):
        np.testing.assert_array_equal(ema(x).array, ema.average(x).array)


def test_the_average_takes_over_what_had_no_shape():
    net = Net(None)
    ema = ExponentialMovingAverage(net, 0.9)
    ema.update()
    assert not ema.average.l.W.is_initialized
    net(np.ones((4, 5), np.float32))
    ema.update()
    np.testing.assert_array_equal(ema.average.l.W.array, net.l.W.array)
    assert ema.average.l.W.array is not net.l.W.array


def test_the_file_of_an_average_is_that_of_its_link():
    ema, saved = ExponentialMovingAverage(Net()), DictionarySerializer()
    ema.serialize(saved)
    assert {"l/W", "l/b", "bn/gamma", "bn/avg_mean"} <= saved.target.keys()
    with pytest.raises(ValueError, match="decay"):
        ExponentialMovingAverage(Net(), 1.0)
