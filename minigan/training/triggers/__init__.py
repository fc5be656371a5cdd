"""Triggers: callables that look at the trainer and say whether it is time for something."""

from minigan.training.trigger import IntervalTrigger
from minigan.training.triggers.schedule_triggers import ManualScheduleTrigger, OnceTrigger, TimeTrigger
from minigan.training.triggers.value_triggers import (
    BestValueTrigger,
    EarlyStoppingTrigger,
    MaxValueTrigger,
    MinValueTrigger,
)

__all__ = [
    "BestValueTrigger", "EarlyStoppingTrigger", "IntervalTrigger", "ManualScheduleTrigger", "MaxValueTrigger",
    "MinValueTrigger", "OnceTrigger", "TimeTrigger",
]  # fmt: skip
