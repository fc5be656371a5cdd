"""`minigan evaluate --against stacked-mnist`: how many of the thousand modes are met, how evenly, and by what digits.

The classifier says which digit each colour shows, and three digits are a mode (as in Lin et al. 2018, PacGAN, but with
a classifier of minigan's own). The count alone would be content with smudges that are taken for digits, so the Frechet
distance of all digits to those of the training images stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy

from minigan.backend import Device
from minigan.cli.progress import bar
from minigan.cli.sources import samples_of, told
from minigan.dataset.errors import DataError
from minigan.datasets import StackedDigits
from minigan.metrics import class_histogram, frechet_distance, lenet, mode_coverage, stacked_modes

N = 26_000  # samples in the papers that count these modes
SHAPE = (28, 28, 3)  # of their bytes
DIGITS = 10_000  # training digits for the Frechet distance
ALONE = "One run shows no spread: train it with other --seed, and name all of the runs."
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
    if net.n_classes != 10:
        raise DataError(f"{classifier}: this classifier knows {net.n_classes} classes; wanted one of the ten digits")
    sources = {str(path): samples_of(path, SHAPE) for path in samples}  # all are looked at before the first is drawn
    for name, source in sources.items():
        if source.shape != SHAPE:
            raise DataError(f"{name}: images are of {told(source.shape)}; wanted {told(SHAPE)}, as a run with --data "
                            f"stacked-mnist draws them")  # fmt: skip
    made = {name: source.take(n, seed, place).pixels for name, source in sources.items()}
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
        *([] if len(result["samples"]) > 1 else [ALONE]),
    ]  # fmt: skip
