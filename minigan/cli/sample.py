"""`minigan sample`: draw images from a trained generator, into a grid to look at or an array to compute with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy

from minigan import pictures, random
from minigan.backends import cuda
from minigan.cli.options import device_option, named_device
from minigan.cli.run_folder import RunFolder
from minigan.configuration import no_backprop_mode, using_config
from minigan.gans.nets import Generator
from minigan.utils.files import atomic_write

BATCH = 250  # images drawn at a time


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--n", "n", type=click.IntRange(1, 10**9), help="How many images.  [default: 64, or 10000 into an .npz]")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("samples.png"), show_default=True,
    help="A .png (one grid), .npz (array `images`, uint8, (N, H, W) or (N, H, W, C); of the ring, `points`) or .npy.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Same seed, same images.")
@click.option("--rows", type=click.IntRange(min=1), help="Rows of the grid.  [default: as square as can be]")
@click.option("--label", type=click.IntRange(0), help="Of a conditional GAN, this class only.  [default: all in turn]")
@click.option("--train-mode", is_flag=True, help="Normalize by the statistics of each batch, as during training.")
@device_option
def sample(
    run: Path, n: int | None, out: Path, seed: int, rows: int | None, label: int | None, train_mode: bool, device: str
) -> None:  # fmt: skip
    """Draw images from the generator of RUN: a run folder, one of its snapshots or its gen.npz.

    Evaluation mode is the default: batch normalization uses its running statistics, so that an image depends on its own
    noise alone and the first ten of a thousand are the same as ten drawn alone.
    """
    if out.suffix not in (".png", ".npz", ".npy"):
        raise click.UsageError(f"--out {out}: the name must end in .png, .npz or .npy, which says what to write")
    n = n or (64 if out.suffix == ".png" else 10000)
    if rows is not None and rows > n:
        raise click.UsageError(f"--rows {rows}: {n} images fill {n} rows at most")
    if not out.absolute().parent.is_dir():
        raise click.UsageError(f"--out {out}: the folder {out.parent} does not exist")
    place = named_device(device)
    if run.is_file():
        gen, file = RunFolder.open(run.parent).generator(run)
    else:
        gen, file = RunFolder.open(run).generator()
    if label is not None and label >= gen.n_classes:
        known = f"its classes are 0 to {gen.n_classes - 1}" if gen.n_classes else "it has no classes"
        raise click.UsageError(f"--label {label}: {known}")
    labels = None
    if gen.n_classes:
        labels = (numpy.arange(n) % gen.n_classes if label is None else numpy.full(n, label)).astype(numpy.int32)
    gen.to_device(place)
    with place:
        images = draw(gen, n, seed, train_mode, labels)
    if out.suffix == ".png":
        pictures.save_png(out, pictures.scatter(images) if images.ndim == 2 else pictures.grid(images, rows))
    else:
        with atomic_write(out) as stream:
            if out.suffix == ".npy":
                numpy.save(stream, images)
            else:
                arrays: Any = {"points" if images.ndim == 2 else "images": images}
                if labels is not None:
                    arrays["labels"] = labels
                numpy.savez_compressed(stream, **arrays)
    what = "points" if images.ndim == 2 else f"images of {' x '.join(map(str, images.shape[1:]))}"
    click.echo(f"{out}: {n} {what} from {file}, seed {seed}")


def draw(gen: Generator, n: int, seed: int, train_mode: bool = False, labels: Any = None) -> Any:
    """Return n images as bytes, or n points (n, 2) as they are, from noise that `seed` alone decides.

    Of a conditional generator they are of the classes `labels` (n,), or of classes that are drawn, too.
    """
    random.seed(seed)
    images = None
    with using_config("train", train_mode), no_backprop_mode():
        for start in range(0, n, BATCH):
            m = min(BATCH, n - start)
            made = gen(gen.latent(m, None if labels is None else labels[start : start + m])).array
            part = cuda.to_cpu(made) if made.ndim == 2 else pictures.to_uint8(made)
            if images is None:  # too many for the memory are refused now, not after hours
                images = numpy.empty((n, *part.shape[1:]), part.dtype)
            images[start : start + len(part)] = part
    return images
