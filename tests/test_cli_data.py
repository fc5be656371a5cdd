"""`--data folder:DIR` and `hdf5:FILE` on the command line: trained from, looked at, and refused in one sentence."""

import json
import os
import subprocess
import sys

import h5py
import numpy
import pytest
from click.testing import CliRunner
from PIL import Image

from minigan.cli import main
from minigan.cli.data import load_images, named_data, read
from minigan.pictures import read_png

TINY = "--width 4 --z-dim 5 --batch-size 8 --steps 2 --ema 0 --quiet".split()
pytestmark = pytest.mark.usefixtures("own_place")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """pictures/: 12 pictures of 3 classes and mixed sizes; and the files that the tests of bad input name."""
    path, random = tmp_path_factory.mktemp("data"), numpy.random.RandomState(0)
    images = random.randint(0, 256, (12, 32, 40, 3)).astype(numpy.uint8)
    for i, image in enumerate(images):
        (place := path / "pictures" / f"class{i % 3}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[:, : 32 + i % 2]).save(place / f"{i}.png")
    (path / "labels.txt").write_text("".join(f"class{i % 3}/{i}.png {i % 2}\n" for i in range(12)))
    (path / "few.txt").write_text("class0/0.png 1\n")
    (path / "empty").mkdir()
    (path / "bad").mkdir()
    (path / "bad" / "a.png").write_bytes(b"no picture")
    Image.new("RGB", (32, 32)).save(path / "bad" / "b.png")
    with h5py.File(path / "a.h5", "w") as file:
        file["images"], file["labels"] = images[..., :32, :], numpy.arange(12) % 3
    (path / "cut.h5").write_bytes((path / "a.h5").read_bytes()[:3000])
    (path / "text.h5").write_text("no data")
    with h5py.File(path / "wide.h5", "w") as file:
        file["images"] = numpy.zeros((4, 32, 32, 2))
    return path


def process(*arguments, code=0):
    command = [sys.executable, "-m", "minigan", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == code, result.stderr
    return result


def call(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments], prog_name="minigan")
    assert result.exit_code == code, (result.output, result.exception)
    return result


def settings(run):
    return json.loads((run / "config.json").read_text())


def test_a_folder_trains_and_goes_on_with_the_same_pictures(folder, tmp_path):
    data = f"folder:{folder / 'pictures'}"
    process("train", "acgan", "--data", data, "--size", 32, "--out", "run", *TINY)
    config = settings(tmp_path / "run")
    wanted = {"size": 32, "channels": 3, "n_classes": 3, "data": data}
    assert {name: config["settings"][name] for name in wanted} == wanted
    assert config["data"]["classes"] == ["class0", "class1", "class2"]
    assert "of 32 x 32 to 33 x 32 pixels, cropped in the middle" in config["data"]["description"]
    process("train", "--resume", "run", "--steps", 3, "--quiet")
    assert (tmp_path / "run" / "snapshot_iter_3").exists()
    text = call("train", "--resume", "run", "--labels", folder / "labels.txt", "--steps", 4, code=1).stderr
    assert "the data is not that with which run began" in text
    assert "was trained with size 32, not 64" in call("train", "--resume", "run", "--size", 64, code=2).stderr


@pytest.mark.parametrize("name, channels", [("hdf5:a.h5", 3), ("hdf5:a.h5", 1)])
def test_a_file_of_images_trains(folder, tmp_path, monkeypatch, name, channels):
    monkeypatch.chdir(folder)
    call("train", "cgan", "--data", name, "--channels", channels, "--out", tmp_path / "run", *TINY)
    config = settings(tmp_path / "run")
    assert (config["settings"]["channels"], config["settings"]["size"]) == (channels, 32)
    assert config["settings"]["data"] == f"hdf5:{folder / 'a.h5'}"


@pytest.mark.parametrize("data", ["hdf5:a.h5", "npz:a.npz"])
def test_a_run_knows_the_labels_of_a_file_again(folder, tmp_path, data):
    def written(labels):
        if data.startswith("hdf5"):
            with h5py.File("a.h5", "w") as file:
                file["images"], file["labels"] = images, labels
        else:
            numpy.savez("a.npz", images=images, labels=labels)
        return load_images({"data": data})[2]["crc32"]

    with h5py.File(folder / "a.h5") as file:
        images = file["images"][:, :16, :16]
    first = written(numpy.arange(12) % 3)
    assert written(numpy.arange(12, dtype=numpy.uint8) % 3) == first
    call("train", "cgan", "--data", data, "--out", "run", *TINY)
    assert written(numpy.arange(12) // 4) != first
    said = call("train", "--resume", "run", "--steps", 3, code=1).stderr
    assert "the data is not that with which run began" in said and not os.path.exists("run/.lock")


def test_classes_without_an_image_are_refused_before_a_folder_is_made(folder, tmp_path):
    numpy.savez("gaps.npz", images=numpy.zeros((12, 8, 8), numpy.uint8), labels=[0, 1, 2, 4, 5, 7] * 2)
    for gan in ("cgan", "acgan"):
        said = call("train", gan, "--data", "gaps.npz", *TINY, code=2).stderr
        assert f"{gan} learns a class from its images; --data {tmp_path / 'gaps.npz'} has classes up to 7" in said
        assert "and no image of class 3 and 1 more: number the classes from 0 without gaps" in said
    call("train", "--data", "gaps.npz", "--dry-run", *TINY)  # a GAN that is told no class has no need of them


def test_many_images_are_scaled_when_they_are_asked_for(folder, tmp_path, monkeypatch):
    wanted = ["train", "acgan", "--data", f"hdf5:{folder / 'a.h5'}", *TINY, "--out"]
    call(*wanted, "whole")
    monkeypatch.setattr(sys.modules["minigan.cli.data"], "RESIDENT", 0)
    call(*wanted, "lazy")
    with numpy.load("whole/gen.npz") as whole, numpy.load("lazy/gen.npz") as lazy:
        assert all((whole[name] == lazy[name]).all() for name in whole.files)
    images, _, _ = load_images({"data": f"hdf5:{folder / 'a.h5'}"})
    assert not isinstance(images, numpy.ndarray) and images.shape == (12, 3, 32, 32) and images[3].dtype == "f"


def test_data_says_what_is_there(folder):
    facts = json.loads(call("data", "--data", folder / "pictures", "--size", 28, "--json", "--grid", "g.png").stdout)
    assert facts["training images per class"] == [4, 4, 4] and facts["classes"] == ["class0", "class1", "class2"]
    assert facts["shape"] == [28, 28, 3] and "scaled to 28 x 28" in facts["source"] and facts["test images"] == 0
    assert read_png("g.png").shape == (118 - 30, 118, 3)
    said = call("data", "--data", f"folder:{folder / 'pictures'}", "--labels", folder / "labels.txt").stdout
    assert "[6, 6]" in said and "cropped in the middle and scaled to 64 x 64" in said


def test_digits_can_be_scaled_and_other_names_stay(folder):
    images, labels, noted = load_images({"data": "builtin", "size": 32, "channels": 3})
    assert images.shape == (8000, 3, 32, 32) and images.dtype == numpy.float32 and images.flags.c_contiguous
    assert images.min() == -1 and len(labels) == 8000 and "scaled to 32 x 32" in noted["description"]
    whole, _, noted = load_images({"data": "builtin"})
    pixels = read("builtin").x_train
    assert (whole == pixels[:, None].astype(numpy.float32) / 127.5 - 1).all() and noted["crc32"] == 3480423880
    assert named_data("hdf5:x.h5") == f"hdf5:{os.path.abspath('x.h5')}"


def test_cifar10_is_read_from_the_cache(monkeypatch, tmp_path, rng):
    place = tmp_path / "pfnet" / "chainer" / "cifar"
    place.mkdir(parents=True)
    arrays = {"train_x": rng.randint(0, 256, (20, 3072)), "train_y": numpy.arange(20) % 10}
    arrays |= {"test_x": arrays["train_x"][:10], "test_y": numpy.arange(10)}
    numpy.savez(place / "cifar-10.npz", **{k: v.astype(numpy.uint8) for k, v in arrays.items()})
    monkeypatch.setenv("CHAINER_DATASET_ROOT", str(tmp_path))
    found = read("cifar10")
    assert found.x_train.shape == (20, 32, 32, 3) and found.y_test.tolist() == list(range(10))
    assert (found.x_train.transpose(0, 3, 1, 2).reshape(20, -1) == arrays["train_x"]).all()


BAD = [
    ("folder:empty", [], 1, "there are no images in this folder"),
    ("empty", [], 1, "there are no images in this folder"),
    ("folder:nowhere", [], 1, "there is no such folder or file"),
    ("folder:a.h5", [], 1, "this is a file; pass hdf5:FILE"),
    ("hdf5:pictures", [], 1, "this is a folder; pass folder:DIR"),
    ("folder:bad", [], 1, "1 of 2 images cannot be read: a.png"),
    ("folder:pictures", ["--labels", "few.txt"], 1, "few.txt: it says nothing of class0/3.png and 10 more"),
    ("folder:pictures", ["--labels", "none.txt"], 2, "'none.txt' does not exist"),
    ("folder:pictures", ["--channels", "2"], 2, "2 is none of 1 (grey), 3 (colours) and 4 (with opacity)"),
    ("folder:pictures", ["--size", "0"], 2, "0 is not in the range"),
    ("hdf5:a.h5", ["--labels", "few.txt"], 2, "--labels and --skip-bad are for --data folder:DIR"),
    ("hdf5:cut.h5", [], 1, "cut.h5: the file is"),
    ("hdf5:text.h5", [], 1, "neither an npz nor an HDF5 file"),
    ("hdf5:wide.h5", [], 1, "float64 of shape (4, 32, 32, 2); wanted (N, H, W)"),
    ("mnist", ["--skip-bad"], 2, "--labels and --skip-bad are for"),
]


@pytest.mark.parametrize("data, more, code, text", BAD)
@pytest.mark.parametrize("command", ["train", "data"])
def test_bad_input_is_one_sentence_before_anything_is_done(command, data, more, code, text, folder, monkeypatch):
    monkeypatch.chdir(folder)
    result = call(command, "--data", data, *more, code=code)
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert text in line and not (folder / "runs").exists()


def test_the_ring_has_no_size(folder):
    text = "--size is for images that are read; --data ring is made"
    assert text in call("train", "--data", "ring", "--size", 28, code=2).stderr


def test_bad_pictures_are_left_out_if_asked(folder):
    said = call("data", "--data", f"folder:{folder / 'bad'}", "--skip-bad").stdout
    assert "(1 unreadable left out: a.png)" in said
