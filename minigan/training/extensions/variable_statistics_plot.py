"""How weights and gradients spread over time: means with deviations, and percentiles, of all parameters of a link."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minigan.backend import get_array_module
from minigan.backends import cuda
from minigan.core import Variable
from minigan.link import Link
from minigan.serializer import serialize_count, serialize_json
from minigan.training.extension import Extension
from minigan.training.extensions.plot_report import PlotReport
from minigan.training.trigger import get_trigger, serialize_trigger
from minigan.utils.files import atomic_write


class Reservoir:
    """Keeps `size` of all the arrays that are added, each with the same probability, in the order of their coming.

    Args:
        size: How many.
        data_shape, dtype: Of an array.
    """

    def __init__(self, size: int, data_shape: tuple[int, ...], dtype: Any = np.float32) -> None:
        self.size = size
        self.data = np.zeros((size, *data_shape), dtype=dtype)
        self.idxs = np.zeros(size, dtype=np.int32)
        self.counter = 0
        self._random = np.random.default_rng(0)  # its own, so that a plot changes no training

    def add(self, x: Any, idx: int | None = None) -> None:
        """Add an array; `idx` is its place in time, by default how many came before."""
        place = self.counter if self.counter < self.size else self._random.integers(self.counter + 1)
        if place < self.size:
            self.data[place] = x
            self.idxs[place] = self.counter if idx is None else idx
        self.counter += 1

    def get_data(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the places and the arrays, in order of the places."""
        idxs = self.idxs[: self.counter]
        order = idxs.argsort()
        return idxs[order], self.data[: self.counter][order]

    def serialize(self, serializer: Any) -> None:
        """Write or read all that is kept, and how the choice goes on."""
        counter = serialize_count(serializer, "counter", self.counter)
        serializer("idxs", self.idxs[:counter])  # filled in place on reading
        serializer("data", self.data[:counter])
        generator = self._random.bit_generator
        generator.state = serialize_json(serializer, "random", generator.state, _is_state, "a state of PCG64")
        self.counter = counter


def _is_state(state: Any) -> bool:
    try:
        np.random.PCG64().state = state
    except (KeyError, ValueError, TypeError, OverflowError):
        return False
    return True


class Statistician:
    """Computes mean, standard deviation and percentiles of an array, as a dict of those that are wanted."""

    def __init__(self, collect_mean: bool, collect_std: bool, percentile_sigmas: float | Sequence[float]) -> None:
        self.collect_mean = collect_mean
        self.collect_std = collect_std
        self.percentile_sigmas = percentile_sigmas

    def __call__(self, x: Any, axis: Any = 0, dtype: Any = None, xp: Any = None) -> dict[str, Any]:
        """Compute over `axis`; `dtype` is what mean and deviation are computed in."""
        xp = xp or get_array_module(x)
        out = {}
        if self.collect_mean:
            out["mean"] = x.mean(axis=axis, dtype=dtype)
        if self.collect_std:
            out["std"] = x.std(axis=axis, dtype=dtype)
        if np.size(self.percentile_sigmas):
            out["percentile"] = xp.percentile(x, self.percentile_sigmas, axis=axis)
        return out


def _variables(target: Any) -> list[Any]:
    if isinstance(target, (list, tuple)):
        return [variable for each in target for variable in _variables(each)]
    return [*target.params()] if isinstance(target, Link) else [target] if isinstance(target, Variable) else []


class VariableStatisticsPlot(Extension):
    """Draws means, standard deviations and percentiles of all weights and gradients together against time, as PNG.

    Args:
        targets: A Variable, a link (all its parameters), or a list of them.
        max_sample_size: Points in time to draw; of more, a random choice.
        report_data, report_grad: Which of the two are drawn.
        plot_mean, plot_std, percentile_sigmas: What is drawn of them; no percentiles for ().
        trigger: When the picture is redrawn. The extension itself is called at every iteration, and collects.
        filename: File in the trainer's folder, `statistics.png` by default; `file_name` is the old name.
        figsize, marker, grid: Matplotlib's; the size is 9 inches by 5 for each kind of plot by default.
    """

    def __init__(
        self, targets: Any, max_sample_size: int = 1000, report_data: bool = True, report_grad: bool = True,
        plot_mean: bool = True, plot_std: bool = True,
        percentile_sigmas: float | Sequence[float] = (0, 0.13, 2.28, 15.87, 50, 84.13, 97.72, 99.87, 100),
        trigger: Any = (1, "epoch"), filename: str | None = None, figsize: tuple[float, float] | None = None,
        marker: str | None = None, grid: bool = True, *, file_name: str = "statistics.png",
    ) -> None:  # fmt: skip
        found = _variables(targets)
        if not found:
            raise ValueError("VariableStatisticsPlot: targets hold no variable; wanted a Variable, a Link or a list")
        percentiles = np.size(percentile_sigmas)
        if not ((plot_mean or plot_std or percentiles) and (report_data or report_grad)):
            raise ValueError("VariableStatisticsPlot: nothing is left to plot")
        self._vars = tuple(found)
        self._keys = [name for name, wanted in (("data", report_data), ("grad", report_grad)) if wanted]
        self._statistician = Statistician(plot_mean, plot_std, percentile_sigmas)
        self._trigger = get_trigger(trigger)
        self._filename = filename or file_name
        self._figsize, self._marker, self._grid = figsize, marker, grid
        self._data_shape = (len(self._keys), int(plot_mean) + int(plot_std) + percentiles)
        self._samples = Reservoir(max_sample_size, self._data_shape)

    @staticmethod
    def available() -> bool:
        """Say whether Matplotlib is there; warn if it is not."""
        return PlotReport.available()

    def __call__(self, trainer: Any) -> None:
        """Collect, and draw if it is time."""
        if not self.available():
            return
        sample = np.full(self._data_shape, np.nan, np.float32)
        for row, key in zip(sample, self._keys, strict=True):
            arrays = [getattr(variable, key) for variable in self._vars]
            flat = [cuda.to_cpu(array).ravel() for array in arrays if array is not None]
            if sum(part.size for part in flat):
                row[:] = np.hstack([np.ravel(s) for s in self._statistician(np.concatenate(flat), axis=0).values()])
        self._samples.add(sample, trainer.updater.iteration)
        if self._trigger(trainer):
            self._draw(Path(trainer.out, self._filename))

    def serialize(self, serializer: Any) -> None:
        """Write or read the samples and what the interval has seen; from Chainer's files, without, it starts anew."""
        try:
            self._samples.serialize(serializer["_samples"])
        except KeyError:
            return
        serialize_trigger(self._trigger, serializer, "_trigger")

    def _draw(self, path: Path) -> None:
        from matplotlib.figure import Figure

        mean, std = self._statistician.collect_mean, self._statistician.collect_std
        spread, rest = mean or std, self._data_shape[1] - mean - std
        n_rows = int(spread) + bool(rest)
        figure = Figure(figsize=self._figsize or (9 * len(self._keys), 5 * n_rows))
        axes = figure.subplots(n_rows, len(self._keys), sharex=True, squeeze=False)
        places, data = self._samples.get_data()
        for column, key in enumerate(self._keys):
            values = data[:, column]
            axes[0, column].set_title(key)
            axes[-1, column].set_xlabel("iteration")
            if spread:
                middle = values[:, 0] if mean else np.zeros(len(places))
                deviation = values[:, int(mean)] if std else None
                axes[0, column].errorbar(places, middle, deviation, marker=self._marker, ecolor="0.7", color="r")
            for number in range(rest):
                line = values[:, self._data_shape[1] - rest + number]
                axes[-1, column].plot(places, line, marker=self._marker, color="b", alpha=0.2 + 0.8 / (1 + number))
        for each in axes.flat:
            each.grid(self._grid)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            figure.savefig(file, format="png")
