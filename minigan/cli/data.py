"""`minigan data`: which images would be used, are they whole, what do they look like; and `--data`, which says so.

A name, or a kind and a place (`folder:DIR`), stands for a function that reads it: a new one is one line of a table.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy

from minigan import datasets, pictures
from minigan.cli.options import check_file
from minigan.cli.progress import bar
from minigan.dataset.errors import DataError
from minigan.datasets.arrays import read_arrays
from minigan.datasets.digits import data_files
from minigan.datasets.image_sets import CHANNELS, ImageSet, ScaledImages, read_file, read_folder

SIDE = click.IntRange(1, 4096)  # pixels
RESIDENT = 1 << 31  # bytes of images that are made float32 at once
BUILT_IN = Path(datasets.__file__).parent / "data"
DOWNLOADS = {"mnist": "mnist", "fashion": "fashion-mnist", "kmnist": "kmnist"}


def _digits(name: str, place: Any = None) -> ImageSet:
    return ImageSet(*datasets.load_mnist(name, place))


def _built_in() -> ImageSet:
    found = _digits("mnist", BUILT_IN)
    return found._replace(source=found.source.replace(str(BUILT_IN), "the built-in subset"))


def _cifar10() -> ImageSet:
    parts = [part[...] for part in datasets.get_cifar10(scale=255.0, dtype=numpy.float32)]
    arrays: Any = [a for x, y in parts for a in (numpy.ascontiguousarray(x.transpose(0, 2, 3, 1), numpy.uint8), y)]
    counts = f"CIFAR-10: {len(arrays[0]):,} training and {len(arrays[2]):,} test images from Chainer's cache"
    return ImageSet(*arrays)._replace(source=counts)


NAMED: dict[str, Callable[[], ImageSet]] = {
    "builtin": _built_in, **{word: partial(_digits, name) for word, name in DOWNLOADS.items()}, "cifar10": _cifar10,
}  # fmt: skip
"""What is read by its name."""

PLACED: dict[str, Callable[..., ImageSet]] = {
    **{word: partial(_digits, name) for word, name in DOWNLOADS.items()}, "folder": read_folder, "hdf5": read_file,
    "npz": read_file,
}  # fmt: skip
"""What is read from the place after its name and a colon."""


def _ring(_place: str) -> tuple[Any, None, Any, str]:
    points = datasets.get_ring()
    return points, None, points, "8,000 points on a ring of 8 Gaussians"


def read_digits(place: str, option: str = "--data") -> ImageSet:
    """Return what is to be stacked, by default MNIST; raises `DataError` where images cannot be."""
    found = read(place or "mnist", option=option)
    if found.x_train.ndim != 3 or found.y_train is None or found.y_train.max() > 9:
        raise DataError(f"{option} stacked-mnist:{place}: wanted grey images of at most ten classes; name an MNIST")
    return found


def _stacked(place: str) -> tuple[Any, numpy.ndarray, Any, str]:
    found = read_digits(place)
    images = datasets.StackedDigits(found.x_train, found.y_train)
    return images, images.modes, found.x_train, f"{len(images):,} images, each of three digits; {found.source}"


MADE: dict[str, Callable[[str], tuple[Any, numpy.ndarray | None, Any, str]]] = {
    "ring": _ring, "stacked-mnist": _stacked,
}  # fmt: skip
"""What is made rather than read, maybe of what is in a place: training images as they are, their classes if they have
any, the array that decides all, and what they are."""


def known_channels(_context: click.Context, _parameter: click.Parameter, value: int | None) -> int | None:
    """Refuse a number of channels that no images have."""
    if value not in (None, *CHANNELS):
        raise click.BadParameter(f"{value} is none of 1 (grey), 3 (colours) and 4 (with opacity)")
    return value


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--data`, and the options that say how to read it."""
    for add in reversed((
        click.option("--data", metavar="WHAT", help="builtin (8,000 digits that come along), mnist, fashion, kmnist, "
                     "cifar10, folder:DIR of pictures, hdf5:FILE or npz:FILE with an array of images, a folder or file "
                     "of MNIST, fashion:FOLDER, stacked-mnist or stacked-mnist:WHICH (three digits in the colours of "
                     "one image), or ring (points on 8 Gaussians).  [default: $MINIGAN_DATA, else builtin]"),
        click.option("--size", type=SIDE, help="Cut the images in the middle and scale them to so "
                     "many pixels to a side.  [default: 64 for folder:DIR, else their own]"),
        click.option("--channels", type=click.IntRange(1, 4), callback=known_channels, help="1 grey, 3 colours, 4 with "
                     "opacity.  [default: what the images have]"),
        click.option("--labels", type=click.Path(exists=True, dir_okay=False, resolve_path=True), help="With "
                     "folder:DIR, a text file of lines NAME CLASS.  [default: its sub-folders are the classes]"),
        click.option("--skip-bad", is_flag=True, default=None, help="With folder:DIR, leave out what cannot be read."),
    )):  # fmt: skip
        command = add(command)
    return command


def named_data(spec: str | None) -> str:
    """Return `--data` so that it means the same in another folder and another environment."""
    spec = spec or os.environ.get("MINIGAN_DATA") or "builtin"
    kind, colon, place = spec.partition(":")
    if colon and kind in PLACED:
        return f"{kind}:{Path(place).absolute()}"
    if place and kind == "stacked-mnist":
        return f"{kind}:{named_data(place)}"
    return spec if spec in (*NAMED, *MADE) else str(Path(spec).absolute())


def read(
    spec: str, size: int | None = None, channels: int | None = None, labels: Any = None, skip_bad: Any = None,
    quiet: bool = False, option: str = "--data",
) -> ImageSet:  # fmt: skip
    """Return the bytes that a data name means; raises `DataError` where there are none or they are damaged."""
    kind, place = _kind_and_place(spec)
    if spec.partition(":")[0] in MADE:
        raise DataError(f"{option} {spec}: this is made for training, and is nothing to look at here; name images")
    if place and not Path(place).exists():
        raise DataError(f"{option} {spec}: there is no such folder or file; known by name are "
                        f"{', '.join((*NAMED, *MADE))}, with a place {', '.join(PLACED)}")  # fmt: skip
    if place and kind in ("folder", "hdf5", "npz") and (is_dir := Path(place).is_dir()) != (kind == "folder"):
        what = "a folder; pass folder:DIR" if is_dir else "a file; pass hdf5:FILE"
        raise DataError(f"{option} {spec}: this is {what}")
    if kind == "folder":
        return read_folder(place, size, channels, labels, bool(skip_bad), bar("reading", quiet))
    if labels or skip_bad:
        raise click.UsageError(f"--labels and --skip-bad are for {option} folder:DIR, not {spec}; leave them out")
    return (PLACED[kind](place) if place else NAMED[kind]()).fitted(size, channels)


def _kind_and_place(spec: str) -> tuple[str, str]:
    """Tell a name, without a place, from a kind and a place, and find out of what kind a mere place is."""
    kind, _, place = spec.partition(":")
    if spec in NAMED or (place and kind in PLACED):
        return kind, place
    path = Path(spec)
    if path.is_dir():
        return "mnist" if data_files(path, "mnist") or (path / "mnist").is_dir() else "folder", spec
    try:
        digits = bool(read_arrays(path, [("x_train",), ("x_test",)])) if path.exists() else False
    except DataError as error:  # a damaged file is to be named as what people have most
        digits = "there is no array" not in str(error)
    return "mnist" if digits else "npz", spec


def load_images(settings: dict[str, Any], quiet: bool = False) -> tuple[Any, numpy.ndarray | None, dict[str, Any]]:
    """Return the training images of a run's settings, their classes if they have any, and what is worth noting of them.

    Images are float32 (N, C, H, W) in [-1, 1], those of Stacked MNIST, or that are many, made when they are asked for;
    or of the ring, points (N, 2). Classes are int32 (N,).
    """
    images: Any
    kind, _, place = settings["data"].partition(":")
    if kind in MADE:
        images, classes, raw, description = MADE[kind](place)
        return images, classes, {"description": description, "images": len(images), "crc32": zlib.crc32(raw.data)}
    wanted: dict[str, Any] = {name: settings.get(name) for name in ("size", "channels", "labels", "skip_bad")}
    found = read(settings["data"], **wanted, quiet=quiet)
    crc32 = zlib.crc32(found.x_train.data)
    images = ScaledImages(found.x_train)
    if 4 * found.x_train.size <= RESIDENT:
        images = images.get_example(slice(None))
    classes = None if found.y_train is None else found.y_train.astype(numpy.int32)
    if classes is not None and settings["data"] not in NAMED:  # where they can change, and the images stay
        crc32 = zlib.crc32(classes.data, crc32)
    noted = {"description": found.source, "images": len(images), "crc32": crc32}
    return images, classes, noted | ({"classes": list(found.names)} if found.names else {})


@click.command()
@data_options
@click.option("--download", type=click.Choice(list(DOWNLOADS)), help="Fetch this set into the cache first.")
@click.option("--grid", type=click.Path(dir_okay=False, path_type=Path), help="Write 64 of the images as a PNG.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def data(data: str | None, download: str | None, grid: Path | None, as_json: bool, **how: Any) -> None:
    """Say which data `minigan train` would use with the same --data, and check it."""
    if download:
        folder = datasets.download_mnist(DOWNLOADS[download])
        click.echo(f"{download} is in {folder}", err=True)
        data = data or download
    if grid:
        check_file("--grid", grid, ".png")
    spec = named_data(data)
    if spec.partition(":")[0] in MADE:
        raise click.UsageError(f"--data {spec} is made, so there are no files to check; train with it and look at the "
                               f"pictures")  # fmt: skip
    found = read(spec, **how)
    facts: dict[str, Any] = {"source": found.source}
    for part, x, y in (("training", found.x_train, found.y_train), ("test", found.x_test, found.y_test)):
        facts[f"{part} images"] = 0 if x is None else len(x)
        if y is not None:
            facts[f"{part} images per class"] = numpy.bincount(y, minlength=len(found.names)).tolist()
    facts |= {
        "classes": list(found.names),
        "shape": list(found.x_train.shape[1:]),
        "mean brightness": round(float(found.x_train.mean()) / 255, 4),
        "crc32": zlib.crc32(found.x_train.data),
    }
    if grid:
        step = max(1, len(found.x_train) // 64)  # in a folder the images of a class stand together
        pictures.save_png(grid, pictures.grid(found.x_train[::step][:64]))
    if as_json:
        click.echo(json.dumps(facts))
        return
    for name, value in facts.items():
        click.echo(f"{name:<26} {value}")
