"""Links of the chapter connection: shapes, lazy sizes, initial values, save and load, errors."""

import numpy as np
import pytest

import minigan.links as L
from minigan.configuration import using_config
from minigan.functions.activation import tanh
from minigan.functions.connection import convolution_2d, deconvolution_2d, linear
from minigan.initializers import Normal
from minigan.links.connection import Convolution2D, Deconvolution2D, Linear
from minigan.serializers.npz import load_npz, save_npz
from minigan.utils.type_check import InvalidType

# link, with its input size left out, x, y, W
LINKS = [
    (lambda: Linear(12, 4), lambda: Linear(4), (2, 3, 2, 2), (2, 4), (4, 12)),
    (lambda: Convolution2D(3, 4, 3, 2, 1), lambda: Convolution2D(4, 3, stride=2, pad=1), (2, 3, 7, 7), (2, 4, 4, 4),
     (4, 3, 3, 3)),
    (lambda: Convolution2D(4, 6, (3, 2), groups=2, dilate=2),
     lambda: Convolution2D(None, 6, (3, 2), groups=2, dilate=2),
     (2, 4, 7, 7), (2, 6, 3, 5), (6, 2, 3, 2)),
    (lambda: Deconvolution2D(3, 4, 4, 2, 1), lambda: Deconvolution2D(4, 4, stride=2, pad=1), (2, 3, 7, 7),
     (2, 4, 14, 14), (3, 4, 4, 4)),
    (lambda: L.ConvolutionND(3, 4, 6, (3, 2, 2), 2, 1, groups=2),
     lambda: L.ConvolutionND(3, None, 6, (3, 2, 2), 2, 1, groups=2),
     (2, 4, 5, 4, 4), (2, 6, 3, 3, 3), (6, 2, 3, 2, 2)),
    (lambda: L.Convolution1D(3, 4, 3), lambda: L.ConvolutionND(1, 4, 3), (2, 3, 6), (2, 4, 4), (4, 3, 3)),
    (lambda: L.Convolution3D(2, 4, 2), lambda: L.ConvolutionND(3, 4, 2), (1, 2, 3, 3, 3), (1, 4, 2, 2, 2),
     (4, 2, 2, 2, 2)),
    (lambda: L.DeconvolutionND(1, 4, 6, 3, 2, groups=2), lambda: L.DeconvolutionND(1, None, 6, 3, 2, groups=2),
     (2, 4, 3), (2, 6, 7), (4, 3, 3)),
    (lambda: L.Deconvolution1D(3, 4, 3), lambda: L.DeconvolutionND(1, 4, 3), (2, 3, 6), (2, 4, 8), (3, 4, 3)),
    (lambda: L.Deconvolution3D(2, 4, 2), lambda: L.DeconvolutionND(3, 4, 2), (1, 2, 2, 2, 2), (1, 4, 3, 3, 3),
     (2, 4, 2, 2, 2)),
    (lambda: L.DilatedConvolution2D(3, 4, 3, 1, 2, 2), lambda: L.DilatedConvolution2D(4, 3, None, 1, 2, 2),
     (2, 3, 5, 5), (2, 4, 5, 5), (4, 3, 3, 3)),
    (lambda: L.DepthwiseConvolution2D(3, 2, (3, 2), 2, 1), lambda: L.DepthwiseConvolution2D(None, 2, (3, 2), 2, 1),
     (2, 3, 5, 5), (2, 6, 3, 3), (2, 3, 3, 2)),
    (lambda: L.LocalConvolution2D(3, 4, (5, 6), 3), lambda: L.LocalConvolution2D(4, 3), (2, 3, 5, 6), (2, 4, 3, 4),
     (4, 3, 4, 3, 3, 3)),
    (lambda: Deconvolution2D(4, 6, 3, 2, 1, outsize=14, groups=2),
     lambda: Deconvolution2D(None, 6, 3, 2, 1, outsize=(14, 14), groups=2), (2, 4, 7, 7), (2, 6, 14, 14), (4, 3, 3, 3)),
]  # fmt: skip


@pytest.mark.parametrize("make, make_lazy, x_shape, y_shape, W_shape", LINKS)
def test_shapes_and_lazy_sizes(make, make_lazy, x_shape, y_shape, W_shape):
    x = np.random.randn(*x_shape).astype(np.float32)
    link, lazy = make(), make_lazy()
    assert not lazy.W.is_initialized
    assert lazy(x).shape == link(x).shape == y_shape
    assert lazy.W.shape == link.W.shape == W_shape
    assert [path for path, _ in sorted(link.namedparams())] == ["/W", "/b"]
    assert not link.b.array.any() and link.W.dtype == np.float32


@pytest.mark.parametrize("make, make_lazy, x_shape, y_shape, W_shape", LINKS)
def test_saved_and_loaded(tmp_path, make, make_lazy, x_shape, y_shape, W_shape):
    x = np.random.randn(*x_shape).astype(np.float32)
    link, lazy = make(), make_lazy()
    link.b.array[...] = 3
    save_npz(tmp_path / "link.npz", link)
    load_npz(tmp_path / "link.npz", lazy)
    assert np.array_equal(lazy(x).array, link(x).array)


def test_a_link_is_its_function():
    x = np.random.randn(2, 4, 5, 5).astype(np.float32)
    link = Convolution2D(4, 6, 3, 2, (1, 0), initial_bias=0.5, dilate=2, groups=2)
    assert (link.b.array == 0.5).all()
    expected = convolution_2d(x, link.W, link.b, 2, (1, 0), dilate=2, groups=2)
    assert np.array_equal(link(x).array, expected.array)
    link = Deconvolution2D(4, 6, 3, 2, (1, 0), True, (10, 12), dilate=1, groups=2)
    assert link.b is None and [path for path, _ in link.namedparams()] == ["/W"]
    expected = deconvolution_2d(x, link.W, None, 2, (1, 0), (10, 12), groups=2)
    assert np.array_equal(link(x).array, expected.array)
    link = Linear(5, 3, initialW=np.arange(15).reshape(3, 5), initial_bias=np.array([1, 2, 3]))
    assert np.array_equal(link(x, n_batch_axes=3).array, linear(x, link.W, link.b, 3).array)
    assert link(x, n_batch_axes=3).shape == (2, 4, 5, 3)
    assert link.b.array.tolist() == [1, 2, 3]


@pytest.mark.parametrize("make, expected", [
    # np.random.seed(0); L.<link>.W.array.ravel()[:4] in Chainer 7.8.1
    (lambda: Linear(4, 6), [0.8820262, 0.2000786, 0.489369, 1.1204466]),
    (lambda: Convolution2D(4, 6, 3, groups=2), [0.41579112, 0.09431796, 0.23069076, 0.5281836]),
    (lambda: Deconvolution2D(4, 6, 3, groups=2), [0.33949202, 0.07701029, 0.18835822, 0.4312601]),
])  # fmt: skip
def test_initial_weights_of_chainer(make, expected):
    np.random.seed(0)
    np.testing.assert_allclose(make().W.array.ravel()[:4], expected, rtol=1e-6)


@pytest.mark.parametrize("make", [
    lambda b: Linear(2, 3, initial_bias=b), lambda b: Convolution2D(2, 3, 1, initial_bias=b),
    lambda b: L.DeconvolutionND(1, 2, 3, 1, initial_bias=b), lambda b: L.DilatedConvolution2D(2, 3, 1, initial_bias=b),
])  # fmt: skip
def test_weights_are_drawn_before_biases(make):
    np.random.seed(0)
    W, b = np.random.normal(size=6), np.random.normal(size=3)
    np.random.seed(0)
    link = make(Normal(1.0))
    np.testing.assert_allclose(link.W.array.ravel(), W / np.sqrt(link.W.array[0].size), rtol=1e-6)
    np.testing.assert_allclose(link.b.array, b, rtol=1e-6)


@pytest.mark.parametrize("make, error, sentence", [
    (lambda: Linear(2, 4)(np.ones((2, 3, 1), "f")), InvalidType, "Linear: in_size is 2 but x has 3 values per sample"),
    (lambda: Linear(2, 0), ValueError, "Linear: out_size is 0; wanted an integer of at least 1"),
    (lambda: Linear(None), ValueError, "Linear: out_size is None"),
    (lambda: Convolution2D(3, 4, 3)(np.ones((2, 4, 8, 8), "f")), InvalidType,
     r"Convolution2D: in_channels is 3 but x has 4 channels \(shape \(2, 4, 8, 8\)\)"),
    (lambda: Deconvolution2D(4, 4, 3, groups=2)(np.ones((2, 3, 8, 8), "f")), InvalidType,
     "Deconvolution2D: in_channels is 4 but x has 3 channels"),
    (lambda: Convolution2D(3, 4, 3)(np.ones((2, 3), "f")), InvalidType, r"wanted 4 axes \(N, C, H, W\)"),
    (lambda: Convolution2D(4, 5, 3, groups=2), ValueError, "out_channels is 5; wanted a multiple of groups=2"),
    (lambda: Deconvolution2D(None, 4, 3, groups=2)(np.ones((2, 3, 8, 8), "f")), ValueError,
     "in_channels is 3; wanted a multiple of groups=2"),
])  # fmt: skip
def test_errors(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()


@pytest.mark.parametrize("ksize", ["3", (3, 3, 3), 0, 1.5])
def test_wrong_ksize_is_named(ksize):
    with pytest.raises(ValueError, match="Convolution2D: ksize is .*; wanted"):
        Convolution2D(1, 2, ksize)


PLAIN = [  # link, inputs, shape of y, shapes of the parameters
    (lambda: L.Bilinear(2, 3, 4), [(5, 2), (5, 3)], (5, 4),
     {"/W": (2, 3, 4), "/V1": (2, 4), "/V2": (3, 4), "/b": (4,)}),
    (lambda: L.Bilinear(2, 3, 4, True), [(5, 2), (5, 3)], (5, 4), {"/W": (2, 3, 4)}),
    (lambda: L.Parameter(np.ones((2, 3), "f")), [], (2, 3), {"/W": (2, 3)}),
    (lambda: L.Bias(1, (3,)), [(2, 3, 4)], (2, 3, 4), {"/b": (3,)}),
    (lambda: L.Bias(), [(2, 3, 4), (3, 4)], (2, 3, 4), {}),
    (lambda: L.Scale(1, (3,), True), [(2, 3, 4)], (2, 3, 4), {"/W": (3,), "/bias/b": (3,)}),
    (lambda: L.Scale(2, None, True, 4), [(2, 3, 4), (4,)], (2, 3, 4), {"/bias/b": (4,)}),
    (lambda: L.Highway(3, True), [(2, 3)], (2, 3), {"/plain/W": (3, 3), "/transform/W": (3, 3)}),
    (lambda: L.MLPConvolution2D((4, 5), 3), [(2, 3, 5, 6)], (2, 5, 3, 4),
     {"/0/W": (4, 3, 3, 3), "/0/b": (4,), "/1/W": (5, 4, 1, 1), "/1/b": (5,)}),
    (lambda: L.DeformableConvolution2D(None, 4, (3, 2), 2, 1, deform_initialW=1), [(2, 3, 5, 6)], (2, 4, 3, 4),
     {"/offset_conv/W": (12, 3, 3, 2), "/offset_conv/b": (12,),
      "/deform_conv/W": (4, 3, 3, 2), "/deform_conv/b": (4,)}),
]  # fmt: skip


@pytest.mark.parametrize("make, inputs, y_shape, parameters", PLAIN)
def test_parameters_and_files(tmp_path, make, inputs, y_shape, parameters):
    rng = np.random.RandomState(0)
    xs = [rng.randn(*shape).astype(np.float32) for shape in inputs]
    link, other = make(), make()
    y = link(*xs)
    assert y.shape == y_shape and {path: p.shape for path, p in link.namedparams()} == parameters
    for p in link.params():
        p.array[...] = rng.randn(*p.shape)
    save_npz(tmp_path / "link.npz", link)
    load_npz(tmp_path / "link.npz", other)
    y = link(*xs)
    assert np.array_equal(other(*xs).array, y.array)
    link.cleargrads()
    y.grad = np.ones_like(y.array)
    y.backward()
    assert all(p.grad is not None and p.grad.any() for p in link.params())


@pytest.mark.parametrize("make, size, out", [
    (lambda: L.Inception(3, 2, 3, 4, 5, 6, 7), 5, (2, 19, 5, 5)),
    (lambda: L.InceptionBN(3, 4, 5, 6, 7, 8, "max", 9), 6, (2, 27, 6, 6)),
    (lambda: L.InceptionBN(3, 0, 5, 6, 7, 8, "avg", stride=2), 6, (2, 17, 3, 3)),
])  # fmt: skip
def test_inception(make, size, out):
    link = make()
    y = link(np.random.RandomState(0).randn(2, 3, size, size).astype(np.float32))
    assert y.shape == out
    link.cleargrads()
    y.grad = y.array
    y.backward()
    assert all(p.grad is not None for p in link.params())


@pytest.mark.parametrize("make, expected", [
    # x = np.arange(54, dtype="f").reshape(2, 3, 3, 3) % 7 - 3; np.random.seed(0); y = L.<link>(x).array.ravel();
    # np.round(y[::max(1, y.size // 6)], 6) in Chainer 7.8.1
    (lambda: L.Inception(3, 1, 2, 1, 2, 1, 1), [0, 0.615497, 0.411664, 2.593367, 0, 0]),
    (lambda: L.InceptionBN(3, 1, 2, 1, 2, 1, "avg", 1), [0, 0, 0.46637, 1.355509, 0, 0.293381]),
    (lambda: L.InceptionBN(3, 0, 2, 1, 2, 1, "max", stride=2), [0, 0, 3, 1, 2.146819, 3, 3]),
    (lambda: L.MLPConvolution2D(3, (2, 2), 2, activation=tanh),
     [-0.538108, -2.222137, 0.098569, -0.154933, -1.679415, 2.020552, -0.10795, 0.149466]),
    (lambda: L.DeformableConvolution2D(3, 2, 2, deform_initialW=1),
     [-1.099752, 0, -1.099752, 0, -0.129026, -0.533813, -0.129026, -0.533813]),
    (lambda: L.Highway(3), [-2.81409, -0.598071, 2.898114, 2.826428, -1.651926, 0.928158]),
])  # fmt: skip
def test_values_of_chainers_blocks(make, expected):
    x = np.arange(54, dtype=np.float32).reshape(2, 3, 3, 3) % 7 - 3
    np.random.seed(0)
    link = make()
    y = link(x.reshape(18, 3) if isinstance(link, L.Highway) else x).array.ravel()
    np.testing.assert_allclose(y[:: max(1, y.size // 6)], expected, atol=2e-5)


def test_embed_id_is_a_table():
    np.random.seed(0)
    link = L.EmbedID(3, 2, ignore_label=-1)
    # np.random.seed(0); L.EmbedID(3, 2).W.array in Chainer 7.8.1
    np.testing.assert_allclose(link.W.array, [[1.7640524, 0.4001572], [0.978738, 2.2408931], [1.867558, -0.9772779]])
    y = link(np.array([[2, -1]]))
    assert y.array.tolist() == [[link.W.array[2].tolist(), [0, 0]]]
    assert L.EmbedID.from_params(link.W, ignore_label=1)(np.array([1, 0])).array[0].tolist() == [0, 0]


def test_from_params():
    rng = np.random.RandomState(0)
    W, b = rng.randn(4, 2, 3, 2).astype(np.float32), rng.randn(4).astype(np.float32)
    link = Convolution2D.from_params(W, b, 2, 1, groups=2)
    assert str(link) == ("Convolution2D(in_channels=4, out_channels=4, ksize=(3, 2), stride=(2, 2), pad=(1, 1), "
                         "nobias=False, dilate=(1, 1), groups=2)")  # fmt: skip
    assert np.array_equal(link.W.array, W) and np.array_equal(link.b.array, b)
    assert Convolution2D.from_params(W, nobias=True).b is None
    back = Deconvolution2D.from_params(W, b[:2], groups=1)
    assert back.W.shape == W.shape and (back.in_channels, back.out_channels) == (4, 2)
    line = L.ConvolutionND.from_params(W[:, :, 0], b, stride=2)
    assert line.W.shape == (4, 2, 2) and line.stride == 2
    assert str(Linear.from_params(W[:, 0, 0])) == "Linear(in_size=2, out_size=4, nobias=False)"


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_parameters_have_the_configured_type(dtype):
    with using_config("dtype", np.dtype(dtype)):
        links = [Linear(2, 3), Convolution2D(2, 3, 1), L.ConvolutionND(1, 2, 3, 1), L.EmbedID(2, 3), L.Bias(1, 2),
                 L.Scale(1, 2, True), L.Bilinear(2, 3, 4)]  # fmt: skip
    assert all(p.dtype == dtype for link in links for p in link.params())


@pytest.mark.parametrize("make, error", [  # the classes of Chainer 7.8.1
    (lambda: L.ConvolutionND(2, 3, 4, (3, 3, 3)), AssertionError),
    (lambda: L.ConvolutionND(2, 3, 4, 3, groups=2), ValueError),
    (lambda: Convolution2D(3, 4, 9)(np.ones((2, 3, 5, 5), "f")), AssertionError),
    (lambda: Convolution2D(3, 4, 3, wscale=1), TypeError),
    (lambda: L.Bilinear(2, 3, 4, initialW=np.ones((2, 2, 4), "f")), AssertionError),
    (lambda: L.Bilinear(2, 3, 4, initial_bias=1), ValueError),
    (lambda: L.Bilinear(2, 3, 4, initial_bias=(np.ones((2, 4)), np.ones((3, 3)), 0)), AssertionError),
    (lambda: L.Scale(1, None, True), ValueError),
    (lambda: L.Bias(1, 3)(np.ones((2, 3), "f"), np.ones(3, "f")), ValueError),
    (lambda: L.Scale(1)(np.ones((2, 3), "f")), AssertionError),  # in debug mode; without it ValueError
    (lambda: L.InceptionBN(3, 4, 5, 6, 7, 8, "min", 9), NotImplementedError),
    (lambda: L.InceptionBN(3, 4, 5, 6, 7, 8, "max", 9, 2), AssertionError),
    (lambda: L.MLPConvolution2D(3, (), 3), AssertionError),
    (lambda: L.MLPConvolution2D(3, 4, 3), TypeError),
    (lambda: L.MLPConvolution2D(3, (4,), 3, wscale=1), ValueError),
])  # fmt: skip
def test_classes_of_errors(make, error):
    with pytest.raises(error):
        make()


def test_parameter_gives_a_variable_of_its_own():
    link = L.Parameter(np.ones((2, 3), "f"))
    y = link()
    assert y is not link.W  # Chainer 7.8.1: print(L.Parameter(x)() is l.W)
    y.grad = np.full((2, 3), 2, "f")
    y.backward()
    np.testing.assert_array_equal(link.W.grad, y.array * 2)
