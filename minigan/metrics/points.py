"""What all measures share: one check of the features, and distances in blocks, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy

LIMIT = 1 << 22  # distances held at a time: 32 MB


def checked(function: str, least: int = 2, **sets: Any) -> list[numpy.ndarray]:
    """Return the named sets as arrays of numbers (N, D) with at least `least` rows and one D.

    Raises:
        ValueError: another shape, no real numbers, NaN or infinity among them, or sets that do not fit together.
    """
    arrays = [numpy.asarray(x) for x in sets.values()]
    for name, x in zip(sets, arrays):
        if x.ndim != 2 or x.shape[1] == 0 or x.dtype.kind not in "buif":
            raise ValueError(f"{function}: {name} is {x.dtype} of shape {x.shape}; wanted real numbers, (N, D): one "
                             f"row for each image")  # fmt: skip
        if len(x) < least:
            raise ValueError(f"{function}: {name} has {len(x)} rows; wanted {least} or more: draw more samples")
        if x.dtype.kind == "f" and not numpy.isfinite(x).all():
            row = int((~numpy.isfinite(x)).any(axis=1).argmax())
            raise ValueError(f"{function}: {name} has NaN or infinity in row {row}; look at what made it: a training "
                             f"that diverged?")  # fmt: skip
    if len({x.shape[1] for x in arrays}) > 1:
        shapes = " and ".join(f"{name} {x.shape}" for name, x in zip(sets, arrays))
        raise ValueError(f"{function}: {shapes} differ in D; make all of them with one net, of one layer")
    return arrays


def squared_distances(x: numpy.ndarray, y: numpy.ndarray) -> Iterator[tuple[slice, numpy.ndarray]]:
    """Give, for block after block of the rows of x (N, D), the block and its squared distances from y (M, D).

    They are float64 (block, M), never negative, and exact where all numbers are integers, as the bytes of images are.
    """
    y = y.astype(numpy.float64)
    lengths, turned = numpy.einsum("ij,ij->i", y, y), -2 * y.T
    step = max(1, LIMIT // max(y.shape))
    for start in range(0, len(x), step):
        part = x[start : start + step].astype(numpy.float64)
        d = part @ turned
        d += numpy.einsum("ij,ij->i", part, part)[:, None]
        d += lengths
        yield slice(start, start + len(part)), numpy.maximum(d, 0, out=d)
