"""The log as a table on the terminal, one row for each entry."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from minigan.training.extension import Extension
from minigan.training.extensions.log_report import LogReport

_CLEAR_BELOW = "\033[J"  # removes what a progress bar left there


class PrintReport(Extension):
    """Prints the log of a `LogReport`: a header, then a row of chosen values for each new entry.

    A column is as wide as its name, and at least 10. A value that an entry has not stays blank. A resumed run prints
    the rows of the run before it again.

    Args:
        entries: Keys of the log, one for each column.
        log_report: Name of the `LogReport` in the trainer, or a `LogReport` of its own, which this one then calls.
        out: File to print to; None is `sys.stdout` as it is at that moment.
    """

    def __init__(self, entries: Sequence[str], log_report: str | LogReport = "LogReport", out: Any = None) -> None:
        if isinstance(entries, str):
            raise TypeError(f"PrintReport: entries is the string {entries!r}; wanted a list of keys, [{entries!r}]")
        self._entries = list(entries)
        self._log_report = log_report
        self._out = out
        self._n_printed: int | None = None  # None: not even the header

    def __call__(self, trainer: Any) -> None:
        """Print the entries that are new."""
        if isinstance(self._log_report, str):
            log = trainer.get_extension(self._log_report).log
        else:
            self._log_report(trainer)
            log = self._log_report.log
        out = sys.stdout if self._out is None else self._out
        if self._n_printed is None:
            out.write("  ".join(f"{name:{_width(name)}}" for name in self._entries) + "\n")
            self._n_printed = 0
        for entry in log[self._n_printed :]:
            out.write(_CLEAR_BELOW + "".join(f"{_cell(entry, name)}  " for name in self._entries) + "\n")
        self._n_printed = len(log)
        if hasattr(out, "flush"):
            out.flush()

    def serialize(self, serializer: Any) -> None:
        """Write or read the `LogReport`, if it is this one's own."""
        if not isinstance(self._log_report, str):
            self._log_report.serialize(serializer["_log_report"])


def _width(name: str) -> int:
    return max(10, len(name))


def _cell(entry: dict[str, Any], name: str) -> str:
    value = entry.get(name, "")
    return f"{value:<{_width(name)}}" if isinstance(value, str) else f"{value:<{_width(name)}g}"
