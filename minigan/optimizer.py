"""What all optimizers share.

An ``Optimizer`` knows the link that it trains and runs hooks around each step. The arithmetic is in an ``UpdateRule``,
one object per parameter, with the parameter's own state and step count. Both read their ``Hyperparameter`` objects,
which are chained: a value that the rule does not set for itself is the optimizer's, so ``optimizer.lr = 0.1``
reaches every parameter at once and ``link.W.update_rule.hyperparam.lr = 0`` stops only one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any, TypeVar

import numpy as np

from minigan import cuda_graph, optimizer_hooks
from minigan.backend import copyto, is_array
from minigan.core import Parameter, shown
from minigan.initializers import NaN
from minigan.link import Link
from minigan.serializer import Deserializer, serialize_count

Self = TypeVar("Self", bound="Optimizer")
_TIMINGS = ("pre", "post", "auto")
_LARGEST_LOSS_SCALE = 65504.0  # the largest float16


class Hyperparameter:
    """Named values; one that is not set here is looked up in ``parent``."""

    def __init__(self, parent: Hyperparameter | None = None) -> None:
        self._parent = parent

    def __getattr__(self, name: str) -> Any:
        if name[0] != "_" and self._parent is not None:  # while it is unpickled there is no _parent yet
            return getattr(self._parent, name)
        raise AttributeError(f"Hyperparameter: there is no {name!r}")

    def __repr__(self) -> str:
        return f"Hyperparameter({', '.join(f'{key}={value}' for key, value in sorted(self.get_dict().items()))})"

    parent = shown("_parent", "Where the values come from that are not set here.")

    def get_dict(self) -> dict[str, Any]:
        """Every value that can be seen from here."""
        values = {**(self._parent.get_dict() if self._parent is not None else {}), **vars(self)}
        del values["_parent"]
        return values


class HyperparameterProxy:
    """An optimizer's attribute that is kept in its ``hyperparam``: ``lr = HyperparameterProxy("lr")``."""

    def __init__(self, attr_name: str) -> None:
        self._name = attr_name
        self.__doc__ = f"The hyperparameter {attr_name}."

    def __get__(self, optimizer: Any, owner: type | None = None) -> Any:
        return self if optimizer is None else getattr(optimizer.hyperparam, self._name)

    def __set__(self, optimizer: Any, value: Any) -> None:
        setattr(optimizer.hyperparam, self._name, value)


class _Hooks:
    """Hooks by name, those before the update and those after it."""

    def __init__(self) -> None:
        self.pre: dict[str, Callable] = {}
        self.post: dict[str, Callable] = {}

    def add(self, hook: Callable, name: str | None, timing: str) -> None:
        if not callable(hook):
            raise TypeError(f"add_hook: the hook is a {type(hook).__name__}, which is not callable")
        if timing not in _TIMINGS:
            raise ValueError(f"add_hook: timing is {timing!r} but must be one of {', '.join(map(repr, _TIMINGS))}")
        if name is None:
            name = getattr(hook, "name", getattr(hook, "__name__", None))
        if name is None:
            raise ValueError(f"add_hook: a {type(hook).__name__} has no name; pass one: add_hook(hook, name='...')")
        if name in self.pre or name in self.post:
            raise KeyError(f"add_hook: there is a hook called {name!r} already; remove it first, or pass another name")
        if timing == "auto":
            timing = getattr(hook, "timing", "pre")
            if isinstance(timing, str) and timing not in ("pre", "post"):
                warnings.warn(f"add_hook: the timing of {name!r} is {timing!r}; it runs as 'pre'", stacklevel=3)
        (self.post if timing == "post" else self.pre)[name] = hook

    def remove(self, name: str) -> None:
        for hooks in (self.pre, self.post):
            if name in hooks:
                del hooks[name]
                return
        known = ", ".join(map(repr, [*self.pre, *self.post])) or "none at all"
        raise KeyError(f"remove_hook: there is no hook called {name!r}; there is {known}")


class UpdateRule:
    """How one parameter moves along its gradient.

    A subclass defines ``update_core(param)`` (or ``update_core_cpu`` and ``update_core_gpu``), which changes
    ``param.array`` in place, and ``init_state(param)``, which puts arrays into the dict ``self.state``. The former is,
    as in Chainer, called for a parameter without an array or a gradient, too. There are no ChainerX arrays, so
    ``update_core_chainerx``, which old rules may define, is never called.

    Attributes:
        enabled: ``update`` does nothing if False.
        hyperparam: this parameter's own values, above those of the optimizer.
        t: number of updates so far.
        state: dict of arrays and numbers; None before the first update.
    """

    depends_on_t = False  #: whether ``update_core`` uses ``t``
    is_elementwise = False  #: whether every array of the state has the shape of the parameter

    _use_fp32_update = False
    _fp32_param: Parameter | None = None

    def __init__(self, parent_hyperparam: Hyperparameter | None = None) -> None:
        self.enabled = True
        self.hyperparam: Any = Hyperparameter(parent_hyperparam)
        self.t = 0
        self._state: dict[str, Any] | None = None
        self._hooks = _Hooks()

    state = shown("_state", "Arrays and numbers that pass from one update to the next; None before the first.")

    def add_hook(self, hook: Callable, name: str | None = None, timing: str = "auto") -> None:
        """Call ``hook(rule, param)`` before (``"pre"``) or after (``"post"``) each update of this parameter.

        The gradient contains no loss scale any more.
        """
        self._hooks.add(hook, name, timing)

    def remove_hook(self, name: str) -> None:
        """Remove a hook by its name."""
        self._hooks.remove(name)

    def update(self, param: Parameter) -> None:
        """Make one step, hooks included."""
        if cuda_graph.is_capturing():
            self._join_graph()
        if not self.enabled:
            return
        cuda_graph.host(self._count)
        if self._use_fp32_update:
            made_of = param.initializer if param.array is None else param.array
            if getattr(made_of, "dtype", None) == np.float16:
                return self._update_in_float32(param)
        self._update(param)

    def _count(self) -> None:
        self.t += 1

    def _join_graph(self) -> None:
        """The rates are part of a captured step: when they change, it is captured anew."""
        if self.depends_on_t and self.enabled:
            raise cuda_graph.CaptureError(
                f"cuda_graph: a step of {type(self).__name__} depends on how many there were, a number that would be "
                "part of the graph; only minigan's own rules count on the GPU, for parameters without hooks of their "
                "own, if arrays are contiguous and kernels not turned off"
            )
        settings = self.enabled, self.hyperparam.get_dict()
        cuda_graph.host(_nothing, lambda: settings == (self.enabled, self.hyperparam.get_dict()))

    def use_fp32_update(self, flag: bool = True) -> None:
        """Let a float16 parameter be the rounded copy of a float32 one, which takes the steps, and holds the state."""
        self._use_fp32_update = flag
        if not flag:
            self._fp32_param = None

    def _update_in_float32(self, param: Parameter) -> None:
        if param.array is None:
            return self._update(Parameter(NaN(np.float32), name=param.name))
        precise = self._precise(param)
        precise.grad = None if param.grad is None else param.grad.astype(np.float32)
        precise._loss_scale = param._loss_scale
        self._update(precise)
        copyto(param.array, precise.array)
        precise.cleargrad()

    def _precise(self, param: Parameter) -> Parameter:
        """The float32 parameter whose rounded copy ``param`` is."""
        if self._fp32_param is None:
            self._fp32_param = Parameter(param.array.astype(np.float32), name=param.name)
        self._fp32_param.to_device(param.device)
        return self._fp32_param

    def _update(self, param: Parameter) -> None:
        if param.array is not None:
            self._prepare_state(param)
        if param._loss_scale is not None and param.grad is not None:
            param.grad = param.xp.asarray(param.grad * (1.0 / param._loss_scale), param.dtype)
            param._loss_scale = None
        for hook in self._hooks.pre.values():
            hook(self, param)
        self.update_core(param)
        for hook in self._hooks.post.values():
            hook(self, param)

    def _prepare_state(self, param: Parameter) -> None:
        if self._state is None:
            self._state = {}
            with param.device:
                self.init_state(param)
            return
        on_cpu = type(param.array) is np.ndarray
        for key, value in self._state.items():  # the parameter may have moved, or the state may come from a file
            if not (on_cpu and isinstance(value, np.ndarray)) and is_array(value):
                self._state[key] = param.device.send(value)

    def update_core(self, param: Parameter) -> None:
        """Change ``param.array``. By default goes to ``update_core_cpu`` or ``update_core_gpu``."""
        if param.xp is np:
            self.update_core_cpu(param)
        else:
            self.update_core_gpu(param)

    def update_core_cpu(self, param: Parameter) -> None:
        """Change a NumPy array."""
        raise NotImplementedError(f"{type(self).__name__}: neither update_core nor update_core_cpu is defined")

    def update_core_gpu(self, param: Parameter) -> None:
        """Change a CuPy array."""
        raise NotImplementedError(f"{type(self).__name__}: neither update_core nor update_core_gpu is defined")

    def update_core_chainerx(self, param: Parameter) -> None:
        """Change a ChainerX array: there are none."""
        raise NotImplementedError("UpdateRule.update_core_chainerx: there are no ChainerX arrays; call update_core")

    def init_state(self, param: Parameter) -> None:
        """Put the first values into ``self.state``; by default there are none."""

    def serialize(self, serializer: Any) -> None:
        """Save, or load, ``t`` and the state. A state that is not in the file begins at the next update.

        A part of a state is no state: ``KeyError``, unless the serializer passes over what is missing (it gives None)
        or the rule is not enabled.
        """
        self.t = serialize_count(serializer, "t", self.t)
        if self._state is not None:
            for key in self._state:
                self._state[key] = serializer(key, self._state[key])
        elif isinstance(serializer, Deserializer):
            self._state = self._load_state(serializer)
        if self._use_fp32_update:
            self._serialize_precise(serializer)

    def _load_state(self, serializer: Any) -> dict[str, Any] | None:
        self._state = {}
        self.init_state(Parameter(np.zeros((), np.float32)))  # to learn the names
        state, missing = {}, []
        for key in self._state:
            try:
                state[key] = serializer(key, None)
            except KeyError:
                missing.append(key)
        self._state = None
        if missing and state and self.enabled:
            raise KeyError(f"{type(self).__name__}: the file has a part of the state but not {', '.join(missing)}")
        missing += [key for key, value in state.items() if value is None]
        if not missing:
            return {key: value.copy() if is_array(value) else value for key, value in state.items()}
        if self.t > 0 and self.enabled:
            warnings.warn(
                f"{type(self).__name__}: the file has no {', '.join(missing)} for a parameter that was updated "
                f"{self.t} times; its state begins anew",
                stacklevel=2,
            )
        return None

    def _serialize_precise(self, serializer: Any) -> None:
        precise = None if self._fp32_param is None else self._fp32_param.array
        if isinstance(serializer, Deserializer):
            self._fp32_param = None  # a file of Chainer's has only the rounded copy; it is where the next step begins
            with suppress(KeyError):
                if (precise := serializer("fp32_param", None)) is not None:
                    self._fp32_param = Parameter(precise.astype(np.float32))
        elif precise is not None:
            serializer("fp32_param", precise)


class Optimizer:
    """Base of all optimizers: the link that is trained, counters, hooks and the file format.

    Attributes:
        target: the link given to ``setup``.
        t: number of steps so far.
        epoch: number of epochs so far, as counted by ``new_epoch``.
        use_auto_new_epoch: True if an updater counts the epochs.
        takes_empty_links: whether ``setup`` warns of a link without parameters, as Chainer's takes it, or refuses it.
            ``minigan.legacy`` sets it for scripts that were written for Chainer.
    """

    takes_empty_links = False

    target: Any = None
    t = 0
    epoch = 0
    use_auto_new_epoch = False

    _hooks: _Hooks | None = None
    _loss_scale: float | None = None
    _loss_scale_interval: int | None = None  # None: the scale is fixed
    _loss_scale_isnan = False
    _loss_scale_overflowed = False  # whether it ever was too large
    _use_fp32_update = False

    def setup(self: Self, link: Link) -> Self:
        """Train ``link`` from now on; counters and hooks start anew. Returns the optimizer.

        Raises ``TypeError`` for what is no link, ``ValueError`` for a link without parameters, which would stay as it
        is; one whose parameters wait for their shape has them.
        """
        if not isinstance(link, Link):
            raise TypeError(
                f"{type(self).__name__}.setup: the optimization target must be a link; got {type(link).__name__}"
            )
        if next(link.params(), None) is None:
            nothing = (
                f"{type(self).__name__}.setup: the {type(link).__name__} has no parameters to train; assign links and "
                "parameters inside `with self.init_scope():`, and call setup after that"
            )
            if not self.takes_empty_links:
                raise ValueError(nothing)
            warnings.warn(nothing, stacklevel=2)
        self.target = link
        self.t = 0
        self.epoch = 0
        self._hooks = _Hooks()
        return self

    def _check_set_up(self) -> _Hooks:
        if self._hooks is None:
            raise RuntimeError(f"{type(self).__name__}: there is nothing to train yet; call setup(link) first")
        return self._hooks

    def update(self, lossfun: Callable | None = None, *args: Any, **kwds: Any) -> None:
        """Make one step."""
        raise NotImplementedError(f"{type(self).__name__} does not define update")

    def new_epoch(self, auto: bool = False) -> None:
        """Count an epoch. ``auto`` is for updaters that do so themselves (``use_auto_new_epoch``)."""
        if auto != self.use_auto_new_epoch:
            raise RuntimeError(
                "Optimizer.new_epoch: epochs would be counted twice; the updater counts them: do not call new_epoch"
                if self.use_auto_new_epoch
                else "Optimizer.new_epoch: got auto=True; an updater that counts must set use_auto_new_epoch = True"
            )
        self.epoch += 1

    # Hooks

    def add_hook(self, hook: Callable, name: str | None = None, timing: str = "auto") -> None:
        """Call ``hook(optimizer)`` at every step, before (``"pre"``) or after (``"post"``) the parameters move.

        A hook whose ``call_for_each_param`` is True is called as ``hook(param.update_rule, param)`` for each
        parameter instead. ``name`` is the hook's own by default; ``"auto"`` is the hook's own ``timing``. Gradients
        that are scaled up against underflow (``param._loss_scale`` is not None) are so still.
        """
        self._check_set_up().add(hook, name, timing)

    def remove_hook(self, name: str) -> None:
        """Remove a hook by its name."""
        self._check_set_up().remove(name)

    def call_hooks(self, timing: str = "pre") -> None:
        """Call the hooks of that timing, ``"pre"`` or ``"post"``."""
        hooks = self._check_set_up()
        if timing not in ("pre", "post"):
            raise ValueError(f"call_hooks: timing is {timing!r} but must be 'pre' or 'post'")
        for hook in (hooks.pre if timing == "pre" else hooks.post).values():
            self.call_hook(hook)

    def call_hook(self, hook: Callable) -> None:
        """Call one hook, once or for each parameter."""
        if getattr(hook, "call_for_each_param", False):
            optimizer_hooks.call_for_each(hook, self.target.params())
        else:
            hook(self)

    # Loss scaling, against gradients too small for float16

    def set_loss_scale(self, loss_scale: float) -> None:
        """Multiply the loss by a fixed factor before ``backward``; each rule divides its gradient by it.

        With ``use_fp32_update`` it divides in float32, so that nothing is lost.
        """
        self.loss_scaling(scale=loss_scale)

    def loss_scaling(self, interval: int = 1000, scale: float | None = None) -> None:
        """Choose the factor for the loss while training.

        It starts at 1 and doubles at every step until a gradient is not finite. Then it is halved, and the step leaves
        the parameters alone; from there on it doubles in ``interval`` steps. With ``scale`` the factor is fixed.
        """
        if interval < 1:
            raise ValueError(f"loss_scaling: interval is {interval} but must be 1 or more")
        if scale is not None and scale <= 0:
            raise ValueError(f"loss_scaling: scale is {scale} but must be above 0")
        self._loss_scale = 1.0 if scale is None else scale
        self._loss_scale_interval = interval if scale is None else None
        self._loss_scale_isnan = self._loss_scale_overflowed = False

    def check_nan_in_grads(self) -> None:
        """Note whether a gradient is not finite; see ``is_safe_to_update``."""
        self._loss_scale_isnan = False
        if optimizer_hooks.known_finite([param.grad for param in self.target.params() if param.grad is not None]):
            return
        for path, param in self.target.namedparams():
            if param.grad is not None and not bool(param.xp.isfinite(param.grad).all()):
                self._loss_scale_isnan = self._loss_scale_overflowed = True
                warnings.warn(
                    f"the gradient of {path} is not finite (iteration: {self.t}, loss_scale: {self._loss_scale})",
                    stacklevel=2,
                )

    def is_safe_to_update(self) -> bool:
        """Whether the last ``check_nan_in_grads`` found finite gradients."""
        return not self._loss_scale_isnan

    def update_loss_scale(self) -> None:
        """Move the factor after a step."""
        if self._loss_scale is not None and self._loss_scale_interval is not None:
            steps = self._loss_scale_interval if self._loss_scale_overflowed else 1
            factor = 0.5 if self._loss_scale_isnan else 2.0 ** (1.0 / steps)
            self._loss_scale = min(max(self._loss_scale * factor, 1.0), _LARGEST_LOSS_SCALE)

    # Files

    def serialize(self, serializer: Any) -> None:
        """Save, or load, ``t``, ``epoch`` and each rule under its parameter's path. Hyperparameters are not saved.

        A loss scale that moves is saved, which Chainer does not: the next step depends on it.
        """
        self._check_set_up()
        self.t = serialize_count(serializer, "t", self.t)
        self.epoch = serialize_count(serializer, "epoch", self.epoch)
        if self._loss_scale_interval is not None:
            with suppress(KeyError):  # a file of Chainer's
                self._loss_scale = serializer("loss_scale", self._loss_scale)
                self._loss_scale_overflowed = serializer("loss_scale_overflowed", self._loss_scale_overflowed)
        for path, param in self.target.namedparams():
            rule = param.update_rule
            if rule is None:
                continue
            rule.serialize(serializer[path])
            if param.is_initialized:
                self._check_states(path, param, rule)

    def _check_states(self, path: str, param: Parameter, rule: UpdateRule) -> None:
        """Refuse a state of another shape than its parameter: it would be broadcast without a word, or fail later."""
        states = dict(rule.state or {}) if rule.is_elementwise else {}
        if isinstance(precise := getattr(rule, "_fp32_param", None), Parameter):
            states["fp32_param"] = precise.array
        for key, value in states.items():
            shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
            if shape != param.shape or getattr(dtype, "kind", None) != param.dtype.kind:
                raise ValueError(
                    f"{type(self).__name__}: {key} of {path} has shape {shape} in the file ({dtype}) but the "
                    f"parameter has shape {param.shape} ({param.dtype}); load into the model that was saved"
                )


class GradientMethod(Optimizer):
    """Base of the optimizers that move every parameter by a rule of its own.

    A subclass defines ``create_update_rule()``.
    """

    _use_cleargrads = True

    def __init__(self) -> None:
        self.hyperparam: Any = Hyperparameter()

    def setup(self: Self, link: Link) -> Self:
        """Train ``link`` from now on: every parameter gets a new update rule. Returns the optimizer."""
        super().setup(link)
        for param in link.params():
            rule = param.update_rule = self.create_update_rule()  # type: ignore[attr-defined]
            if self._use_fp32_update:
                rule.use_fp32_update()
        return self

    def use_fp32_update(self, flag: bool = True) -> None:
        """Let float16 parameters take their steps in float32; see `UpdateRule.use_fp32_update`."""
        self._use_fp32_update = flag
        for param in self.target.params() if self.target is not None else ():
            if param.update_rule is not None:
                param.update_rule.use_fp32_update(flag)

    def create_update_rule(self) -> UpdateRule:
        """Make the rule of one parameter."""
        raise NotImplementedError(f"{type(self).__name__} does not define create_update_rule")

    def use_cleargrads(self, use: bool = True) -> None:
        """Whether ``update(lossfun)`` clears the gradients (the default) or sets them to zero."""
        self._use_cleargrads = use

    def reallocate_cleared_grads(self) -> None:
        """Give zeros to the parameters that have no gradient."""
        for param in self.target.params(False):
            if param.grad is None:
                param._zerograd()

    def call_hook(self, hook: Callable) -> None:
        """Call one hook, once or for each parameter; gradients that it clears become zeros for the next one."""
        super().call_hook(hook)
        self.reallocate_cleared_grads()

    def update(self, lossfun: Callable | None = None, *args: Any, **kwds: Any) -> None:
        """Make one step along the gradients.

        With ``lossfun`` the gradients are computed first, those of ``lossfun(*args, **kwds)``. A parameter that has
        none counts as having zeros.
        """
        self._check_set_up()
        if lossfun is not None:
            loss = lossfun(*args, **kwds)
            if not hasattr(loss, "backward"):
                raise TypeError(
                    f"{type(self).__name__}.update: lossfun returned {type(loss).__name__}; wanted the loss as a "
                    "Variable; check its return statement"
                )
            if self._use_cleargrads:
                self.target.cleargrads()
            else:
                self.target.zerograds()
            loss.backward(loss_scale=self._loss_scale)
            del loss
        if cuda_graph.is_capturing():
            self._join_graph()
        params = list(self.target.params())  # once: the walk through a small net takes longer than its step
        with params[0].device if params else nullcontext():  # of several GPUs
            if any([param.grad is None for param in params]):
                self.reallocate_cleared_grads()
            if self._loss_scale_interval is not None:
                self.check_nan_in_grads()
            self.call_hooks("pre")
            cuda_graph.host(self._count)
            if self.is_safe_to_update():
                self._move(params)
            if any([param.grad is None for param in params]):
                self.reallocate_cleared_grads()
            self.call_hooks("post")
            self.update_loss_scale()

    def _join_graph(self) -> None:
        """The loss scale is part of a captured step: when another is set, it is captured anew."""
        if self._loss_scale_interval is not None:
            raise cuda_graph.CaptureError(
                "cuda_graph: a moving loss scale depends on whether the gradients are finite, which a captured step "
                "cannot read; fix it: loss_scaling(scale=...)"
            )
        scale = self._loss_scale
        cuda_graph.host(_nothing, lambda: scale == self._loss_scale)

    def _count(self) -> None:
        self.t += 1

    def _move(self, params: list[Parameter]) -> None:
        for param in params:
            param.update()


def _nothing() -> None:
    pass


def _old_hook(hook: type) -> type:
    """The hook under the path that old scripts import it from, which warns when it is used."""

    def warn_and_make(self: Any, *args: Any, **kwargs: Any) -> None:
        warnings.warn(f"optimizer.{hook.__name__}: take it from optimizer_hooks", DeprecationWarning, stacklevel=2)
        hook.__init__(self, *args, **kwargs)  # type: ignore[misc]

    return type(hook.__name__, (hook,), {"__init__": warn_and_make, "__doc__": hook.__doc__})


GradientClipping = _old_hook(optimizer_hooks.GradientClipping)
GradientHardClipping = _old_hook(optimizer_hooks.GradientHardClipping)
GradientNoise = _old_hook(optimizer_hooks.GradientNoise)
Lasso = _old_hook(optimizer_hooks.Lasso)
WeightDecay = _old_hook(optimizer_hooks.WeightDecay)
