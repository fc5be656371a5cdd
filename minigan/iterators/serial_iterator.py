"""The iterator that nearly every script uses: batches one after the other, in this process.

Its state is four numbers and the order of the epoch, all in the snapshot, so that a resumed training sees the same
batches as one that was never stopped.
"""

from __future__ import annotations

import operator
import warnings
from contextlib import suppress
from typing import Any

import numpy

from minigan.dataset.iterator import Iterator
from minigan.iterators.order_samplers import OrderSampler, ShuffleOrderSampler
from minigan.serializer import serialize_count
from minigan.utils.stored import FileError


class SerialIterator(Iterator):
    """Yields lists of `batch_size` examples.

    With `repeat` it never ends, and the batch in which an epoch ends is filled up with the first examples of the next
    one. Without, the last batch may be shorter, and then it stops.

    Args:
        dataset: Anything with `len` and integer indices.
        batch_size: Examples in a batch.
        repeat: Whether to go on after the first epoch.
        shuffle: Whether every epoch has a new random order (as None has it) or the data set's own.
        order_sampler: A callable that gives every epoch its order instead of `shuffle`, see `OrderSampler`. If it has
            a `serialize`, that is part of the iterator's.

    Raises:
        ValueError: an empty data set, a batch size below 1, or `shuffle` and `order_sampler` both given.
    """

    _order_keys = "order", "_order"  #: what this iterator calls its order in a snapshot, and what other kinds do

    def __init__(self, dataset: Any, batch_size: int, repeat: bool = True, shuffle: bool | None = None,
                 order_sampler: OrderSampler | None = None) -> None:  # fmt: skip
        if len(dataset) == 0:
            raise ValueError(f"{type(self).__name__}: dataset is empty; give one with at least one example")
        if operator.index(batch_size) < 1:
            raise ValueError(f"{type(self).__name__}: batch_size is {batch_size}; wanted 1 or more")
        if order_sampler is not None and shuffle is not None:
            raise ValueError(
                f"{type(self).__name__}: order_sampler is given and shuffle is {shuffle}; the sampler decides the "
                f"order, so leave shuffle at None"
            )
        self._stateful_sampler = order_sampler if hasattr(order_sampler, "serialize") else None
        if order_sampler is None and shuffle is not False:
            order_sampler = ShuffleOrderSampler()
        self.dataset = dataset
        self.batch_size = batch_size
        self._shuffle = shuffle
        self.order_sampler = order_sampler
        self._repeat = repeat
        self.reset()

    def reset(self) -> None:
        """Go back to the start of epoch 0, with a new order."""
        self._position = 0
        self._epoch = 0
        self._is_new_epoch = False
        self._previous_epoch_detail = -1.0
        # The sampler's first "current order" is the data set's own, from which it learns the length.
        self._order = self._sample_order(numpy.arange(len(self.dataset)), 0)

    def __next__(self) -> list[Any]:
        """Return the next batch as a list of examples."""
        self._previous_epoch_detail = self.epoch_detail
        if not self._repeat and self._epoch > 0:
            raise StopIteration
        # All in local names until the batch is whole: an error, or Ctrl-C, in an example leaves the place as it was.
        order, epoch, position = self._order, self._epoch, self._position + self.batch_size
        size = self._epoch_size
        try:
            parts = [(order, epoch, self._position, min(position, size))]
            while position >= size:  # as in Chainer, the next order is drawn before the examples draw their numbers
                epoch += 1
                position = position - size if self._repeat else 0
                order = self._sample_order(order, self._position)
                if order is not None and len(order) != size:
                    raise ValueError(
                        f"{type(self).__name__}: order_sampler returned {len(order)} indices after {size} in the epoch "
                        f"before; give every epoch the same number"
                    )
                if not self._repeat:
                    break
                parts.append((order, epoch, 0, min(position, size)))
            batch = [example for part in parts for example in self._examples(*part)]
        except StopIteration as error:  # would look like the end of the training
            raise RuntimeError(
                f"{type(self).__name__}: the data set or the order sampler raised StopIteration, which says that there "
                f"are no more batches; raise IndexError for an example that does not exist"
            ) from error
        self._is_new_epoch = epoch > self._epoch
        self._order, self._epoch, self._position = order, epoch, position
        return batch

    def _examples(self, order: numpy.ndarray | None, epoch: int, start: int, end: int) -> list[Any]:
        return [self.dataset[i] for i in (range(start, end) if order is None else order[start:end])]

    def _sample_order(self, order: Any, position: int) -> numpy.ndarray | None:
        sampled = None if self.order_sampler is None else self.order_sampler(order, position)
        if sampled is None:
            return None
        sampled = numpy.asarray(sampled)
        if sampled.ndim != 1 or len(sampled) == 0:
            raise ValueError(
                f"{type(self).__name__}: order_sampler returned an array of shape {sampled.shape}; wanted one axis "
                f"with at least one index"
            )
        return sampled

    @property
    def _epoch_size(self) -> int:
        return len(self.dataset) if self._order is None else len(self._order)

    @property
    def repeat(self) -> bool:
        """Whether the iterator goes on after the first epoch."""
        return self._repeat

    @property
    def current_position(self) -> int:
        """How many examples of the present epoch have been given out."""
        return self._position

    @property
    def epoch(self) -> int:
        """How many epochs are done."""
        return self._epoch

    @property
    def is_new_epoch(self) -> bool:
        """Whether the last batch ended an epoch."""
        return self._is_new_epoch

    @property
    def epoch_detail(self) -> float:
        """Epochs done, with the fraction of the present one."""
        return self._epoch + self._position / self._epoch_size

    @property
    def previous_epoch_detail(self) -> float | None:
        """`epoch_detail` as it was before the last batch; None before the first."""
        return None if self._previous_epoch_detail < 0 else self._previous_epoch_detail

    def serialize(self, serializer: Any) -> None:
        """Write or read the position, the epoch and the order; the snapshot of any iterator fits any other.

        Raises:
            ValueError: the saved order or position does not fit this data set.
            KeyError: there is no saved order, but this iterator has one.
        """
        position = serialize_count(serializer, "current_position", self._position)
        epoch = serialize_count(serializer, "epoch", self._epoch)
        is_new_epoch = serializer("is_new_epoch", self._is_new_epoch)
        order = self._serialize_order(serializer)
        size = len(self.dataset if order is None else order)
        if order is not None and size and not -len(self.dataset) <= order.min() <= order.max() < len(self.dataset):
            raise ValueError(
                f"{type(self).__name__}: the saved order goes from {order.min()} to {order.max()} but the data set has "
                f"{len(self.dataset)} examples; resume with the data that the snapshot was made with"
            )
        if position > size:
            raise ValueError(
                f"{type(self).__name__}: the saved position is {position} but the epoch has {size} examples; resume "
                f"with the data that the snapshot was made with"
            )
        try:
            detail = serializer("previous_epoch_detail", self._previous_epoch_detail)
        except KeyError:  # Chainer 2 did not write it
            detail = max(epoch + (position - self.batch_size) / self._epoch_size, -1.0)
        if self._stateful_sampler is not None:
            try:
                self._stateful_sampler.serialize(serializer["order_sampler"])
            except KeyError:  # Chainer does not write it
                warnings.warn(
                    f"{type(self).__name__}: the snapshot has no state of the order sampler (Chainer's have none), so "
                    f"the orders of the next epochs are others than they would have been",
                    stacklevel=2,
                )
        self._position, self._epoch, self._is_new_epoch = position, epoch, is_new_epoch
        self._order, self._previous_epoch_detail = order, detail

    def _serialize_order(self, serializer: Any) -> numpy.ndarray | None:
        own, others = self._order_keys
        if self._order is None:
            if own == "_order":  # Chainer writes None there, and nothing under the other name
                with suppress(KeyError):
                    serializer(own, None)
            return None
        order = self._order.copy()  # a deserializer fills it; this iterator stays whole if a later key fails
        try:
            try:
                return serializer(own, order)
            except KeyError:
                return serializer(others, order)
        except FileError:
            raise
        except ValueError as error:
            raise ValueError(
                f"{type(self).__name__}: the saved order does not fit a data set of {self._epoch_size} examples "
                f"({error}); resume with the data that the snapshot was made with"
            ) from error
