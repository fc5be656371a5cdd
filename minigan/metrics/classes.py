"""What a classifier says of the samples: its score, which classes there are, how evenly, how many modes are missing."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy

from minigan.metrics.points import checked


def classifier_score(logits: Any, splits: int = 10, seed: int | None = 0) -> tuple[float, float]:
    """exp(mean of KL(p(y|x) || p(y))) of logits (N, K): mean and standard deviation over `splits` parts.

    1 if all samples look alike to the classifier, K if it is sure of each and all K classes come equally often
    (Salimans et al. 2016, with their Inception net: the Inception score). It sees no lack of variety within a class.
    Samples are shuffled by `seed` first, None leaves the order. ``ValueError`` for NaN or fewer than `splits` rows.
    """
    (logits,) = checked("classifier_score", max(splits, 1), logits=logits)
    if splits < 1:
        raise ValueError(f"classifier_score: splits is {splits}; wanted 1 or more")
    logits = logits.astype(numpy.float64)
    log_p = logits - logits.max(axis=1, keepdims=True)
    log_p -= numpy.log(numpy.exp(log_p).sum(axis=1, keepdims=True))
    if seed is not None:
        log_p = log_p[numpy.random.RandomState(seed).permutation(len(log_p))]
    scores = []
    for part in numpy.array_split(log_p, splits):
        p = numpy.exp(part)
        marginal = p.mean(axis=0)
        with numpy.errstate(divide="ignore", invalid="ignore"):
            terms = numpy.where(p > 0, p * (part - numpy.log(marginal)), 0)
        scores.append(numpy.exp(terms.sum(axis=1).mean()))
    return float(numpy.mean(scores)), float(numpy.std(scores))


def class_histogram(classes: Any, n_classes: int = 10) -> numpy.ndarray:
    """How many samples are of each class, (n_classes,), from classes (N,), integers from 0 on."""
    classes = numpy.asarray(classes)
    if classes.ndim != 1 or classes.dtype.kind not in "iu":
        raise ValueError(f"class_histogram: classes are {classes.dtype} of shape {classes.shape}; wanted integers, "
                         f"(N,): logits.argmax(axis=1) gives them")  # fmt: skip
    if len(classes) and not 0 <= classes.min() <= classes.max() < n_classes:
        raise ValueError(f"class_histogram: classes go from {classes.min()} to {classes.max()}; wanted 0 to "
                         f"{n_classes - 1}; pass n_classes")  # fmt: skip
    return numpy.bincount(classes, minlength=n_classes)


class Modes(NamedTuple):
    """How many modes were met, of how many, and KL(samples || reference), in nats."""

    found: int
    of: int
    kl: float


def mode_coverage(classes: Any, n_classes: int = 1000, reference: Any = None) -> Modes:
    """Count the modes among classes (N,) and compare how often they come with `reference`.

    `reference` (n_classes,) are counts or probabilities, uniform by default. The divergence is that of the VEEGAN and
    PacGAN papers, sum of q log(q / p) with q of the samples: modes that are missing cost little, hence both numbers.
    A mode of q that the reference says never comes makes it infinite.
    """
    counts = class_histogram(classes, n_classes)
    p = numpy.ones(n_classes) if reference is None else numpy.asarray(reference, numpy.float64)
    if p.shape != (n_classes,) or not numpy.isfinite(p).all() or p.min() < 0 or p.sum() == 0 or counts.sum() == 0:
        raise ValueError(f"mode_coverage: {counts.sum()} samples and a reference of shape {p.shape}; wanted at least "
                         f"one sample, and {n_classes} counts, none negative and not all 0")  # fmt: skip
    met = counts > 0
    q, p = counts[met] / counts.sum(), (p / p.sum())[met]
    with numpy.errstate(divide="ignore"):
        return Modes(int(met.sum()), n_classes, float((q * (numpy.log(q) - numpy.log(p))).sum()))


def stacked_modes(digits: Any) -> numpy.ndarray:
    """Make one of 1,000 modes out of the classes of three digits, (N, 3): Stacked MNIST, 26,000 samples by custom."""
    digits = numpy.asarray(digits)
    if digits.ndim != 2 or digits.shape[1] != 3 or digits.dtype.kind not in "iu" or (digits < 0).any():
        raise ValueError(f"stacked_modes: digits are {digits.dtype} of shape {digits.shape}; wanted integers from 0 "
                         f"to 9, (N, 3): the class of each colour of each image")  # fmt: skip
    if (digits > 9).any():
        raise ValueError(f"stacked_modes: there is a class {digits.max()}; wanted 0 to 9")
    return digits.astype(numpy.int64) @ numpy.array([100, 10, 1])
