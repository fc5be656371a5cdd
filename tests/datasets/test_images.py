"""Image files as data sets: channels, dtypes, lists in text files, and errors that name the file."""

import pickle
import struct
import zipfile
import zlib

import numpy as np
import pytest

from minigan import datasets as D
from minigan.dataset import DataError
from minigan.datasets import images
from minigan.iterators import MultiprocessIterator

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
    whole = (folder / "colour.png").read_bytes()
    for content in (b"", whole[:40], whole[:60], whole[:45] + bytes(20) + whole[65:], b"no image"):
        (folder / "cut.png").write_bytes(content)
        with pytest.raises(DataError, match=r"cut\.png: this is no image, or a damaged one"):
            D.ImageDataset(["cut.png"], str(folder))[0]


# --- archives ---


@pytest.fixture
def archive(folder):
    path = folder / "images.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("sub/", "")
        for name in ("grey.png", "colour.png", "alpha.png"):
            file.write(folder / name, f"sub/{name}")
    return path


def test_archives(folder, archive):
    images = D.ZippedImageDataset(archive)
    assert [x.shape for x in images] == [(1, 4, 5), (3, 4, 5), (4, 3, 2)]  # Chainer 7.8.1's too: the archive's order
    np.testing.assert_array_equal(images[1], D.ImageDataset(["colour.png"], str(folder))[0])
    several = D.MultiZippedImageDataset([archive, str(archive)], dtype=np.int32)
    assert len(several) == 6 and several[5].shape == (4, 3, 2) and several[3].dtype == np.int32
    (folder / "labels.txt").write_text("sub/alpha.png 4\nsub/grey.png 2\n")
    pairs = D.LabeledZippedImageDataset(archive, str(folder / "labels.txt"), label_dtype=np.float32)
    assert [(x.shape, float(t), t.dtype) for x, t in pairs] == [((4, 3, 2), 4, np.float32), ((1, 4, 5), 2, np.float32)]
    again = pickle.loads(pickle.dumps(several))
    np.testing.assert_array_equal(again[4], several[4])


def test_processes_read_one_archive(archive):
    """A file that is open in several processes has one place that all of them move."""
    data = D.ZippedImageDataset(archive)
    data[0]
    with MultiprocessIterator(data, 6, shuffle=False, n_processes=3, n_prefetch=4) as iterator:
        for _ in range(50):
            assert [x.shape for x in next(iterator)] == [(1, 4, 5), (3, 4, 5), (4, 3, 2)] * 2


def test_damaged_archives(folder, archive, monkeypatch):
    with pytest.raises(FileNotFoundError):
        D.ZippedImageDataset(folder / "none.zip")
    whole = archive.read_bytes()
    bad = folder / "bad.zip"
    for content in (b"", b"PK", whole[:-30], whole[: len(whole) // 2], b"text" * 30):
        bad.write_bytes(content)
        with pytest.raises(DataError, match=r"bad\.zip: the file is damaged or cut short"):
            D.ZippedImageDataset(bad)
    with pytest.raises(DataError, match=r"images\.zip: none\.png: the file is damaged .*no item named"):
        D.LabeledZippedImageDataset(archive, [("none.png", 1)])[0]
    start = whole.index(b"sub/colour.png") + 40
    bad.write_bytes(whole[:start] + bytes(20) + whole[start + 20 :])
    with pytest.raises(DataError, match=r"bad\.zip: sub/colour\.png: "):
        D.ZippedImageDataset(bad)[1]
    monkeypatch.setattr(images, "_LIMIT", 10)
    with pytest.raises(DataError, match="more than 10 bytes"):
        D.ZippedImageDataset(archive)[0]


def test_a_zip_bomb_is_refused_before_it_fills_the_memory(folder, monkeypatch):
    monkeypatch.setattr(images, "_LIMIT", 1 << 24)
    path = folder / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, file.open("a.png", "w") as member:
        for _ in range(20):
            member.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 15
    with pytest.raises(DataError, match=r"a\.png: the image file has more than 16,777,216 bytes"):
        D.ZippedImageDataset(path)[0]


def test_an_image_that_claims_a_huge_size(folder):
    content = bytearray((folder / "colour.png").read_bytes())
    content[16:24] = struct.pack(">2I", 60000, 60000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (folder / "huge.png").write_bytes(content)
    with pytest.raises(DataError, match=r"huge\.png: .*decompression bomb"):
        D.ImageDataset(["huge.png"], str(folder))[0]


# --- a folder, for GANs ---


def test_a_folder_gives_one_size_and_range(folder):
    (folder / "deeper").mkdir()
    PIL.fromarray(np.full((40, 30, 3), 255, np.uint8)).save(folder / "deeper" / "white.JPG")
    for channels in (1, 3, 4):
        images = D.ImageFolderDataset(folder, 8, channels=channels)
        assert len(images) == 4
        for x in images:
            assert x.shape == (channels, 8, 8) and x.dtype == np.float32 and x.flags.c_contiguous
            assert -1 <= x.min() <= x.max() <= 1
    white = D.ImageFolderDataset(folder, (28, 32), "random", 1, np.float64)[2]
    assert white.shape == (1, 28, 32) and white.dtype == np.float64 and (white == 1).all()
    grey = D.ImageFolderDataset(folder, (4, 5), None, 1)[3]
    pixels = np.asarray(PIL.open(folder / "grey.png")).astype(np.float32)
    np.testing.assert_array_equal(grey[0], pixels / 127.5 - 1)


def test_crops(tmp_path):
    ramp = np.tile(np.arange(100, dtype=np.uint8)[:, None], (1, 40))
    PIL.fromarray(ramp).save(tmp_path / "ramp.png")
    centre = D.ImageFolderDataset(tmp_path, 40, channels=1)[0]
    np.testing.assert_allclose((centre[0, :, 0] + 1) * 127.5, np.arange(30, 70), rtol=1e-6)
    squeezed = (D.ImageFolderDataset(tmp_path, 40, None, 1)[0][0, :, 0] + 1) * 127.5
    assert squeezed[0] < 3 and squeezed[-1] > 96
    images = D.ImageFolderDataset(tmp_path, 40, "random", 1, random=np.random.RandomState(1))
    tops = [(images[0][0, 0, 0] + 1) * 127.5 for _ in range(200)]
    assert min(tops) < 3 and max(tops) > 57 and max(tops) <= 60
    again = D.ImageFolderDataset(tmp_path, 40, "random", 1, random=np.random.RandomState(1))
    np.testing.assert_array_equal([(again[0][0, 0, 0] + 1) * 127.5 for _ in range(200)], tops)


@pytest.mark.parametrize("crop", ["center", "random"])
def test_a_part_that_rounding_makes_larger_than_the_image(crop):
    """30 / 29 * 29 is above 30, so that the part would begin above the image."""
    for side in range(1, 60):
        assert images.fit(PIL.new("L", (40, 30)), (side, side), 1, crop).shape == (side, side)


GRADIENT = np.tile(np.arange(0, 250, 10, dtype=np.uint8), (20, 1))  # darker on the left


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA", "CMYK", "1"])
def test_every_kind_of_image(tmp_path, mode):
    name = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    PIL.fromarray(GRADIENT).convert(mode).save(name)
    for channels in (1, 3, 4):
        (image,) = D.ImageFolderDataset(tmp_path, GRADIENT.shape, channels=channels)
        np.testing.assert_allclose(image[0].mean(), GRADIENT.mean() / 127.5 - 1, atol=0.05)
        if mode != "1":
            np.testing.assert_allclose((image[0] + 1) * 127.5, GRADIENT, atol=3)


def test_sixteen_bits_are_not_cut_off_and_32_are_refused(tmp_path):
    for name in ("a.png", "b.tif"):
        PIL.fromarray(GRADIENT.astype(np.uint16) * 257).save(tmp_path / name)
    for image in D.ImageFolderDataset(tmp_path, GRADIENT.shape, channels=1):
        np.testing.assert_allclose((image[0] + 1) * 127.5, GRADIENT, rtol=1e-5)
    PIL.fromarray(GRADIENT.astype(np.float32)).save(tmp_path / "c.tif")
    with pytest.raises(DataError, match=r"c\.tif: its pixels are numbers of 32 bits"):
        D.ImageFolderDataset(tmp_path)[2]


@pytest.mark.parametrize(
    "orientation, stored",  # how a camera that was turned stores the picture
    [(1, GRADIENT), (2, GRADIENT[:, ::-1]), (3, GRADIENT[::-1, ::-1]), (6, np.rot90(GRADIENT)),
     (8, np.rot90(GRADIENT, -1))],
)  # fmt: skip
def test_photos_are_turned_upright(tmp_path, orientation, stored):
    exif = PIL.Exif()
    exif[0x112] = orientation
    PIL.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=exif)
    (image,) = D.ImageFolderDataset(tmp_path, GRADIENT.shape, channels=1)
    np.testing.assert_allclose((image[0] + 1) * 127.5, GRADIENT, rtol=1e-5)


def test_opacity_and_moving_pictures(tmp_path):
    alpha = PIL.fromarray(np.full((8, 8, 3), 90, np.uint8))
    alpha.putalpha(PIL.fromarray(np.full((8, 8), 30, np.uint8)))
    alpha.save(tmp_path / "a.png")
    alpha.quantize(4).save(tmp_path / "b.png")  # transparency in the palette
    for image in D.ImageFolderDataset(tmp_path, 8, channels=4):
        np.testing.assert_allclose((image + 1)[:, 2, 2] * 127.5, [90, 90, 90, 30], atol=1)
    frames = [PIL.fromarray(np.full((8, 8), value, np.uint8)) for value in (10, 200)]
    frames[0].save(tmp_path / "c.gif", save_all=True, append_images=frames[1:])
    assert (D.ImageFolderDataset(tmp_path, np.int64(8), channels=1)[2] == np.float32(10 / 127.5 - 1)).all()


def test_what_is_no_picture_in_a_folder(tmp_path, folder):
    for name in (".hidden.png", "._colour.png", "notes.md", ".cache/a.png", "__MACOSX/b.png", "c.png/d.PNG"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"no image")
    (tmp_path / "z.png").symlink_to(tmp_path / "grey.png")
    (tmp_path / "around").symlink_to(tmp_path)
    names = [path.removeprefix(f"{tmp_path}/") for path in D.ImageFolderDataset(folder).paths]
    assert names == ["alpha.png", "c.png/d.PNG", "colour.png", "grey.png", "z.png"]


def test_wrong_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        D.ImageFolderDataset(tmp_path / "nowhere")
    with pytest.raises(DataError, match="there are no images in this folder"):
        D.ImageFolderDataset(tmp_path)
    for wrong in ({"size": 0}, {"crop": "left"}, {"channels": 2}):
        with pytest.raises(ValueError, match="wanted a size of 1 or more"):
            D.ImageFolderDataset(tmp_path, **wrong)
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"a\.png: this is no image"):
        D.ImageFolderDataset(tmp_path)[0]
