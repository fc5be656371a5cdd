"""`minigan sample` where rows belong together: walks, and the same noise at several truncations."""

import numpy
import pytest
from click.testing import CliRunner
from PIL import Image

from minigan.cli import main
from minigan.pictures import read_png


@pytest.fixture(scope="module", params=["gan", "cgan", "infogan"])
def run(request, tmp_path_factory, plain_charts):
    out = tmp_path_factory.mktemp("runs") / request.param
    tiny = "--arch mlp --data builtin --width 4 --z-dim 5 --steps 1 --quiet --out".split()
    assert CliRunner().invoke(main, ["train", request.param, *tiny, str(out)]).exit_code == 0
    return out


def sample(run, out, *arguments, code=0):
    given = [str(a) for a in ("sample", run, "--out", out, *arguments)]
    result = CliRunner().invoke(main, given)
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def arrays(run, out, *arguments):
    sample(run, out, *arguments)
    with numpy.load(out) as npz:
        return {name: npz[name] for name in npz.files}


def test_a_row_begins_with_what_is_drawn_else_and_keeps_its_class(run, tmp_path):
    plain = arrays(run, tmp_path / "plain.npz", "--n", 3)
    walks = arrays(run, tmp_path / "walks.npz", "--interpolate", "--rows", 3, "--columns", 4)
    assert (walks["images"][::4] == plain["images"]).all() and len(walks["images"]) == 12
    assert not (walks["images"][3] == walks["images"][0]).all()
    some, more = (arrays(run, tmp_path / "more.npz", "--n", n)["images"] for n in (260, 300))
    assert (some[:3] == plain["images"]).all() and (some == more[:260]).all()
    if run.name == "cgan":
        assert walks["labels"].tolist() == [0] * 4 + [1] * 4 + [2] * 4
        (seven,) = {*arrays(run, tmp_path / "7.npz", "--interpolate", "--label", 7, "--rows", 2)["labels"].tolist()}
        assert seven == 7


def test_pictures_of_walks(run, tmp_path):
    text = sample(run, tmp_path / "a.png", "--interpolate", "linear", "--rows", 2, "--columns", 3, "--truncation", 0.5)
    assert text.endswith("seed 0, 2 walks (linear), psi 0.5\n")
    assert read_png(tmp_path / "a.png").shape == (2 * 30 - 2, 3 * 30 - 2)
    for name in ("a.gif", "b.gif"):
        sample(run, tmp_path / name, "--interpolate", "--rows", 4, "--columns", 6)
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.size == (58, 58) and gif.n_frames == 6 and gif.info["loop"] == 0


def test_a_column_for_each_truncation(run, tmp_path):
    text = sample(run, tmp_path / "t.png", "--truncation", "0.5,1,2", "--rows", 2)
    assert "6 images" in text and "psi 0.5, 1, 2" in text
    assert read_png(tmp_path / "t.png").shape == (2 * 30 - 2, 3 * 30 - 2)
    many = arrays(run, tmp_path / "t.npz", "--truncation", "0.5,1,2", "--rows", 300)["images"].reshape(300, 3, 784)
    one = arrays(run, tmp_path / "o.npz", "--truncation", 0.5, "--n", 300)["images"]  # all classes, as the rows have
    assert (one.reshape(300, 784) == many[:, 0]).all()
    variety = many.std(0).mean(1)
    assert variety[0] < variety[1] < variety[2]


@pytest.mark.parametrize(("name", "given", "says"), [
    ("a.gif", "", "--out a.gif is for walks; pass --interpolate"),
    ("a.png", "--columns 4", "--columns is for walks; pass --interpolate"),
    ("a.png", "--interpolate --n 9", "rows belong together; say how many with --rows and --columns"),
    ("a.png", "--truncation 1,2 --n 9", "say how many with --rows"),
    ("a.png", "--truncation 1,2 --interpolate", "leave one of them out"),
    ("a.png", "--truncation 0", "0.0 is not in the range x>=0.01"),
    ("a.jpg", "", "must end in .png or .npz or .npy or .gif"),
])  # fmt: skip
def test_what_cannot_be(run, name, given, says):
    assert says in " ".join(sample(run, name, *given.split(), code=2).split())


def test_a_file_without_weights_is_not_called_damaged(run, tmp_path):
    result = CliRunner().invoke(main, ["sample", str(run / "config.json"), "--out", str(tmp_path / "a.png")])
    assert result.exit_code == 1 and "config.json has no weights; pass the run's folder" in result.output
