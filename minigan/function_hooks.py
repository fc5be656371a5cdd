"""Ready-made function hooks: how long each function takes, what goes through it, and marks for NVIDIA's profiler."""

from __future__ import annotations

import sys
import time
from typing import Any

from minigan.backend import get_array_module
from minigan.backends import cuda
from minigan.core import Variable
from minigan.function_hook import FunctionHook

__all__ = ["CUDAProfileHook", "CupyMemoryProfileHook", "PrintHook", "TimerHook"]

_UNITS = {"sec": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


class _Around(FunctionHook):
    """A hook that does the same around the way there and the way back."""

    def before(self, function: Any, in_data: tuple) -> None:
        raise NotImplementedError

    def after(self, function: Any, in_data: tuple) -> None:
        raise NotImplementedError

    def forward_preprocess(self, function: Any, in_data: tuple) -> None:
        self.before(function, in_data)

    def forward_postprocess(self, function: Any, in_data: tuple) -> None:
        self.after(function, in_data)

    def backward_preprocess(self, function: Any, in_data: tuple, out_grad: tuple) -> None:
        self.before(function, in_data)

    def backward_postprocess(self, function: Any, in_data: tuple, out_grad: tuple) -> None:
        self.after(function, in_data)


def _sums(history: list[tuple], keys: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Add up the columns of ``(name, value, ...)`` by name, and count."""
    summary: dict[str, dict[str, Any]] = {}
    for name, *values in history:
        record = summary.setdefault(name, {**dict.fromkeys(keys, 0), "occurrence": 0})
        for key, value in zip((*keys, "occurrence"), (*values, 1)):
            record[key] += value
    return summary


def _scaled(value: float, unit: str) -> str:
    if unit.startswith("auto"):
        unit = next((name for name, factor in _UNITS.items() if value * factor >= 1), "us")
    return f"{value * _UNITS[unit]:.2f}{unit}"


class TimerHook(_Around):
    """Measures the time of every function, there and back; on a GPU by CUDA events, so that the device is waited for.

    ``call_history`` holds ``(class name of the function, seconds)``; a function called by another one is in both.
    """

    name = "TimerHook"
    heading = "FunctionName"  # of the first column of the report

    def __init__(self) -> None:
        self.call_history: list[tuple[str, float]] = []
        self._running: list[Any] = []
        self._outermost = 0.0

    def _now(self, in_data: tuple) -> Any:
        if get_array_module(*in_data) is not cuda.cupy:
            return time.perf_counter()
        event = cuda.Event()
        event.record()
        return event

    def before(self, function: Any, in_data: tuple) -> None:
        self._running.append(self._now(in_data))

    def after(self, function: Any, in_data: tuple) -> None:
        start = self._running.pop()
        if isinstance(start, float):
            elapsed = time.perf_counter() - start
        else:
            stop = cuda.Event()
            stop.record()
            stop.synchronize()
            elapsed = cuda.cupy.cuda.get_elapsed_time(start, stop) / 1000  # from milliseconds
        self.call_history.append((function._impl_name, elapsed))
        if not self._running:
            self._outermost += elapsed

    def total_time(self) -> float:
        """Return the seconds spent in all functions, those within others counted once."""
        return self._outermost

    def summary(self) -> dict[str, dict[str, Any]]:
        """Return ``{name: {"elapsed_time": seconds, "occurrence": calls}}``."""
        return _sums(self.call_history, ("elapsed_time",))

    def print_report(self, unit: str = "auto", file: Any = None) -> None:
        """Print the summary; ``unit`` is sec, ms, us, ns, or auto (one for all) or auto_foreach."""
        summary = self.summary()
        if unit == "auto":
            most = max((record["elapsed_time"] for record in summary.values()), default=1.0)
            unit = next((name for name, factor in _UNITS.items() if most * factor >= 1), "us")
        rows = [
            (name, _scaled(record["elapsed_time"], unit), str(record["occurrence"])) for name, record in summary.items()
        ]
        _print_table([(self.heading, "ElapsedTime", "Occurrence"), *rows], file)


def _print_table(rows: list[tuple[str, ...]], file: Any) -> None:
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  ".join(text.rjust(width) for text, width in zip(row, widths)), file=file or sys.stdout)


class PrintHook(FunctionHook):
    """Prints for every function its inputs and, on the way back, the gradients of its outputs."""

    name = "PrintHook"

    def __init__(self, sep: Any = None, end: str = "\n", file: Any = None, flush: bool = True) -> None:
        self.sep, self.end, self.file, self.flush = sep, end, file, flush

    def _print(self, text: str) -> None:
        print(text, sep=self.sep, end=self.end, file=self.file or sys.stdout, flush=self.flush)

    def forward_preprocess(self, function: Any, in_data: tuple) -> None:
        self._print(f"function\t{function.label}")
        self._print("input data")
        for x in in_data:
            self._print("(removed)" if x is None else Variable(x).debug_print())

    def backward_preprocess(self, function: Any, in_data: tuple, out_grad: tuple) -> None:
        self.forward_preprocess(function, in_data)
        self._print("output gradient")
        for gradient in out_grad:
            if gradient is None:
                self._print("(removed)")
            else:
                self._print(Variable(get_array_module(gradient).zeros_like(gradient), grad=gradient).debug_print())


class CUDAProfileHook(_Around):
    """Marks every function in NVIDIA's profilers. Raises ``RuntimeError`` where there is no GPU."""

    name = "CUDAProfileHook"

    def __init__(self) -> None:
        cuda.check_cuda_available()

    def before(self, function: Any, in_data: tuple) -> None:
        cuda.cupy.cuda.nvtx.RangePush(function.label)

    def after(self, function: Any, in_data: tuple) -> None:
        cuda.cupy.cuda.nvtx.RangePop()


class CupyMemoryProfileHook(_Around):
    """Counts the bytes that CuPy's memory pool hands out and takes in during every function.

    ``call_history`` holds ``(class name of the function, bytes used, bytes acquired from the device)``.
    Raises ``RuntimeError`` where there is no GPU.
    """

    name = "CupyMemoryProfileHook"

    def __init__(self) -> None:
        cuda.check_cuda_available()
        self.call_history: list[tuple[str, int, int]] = []
        self._running: list[tuple[int, int]] = []

    def _pool(self) -> tuple[int, int]:
        pool = cuda.cupy.get_default_memory_pool()
        return pool.used_bytes(), pool.total_bytes()

    def before(self, function: Any, in_data: tuple) -> None:
        self._running.append(self._pool())

    def after(self, function: Any, in_data: tuple) -> None:
        used, acquired = (now - then for now, then in zip(self._pool(), self._running.pop()))
        self.call_history.append((function._impl_name, used, acquired))

    def summary(self) -> dict[str, dict[str, int]]:
        """Return ``{name: {"used_bytes": n, "acquired_bytes": n, "occurrence": calls}}``."""
        return _sums(self.call_history, ("used_bytes", "acquired_bytes"))

    def print_report(self, unit: str = "auto", file: Any = None) -> None:
        """Print the summary, in bytes."""
        rows = [(name, *(str(value) for value in record.values())) for name, record in self.summary().items()]
        _print_table([("FunctionName", "UsedBytes", "AcquiredBytes", "Occurrence"), *rows], file)
