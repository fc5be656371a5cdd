"""What tells whether a training is well besides its losses: gradients, the variety of the samples, the critic's bound.

It is looked at once for each entry of the log, and no number leaves the GPU before the log asks for it.
"""

from __future__ import annotations

from typing import Any

from minigan.configuration import no_backprop_mode, using_config
from minigan.gans.updater import ask, frozen_statistics
from minigan.reporter import report
from minigan.training.extension import PRIORITY_WRITER, Extension


class Vitals(Extension):
    """Report `gen/grad/LAYER`, `dis/grad/LAYER`, `gen/variety` and `dis/clipped`.

    The first two are lengths of gradients, weights and biases together, as they are after D's and G's step; those of a
    net whose step float16 was too narrow for, and which was left out, are infinite, and so not reported. The variety
    is the deviation of made images from each other, 1 where real ones have it; it is left out where these are all
    alike. The last is the share of D's weights that have come to the bound `clip`, where there is one.
    """

    priority = PRIORITY_WRITER

    def __init__(self, z: Any, real: Any, clip: float | None) -> None:
        self.z, self.clip = z, clip
        self.usual = float(_variety(real))

    def __call__(self, trainer: Any) -> None:
        updater = trainer.updater
        found = {}
        for name, net in (("gen", updater.gen), ("dis", updater.dis)):
            if not updater.get_optimizer(name).is_safe_to_update():
                continue
            for path, link in net.namedlinks():
                params = [param for _, param in link._own_params() if param.grad is not None]
                grads = [param.grad.astype("f") / (param._loss_scale or 1) for param in params]
                if grads:
                    layer = path.strip("/").replace("/", ".")
                    found[f"{name}/grad/{layer}"] = sum((g**2).sum() for g in grads) ** 0.5
        if self.usual:
            with using_config("train", False), no_backprop_mode():
                found["gen/variety"] = _variety(updater.sampler(self.z).array) / self.usual
        if self.clip:
            weights = [param.array for param in updater.dis.params()]
            touching = sum((abs(w) >= 0.999 * self.clip).sum() for w in weights)
            found["dis/clipped"] = touching / sum(w.size for w in weights)
        report(found)


def answers(updater: Any, n: int = 500) -> tuple[Any, Any]:
    """Return D's answers, before any sigmoid, to n real images and n made ones, in batches as in training."""
    iterator = updater.get_iterator("main")
    found: tuple[list, list] = [], []
    data, size = iterator.dataset, iterator.batch_size
    with no_backprop_mode(), frozen_statistics(updater.gen), frozen_statistics(updater.dis):
        for start in range(0, min(n, len(data) - size + 1), size):
            batch = updater.received([data[i] for i in range(start, start + size)])
            x, labels = batch if isinstance(batch, tuple) else (batch, None)
            z = updater.gen.latent(size)
            for each, seen in zip(found, ((x, labels), (updater.gen(z).array, updater.gen.labels_of(z)))):
                each.append(updater.logit(ask(updater.dis, *seen)[0]).array)
    return tuple(updater.gen.xp.concatenate(each) for each in found)


def _variety(images: Any) -> Any:
    """The standard deviation over the images, (N, ...), in the mean of all places."""
    return images.std(0).mean()
