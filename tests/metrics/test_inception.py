"""Inception with weights from a file: the numbers are those of pytorch-fid 0.3.0 for the same weights and pixels.

`python tests/metrics/test_inception.py` prints them where pytorch-fid is installed (it downloads nothing). On 3 random
images each of 32, 299 and 400 pixels, with random weights, all features were within 1e-6 of the largest of them.
"""

import sys
import zlib

import numpy

SHAPE = (2, 40, 32, 3)
FEATURES = [0.39271456003189087, 2.8460206985473633, 0.4464513659477234, 3.032900333404541]  # of up to 94
LOGITS = [13.749107314682227, 1.769029539914147, 13.938310175370468, 2.103936739705839]


def weight(name, shape):
    """An array of the state dict, decided by its name alone."""
    x = numpy.random.RandomState(zlib.crc32(name.encode())).random_sample(shape).astype(numpy.float32)
    if name.endswith(("conv.weight", "fc.weight")):
        return (x - 0.5) * (24 / numpy.prod(shape[1:])) ** 0.5
    return x - 0.5 if name.endswith(("bias", "mean")) else x + 0.5


def pixels():
    return numpy.random.RandomState(0).randint(0, 256, SHAPE).astype(numpy.uint8)


def reference():
    """Print what pytorch-fid makes of the same."""
    import pytorch_fid.inception as fid
    import torch

    def load(net, _state):
        shapes = {name: tuple(array.shape) for name, array in net.state_dict().items() if array.ndim}
        arrays = {name: torch.from_numpy(weight(name, shape)) for name, shape in shapes.items()}
        return real(net, arrays, strict=False)

    real, torch.nn.Module.load_state_dict = torch.nn.Module.load_state_dict, load
    fid.load_state_dict_from_url = lambda *_, **__: {}
    net = fid.InceptionV3([3]).eval()
    with torch.no_grad():
        features = net(torch.from_numpy(pixels()).permute(0, 3, 1, 2).float() / 255)[0][:, :, 0, 0].numpy()
    logits = features @ weight("fc.weight", (1008, 2048)).T
    print(features.shape, features[:, ::1200].ravel().tolist(), logits[:, ::600].ravel().tolist(), features.max())


if __name__ == "__main__":
    reference()
    sys.exit()

import json  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402
from click.testing import CliRunner  # noqa: E402

from minigan.cli import main  # noqa: E402
from minigan.dataset.errors import DataError  # noqa: E402
from minigan.metrics import inception, lenet  # noqa: E402


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The weights as an npz, 95 MB."""
    path, net = tmp_path_factory.mktemp("inception") / "weights.npz", inception.Inception()
    shapes = {"fc.weight": net.fc.W.shape}
    for layer, link in net.layers.items():
        shapes[f"{layer}.conv.weight"] = net[link].W.shape
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{layer}.bn.{part}"] = net[link].b.shape
    numpy.savez(path, **{name: weight(name, shape) for name, shape in shapes.items()})
    yield path
    path.unlink()


def test_features_are_those_of_pytorch_fid(file):
    net, facts = inception.load(file)
    assert len(net.layers) == 94 and facts["crc32"] == zlib.crc32(file.read_bytes()) and facts["dimension"] == 2048
    features, logits = lenet.see(net, pixels())
    assert features.shape == (2, 2048) and logits.shape == (2, 1008)
    numpy.testing.assert_allclose(features[:, ::1200].ravel(), FEATURES, atol=1e-4)
    numpy.testing.assert_allclose(logits[:, ::600].ravel(), LOGITS, atol=1e-4)


def test_what_the_net_is_given():
    net, grey = inception.Inception(), pixels()[..., 0]
    assert (net.as_input(grey) == net.as_input(numpy.stack([grey] * 3, axis=3))).all()
    assert (net.as_input(numpy.concatenate([pixels(), pixels()[..., :1]], axis=3)) == net.as_input(pixels())).all()
    assert (net.as_input(pixels())[0, :, 3, 5] == pixels()[0, 3, 5].astype(numpy.float32) / 127.5 - 1).all()


def test_files_that_hold_something_else(file, tmp_path, monkeypatch):
    numpy.savez(tmp_path / "a.npz", images=pixels())
    with pytest.raises(DataError, match=r"no array Conv2d_1a_3x3\.conv\.weight .* wanted the arrays of pytorch-fid"):
        inception.load(tmp_path / "a.npz")
    with pytest.raises(DataError, match=r"nowhere\.npz"):
        inception.load(tmp_path / "nowhere.npz")
    arrays, wrong = inception.read_arrays(file, [(name,) for name in names()]), numpy.zeros(3, numpy.float32)
    for array, says in ((wrong, r"arrays of Conv2d_1a_3x3 have shapes .*\(3,\)\]; .* as pytorch-fid has them"),
                        (numpy.full(32, -1, "f"), "Conv2d_1a_3x3 has NaN or infinity")):  # fmt: skip
        monkeypatch.setattr(inception, "read_arrays", lambda *_, wrong=array, **__: [*arrays[:4], wrong, *arrays[5:]])
        with pytest.raises(DataError, match=says):
            inception.load(file)


def names():
    parts = ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")
    return [f"{layer}.{part}" for layer in inception.Inception().layers for part in parts] + ["fc.weight"]


class Mean(inception.Inception):
    """Stands in for the net, which takes a second for three images: the means of eight parts of the image."""

    def __init__(self):
        lenet.Chain.__init__(self)

    def features(self, x):
        return lenet.Variable(x.reshape(len(x), 8, -1).mean(axis=2))

    def logits(self, features):
        return features


def test_evaluate_looks_with_it_at_any_size(monkeypatch, tmp_path, rng):
    monkeypatch.chdir(tmp_path)
    facts = {"inception": "w.npz", "crc32": 5, "layer": "the last means", "dimension": 8}
    monkeypatch.setattr(inception, "load", lambda path: (Mean(), facts))
    for name, size in (("a", 20), ("b", 20), ("c", 24)):
        numpy.savez(f"{name}.npz", images=rng.randint(0, 256, (120, size, size, 3)).astype("u1"), labels=[0] * 120)

    def call(*arguments, code=0):
        result = CliRunner().invoke(main, ["evaluate", *arguments, "--inception", "w.npz"])
        assert result.exit_code == code, result.output
        return result.output

    said = call("a.npz", "--against", "npz:c.npz", "--json", "r.json", "--nearest", "n.png")
    assert "of Inception with the weights w.npz (crc32 5), images scaled to 299 x 299" in said
    assert "of 24 x 24 pixels, scaled to 20 x 20" in said
    report = json.loads(Path("r.json").read_text())
    assert report["classifier"] == facts and report["n"] == 60 and "agreed" not in report["samples"]["a.npz"]
    text = call("a.npz", "b.npz", "c.npz", "--against", "npz:c.npz", code=1)
    assert "c.npz: images are of 24 x 24 pixels in colour; wanted 20 x 20 pixels in colour, as the first" in text
    assert "both say what to look with" in call("a.npz", "--classifier", "x.npz", code=2)
