"""What may help any GAN, once for all: softer targets, noise, changes of what D sees, larger batches than fit at once.

Every number here comes from the generators that snapshots hold, so that a run with tricks, too, goes on bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy

import minigan.functions as F
from minigan import cuda_graph
from minigan.core import Variable
from minigan.gans.turn import draw

AUGMENTATIONS = ("flip", "shift", "brightness")


@dataclass
class Tricks:
    """How `GANUpdater` departs from the papers' plain training; by default it does not."""

    smooth: float = 0.0
    """The target for real images is 1 - smooth, not 1 (one-sided smoothing, Salimans et al. 2016, section 3.4)."""
    smooth_fake: float = 0.0
    """The target for made images is this, not 0: both together are two-sided smoothing."""
    label_noise: float = 0.0
    """Each target is moved towards the other one by a number from U(0, label_noise)."""
    instance_noise: float = 0.0
    """Deviation of normal noise on all that D sees, which falls to 0 in `steps` iterations (Sonderby et al. 2017)."""
    steps: int = 1
    augment: Sequence[str] = ()
    """Changes of all that D sees, real and made, in both steps (Zhao et al. 2020): of `AUGMENTATIONS`."""
    ada: float = 0.0
    """If positive, each change is made of a share p of images, which moves so that E[sign D(x)] becomes this."""
    r1: float = 0.0
    """gamma of gamma/2 E[|grad D(x)|^2] at real images (Mescheder et al. 2018, equation 9), a term of D's loss."""
    r1_every: int = 1
    """That term comes in every so many iterations only, and counts as many times (Karras et al. 2020, StyleGAN2, B)."""
    accumulate: int = 1
    """Batches whose mean gradient makes one step."""
    p: float = field(default=0.0, init=False)  #: with `ada`; part of the snapshot

    def __post_init__(self) -> None:
        for name in ("smooth", "smooth_fake"):
            most = getattr(self, name) + self.label_noise
            if not (0 <= getattr(self, name) and 0 <= self.label_noise and most < 0.5):
                raise ValueError(
                    f"Tricks: {name} {getattr(self, name)} with label_noise {self.label_noise} takes targets to "
                    f"{most}; wanted numbers from 0 that are less than 0.5 together, else real and made are the same"
                )
        if (
            min(self.accumulate, self.r1_every) < 1 or min(self.instance_noise, self.r1) < 0
            or not set(self.augment) <= set(AUGMENTATIONS)
        ):  # fmt: skip
            raise ValueError(
                f"Tricks: accumulate is {self.accumulate}, r1_every {self.r1_every}, instance_noise "
                f"{self.instance_noise}, r1 {self.r1} and augment {self.augment}; wanted 1 or more, 1 or more, 0 or "
                f"more, 0 or more, and some of {', '.join(AUGMENTATIONS)}"
            )
        if not 0 <= self.ada < 1 or (self.ada and not self.augment):
            raise ValueError(
                f"Tricks: ada is {self.ada} and augment {self.augment}; wanted a target below 1, 0.6 for example, and "
                f"something to do so often"
            )

    def slope_weight(self, iteration: int) -> float:
        """What the mean squared slope of D at real images counts in this iteration."""
        return 0.0 if iteration % self.r1_every else self.r1_every * self.r1 / 2

    @property
    def softens(self) -> bool:
        """Whether targets are other than 1 and 0."""
        return bool(self.smooth or self.smooth_fake or self.label_noise)

    def softening(self, dis: Any, y_real: Variable, y_fake: Variable) -> Variable:
        """What softer targets add to the cross entropy of logits: E[(1 - t_real) y_real] - E[t_fake y_fake].

        For t log s(y) + (1 - t) log(1 - s(y)) is log s(y) - (1 - t) y, and log(1 - s(y)) + t y.
        """
        off_real, off_fake = (
            soft + self.label_noise * draw("uniform", dis, y.shape) if self.label_noise else soft
            for soft, y in ((self.smooth, y_real), (self.smooth_fake, y_fake))
        )
        return F.average(off_real * y_real) - F.average(off_fake * y_fake)

    def shown(self, dis: Any, x: Any, iteration: Any) -> Any:
        """What D is shown of x (N, C, H, W), an array or a Variable; `iteration` tells which one it is."""
        if "flip" in self.augment or "shift" in self.augment:
            x = moved(dis, x, *(self._chosen(len(x)) if name in self.augment else None for name in ("flip", "shift")))
        if "brightness" in self.augment:
            change = draw("uniform", dis, (len(x), *(1 for _ in x.shape[1:]))) - 0.5
            x = x + change * dis.device.send(self._chosen(len(x)).reshape(change.shape))
        if self.instance_noise:
            left = cuda_graph.number(lambda: self.instance_noise * max(0.0, 1 - iteration() / self.steps), x.dtype)
            x = x + left * draw("normal", dis, x.shape)
        return x

    def _chosen(self, n: int) -> numpy.ndarray:
        """Which of n images are changed."""
        return numpy.random.random_sample(n) < self.p if self.ada else numpy.ones(n, bool)

    def adapt(self, y_real: Any) -> None:
        """Move p towards where D's logits of real images are positive as often as wanted (Karras et al. 2020, 3).

        D that is surer overfits. Each batch of D moves p by 4 / steps, so that it takes at least a quarter of the run
        from 0 to 1 where D has one batch in each step; the paper's looks at four batches at a time.
        """
        over = float((y_real > 0).mean() - (y_real < 0).mean()) - self.ada
        self.p = min(max(self.p + math.copysign(4 / self.steps, over), 0.0), 1.0)


def moved(dis: Any, x: Any, flip: numpy.ndarray | None, shift: numpy.ndarray | None) -> Any:
    """Images mirrored left and right with probability 1/2, and moved by up to an eighth of their size over black (-1).

    `flip` and `shift` tell of which (N,), if of any. Both are matrices of zeros and ones on either side of each image,
    so that G's gradient goes through them.
    """
    n, _, height, width = x.shape
    rows, columns = (_places(n, side, 0 if shift is None else side // 8 * shift) for side in (height, width))
    if flip is not None:
        mirrored = (numpy.random.random_sample(n) < 0.5) & flip
        columns[mirrored] = columns[mirrored, ::-1]
    left, right = (dis.device.send(m[:, None].astype(x.dtype)) for m in (rows, columns.transpose(0, 2, 1)))
    light = x + 1
    wide = (F.broadcast_to(m, (*x.shape[:2], *m.shape[2:])) for m in (left, right))
    y = F.matmul(F.matmul(next(wide), light), next(wide)) - 1
    return y if isinstance(x, Variable) else y.array


def _places(n: int, side: int, most: Any) -> numpy.ndarray:
    """n matrices (side, side) that move a column down by a number from -most to most, each drawn anew."""
    steps = numpy.random.randint(-most, most + 1, n) if numpy.any(most) else numpy.zeros(n, int)
    return numpy.arange(side)[None, :, None] - steps[:, None, None] == numpy.arange(side)[None, None, :]
