"""The kernel distance: how far apart two sets are in the eyes of a cubic kernel (Binkowski et al. 2018, "KID").

Unlike the Frechet distance it has no bias: of two sets from one source it is 0 on average for every N, hence sometimes
below 0.
"""

from __future__ import annotations

from typing import Any

import numpy

from minigan.metrics.points import checked


def polynomial_mmd(x: Any, y: Any, degree: int = 3, gamma: float | None = None, coef0: float = 1.0) -> float:
    """Unbiased squared MMD of x (N, D) and y (M, D) with the kernel (gamma a.b + coef0)^degree; gamma is 1/D.

    mean over i != j of k(x_i, x_j) + mean over i != j of k(y_i, y_j) - 2 mean k(x_i, y_j): Gretton et al. 2012,
    equation 3. Takes memory for N M numbers; ``ValueError`` for NaN, fewer than two rows, other D.
    """
    x, y = (a.astype(numpy.float64) for a in checked("polynomial_mmd", x=x, y=y))
    gamma = 1 / x.shape[1] if gamma is None else gamma

    def kernel(a: numpy.ndarray, b: numpy.ndarray) -> numpy.ndarray:
        return (gamma * (a @ b.T) + coef0) ** degree

    total = -2 * kernel(x, y).mean()
    for a in (x, y):
        k = kernel(a, a)
        total += (k.sum() - numpy.trace(k)) / (len(a) * (len(a) - 1))
    return float(total)


def kernel_distance(
    real: Any, fake: Any, subsets: int = 100, size: int = 1000, seed: int = 0, **kernel: Any
) -> tuple[float, float]:
    """Mean and standard deviation of `polynomial_mmd` over pairs of random subsets of `size` rows each.

    ``ValueError`` for NaN, other D, or a `size` below 2 or above the number of rows.
    """
    real, fake = checked("kernel_distance", real=real, fake=fake)
    if not 2 <= size <= min(len(real), len(fake)) or subsets < 1:
        raise ValueError(f"kernel_distance: {subsets} subsets of {size} rows, of {len(real)} real and {len(fake)} "
                         f"fake ones; pass a size from 2 to {min(len(real), len(fake))}, and subsets of 1 or "
                         f"more")  # fmt: skip
    random = numpy.random.RandomState(seed)

    def draw(x: numpy.ndarray) -> numpy.ndarray:
        return x[random.choice(len(x), size, replace=False)]

    values = [polynomial_mmd(draw(real), draw(fake), **kernel) for _ in range(subsets)]
    return float(numpy.mean(values)), float(numpy.std(values))
