"""`minigan evaluate` and `minigan train-classifier`: the same numbers as the functions, and a sentence for bad input.

Digits are the built-in ones, few of them: 300 to train, 120 to test.
"""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
from click.testing import CliRunner
from PIL import Image

from minigan import datasets, metrics, pictures
from minigan.cli import main
from minigan.cli.data import read
from minigan.cli.progress import bar
from minigan.dataset.errors import DataError
from minigan.metrics import lenet

TINY = "--steps 1 --width 4 --z-dim 5 --batch-size 8 --ema 0 --quiet".split()
pytestmark = pytest.mark.usefixtures("own_place")


@pytest.fixture(scope="module")
def digits():
    return read("builtin")


@pytest.fixture(scope="module")
def folder(digits, tmp_path_factory):
    """few.npz as Keras' mnist.npz; copies.npz and other.npz of 100 images each."""
    path = tmp_path_factory.mktemp("data")
    few = {"x_train": digits.x_train[:300], "y_train": digits.y_train[:300]}
    numpy.savez(path / "few.npz", **few, x_test=digits.x_test[:120], y_test=digits.y_test[:120])
    numpy.savez(path / "copies.npz", images=digits.x_train[:100])
    numpy.savez(path / "other.npz", images=255 - digits.x_train[1000:1100, None])
    numpy.savez(path / "labels.npz", images=digits.x_train[1000:1100], labels=digits.y_train[1000:1100])
    numpy.savez(path / "wrong.npz", images=digits.x_train[:100], labels=numpy.full(100, 10))
    numpy.savez(path / "three.npz", images=digits.x_train[:3])
    numpy.savez(path / "colours.npz", images=numpy.zeros((100, 32, 32, 3), numpy.uint8))
    numpy.savez(path / "points.npz", points=numpy.zeros((100, 2)))
    numpy.save(path / "half.npy", numpy.full((100, 28, 28), 9, numpy.float16))
    (path / "bad.npy").write_bytes(b"no array")
    (path / "bad.npz").write_bytes(b"no archive")
    (path / "empty").mkdir()
    return path


def call(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments], prog_name="minigan")
    assert result.exit_code == code, (result.output, result.exception)
    return result


def process(*arguments):
    command = [sys.executable, "-m", "minigan", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_shipped_classifiers_are_small_and_as_good_as_they_say(digits):
    for name, least, title in (("mnist", 0.99, "MNIST"), ("fashion", 0.90, "Fashion-MNIST")):
        net, facts = lenet.load(lenet.SHIPPED[name])
        assert facts["accuracy"] >= least and facts["stored_accuracy"] >= least
        assert facts["data"] == f"{title}: 60,000 training and 10,000 test images"
        assert (facts["layer"], facts["dimension"], facts["seed"]) == ("fc3, after ReLU", 128, 0)
        assert lenet.SHIPPED[name].stat().st_size < 200_000
        if name == "mnist":
            assert lenet.accuracy(net, digits.x_test, digits.y_test) >= 0.985  # 2,000 of the 10,000


def test_features_and_logits_do_not_depend_on_the_batch(digits, monkeypatch):
    net, _ = lenet.load(lenet.SHIPPED["mnist"])
    features, logits = lenet.see(net, digits.x_test[:30])
    assert features.shape == (30, 128) and (features >= 0).all() and logits.shape == (30, 10)
    monkeypatch.setattr(lenet, "BATCH", 7)
    for whole, parts in zip((features, logits), lenet.see(net, digits.x_test[:30])):
        numpy.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-4)
    numpy.testing.assert_allclose(features @ net.fc4.W.array.T + net.fc4.b.array, logits, rtol=1e-4, atol=1e-4)


def test_stacked_digits_are_modes(digits):
    net, _ = lenet.load(lenet.SHIPPED["mnist"])
    stacked = numpy.stack([digits.x_test[i : i + 90] for i in (0, 100, 200)], axis=3)
    labels = numpy.stack([digits.y_test[i : i + 90] for i in (0, 100, 200)], axis=1)
    found = lenet.classes(net, stacked)
    assert found.shape == (90, 3) and (found == labels).mean() > 0.95
    expected = len({tuple(row) for row in found.tolist()})
    assert metrics.mode_coverage(metrics.stacked_modes(found))[:2] == (expected, 1000)


def test_train_classifier_learns_says_what_it_did_and_does_it_again(folder, digits):
    result = call("train-classifier", "--data", folder / "few.npz", "--epochs", 8, "--seed", 3, "--out", "a.npz")
    net, facts = lenet.load("a.npz")
    assert facts["stored_accuracy"] == lenet.accuracy(net, digits.x_test[:120], digits.y_test[:120]) > 0.5
    assert f"{facts['accuracy']:.2%} of 120 test images right" in result.stdout
    assert facts["data"] == "MNIST: 300 training and 120 test images" and str(folder) not in json.dumps(facts)
    call("train-classifier", "--data", folder / "few.npz", "--epochs", 8, "--seed", 3, "--out", "b.npz", "--quiet")
    with numpy.load("a.npz") as a, numpy.load("b.npz") as b:
        assert len(a.files) == 9 and all((a[name] == b[name]).all() for name in a.files)
        assert all(a[name].dtype == numpy.float16 for name in a.files if name != "facts")


def test_evaluate_gives_the_numbers_of_the_functions(folder, digits):
    result = process("evaluate", folder / "other.npz", "--against", folder / "few.npz", "--json", "r.json")
    assert result.returncode == 0, result.stderr
    assert "\r" not in result.stderr and len(result.stderr.splitlines()) == 1  # no bar where there is no terminal
    report = json.loads(Path("r.json").read_text())
    assert report["n"] == 100 and "N = 100 on either side" in result.stdout and report["spread"] is None
    net, facts = lenet.load(lenet.SHIPPED["mnist"])
    assert report["classifier"] == facts and f"accuracy {facts['stored_accuracy']:.2%}" in result.stdout
    order = numpy.random.RandomState(0).permutation(120)[:100]
    real, other = (lenet.see(net, x)[0] for x in (digits.x_test[:120][order], 255 - digits.x_train[1000:1100]))
    (found,) = report["samples"].values()
    assert found["frechet"] == pytest.approx(metrics.frechet_distance(real, other), rel=1e-4)
    assert found["coverage"] == pytest.approx(metrics.density_coverage(real, other)[1], abs=0.02)
    assert sum(found["histogram"]) == 100 and found["copies"] == 0 and found["nearest"] > 1.5
    floor = report["floor"]
    assert floor["frechet"] < found["frechet"] and floor["nearest"] == 1 and floor["coverage"] > 0.8
    for title, _ in metrics.MEASURES.values():
        assert title in result.stdout
    assert "One run shows no spread" in result.stdout


def test_several_runs_show_their_spread_and_copies_are_found(folder):
    names = [str(folder / "copies.npz"), str(folder / "other.npz")]
    result = call("evaluate", *names, "--against", folder / "few.npz", "--nearest", "near.png", "--json", "r.json")
    report = json.loads(Path("r.json").read_text())
    first, second = (report["samples"][name] for name in names)
    assert first["copies"] == 1 and first["nearest"] == 0
    a, b = first["frechet"], second["frechet"]
    expected = {"mean": pytest.approx((a + b) / 2), "std": pytest.approx(abs(a - b) / numpy.sqrt(2))}
    assert report["spread"]["frechet"] == expected
    assert "mean +- std" in result.stdout and "One run" not in result.stdout and f"2 = {names[1]}" in result.stdout
    picture = pictures.read_png("near.png")
    assert picture.shape == (238, 238) and (picture[:28] == picture[30:58]).all()  # the twins stand below


def test_labels_are_compared_with_the_classifier_and_teach_another(folder):
    names = [str(folder / "labels.npz"), str(folder / "other.npz")]
    more = ("--against", folder / "few.npz", "--json", "r.json", "--train-on-samples", 12)
    result = call("evaluate", *names, *more)
    report = json.loads(Path("r.json").read_text())
    labelled, other = (report["samples"][name] for name in names)
    assert labelled["agreed"] > 0.95 and report["floor"]["agreed"] > 0.95
    assert 0.3 < labelled["taught"] < 1 and 0.3 < report["floor"]["taught"] < 1  # 12 images of each digit teach little
    assert "agreed" not in other and "agreed" not in report["spread"] and "frechet" in report["spread"]
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("labels that the classifier")]
    assert line.split()[-2:] == ["-", "-"]


def test_a_run_is_drawn_from_and_a_folder_of_images_is_halved(folder, digits):
    call("train", "--data", folder / "few.npz", "--out", "run", *TINY)
    (images := folder / "images").mkdir(exist_ok=True)
    for i, image in enumerate(digits.x_train[:120]):
        Image.fromarray(image).save(images / f"{i}.png")
    result = call("evaluate", "run", "run/gen.npz", "--against", images, "--n", 60, "--json", "r.json", "--quiet")
    report = json.loads(Path("r.json").read_text())
    assert report["n"] == 60 and report["samples"]["run"] == report["samples"]["run/gen.npz"]
    assert "one half of 120 images" in result.stdout and not result.stderr
    assert report["samples"]["run"]["frechet"] > 2 * report["floor"]["frechet"]


BAD = [
    ("nothing.npz", [], 1, "nothing.npz: there is no such folder or file; give a run folder"),
    ("other.npz", ["--against", "nowhere"], 1, "nowhere: there is no such folder or file"),
    ("other.npz", ["--against", "empty"], 1, "there are no images in this folder"),
    ("other.npz", ["--against", "three.npz"], 1, "1 images to compare with are too few; wanted 50"),
    ("three.npz", [], 1, "3 images are too few; wanted 50 or more"),
    ("colours.npz", [], 1, "images are of 32 x 32 pixels in colour; wanted 28 x 28 pixels in grey, for"),
    ("half.npy", [], 1, "images are float16 from 9.0 to 9.0; wanted bytes from 0 to 255, or"),
    ("points.npz", [], 1, "(it has points); wanted `images`, as `minigan sample` writes it"),
    ("wrong.npz", [], 1, "images are of 11 classes, and the classifier knows 10; give --classifier"),
    ("bad.npy", [], 1, "this is no array of numbers, or a damaged one"),
    ("bad.npz", [], 1, "neither an npz nor an HDF5 file"),
    ("other.npz", ["--classifier", "other.npz"], 1, "this is no classifier of minigan"),
    ("other.npz", ["other.npz"], 2, "is named twice"),
    ("other.npz", ["--n", "49"], 2, "49 is not in the range"),
    ("other.npz", ["--json", "nowhere/r.json"], 2, "the folder nowhere does not exist"),
]


@pytest.mark.parametrize("samples, more, code, text", BAD)
def test_bad_input_is_one_sentence_before_the_work(samples, more, code, text, folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(lenet, "see", lambda *_: pytest.fail("the work had begun"))
    against = [] if "--against" in more else ["--against", "few.npz"]
    result = call("evaluate", samples, *against, *more, code=code)
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert text in line


@pytest.fixture(scope="module")
def pictures_of_three(tmp_path_factory):
    """120 pictures of 16 x 16 pixels, red, green and blue ones, in sub-folders."""
    path, random = tmp_path_factory.mktemp("pictures"), numpy.random.RandomState(0)
    for i in range(120):
        (path / "rgb"[i % 3]).mkdir(exist_ok=True)
        pixels = random.randint(0, 100, (16, 16, 3)).astype(numpy.uint8)
        pixels[..., i % 3] += 100
        Image.fromarray(pixels).save(path / "rgb"[i % 3] / f"{i}.png")
    return path


def test_other_sizes_colours_and_a_conditional_run(pictures_of_three):
    data = ["--data", f"folder:{pictures_of_three}", "--size", 16]
    said = call("train-classifier", *data, "--epochs", 8, "--out", "c.npz", "--quiet").stdout
    assert "of 12 test images right" in said
    net, facts = lenet.load("c.npz")
    assert (facts["channels"], facts["size"], facts["n_classes"], net.shape) == (3, 16, 3, (16, 16, 3))
    assert facts["data"] == f"120 images below {pictures_of_three.name}, of 16 x 16 pixels, of which 12 are set aside"
    call("train", "cgan", *data, "--out", "run", *TINY)
    against = ["--against", data[1], "--classifier", "c.npz", "--n", 60, "--json", "r.json"]
    said = call("evaluate", "run", pictures_of_three, *against, "--nearest", "n.png").stdout
    report = json.loads(Path("r.json").read_text())
    run, copies = report["samples"]["run"], report["samples"][str(pictures_of_three)]
    assert copies["agreed"] == report["floor"]["agreed"] == 1 and copies["frechet"] < run["frechet"]
    assert 0 <= run["agreed"] <= 0.7 and len(run["histogram"]) == 3 and "labels that the classifier agrees" in said
    assert pictures.read_png("n.png").shape == (4 * 2 * 18 - 2, 8 * 18 - 2, 3)
    assert "fc2, after ReLU, 128 numbers" in said and "one half of 120 images below" in said
    labels = ["labels.npz", {"images": numpy.zeros((60, 16, 16, 3), "u1"), "labels": numpy.full(60, 3)}]
    numpy.savez(labels[0], **labels[1])
    text = call("evaluate", labels[0], *against, code=1).stderr
    assert "images are of 4 classes, and the classifier knows 3" in text


def test_what_cannot_teach_a_classifier(pictures_of_three):
    text = call("train-classifier", "--data", f"folder:{pictures_of_three / 'r'}", code=1).stderr
    assert "the images have no classes; sort them into sub-folders" in text
    numpy.savez("few.npz", images=numpy.zeros((9, 28, 28), "u1"), labels=numpy.arange(9))
    assert "9 images are too few; wanted 10" in call("train-classifier", "--data", "npz:few.npz", code=1).stderr


def test_a_classifier_may_see_any_size():
    for size, depth in ((8, 0), (12, 1), (32, 2), (64, 3)):
        net = lenet.LeNet(4, size, 7)
        assert net.depth == depth and net.layer == f"fc{depth + 1}, after ReLU"
        features, logits = lenet.see(net, numpy.zeros((3, size, size, 4), numpy.uint8))
        assert features.shape == (3, 128) and logits.shape == (3, 7)


def test_a_run_of_another_size_is_refused(folder):
    call("train", "--data", folder / "few.npz", "--channels", 3, "--out", "run", *TINY)
    result = call("evaluate", "run", "--against", folder / "few.npz", code=1)
    assert "run: images are of 28 x 28 pixels in colour; wanted 28 x 28 pixels in grey" in result.stderr


@pytest.mark.parametrize("out, text", [("c.txt", "must end in .npz"), ("nowhere/c.npz", "does not exist")])
def test_train_classifier_refuses_a_wrong_name(out, text):
    assert text in call("train-classifier", "--out", out, code=2).stderr


def test_a_classifier_that_lacks_its_facts_is_refused():
    lenet.save("c.npz", lenet.LeNet(), {"seed": 0})
    with pytest.raises(DataError, match="it does not say its accuracy, data"):
        lenet.load("c.npz")
    with pytest.raises(DataError, match="give features of your own"):
        lenet.LeNet().as_input(numpy.zeros((2, 32, 32), numpy.uint8))


def test_a_bar_is_drawn_on_a_terminal_alone(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for stream, quiet, drawn in ((Terminal(), False, True), (Terminal(), True, False), (io.StringIO(), False, False)):
        monkeypatch.setattr(sys, "stderr", stream)
        assert list(bar("features", quiet)(range(3))) == [0, 1, 2]
        assert ("features" in stream.getvalue() and "100%" in stream.getvalue()) == drawn
        assert drawn or not stream.getvalue()


def test_the_titles_are_those_of_the_data():
    assert datasets.mnist.TITLES["fashion-mnist"] == "Fashion-MNIST"  # `real_images` goes by it
