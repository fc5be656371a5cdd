"""`minigan evaluate`: how good the samples are, as a table in which no number stands alone.

Beside each number stands what real images reach that are measured in the same way (the floor), and its spread where
several runs are given. All is checked before the work starts.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy

from minigan import pictures
from minigan.backend import Device
from minigan.cli.data import DOWNLOADS as NAMES
from minigan.cli.data import named_data, read
from minigan.cli.evaluate_modes import N as STACKS
from minigan.cli.evaluate_modes import measure_modes, table
from minigan.cli.options import device_option, named_device
from minigan.cli.progress import bar
from minigan.cli.run_folder import RunFolder
from minigan.cli.sample import draw
from minigan.dataset.errors import DataError
from minigan.datasets.arrays import read_arrays
from minigan.datasets.digits import data_files
from minigan.datasets.images import ImageFolderDataset
from minigan.metrics import lenet, nearest
from minigan.metrics.report import MEASURES, SMALLEST, Seen, measure
from minigan.utils.files import atomic_write

LOOKED_UP = 1000  # samples of which the nearest training image is looked for
SHOWN = 32  # of them in the picture
IMAGES_KEYS = [("images", "samples", "x", "x_test", "arr_0")]


class Images(NamedTuple):
    """Bytes (N, 28, 28), and the classes (N,) that they are to be of, if that is known."""

    pixels: numpy.ndarray
    labels: numpy.ndarray | None = None


class Against(NamedTuple):
    """Real images: those that count, others of the same source for the floor, and the pixels of all to copy."""

    real: Images
    floor: Images
    training: numpy.ndarray
    description: str
    classifier: str


@click.command()
@click.argument("samples", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--against", metavar="WHAT", help="Real images: mnist, fashion, kmnist, builtin, a folder or file of "
              "MNIST, a folder of images, an npz or npy of them; with stacked-mnist[:WHICH] modes are counted.  "
              "[default: $MINIGAN_DATA, else builtin]")  # fmt: skip
@click.option("--n", "n", type=click.IntRange(SMALLEST), default=10_000, show_default=f"10000; of stacks {STACKS}",
              help="Images on either side; fewer if there are fewer.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of noise and subsets.")
@click.option("--classifier", type=click.Path(dir_okay=False, path_type=Path),
              help="Weights from `minigan train-classifier`.  [default: those that come along]")  # fmt: skip
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write all numbers there.")
@click.option("--nearest", "nearest_file", type=click.Path(dir_okay=False, path_type=Path),
              help="A PNG of samples of the first run, and below each its nearest training image.")  # fmt: skip
@click.option("--train-on-samples", "epochs", type=click.IntRange(1, 1000), metavar="EPOCHS",
              help="Also train a classifier on samples that have labels, and test it on real images.")  # fmt: skip
@device_option
@click.option("--quiet", is_flag=True, help="Print the table only.")
def evaluate(
    samples: tuple[Path, ...], against: str | None, n: int, seed: int, classifier: Path | None, json_file: Path | None,
    nearest_file: Path | None, epochs: int | None, device: str, quiet: bool,
) -> None:  # fmt: skip
    """Measure SAMPLES: run folders, or files (npz, npy) and folders of images.

    Where an npz has an array `labels`, too, the classifier says whether they are right. Give the runs of several seeds
    to see the spread. Features are those of a small classifier of minigan's own: the numbers compare with each other,
    never with such from Inception.
    """
    for file in (json_file, nearest_file):
        if file and not file.absolute().parent.is_dir():
            raise click.UsageError(f"{file}: the folder {file.parent} does not exist")
    place = named_device(device)
    if len(set(samples)) < len(samples):
        raise click.UsageError("one of the samples is named twice; name each run once")
    kind, _, which = named_data(against).partition(":")
    if kind == "stacked-mnist":
        if nearest_file or epochs:
            raise click.UsageError("--nearest and --train-on-samples are for single digits; leave them out")
        if click.get_current_context().get_parameter_source("n") is click.core.ParameterSource.DEFAULT:
            n = STACKS
        found = measure_modes(samples, read(which or "mnist"), n, seed, classifier, place, quiet)
        return _print(found, table, json_file)
    goal = real_images(against, seed)
    n = min(n, len(goal.real.pixels), len(goal.floor.pixels))
    if n < SMALLEST:
        raise DataError(f"--against {against}: {n} images to compare with are too few; wanted {SMALLEST} or more")
    net, facts = lenet.load(classifier or lenet.SHIPPED[goal.classifier])
    sources = {str(path): images_of(path) for path in samples}  # all are looked at before the first is drawn
    made = {name: source(n, seed, place) for name, source in sources.items()}
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
        if images.labels is not None:
            column["agreed"] = float((seen.logits.argmax(axis=1) == images.labels[:n]).mean())
            if epochs and goal.real.labels is not None:
                pupil = lenet.train(images.pixels[:n], images.labels[:n], epochs, seed, bar(f"{name}: pupil", quiet))
                column["taught"] = lenet.accuracy(pupil, goal.real.pixels, goal.real.labels)
    if nearest_file:
        near.draw(nearest_file, next(iter(made.values())).pixels)
    result = {
        "n": n, "against": goal.description, "seed": seed, "floor": columns.pop("real"), "samples": columns,
        "spread": _spread(columns), "classifier": facts, "nearest_n": near.n,
    }  # fmt: skip
    _print(result, _table, json_file)


def _print(result: dict[str, Any], table: Callable[[dict[str, Any]], list[str]], json_file: Path | None) -> None:
    if json_file:
        with atomic_write(json_file, "w") as stream:
            stream.write(json.dumps(result, indent=2) + "\n")
    click.echo("\n".join(table(result)))


def real_images(against: str | None, seed: int) -> Against:
    """Find what `--against` means; raises `DataError` where there is nothing, or nothing of 28 x 28."""
    spec = named_data(against)
    path = Path(spec)
    parts = data_files(path, "mnist") or data_files(path / "mnist", "mnist")
    arrays = path.is_file() and _is_digits(path)
    if spec.partition(":")[0] in (*NAMES, "builtin") or parts or arrays:
        found = read(spec)
        random = numpy.random.RandomState(seed)
        order = random.permutation(len(found.x_test))  # the first half of MNIST's is the easier one
        test = Images(found.x_test[order], found.y_test[order])
        order = random.permutation(len(found.x_train))[: len(order)]
        others = Images(found.x_train[order], found.y_train[order])
        kind = "fashion" if "Fashion" in found.source else "mnist"
        return Against(test, others, found.x_train, f"the test images of {found.source}", kind)
    pixels = read_images(path, f"--against {against or spec}").pixels
    pixels = pixels[numpy.random.RandomState(seed).permutation(len(pixels))]
    half = len(pixels) // 2
    what = f"one half of {len(pixels):,} images of {path.name}, with the other half as floor and training images"
    return Against(Images(pixels[:half]), Images(pixels[half:]), pixels[half:], what, "mnist")


def _is_digits(path: Path) -> bool:
    """Whether a file has training and test images."""
    try:
        return bool(read_arrays(path, [("x_train",), ("x_test",)]))
    except DataError:
        return False


def images_of(path: Path) -> Callable[[int, int, Device], Images]:
    """Check a run, a file or a folder, and return what gives n of its images, or all where there are fewer."""
    folder = path.parent if path.name == "gen.npz" or path.name.startswith("snapshot_iter_") else path
    if not (folder / "config.json").is_file():
        images = read_images(path, str(path))
        if len(images.pixels) < SMALLEST:
            raise DataError(f"{path}: {len(images.pixels)} images are too few; wanted {SMALLEST} or more: draw more")
        return lambda n, seed, place: images
    run = RunFolder.open(folder)
    shape = tuple(run.settings()[name] for name in ("channels", "size"))
    if shape != (1, 28):
        raise DataError(f"{path}: this run draws images of {shape[0]} channels and {shape[1]} pixels; wanted 1 and 28, "
                        f"for that is what the classifier has learnt to see; measure features of your own with "
                        f"minigan.metrics")  # fmt: skip
    gen, _ = run.generator(path if path.is_file() else None)

    def drawn(n: int, seed: int, place: Device) -> Images:
        gen.to_device(place)
        with place:
            return Images(draw(gen, n, seed))

    return drawn


def read_images(path: Path, called: str) -> Images:
    """Read all images of a file (npz, npy, HDF5), with its `labels` if it has some, or below a folder."""
    if path.is_dir():
        loaded = ImageFolderDataset(path, size=28, channels=1, dtype=numpy.float32)
        return Images(pictures.to_uint8(numpy.stack([loaded[i] for i in bar("reading")(range(len(loaded)))])))
    if not path.is_file():
        raise DataError(f"{called}: there is no such folder or file; give a run folder, a folder of images, or an npz "
                        f"with an array `images`, as `minigan sample RUN --out samples.npz` writes it")  # fmt: skip
    if path.suffix != ".npy":
        try:
            images = _checked(read_arrays(path, IMAGES_KEYS)[0], called)
        except DataError as error:
            known, missing, _ = str(error).partition("; wanted x_train")
            raise DataError(f"{known}; wanted `images`, as `minigan sample` writes it") if missing else error from None
        try:
            (labels,) = read_arrays(path, [("labels",)])
        except DataError as error:
            if "there is no array" not in str(error):
                raise
            return Images(images)
        whole = labels.dtype.kind in "iu" and set(numpy.unique(labels).tolist()) <= set(range(10))
        if not whole or labels.shape != (len(images),):
            raise DataError(f"{called}: labels are {labels.dtype} of shape {labels.shape} for {len(images)} images; "
                            f"wanted one integer from 0 to 9 for each")  # fmt: skip
        return Images(images, labels)
    try:
        return Images(_checked(numpy.load(path, allow_pickle=False), called))
    except (ValueError, EOFError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{called}: this is no array of numbers, or a damaged one ({error}); save it anew") from error


def _checked(images: numpy.ndarray, called: str) -> numpy.ndarray:
    """Refuse what the classifier cannot see."""
    if images.ndim == 4 and 1 in (images.shape[1], images.shape[3]):
        images = images.reshape(len(images), *(d for d in images.shape[1:] if d != 1))
    if images.dtype != numpy.uint8 or images.shape[1:] != (28, 28):
        raise DataError(f"{called}: images are {images.dtype} of shape {images.shape}; wanted uint8, (N, 28, 28), 0 to "
                        f"255, for that is what the classifier has learnt to see; scale them, or measure features of "
                        f"your own with minigan.metrics")  # fmt: skip
    return images


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
    classes = [f"  {' '.join(f'{c:>5}' for c in column['histogram'])}  {name}"
               for name, column in (("real", result["floor"]), *result["samples"].items())]  # fmt: skip
    if spread:
        lines += [f"{i + 1} = {name}" for i, name in enumerate(names)]
    return [
        *lines, "samples of each class:", *classes,
        f"N = {result['n']} on either side ({result['nearest_n']} for copies), seed {result['seed']}; against "
        f"{result['against']}.",
        "`real` is the floor: other real images of the same source, measured in the same way.",
        f"Features: {facts['layer']}, {facts['dimension']} numbers, of a LeNet trained on {facts['data']} (seed "
        f"{facts['seed']}, accuracy {facts['stored_accuracy']:.2%}); not comparable with Inception's.",
        *([] if spread else ["One run shows no spread: train it with other --seed, and name all of the runs."]),
    ]  # fmt: skip


def _short(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.4f}" if abs(value) < 1 else f"{value:.2f}"
