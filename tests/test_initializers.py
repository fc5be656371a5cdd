"""One seed gives Chainer's numbers; names, scalars and arrays stand for initializers; wrong shapes are sentences."""

import numpy as np
import pytest

from minigan import initializers
from minigan.configuration import mixed16, using_config
from minigan.initializers import _get_initializer, generate_array, get_fans

# Chainer 7.8.1: numpy.random.seed(1); x = numpy.zeros((2, 3, 1, 2), 'f'); I.<name>(**arguments)(x); x.ravel()[:3]
FROM_CHAINER = [
    ("Normal", {}, [0.08121726661920547, -0.03058782033622265, -0.026408588513731956]),
    ("LeCunNormal", {}, [0.6631362438201904, -0.24974851310253143, -0.21562521159648895]),
    ("GlorotNormal", {}, [0.7264293432235718, -0.27358579635620117, -0.236205592751503]),
    ("HeNormal", {}, [0.9378162622451782, -0.35319772362709045, -0.3049401044845581]),
    ("HeNormal", {"fan_option": "fan_out"}, [1.1485856771469116, -0.43257710337638855, -0.3734738230705261]),
    ("Uniform", {}, [-0.008297799155116081, 0.022032449021935463, -0.04998856410384178]),
    ("LeCunUniform", {}, [-0.11734860390424728, 0.3115858733654022, -0.70694500207901]),
    ("GlorotUniform", {}, [-0.12854896485805511, 0.34132522344589233, -0.7744194865226746]),
    ("HeUniform", {}, [-0.16595599055290222, 0.44064897298812866, -0.999771237373352]),
    ("Orthogonal", {}, [0.5517017841339111, -0.2077803909778595, -0.17939122021198273]),
]


@pytest.mark.parametrize(("name", "arguments", "expected"), FROM_CHAINER)
def test_one_seed_gives_chainers_numbers(name, arguments, expected):
    np.random.seed(1)
    x = np.zeros((2, 3, 1, 2), np.float32)
    getattr(initializers, name)(**arguments)(x)
    tolerance = 1e-6 if name == "Orthogonal" else 0  # LAPACK may differ
    np.testing.assert_allclose(x.ravel()[:3], np.float32(expected), rtol=tolerance)


@pytest.mark.parametrize(
    ("initializer", "deviation"),
    [
        (initializers.Normal(0.3), 0.3),
        (initializers.LeCunNormal(), (1 / 360) ** 0.5),
        (initializers.GlorotNormal(), (2 / 1260) ** 0.5),
        (initializers.HeNormal(scale=2.0), 2 * (2 / 360) ** 0.5),
        (initializers.HeNormal(fan_option="fan_out"), (2 / 900) ** 0.5),
        (initializers.Uniform(0.3), 0.3 / 3**0.5),
        (initializers.LeCunUniform(), (1 / 360) ** 0.5),
        (initializers.GlorotUniform(), (2 / 1260) ** 0.5),
        (initializers.HeUniform(), (2 / 360) ** 0.5),
    ],
)
def test_mean_and_deviation(initializer, deviation):
    np.random.seed(0)
    x = np.empty((100, 40, 3, 3))
    initializer(x)
    assert abs(x.mean()) < 3 * deviation / x.size**0.5
    assert abs(x.std() / deviation - 1) < 3 / (2 * x.size) ** 0.5


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (2, 3, 2), (6,)])
def test_orthogonal_rows_or_columns(shape):
    x = np.empty(shape)
    initializers.Orthogonal(scale=2.0)(x)
    matrix = x.reshape(len(x), -1)
    if matrix.shape[0] > matrix.shape[1]:
        matrix = matrix.T
    np.testing.assert_allclose(matrix @ matrix.T, 4 * np.eye(len(matrix)), atol=1e-12)


def test_constants():
    for initializer, value in [
        (initializers.Zero(), 0), (initializers.One(), 1), (initializers.NaN(), np.nan), (initializers.Constant(3), 3),
    ]:  # fmt: skip
        x = np.full((2, 2), 7.0)
        initializer(x)
        np.testing.assert_array_equal(x, value)
    x = np.empty((2, 2), np.float32)
    initializers.Constant(np.arange(4.0).reshape(2, 2))(x)
    np.testing.assert_array_equal(x, [[0, 1], [2, 3]])
    initializers.Identity(scale=2.5)(x)
    np.testing.assert_array_equal(x, [[2.5, 0], [0, 2.5]])


def test_own_generator():
    x, y = np.empty(3), np.empty(3)
    initializers.Normal(rng=np.random.RandomState(5))(x)
    initializers.Normal(rng=np.random.RandomState(5))(y)
    np.testing.assert_array_equal(x, y)


def test_fans():
    assert get_fans((2, 3)) == (3, 2)
    assert get_fans((2, 3, 5, 7)) == (105, 70)


def test_dtype_of_generated_arrays():
    assert generate_array(initializers.One(), (2,), np).dtype == np.float32
    with using_config("dtype", np.float16):
        assert generate_array(initializers.One(), (2,), np).dtype == np.float16
    assert generate_array(initializers.One(), (2,), np, dtype="d").dtype == np.float64
    assert generate_array(initializers.One(dtype="d"), (2,), np).dtype == np.float64
    assert generate_array(lambda array: array.fill(4), 2, np).tolist() == [4, 4]


def test_what_stands_for_an_initializer():
    assert isinstance(_get_initializer(None), initializers.LeCunNormal)
    assert _get_initializer(3).fill_value == 3
    assert _get_initializer(np.float32(1.5)).fill_value == 1.5
    array = np.ones((2, 2))
    assert _get_initializer(array).fill_value is array
    assert _get_initializer(np.copyto) is np.copyto
    for name, kind in [
        ("he_normal", "HeNormal"), ("HeNormal", "HeNormal"), ("glorot-uniform", "GlorotUniform"), ("normal", "Normal"),
        ("zeros", "Zero"), ("one", "One"), ("orthogonal", "Orthogonal"), ("lecun_normal", "LeCunNormal"),
    ]:  # fmt: skip
        assert type(_get_initializer(name)) is getattr(initializers, kind)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: get_fans((3,)), ValueError, r"get_fans: the shape is \(3,\); wanted two axes"),
        (lambda: initializers.HeNormal()(np.zeros(3)), ValueError, "wanted two axes"),
        (lambda: initializers.HeNormal(fan_option="x"), ValueError, "fan_option is 'x' but must be"),
        (lambda: initializers.Identity()(np.zeros((2, 3))), ValueError, "wanted a square matrix"),
        (lambda: initializers.Orthogonal()(np.zeros((0, 2))), ValueError, "without elements"),
        (lambda: initializers.Orthogonal(mode="x"), ValueError, "mode is 'x' but must be"),
        (lambda: initializers.Orthogonal(mode="basis")(np.zeros((2, 3))), ValueError, "2 rows and 3 columns"),
        (lambda: initializers.Orthogonal(mode="projection")(np.zeros((3, 2))), ValueError, "3 rows and 2 columns"),
        (lambda: initializers.Orthogonal(mode="embedding")(np.zeros((2, 3))), ValueError, "2 rows and 3 columns"),
        (lambda: initializers.Constant(np.zeros(2))(np.zeros(3)), ValueError, r"fill_value has shape \(2,\)"),
        (lambda: initializers.Normal(dtype="f")(np.zeros(3)), ValueError, "the array is float64 .* for float32"),
        (lambda: generate_array(initializers.One("d"), 3, np, dtype="f"), ValueError, "dtype is float32 but"),
        (lambda: _get_initializer("he"), ValueError, "there is none called 'he'; the names are .*henormal"),
        (lambda: _get_initializer([1, 2]), TypeError, "initializer: got list; wanted"),
    ],
)
def test_error_sentences(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()


# Chainer 7.8.1: numpy.full((2, 2, 3, 3), 7, "f") and so on, filled by initializers.UpsamplingDeconvFilter()
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_filters_that_interpolate(dtype):
    array = np.full((2, 2, 3, 3), 7, dtype)
    initializers.UpsamplingDeconvFilter(dtype=dtype)(array)
    assert array[0, 0].tolist() == [[0.25, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 0.25]]
    assert (array[1, 1] == array[0, 0]).all() and (array[0, 1] == 0).all() and (array[1, 0] == 0).all()
    array = np.full((3, 1, 4), 7, dtype)
    initializers.DownsamplingConvFilter()(array)
    assert array.tolist() == [[[0.125, 0.375, 0.375, 0.125]]] * 3
    with pytest.raises(ValueError, match="must be 'linear'"):
        initializers.UpsamplingDeconvFilter("nearest")
    for shape in ((2, 3, 4, 4), (2, 2, 3, 4), (2, 2)):
        with pytest.raises(ValueError, match="wanted \\(channels"):
            initializers.UpsamplingDeconvFilter()(np.zeros(shape))


def test_a_constant_array_is_broadcast():
    array = np.zeros((3, 2), np.float32)
    initializers.Constant(np.array([1, 2]))(array)
    assert array.tolist() == [[1, 2]] * 3
    with pytest.raises(ValueError, match="fill_value has shape"):
        initializers.Constant(np.ones(3))(array)


def test_mixed16():
    assert initializers.generate_array(initializers.Zero(mixed16), (2,), np).dtype == np.float16
    array = np.zeros((2, 2), np.float16)
    initializers.Normal(dtype=mixed16)(array)
    with using_config("dtype", mixed16):
        assert initializers.generate_array(initializers.One(), (2,), np).dtype == np.float16
