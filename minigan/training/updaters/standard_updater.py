"""One iteration of training: take a batch, put it on the device, let the optimizer make a step.

A GAN script derives from `StandardUpdater` and writes an `update_core` of its own, with the iterators and optimizers
that it finds here by name.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from minigan.backend import get_device, is_array
from minigan.backends.cuda import memory_left
from minigan.configuration import config
from minigan.cuda_graph import CapturedStep, capture
from minigan.dataset.convert import as_arguments, call_converter, concat_examples
from minigan.link import Link
from minigan.reporter import observed, report
from minigan.serializer import serialize_count
from minigan.training.updaters.updater import Updater


class StandardUpdater(Updater):
    """Minimises one loss by default; counts iterations and epochs, and holds iterators and optimizers by name.

    Args:
        iterator: An iterator, which is then called `"main"`, or a dict of iterators with a `"main"` among them.
        optimizer: An optimizer, which is then called `"main"`, or a dict of optimizers, all set up with their models.
        converter: `(batch, device) -> arrays`.
        device: Where the models are moved to and the batches go; None leaves both where they are.
        loss_func: Gives the loss from the arrays of a batch; None takes the model of the optimizer `"main"`.
        loss_scale: Passed to `set_loss_scale` of every optimizer, if given.
        auto_new_epoch: Whether the optimizer `"main"` is told of each new epoch of the iterator `"main"`.
        input_device: Where the batches go if that is not `device`.

    Raises:
        TypeError: an iterator or optimizer is something else, a list of pairs for example.
    """

    # Of the class, since scripts have an __init__ of their own, without super().
    _idle: dict[str, list[tuple[str, Any]]] | None = None  # parameters that have had no gradient so far
    _idle_since = 0.0  # the epochs that were done when the watch over them began, which a resumed run does at any time
    _graphs: dict[Any, CapturedStep] | None = None

    def __init__(
        self, iterator: Any, optimizer: Any, converter: Callable[..., Any] = concat_examples, device: Any = None,
        loss_func: Callable[..., Any] | None = None, loss_scale: float | None = None, auto_new_epoch: bool = True, *,
        input_device: Any = None,
    ) -> None:  # fmt: skip
        self._iterators = _by_name("iterator", iterator, "__next__", "next")
        self._optimizers = _by_name("optimizer", optimizer, "target")
        self.converter = converter
        self.loss_func = loss_func
        self.loss_scale = loss_scale
        self.auto_new_epoch = auto_new_epoch
        self.device = None if device is None else get_device(device)
        self.input_device = self.device if input_device is None else get_device(input_device)
        self.iteration = 0
        for each in self._optimizers.values():
            if self.device is not None:
                each.target.to_device(self.device)
            if loss_scale is not None:
                each.set_loss_scale(loss_scale)
            if auto_new_epoch:
                each.use_auto_new_epoch = True

    def update(self) -> None:
        """Do one iteration and count it; when an epoch's length is over, warn of parameters without a gradient."""
        try:
            self.update_core()
        except MemoryError as error:
            iterators, left = getattr(self, "_iterators", {}), memory_left()
            size = getattr(iterators.get("main"), "batch_size", None)
            cure = f"try batches of {max(size // 2, 1)}, not {size}" if isinstance(size, int) else "try less at once"
            # what `add_note` does, which Python 3.10 has not
            vars(error).setdefault("__notes__", []).append(f"{left}; {cure}" if left else cure)
            raise
        self.iteration += 1
        if self._idle != {}:
            self._look_for_gradients()

    def _look_for_gradients(self) -> None:
        if self._idle is None:
            links = {name: o.target for name, o in self._optimizers.items() if isinstance(o.target, Link)}
            self._idle = {name: self._watched(link) for name, link in links.items()}
            self._idle_since = getattr(self, "previous_epoch_detail", None) or 0.0
        for name, params in [*self._idle.items()]:
            # An optimizer puts zeros where there is none, so zeros are what an idle parameter has.
            idle = self._idle[name] = [(path, x) for path, x in params if x.grad is None or not bool(x.grad.any())]
            over = bool(idle) and getattr(self, "epoch_detail", 0.0) >= self._idle_since + 1
            trained = len(idle) < len([*self._optimizers[name].target.params()])  # else gradients are not kept at all
            if over and trained:
                warnings.warn(
                    f"{type(self).__name__}: {', '.join(path for path, _ in idle)} of optimizer {name!r} had no "
                    f"gradient in a whole epoch, so nothing trains them; does the loss depend on them? "
                    f"disable_update() says that it is meant"
                )
            if over or not idle:
                del self._idle[name]

    def _watched(self, link: Link) -> list[tuple[str, Any]]:
        """The parameters that ought to have a gradient."""
        return [(path, x) for path, x in link.namedparams() if x.update_rule and x.update_rule.enabled]

    def update_core(self) -> None:
        """Take a batch of `"main"` and let the optimizer `"main"` make one step on its loss.

        A tuple of arrays becomes the positional arguments of the loss, a dict its keyword arguments.
        """
        iterator = self.get_iterator("main")
        optimizer = self.get_optimizer("main")
        args, kwargs = as_arguments(call_converter(self.converter, iterator.next(), self.input_device))
        loss_func = self.loss_func or optimizer.target
        if config.cuda_graph:
            n, names = len(args), tuple(kwargs)

            def step(*arrays: Any) -> None:
                optimizer.update(loss_func, *arrays[:n], **dict(zip(names, arrays[n:])))

            self.launch_as_graph(names, step, *args, *kwargs.values())
        else:
            optimizer.update(loss_func, *args, **kwargs)
        if self.auto_new_epoch and iterator.is_new_epoch:
            optimizer.new_epoch(auto=True)

    def launch_as_graph(self, name: Any, step: Callable[..., Any], *arrays: Any) -> None:
        """Do `step(*arrays)` as one launch on the GPU (`minigan.cuda_graph`); what it reports is reported each time.

        `name` tells steps of one updater apart; of each the first that is given is kept.
        """

        def reporting(*arrays: Any) -> dict[str, Any]:
            with observed() as observation:
                step(*arrays)
            return observation

        self._graphs = self._graphs or {}
        if name not in self._graphs:
            self._graphs[name] = capture(reporting)
        for key, value in self._graphs[name](*arrays).items():
            value = getattr(value, "array", value)
            report({key: value.copy() if is_array(value) else value})  # the next launch overwrites it

    def get_iterator(self, name: str) -> Any:
        """Return the iterator called `name`."""
        return _look_up(self, "iterator", self._iterators, name)

    def get_optimizer(self, name: str) -> Any:
        """Return the optimizer called `name`."""
        return _look_up(self, "optimizer", self._optimizers, name)

    def get_all_optimizers(self) -> dict[str, Any]:
        """Return a dict of all optimizers by name."""
        return dict(self._optimizers)

    @property
    def epoch(self) -> int:
        """Epochs that the iterator `"main"` has finished."""
        return self.get_iterator("main").epoch

    @property
    def epoch_detail(self) -> float:
        """Epochs of the iterator `"main"`, with the fraction of the present one."""
        return self.get_iterator("main").epoch_detail

    @property
    def previous_epoch_detail(self) -> float | None:
        """`epoch_detail` as it was before the last batch; None before the first."""
        return self.get_iterator("main").previous_epoch_detail

    @property
    def is_new_epoch(self) -> bool:
        """Whether the last batch of the iterator `"main"` ended an epoch."""
        return self.get_iterator("main").is_new_epoch

    def finalize(self) -> None:
        """Let the iterators free what they hold."""
        for iterator in self._iterators.values():
            iterator.finalize()

    def serialize(self, serializer: Any) -> None:
        """Write or read `iterator:NAME`, `model:NAME`, `optimizer:NAME` and `iteration`."""
        for name, iterator in self._iterators.items():
            iterator.serialize(serializer[f"iterator:{name}"])
        for name, optimizer in self._optimizers.items():
            # The model comes first: an optimizer's state takes its shapes from the weights.
            optimizer.target.serialize(serializer[f"model:{name}"])
            optimizer.serialize(serializer[f"optimizer:{name}"])
        self.iteration = serialize_count(serializer, "iteration", self.iteration)


def _by_name(what: str, value: Any, *signs: str) -> dict[str, Any]:
    """Return a dict from names to iterators or optimizers; these are known by having one of the attributes `signs`."""
    found = value if isinstance(value, dict) else {"main": value}
    for name, item in found.items():
        if not any(hasattr(item, sign) for sign in signs):
            where = f"{what}[{name!r}]" if isinstance(value, dict) else what
            raise TypeError(
                f"StandardUpdater: {where} is {_a(item)}; wanted an {what} or a dict of names to {what}s such as "
                f"{{'main': {what}}} or {{'gen': ..., 'dis': ...}}"
            )
    return dict(found)


def _a(item: Any) -> str:
    kind = type(item).__name__
    return f"a {kind} of {type(item[0]).__name__}s" if isinstance(item, (list, tuple)) and item else f"of type {kind}"


def _look_up(updater: Any, what: str, table: dict[str, Any], name: str) -> Any:
    if name not in table:
        raise KeyError(f"{type(updater).__name__}: there is no {what} {name!r}; it has {sorted(table)}")
    return table[name]
