"""How a loss inside a model reaches the log outside it.

A model calls `report({"loss": loss}, self)`; whoever opened a scope on the current `Reporter` finds the value in its
observation under `<observer's name>/loss`. `Summary` and `DictSummary` average observations over an interval.
"""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np

from minigan.configuration import config
from minigan.core import Variable
from minigan.serializer import serialize_json
from minigan.utils.stored import FileError

_thread = threading.local()


class Reporter:
    """Collects reported values, under the names of the objects that report them, in a dict called the observation.

    `with reporter:` makes it this thread's current reporter, to which `report` sends.
    """

    def __init__(self) -> None:
        self._observers: dict[int, tuple[str, Any]] = {}  # by id; the object itself stays, so that no id is reused
        self.observation: dict[str, Any] = {}

    def __enter__(self) -> Reporter:
        _reporters().append(self)
        return self

    def __exit__(self, *error: Any) -> None:
        _reporters().pop()

    @contextmanager
    def scope(self, observation: dict[str, Any]) -> Iterator[None]:
        """Inside the block this reporter is the current one and writes into `observation`."""
        before = self.observation
        self.observation = observation
        try:
            with self:
                yield
        finally:
            self.observation = before

    def add_observer(self, name: str, observer: Any) -> None:
        """Let `observer` report under `name`."""
        self._observers[id(observer)] = (name, observer)

    def add_observers(self, prefix: str, observers: Iterable[tuple[str, Any]]) -> None:
        """Let each observer report under `prefix` plus its own name, as in `link.namedlinks(skipself=True)`."""
        for name, observer in observers:
            self.add_observer(prefix + name, observer)

    def report(self, values: Mapping[str, Any], observer: Any = None) -> None:
        """Write `values` into the observation; the keys get the observer's name and a slash in front.

        A `Variable` is stored as a copy without its graph, unless `config.keep_graph_on_report` is true.

        Raises:
            KeyError: `observer` was not added to this reporter.
        """
        prefix = ""
        if observer is not None:
            if id(observer) not in self._observers:
                raise KeyError(f"report: the observer, a {type(observer).__name__}, is unknown; call add_observer")
            prefix = f"{self._observers[id(observer)][0]}/"
        for key, value in values.items():
            if isinstance(value, Variable) and not config.keep_graph_on_report:
                value = Variable(value.array, name=value.name, requires_grad=False)
            self.observation[prefix + key] = value


def _reporters() -> list[Reporter]:
    if not hasattr(_thread, "reporters"):
        _thread.reporters = []
    return _thread.reporters


def get_current_reporter() -> Reporter:
    """This thread's current reporter; `IndexError` if there is none."""
    if not _reporters():
        raise IndexError("get_current_reporter: there is no current reporter; open one with `with reporter:`")
    return _reporters()[-1]


def report(values: Mapping[str, Any], observer: Any = None) -> None:
    """Send `values` to this thread's current reporter; without one nothing happens."""
    if _reporters():
        _reporters()[-1].report(values, observer)


def report_scope(observation: dict[str, Any]) -> AbstractContextManager[None]:
    """Inside the `with` block the current reporter writes into `observation`."""
    return get_current_reporter().scope(observation)


@contextmanager
def observed() -> Iterator[dict[str, Any]]:
    """Give the dict into which goes what is reported inside the `with` block; without a reporter it stays empty."""
    observation: dict[str, Any] = {}
    with report_scope(observation) if _reporters() else nullcontext():
        yield observation


class Summary:
    """Weighted mean and standard deviation of what was added: x, x^2 and weights are summed in float64."""

    def __init__(self) -> None:
        self._x: Any = 0.0
        self._x2: Any = 0.0
        self._n: Any = 0

    def add(self, value: Any, weight: Any = 1) -> None:
        """Add a number, or an array, with a weight (such as the size of the batch that it is the mean of)."""
        self._x = self._x + weight * _as_float64(value)
        self._x2 = self._x2 + weight * _as_float64(value) ** 2
        self._n = self._n + weight

    def compute_mean(self) -> Any:
        """sum(w x) / sum(w); `ZeroDivisionError` if nothing was added."""
        return self._x / self._n

    def make_statistics(self) -> tuple[Any, Any]:
        """Mean, and standard deviation sqrt(sum(w x^2) / sum(w) - mean^2)."""
        mean = self.compute_mean()
        variance = np.maximum(self._x2 / self._n - mean * mean, 0.0)  # rounding may leave a tiny negative number
        return mean, np.sqrt(variance) if np.ndim(variance) else math.sqrt(variance)

    def serialize(self, serializer: Any) -> None:
        """Save or load the three sums; warns where an old file has none of them."""
        try:
            self._x = serializer("_x", self._x)
            self._x2 = serializer("_x2", self._x2)
            self._n = self._serialize_weight(serializer)
        except KeyError:
            warnings.warn("Summary: the file holds no statistics; the mean starts anew")
        if any(total is None for total in (self._x, self._x2, self._n)):
            raise FileError("a sum of a mean is None in the file; wanted a number; the file is damaged, take another")

    def _serialize_weight(self, serializer: Any) -> Any:
        try:
            return serializer("_n", self._n)
        except TypeError:  # the sum of fractional weights does not fit into the integer that a new summary starts with
            return serializer("_n", float(self._n))


def _as_float64(value: Any) -> Any:
    """Single-precision sums would lose a small loss after some ten thousand steps."""
    if isinstance(value, Variable):
        value = value.array
    return value.astype(np.float64) if hasattr(value, "astype") else float(value)


class DictSummary:
    """A `Summary` for every key of the dicts that are added; what is not a scalar is passed over."""

    def __init__(self) -> None:
        self._summaries: dict[str, Summary] = {}

    def add(self, d: Mapping[str, Any]) -> None:
        """Add a dict of scalars (numbers, 0-d arrays or Variables), or of pairs `(scalar, weight)`."""
        for key, value in d.items():
            weight: Any = 1
            if isinstance(value, tuple) and len(value) == 2:
                value, weight = value
                weight = getattr(weight, "array", weight)
                if not _is_scalar(weight):
                    raise ValueError(f"DictSummary.add: the weight of {key!r} is {weight!r} but must be a scalar")
            value = getattr(value, "array", value)
            if _is_scalar(value):
                self._summaries.setdefault(key, Summary()).add(value, weight)

    def compute_mean(self) -> dict[str, Any]:
        """The mean under each key."""
        return {name: summary.compute_mean() for name, summary in self._summaries.items()}

    def make_statistics(self) -> dict[str, Any]:
        """The mean under each key, and the standard deviation under the key with `.std` behind it."""
        statistics = {}
        for name, summary in self._summaries.items():
            statistics[name], statistics[f"{name}.std"] = summary.make_statistics()
        return statistics

    def serialize(self, serializer: Any) -> None:
        """Save or load: `_names` is a JSON list, `_summaries/<i>` the summary of the i-th name."""
        try:
            names = serialize_json(serializer, "_names", list(self._summaries), _are_names, "a list of different names")
        except KeyError:
            warnings.warn("DictSummary: the file holds no statistics; the means start anew")
            names = []
        # On saving these are the summaries that are there already; on loading they are new ones, then filled.
        self._summaries = {name: self._summaries.get(name, Summary()) for name in names}
        for index, summary in enumerate(self._summaries.values()):
            summary.serialize(serializer["_summaries"][str(index)])


def _are_names(names: Any) -> bool:
    return isinstance(names, list) and all(isinstance(n, str) for n in names) and len(set(names)) == len(names)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, int | float | np.number | np.bool_) or getattr(value, "shape", None) == ()
