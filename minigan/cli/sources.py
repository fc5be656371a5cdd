"""What `minigan evaluate` looks at: samples of a run, images of a file or a folder, and real ones to compare with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy

from minigan.backend import Device
from minigan.cli.data import named_data, read
from minigan.cli.progress import bar
from minigan.cli.run_folder import RunFolder
from minigan.cli.sample import draw
from minigan.dataset.errors import DataError
from minigan.datasets.image_sets import CHANNELS, read_file, read_folder
from minigan.metrics.report import SMALLEST


class Images(NamedTuple):
    """Bytes (N, H, W) or (N, H, W, C), and the classes (N,) that they are to be of, if that is known."""

    pixels: numpy.ndarray
    labels: numpy.ndarray | None = None


class Against(NamedTuple):
    """Real images: those that count, others of the same source for the floor, and the pixels of all to copy."""

    real: Images
    floor: Images
    training: numpy.ndarray
    description: str


class Samples(NamedTuple):
    """The shape of one image's bytes, (H, W) or (H, W, C), how many classes are asked for, and what gives n images."""

    shape: tuple[int, ...]
    n_classes: int
    take: Callable[[int, int, Device], Images]


def told(shape: tuple[int, ...]) -> str:
    """Say a shape of bytes in words."""
    colours = {(): "grey", (3,): "colour", (4,): "colour with opacity"}
    return f"{shape[1]} x {shape[0]} pixels in {colours[shape[2:]]}"


def real_images(against: str | None, seed: int, shape: tuple[int, ...], skip_bad: bool, quiet: bool) -> Against:
    """Find what `--against` means, cut and scaled to `shape`; raises `DataError` where there is nothing.

    Of images without a part to test on, one half counts.
    """
    spec, (size, channels) = named_data(against), (shape[0], (*shape, 1)[2])
    found = read(spec, size, channels, skip_bad=skip_bad or None, quiet=quiet, option="--against")
    x, y, test, test_labels = found[:4]
    random = numpy.random.RandomState(seed)

    def some(x: numpy.ndarray, y: numpy.ndarray | None, order: numpy.ndarray) -> Images:
        return Images(x[order], None if y is None else y[order])

    if test is not None:
        order = random.permutation(len(test))  # the first half of MNIST's is the easier one
        return Against(some(test, test_labels, order), some(x, y, random.permutation(len(x))[: len(order)]), x,
                       f"the test images of {found.source}")  # fmt: skip
    order = random.permutation(len(x))
    floor = some(x, y, order[len(x) // 2 :])
    what = f"one half of {found.source}, with the other half as floor and training images"
    return Against(some(x, y, order[: len(x) // 2]), floor, floor.pixels, what)


def samples_of(path: Path, shape: tuple[int, ...]) -> Samples:
    """Check a run, a file (npz, npy, HDF5) or a folder of images, which are scaled to `shape`."""
    of_run = path.name in ("gen.npz", "best.npz") or path.name.startswith("snapshot_iter_")
    folder = path.parent if of_run else path
    if (folder / "config.json").is_file():
        return _samples_of_run(folder, path)
    if path.is_dir():
        found = read_folder(path, shape[0], (*shape, 1)[2], each=bar("reading"))
    elif path.is_file():
        found = read_file(path)
    else:
        raise DataError(f"{path}: there is no such folder or file; give a run folder, a folder of images, or an npz "
                        f"with an array `images`, as `minigan sample RUN --out samples.npz` writes it")  # fmt: skip
    images = Images(found.x_train, found.y_train)
    if len(images.pixels) < SMALLEST:
        raise DataError(f"{path}: {len(images.pixels)} images are too few; wanted {SMALLEST} or more: draw more")
    n_classes = 0 if images.labels is None else int(images.labels.max()) + 1
    return Samples(images.pixels.shape[1:], n_classes, lambda n, seed, place: images)


def _samples_of_run(folder: Path, path: Path) -> Samples:
    """Those of a run's newest weights, or of the file `path`, of a conditional one of all classes in turn."""
    run = RunFolder.open(folder)
    settings = run.settings()
    channels, size = settings["channels"], settings["size"]
    if channels not in CHANNELS:
        raise DataError(f"{path}: this run draws points, not images; look at its pictures and its log")
    gen, _ = run.generator(path if path.is_file() else None)
    n_classes = 0 if settings.get("condition") in (None, "codes") else gen.n_classes  # codes mean nothing to others

    def take(n: int, seed: int, place: Device) -> Images:
        gen.to_device(place)
        labels = (numpy.arange(n) % n_classes).astype(numpy.int32) if n_classes else None
        with place:
            return Images(draw(gen, n, seed, labels=labels, each=bar(f"drawing {path.name}")), labels)

    return Samples((size, size) if channels == 1 else (size, size, channels), n_classes, take)
