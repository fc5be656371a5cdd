"""The log as a table, one row for each entry: lines on a terminal, or HTML in a Jupyter notebook."""

from __future__ import annotations

import html
import sys
from collections.abc import Sequence
from typing import Any

from minigan.training.extension import Extension
from minigan.training.extensions.log_report import LogReport

_CLEAR_BELOW = "\033[J"  # removes what a progress bar left there
_NOTEBOOK_ROWS = 200  # more would make each new row slower to show


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
        self._log_len: int | None = None  # entries that are printed; None: not even the header

    def __call__(self, trainer: Any) -> None:
        """Print the entries that are new."""
        self._print(self._get_log(trainer))

    def _get_log(self, trainer: Any) -> list[dict[str, Any]]:
        if isinstance(self._log_report, str):
            return trainer.get_extension(self._log_report).log
        self._log_report(trainer)
        return self._log_report.log

    def _print(self, log: list[dict[str, Any]]) -> None:
        out = sys.stdout if self._out is None else self._out
        if self._log_len is None:
            out.write("  ".join(f"{name:{_width(name)}}" for name in self._entries) + "\n")
            self._log_len = 0
        for entry in log[self._log_len :]:
            out.write(_CLEAR_BELOW + "".join(f"{_cell(entry, name)}  " for name in self._entries) + "\n")
        self._log_len = len(log)
        if hasattr(out, "flush"):
            out.flush()

    def finalize(self) -> None:
        """Let the `LogReport`, if it is this one's own, write what it has held back."""
        if not isinstance(self._log_report, str):
            self._log_report.finalize()

    def serialize(self, serializer: Any) -> None:
        """Write or read the `LogReport`, if it is this one's own."""
        if not isinstance(self._log_report, str):
            self._log_report.serialize(serializer["_log_report"])


class PrintReportNotebook(PrintReport):
    """Shows the log of a `LogReport` in a Jupyter notebook: one table, to which rows are added where it stands.

    Of a long log the newest rows are shown. Outside of a notebook it prints what `PrintReport` prints.

    Args:
        entries, log_report, out: As for `PrintReport`; `out` is for what is printed.

    Raises:
        ImportError: IPython is not installed.
    """

    def __init__(self, entries: Sequence[str], log_report: str | LogReport = "LogReport", out: Any = None) -> None:
        super().__init__(entries, log_report, out)
        try:
            from IPython import display, get_ipython
        except ImportError as error:
            raise ImportError("PrintReportNotebook: IPython is missing; install it, or use PrintReport") from error
        self._ipython: Any = display
        self._in_notebook = hasattr(get_ipython(), "kernel")
        self._table: Any = None

    def _print(self, log: list[dict[str, Any]]) -> None:
        if not self._in_notebook:
            super()._print(log)
        elif self._table is None:
            self._table = self._ipython.display(self._render(log), display_id=True)
        elif len(log) != self._log_len:
            self._table.update(self._render(log))
        self._log_len = len(log)

    def _render(self, log: list[dict[str, Any]]) -> Any:
        rows = [[_cell(entry, name).strip() for name in self._entries] for entry in log[-_NOTEBOOK_ROWS:]]
        if len(log) > len(rows):
            rows.insert(0, ["..."] * len(self._entries))
        text = _row("th", self._entries) + "".join(_row("td", row) for row in rows)
        return self._ipython.HTML(f"<table>{text}</table>")


def _row(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"


def _width(name: str) -> int:
    return max(10, len(name))


def _cell(entry: dict[str, Any], name: str) -> str:
    value = entry.get(name, "")
    return f"{value:<{_width(name)}}" if isinstance(value, str) else f"{value:<{_width(name)}g}"
