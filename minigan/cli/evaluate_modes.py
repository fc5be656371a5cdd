"""`minigan evaluate --against stacked-mnist`: how many of the thousand modes are met, how evenly, and by what digits.

The classifier says which digit each colour shows, and three digits are a mode (Lin et al. 2018, PacGAN, section 4.1,
with a classifier of minigan's own). The count alone would be content with smudges that are taken for digits, so the
Frechet distance of all digits to those of the training images stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy

from minigan.backend import Device
from minigan.cli.progress import bar
from minigan.cli.run_folder import RunFolder
from minigan.cli.sample import draw
from minigan.dataset.errors import DataError
from minigan.datasets import StackedDigits
from minigan.datasets.arrays import read_arrays
from minigan.metrics import class_histogram, frechet_distance, lenet, mode_coverage, stacked_modes

N = 26_000  # samples in the papers that count these modes
DIGITS = 10_000  # training digits for the Frechet distance
ROWS = {
    "modes": "modes of 1,000",
    "kl_uniform": "KL to uniform",
    "kl_training": "KL to training",
    "frechet": "Frechet of digits",
}


def measure_modes(
    samples: Iterable[Path], found: Any, n: int, seed: int, classifier: Path | None, place: Device, quiet: bool
) -> dict[str, Any]:
    """Return `ROWS` of each of the samples, and of as many stacks of the test digits of `found`, the floor.

    KL is that of n samples to 1,000 equal modes, and to the modes of the 128,000 training images.
    """
    net, facts = lenet.load(classifier or lenet.SHIPPED["mnist"])
    sources = {str(path): _source(path) for path in samples}  # all are looked at before the first is drawn
    made = {name: source(n, seed, place) for name, source in sources.items()}
    n = min(n, *map(len, made.values()))
    test = StackedDigits(found.x_test, found.y_test, n, seed)
    training = class_histogram(StackedDigits(found.x_train, found.y_train).modes, 1000)
    some = numpy.random.RandomState(seed).permutation(len(found.x_train))[:DIGITS]
    real, _ = lenet.see(net, found.x_train[some], bar("training digits", quiet))
    columns = {}
    for name, images in [("real", test.digits[test.picks].transpose(0, 2, 3, 1)), *made.items()]:
        digits = images[:n].transpose(0, 3, 1, 2).reshape(-1, 28, 28)
        features, logits = lenet.see(net, digits, bar(f"{name}: features", quiet))
        modes = stacked_modes(logits.argmax(axis=1).reshape(-1, 3))
        even, as_training = mode_coverage(modes), mode_coverage(modes, reference=training)
        distance = frechet_distance(real, features)
        columns[name] = dict(zip(ROWS, (even.found, even.kl, as_training.kl, distance)))
    return {"n": n, "seed": seed, "against": found.source, "floor": columns.pop("real"), "samples": columns,
            "classifier": facts}  # fmt: skip


def _source(path: Path) -> Callable[[int, int, Device], numpy.ndarray]:
    """Check a run or a file, and return what gives n of its images, bytes (n, 28, 28, 3), or all if there are fewer."""
    folder = path if path.is_dir() else path.parent
    if path.is_dir() or path.name == "gen.npz" or path.name.startswith("snapshot_iter_"):
        run = RunFolder.open(folder)
        shape = tuple(run.settings()[name] for name in ("channels", "size"))
        if shape != (3, 28):
            raise DataError(f"{path}: this run draws images of {shape[0]} channels and {shape[1]} pixels; wanted 3 "
                            f"and 28, as a run with --data stacked-mnist draws them")  # fmt: skip
        gen, _ = run.generator(path if path.is_file() else None)

        def drawn(n: int, seed: int, place: Device) -> numpy.ndarray:
            gen.to_device(place)
            with place:
                return draw(gen, n, seed)

        return drawn
    (images,) = read_arrays(path, [("images", "samples", "x", "arr_0")])
    if images.dtype != numpy.uint8 or images.shape[1:] != (28, 28, 3) or not len(images):
        raise DataError(f"{path}: images are {images.dtype} of shape {images.shape}; wanted uint8, (N, 28, 28, 3), as "
                        f"`minigan sample RUN --out samples.npz` writes them")  # fmt: skip
    return lambda n, seed, place: images


def table(result: dict[str, Any]) -> list[str]:
    """A line for the real images, one for each of the samples, and what the numbers are."""
    lines = {"": list(ROWS.values())}
    for name, column in (("real", result["floor"]), *result["samples"].items()):
        lines[name] = [f"{column[key]:.{digits}f}" for key, digits in zip(ROWS, (0, 4, 4, 2))]
    if len(result["samples"]) > 1:
        values = numpy.array([[column[key] for key in ROWS] for column in result["samples"].values()])
        lines["mean"], lines["standard deviation"] = (
            [f"{number:.{digits}f}" for number, digits in zip(row, (1, 4, 4, 2))]
            for row in (values.mean(0), values.std(0, ddof=1))
        )
    wide = max(map(len, lines))
    facts = result["classifier"]
    return [
        *(name.ljust(wide) + "".join(cell.rjust(19) for cell in line) for name, line in lines.items()),
        f"N = {result['n']:,} each, seed {result['seed']}; stacks of {result['against']}.",
        "`real` is the floor: stacks of as many test digits. KL(samples || 1,000 equal modes), and || the modes of "
        "128,000 training stacks.",
        f"Classifier: a LeNet trained on {facts['data']} (seed {facts['seed']}, accuracy "
        f"{facts['stored_accuracy']:.2%}).",
    ]  # fmt: skip
