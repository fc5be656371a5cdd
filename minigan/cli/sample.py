"""`minigan sample`: draw images from a trained generator, into a grid to look at or an array to compute with.

Rows may belong together: walks from one image to another, or one image more and more typical.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
import numpy

from minigan import pictures, random
from minigan.backends import cuda
from minigan.cli.options import Number, check_file, device_option, named_device
from minigan.cli.progress import bar
from minigan.cli.run_folder import RunFolder
from minigan.configuration import no_backprop_mode, using_config
from minigan.gans.nets import Generator
from minigan.gans.walks import WALKS, truncated, walk
from minigan.utils.files import atomic_write

BATCH = 250  # images drawn at a time
ROWS, COLUMNS, FRAMES = 8, 10, 60  # of walks
CORNERS = 4  # images on the way of a walk that ends where it began


class Psis(click.ParamType):
    """Positive numbers with commas between them; below 0.01 there is nothing to see."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[float]:
        """Return them as a list."""
        return value if isinstance(value, list) else [Number(0.01).convert(v, param, ctx) for v in value.split(",")]


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--n", "n", type=click.IntRange(1, 10**9), help="How many images.  [default: 64, or 10000 into an .npz]")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("samples.png"), show_default=True,
    help="A .png (one grid), .npz (array `images`, uint8, (N, H, W) or (N, H, W, C); of the ring, `points`) or .npy; "
    "with --interpolate a .gif, too.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Same seed, same images.")
@click.option("--rows", type=click.IntRange(min=1), help=f"Rows of the grid.  [default: square; of walks {ROWS}]")
@click.option("--label", type=click.IntRange(0), help="Of a conditional GAN, this class only.  [default: all in turn]")
@click.option(
    "--interpolate", type=click.Choice(WALKS), is_flag=False, flag_value=WALKS[0],
    help="In each row walk from one image to another, by great circle (slerp, what the option means alone) or line; "
    "in a .gif walk on, back to the start.",
)  # fmt: skip
@click.option("--columns", type=click.IntRange(2), help=f"Images of a walk.  [default: {COLUMNS}; of a .gif {FRAMES}]")
@click.option(
    "--truncation", "psis", type=Psis(), metavar="PSI[,PSI...]",
    help="Noise from -PSI to PSI: the smaller, the less varied; below 0.5 batch normalization, which knows noise as it "
    "was, makes faint images. Several draw the same images, a column for each.",
)  # fmt: skip
@click.option("--train-mode", is_flag=True, help="Normalize by the statistics of each batch, as during training.")
@device_option
def sample(
    run: Path, n: int | None, out: Path, seed: int, rows: int | None, label: int | None, interpolate: str | None,
    columns: int | None, psis: list[float] | None, train_mode: bool, device: str,
) -> None:  # fmt: skip
    """Draw images from the generator of RUN: a run folder, one of its snapshots, its gen.npz or its best.npz.

    Evaluation mode is the default: batch normalization uses its running statistics, so that an image depends on its own
    noise alone and the first ten of a thousand are the same as ten drawn alone.
    """
    moving = out.suffix == ".gif"
    psis = psis or []
    _check(out, n, columns, interpolate, psis)
    shape = None  # where rows belong together: how many, and how long
    if interpolate or len(psis) > 1:
        shape = rows or ROWS, columns or (FRAMES if moving else COLUMNS) if interpolate else len(psis)
        n, rows = shape[0] * shape[1], shape[0]
    n = n or (64 if out.suffix == ".png" else 10000)
    if rows is not None and rows > n:
        raise click.UsageError(f"--rows {rows}: {n} images fill {n} rows at most")
    place = named_device(device)
    folder = RunFolder.open(run.parent if run.is_file() else run)
    gen, file = folder.generator(run if run.is_file() else None)
    if label is not None and label >= gen.n_classes:
        known = f"its classes are 0 to {gen.n_classes - 1}" if gen.n_classes else "it has no classes"
        raise click.UsageError(f"--label {label}: {known}; leave it out, or pass one that there is")
    labels = None
    if gen.n_classes:
        m = shape[0] if shape else n
        labels = (numpy.arange(m) % gen.n_classes if label is None else numpy.full(m, label)).astype(numpy.int32)
    gen.to_device(place)
    with place:
        if shape:
            z = rows_of_noise(gen, *shape, seed, labels, interpolate, psis, closed=moving)
            images = render(gen, n, (z[i : i + BATCH] for i in bar("drawing")(range(0, n, BATCH))), train_mode)
        else:
            images = draw(gen, n, seed, train_mode, labels, psis[0] if psis else None, bar("drawing"))
    if shape and moving:
        frames = images.reshape(*shape, *images.shape[1:]).swapaxes(0, 1)
        pictures.save_gif(out, [_sheet(frame) for frame in frames], rest=0)
    elif out.suffix == ".png":
        pictures.save_png(out, _sheet(images, rows))
    else:
        with atomic_write(out) as stream:
            if out.suffix == ".npy":
                numpy.save(stream, images)
            else:
                arrays: Any = {"points" if images.ndim == 2 else "images": images}
                if labels is not None:
                    own = folder.settings().get("condition") == "codes"  # which are no classes of the data
                    arrays["codes" if own else "labels"] = labels.repeat(shape[1]) if shape else labels
                numpy.savez_compressed(stream, **arrays)
    what = "points" if images.ndim == 2 else f"images of {' x '.join(map(str, images.shape[1:]))}"
    how = f", {rows} walks ({interpolate})" if interpolate else ""
    how += f", psi {', '.join(f'{psi:g}' for psi in psis)}" if psis else ""
    click.echo(f"{out}: {n} {what} from {file}, seed {seed}{how}")


def _check(out: Path, n: int | None, columns: int | None, interpolate: str | None, psis: list[float]) -> None:
    """Refuse what cannot be, before any work is done."""
    check_file("--out", out, ".png", ".npz", ".npy", ".gif")
    if interpolate and len(psis) > 1:
        raise click.UsageError("--interpolate and several --truncation want the same columns; leave one of them out")
    if not interpolate and (columns or out.suffix == ".gif"):
        raise click.UsageError(f"{'--columns' if columns else f'--out {out}'} is for walks; pass --interpolate, too")
    if n and (interpolate or len(psis) > 1):
        what = "--rows and --columns" if interpolate else "--rows"
        raise click.UsageError(f"--n {n}: here rows belong together; say how many with {what}")


def _sheet(made: numpy.ndarray, rows: int | None = None) -> numpy.ndarray:
    return pictures.scatter(made) if made.ndim == 2 else pictures.grid(made, rows)


def draw(
    gen: Generator, n: int, seed: int, train_mode: bool = False, labels: Any = None, psi: float | None = None,
    each: Callable[[Iterable], Iterable] = iter,
) -> Any:  # fmt: skip
    """Return n images as bytes, or n points (n, 2) as they are, from noise that `seed` alone decides.

    Of a conditional generator they are of the classes `labels` (n,), or of classes that are drawn, too. `psi` truncates
    the noise, and `each` wraps the list of batches, for a progress bar.
    """
    random.seed(seed)
    noise = latents(gen, n, labels, each)
    return render(gen, n, noise if psi is None else (truncated(z, psi, gen.z_dim) for z in noise), train_mode)


def latents(gen: Generator, n: int, labels: Any, each: Callable[[Iterable], Iterable] = iter) -> Iterable[Any]:
    """Give noise for n images in batches, each drawn as if it were full: no image's depends on how many there are."""
    for start in each(range(0, n, BATCH)):
        m = min(BATCH, n - start)
        yield gen.latent(BATCH, None if labels is None else numpy.resize(labels[start : start + m], BATCH))[:m]


def rows_of_noise(
    gen: Generator, rows: int, columns: int, seed: int, labels: Any, kind: str | None, psis: list[float],
    closed: bool = False,
) -> Any:  # fmt: skip
    """Return noise (rows * columns, Z): in each row a walk, or without a `kind` the same noise at each of `psis`.

    A row begins with what `draw` would give, its class and codes stay what they are.
    """
    random.seed(seed)
    xp, d = gen.xp, gen.z_dim
    stops = [xp.concatenate([*latents(gen, rows, labels)]) for _ in range(CORNERS if closed else 2)]
    if kind is None:
        made = xp.stack([truncated(stops[0], psi, d) for psi in psis], 1)
    else:
        stops = [truncated(z, psi, d) for psi in psis for z in stops] or stops
        way = walk(xp.stack([z[:, :d] for z in stops]), columns, kind, closed)
        made = xp.concatenate([way, stops[0][:, None, d:].repeat(columns, 1)], 2)
    return made.reshape(rows * columns, -1)


def render(gen: Generator, n: int, noise: Iterable[Any], train_mode: bool = False) -> Any:
    """Return what G makes of n pieces of noise, which come in batches."""
    images, done = None, 0
    with using_config("train", train_mode), no_backprop_mode():
        for z in noise:
            made = gen(z).array
            part = cuda.to_cpu(made) if made.ndim == 2 else pictures.to_uint8(made)
            if images is None:  # too many for the memory are refused now, not after hours
                images = numpy.empty((n, *part.shape[1:]), part.dtype)
            images[done : done + len(part)] = part
            done += len(part)
    return images
