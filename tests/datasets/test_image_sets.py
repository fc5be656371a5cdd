"""Folders of pictures and arrays in files, as `--data folder:DIR` and `hdf5:FILE` read them; and what may be wrong."""

import h5py
import numpy
import pytest
from PIL import Image

from minigan.dataset import DataError
from minigan.datasets.image_sets import ImageSet, as_pixels, read_file, read_folder


@pytest.fixture
def colours(rng):
    return rng.randint(0, 256, (6, 8, 8, 3)).astype(numpy.uint8)


@pytest.fixture
def folder(tmp_path, colours):
    """Six pictures of 8 x 8 pixels, in sub-folders cats and dogs."""
    for i, image in enumerate(colours):
        (place := tmp_path / "in" / ("cats" if i < 4 else "dogs")).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{i}.png")
    return tmp_path / "in"


def test_a_folder_is_read_with_its_classes(folder, colours):
    found = read_folder(folder, 8)
    assert (found.x_train == colours).all() and found.y_train.tolist() == [0, 0, 0, 0, 1, 1]
    assert found.y_train.dtype == numpy.int32 and found.names == ["cats", "dogs"] and found.x_test is None
    assert found.source == f"6 images below {folder}, of 8 x 8 pixels"
    assert read_folder(folder).x_train.shape == (6, 64, 64, 3)
    assert read_folder(folder / "cats", 8).y_train is None
    Image.fromarray(colours[0]).save(folder / "outside.png")
    assert read_folder(folder, 8).y_train is None


def test_folders_named_by_numbers_are_in_their_order(tmp_path):
    for name in ("10", "9", "1"):
        (tmp_path / name).mkdir()
        Image.new("L", (8, 8), int(name)).save(tmp_path / name / "a.png")
    found = read_folder(tmp_path, 8)
    assert found.names == ["1", "9", "10"]
    assert [image.max() for image in found.x_train[numpy.argsort(found.y_train)]] == [1, 9, 10]


@pytest.mark.parametrize(
    "mode, colour, shape",
    [("L", 9, ()), ("RGB", (7, 7, 7), ()), ("RGB", (7, 8, 7), (3,)), ("RGBA", (1, 2, 3, 255), (3,)),
     ("RGBA", (1, 2, 3, 9), (4,))],
)  # fmt: skip
def test_channels_are_those_that_lose_nothing(tmp_path, mode, colour, shape):
    Image.new(mode, (8, 8), colour).save(tmp_path / "a.png")
    Image.new("L", (8, 8), 3).save(tmp_path / "b.png")
    found = read_folder(tmp_path, 8).x_train
    assert found.shape == (2, 8, 8, *shape)
    assert (read_folder(tmp_path, 8, *shape or (1,)).x_train == found).all()  # a resumed run names the channels
    assert read_folder(tmp_path, 8, 1).x_train.shape == (2, 8, 8) and read_folder(tmp_path, 8, 3).x_train.ndim == 4


def test_mixed_sizes_are_cut_scaled_and_said(folder):
    Image.new("RGB", (20, 10), (5, 6, 7)).save(folder / "cats" / "wide.png")
    found = read_folder(folder, 16)
    assert found.x_train.shape == (7, 16, 16, 3) and (found.x_train[4] == (5, 6, 7)).all()
    assert found.source.endswith("8 x 8 to 20 x 10 pixels, cropped in the middle and scaled to 16 x 16")


def test_labels_from_a_file(folder, tmp_path):
    names = [f"cats/{i}.png" for i in range(4)] + ["dogs/4.png", "dogs/5.png"]
    file = tmp_path / "labels.txt"
    for line in ("{}, {}", "{}\t{}", " {}   {}\n"):
        file.write_text("\n".join(line.format(name, i % 3) for i, name in enumerate(names)))
        found = read_folder(folder, 8, labels=file)
        assert found.y_train.tolist() == [0, 1, 2, 0, 1, 2] and found.names == ["0", "1", "2"]


@pytest.mark.parametrize(
    "text, says",
    [("cats/0.png 1", r"it says nothing of cats/1\.png and 4 more; wanted one line for each of the 6 images"),
     ("{all}cats/7.png 1", r"it names what is not there: cats/7\.png; wanted"),
     ("cats/0.png", "is no name of an image"),
     ("{all}cats/0.png 2", "gives an image a second class"), (b"\xff\xfe", "this is no text")],
)  # fmt: skip
def test_labels_that_do_not_match(folder, tmp_path, text, says):
    every = "".join(f"{'cats' if i < 4 else 'dogs'}/{i}.png 1\n" for i in range(6))
    (tmp_path / "l").write_bytes(text if isinstance(text, bytes) else text.replace("{all}", every).encode())
    with pytest.raises(DataError, match=says):
        read_folder(folder, 8, labels=tmp_path / "l")


def test_unreadable_images_are_named_and_left_out_only_if_asked(folder):
    (folder / "cats" / "1.png").write_bytes((folder / "cats" / "1.png").read_bytes()[:60])
    (folder / "dogs" / "z.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"2 of 7 images cannot be read: cats/1\.png, dogs/z\.png .* with --skip-bad"):
        read_folder(folder, 8)
    found = read_folder(folder, 8, skip_bad=True)
    assert len(found.x_train) == 5 and found.y_train.tolist() == [0, 0, 0, 1, 1]
    assert " (2 unreadable left out: cats/1.png, dogs/z.png)" in found.source
    for i in (0, 2, 3):
        (folder / "cats" / f"{i}.png").unlink()
    with pytest.raises(DataError, match=r"1 of 1 images cannot be read: 1\.png .* replace them$"):
        read_folder(folder / "cats", 8, skip_bad=True)
    (folder / "cats" / "1.png").unlink()
    with pytest.raises(DataError, match="there are no images in this folder"):
        read_folder(folder / "cats")


# --- arrays ---


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_layout_and_kind_of_number(rng, channels):
    whole = rng.randint(0, 256, (5, 6, 6, channels)).astype(numpy.uint8)
    expected = whole[..., 0] if channels == 1 else whole
    for array in (whole, whole.transpose(0, 3, 1, 2), whole.astype(numpy.int64)):
        assert (as_pixels(array, "it") == expected).all()
    for dtype in (numpy.float32, numpy.float64):
        assert (as_pixels(whole.astype(dtype) / 255, "it") == expected).all()
        assert (as_pixels(whole.astype(dtype) / 127.5 - 1, "it") == expected).all()
    if channels == 1:
        assert (as_pixels(expected, "it") == expected).all()
        assert (as_pixels(expected > 99, "it") == numpy.where(expected > 99, 255, 0)).all()


@pytest.mark.parametrize(
    "array, says",
    [(numpy.zeros((3, 8, 8, 2), "u1"), r"uint8 of shape \(3, 8, 8, 2\); wanted \(N, H, W\)"),
     (numpy.zeros((3, 64), "u1"), "of shape"), (numpy.zeros((0, 8, 8), "u1"), r"of shape \(0, 8, 8\)"),
     (numpy.full((2, 8, 8), numpy.nan), "from nan to nan"), (numpy.full((2, 8, 8), 255.0), "wanted bytes from 0 to"),
     (numpy.full((2, 8, 8), -1), "int64 from -1 to -1"), (numpy.full((2, 8, 8), 256), "from 256 to 256")],
)  # fmt: skip
def test_arrays_that_are_no_images(array, says):
    with pytest.raises(DataError, match=f"it: images are .*{says}"):
        as_pixels(array, "it")


def test_files_of_each_kind_with_labels_and_tests(tmp_path, colours):
    labels, tests = numpy.arange(6) % 2, {"x_test": colours[:2], "y_test": numpy.array([1, 0])}
    numpy.savez(tmp_path / "a.npz", images=colours)
    numpy.save(tmp_path / "a.npy", colours)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, array in {"x_train": colours.transpose(0, 3, 1, 2), "y_train": labels, **tests}.items():
            file[name] = array
    for name in ("a.npz", "a.npy", "a.h5"):
        found = read_file(tmp_path / name)
        assert (found.x_train == colours).all() and found.source == f"6 images of {tmp_path / name}"
        assert (found.y_train is None) == (name != "a.h5")
    assert found.y_train.tolist() == labels.tolist() and found.y_test.tolist() == [1, 0]
    assert (found.x_test == colours[:2]).all()


@pytest.mark.parametrize("kind", ["M8[s]", "c8", "U1"])
def test_npy_files_of_no_numbers(tmp_path, kind):
    numpy.save(tmp_path / "a.npy", numpy.zeros((3, 8, 8), kind))
    numpy.savez(tmp_path / "b.npz", images=numpy.zeros((3, 8, 8), "u1"))
    for file in (tmp_path / "a.npy", (tmp_path / "b.npz").rename(tmp_path / "b.npy")):
        with pytest.raises(DataError, match=f"{file.name}: this is no array of numbers"):
            read_file(file)


@pytest.mark.parametrize(
    "arrays, says",
    [({"images": numpy.zeros((3, 8, 8), "u1"), "labels": [0, 1]}, r"labels are int64 of shape \(2,\) for 3 images"),
     ({"images": numpy.zeros((2, 8, 8), "u1"), "labels": [0.0, 1.0]}, "labels are float64"),
     ({"images": numpy.zeros((2, 8, 8), "u1"), "labels": [-1, 1]}, "for 2 images, from -1 to 1; wanted"),
     ({"images": numpy.zeros((2, 8, 8), "u1"), "labels": [-1, 0]}, "0 for the first class"),
     ({"pictures": numpy.zeros((2, 8, 8), "u1")}, r"\(it has pictures\); wanted `images`"),
     ({"x_train": numpy.zeros((2, 8, 8), "u1"), "x_test": numpy.zeros((2, 9, 9), "u1")}, "wanted one size")],
)  # fmt: skip
def test_files_that_do_not_match(tmp_path, arrays, says):
    numpy.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=says):
        read_file(tmp_path / "a.npz")


def test_arrays_are_fitted(colours):
    data = ImageSet(colours, x_test=colours[:1], source="six")
    assert data.fitted() is data and data.fitted(8, 3) is data
    grey = data.fitted(16, 1)
    assert grey.x_train.shape == (6, 16, 16) and grey.x_test.shape == (1, 16, 16)
    assert grey.source == "six, of 8 x 8 pixels, scaled to 16 x 16"
    wide = ImageSet(colours[:, :4], source="six").fitted()
    assert (wide.x_train == colours[:, :4, 2:6]).all() and wide.source.endswith("8 x 4 pixels, cropped in the middle")
