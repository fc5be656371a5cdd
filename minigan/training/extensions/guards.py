"""Extensions that watch over a run: stop when a loss or weight is no number any more, free graphs that nobody needs."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from minigan.configuration import config
from minigan.core import Variable
from minigan.link_hook import LinkHook
from minigan.training.extension import Extension
from minigan.training.extensions.snapshot import _find_latest_snapshot
from minigan.training.extensions.util import is_finite


class FailOnNonNumber(Extension):
    """Stops training as soon as a loss or a parameter holds NaN or infinity: no time is lost and no snapshot spoiled.

    Raises `RuntimeError`, which names the loss, or optimizer and parameter, and the iteration. A loss is what was
    reported under a name with `loss` in it. In debug mode (`minigan.set_debug(True)`), in which the first function that
    gives NaN raises by itself, it also tells the first link that gave NaN or infinity. Either way it names the newest
    snapshot, which `snapshot`, called after all others, took of an iteration that was sound.
    """

    _watch: _Watch | None = None

    def initialize(self, trainer: Any) -> None:
        """In debug mode, begin to watch all links."""
        if config.debug:
            self._watch = _Watch()
            self._watch.__enter__()

    def __call__(self, trainer: Any) -> None:
        """Look at every loss, and every parameter of every optimizer."""
        for name, value in trainer.observation.items():
            if "loss" in name.rpartition("/")[2] and not is_finite(value):
                self._fail(trainer, f"{name} is NaN or infinity")
        for name, optimizer in trainer.updater.get_all_optimizers().items():
            for path, param in optimizer.target.namedparams(include_uninit=False):
                if not is_finite(param):
                    self._fail(trainer, f"parameter {path} of optimizer {name!r} holds NaN or infinity")
        if self._watch:
            self._watch.reset()

    def _fail(self, trainer: Any, what: str) -> None:
        hint = "" if self._watch else "; minigan.set_debug(True) shows where it begins"
        raise RuntimeError(
            f"FailOnNonNumber: {self._found(trainer, what)}; lower the learning rate, or clip the gradients{hint}"
            f"{_kept(trainer)}"
        )

    def _found(self, trainer: Any, what: str) -> str:
        where = f"; the first link that gave such values is {_path(trainer, self._watch.first)}" if self._watch else ""
        return f"{what} in iteration {trainer.updater.iteration}{where}"

    def on_error(self, trainer: Any, exception: Exception, traceback: Any) -> None:
        """In debug mode, tell in which link the error was raised."""
        if self._watch and self._watch.inside:
            where = _path(trainer, self._watch.inside[-1])
            when = f"after iteration {trainer.updater.iteration}"
            print(f"FailOnNonNumber: {when}, in {where}: {exception}{_kept(trainer)}", file=sys.stderr)

    def finalize(self) -> None:
        """Watch no longer."""
        if self._watch:
            self._watch.__exit__()
            self._watch = None


class _Watch(LinkHook):
    """Knows the links that are being called, and the first that gave what is not finite."""

    def __init__(self) -> None:
        self.name = f"FailOnNonNumber-{id(self)}"  # two trainers may run, one within the other
        self.reset()

    def reset(self) -> None:
        self.inside: list[Any] = []
        self.first: Any = None

    def forward_preprocess(self, args: Any) -> None:
        self.inside.append(args.link)

    def forward_postprocess(self, args: Any) -> None:
        self.inside.pop()
        outputs = args.out if isinstance(args.out, (tuple, list)) else [args.out]
        if self.first is None and not all(map(is_finite, outputs)):
            self.first = args.link


def _kept(trainer: Any) -> str:
    """A line that names the newest snapshot of the trainer, if there is one."""
    for entry in trainer._extensions.values():
        filename = getattr(entry.extension, "filename", None)
        if entry.closes_iteration and isinstance(filename, str):
            with suppress(OSError):
                if name := _find_latest_snapshot(filename, trainer.out):
                    return f"\nThe snapshot {Path(trainer.out, name)} is from before."
    return ""


def _path(trainer: Any, link: Any) -> str:
    for name, optimizer in trainer.updater.get_all_optimizers().items():
        for path, other in optimizer.target.namedlinks():
            if other is link:
                return f"{name}{path if path != '/' else ''} ({type(link).__name__})"
    return "none that an optimizer has" if link is None else type(link).__name__


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
