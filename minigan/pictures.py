"""Pictures for the run folder: sample grids (PNG), their history (animated GIF), curves and histograms.

Images are arrays (N, C, H, W) in [-1, 1] with 1, 3 or 4 channels until they become bytes here. No display is needed;
Pillow (which comes with matplotlib) and matplotlib are loaded by the functions that use them.
"""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy

from minigan.backends import cuda
from minigan.utils.files import atomic_write

GAP = 2  # pixels between the tiles of a grid
OPINIONS = {"dis/real": "D on real images", "dis/fake": "D on made ones", "dis/accuracy": "accuracy of D"}
BESIDE = {"loc": "upper left", "bbox_to_anchor": (1, 1), "fontsize": 8, "handlelength": 1.5}  # where legends stand


def to_uint8(images: Any) -> numpy.ndarray:
    """Turn images (N, C, H, W) in [-1, 1] into bytes: (N, H, W) for one channel, (N, H, W, C) for 3 or 4.

    -1 becomes 0, 1 becomes 255, values between are rounded, values outside are cut off, NaN becomes 0.
    """
    images = cuda.to_cpu(images)
    if images.ndim != 4 or images.shape[1] not in (1, 3, 4):
        raise ValueError(f"to_uint8: images has shape {images.shape} but must be (N, C, H, W) with C = 1, 3 or 4")
    scaled = numpy.nan_to_num((images.astype(numpy.float32) + 1) * 127.5, nan=0.0)
    pixels = numpy.clip(numpy.rint(scaled), 0, 255).astype(numpy.uint8)
    return pixels[:, 0] if images.shape[1] == 1 else numpy.ascontiguousarray(pixels.transpose(0, 2, 3, 1))


def grid(pixels: numpy.ndarray, rows: int | None = None) -> numpy.ndarray:
    """Lay N images of bytes, (N, H, W) or (N, H, W, C), out row by row; the last row may stay partly empty (black).

    `rows` defaults to the most square layout. The first image is `result[:H, :W]`; tiles are 2 pixels apart.
    """
    n, h, w = pixels.shape[:3]
    if n == 0:
        raise ValueError("grid: there are no images to lay out; pass at least one")
    rows = max(1, math.isqrt(n)) if rows is None else rows
    if not 1 <= rows <= n:
        raise ValueError(f"grid: rows is {rows} but {n} images fill from 1 to {n} rows")
    columns = -(-n // rows)
    sheet = numpy.zeros((rows * (h + GAP) - GAP, columns * (w + GAP) - GAP, *pixels.shape[3:]), numpy.uint8)
    for i, image in enumerate(pixels):
        top, left = i // columns * (h + GAP), i % columns * (w + GAP)
        sheet[top : top + h, left : left + w] = image
    return sheet


def scatter(points: Any, side: int = 320, reach: float = 1.5) -> numpy.ndarray:
    """Draw points (N, 2) of the square from -reach to reach as bytes (side, side): the more at a place, the darker."""
    places = numpy.nan_to_num((cuda.to_cpu(points) / reach + 1) * (side / 2), nan=-1.0)
    counts, _, _ = numpy.histogram2d(-places[:, 1], places[:, 0], side, [[-side, 0], [0, side]])
    wide = sum(numpy.roll(counts, shift, (0, 1)) for shift in ((0, 0), (0, 1), (1, 0), (1, 1)))  # 2 x 2 pixels each
    return numpy.rint(255 * numpy.exp(-wide)).astype(numpy.uint8)


def sheet(made: Any, rows: int | None = None) -> numpy.ndarray:
    """One picture of all that a generator made: a `scatter` of points (N, 2), or a `grid` of images (N, C, H, W)."""
    return scatter(made) if made.ndim == 2 else grid(to_uint8(made), rows)


def save_png(path: str | os.PathLike[str], pixels: numpy.ndarray) -> None:
    """Write bytes (H, W), (H, W, 3) or (H, W, 4) as a PNG, whole or not at all."""
    from PIL import Image

    with atomic_write(path) as file:
        Image.fromarray(pixels).save(file, format="PNG")


def read_png(path: str | os.PathLike[str]) -> numpy.ndarray:
    """Read a picture back as bytes (H, W) or (H, W, C)."""
    from PIL import Image

    with Image.open(path) as image:
        return numpy.asarray(image)


def save_gif(path: str | os.PathLike[str], frames: Sequence[Any], seconds: float = 6.0, rest: int = 2000) -> None:
    """Write pictures of one size (paths, or bytes) as an endless animation of `seconds`; it rests for `rest` ms."""
    from PIL import Image

    if not frames:
        raise ValueError("save_gif: there are no frames; pass at least one picture")
    loaded = (frame if isinstance(frame, numpy.ndarray) else read_png(frame) for frame in frames)
    images = [Image.fromarray(pixels).convert("P") for pixels in loaded]
    each = max(40, min(500, round(1000 * seconds / len(images))))
    with atomic_write(path) as file:
        images[0].save(
            file,
            format="GIF",
            save_all=True,
            append_images=images[1:],
            loop=0,
            duration=[each] * (len(images) - 1) + [rest or each],
        )


def save_curves(path: str | os.PathLike[str], log: Sequence[dict[str, Any]], notes: Sequence[str] = ()) -> None:
    """Draw a log (LogReport's list of dicts): both losses, what D thinks of real and made images, what was measured.

    `notes` are written below.
    """
    seen = dict.fromkeys(key for entry in log for key in entry if key[:4] in ("gen/", "dis/") and "/grad/" not in key)
    panels = {"loss": {"gen/loss": "loss of G", "dis/loss": "loss of D"}, "mean probability": dict(OPINIONS),
              "distance that D sees": {"dis/distance": ""}}  # fmt: skip
    others = [key for key in seen if not any(key in labels for labels in panels.values())]
    panels |= {key.replace("gen/variety", "gen/variety (real: 1)")[4:]: {key: ""} for key in others if key[:3] == "gen"}
    of_dis = {key: key[4:] for key in others if key[:3] == "dis"}
    title = ", ".join(of_dis.values()) if len(of_dis) < 3 else "terms"  # else the legend says it
    panels[f"{title} of D"] = of_dis  # G may have terms of the same names
    shown = {title: labels for title, labels in panels.items() if not seen.keys().isdisjoint(labels)}
    figure, axes = _panels(max(len(shown), 2), notes)
    for ax, (title, labels) in zip(axes, shown.items()):
        _lines(ax, log, labels)
        ax.set(ylabel=title, **({"ylim": (0, 1.02)} if title == "mean probability" else {}))
    axes[-1].set_xlabel("iteration")
    _save_figure(path, figure)


def save_gradients(path: str | os.PathLike[str], log: Sequence[dict[str, Any]]) -> None:
    """Draw the length of the gradient of each layer over the training, on a logarithmic scale: above G's, below D's."""
    figure, axes = _panels(2)
    for ax, net in zip(axes, ("gen", "dis")):
        prefix = f"{net}/grad/"
        layers = dict.fromkeys(key for entry in log for key in entry if key.startswith(prefix))
        _lines(ax, log, {key: key.removeprefix(prefix) for key in layers})
        ax.set(yscale="log", ylabel=f"gradient of each layer of {net[0].upper()}")
        low, high = (math.log10(limit) for limit in ax.get_ylim())
        ax.set_ylim(10 ** math.floor(low), 10 ** math.ceil(high))  # else there may be no power of 10 to write beside it
        ax.minorticks_off()
    axes[-1].set_xlabel("iteration")
    _save_figure(path, figure)


def save_answers(path: str | os.PathLike[str], real: Any, fake: Any, zero: bool = True) -> None:
    """Draw histograms of D's answers, before any sigmoid, to real (N,) and made images; `zero`: 0 is undecided."""
    real, fake = (numpy.nan_to_num(cuda.to_cpu(x).ravel()) for x in (real, fake))
    figure, (ax,) = _panels(1)
    edges = numpy.histogram_bin_edges(numpy.concatenate([real, fake]), 50)
    for values, label in ((real, "real images"), (fake, "made images")):
        ax.stairs(numpy.histogram(values, edges)[0], edges, fill=True, alpha=0.6, label=label)
    if zero:
        ax.axvline(0, color="black", linewidth=1, label="undecided")
    ax.set(xlabel="D's answer", ylabel=f"of {len(real)} answers each")
    ax.legend(**BESIDE)
    _save_figure(path, figure)


def _panels(n: int, notes: Sequence[str] = ()) -> tuple[Any, list[Any]]:
    """A figure of n panels over each other, with room for legends at their right, and text below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = [line for note in notes for line in textwrap.wrap(note, 118, subsequent_indent="    ")]
    below = 0.17 * len(lines)
    height = max(3 * n, 5) + below
    figure = Figure(figsize=(8, height))  # laid out by hand: matplotlib's ways to do so cost another drawing
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(n, 1, squeeze=False)[:, 0])
    figure.subplots_adjust(left=0.13, right=0.78, top=1 - 0.15 / height, bottom=(below + 0.6) / height, hspace=0.15)
    figure.text(0.02, (below + 0.1) / height, "\n".join(lines), va="top", fontsize=9, linespacing=1.2)
    return figure, axes


def _lines(ax: Any, log: Sequence[dict[str, Any]], labels: dict[str, str]) -> None:
    """Draw some keys of a log over its iterations."""
    for key, label in labels.items():
        points = [(entry["iteration"], entry[key]) for entry in log if key in entry]
        ax.plot([x for x, _ in points], [y for _, y in points], label=label, marker="." if len(points) < 3 else "")
    ax.grid(alpha=0.3)
    if len(labels) > 1:
        ax.legend(**BESIDE)


def _save_figure(path: str | os.PathLike[str], figure: Any) -> None:
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=100)


def frames_in(folder: Path) -> list[Path]:
    """The PNG files of a folder of samples, in the order of their names."""
    return sorted(folder.glob("*.png"))
