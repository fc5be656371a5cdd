"""Iterators: a data set cut into batches, epoch after epoch."""

from minigan.iterators.multiprocess_iterator import MultiprocessIterator
from minigan.iterators.multithread_iterator import MultithreadIterator
from minigan.iterators.order_samplers import OrderSampler, ShuffleOrderSampler
from minigan.iterators.serial_iterator import SerialIterator

__all__ = ["MultiprocessIterator", "MultithreadIterator", "OrderSampler", "SerialIterator", "ShuffleOrderSampler"]
