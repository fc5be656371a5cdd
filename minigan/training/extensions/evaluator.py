"""The validation: the mean of what a model reports over a whole data set, without training it."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from minigan.backend import get_device
from minigan.configuration import no_backprop_mode, using_config
from minigan.dataset.convert import as_arguments, call_converter, concat_examples
from minigan.reporter import DictSummary, Reporter, report, report_scope
from minigan.training.extension import PRIORITY_WRITER, Extension
from minigan.training.extensions.util import ProgressBar


class Evaluator(Extension):
    """Calls the model on each batch of an iterator and reports the means over the batches.

    The names of what the model reports get the extension's name in front: `validation/main/loss`.

    Args:
        iterator: An iterator that ends (`repeat=False`), or a dict of iterators with a `"main"` among them.
        target: The model, or a dict of links with a `"main"` among them; what these links report is observed.
        converter: `(batch, device) -> arrays`.
        device: Where the batches go; None leaves them where they are.
        eval_hook: Called with the evaluator at the beginning of each evaluation.
        eval_func: Called with the arrays of each batch; None takes the target `"main"`.
        progress_bar: Whether to draw how far the evaluation is.
    """

    trigger = (1, "epoch")
    priority = PRIORITY_WRITER
    default_name = "validation"  # type: ignore[assignment]

    def __init__(
        self, iterator: Any, target: Any, converter: Callable[..., Any] = concat_examples, device: Any = None,
        eval_hook: Callable[[Any], None] | None = None, eval_func: Callable[..., Any] | None = None, *,
        progress_bar: bool = False,
    ) -> None:  # fmt: skip
        self._iterators = iterator if isinstance(iterator, dict) else {"main": iterator}
        self._targets = target if isinstance(target, dict) else {"main": target}
        for name, each in self._iterators.items():
            if getattr(each, "repeat", False):
                warnings.warn(
                    f"Evaluator: the iterator {name!r} repeats for ever, so the evaluation may never end; make it with "
                    f"repeat=False"
                )
        self.converter = converter
        self.device = None if device is None else get_device(device)
        self.eval_hook = eval_hook
        self.eval_func = eval_func
        self._progress_bar = progress_bar

    def get_iterator(self, name: str) -> Any:
        """Return the iterator called `name`."""
        return self._iterators[name]

    def get_all_iterators(self) -> dict[str, Any]:
        """Return a dict of all iterators by name."""
        return dict(self._iterators)

    def get_target(self, name: str) -> Any:
        """Return the link called `name`."""
        return self._targets[name]

    def get_all_targets(self) -> dict[str, Any]:
        """Return a dict of all links by name."""
        return dict(self._targets)

    def __call__(self, trainer: Any = None) -> dict[str, Any]:
        """Evaluate in test mode, report the means to the trainer, if any, and return them."""
        reporter = Reporter()
        prefix = f"{self.name}/" if self.name else ""
        for name, target in self._targets.items():
            reporter.add_observer(prefix + name, target)
            reporter.add_observers(prefix + name, target.namedlinks(skipself=True))
        with reporter, using_config("train", False):
            means = self.evaluate()
        report(means)
        return means

    def evaluate(self) -> dict[str, Any]:
        """Return the means of what is reported over the iterator `"main"`; a subclass may measure something else."""
        iterator = self._iterators["main"]
        function = self.eval_func or self._targets["main"]
        if self.eval_hook:
            self.eval_hook(self)
        if hasattr(iterator, "reset"):
            iterator.reset()
        else:
            iterator = copy.copy(iterator)
        summary = DictSummary()
        bar = _EvaluationBar(iterator) if self._progress_bar else None
        for batch in iterator:
            observation: dict[str, Any] = {}
            with report_scope(observation), no_backprop_mode():
                args, kwargs = as_arguments(call_converter(self.converter, batch, self.device))
                function(*args, **kwargs)
            summary.add(observation)
            if bar is not None:
                bar.update()
        if bar is not None:
            bar.close()
        return summary.compute_mean()

    def finalize(self) -> None:
        """Let the iterators free what they hold."""
        for iterator in self._iterators.values():
            iterator.finalize()


class _EvaluationBar(ProgressBar):
    def __init__(self, iterator: Any) -> None:
        super().__init__()
        self.iterator = iterator
        self.update_speed(0, 0.0)

    def get_lines(self) -> list[str]:
        size, done = len(self.iterator.dataset), self.iterator.epoch_detail
        seen = round(done * size)
        speed, epochs = self.update_speed(seen, done)
        return [
            self.bar("validation", done),
            f"{seen:10} / {size} iterations\n",
            f"{speed:10.5g} iters/sec. Estimated time to finish: {timedelta(seconds=(1 - done) / epochs)}.\n",
        ]
