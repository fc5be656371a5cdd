"""Precision and recall as a curve (Sajjadi et al. 2018, arXiv:1806.00035).

Real and fake points are sorted into 20 common clusters. Of two histograms p (real) and q (fake) the curve has

    precision(l) = sum of min(l p, q),    recall(l) = precision(l) / l    for slopes l from 0 to infinity.

F8 of the best point weighs recall, F1/8 precision. Clusters are found by k-means, from several starts, of which the
curves are averaged.
"""

from __future__ import annotations

from typing import Any

import numpy

from minigan.metrics.points import checked, squared_distances

_EPSILON = 1e-10


def prd_curve(real: Any, fake: Any, angles: int = 1001) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Precision and recall (angles,) of two histograms (K,) of counts or probabilities."""
    p, q = (numpy.asarray(h, numpy.float64) for h in (real, fake))
    sums = p.sum(), q.sum()
    if p.ndim != 1 or p.shape != q.shape or not min(sums) > 0 or min(p.min(), q.min()) < 0 or angles < 3:
        raise ValueError(f"prd_curve: histograms have shapes {p.shape} and {q.shape} and sums {sums[0]} and {sums[1]}, "
                         f"angles is {angles}; wanted one (K,), nothing negative, sums above 0, angles from 3 "
                         f"on")  # fmt: skip
    slopes = numpy.tan(numpy.linspace(_EPSILON, numpy.pi / 2 - _EPSILON, angles))
    precision = numpy.minimum(slopes[:, None] * (p / sums[0]), q / sums[1]).sum(axis=1)
    return numpy.clip(precision, 0, 1), numpy.clip(precision / slopes, 0, 1)


def f_scores(precision: Any, recall: Any, beta: float = 8.0) -> tuple[float, float]:
    """The highest F_beta and F_(1/beta) on a curve: (1 + b^2) precision recall / (b^2 precision + recall)."""
    precision, recall = numpy.asarray(precision), numpy.asarray(recall)

    def highest(square: float) -> float:
        below = square * precision + recall
        return float(((1 + square) * precision * recall / numpy.where(below > 0, below, 1)).max())

    return highest(beta**2), highest(beta**-2)


def prd(
    real: Any, fake: Any, clusters: int = 20, angles: int = 1001, repeats: int = 10, seed: int = 0
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """The curve of two sets of features (N, D), (M, D): precision and recall, (angles,) each.

    Sets of one size, else the larger one shapes more of the clusters. ``ValueError`` for NaN, other D, or fewer points
    than clusters.
    """
    real, fake = checked("prd", real=real, fake=fake)
    points = numpy.concatenate([real, fake]).astype(numpy.float64)
    if not 1 <= clusters <= len(points) or repeats < 1:
        raise ValueError(f"prd: {clusters} clusters of {len(points)} points, {repeats} times; wanted 1 to "
                         f"{len(points)} clusters, and 1 or more repeats")  # fmt: skip
    random = numpy.random.RandomState(seed)
    curves = []
    for _ in range(repeats):
        label = k_means(points, clusters, random)
        p, q = (numpy.bincount(part, minlength=clusters) for part in (label[: len(real)], label[len(real) :]))
        curves.append(prd_curve(p, q, angles))
    precision, recall = numpy.mean(curves, axis=0)
    return precision, recall


def k_means(points: numpy.ndarray, k: int, random: numpy.random.RandomState, rounds: int = 25) -> numpy.ndarray:
    """Sort points (N, D) into k clusters and return the number of each point's, (N,).

    Centres start far from each other (k-means++: drawn with the chance of the squared distance from those before) and
    move to the middle of their points (Lloyd) until no point changes its cluster, or for `rounds`.
    """
    centres = points[random.randint(len(points))][None]
    distance = numpy.full(len(points), numpy.inf)
    while len(centres) < k:
        for part, d in squared_distances(points, centres[-1:]):
            numpy.minimum(distance[part], d[:, 0], out=distance[part])
        total = distance.sum()
        chance = distance / total if total > 0 else None  # all points lie on centres: any will do
        centres = numpy.vstack([centres, points[random.choice(len(points), p=chance)]])
    label = numpy.full(len(points), -1)
    for _ in range(rounds):
        before, label = label, numpy.empty(len(points), numpy.int64)
        for part, d in squared_distances(points, centres):
            label[part] = d.argmin(axis=1)
        if (label == before).all():
            break
        member = numpy.zeros((k, len(points)))
        member[label, numpy.arange(len(points))] = 1
        counts = member.sum(axis=1)
        centres = numpy.where(counts[:, None] > 0, member @ points / numpy.maximum(counts, 1)[:, None], centres)
    return label
