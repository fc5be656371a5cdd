"""The page that every GAN shares: who moves when, what is detached, what is reported.

One iteration is `n_dis` steps of the discriminator and then one of the generator. In D's step the fakes are made
without a graph, so G gets no gradient; in G's step the loss is carried through D down to the images, and no gradient of
D's weights is even computed. A net's running statistics move in its own step only: after a step of D, G is what it was,
bit for bit, and the other way round.

What a GAN has besides two losses stands in its own file, under names that are looked for here: `dis_terms(turn)` and
`gen_terms(turn)` give further terms of the losses by name, `constrain(turn)` comes after D's step, `PAIRED` says that
G's loss needs D's answers to real images, too; `logit(y)` makes logits of answers that are none; `opinion(turn)` gives
what is reported of answers that are no opinion; `ZERO = False` says that no answer is special.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from types import ModuleType, SimpleNamespace
from typing import Any

import minigan.functions as F
from minigan import cuda_graph
from minigan.configuration import config, no_backprop_mode
from minigan.core import Variable, grad
from minigan.functions.logits import opinions
from minigan.gans import gan as cross_entropy
from minigan.gans.nets import Generator
from minigan.gans.penalties import squared_slopes
from minigan.gans.tricks import Tricks
from minigan.gans.turn import Turn, dtype_of
from minigan.link import Chain
from minigan.links.gan import ExponentialMovingAverage, persistents
from minigan.links.normalization import BatchNormalization
from minigan.reporter import report
from minigan.training.updaters.standard_updater import StandardUpdater


class GANUpdater(StandardUpdater):
    """Train the nets behind the optimizers `"gen"` and `"dis"` with the two losses of `gan`.

    Args:
        iterator: Gives batches of real images (N, C, H, W) in [-1, 1], or of tuples that begin with the image; a
            conditional generator wants tuples whose second part is the class.
        optimizer: `{"gen": optimizer of G, "dis": optimizer of D}`, each already set up with its net.
        gan: A module of `minigan.gans.GANS`, or anything else that has `loss_dis` and `loss_gen`.
        n_dis: Steps of D, each on a fresh batch, for one of G.
        options: The GAN's own numbers by name (`lam`, `clip` ...) where they are not those of its `DEFAULTS`.
        tricks: Departures from the plain training.
        ema_decay: If positive, keep in `self.ema` a copy of G whose weights follow G's as a moving average,
            w <- d w + (1 - d) w_G with d = min(ema_decay, (1 + t) / (10 + t)) after step t; it is used for sampling.
        kwargs: As for `StandardUpdater`: converter, device, ...

    Reports `gen/loss`, `dis/loss`, the GAN's further terms, `dis/accuracy` (share of right answers, half of them on
    fakes), `dis/real` and `dis/fake` (mean of D as a probability, before D's step) or the GAN's `opinion` instead,
    `dis/p` of an adaptive augmentation; of accumulated batches the means. Its part of a snapshot also holds the
    averaged generator.
    """

    def __init__(
        self, iterator: Any, optimizer: dict[str, Any], gan: ModuleType | Any, *,
        n_dis: int = 1, options: Mapping[str, Any] | None = None, tricks: Tricks | None = None,
        ema_decay: float = 0.0, **kwargs: Any,
    ) -> None:  # fmt: skip
        if n_dis < 1:
            raise ValueError(f"GANUpdater: n_dis is {n_dis} but D must move at least once for each step of G")
        if not 0 <= ema_decay < 1:
            raise ValueError(f"GANUpdater: ema_decay is {ema_decay} but must be in [0, 1); 0 switches the average off")
        self.tricks = tricks or Tricks()
        if self.tricks.softens and gan.loss_dis is not cross_entropy.loss_dis:
            raise ValueError("GANUpdater: softer targets are for a cross entropy, and this GAN's loss has no targets")
        if self.tricks.ada and not getattr(gan, "ZERO", True):
            raise ValueError("GANUpdater: ada asks how often D is right, and this GAN's D has no right answers")
        super().__init__(iterator, optimizer, **kwargs)
        self.gan, self.n_dis, self.ema_decay = gan, n_dis, ema_decay
        self.options = SimpleNamespace(**{**getattr(gan, "DEFAULTS", {}), **(options or {})})
        self.gen: Generator = optimizer["gen"].target
        self.dis: Chain = optimizer["dis"].target
        self._average = ExponentialMovingAverage(self.gen, ema_decay) if ema_decay else None
        self.ema: Generator | None = self._average.average if self._average else None

    @property
    def sampler(self) -> Generator:
        """The generator to draw pictures from: the averaged one where there is one."""
        return self.gen if self.ema is None else self.ema

    def update_core(self) -> None:
        """Do one iteration: `n_dis` steps of D, one step of G; with `config.cuda_graph` all in one launch."""
        n = self.n_dis * self.tricks.accumulate
        batches = (self.next_images() for _ in range(n))  # the next one is drawn after D's step on this one
        if config.cuda_graph:
            parts = 2 if self._labelled else 1

            def step(*arrays: Any) -> None:
                self.update_nets(arrays if parts == 1 else zip(arrays[::2], arrays[1::2]))

            self.launch_as_graph("update", step, *(batches if parts == 1 else chain.from_iterable(batches)))
        else:
            self.update_nets(batches)

    @property
    def _labelled(self) -> bool:
        """Whether D learns from the classes of real images."""
        return getattr(self.dis, "labelled", False)

    def update_nets(self, batches: Iterable[Any]) -> None:
        """Move D on each of the batches (N, C, H, W), or on each so many as are accumulated, then G."""
        batches = iter(batches)
        while group := [*islice(batches, self.tricks.accumulate)]:
            self.update_dis(*group)
            last = group
        self.update_gen(*last)

    def next_images(self) -> Any:
        """Return the next batch of real images as `received`."""
        return self.received(self.get_iterator("main").next())

    def received(self, examples: Any) -> Any:
        """Return images on the device and in the dtype of the nets; for a conditional GAN, a pair with labels."""
        batch = self.converter(examples, self.device)
        images = batch[0] if isinstance(batch, tuple) else batch
        images = images.astype(dtype_of(self.dis), copy=False)
        return (images, batch[1]) if self._labelled else images

    def update_dis(self, *batches: Any) -> None:
        """Move D: raise its logits on real images (N, C, H, W), lower them on N new fakes; one step on all batches."""
        optimizer, found = self.get_optimizer("dis"), []
        r1 = cuda_graph.number(lambda: self.tricks.slope_weight(self.iteration), dtype_of(self.dis))
        pays = bool(self.tricks.r1) if config.cuda_graph else r1 > 0  # a graph computes it every time, if for nothing
        self.dis.cleargrads()
        for batch in batches:
            x_real, labels_real = batch if isinstance(batch, tuple) else (batch, None)
            with no_backprop_mode(), frozen_statistics(self.gen):
                z = self.gen.latent(len(x_real))
                x_fake, labels_fake = self.gen(z).array, self._labels_of(z)
            x_real, x_fake = self._shown(x_real), self._shown(x_fake)
            seen = Variable(x_real) if pays else x_real
            (y_real, said_real), (y_fake, said_fake) = (
                ask(self.dis, x, labels) for x, labels in ((seen, labels_real), (x_fake, labels_fake))
            )
            turn = Turn(
                self.gen, self.dis, self.options, x_real, x_fake, y_real, y_fake, labels_real, labels_fake, said_real,
                said_fake, z,
            )  # fmt: skip
            terms = _terms(self.gan, "dis_terms", turn)
            if self.tricks.softens:
                terms["softening"] = self.tricks.softening(self.dis, turn.y_real, turn.y_fake)
            if pays:
                terms["r1"] = F.average(squared_slopes(self.logit(y_real), seen)) * r1
            loss = sum(terms.values(), self.gan.loss_dis(turn.y_real, turn.y_fake))
            _share(loss, batches).backward(loss_scale=optimizer._loss_scale)
            found.append({**_arrays(loss, terms), **self._opinion(turn)})
        optimizer.update()
        if constrain := getattr(self.gan, "constrain", None):
            constrain(turn)
        report(_means(found), self.dis)

    def update_gen(self, *batches: Any) -> None:
        """Move G: make D, as it is now, believe as many new fakes as the batches have images."""
        optimizer, paired, found = self.get_optimizer("gen"), getattr(self.gan, "PAIRED", False), []
        self.gen.cleargrads()
        for batch in batches:
            x_real, labels_real = batch if isinstance(batch, tuple) else (batch, None)
            z, y_real = self.gen.latent(len(x_real)), None
            x_fake, labels_fake = self.gen(z), self._labels_of(z)
            with frozen_statistics(self.dis):
                y_fake, said_fake = ask(self.dis, self._shown(x_fake), labels_fake)
                if paired:
                    with no_backprop_mode():
                        y_real, _ = ask(self.dis, self._shown(x_real), labels_real)
            turn = Turn(
                self.gen, self.dis, self.options, x_real, x_fake, y_real, y_fake, labels_real, labels_fake, None,
                said_fake, z,
            )  # fmt: skip
            terms = _terms(self.gan, "gen_terms", turn)
            loss = sum(terms.values(), self.gan.loss_gen(y_fake, *([y_real] if paired else [])))
            (x_fake.grad_var,) = grad([_share(loss, batches)], [x_fake], loss_scale=optimizer._loss_scale)
            x_fake.backward()
            found.append(_arrays(loss, terms))
        for param in self.gen.params():
            param._loss_scale = optimizer._loss_scale  # it came in by grad(), and update() takes it out
        optimizer.update()
        report(_means(found), self.gen)
        if self._average is not None:
            self._average.update(lambda: optimizer.t)

    def logit(self, y: Any) -> Any:
        """D's answer as a logit, which for most GANs it is."""
        return self.gan.logit(y) if hasattr(self.gan, "logit") else y

    def _opinion(self, turn: Turn) -> dict[str, Any]:
        """What D thinks of N real and N made images (row 56): mean probability of each, and how often it is right."""
        if hasattr(self.gan, "opinion"):
            return self.gan.opinion(turn)
        y_real, y_fake = self.logit(turn.y_real).array, self.logit(turn.y_fake).array
        found = dict(zip(("real", "fake", "accuracy"), opinions(y_real, y_fake)))
        if self.tricks.ada:
            self.tricks.adapt(y_real)
            found["p"] = self.tricks.p
        return found

    def _labels_of(self, z: Any) -> Any:
        return self.gen.labels_of(z) if isinstance(self.gen, Generator) else None

    def _shown(self, x: Any) -> Any:
        return self.tricks.shown(self.dis, x, lambda: self.iteration)

    def _watched(self, link: Any) -> list[tuple[str, Any]]:
        """All but D's last bias: some losses, like the critic's in `wgan.py`, see differences of answers only."""
        last = getattr(getattr(link, "last", None), "b", None)
        return [(path, param) for path, param in super()._watched(link) if param is not last]

    def serialize(self, serializer: Any) -> None:
        """Write to or read from `serializer` all that the next iteration depends on."""
        super().serialize(serializer)
        if self.tricks.ada:
            self.tricks.p = float(serializer("augmentation_p", self.tricks.p))
        if self._average is not None:
            self._average.serialize(serializer["ema"])


@contextlib.contextmanager
def frozen_statistics(net: Chain) -> Iterator[None]:
    """Leave alone what the links of `net` remember besides weights: running statistics, counters, others' own arrays.

    Batch normalisations are told to; other links work on copies.
    """
    kept = [
        (link, name, value, copy.copy(value))
        for link, name, value in persistents(net)
        if not isinstance(link, BatchNormalization)
    ]
    kept += [(link, "frozen", link.frozen, True) for link in net.links() if isinstance(link, BatchNormalization)]
    for link, name, _, meanwhile in kept:
        setattr(link, name, meanwhile)
    try:
        yield
    finally:
        for link, name, value, _ in kept:
            setattr(link, name, value)


def ask(dis: Any, x: Any, labels: Any) -> tuple[Any, Any]:
    """D's logits for images x, and what it says besides, if anything; one that takes labels is told them."""
    answer = dis(x, labels) if getattr(dis, "takes_labels", False) else dis(x)
    return answer if isinstance(answer, tuple) else (answer, None)


def _share(loss: Variable, batches: Sequence[Any]) -> Variable:
    return loss if len(batches) == 1 else loss / len(batches)


def _terms(gan: Any, name: str, turn: Turn) -> dict[str, Variable]:
    """The further terms that a GAN names, if it has any, each with its weight."""
    return getattr(gan, name)(turn) if hasattr(gan, name) else {}


def _arrays(loss: Variable, terms: dict[str, Variable]) -> dict[str, Any]:
    return {name: value.array for name, value in {"loss": loss, **terms}.items()}


def _means(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Of each number that was found of every batch the mean."""
    return {name: sum(each[name] for each in found) / len(found) for name in found[0]} if found[1:] else found[0]
