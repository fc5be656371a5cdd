import io

import numpy as np
import pytest

from minigan.configuration import using_config
from minigan.core import Parameter, Variable, grad
from minigan.core import sum as sum_all
from minigan.functions.connection import linear
from minigan.gradient_check import check_backward
from minigan.link import Chain, Link
from minigan.link_hook import LinkHook
from minigan.link_hooks import SpectralNormalization, TimerHook, WeightStandardization
from minigan.links.connection import Convolution2D, ConvolutionND, Deconvolution2D, DeconvolutionND, Linear
from minigan.serializers.npz import load_npz, save_npz
from minigan.utils.type_check import InvalidType

LAYERS = {
    "linear": (lambda size=5: Linear(size, 3), (4, 5)),
    "convolution": (lambda size=3: Convolution2D(size, 4, 3, pad=1), (2, 3, 4, 4)),
    "deconvolution": (lambda size=3: Deconvolution2D(size, 4, 3, pad=1), (2, 3, 4, 4)),
    "convolution_nd": (lambda size=3: ConvolutionND(1, size, 4, 3, pad=1), (2, 3, 4)),
    "deconvolution_nd": (lambda size=3: DeconvolutionND(3, size, 4, 2), (2, 3, 2, 2, 2)),
}
layers = pytest.mark.parametrize("make, shape", LAYERS.values(), ids=LAYERS)


def data(*shape):
    return np.random.RandomState(1).randn(*shape).astype(np.float32)


def matrix(link):
    """The weight as a matrix of one row for each output."""
    W, axis = link.W.array, int(isinstance(link, (Deconvolution2D, DeconvolutionND)))
    return np.moveaxis(W, axis, 0).reshape(link.b.size, -1)


@layers
def test_the_weight_is_divided_by_its_largest_singular_value(make, shape):
    link = make()
    W, plain = link.W, link(data(*shape)).array
    sigma = np.linalg.svd(matrix(link), compute_uv=False)[0]
    assert link.add_hook(SpectralNormalization(n_power_iteration=300)) is link
    assert link.W_u.shape == link.b.shape
    y = link(data(*shape))
    bias = link.b.array.reshape(-1, *[1] * (len(shape) - 2))
    np.testing.assert_allclose(y.array - bias, (plain - bias) / sigma, rtol=1e-4, atol=1e-5)
    assert link.W is W and sorted(name for name, _ in link.namedparams()) == ["/W", "/b"]


def test_the_steps_are_those_of_the_paper():
    link = Linear(4, 3)
    hook = SpectralNormalization(n_power_iteration=2, factor=0.7, use_gamma=True)
    link.add_hook(hook)
    W, u = link.W.array, link.W_u.copy()
    np.testing.assert_allclose(link.gamma.array, np.linalg.svd(W)[1][0], rtol=1e-6)
    for _ in range(2):
        v = W.T @ u / np.linalg.norm(W.T @ u)
        u = W @ v / np.linalg.norm(W @ v)
    link.gamma.array[...] = 3
    y = link(np.eye(4, dtype=np.float32)).array - link.b.array
    np.testing.assert_allclose(y.T, 3 * 0.7 * W / (u @ W @ v), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(link.W_u, u, rtol=1e-5)
    np.testing.assert_allclose(hook.v, v, rtol=1e-5)


def test_values_are_chainers():
    # Chainer 7.8.1: l = L.Linear(4, 3, initialW=W, nobias=True).add_hook(SpectralNormalization()); l.W_u[...] = 1;
    # y = l(x); y.grad = y.array; l.cleargrads(); y.backward(); print(y.array, l.W.grad, l.W_u)
    link = Linear(4, 3, initialW=np.arange(12, dtype="f").reshape(3, 4) ** 2 % 7, nobias=True)
    link.add_hook(SpectralNormalization())
    link.W_u[...] = 1
    x = np.arange(8, dtype="f").reshape(2, 4) % 5 - 1
    y = link(x)
    y.grad = y.array
    y.backward()
    want = [[1.1034611, -0.1379326, 0.6896632], [0.1379326, 0.2758652, 0.1379326]]
    np.testing.assert_allclose(y.array, want, rtol=1e-5)
    want = [[-0.125392, -0.109821, 0.081585, 0.283079], [0.100223, -0.136917, -0.095921, -0.04394],
            [-0.079077, -0.142103, -0.0006, 0.154578]]  # fmt: skip
    np.testing.assert_allclose(link.W.grad, want, atol=1e-6)
    np.testing.assert_allclose(link.W_u, [0.4985556, 0.5428717, 0.6758199], rtol=1e-5)


def test_the_gradient_is_that_of_the_quotient():
    with using_config("dtype", np.float64):
        link = Linear(4, 3)
    link.add_hook(SpectralNormalization(n_power_iteration=300))
    x, gy = np.random.RandomState(0).randn(2, 4), np.random.RandomState(2).randn(2, 3)
    check_backward(link, (x,), gy, params=(link.W,), atol=1e-6, rtol=1e-5)


def test_gradient_penalties_go_through():
    link = Linear(4, 1).add_hook(SpectralNormalization())
    x = Variable(data(3, 4))
    (gx,) = grad([link(x)], [x], enable_double_backprop=True)
    link.cleargrads()
    penalty = linear(gx * gx, np.ones((1, 4), np.float32))
    penalty.grad = np.ones((3, 1), np.float32)
    penalty.backward()
    assert np.abs(link.W.grad).max() > 0


@layers
@pytest.mark.parametrize("use_gamma", [False, True])
def test_a_link_without_a_size_waits_for_the_first_x(make, shape, use_gamma):
    link = make(None).add_hook(SpectralNormalization(use_gamma=use_gamma))
    assert not hasattr(link, "W_u") and not hasattr(link, "gamma")
    link(x=data(*shape))
    assert link.W_u.shape == link.b.shape and hasattr(link, "gamma") == use_gamma
    assert not use_gamma or link.gamma.shape == ()


def test_a_linear_without_a_size_counts_all_values_of_a_sample():
    # Chainer 7.8.1 takes x.shape[1] and fails.
    for hook in (SpectralNormalization, WeightStandardization):
        assert Linear(None, 3).add_hook(hook())(data(2, 3, 4, 4)).shape == (2, 3)
        assert Linear(None, 3).add_hook(hook())(data(2, 3, 4), n_batch_axes=2).shape == (2, 3, 3)


def test_u_moves_in_training_only():
    link, hook, x = Linear(5, 3), SpectralNormalization(), data(4, 5)
    link.add_hook(hook)
    kept = link.W_u
    before = kept.copy()
    with using_config("train", False):
        first, second = link(x).array, link(x).array
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(kept, before)
    y = link(x).array
    assert link.W_u is kept and not np.array_equal(kept, before)
    u, v = kept.copy(), hook.v.copy()
    with using_config("in_recomputing", True):
        np.testing.assert_array_equal(link(x).array, y)
    np.testing.assert_array_equal(link.W_u, u)
    np.testing.assert_array_equal(hook.v, v)
    assert not np.array_equal(link(x).array, y)


def test_deleting_the_hook_leaves_the_plain_link():
    link, x = Linear(5, 3), data(4, 5)
    plain = link(x).array
    link.add_hook(SpectralNormalization(use_gamma=True, name="mine"))
    assert "mine" in link.local_link_hooks and sorted(link._persistent) == ["W_u"]
    assert not np.array_equal(link(x).array, plain)
    link.delete_hook("mine")
    assert not hasattr(link, "W_u") and not hasattr(link, "gamma")
    np.testing.assert_array_equal(link(x).array, plain)
    assert sorted(name for name, _ in link.namedparams()) == ["/W", "/b"]


def test_file_round_trip():
    link, other = (Linear(5, 3).add_hook(SpectralNormalization(use_gamma=True)) for _ in range(2))
    x = data(4, 5)
    link(x)
    file = io.BytesIO()
    save_npz(file, link)
    file.seek(0)
    with np.load(file) as saved:
        assert sorted(saved) == ["W", "W_u", "b", "gamma"] and saved["W_u"].shape == (3,) and saved["gamma"].shape == ()
    file.seek(0)
    load_npz(file, other)
    with using_config("train", False):
        np.testing.assert_array_equal(other(x).array, link(x).array)


def test_copies_have_a_u_of_their_own():
    link, x = Linear(5, 3).add_hook(SpectralNormalization()), data(4, 5)
    other = link.copy(mode="copy")
    before = link.W_u.copy()
    other(x)
    np.testing.assert_array_equal(link.W_u, before)
    assert not np.array_equal(other.W_u, before)
    link(x)
    np.testing.assert_array_equal(other.W_u, link.W_u)


def test_a_link_of_the_users_own():
    class Mine(Link):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.V = Parameter(data(3, 4))

        def forward(self, x):
            return linear(x, self.V)

    link = Mine().add_hook(SpectralNormalization(n_power_iteration=200, weight_name="V"))
    y = link(np.eye(4, dtype=np.float32)).array
    np.testing.assert_allclose(np.linalg.svd(y)[1][0], 1, rtol=1e-5)
    assert link.V_u.shape == (3,)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_dtypes(dtype):
    with using_config("dtype", dtype):
        link = Linear(5, 3)
    link.add_hook(SpectralNormalization(use_gamma=True))
    y = link(data(4, 5).astype(dtype))
    assert {y.dtype, link.W_u.dtype, link.gamma.dtype} == {np.dtype(dtype)}
    assert np.isfinite(y.array).all()


@pytest.mark.parametrize("hook", [SpectralNormalization, WeightStandardization])
def test_errors_and_recovery(hook):
    link = Linear(5, 3)
    with pytest.raises(ValueError, match="no parameter 'w'"):
        link.add_hook(hook(weight_name="w"))
    with pytest.raises(NotImplementedError, match="add_hook"):
        with hook():
            link(data(4, 5))
    link = Linear(5, 3).add_hook(hook())
    W = link.W
    with pytest.raises(InvalidType):
        link(data(4, 6))
    assert link(data(4, 5)).shape == (4, 3)
    assert link.W is W


@layers
def test_standardized_weights(make, shape):
    link = make()
    W, x = link.W, data(*shape)
    link.add_hook(WeightStandardization(eps=0.1))
    y = link(x).array
    axes = tuple(range(1, W.ndim))
    mean, var = W.array.mean(axes, keepdims=True), W.array.var(axes, keepdims=True)
    other = make()
    other.W.array[...] = (W.array - mean) / np.sqrt(var + 0.1)
    np.testing.assert_allclose(y, other(x).array, rtol=1e-4, atol=1e-5)
    assert link.W is W


def test_timer():
    class Model(Chain):
        def forward(self, x):
            return self.l2(self.l1(x))

    model = Model(l1=Linear(2, 3), l2=Linear(3, 4))
    with TimerHook() as hook:
        model(data(1, 2))
        model(data(1, 2))
    names, times = zip(*hook.call_history)
    assert names == ("Linear", "Linear", "Model") * 2
    assert times[0] + times[1] < times[2]
    summary = hook.summary()
    assert summary["Linear"]["occurrence"] == 4
    assert summary["Linear"]["elapsed_time"] == pytest.approx(times[0] + times[1] + times[3] + times[4])
    assert hook.total_time() == pytest.approx(times[2] + times[5])
    text = io.StringIO()
    hook.print_report(unit="ms", file=text)
    lines = [line.split() for line in text.getvalue().splitlines()]
    assert lines[0] == ["LinkName", "ElapsedTime", "Occurrence"]
    assert lines[1][0] == "Linear" and lines[1][1].endswith("ms") and lines[1][2] == "4"
    own = TimerHook()
    model.l1.add_hook(own)
    model(data(1, 2))
    assert [name for name, _ in own.call_history] == ["Linear"]


def test_a_hook_of_ones_own_puts_a_variable_into_the_place_of_a_parameter():
    # Chainer 7.8.1: a name that was registered once stays so, and holds the parameter again after the call
    class Doubled(LinkHook):
        name = "Doubled"

        def added(self, link):
            self.W = link.W

        def forward_preprocess(self, args):
            args.link.W = self.W * 2

        def forward_postprocess(self, args):
            args.link.W = self.W

    link = Linear(2, 2)
    W, x = link.W, np.ones((1, 2), np.float32)
    plain = link(x)
    y = link.add_hook(Doubled())(x)
    np.testing.assert_allclose(y.array, 2 * plain.array, rtol=1e-6)
    assert link.W is W and [path for path, _ in link.namedparams()] == ["/W", "/b"]
    sum_all(y).backward()
    assert (W.grad == 2).all()
