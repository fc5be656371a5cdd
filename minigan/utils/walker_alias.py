"""Drawing from a discrete distribution in constant time, however many values it has (Walker, 1974)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigan.backend import CpuDevice, Device, get_device


class WalkerAlias:
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
        self._device: Device = CpuDevice()

    @property
    def device(self) -> Device:
        """Where the tables are."""
        return self._device

    @property
    def xp(self) -> Any:
        """`numpy` or `cupy`, whichever holds the tables."""
        return self._device.xp

    @property
    def use_gpu(self) -> bool:
        """Whether the tables are on a GPU."""
        return self.xp is not np

    def to_device(self, device: Any) -> WalkerAlias:
        """Move the tables; returns the sampler."""
        self._device = get_device(device)
        self.threshold, self.values = self._device.send((self.threshold, self.values))
        return self

    def to_cpu(self) -> WalkerAlias:
        """Move the tables to NumPy."""
        return self.to_device("@numpy")

    def to_gpu(self, device: Any = None) -> WalkerAlias:
        """Move the tables to CuPy."""
        return self.to_device(0 if device is None else device)

    def sample(self, shape: Any) -> Any:
        """An int32 array of that shape, drawn by one uniform number each from NumPy's (CuPy's) global generator."""
        place = self.xp.asarray(self.xp.random.uniform(0, 1, shape)) * len(self.threshold)
        column = place.astype(np.int32)
        second = self.threshold[column] < place - column
        return self.values[column * 2 + second]
