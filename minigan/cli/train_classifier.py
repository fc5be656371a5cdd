"""`minigan train-classifier`: the net that `minigan evaluate` looks at images with, from nothing, in a few minutes."""

from __future__ import annotations

import time
import zlib
from pathlib import Path

import click

from minigan.cli.data import named_data, read
from minigan.cli.progress import bar
from minigan.metrics import lenet


@click.command("train-classifier")
@click.option("--data", metavar="WHAT", help="mnist, fashion, kmnist, builtin, or a folder or file of MNIST.  "
              "[default: $MINIGAN_DATA, else builtin]")  # fmt: skip
@click.option("--epochs", type=click.IntRange(1, 1000), default=10, show_default=True, help="Passes over the data.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Decides all chance.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("classifier.npz"), show_default=True,
    help="The file of weights.",
)  # fmt: skip
@click.option("--quiet", is_flag=True, help="Print the result only.")
def train_classifier(data: str | None, epochs: int, seed: int, out: Path, quiet: bool) -> None:
    """Train a LeNet on labelled images, 28 x 28, and test it on those set aside.

    Its file says what made it. The weights are stored in float16; both accuracies are given, before and after.
    """
    if out.suffix != ".npz":
        raise click.UsageError(f"--out {out}: the name must end in .npz")
    if not out.absolute().parent.is_dir():
        raise click.UsageError(f"--out {out}: the folder {out.parent} does not exist")
    found = read(named_data(data))
    title = found.source.partition(" from ")[0]  # without the place, which means nothing elsewhere
    if not quiet:
        click.echo(f"data: {found.source}", err=True)
    started = time.process_time()
    net = lenet.train(found.x_train, found.y_train, epochs, seed, bar("training", quiet))
    seconds = time.process_time() - started
    facts = {
        "data": title, "crc32": zlib.crc32(found.x_train.tobytes()), "seed": seed, "epochs": epochs,
        "layer": lenet.LAYER, "dimension": lenet.DIMENSION, "stored": "float16",
        "accuracy": lenet.accuracy(net, found.x_test, found.y_test),
    }  # fmt: skip
    facts["stored_accuracy"] = lenet.accuracy(lenet.as_stored(net), found.x_test, found.y_test)
    lenet.save(out, net, facts)
    click.echo(
        f"{out}: {facts['accuracy']:.2%} of {len(found.x_test):,} test images right ({facts['stored_accuracy']:.2%} as "
        f"stored in float16, {out.stat().st_size:,} bytes); {epochs} epochs, seed {seed}, {seconds:.0f} s of CPU"
    )
