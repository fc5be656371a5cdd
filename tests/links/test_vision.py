"""VGG: names and shapes of layers, pictures, weights from a file. The real one is too large here; a thin one serves."""

import numpy as np
import pytest

from minigan.configuration import using_config
from minigan.link import Chain
from minigan.links import vision
from minigan.links.connection import Convolution2D, Linear
from minigan.links.vision import VGG16Layers, VGG19Layers, prepare
from minigan.serializers.npz import save_npz

RNG = np.random.RandomState(0)
PICTURE = RNG.randint(0, 256, (60, 80, 3)).astype(np.uint8)


@pytest.fixture(autouse=True)
def thin(monkeypatch):
    """Every layer gets a 64th of its channels and every linear layer of its inputs, so that a test is quick."""

    def convolution(channels, out, ksize, **arguments):
        return Convolution2D(channels if channels == 3 else channels // 64, out // 64, ksize, **arguments)

    def linear(size, out, **arguments):
        return Linear(size // 64, out if out == 1000 else out // 64, **arguments)

    monkeypatch.setattr(vision, "Convolution2D", convolution)
    monkeypatch.setattr(vision, "Linear", linear)


def test_layers():
    link = VGG16Layers(None)
    names = link.available_layers
    assert len(names) == 22 and len(VGG19Layers(None).available_layers) == 25
    assert names[:4] == ["conv1_1", "conv1_2", "pool1", "conv2_1"] and names[-4:] == ["fc6", "fc7", "fc8", "prob"]
    assert isinstance(link, Chain) and len(list(link.children())) == 16
    shapes = {path: p.shape for path, p in link.namedparams()}
    assert shapes["/conv3_1/W"] == (4, 2, 3, 3) and shapes["/conv5_3/W"] == (8, 8, 3, 3)
    copied = link.copy()
    assert copied.functions["conv1_1"][0] is copied.conv1_1 is not link.conv1_1


def test_activations_by_name():
    link = VGG16Layers(None)
    x = RNG.randn(2, 3, 224, 224).astype("f")
    with using_config("train", False):
        found = link(x, layers=["conv1_2", "pool3", "fc7", "prob"])
        assert {k: v.shape for k, v in found.items()} == {
            "conv1_2": (2, 1, 224, 224), "pool3": (2, 4, 28, 28), "fc7": (2, 64), "prob": (2, 1000)
        }  # fmt: skip
        np.testing.assert_array_equal(link(x)["prob"].array, found["prob"].array)
    assert (found["conv1_2"].array >= 0).all()
    np.testing.assert_allclose(found["prob"].array.sum(1), 1, rtol=1e-5)
    assert list(link(x[..., :32, :32], ["pool2"])) == ["pool2"]  # what comes later is not computed


def test_prepared_pictures():
    pytest.importorskip("PIL")
    y = prepare(PICTURE, size=None)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y[0], PICTURE[..., 2] - np.float32(103.939), rtol=1e-6)
    np.testing.assert_allclose(y[2], PICTURE[..., 0] - np.float32(123.68), rtol=1e-6)
    np.testing.assert_array_equal(prepare(PICTURE.transpose(2, 0, 1).astype("f"), None), y)
    grey = PICTURE[..., 0]
    np.testing.assert_array_equal(prepare(grey[None], None), prepare(grey, None))
    np.testing.assert_allclose(prepare(grey, None)[1], grey - np.float32(116.779), rtol=1e-6)
    assert prepare(PICTURE).shape == (3, 224, 224) and prepare(PICTURE, (30, 20)).shape == (3, 20, 30)


def test_extract_and_predict():
    pytest.importorskip("PIL")
    link = VGG16Layers(None)
    found = link.extract([PICTURE, PICTURE], layers=["pool1"], size=None)
    alone = link(prepare(PICTURE, None)[None], ["pool1"])
    np.testing.assert_array_equal(found["pool1"].array[:1], alone["pool1"].array)
    assert link.extract([PICTURE])["fc7"].shape == (1, 64)
    middle = prepare(PICTURE, (256, 256))[None, :, 16:240, 16:240]
    with using_config("train", False):
        expected = link(middle)["prob"].array
    np.testing.assert_allclose(link.predict([PICTURE], oversample=False).array, expected, rtol=1e-6)
    assert link.predict([PICTURE, PICTURE]).shape == (2, 1000)


def test_weights_from_a_file(tmp_path, monkeypatch):
    link = VGG16Layers(None)
    folder = tmp_path / "pfnet" / "chainer" / "models"
    folder.mkdir(parents=True)
    path = folder / "VGG_ILSVRC_16_layers.npz"
    save_npz(path, link)
    monkeypatch.setenv("CHAINER_DATASET_ROOT", str(tmp_path))
    for other in (VGG16Layers(str(path)), VGG16Layers()):
        for (name, got), (_, want) in zip(sorted(other.namedparams()), sorted(link.namedparams()), strict=True):
            np.testing.assert_array_equal(got.array, want.array, err_msg=name)
    with pytest.raises(FileNotFoundError, match="no weights at .*VGG_ILSVRC_19_layers.npz; put them there"):
        VGG19Layers()
    with pytest.raises(ValueError, match="is a Caffe model"):
        VGG16Layers("vgg.caffemodel")
