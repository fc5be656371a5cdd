"""SVHN out of Chainer's cache, or fetched and checked."""

import hashlib
import io

import numpy as np
import pytest

from minigan import dataset
from minigan import datasets as D
from minigan.dataset import DataError
from minigan.datasets import svhn
from minigan.datasets.mirrors import Published


@pytest.fixture
def cache(tmp_path):
    dataset.set_dataset_root(tmp_path)
    folder = tmp_path / "pfnet" / "chainer" / "svhn"
    folder.mkdir(parents=True)
    return folder


def part(seed, n=12):
    rng = np.random.RandomState(seed)
    return rng.randint(0, 256, (32, 32, 3, n)).astype(np.uint8), (np.arange(n, dtype=np.uint8) % 10 + 1)[:, None]


def fill(cache):
    for seed, name in enumerate(("train", "test", "extra")):
        x, y = part(seed)
        np.savez_compressed(cache / f"{name}.npz", x=x, y=y)


def test_chainers_files(cache):
    fill(cache)
    train, test = D.get_svhn()
    image, label = train[9]
    assert (len(train), len(test)) == (12, 12) and label == 0 and label.dtype == np.int32 and train[0][1] == 1
    assert image.shape == (3, 32, 32) and image.dtype == np.float32
    np.testing.assert_allclose(image, part(0)[0][..., 9].transpose(2, 0, 1) / 255, rtol=1e-6)
    bare = D.get_svhn(False, 255.0, np.float64, add_extra=True)
    assert len(bare) == 3 and bare[2].dtype == np.float64
    np.testing.assert_allclose(bare[2], part(2)[0].transpose(3, 2, 0, 1))
    assert D.get_svhn(label_dtype=np.int64)[1][0][1].dtype == np.int64


@pytest.mark.parametrize(
    "wrong", [{"x": np.zeros((32, 32, 3, 5), np.uint8)}, {"y": np.full(12, 11)}, {"x": np.zeros(3)}]
)
def test_other_content(cache, wrong):
    fill(cache)
    x, y = part(0)
    np.savez(cache / "test.npz", **{"x": x, "y": y, **wrong})
    with pytest.raises(DataError, match=r"test\.npz: images are .* wanted uint8 \(32, 32, 3, N\)"):
        D.get_svhn()
    (cache / "test.npz").write_bytes((cache / "train.npz").read_bytes()[:500])
    with pytest.raises(DataError, match=r"test\.npz: the file is damaged"):
        D.get_svhn()


def test_fetched_checked_and_kept(cache, monkeypatch):
    scipy_io = pytest.importorskip("scipy.io")
    contents = {}
    for seed, name in enumerate(("train", "test")):
        file, (x, y) = io.BytesIO(), part(seed)
        scipy_io.savemat(file, {"X": x, "y": y})
        contents[svhn._URL.format(name)] = file.getvalue()
    monkeypatch.setattr("urllib.request.urlopen", lambda url, timeout: io.BytesIO(contents[url]))
    with pytest.raises(DataError, match="SHA-256 differs"):
        D.get_svhn()
    assert not list(cache.iterdir())
    for name, content in zip(("train", "test"), contents.values()):
        known = Published(len(content), hashlib.sha256(content).hexdigest(), True)
        monkeypatch.setitem(svhn._FILES, name, known)
    fetched = D.get_svhn(False)
    contents.clear()
    np.testing.assert_array_equal(D.get_svhn(False), fetched)  # from the cache now
    np.testing.assert_allclose(fetched[1], part(1)[0].transpose(3, 2, 0, 1) / 255, rtol=1e-6)
    monkeypatch.setenv("MINIGAN_OFFLINE", "1")
    with pytest.raises(DataError, match=r"extra_32x32\.mat: not fetched, as \$MINIGAN_OFFLINE is set; .*extra\.npz"):
        D.get_svhn(add_extra=True)
