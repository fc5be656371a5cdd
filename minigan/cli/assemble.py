"""From the settings of a run to a trainer: the nets, their optimizers, what is watched and written, and how often."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy

from minigan import optimizer_hooks, optimizers, random
from minigan.cli.diagnosis import Diagnosis
from minigan.cli.gan_options import tricks
from minigan.cli.metric import Metric
from minigan.cli.run_folder import RunFolder, build
from minigan.cli.vitals import Vitals
from minigan.cli.watch import RingCoverage, SampleGrid, Sanity
from minigan.configuration import using_config
from minigan.gans import GANS, GANUpdater
from minigan.iterators import SerialIterator
from minigan.training import Trainer, extensions

GRID = 64  # images in a sample grid
POINTS = 2000  # points in a picture of the ring
SOME = 500  # real images to compare with


def assemble(settings: dict[str, Any], images: Any, place: Any, run: RunFolder | None, stop: Any, say: Any) -> Trainer:
    """Build nets, optimizers, updater and extensions, which may `say` something: all of the training but its state."""
    random.seed(settings["seed"])
    gen, dis = build(settings)
    optimizer = {}
    for name, net in (("gen", gen), ("dis", dis)):
        net.to_device(place)
        alpha = settings["alpha" if name == "gen" else "alpha_dis"]
        optimizer[name] = optimizers.Adam(alpha=alpha, beta1=settings["beta1"], beta2=settings["beta2"])
        optimizer[name].setup(net)
        if settings.get("mixed"):
            optimizer[name].use_fp32_update()
            optimizer[name].loss_scaling()
        if settings.get("clip_gradient"):
            optimizer[name].add_hook(optimizer_hooks.GradientClipping(settings["clip_gradient"]))
        if settings.get("weight_decay"):
            optimizer[name].add_hook(optimizer_hooks.WeightDecay(settings["weight_decay"]))
    iterator = SerialIterator(images, settings["batch_size"])
    updater = GANUpdater(
        iterator, optimizer, GANS[settings["gan"]], n_dis=settings["n_dis"], options=settings,
        tricks=tricks(settings), ema_decay=settings["ema"], device=place,
    )  # fmt: skip
    if run is None:
        return Trainer(updater, stop)
    trainer = Trainer(updater, stop, out=str(run.path))
    for name, each in optimizer.items():
        if schedule := _schedule(settings, each):
            trainer.extend(schedule, name=f"schedule of {name}", trigger=(1, "iteration"))
    trainer.extend(extensions.LogReport(trigger=(settings["log_every"], "iteration")))

    def due(trainer: Trainer) -> bool:
        """Whether something is written; reading the losses at every launch of a graph would make the GPU wait."""
        places = (settings.get(f"{what}_every") for what in ("log", "sample", "snapshot", "metric"))
        return stop(trainer) or any(trainer.updater.iteration % every == 0 for every in places if every)

    trainer.extend(Sanity(run), trigger=due if settings["graph"] else None)
    ring = settings["data"] == "ring"
    with generators_of_its_own(settings["seed"]):
        noise = drawn(updater.sampler, POINTS if ring else 10 * gen.n_classes or GRID)
    logged = settings["log_every"], "iteration"
    trainer.extend(Vitals(noise, some(images, SOME), settings.get("clip")), trigger=logged)
    if ring:
        trainer.extend(RingCoverage(noise), trigger=logged)
    if settings.get("metric"):
        n = settings["metric_n"]
        with generators_of_its_own(settings["seed"]):
            stop.metric = Metric(run, settings, drawn(updater.sampler, n), some(images, 2 * n))
        trainer.extend(stop.metric, trigger=(settings["metric_every"], "iteration"))
    trainer.extend(Diagnosis(run, settings, say), trigger=logged)
    trainer.extend(SampleGrid(run, noise), name="SampleGrid", trigger=(settings["sample_every"], "iteration"))
    trainer.extend(extensions.snapshot(n_retains=3), trigger=(settings["snapshot_every"], "iteration"))
    return trainer


@contextmanager
def generators_of_its_own(seed: int) -> Iterator[None]:
    """Let something be the same in every run of a seed, and the training not notice that it draws numbers."""
    state = random.get_state()
    random.seed(seed)
    with using_config("cuda_graph", False):
        yield
    random.set_state(state)


def drawn(gen: Any, n: int) -> Any:
    """Return noise for n images, of a conditional generator a class in each column of a grid."""
    return gen.latent(n, numpy.arange(n) % (gen.n_classes or 1))


def some(images: Any, n: int) -> numpy.ndarray:
    """Return n images of a data set, with or without classes, or all if there are fewer: always the same ones."""
    places = numpy.random.RandomState(0).permutation(len(images))[:n]
    return numpy.stack([x[0] if isinstance(x, tuple) else x for x in (images[int(i)] for i in places)])


def _schedule(settings: dict[str, Any], optimizer: Any) -> Any:
    """The extension that changes the step size, if it is to change."""
    kind, steps, alpha = settings.get("schedule"), settings["steps"], optimizer.alpha
    if kind == "linear":
        return extensions.LinearShift("alpha", (alpha, 0.0), (steps / 2, steps), optimizer)
    if kind == "cosine":
        return extensions.CosineShift("alpha", steps, alpha, optimizer)
    if kind == "step":
        return extensions.StepShift("alpha", settings["decay_factor"], settings["decay_every"], alpha, None, optimizer)
    return None
