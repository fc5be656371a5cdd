"""Curves of reported values, redrawn as a picture while the training goes on."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from minigan.reporter import DictSummary
from minigan.serializer import serialize_json
from minigan.training.extension import Extension
from minigan.training.extensions.util import Ration
from minigan.training.trigger import get_trigger, serialize_trigger
from minigan.utils.files import atomic_write

_ALWAYS = 100  # points that are drawn without looking at the clock


class PlotReport(Extension):
    """Averages chosen values over an interval and draws the means of all intervals against time, as PNG.

    A picture of more than 100 points is redrawn only if that takes no more than a twentieth of the time since the last
    drawing, and once more when the training ends.

    Args:
        y_keys: Keys of the observation, one curve each.
        x_key: `"iteration"`, `"epoch"`, or a key of the observation.
        trigger: When an interval ends and the picture is redrawn. The extension itself is called at every iteration.
        postprocess: Called with figure, axes and the summary of the interval before the picture is saved.
        filename: File in the trainer's folder, `plot.png` by default; `file_name` is the old name.
        marker: Matplotlib's marker for the points, or None.
        grid: Whether to draw a grid.
    """

    def __init__(
        self, y_keys: str | Sequence[str], x_key: str = "iteration", trigger: Any = (1, "epoch"),
        postprocess: Callable[[Any, Any, Any], None] | None = None, filename: str | None = None,
        marker: str | None = "x", grid: bool = True, *, file_name: str = "plot.png",
    ) -> None:  # fmt: skip
        self._y_keys = [y_keys] if isinstance(y_keys, str) else list(y_keys)
        self._x_key = x_key
        self._trigger = get_trigger(trigger)
        self._postprocess = postprocess
        self._file_name = filename or file_name
        self._marker = marker
        self._grid = grid
        self._summary = DictSummary()
        self._points: dict[str, list[list[float]]] = {}
        self._held_back: tuple[Path, DictSummary] | None = None  # the picture that is not up to date
        self._ration = Ration(1 / 20)

    @staticmethod
    def available() -> bool:
        """Say whether Matplotlib is there; warn if it is not."""
        if importlib.util.find_spec("matplotlib") is None:
            warnings.warn("PlotReport: Matplotlib is not installed, so nothing will be plotted")
            return False
        return True

    def __call__(self, trainer: Any) -> None:
        """Take up the present observation; end the interval if it is time, or training has yet to begin."""
        observation = trainer.observation
        self._summary.add({key: observation[key] for key in {self._x_key, *self._y_keys} if key in observation})
        if not (trainer.is_before_training or self._trigger(trainer)):
            return
        summary, self._summary = self._summary, DictSummary()
        means = {"epoch": trainer.updater.epoch, "iteration": trainer.updater.iteration, **summary.compute_mean()}
        if self._x_key in means:
            for key in self._y_keys:
                if key in means:
                    self._points.setdefault(key, []).append([_plain(means[self._x_key]), float(means[key])])
        if self.available():
            self._held_back = Path(trainer.out, self._file_name), summary
            if sum(map(len, self._points.values())) <= _ALWAYS or self._ration.allows():
                with self._ration:
                    self.finalize()

    def finalize(self) -> None:
        """Draw what was held back."""
        if self._held_back is not None:
            self._draw(*self._held_back)
            self._held_back = None

    def _draw(self, path: Path, summary: DictSummary) -> None:
        from matplotlib.figure import Figure  # without pyplot: no window, no global state, always the Agg renderer

        figure = Figure()
        axes = figure.add_subplot()
        axes.set_xlabel(self._x_key)
        axes.grid(self._grid)
        for key, points in self._points.items():
            axes.plot(*zip(*points, strict=True), marker=self._marker, label=key)
        if self._postprocess is not None:
            self._postprocess(figure, axes, summary)
        extra = []
        if self._points:
            extra.append(axes.legend(bbox_to_anchor=(1.05, 1), loc="upper left", borderaxespad=0.0))
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            figure.savefig(file, format="png", bbox_extra_artists=extra, bbox_inches="tight")

    def serialize(self, serializer: Any) -> None:
        """Write or read the points and, unlike Chainer, the means of the unfinished interval and the trigger."""
        key = f"_plot_{self._file_name}"
        points = serialize_json(serializer, key, self._points, _are_points, "a dict of lists of pairs of numbers")
        self._points = {name: line for name, line in points.items() if line}  # Chainer lists what never came, too
        serialize_trigger(self._trigger, serializer, "_trigger")
        self._summary.serialize(serializer["_summary"])


def _are_points(points: Any) -> bool:
    return isinstance(points, dict) and all(
        isinstance(line, list)
        and all(isinstance(p, list) and len(p) == 2 and all(isinstance(x, int | float) for x in p) for p in line)
        for line in points.values()
    )


def _plain(x: Any) -> float:
    return x if isinstance(x, int) else float(x)
