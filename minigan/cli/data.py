"""`minigan data`: which images would be used, are they whole, what do they look like; and `--data`, which says so."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any

import click
import numpy

from minigan import datasets, pictures
from minigan.dataset.errors import DataError
from minigan.datasets import MnistData

BUILT_IN = Path(datasets.__file__).parent / "data"
NAMES = {"mnist": "mnist", "fashion": "fashion-mnist", "kmnist": "kmnist"}

data_option = click.option(
    "--data", metavar="WHAT",
    help="builtin (8,000 digits that come along), mnist, fashion, kmnist, a folder or file of MNIST, "
         "fashion:FOLDER, or ring (points on 8 Gaussians).  [default: $MINIGAN_DATA, else builtin]",
)  # fmt: skip


def named_data(spec: str | None) -> str:
    """Return `--data` so that it means the same in another folder and another environment."""
    spec = spec or os.environ.get("MINIGAN_DATA") or "builtin"
    kind, colon, place = spec.partition(":")
    if colon and kind in NAMES:
        return f"{kind}:{Path(place).absolute()}"
    return spec if spec in ("builtin", "ring") or spec in NAMES else str(Path(spec).absolute())


def read(spec: str) -> MnistData:
    """Return the bytes that a data name means; raises `DataError` where there are none or they are damaged."""
    if spec == "builtin":
        found = datasets.load_mnist("mnist", BUILT_IN)
        return found._replace(source=found.source.replace(str(BUILT_IN), "the built-in subset"))
    if spec in NAMES:
        return datasets.load_mnist(NAMES[spec])
    kind, colon, place = spec.partition(":")
    if colon and kind in NAMES:
        return datasets.load_mnist(NAMES[kind], place)
    if not Path(spec).exists():
        raise DataError(f"--data {spec}: there is no such folder or file; known by name are builtin, "
                        f"{', '.join(NAMES)}, ring")  # fmt: skip
    return datasets.load_mnist("mnist", spec)


def load_images(spec: str) -> tuple[numpy.ndarray, numpy.ndarray | None, dict[str, Any]]:
    """Return the training images of `--data`, their classes if they have any, and what is worth noting of them.

    Images are float32 (N, C, H, W) in [-1, 1], or of the ring, points (N, 2); classes are int32 (N,).
    """
    if spec == "ring":
        images = datasets.get_ring()
        return images, None, _noted("8,000 points on a ring of 8 Gaussians", images, images)
    found = read(spec)
    images = (found.x_train[:, None].astype(numpy.float32) / 127.5) - 1
    return images, found.y_train.astype(numpy.int32), _noted(found.source, images, found.x_train)


def _noted(description: str, images: numpy.ndarray, raw: numpy.ndarray) -> dict[str, Any]:
    return {"description": description, "images": len(images), "crc32": zlib.crc32(raw.tobytes())}


@click.command()
@data_option
@click.option("--download", type=click.Choice(list(NAMES)), help="Fetch this set into the cache first.")
@click.option("--grid", type=click.Path(dir_okay=False, path_type=Path), help="Write the first 64 images as a PNG.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def data(data: str | None, download: str | None, grid: Path | None, as_json: bool) -> None:
    """Say which data `minigan train` would use with the same --data, and check it."""
    if download:
        folder = datasets.download_mnist(NAMES[download])
        click.echo(f"{download} is in {folder}", err=True)
        data = data or download
    spec = named_data(data)
    if spec == "ring":
        raise click.UsageError("--data ring: there are no files to check; train with it and look at the pictures")
    found = read(spec)
    facts = {
        "source": found.source,
        "training images": len(found.x_train),
        "test images": len(found.x_test),
        "shape": list(found.x_train.shape[1:]),
        "training images per class": numpy.bincount(found.y_train, minlength=10).tolist(),
        "test images per class": numpy.bincount(found.y_test, minlength=10).tolist(),
        "mean brightness": round(float(found.x_train.mean()) / 255, 4),
        "crc32": zlib.crc32(found.x_train.tobytes()),
    }
    if grid:
        pictures.save_png(grid, pictures.grid(found.x_train[:64]))
    if as_json:
        click.echo(json.dumps(facts))
        return
    for name, value in facts.items():
        click.echo(f"{name:<26} {value}")
