"""Iterators, under Chainer's names: they decide which examples come next."""

from minigan.iterators.order_samplers import OrderSampler, ShuffleOrderSampler
from minigan.iterators.serial_iterator import SerialIterator

__all__ = ["OrderSampler", "SerialIterator", "ShuffleOrderSampler"]
