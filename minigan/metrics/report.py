"""All measures of one set of samples at once, in the order in which a person should read them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy

from minigan.metrics.classes import class_histogram, classifier_score, mode_coverage
from minigan.metrics.frechet import frechet_distance
from minigan.metrics.kernel import kernel_distance
from minigan.metrics.neighbours import neighbours
from minigan.metrics.prd import f_scores, prd


class Seen(NamedTuple):
    """What a classifier makes of N images: features (N, D) and logits (N, K)."""

    features: numpy.ndarray
    logits: numpy.ndarray


MEASURES = {  # key: what it is, and what it should be
    "frechet": ("Frechet distance", "0"),
    "kernel": ("kernel distance (KID)", "0"),
    "score": ("classifier score", "as real"),
    "precision": ("precision, k = 3", "1"),
    "recall": ("recall, k = 3", "1"),
    "density": ("density, k = 5", "1"),
    "coverage": ("coverage, k = 5", "1"),
    "f8": ("F8 of the PRD curve (recall)", "1"),
    "f1_8": ("F1/8 of the PRD curve (precision)", "1"),
    "real_found": ("1-NN test, real half found", "0.5"),
    "fake_found": ("1-NN test, other half found", "0.5"),
    "classes": ("classes met", "all"),
    "classes_kl": ("KL of the classes", "0"),
}
SMALLEST = 50  # samples, so that 20 clusters and 5 neighbours mean something


def measure(
    real: Seen, other: Seen, seed: int = 0, each: Callable[[Iterable], Iterable] = iter
) -> dict[str, float | list[int]]:
    """Return all of `MEASURES` of `other` against `real`, and `histogram`, how many of each class.

    KID takes 100 subsets of 1,000, or of all if there are fewer; the score 10 parts. `each` wraps the list of the five
    parts of the work, for a progress bar. `ValueError` as of the measures.
    """
    found: dict[str, float | list[int]] = {}

    def spread() -> None:
        size = min(1000, len(real.features), len(other.features))
        found["kernel"], found["kernel_spread"] = kernel_distance(real.features, other.features, 100, size, seed)

    def classes() -> None:
        found["score"], found["score_spread"] = classifier_score(other.logits, seed=seed)
        k = other.logits.shape[1]
        reference, histogram = (class_histogram(seen.logits.argmax(axis=1), k) for seen in (real, other))
        reference = numpy.maximum(reference, 1)  # a class that the reference lacks is no reason for infinity
        modes = mode_coverage(other.logits.argmax(axis=1), k, reference)
        found.update(classes=modes.found, classes_kl=modes.kl, histogram=histogram.tolist())

    def curve() -> None:
        found["f8"], found["f1_8"] = f_scores(*prd(real.features, other.features, seed=seed))

    parts: list[Callable[[], object]] = [
        lambda: found.update(frechet=frechet_distance(real.features, other.features)),
        spread,
        classes,
        lambda: found.update(neighbours(real.features, other.features)._asdict()),
        curve,
    ]
    for part in each(parts):
        part()
    return found
