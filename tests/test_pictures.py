"""Grids, animations and curves: right sizes, right pixels, readable files, no display."""

import numpy
import pytest
from PIL import Image

from minigan import pictures


def test_bytes_of_images():
    x = numpy.array([-1, 0, 1, -7, 7, numpy.nan], numpy.float32).reshape(1, 1, 2, 3)
    assert pictures.to_uint8(x).tolist() == [[[0, 128, 255], [0, 255, 0]]]


@pytest.mark.parametrize(("channels", "shape"), [(1, (2, 5, 6)), (3, (2, 5, 6, 3)), (4, (2, 5, 6, 4))])
def test_channels_come_last_and_one_is_dropped(channels, shape):
    x = numpy.random.RandomState(0).uniform(-1, 1, (2, channels, 5, 6))
    pixels = pictures.to_uint8(x)
    assert pixels.shape == shape
    first = pixels[1, 2, 3] if channels == 1 else pixels[1, 2, 3, 0]
    assert first == round((x[1, 0, 2, 3] + 1) * 127.5)


@pytest.mark.parametrize("shape", [(28, 28), (1, 2, 28, 28)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="must be .N, C, H, W."):
        pictures.to_uint8(numpy.zeros(shape))


@pytest.mark.parametrize(("n", "rows", "size"), [(16, None, (118, 118)), (64, None, (238, 238)), (100, 10, (298, 298)),
                                                 (6, 2, (58, 88)), (5, 2, (58, 88)), (1, None, (28, 28))])  # fmt: skip
def test_grid_has_the_right_size_and_tiles(n, rows, size):
    images = numpy.random.RandomState(0).randint(1, 256, (n, 28, 28)).astype(numpy.uint8)
    sheet = pictures.grid(images, rows)
    assert sheet.shape == size
    assert numpy.array_equal(sheet[:28, :28], images[0])
    columns = (size[1] + pictures.GAP) // 30
    top, left = (n - 1) // columns * 30, (n - 1) % columns * 30
    assert numpy.array_equal(sheet[top : top + 28, left : left + 28], images[-1])
    assert int(sheet.sum(dtype=int)) == int(images.sum(dtype=int))


@pytest.mark.parametrize(("n", "rows"), [(0, None), (4, 0), (4, 5)])
def test_impossible_grids_are_refused(n, rows):
    with pytest.raises(ValueError, match="grid"):
        pictures.grid(numpy.zeros((n, 4, 4), numpy.uint8), rows)


@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 3), (9, 7, 4)])
def test_png_holds_the_very_pixels(tmp_path, shape):
    pixels = numpy.random.RandomState(0).randint(0, 256, shape).astype(numpy.uint8)
    pictures.save_png(tmp_path / "a.png", pixels)
    assert numpy.array_equal(pictures.read_png(tmp_path / "a.png"), pixels)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_gif_has_all_frames_in_order(tmp_path):
    for i in range(4):
        pictures.save_png(tmp_path / f"iter_{i:03}.png", numpy.full((20, 30), 60 * i, numpy.uint8))
    pictures.save_gif(tmp_path / "a.gif", pictures.frames_in(tmp_path))
    with Image.open(tmp_path / "a.gif") as gif:
        assert (gif.n_frames, gif.size, gif.info["loop"]) == (4, (30, 20), 0)
        levels = []
        for i in range(4):
            gif.seek(i)
            levels.append(gif.convert("L").getpixel((5, 5)))
    assert levels == [0, 60, 120, 180]


def test_gif_without_frames_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no frames"):
        pictures.save_gif(tmp_path / "a.gif", [])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("entries", [0, 1, 5])
def test_curves_of_any_log(tmp_path, entries):
    log = [{"iteration": i, "gen/loss": 1.0 + i, "dis/loss": 0.5, "dis/real": 0.6} for i in range(entries)]
    pictures.save_curves(tmp_path / "loss.png", log)
    assert pictures.read_png(tmp_path / "loss.png").shape == (600, 800, 4)


def test_the_distance_of_a_critic_has_a_panel_of_its_own(monkeypatch):
    figures = []
    monkeypatch.setattr(pictures, "_save_figure", lambda path, figure: figures.append(figure))
    pictures.save_curves("x", [{"iteration": 1, "dis/loss": -9.0, "dis/distance": 9.0, "dis/clipped": 0.5}])
    assert [ax.get_ylabel() for ax in figures[0].axes] == ["loss", "distance that D sees", "clipped of D"]


def test_a_term_of_both_nets_has_a_curve_for_each(monkeypatch):
    figures = []
    monkeypatch.setattr(pictures, "_save_figure", lambda path, figure: figures.append(figure))
    pictures.save_curves("x", [{"iteration": i, "gen/classes": 1.0, "dis/classes": 2.0} for i in (1, 2)])
    curves = {ax.get_ylabel(): [*ax.lines[0].get_ydata()] for ax in figures[0].axes}
    assert curves == {"classes": [1, 1], "classes of D": [2, 2]}


def test_points_are_drawn_where_they_are():
    sheet = pictures.scatter(numpy.array([[0.0, 0.0], [-1.4, 1.4], [9.0, 0.0], [numpy.nan, 0.0]]), side=30)
    assert sheet.shape == (30, 30) and sheet.dtype == numpy.uint8
    dark = {tuple(place) for place in numpy.argwhere(sheet < 255)}
    assert dark == {(y + i, x + j) for y, x in ((15, 15), (1, 1)) for i in (0, 1) for j in (0, 1)}
    assert pictures.sheet(numpy.zeros((3, 2))).shape == (320, 320)
    assert pictures.sheet(numpy.zeros((4, 1, 5, 6))).shape == (12, 14)
