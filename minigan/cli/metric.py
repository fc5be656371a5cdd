"""How good the samples are while a run trains: the best weights are kept, and a run that no longer gets better ends.

Measured are always the same images, made of the same noise, so that the training's random numbers stay what they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import click

from minigan import pictures
from minigan.cli.run_folder import RunFolder
from minigan.cli.sample import BATCH, render
from minigan.datasets import ring_coverage
from minigan.metrics import classifier_score, frechet_distance, kernel_distance, lenet, neighbours
from minigan.metrics.report import SMALLEST
from minigan.reporter import report
from minigan.serializers import save_npz
from minigan.training.extension import PRIORITY_WRITER, Extension
from minigan.utils.files import atomic_write

N = 1000  # samples
LESS_IS_BETTER = ("frechet", "kernel")
OF_IMAGES = (*LESS_IS_BETTER, "score", "precision", "recall", "density", "coverage")
OF_POINTS = ("modes", "good")


def metric_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that this chapter is about."""
    options = {
        "metric": (click.Choice((*OF_IMAGES, *OF_POINTS)), "Measure samples with the classifier that comes along, and "
                   "keep the best weights in best.npz; modes and good are for --data ring."),
        "metric_every": (click.IntRange(1), "Iterations between measurements.  [default: steps / 20]"),
        "metric_n": (click.IntRange(SMALLEST), f"Samples, and real images beside them.  [default: {N}]"),
        "patience": (click.IntRange(1), "With --metric, end after so many measurements without improvement."),
    }  # fmt: skip
    for name, (kind, text) in reversed(options.items()):
        command = click.option(f"--{name.replace('_', '-')}", name, type=kind, help=text)(command)
    return command


def check_metric(settings: dict[str, Any]) -> None:
    """Refuse what cannot be measured, and fill in what else is to be known, before training starts."""
    name = settings.get("metric")
    if name is None:
        for alone in ("metric_every", "metric_n", "patience"):
            if settings.get(alone):
                flag = alone.replace("_", "-")
                raise click.UsageError(f"--{flag} says how to measure, and nothing is measured; pass --metric, too")
        return
    shape = settings["channels"], settings["size"]
    fits = {(2, 1): OF_POINTS, (1, 28): OF_IMAGES}.get(shape, ())
    if name not in fits:
        raise click.UsageError(
            f"--metric {name}: {', '.join(OF_POINTS)} are of the ring's points, all others of images of 1 channel, "
            f"28 x 28; {settings['data']} has {shape[1]} x {shape[1]} of {shape[0]} channels: "
            f"{'choose one of ' + ', '.join(fits) if fits else 'leave it out'}"
        )
    settings.setdefault("metric_n", N)
    settings.setdefault("metric_every", max(1, settings["steps"] // 20))


class Metric(Extension):
    """Report `gen/NAME` of images, and write the sampler's weights to best.npz whenever it is better than ever.

    Args:
        z: The noise of all samples, on the generator's device.
        real: Twice as many real images (N, 1, 28, 28) in [-1, 1], or fewer: the samples are compared with the first
            half, and so is the other half in the end, the floor. Of points they are not looked at.
    """

    priority = PRIORITY_WRITER

    def __init__(self, run: RunFolder, settings: dict[str, Any], z: Any, real: Any) -> None:
        self.run, self.kind, self.z = run, settings["metric"], z
        self.patience = settings.get("patience") or math.inf
        self.sign = -1 if self.kind in LESS_IS_BETTER else 1
        self.best, self.at, self.waited = -math.inf, 0, 0
        if self.kind in OF_IMAGES:
            data = "fashion" if settings["data"].partition(":")[0] == "fashion" else "mnist"
            self.net, _ = lenet.load(lenet.SHIPPED[data])
            real = pictures.to_uint8(real)
            self.real, _ = lenet.see(self.net, real[: len(z)])
            self.other = real[len(z) :]

    def __call__(self, trainer: Any) -> None:
        n = len(self.z)
        made = render(trainer.updater.sampler, n, (self.z[i : i + BATCH] for i in range(0, n, BATCH)))
        value = self.measured(made)
        if self.kind in OF_IMAGES:  # else `RingCoverage` does
            report({f"gen/{self.kind}": value})
        self.waited += 1
        if self.sign * value > self.best:
            self.best, self.at, self.waited = self.sign * value, trainer.updater.iteration, 0
            with atomic_write(self.run.best) as file:
                save_npz(file, trainer.updater.sampler)

    def measured(self, made: Any) -> float:
        """The metric of images of bytes, or of points."""
        if self.kind in OF_POINTS:
            return float(ring_coverage(made)[OF_POINTS.index(self.kind)])
        features, logits = lenet.see(self.net, made)
        if self.kind == "frechet":
            return frechet_distance(self.real, features)
        if self.kind == "kernel":
            return kernel_distance(self.real, features, 10, len(features) // 2, 0)[0]
        if self.kind == "score":
            return classifier_score(logits)[0]
        return getattr(neighbours(self.real, features), self.kind)

    @property
    def exhausted(self) -> bool:
        """Whether the last measurements, as many as `patience`, have all been no better than one before."""
        return self.waited >= self.patience

    def told(self) -> str:
        """Say what was best, of how many samples, and what as many real images reach."""
        n = len(self.z)
        floor = self.kind in OF_IMAGES and len(self.other) == n
        real = f" (other real images: {self.measured(self.other):.4g})" if floor else ""
        return (f"{self.kind} of {n:,} samples was best after iteration {self.at}, {self.sign * self.best:.4g}{real}: "
                f"{self.run.best}")  # fmt: skip

    def serialize(self, serializer: Any) -> None:
        """Write or read what was best, and how long ago."""
        self.best = float(serializer("best", self.best))
        self.at = int(serializer("at", self.at))
        self.waited = int(serializer("waited", self.waited))
