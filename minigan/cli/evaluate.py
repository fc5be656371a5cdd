"""`minigan evaluate`: how good the samples are, as a table in which no number stands alone.

Beside each number stands what real images reach that are measured in the same way (the floor), and its spread where
several runs are given. All is checked before the work starts.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy

from minigan import pictures
from minigan.cli.data import named_data, read_digits
from minigan.cli.evaluate_modes import ALONE, measure_modes, table
from minigan.cli.evaluate_modes import N as STACKS
from minigan.cli.options import check_file, device_option, named_device
from minigan.cli.progress import bar
from minigan.cli.sources import Against, real_images, samples_of, told
from minigan.dataset.errors import DataError
from minigan.metrics import inception, lenet, nearest
from minigan.metrics.report import MEASURES, SMALLEST, Seen, measure
from minigan.utils.files import atomic_write

LOOKED_UP = 1000  # samples of which the nearest training image is looked for
SHOWN = 32  # of them in the picture
CLASSES = 20  # of a histogram that is printed


@click.command()
@click.argument("samples", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--against", metavar="WHAT", help="Real images: mnist, fashion, kmnist, cifar10, builtin, a folder or "
              "file of MNIST, folder:DIR, hdf5:FILE or npz:FILE of images; with stacked-mnist[:WHICH] modes are "
              "counted.  [default: $MINIGAN_DATA, else builtin]")  # fmt: skip
@click.option("--n", "n", type=click.IntRange(SMALLEST), default=10_000, show_default=f"10000; of stacks {STACKS}",
              help="Images on either side; fewer if there are fewer.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of noise and subsets.")
@click.option("--classifier", type=click.Path(dir_okay=False, path_type=Path),
              help="Weights from `minigan train-classifier`.  [default: those that come along]")  # fmt: skip
@click.option("--inception", "inception_file", type=click.Path(dir_okay=False, path_type=Path),
              help="Look with Inception, of these weights (npz or HDF5), instead of a classifier.")  # fmt: skip
@click.option("--skip-bad", is_flag=True, help="With --against folder:DIR, leave out what cannot be read.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write all numbers there.")
@click.option("--nearest", "nearest_file", type=click.Path(dir_okay=False, path_type=Path),
              help="A PNG of samples of the first run, and below each its nearest training image.")  # fmt: skip
@click.option("--train-on-samples", "epochs", type=click.IntRange(1, 1000), metavar="EPOCHS",
              help="Also train a classifier on samples that have labels, and test it on real images.")  # fmt: skip
@device_option
@click.option("--quiet", is_flag=True, help="Print the table only.")
def evaluate(
    samples: tuple[Path, ...], against: str | None, n: int, seed: int, classifier: Path | None,
    inception_file: Path | None, skip_bad: bool, json_file: Path | None, nearest_file: Path | None,
    epochs: int | None, device: str, quiet: bool,
) -> None:  # fmt: skip
    """Measure SAMPLES: run folders, or files (npz, npy, HDF5) and folders of images.

    Of conditional runs, and where a file has `labels` beside its `images`, the classifier says whether they are right.
    Give the runs of several seeds to see the spread. Features are those of a small classifier of minigan's own, which
    sees the size and the channels that it was trained on: the numbers compare with each other, never with such from
    Inception, which sees images of all sizes (--inception).
    """
    if json_file:
        check_file("--json", json_file)
    if nearest_file:
        check_file("--nearest", nearest_file, ".png")
    place = named_device(device)
    if len(set(samples)) < len(samples):
        raise click.UsageError("one of the samples is named twice; name each run once")
    kind, _, which = named_data(against).partition(":")
    if kind == "stacked-mnist":
        if nearest_file or epochs or inception_file:
            few = "--nearest, --train-on-samples and --inception"
            raise click.UsageError(f"{few} are of no use where modes are counted; leave them out")
        if click.get_current_context().get_parameter_source("n") is click.core.ParameterSource.DEFAULT:
            n = STACKS
        digits = read_digits(which, "--against")
        if digits.y_test is None:
            raise DataError(f"--against {kind}:{which}: there are no test images with classes to stack; name an MNIST")
        found = measure_modes(samples, digits, n, seed, classifier, place, quiet)
        return _print(found, table, json_file)
    if classifier and inception_file:
        raise click.UsageError("--classifier and --inception both say what to look with; pass one of them")
    shipped = lenet.SHIPPED["fashion" if kind == "fashion" else "mnist"]
    net: Any
    net, facts = inception.load(inception_file) if inception_file else lenet.load(classifier or shipped)
    shape, sources = net.shape, {}
    for path in samples:  # all are looked at before the first is drawn
        source = sources[str(path)] = samples_of(path, shape or (inception.SIDE, inception.SIDE, 3))
        shape = shape or source.shape
        _check(path, source.shape, shape, source.n_classes, None if inception_file else net.n_classes)
    goal = real_images(against, seed, shape, skip_bad, quiet)
    n = min(n, len(goal.real.pixels), len(goal.floor.pixels))
    if n < SMALLEST:
        raise DataError(f"--against {against}: {n} images to compare with are too few; wanted {SMALLEST} or more")
    net.to_device(place)
    made = {name: source.take(n, seed, place) for name, source in sources.items()}
    n = min(n, *(len(images.pixels) for images in made.values()))  # the same for all: the distances depend on it
    if not quiet:
        click.echo(f"against: {goal.description}; {n} images on either side", err=True)
    real = Seen(*lenet.see(net, goal.real.pixels[:n], bar("real images", quiet)))
    near = _Nearest(goal, n)
    columns = {}
    for name, images in [("real", goal.floor), *made.items()]:
        seen = Seen(*lenet.see(net, images.pixels[:n], bar(f"{name}: features", quiet)))
        column = columns[name] = measure(real, seen, seed, bar(f"{name}: measures", quiet))
        column.update(near.of(goal.real.pixels if name == "real" else images.pixels))
        if images.labels is not None and not inception_file:
            column["agreed"] = float((seen.logits.argmax(axis=1) == images.labels[:n]).mean())
        if images.labels is not None and epochs and goal.real.labels is not None:
            k = 1 + int(max(images.labels.max(), goal.real.labels.max()))
            pupil = lenet.train(images.pixels[:n], images.labels[:n], epochs, seed, bar(f"{name}: pupil", quiet), k)
            column["taught"] = lenet.accuracy(pupil, goal.real.pixels, goal.real.labels)
    if nearest_file:
        near.draw(nearest_file, next(iter(made.values())).pixels)
    result = {
        "n": n, "against": goal.description, "seed": seed, "floor": columns.pop("real"), "samples": columns,
        "spread": _spread(columns), "classifier": facts, "nearest_n": near.n,
    }  # fmt: skip
    _print(result, _table, json_file)


def _check(path: Path, got: tuple[int, ...], wanted: tuple[int, ...], asked: int, known: int | None) -> None:
    """Refuse samples that cannot be looked at together, or with this classifier; `known` are its classes."""
    if got != wanted:
        why = "as the first of the samples are"
        if known:
            why = "for that is what the classifier has learnt to see; give --classifier one that `minigan "
            why += "train-classifier` made of such images, or look with --inception"
        raise DataError(f"{path}: images are of {told(got)}; wanted {told(wanted)}, {why}")
    if got[0] != got[1]:
        raise DataError(f"{path}: images are of {told(got)}; wanted squares, which real images are cut to; crop them")
    if known and asked > known:
        raise DataError(f"{path}: images are of {asked} classes, and the classifier knows {known}; give --classifier "
                        f"one that `minigan train-classifier` made of such images")  # fmt: skip


def _print(result: dict[str, Any], table: Callable[[dict[str, Any]], list[str]], json_file: Path | None) -> None:
    if json_file:
        with atomic_write(json_file, "w") as stream:
            stream.write(json.dumps(result, indent=2) + "\n")
    click.echo("\n".join(table(result)))


class _Nearest:
    """How near samples come to training images, beside how near other real images come."""

    def __init__(self, goal: Against, n: int) -> None:
        self.n, self.training = min(LOOKED_UP, n), goal.training.reshape(len(goal.training), -1)
        self.usual = numpy.median(self._look(goal.real.pixels)[1])

    def _look(self, images: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
        return nearest(self.training, images[: self.n].reshape(self.n, -1))

    def of(self, images: numpy.ndarray) -> dict[str, float]:
        """Median distance to the nearest training image, 1 where real images have it; and the share of copies."""
        distance = self._look(images)[1]
        return {"nearest": float(numpy.median(distance) / self.usual), "copies": float((distance == 0).mean())}

    def draw(self, file: Path, images: numpy.ndarray) -> None:
        """Draw rows of samples, and below each row the nearest training images."""
        shown = min(SHOWN, self.n)
        twins = self.training[self._look(images)[0][:shown]].reshape(-1, *images.shape[1:])
        rows = [part[i : i + 8] for i in range(0, shown - shown % 8, 8) for part in (images, twins)]
        pictures.save_png(file, pictures.grid(numpy.concatenate(rows), len(rows)))


ROWS = {
    **MEASURES,
    "nearest": ("distance to nearest training image", "1"),
    "copies": ("share of exact copies", "0"),
    "agreed": ("labels that the classifier agrees with", "as real"),
    "taught": ("real images right after training on it", "as real"),
}


def _spread(columns: dict[str, Any]) -> dict[str, Any] | None:
    """Mean and standard deviation over the runs, of two or more."""
    if len(columns) < 2:
        return None
    shared = [key for key in ROWS if all(key in column for column in columns.values())]
    values = {key: [column[key] for column in columns.values()] for key in shared}
    return {key: {"mean": float(numpy.mean(v)), "std": float(numpy.std(v, ddof=1))} for key, v in values.items()}


def _table(result: dict[str, Any]) -> list[str]:
    names, spread, facts = list(result["samples"]), result["spread"], result["classifier"]
    columns = [[str(i + 1) for i in range(len(names))]] if spread else [["samples"]]
    rows = [["", "should be", "real", *columns[0], *(["mean +- std"] if spread else [])]]
    for key, (title, ideal) in ROWS.items():
        if not any(key in column for column in result["samples"].values()):
            continue
        row = [title, ideal, *(_short(column.get(key)) for column in (result["floor"], *result["samples"].values()))]
        if spread:
            both = spread.get(key)
            row.append(f"{_short(both['mean'])} +- {_short(both['std'])}" if both else "-")
        rows.append(row)
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:]))]) for row in rows]
    few = [(name, column) for name, column in (("real", result["floor"]), *result["samples"].items())
           if len(column["histogram"]) <= CLASSES]  # fmt: skip
    classes = [f"  {' '.join(f'{c:>5}' for c in column['histogram'])}  {name}" for name, column in few]
    if spread:
        lines += [f"{i + 1} = {name}" for i, name in enumerate(names)]
    return [
        *lines, *(["samples of each class:"] if few else []), *classes,
        f"N = {result['n']} on either side ({result['nearest_n']} for copies), seed {result['seed']}; against "
        f"{result['against']}.",
        "`real` is the floor: other real images of the same source, measured in the same way.",
        f"Features: {facts['layer']}, {facts['dimension']} numbers, of {_eyes(facts)}.",
        *([] if spread else [ALONE]),
    ]  # fmt: skip


def _eyes(facts: dict[str, Any]) -> str:
    """Say what has been looked with."""
    if "inception" in facts:
        return (f"Inception with the weights {facts['inception']} (crc32 {facts['crc32']}), images scaled to 299 x 299 "
                f"as pytorch-fid does")  # fmt: skip
    return (f"a LeNet trained on {facts['data']} (seed {facts['seed']}, accuracy {facts['stored_accuracy']:.2%}); not "
            f"comparable with Inception's")  # fmt: skip


def _short(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.4f}" if abs(value) < 1 else f"{value:.2f}"
