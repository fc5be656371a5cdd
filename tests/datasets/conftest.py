"""Data set tests see an empty home, no settings of the developer's, and no network."""

import gzip
import struct

import numpy as np
import pytest

from minigan import dataset, datasets
from minigan.datasets import mnist


def _no_network(url, timeout=None):
    raise OSError(f"tests have no network, and {url} was asked for")


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    for name in ("MINIGAN_DATA", "MINIGAN_CACHE", "MINIGAN_OFFLINE", "CHAINER_DATASET_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("urllib.request.urlopen", _no_network)
    monkeypatch.setattr(mnist, "_announced", set())
    yield
    dataset.set_dataset_root(None)
    datasets.set_data_directory(None)


@pytest.fixture
def idx():
    """The bytes of an IDX file; the header may be made to lie."""

    def make(array, kind=0x08, shape=None):
        shape = array.shape if shape is None else shape
        return bytes([0, 0, kind, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + array.tobytes()

    return make


@pytest.fixture
def digits():
    """Twelve random training and five test images with labels, under the names of mnist.npz."""
    rng = np.random.RandomState(7)
    return {
        "x_train": rng.randint(0, 256, (12, 28, 28)).astype(np.uint8),
        "y_train": rng.randint(0, 10, 12).astype(np.uint8),
        "x_test": rng.randint(0, 256, (5, 28, 28)).astype(np.uint8),
        "y_test": rng.randint(0, 10, 5).astype(np.uint8),
    }


@pytest.fixture
def idx_folder(tmp_path, idx, digits):
    """A folder with the four gz files."""
    folder = tmp_path / "idx"
    folder.mkdir()
    for stem, array in zip(
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
        digits.values(),
        strict=True,
    ):
        (folder / f"{stem}.gz").write_bytes(gzip.compress(idx(array)))
    return folder
