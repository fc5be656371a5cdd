"""Drawing from a discrete distribution in constant time, however many values it has (Walker, 1974)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigan.device_resident import DeviceResident, DeviceResidentsVisitor


class WalkerAlias(DeviceResident):
    """Draws numbers 0 ... n - 1 with the probabilities `probs`, which need not sum to one.

    The unit interval is cut into n columns of equal width; each is shared by at most two values. A uniform number
    picks the column, and its fraction one of the two: `values[2 column]` below `threshold[column]`, else the next.
    """

    def __init__(self, probs: Sequence[float]) -> None:
        weights = np.array(probs, np.float32)
        weights /= weights.sum()
        count = len(weights)
        self.threshold: Any = np.empty(count, np.float32)
        self.values: Any = np.zeros(2 * count, np.int32)
        filled = opened = 0  # columns with a first value; columns that need no second one any more
        for value in sorted(range(count), key=lambda i: (weights[i], i)):
            rest = weights[value] * count
            while rest > 1 and opened < filled:
                self.values[2 * opened + 1] = value
                rest -= 1.0 - self.threshold[opened]
                opened += 1
            self.threshold[filled] = rest
            self.values[2 * filled] = value
            filled += 1

    @property
    def use_gpu(self) -> bool:
        """Whether the tables are on a GPU."""
        return self.xp is not np

    def device_resident_accept(self, visitor: DeviceResidentsVisitor) -> None:
        """Show `visitor` the tables."""
        super().device_resident_accept(visitor)
        self.threshold = visitor.visit_array(self.threshold)
        self.values = visitor.visit_array(self.values)

    def sample(self, shape: Any) -> Any:
        """An int32 array of that shape, drawn by one uniform number each from NumPy's (CuPy's) global generator."""
        place = self.xp.asarray(self.xp.random.uniform(0, 1, shape)) * len(self.threshold)
        column = place.astype(np.int32)
        second = self.threshold[column] < place - column
        return self.values[column * 2 + second]
