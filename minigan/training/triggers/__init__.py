"""Triggers: callables that look at the trainer and say whether it is time for something."""

from minigan.training.triggers.interval_trigger import IntervalTrigger

__all__ = ["IntervalTrigger"]
