"""The training loop: update, let the extensions look, until the stop trigger fires.

`Trainer.run` is the loop; the rest of the file is the list of extensions in front of it and the snapshot behind it. A
snapshot holds everything that the next iteration depends on, the random generators included, so that a resumed run
continues bit for bit.
"""

from __future__ import annotations

import errno
import os
import sys
import time
import traceback
import warnings
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minigan.random import KEYS, fresh_gpu_seed, get_state, set_state, start_iteration
from minigan.reporter import Reporter
from minigan.serializer import Serializer
from minigan.training.extension import Extension
from minigan.training.trigger import get_trigger, serialize_trigger
from minigan.utils.files import folder_lock


@dataclass
class _Entry:
    """An extension as this trainer knows it."""

    name: str
    extension: Any
    trigger: Any
    priority: int
    call_before_training: bool
    closes_iteration: bool

    def call(self, method: str, *args: Any) -> None:
        """Call `initialize`, `on_error` or `finalize`, which a plain function need not have (or has as None)."""
        if function := getattr(self.extension, method, None):
            self._do(function, *args)

    def __call__(self, trainer: Trainer) -> None:
        self._do(self.extension, trainer)

    def _do(self, function: Any, *args: Any) -> None:
        try:
            function(*args)
        except Exception as error:
            # What `add_note` does, which Python 3.10 has not: there it is only printed, with the error, by `_tell`.
            vars(error).setdefault("__notes__", []).append(f"It was raised in the extension {self.name!r}.")
            raise


class Trainer:
    """Runs an updater until a trigger fires, and the extensions in between.

    In each iteration `observation` is a new dict, into which whatever the models and extensions report is written. Each
    optimizer's model reports under the optimizer's name (`main/loss`, `gen/loss`).

    Args:
        updater: Does one iteration; see `StandardUpdater`.
        stop_trigger: When to stop, such as `(20, "epoch")`; None never stops.
        out: Folder for what the extensions write; made by `run`.
        extensions: Extensions to begin with, each as for `extend`.

    Attributes:
        observation: What was reported in this iteration.
        reporter: Knows the names of all models.
        updater, stop_trigger, out: As given.
    """

    def __init__(
        self, updater: Any, stop_trigger: Any = None, out: str = "result", extensions: Iterable[Any] | None = None
    ) -> None:
        self.updater = updater
        self.stop_trigger = get_trigger(stop_trigger)
        self.out = out
        self.observation: dict[str, Any] = {}
        self.reporter = Reporter()
        for name, optimizer in updater.get_all_optimizers().items():
            if optimizer.target is None:
                raise ValueError(f"Trainer: the optimizer {name!r} has no model; call optimizer.setup(model) first")
            self.reporter.add_observer(name, optimizer.target)
            self.reporter.add_observers(name, optimizer.target.namedlinks(skipself=True))
        self._extensions: dict[str, _Entry] = {}
        self._done = False
        self._started_at: float | None = None
        self._ended_at: float | None = None
        self._elapsed_before = 0.0  # in earlier runs, if this one is resumed
        self._random_state: dict[str, Any] | None = None  # what a snapshot gave
        self._gpu_seed: int | None = None  # of the whole run; each iteration has one that is made of it
        updater.connect_trainer(self)
        for extension in extensions or ():
            self.extend(extension)

    @property
    def is_before_training(self) -> bool:
        """Whether no iteration has been done yet, in this run or in the one that it resumes."""
        return self.updater.iteration == 0

    @property
    def elapsed_time(self) -> float:
        """Seconds of training so far, including those of the run that this one resumes."""
        if self._started_at is None:
            raise RuntimeError("Trainer.elapsed_time: training has not been started yet; call run() first")
        now = time.perf_counter() if self._ended_at is None else self._ended_at
        return now - self._started_at + self._elapsed_before

    def extend(
        self, extension: Any, name: str | None = None, trigger: Any = None, priority: int | None = None, *,
        call_before_training: bool = False, **kwargs: Any,
    ) -> None:  # fmt: skip
        """Add an extension: a callable that takes the trainer.

        Args:
            extension: An `Extension`, a function made by `make_extension`, or any callable.
            name: None takes the extension's own name; a number is added to a name that is taken (`log_1`).
            trigger: As for `get_trigger`; None takes the extension's own, or else every iteration.
            priority: Higher is called earlier; None takes the extension's own, or else `PRIORITY_READER`.
            call_before_training: Whether to call it also before the first iteration, whatever the trigger says; by its
                old name `invoke_before_training`.
        """
        call_before_training = kwargs.pop("invoke_before_training", call_before_training)
        if kwargs:
            raise TypeError(f"Trainer.extend: there is no argument {next(iter(kwargs))!r}")
        if not callable(extension):
            raise TypeError(
                f"Trainer.extend: extension is {extension!r}, which cannot be called; wanted a function of the trainer"
            )
        for attribute in ("name", "default_name", "__name__"):
            name = name or getattr(extension, attribute, None)
        if not name:
            raise TypeError(f"Trainer.extend: {extension!r} has no name of its own; pass name=")
        if name == "training":
            raise ValueError("Trainer.extend: name is 'training', which is kept for the loop itself; choose another")
        free, number = name, 0
        while free in self._extensions:
            number += 1
            free = f"{name}_{number}"
        if isinstance(extension, Extension):
            extension.name = free
        if trigger is None:
            trigger = getattr(extension, "trigger", None) or Extension.trigger
        closes = priority is None and getattr(extension, "closes_iteration", False)
        if priority is None:
            priority = getattr(extension, "priority", Extension.priority)
        entry = _Entry(free, extension, get_trigger(trigger), priority, call_before_training, closes)
        self._extensions[free] = entry

    def get_extension(self, name: str) -> Any:
        """Return the extension called `name`."""
        if name not in self._extensions:
            raise ValueError(f"Trainer.get_extension: extension {name} not found; there are {list(self._extensions)}")
        return self._extensions[name].extension

    def run(self, show_loop_exception_msg: bool = True) -> None:
        """Train until the stop trigger fires; an exception ends the loop, is re-raised, and all is finalised anyway.

        Args:
            show_loop_exception_msg: Whether an exception is printed to stderr at once, before extensions are finalised.

        Raises:
            FileExistsError: another process is training into the same folder.
            FileNotFoundError: the folder has vanished.
        """
        if self._done:
            raise RuntimeError("Trainer.run: training is over, and cannot run a second time; make a new trainer")
        Path(self.out).mkdir(parents=True, exist_ok=True)
        entries = sorted(self._extensions.values(), key=lambda entry: -entry.priority)
        closing = [entry for entry in entries if entry.closes_iteration]
        entries = [entry for entry in entries if not entry.closes_iteration]
        self._started_at = time.perf_counter()
        with ExitStack() as stack:
            stack.enter_context(folder_lock(self.out))
            stack.callback(self._end)
            stack.callback(self.updater.finalize)
            for entry in reversed(entries + closing):  # the stack turns them round again
                stack.callback(entry.call, "finalize")
            try:
                self._loop(entries, closing)
            except Exception as error:
                self._tell(error, entries + closing, show_loop_exception_msg)
                raise

    def _loop(self, entries: list[_Entry], closing: list[_Entry]) -> None:
        for entry in closing + entries:  # a snapshot may load itself, and the others want to see the result
            entry.call("initialize", self)
        if self.is_before_training:
            with self.reporter.scope(self.observation):
                for entry in entries + closing:
                    if entry.call_before_training:
                        entry(self)
        if self._random_state is not None:  # extensions may have drawn numbers since it was loaded
            set_state(self._random_state)
        if self._gpu_seed is None:
            self._gpu_seed = fresh_gpu_seed()
        while not self.stop_trigger(self):
            self.observation = {}
            start_iteration(self._gpu_seed, self.updater.iteration)
            with self.reporter.scope(self.observation):
                self.updater.update()
                if not os.path.isdir(self.out):  # else a log would bring it back, without what was in it
                    raise FileNotFoundError(errno.ENOENT, "the folder of the run has vanished", str(self.out))
                for entry in entries:
                    if entry.trigger(self):
                        entry(self)
                # All triggers are asked before the first snapshot is taken: it must not find one that is still to fire.
                for entry in [entry for entry in closing if entry.trigger(self)]:
                    entry(self)

    def _tell(self, error: Exception, entries: list[_Entry], show: bool) -> None:
        """Tell the user and the extensions of an error, whatever else goes wrong in doing so."""
        if show:
            lines = [f"Exception in main training loop: {error}", *getattr(error, "__notes__", [])]
            print("\n".join(lines), file=sys.stderr)
            traceback.print_tb(error.__traceback__)
            print("Will finalize trainer extensions and updater before reraising the exception.", file=sys.stderr)
        for entry in entries:
            try:
                entry.call("on_error", self, error, error.__traceback__)
            except Exception as another:
                print(f"Exception in the on_error of the extension {entry.name!r}: {another}", file=sys.stderr)
                traceback.print_tb(another.__traceback__)

    def _end(self) -> None:
        self._done, self._ended_at = True, time.perf_counter()

    def serialize(self, serializer: Any) -> None:
        """Write or read the updater, the triggers, the extensions, the time and the random generators, in this order.

        The layout is Chainer's, and `random/` besides. A snapshot of Chainer has no `random/`: it is loaded all the
        same, with a warning that what follows will not be what would have followed there.
        """
        writing = isinstance(serializer, Serializer)
        self.updater.serialize(serializer["updater"])
        serialize_trigger(self.stop_trigger, serializer, "stop_trigger")
        for name, entry in self._extensions.items():
            if hasattr(entry.extension, "serialize"):
                entry.extension.serialize(serializer["extensions"][name])
            if hasattr(entry.trigger, "serialize"):
                entry.trigger.serialize(serializer["extension_triggers"][name])
        if writing:
            elapsed = self._elapsed_before if self._started_at is None else self.elapsed_time
            serializer("_snapshot_elapsed_time", elapsed)
            state = get_state(self._gpu_seed)
            self._gpu_seed = int(state["cupy_seed"])
            for key, value in state.items():
                serializer["random"](key, value)
        else:
            self._elapsed_before = serializer("_snapshot_elapsed_time", self._elapsed_before)
            if self._started_at is not None:  # the snapshot is loaded within `run`: the time before it is in the file
                self._started_at = time.perf_counter()
            self._read_random_state(serializer["random"])

    def _read_random_state(self, serializer: Any) -> None:
        state = {}
        for key in KEYS:
            with suppress(KeyError):
                state[key] = serializer(key, None)
        state = {key: value for key, value in state.items() if value is not None}  # a lenient reader gives None
        if not state:
            warnings.warn(
                "Trainer: the snapshot has no state of the random generators (Chainer's have none), so the run goes on "
                "with other random numbers"
            )
            return
        set_state(state)
        self._random_state = state
        if "cupy_seed" in state:  # snapshots from before it was always there
            self._gpu_seed = int(state["cupy_seed"])
