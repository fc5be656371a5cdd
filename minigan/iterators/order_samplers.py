"""In which order an epoch visits the examples.

A sampler is called at the start and at the end of every epoch and returns the indices of the next one. The shuffling
one draws from NumPy's global generator, so that `numpy.random.seed` fixes the order of a whole training. A sampler with
a `serialize` goes into the iterator's snapshot.
"""

from __future__ import annotations

from typing import Any

import numpy

from minigan.random import pack, unpack


class OrderSampler:
    """The base class: call it with the current order and position, get the next order."""

    def __call__(self, current_order: numpy.ndarray, current_position: int) -> numpy.ndarray | None:
        """Return the indices of the next epoch, any number of them (one or more); None for the data set's own order."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__")


class ShuffleOrderSampler(OrderSampler):
    """A new random permutation for every epoch, from `random_state` or, without one, NumPy's global generator."""

    def __init__(self, random_state: numpy.random.RandomState | None = None) -> None:
        self._random = numpy.random if random_state is None else random_state

    def __call__(self, current_order: numpy.ndarray, current_position: int) -> numpy.ndarray:
        """Return a permutation of `0 ... len(current_order) - 1`."""
        return self._random.permutation(len(current_order))

    def serialize(self, serializer: Any) -> None:
        """Write or read the state of `random_state`; NumPy's global generator is saved by the trainer.

        Raises:
            ValueError: the saved state is none.
        """
        if isinstance(self._random, numpy.random.RandomState):
            state = {key: serializer(key, value) for key, value in pack("random", self._random).items()}
            unpack("random", self._random, state)
