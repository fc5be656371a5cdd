"""Extensions that watch over a run: stop when a weight is no number any more, free graphs that are not needed."""

from __future__ import annotations

from typing import Any

from minigan.configuration import config
from minigan.core import Variable
from minigan.training.extension import Extension


class FailOnNonNumber(Extension):
    """Stops training as soon as a parameter holds NaN or infinity, so that no time is lost and no snapshot spoiled.

    Raises `RuntimeError`, which names the optimizer, the parameter and the iteration.
    """

    def __call__(self, trainer: Any) -> None:
        """Look at every parameter of every optimizer."""
        for name, optimizer in trainer.updater.get_all_optimizers().items():
            for path, param in optimizer.target.namedparams(include_uninit=False):
                if not bool(param.xp.isfinite(param.array).all()):
                    raise RuntimeError(
                        f"FailOnNonNumber: parameter {path} of optimizer {name!r} holds NaN or infinity in iteration "
                        f"{trainer.updater.iteration}; lower the learning rate, or clip the gradients"
                    )


class unchain_variables(Extension):
    """Frees the graphs of what was reported, which `config.keep_graph_on_report` keeps; last of all extensions."""

    priority = 0

    def trigger(self, trainer: Any) -> bool:
        """Say whether graphs are kept at all."""
        return config.keep_graph_on_report

    def __call__(self, trainer: Any) -> None:
        """Cut the graph behind every reported Variable."""
        for value in trainer.observation.values():
            if isinstance(value, Variable):
                value.unchain_backward()
