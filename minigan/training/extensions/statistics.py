"""Extensions that add to the observation: a mean weighted by counts, and statistics of weights and gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, ClassVar

from minigan.backend import get_array_module
from minigan.core import as_array
from minigan.link import Link
from minigan.reporter import DictSummary, report
from minigan.training.extension import PRIORITY_EDITOR, PRIORITY_WRITER, Extension
from minigan.training.trigger import get_trigger, serialize_trigger


class MicroAverage(Extension):
    """Reports sum(numerator) / sum(denominator) over an interval: a mean over examples where batches differ in size.

    Args:
        numerator_key, denominator_key: Names of two observed values.
        result_key: Name of the result, which is there in the last iteration of each interval.
        trigger: The interval.
    """

    priority = PRIORITY_EDITOR

    def __init__(self, numerator_key: str, denominator_key: str, result_key: str, trigger: Any = (1, "epoch")) -> None:
        self._trigger = get_trigger(trigger)
        self._keys = numerator_key, denominator_key
        self._result_key = result_key
        self._numerator = 0.0
        self._denominator = 0.0

    def __call__(self, trainer: Any) -> None:
        """Add up, and report at the end of the interval."""
        observed = [as_array(trainer.observation[key]) for key in self._keys if key in trainer.observation]
        if len(observed) == 2:
            self._numerator += float(observed[0])
            self._denominator += float(observed[1])
        if self._trigger(trainer) and self._denominator:
            trainer.observation[self._result_key] = self._numerator / self._denominator
            self._numerator = self._denominator = 0.0

    def serialize(self, serializer: Any) -> None:
        """Write or read the sums and what the interval has seen."""
        serialize_trigger(self._trigger, serializer, "_trigger")
        self._numerator = serializer("_numerator", self._numerator)
        self._denominator = serializer("_denominator", self._denominator)


def _percentiles(x: Any) -> Any:
    return get_array_module(x).percentile(x, (0.13, 2.28, 15.87, 50, 84.13, 97.72, 99.87))


class ParameterStatistics(Extension):
    """Reports statistics of the parameters and gradients of some links, as `LINK/PATH/data/mean` and the like.

    They are computed at every iteration, and what is reported at the end of an interval is their mean over it.

    Args:
        links: A link or several; each should have a name.
        statistics: A dict from names to functions of a flat array (their result is a number, or an array, which is
            reported as `name/0`, `name/1`, ...), or `"default"` for `default_statistics`.
        report_params, report_grads: Which of the two are looked at.
        prefix: Put before the names.
        trigger: The interval. The extension itself must be called at every iteration, as it is by default.
        skip_nan_params: Whether a parameter with NaN gives NaN without its statistics being computed. A gradient that
            is not there is one of NaN.
    """

    default_name = "parameter_statistics"
    priority = PRIORITY_WRITER
    report_key_template = "{prefix}{link_name}{param_name}/{attr_name}/{function_name}"
    default_statistics: ClassVar[dict[str, Callable[[Any], Any]]] = {
        "mean": lambda x: x.mean(),
        "std": lambda x: x.std(),
        "min": lambda x: x.min(),
        "max": lambda x: x.max(),
        "zeros": lambda x: (x == 0).sum(),
        "percentile": _percentiles,
    }

    def __init__(
        self, links: Any, statistics: Any = "default", report_params: bool = True, report_grads: bool = True,
        prefix: str | None = None, trigger: Any = (1, "epoch"), skip_nan_params: bool = False,
    ) -> None:  # fmt: skip
        self._links = list(links) if isinstance(links, (list, tuple)) else [links]
        if not self._links or not all(isinstance(link, Link) for link in self._links):
            raise TypeError("ParameterStatistics: links must be a Link or a list of one or more")
        self._statistics = dict(self.default_statistics if statistics == "default" else statistics or {})
        self._attributes = [name for name, wanted in (("data", report_params), ("grad", report_grads)) if wanted]
        self._prefix = prefix
        self._trigger = get_trigger(trigger)
        self._summary = DictSummary()
        self._skip_nan_params = skip_nan_params

    def register_statistics(self, name: str, function: Callable[[Any], Any]) -> None:
        """Add a statistic, or replace the one of that name."""
        self._statistics[name] = function

    def __call__(self, trainer: Any) -> None:
        """Compute, and report at the end of the interval."""
        for link in self._links:
            for path, param in link.namedparams(include_uninit=False):
                for attribute in self._attributes:
                    self._summary.add(dict(self._compute(link.name or "None", path, attribute, param)))
        if self._trigger(trainer):
            report(self._summary.compute_mean())
            self._summary = DictSummary()

    def _compute(self, link: str, path: str, attribute: str, param: Any) -> Iterator[tuple[str, Any]]:
        xp, values = get_array_module(param.array), getattr(param, attribute)
        if values is None:  # a gradient before the first backward, which in Chainer is there and holds NaN
            values = xp.full_like(param.array, xp.nan)
        skipped = self._skip_nan_params and bool(xp.isnan(values).any())
        for name, function in self._statistics.items():
            key = self.report_key_template.format(
                prefix=f"{self._prefix}/" if self._prefix else "", link_name=link, param_name=path,
                attr_name=attribute, function_name=name,
            )  # fmt: skip
            result: Any = float("nan") if skipped else function(values.ravel())
            if getattr(result, "ndim", 0):
                yield from ((f"{key}/{i}", part) for i, part in enumerate(result))
            else:
                yield key, result

    def serialize(self, serializer: Any) -> None:
        """Write or read what the interval has seen; from Chainer's files, without, it starts anew."""
        with suppress(KeyError):
            serialize_trigger(self._trigger, serializer, "_trigger")
            self._summary.serialize(serializer["_summary"])
