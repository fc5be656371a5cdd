"""Image files as data sets: channels, dtypes, lists in text files, and errors that name the file."""

import numpy as np
import pytest

from minigan import datasets as D
from minigan.dataset import DataError

PIL = pytest.importorskip("PIL.Image")


@pytest.fixture
def folder(tmp_path, rng):
    for name, shape in (("colour.png", (4, 5, 3)), ("grey.png", (4, 5)), ("alpha.png", (3, 2, 4))):
        PIL.fromarray(rng.randint(0, 255, shape).astype(np.uint8)).save(tmp_path / name)
    (tmp_path / "list.txt").write_text("colour.png\ngrey.png\n")
    (tmp_path / "pairs.txt").write_text("colour.png 3\ngrey.png 1\n")
    return tmp_path


@pytest.mark.parametrize("name, channels", [("colour.png", 3), ("grey.png", 1), ("alpha.png", 4)])
def test_pixels(folder, name, channels):
    (image,) = D.ImageDataset([name], str(folder))
    pixels = np.asarray(PIL.open(folder / name))
    assert image.dtype == np.float32 and len(image) == channels
    np.testing.assert_array_equal(image, np.moveaxis(np.atleast_3d(pixels), -1, 0))


def test_lists_in_files(folder):
    images = D.ImageDataset(str(folder / "list.txt"), root=str(folder), dtype=np.float64)
    assert len(images) == 2 and images[1].shape == (1, 4, 5) and images[0].dtype == np.float64
    pairs = D.LabeledImageDataset(str(folder / "pairs.txt"), str(folder))
    assert [(x.shape, int(t), t.dtype) for x, t in pairs] == [((3, 4, 5), 3, np.int32), ((1, 4, 5), 1, np.int32)]
    assert D.LabeledImageDataset([("grey.png", 7)], str(folder), label_dtype=np.int64)[0][1].dtype == np.int64


def test_what_is_wrong_is_named(folder):
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        D.ImageDataset(["none.png"], str(folder))[0]
    (folder / "bad.txt").write_text("colour.png three\n")
    with pytest.raises(DataError, match=r"bad\.txt: the line 'colour\.png three'"):
        D.LabeledImageDataset(str(folder / "bad.txt"), str(folder))
    (folder / "cut.png").write_bytes((folder / "colour.png").read_bytes()[:40])
    with pytest.raises(OSError):
        D.ImageDataset(["cut.png"], str(folder))[0]
