"""CIFAR in Chainer's cache and in the original archive (small ones, made here): values, shapes, and damage."""

import hashlib
import io
import tarfile

import numpy as np
import pytest

from minigan import dataset
from minigan import datasets as D
from minigan.dataset import DataError
from minigan.datasets import cifar


@pytest.fixture
def cache(tmp_path):
    dataset.set_dataset_root(tmp_path)
    folder = tmp_path / "pfnet" / "chainer" / "cifar"
    folder.mkdir(parents=True)
    yield folder
    dataset.set_dataset_root(None)


def arrays(rng, classes=10):
    parts = [(rng.randint(0, 256, (n, 3072)).astype(np.uint8), rng.randint(0, classes, n)) for n in (5, 2)]
    return dict(zip(("train_x", "train_y", "test_x", "test_y"), [a for part in parts for a in part]))


@pytest.mark.parametrize("name, get", [("cifar-10", D.get_cifar10), ("cifar-100", D.get_cifar100)])
def test_chainers_cache(cache, rng, name, get):
    stored = arrays(rng)
    np.savez(cache / f"{name}.npz", **stored)
    train, test = get()
    assert (len(train), len(test)) == (5, 2)
    image, label = test[1]
    assert (image.shape, image.dtype, label.dtype) == ((3, 32, 32), np.float32, np.int32)
    np.testing.assert_allclose(image.ravel(), stored["test_x"][1] / 255, rtol=1e-6)
    assert label == stored["test_y"][1]
    flat, _ = get(withlabel=False, ndim=1, scale=255.0, dtype=np.float64)
    np.testing.assert_allclose(flat, stored["train_x"])
    with pytest.raises(ValueError, match="ndim is 2"):
        get(ndim=2)


def records(x, y, coarse):
    label = [np.zeros((len(y), 1), np.uint8)] * coarse + [y.astype(np.uint8)[:, None]]
    return np.concatenate([*label, x], axis=1).tobytes()


@pytest.mark.parametrize("name, get", [("cifar-10", D.get_cifar10), ("cifar-100", D.get_cifar100)])
def test_the_archive_is_fetched_checked_and_kept(cache, rng, monkeypatch, name, get):
    stored, archive, content = arrays(rng), cifar._ARCHIVES[name], io.BytesIO()
    files = dict.fromkeys(archive.train, b"")
    files[archive.train[-1]] = records(stored["train_x"], stored["train_y"], archive.label_bytes - 1)
    files[archive.test] = records(stored["test_x"], stored["test_y"], archive.label_bytes - 1)
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for file, data in files.items():
            member = tarfile.TarInfo(f"{name}/{file}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    content = content.getvalue()
    monkeypatch.delenv("MINIGAN_OFFLINE", raising=False)
    monkeypatch.setattr("urllib.request.urlopen", lambda url, timeout: io.BytesIO(content))
    with pytest.raises(DataError, match="SHA-256 differs"):
        get()
    assert not list(cache.iterdir())
    monkeypatch.setitem(
        cifar._ARCHIVES, name, archive._replace(size=len(content), sha256=hashlib.sha256(content).hexdigest())
    )
    fetched = get(withlabel=False, ndim=1, scale=255.0)[0]
    np.testing.assert_array_equal(fetched, stored["train_x"])
    content = b""
    np.testing.assert_array_equal(get()[1][1][1], stored["test_y"][1])  # from the cache now


def test_damage_and_absence(cache, rng, monkeypatch):
    monkeypatch.setenv("MINIGAN_OFFLINE", "1")
    with pytest.raises(DataError, match=r"not fetched, as \$MINIGAN_OFFLINE is set; .*cifar-10\.npz"):
        D.get_cifar10()
    np.savez(cache / "cifar-10.npz", **{**arrays(rng), "test_x": np.zeros((2, 7), np.uint8)})
    with pytest.raises(DataError, match=r"images are uint8 of shape \(2, 7\)"):
        D.get_cifar10()
    np.savez(cache / "cifar-10.npz", train_x=np.zeros(3))
    with pytest.raises(DataError, match="there is no array"):
        D.get_cifar10()
    whole = cache / "cifar-10.npz"
    np.savez(whole, **arrays(rng))
    content = whole.read_bytes()
    for cut in (0, 10, len(content) // 2, len(content) - 30):
        whole.write_bytes(content[:cut])
        with pytest.raises(DataError, match=r"cifar-10\.npz"):
            D.get_cifar10()
