"""One batch spread over several devices: each computes the gradient of its share, one of them makes the step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigan.dataset.convert import as_arguments, call_converter, concat_examples
from minigan.serializer import Deserializer
from minigan.training.updaters.standard_updater import StandardUpdater


class ParallelUpdater(StandardUpdater):
    """Data-parallel training in one process; the gradients of all devices are added: that of the sum of their losses.

    The devices compute one after the other as far as Python is concerned; GPUs overlap, since kernels are only queued.

    Args:
        iterator, optimizer, converter, loss_func, loss_scale, auto_new_epoch: As in `StandardUpdater`.
        models: A dict of models, `"main"` (the one of the optimizer) and its copies; made by copying unless given.
        devices: A dict of devices by the same names; `"main"` must be there.
    """

    def __init__(
        self, iterator: Any, optimizer: Any, converter: Callable[..., Any] = concat_examples,
        models: dict[str, Any] | None = None, devices: dict[str, Any] | None = None,
        loss_func: Callable[..., Any] | None = None, loss_scale: float | None = None, auto_new_epoch: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(iterator, optimizer, converter, None, loss_func, loss_scale, auto_new_epoch)
        if models is None and devices is None:
            raise ValueError("ParallelUpdater: models and devices are both missing; give devices={'main': 0, ...}")
        names = sorted({**(models or {}), **(devices or {})}, key=lambda name: name != "main")
        if names[0] != "main":
            raise KeyError("ParallelUpdater: there is no 'main' among the models or devices")
        main = self.get_optimizer("main").target
        self._models = dict(models) if models else {n: main if n == "main" else main.copy("copy") for n in names}
        self._devices = {name: (devices or {}).get(name, self._models[name].device) for name in names}
        for name, model in self._models.items():
            model.to_device(self._devices[name])

    def connect_trainer(self, trainer: Any) -> None:
        """Let the copies report as the main model does, each under its own name."""
        for name, model in self._models.items():
            if name != "main":
                trainer.reporter.add_observer(name, model)
                trainer.reporter.add_observers(name, model.namedlinks(skipself=True))

    def update_core(self) -> None:
        """Give every device each n-th example of the batch, add the gradients, make one step, copy the weights."""
        optimizer, iterator = self.get_optimizer("main"), self.get_iterator("main")
        main = optimizer.target
        batch = iterator.next()
        for number, (name, model) in enumerate(self._models.items()):
            model.cleargrads()
            share = batch[number :: len(self._models)]
            args, kwargs = as_arguments(call_converter(self.converter, share, self._devices[name]))
            loss = (self.loss_func or model)(*args, **kwargs)
            loss.backward(loss_scale=self.loss_scale)
        for model in self._copies():
            main.addgrads(model)
        optimizer.update()
        for model in self._copies():
            model.copyparams(main)
        if self.auto_new_epoch and iterator.is_new_epoch:
            optimizer.new_epoch(auto=True)

    def _copies(self) -> list[Any]:
        main = self.get_optimizer("main").target
        return [model for model in self._models.values() if model is not main]

    def serialize(self, serializer: Any) -> None:
        """Write or read as `StandardUpdater`; the copies, too, get the weights that are read."""
        super().serialize(serializer)
        if isinstance(serializer, Deserializer):
            for model in self._copies():
                model.copyparams(self.get_optimizer("main").target)


class MultiprocessParallelUpdater:
    """Chainer's updater of one process for each GPU, which needs NCCL; the name exists so that scripts import."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError(
            "MultiprocessParallelUpdater: minigan has no processes per GPU; use ParallelUpdater(iterator, optimizer, "
            "devices={'main': 0, 'second': 1})"
        )

    @staticmethod
    def available() -> bool:
        """Say that it is not."""
        return False


def size_num_grads(link: Any) -> tuple[int, int]:
    """Return how many numbers the gradients of a link have together, and how many parameters it has."""
    return sum(param.size for param in link.params()), len([*link.params()])


def gather_grads(link: Any) -> Any:
    """Return the gradients of a link on a GPU as one flat array, in the order of the parameters' paths.

    Raises:
        RuntimeError: the link is on the CPU: there is nothing to be gained there.
    """
    return _gather(link, "grad")


def gather_params(link: Any) -> Any:
    """Return the weights of a link on a GPU as one flat array; as `gather_grads`."""
    return _gather(link, "data")


def scatter_grads(link: Any, array: Any) -> None:
    """Give a link, as its gradients, what `gather_grads` returned for a link of the same shape."""
    _scatter(link, array, "grad")


def scatter_params(link: Any, array: Any) -> None:
    """Give a link, as its weights, what `gather_params` returned for a link of the same shape."""
    _scatter(link, array, "data")


def _gather(link: Any, attribute: str) -> Any:
    xp = link.xp
    if xp is np:
        raise RuntimeError(f"gather_grads, gather_params: the {type(link).__name__} is on the CPU; call link.to_gpu()")
    return xp.concatenate([getattr(param, attribute).ravel() for _, param in sorted(link.namedparams())])


def _scatter(link: Any, array: Any, attribute: str) -> None:
    start = 0
    for _, param in sorted(link.namedparams()):
        part = array[start : start + param.size].reshape(param.shape)
        setattr(param, attribute, part.astype(param.dtype))
        start += param.size
