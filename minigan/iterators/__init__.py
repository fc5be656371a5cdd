"""Iterators: a data set cut into batches, epoch after epoch."""

from minigan.iterators.order_samplers import OrderSampler, ShuffleOrderSampler
from minigan.iterators.pool_iterators import MultiprocessIterator, MultithreadIterator
from minigan.iterators.serial_iterator import SerialIterator

__all__ = ["MultiprocessIterator", "MultithreadIterator", "OrderSampler", "SerialIterator", "ShuffleOrderSampler"]
