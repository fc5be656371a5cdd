"""`minigan train-classifier`: the net that `minigan evaluate` looks at images with, from nothing, in a few minutes."""

from __future__ import annotations

import time
import zlib
from pathlib import Path
from typing import Any

import click
import numpy

from minigan.cli.data import data_options, named_data, read
from minigan.cli.options import Number, check_file
from minigan.cli.progress import bar
from minigan.dataset.errors import DataError
from minigan.datasets.image_sets import ImageSet
from minigan.metrics import lenet
from minigan.metrics.classifiers import MODELS, OPTIMIZERS


@click.command("train-classifier")
@data_options
@click.option("--model", type=click.Choice(list(MODELS)), default="lenet", show_default=True,
              help="The net; `minigan evaluate` looks through lenet only.")  # fmt: skip
@click.option("--epochs", type=click.IntRange(1, 1000), help="Passes over the data.  [default: 10]")
@click.option("--steps", type=click.IntRange(1), help="Batches, instead of --epochs.")
@click.option("--batch-size", type=click.IntRange(1), default=100, show_default=True, help="Images per step.")
@click.option("--optimizer", type=click.Choice(list(OPTIMIZERS)), default="adam", show_default=True, help="The rule.")
@click.option("--alpha", "--lr", "alpha", type=Number(0, min_open=True),
              help="Its step size at the start, which falls to 0.  "
                   f"[default: {', '.join(f'{name} {alpha}' for name, (_, alpha) in OPTIMIZERS.items())}]")  # fmt: skip
@click.option("--beta1", type=Number(0, 1, max_open=True), help="Adam's momentum.  [default: 0.9]")
@click.option("--beta2", type=Number(0, 1, max_open=True), help="Adam's memory.  [default: 0.999]")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Decides all chance.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("classifier.npz"), show_default=True,
    help="The file of weights.",
)  # fmt: skip
@click.option("--quiet", is_flag=True, help="Print the result only.")
def train_classifier(
    data: str | None, model: str, epochs: int | None, steps: int | None, batch_size: int, optimizer: str,
    alpha: float | None, beta1: float | None, beta2: float | None, seed: int, out: Path, quiet: bool, **how: Any,
) -> None:  # fmt: skip
    """Train a classifier on labelled images and test it on those set aside: a tenth, where the data has no such part.

    Its file says what made it. The weights are stored in float16; both accuracies are given, before and after.
    """
    check_file("--out", out, ".npz")
    if epochs and steps:
        raise click.UsageError("--steps and --epochs both say how long to train; pass one of them")
    betas = {name: beta for name, beta in (("beta1", beta1), ("beta2", beta2)) if beta is not None}
    if betas and optimizer != "adam":
        raise click.UsageError(f"--{min(betas)} is of adam; {optimizer} has no such number: leave it out")
    spec = named_data(data)
    found = _with_tests(read(spec, **how, quiet=quiet), spec, seed)
    place = Path(spec.partition(":")[2] or spec)
    title = found.source.replace(str(place), place.name).partition(" from ")[0]  # places mean nothing elsewhere
    n_classes = int(max(found.y_train.max(), found.y_test.max())) + 1
    if not quiet:
        click.echo(f"data: {found.source}", err=True)
    started = time.process_time()
    rule, usual = OPTIMIZERS[optimizer]
    net = lenet.train(
        found.x_train, found.y_train, epochs or 10, seed, bar("training", quiet), n_classes, make=MODELS[model],
        optimizer=rule(alpha or usual, **betas), steps=steps, batch=batch_size,
    )  # fmt: skip
    seconds = time.process_time() - started
    facts = {
        "data": title, "crc32": zlib.crc32(found.x_train.data), "seed": seed, "model": model,
        "epochs": steps * batch_size / len(found.x_train) if steps else epochs or 10, "batch_size": batch_size,
        "optimizer": optimizer, "alpha": alpha or usual, **betas,
        "channels": (*found.x_train.shape, 1)[3], "size": found.x_train.shape[1], "n_classes": n_classes,
        "layer": net.layer, "dimension": net.dimension, "stored": "float16",
        "accuracy": lenet.accuracy(net, found.x_test, found.y_test),
    }  # fmt: skip
    facts["stored_accuracy"] = lenet.accuracy(lenet.as_stored(net), found.x_test, found.y_test)
    lenet.save(out, net, facts)
    click.echo(
        f"{out}: {facts['accuracy']:.2%} of {len(found.x_test):,} test images right ({facts['stored_accuracy']:.2%} as "
        f"stored in float16, {out.stat().st_size:,} bytes); {facts['epochs']:.4g} epochs, {optimizer} "
        f"{alpha or usual}, seed {seed}, {seconds:.0f} s of CPU"
    )


def _with_tests(found: ImageSet, spec: str, seed: int) -> ImageSet:
    """Set a tenth aside to test on, unless there are such images."""
    if found.y_train is None:
        raise DataError(f"--data {spec}: the images have no classes; sort them into sub-folders of folder:DIR, or name "
                        f"a file of --labels")  # fmt: skip
    if found.x_test is not None and found.y_test is not None:
        return found
    n, order = len(found.x_train) // 10, numpy.random.RandomState(seed).permutation(len(found.x_train))
    if not n:
        raise DataError(f"--data {spec}: {len(found.x_train)} images are too few; wanted 10 or more")
    tests, rest = order[:n], order[n:]
    x, y = found.x_train, found.y_train
    return found._replace(x_train=x[rest], y_train=y[rest], x_test=x[tests], y_test=y[tests],
                          source=f"{found.source}, of which {n:,} are set aside")  # fmt: skip
