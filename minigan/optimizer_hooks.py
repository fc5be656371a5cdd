"""Hooks that change gradients before the optimizer uses them: ``optimizer.add_hook(WeightDecay(1e-4))``.

On a GPU most do so for all parameters in one launch, and nothing is read back, so that a captured step can have them.
They put a new gradient in place of the old one. Changing it in place would be wrong where two parameters share one
array as their gradient, as the two terms of a sum do. A gradient may be scaled up against underflow, by the factor
``param._loss_scale``; then a hook works in that unit, too, so that it does the same with and without.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from minigan import cuda_graph
from minigan.backend import get_device_from_array
from minigan.core import Parameter
from minigan.kernels.launch import contiguous
from minigan.kernels.optimizers import Step, all_finite, movable


def move_together(
    steps: dict[Any, Step], rule: str, rows: Iterable[Sequence[Any]], hyper: Callable[[], tuple[float, ...]]
) -> list[Sequence[Any]]:
    """Move arrays on a GPU by a kernel, those of one device and dtype in one launch; returns the rows that it refuses.

    steps: what the caller keeps for this rule, at first empty; rows: what `Step` takes; hyper: gives what
    `Step.prepare` takes, and is asked again at each launch of a captured step.
    """
    groups: dict[Any, list[Sequence[Any]]] = {}
    for row in rows:
        groups.setdefault((get_device_from_array(row[0]), row[0].dtype) if movable(*row) else None, []).append(row)
    refused = groups.pop(None, [])
    for key, group in groups.items():
        with key[0]:
            step = steps[key] = steps.get(key) or Step(rule, key[0].xp)
            cuda_graph.host(partial(_prepare, step, hyper))
            step(group)
    return refused


def _prepare(step: Step, hyper: Callable[[], tuple[float, ...]]) -> None:
    step.prepare(hyper())


def known_finite(gradients: Sequence[Any]) -> bool:
    """Whether all gradients are finite, if they are on one GPU and of one dtype, so that it can be asked at once."""
    groups = {(get_device_from_array(g), g.dtype) for g in gradients}
    return len(groups) == 1 and all(movable(g, g) for g in gradients) and bool(all_finite(gradients))


def _give_gradients(hook: Any, params: Iterable[Parameter]) -> list[Parameter]:
    """Give new gradients by the hook's kernel, for parameters on a GPU; returns those that it does not take."""
    others: list[Parameter] = []
    taken: dict[float, list[tuple[Parameter, list[Any]]]] = {}
    for param in params:
        p, g = param.array, param.grad
        if p is None or g is None or isinstance(p, np.ndarray) or not movable(p, g := contiguous(g)):
            others.append(param)
        else:
            row = [param.xp.empty_like(g), g, p][: hook.arrays]
            taken.setdefault(_unit(param), []).append((param, row))
    for unit, rows in taken.items():
        steps = vars(hook).setdefault("_steps", {}).setdefault(unit, {})
        move_together(steps, hook.kernel, [row for _, row in rows], partial(hook.rates, unit))
        for param, row in rows:
            param.grad = row[0]
    return others


def call_for_each(hook: Callable, params: Iterable[Parameter]) -> None:
    """Call a hook for each parameter; on a GPU one that has a kernel gives all their gradients at once."""
    if "kernel" in vars(type(hook)):  # said by the class itself: a subclass may do otherwise
        params = _give_gradients(hook, params)
    for param in params:
        hook(param.update_rule, param)


def _unit(param: Parameter) -> float:
    return 1.0 if param._loss_scale is None else param._loss_scale


class _ForEach:
    """A hook that is called for each parameter that has an array and a gradient, and gives it a new gradient."""

    call_for_each_param = True
    timing = "pre"

    def __call__(self, rule: Any, param: Parameter) -> None:
        if param.array is not None and param.grad is not None:
            param.grad = param.xp.asarray(self._gradient(rule, param), param.dtype)

    def _gradient(self, rule: Any, param: Parameter) -> Any:
        raise NotImplementedError


class WeightDecay(_ForEach):
    """Adds ``rate * p`` to the gradient of every parameter p: the gradient of ``rate / 2 * sum(p**2)``."""

    name = "WeightDecay"
    kernel, arrays = "weight_decay", 3  # new gradient, gradient, parameter

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def rates(self, unit: float) -> tuple[float, ...]:
        """What the kernel takes, for gradients scaled up by ``unit``."""
        return 1.0, float(self.rate) * unit

    def _gradient(self, rule: Any, param: Parameter) -> Any:
        gradient = param.array * (float(self.rate) * _unit(param))
        gradient += param.grad
        return gradient


class Lasso(_ForEach):
    """Adds ``rate * sign(p)`` to the gradient of every parameter p: the gradient of ``rate * sum(abs(p))``."""

    name = "Lasso"
    kernel, arrays = "lasso", 3

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def rates(self, unit: float) -> tuple[float, ...]:
        """What the kernel takes."""
        return 1.0, float(self.rate) * unit

    def _gradient(self, rule: Any, param: Parameter) -> Any:
        return param.grad + float(self.rate) * _unit(param) * param.xp.sign(param.array)


class GradientHardClipping(_ForEach):
    """Clips every element of every gradient to ``[lower_bound, upper_bound]``."""

    name = "GradientHardClipping"
    kernel, arrays = "clip", 2

    def __init__(self, lower_bound: float, upper_bound: float) -> None:
        self.lower_bound = lower_bound
        self.upper_bound = upper_bound

    def rates(self, unit: float) -> tuple[float, ...]:
        """What the kernel takes."""
        return 1.0, float(self.lower_bound) * unit, float(self.upper_bound) * unit

    def _gradient(self, rule: Any, param: Parameter) -> Any:
        return param.xp.clip(param.grad, self.lower_bound * _unit(param), self.upper_bound * _unit(param))


def exponential_decay_noise(xp: Any, shape: Any, dtype: Any, hook: Any, opt: Any) -> Any:
    """Normal noise of variance ``eta / (1 + t)**0.55``, t the number of steps so far (Neelakantan et al., 2015)."""
    return xp.random.normal(0, math.sqrt(hook.eta / (1 + opt.t) ** 0.55), shape).astype(dtype)


class GradientNoise(_ForEach):
    """Adds ``noise_func(xp, shape, dtype, hook, update_rule)`` to every gradient; it finds ``eta`` in the hook."""

    name = "GradientNoise"

    def __init__(self, eta: float, noise_func: Callable = exponential_decay_noise) -> None:
        self.eta = eta
        self.noise_func = noise_func

    def _gradient(self, rule: Any, param: Parameter) -> Any:
        noise = self.noise_func(param.xp, param.shape, param.dtype, self, rule)
        return param.grad + (noise if param._loss_scale is None else noise * param._loss_scale)


class GradientLARS(_ForEach):
    """Scales a gradient, weight decay included, by ``norm(p) / (norm(g) + weight_decay * norm(p) + eps)``.

    That is the layer-wise rate of You et al. (2017); it is 1 for a parameter whose norm is at most ``threshold``.
    """

    name = "GradientLARS"
    kernel, arrays = "lars", 3

    def __init__(self, threshold: float = 1e-2, weight_decay: float = 0.0, eps: float = 1e-9) -> None:
        self.threshold = threshold
        self.weight_decay = weight_decay
        self.eps = eps

    def rates(self, unit: float) -> tuple[float, ...]:
        """What the kernel takes."""
        return 1.0, float(self.threshold), float(self.weight_decay), float(self.eps), 1.0 / unit

    def _gradient(self, rule: Any, param: Parameter) -> Any:
        norm, of_gradient = (float(param.xp.sqrt(_sum_of_squares(array))) for array in (param.array, param.grad))
        decay = self.weight_decay
        rate = norm / (self.eps + of_gradient / _unit(param) + decay * norm) if norm > self.threshold else 1.0
        return rate * (param.grad + float(decay) * _unit(param) * param.array)


class GradientClipping:
    """Scales all gradients by one factor where their norm, taken together, is above ``threshold``."""

    name = "GradientClipping"
    call_for_each_param = False
    timing = "pre"
    kernel, arrays = "clip_norm", 2

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def rates(self, unit: float) -> tuple[float, ...]:
        """What the kernel takes."""
        return 1.0, float(self.threshold) * unit

    def __call__(self, optimizer: Any) -> None:
        params = [param for param in optimizer.target.params(False) if param.grad is not None]
        on_gpu = bool(params) and params[0].xp is not np
        if on_gpu and len({(param.device, param.dtype, _unit(param)) for param in params}) == 1:
            if all(movable(param.array, param.grad) for param in params):
                _give_gradients(self, params)
                return
        squares = (_sum_of_squares(param.grad) / _unit(param) ** 2 for param in params)
        factor: Any
        if on_gpu and len({param.device for param in params}) == 1:
            xp, norm = params[0].xp, sum(squares) ** 0.5  # they stay on the GPU: nobody waits, a graph can hold it
            factor = xp.where(norm > self.threshold, self.threshold / norm, 1.0)
        else:
            total = math.sqrt(sum(map(float, squares)))
            if not total > self.threshold:
                return
            factor = float(self.threshold) / total
        for param in params:
            param.grad = param.xp.asarray(param.grad * factor, param.dtype)


def _sum_of_squares(array: Any) -> Any:
    flat = array.ravel(order="K").astype(np.promote_types(array.dtype, np.float32), copy=False)
    return flat.dot(flat) if isinstance(flat, np.ndarray) else (flat * flat).sum()
