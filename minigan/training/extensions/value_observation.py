"""Extensions that put a value of their own into the observation, and so into the log: the learning rate, say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigan.training.extension import PRIORITY_WRITER, make_extension


def observe_value(observation_key: str, target_func: Callable[[Any], Any]) -> Any:
    """Return an extension that observes `target_func(trainer)` under `observation_key`, each epoch by default."""

    @make_extension(trigger=(1, "epoch"), priority=PRIORITY_WRITER)
    def _observe_value(trainer: Any) -> None:
        trainer.observation[observation_key] = target_func(trainer)

    return _observe_value


def observe_lr(optimizer_name: str = "main", observation_key: str = "lr") -> Any:
    """Return an extension that observes the learning rate `lr` of an optimizer, each epoch by default."""
    return observe_value(observation_key, lambda trainer: trainer.updater.get_optimizer(optimizer_name).lr)
