"""The log: a list of means, one entry for each interval, kept in memory for other extensions and in a JSON file."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from minigan.reporter import DictSummary
from minigan.serializer import Serializer, serialize_json
from minigan.training.extension import Extension
from minigan.training.extensions.util import Ration
from minigan.training.trigger import get_trigger, serialize_trigger
from minigan.utils.files import atomic_write

_ALWAYS = 1000  # entries that are written without looking at the clock


class LogReport(Extension):
    """Averages what is reported and, whenever its trigger fires, adds an entry to the log and rewrites the file.

    An entry has the mean over the interval under each key, then `epoch`, `iteration` and `elapsed_time` (seconds).

    The file is a whole JSON list at every moment, whatever happens: each time a new one takes the place of the old one.
    So that a long log does not cost more and more, one of more than 1000 entries is written only if that takes no more
    than a fiftieth of the time since the last writing. What is held back for this (the last second, say, of a log of
    ten thousand entries) is written when the training ends or fails; if the process is killed it is in no file but the
    snapshot. Entries keep the text that they had when the next one came.

    Args:
        keys: What to average; None takes all that is reported.
        trigger: When an interval ends. The extension itself must be called at every iteration, as it is by default.
        postprocess: Called with each entry, which it may change, before the entry is stored.
        filename: File in the trainer's folder, a JSON list; fields such as `{epoch}` are filled in from the entry.
        log_name: An old name of `filename`, `"log"` by default; None writes no file.
    """

    def __init__(
        self, keys: Iterable[str] | None = None, trigger: Any = (1, "epoch"),
        postprocess: Callable[[dict[str, Any]], None] | None = None, filename: str | None = None, *,
        log_name: str | None = "log",
    ) -> None:  # fmt: skip
        self._keys = None if keys is None else list(keys)
        self._trigger = get_trigger(trigger)
        self._postprocess = postprocess
        self._log_name = log_name if filename is None else filename
        self._log: list[dict[str, Any]] = []
        self._texts: list[str] = []  # of the entries, as they stand in the file
        self._path: Path | None = None  # the file that is not up to date
        self._ration = Ration(1 / 50)
        self._summary = DictSummary()

    @property
    def log(self) -> list[dict[str, Any]]:
        """All entries so far."""
        return self._log

    def __call__(self, trainer: Any) -> None:
        """Take up the present observation; end the interval if it is time, or training has yet to begin."""
        observation = trainer.observation
        if self._keys is not None:
            observation = {key: observation[key] for key in self._keys if key in observation}
        self._summary.add(observation)
        if not (trainer.is_before_training or self._trigger(trainer)):
            return
        # The names of an entry are those of the one before: thousands of copies of them would be most of the log.
        entry = {sys.intern(name): float(mean) for name, mean in self._summary.compute_mean().items()}
        entry["epoch"] = trainer.updater.epoch
        entry["iteration"] = trainer.updater.iteration
        entry["elapsed_time"] = trainer.elapsed_time
        if self._postprocess is not None:
            self._postprocess(entry)
        self._log.append(entry)
        self._summary = DictSummary()
        if self._log_name is not None:
            self._path = Path(trainer.out, self._log_name.format(**entry))
            if len(self._log) <= _ALWAYS or "{" in self._log_name or self._ration.allows():
                with self._ration:
                    self.finalize()

    def finalize(self) -> None:
        """Write what was held back."""
        if self._path is not None:
            self._write(self._path)
            self._path = None

    def _write(self, path: Path) -> None:
        """Write what `json.dump(log, file, indent=4)` would."""
        known = len(self._texts) - 1  # the last one may have been changed since, by other extensions
        self._texts[max(known, 0) :] = [
            json.dumps(entry, indent=4).replace("\n", "\n    ") for entry in self._log[max(known, 0) :]
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, "w") as file:
            file.write("[\n    " + ",\n    ".join(self._texts) + "\n]")

    def serialize(self, serializer: Any) -> None:
        """Write or read the log, the means of the unfinished interval and the trigger."""
        serialize_trigger(self._trigger, serializer, "_trigger")
        self._summary.serialize(serializer["_summary"])
        self._log = serialize_json(serializer, "_log", self._log, _is_log, "a list of dicts")
        if not isinstance(serializer, Serializer):
            self._texts = []


def _is_log(log: Any) -> bool:
    return isinstance(log, list) and all(isinstance(entry, dict) for entry in log)
