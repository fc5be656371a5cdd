"""The optimizers: each is a set of hyperparameters and a rule of a few lines, written as in its paper.

In the formulas ``p`` is a parameter, ``g`` its gradient and ``t`` the number of the step, from 1; what else there is
starts at 0 and is kept for each element. The order of the operations is Chainer's, so that old runs find their numbers
again, bit for bit. The rules that networks are trained with every day (RMSprop, Adam) work in place with a scratch
array: ``p -= lr * m / (sqrt(v) + eps)`` would make four new arrays the size of the parameter, and fresh memory costs
as much as the arithmetic. The others are written as formulas. On a GPU the rules of kernels/optimizers.cu move all
parameters in one launch. An optimizer's hyperparameters are the arguments of its ``__init__``; each is an attribute as
well, and belongs to every rule that the optimizer makes.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import numpy as np

from minigan import cuda_graph
from minigan.backend import get_array_module
from minigan.core import Parameter
from minigan.kernels import compiled
from minigan.kernels.launch import available_for, contiguous
from minigan.kernels.optimizers import Step, movable
from minigan.kernels.parallel import piecewise
from minigan.kernels.workspace import borrow
from minigan.optimizer import GradientMethod, Hyperparameter, HyperparameterProxy, UpdateRule
from minigan.optimizer_hooks import move_together


def _wide(array: Any) -> Any:
    # float16 has no room for an eps of 1e-8; a float32 result is rounded once, when it is added to the parameter
    return array.astype(np.promote_types(array.dtype, np.float32), copy=False)


def _scratch(array: Any) -> Any:
    # the same memory for every parameter: it is warm, and fresh memory would cost a tenth of the step
    return borrow(get_array_module(array), "step", array.shape, np.promote_types(array.dtype, np.float32))


class _Rule(UpdateRule):
    """A rule whose state is arrays of zeros in the shape of the parameter.

    Args:
        parent_hyperparam: the optimizer's values; by default those of an optimizer made without arguments.
        own, named: values of this rule alone, in the order of the optimizer's arguments or by name; None is the
            parent's.
    """

    is_elementwise = True
    states: ClassVar[tuple[str, ...]] = ()
    start = 0.0  #: what the first array of the state is filled with
    #: The rule's name in ``minigan.kernels.optimizers``, said by the class itself: a subclass may step otherwise.
    kernel: ClassVar[str] = ""
    _defaults: ClassVar[Hyperparameter]
    _arguments: ClassVar[inspect.Signature]

    def __init__(self, parent_hyperparam: Hyperparameter | None = None, *own: Any, **named: Any) -> None:
        super().__init__(parent_hyperparam or self._defaults)
        for name, value in self._arguments.bind_partial(*own, **named).arguments.items():
            if value is not None:
                setattr(self.hyperparam, name, value)

    def init_state(self, param: Parameter) -> None:
        for key in self.states:
            self.state[key] = param.xp.zeros_like(param.array)
        if self.start:
            self.state[self.states[0]].fill(self.start)

    def update_core(self, param: Parameter) -> None:
        """Move a parameter that has an array and a gradient."""
        if param.array is not None and param.grad is not None:
            super().update_core(param)

    def update_core_gpu(self, param: Parameter) -> None:
        """Change a CuPy array, by the same lines: they are written for both."""
        self.update_core_cpu(param)

    def rates(self) -> tuple[float, ...]:
        """The numbers that the kernel takes."""
        raise NotImplementedError

    def row(self, param: Parameter) -> list[Any] | None:
        """The arrays that the kernel takes; None where ``update`` would do something else, or there is no kernel."""
        if "kernel" not in vars(type(self)) or not self.enabled or self._hooks.pre or self._hooks.post:
            return None
        p, g = param.array, param.grad
        if p is None or g is None or not available_for(p, g, halves=True):
            return None
        g, copy = contiguous(g), [p] if self.has_precise(param) else []
        if copy:
            param = self._precise(param)
        for _ in range(2):
            row = [param.array, g, *(self._state or {}).values(), *copy]
            if self._state is not None and movable(*row):
                return row
            self._prepare_state(param)  # it is elsewhere: on another device, in a file, or nowhere yet
        return None

    def has_precise(self, param: Parameter) -> bool:
        """Whether the parameter is the rounded copy of one in float32."""
        return self._use_fp32_update and param.dtype == np.float16


class _Method(GradientMethod):
    """An optimizer of one rule; a subclass names the rule and defines ``__init__`` with its hyperparameters."""

    rule: ClassVar[type[_Rule]]

    def __init_subclass__(cls) -> None:
        if "rule" in vars(cls):
            cls.rule._defaults = Hyperparameter()
            cls.rule._arguments = inspect.signature(cls)
            for name, argument in cls.rule._arguments.parameters.items():
                setattr(cls, name, HyperparameterProxy(name))
                setattr(cls.rule._defaults, name, argument.default)

    def __init__(self, **hyperparam: Any) -> None:
        super().__init__()
        vars(self.hyperparam).update(hyperparam)
        self._steps: dict[tuple, Step] = {}  # what moves groups of parameters on a GPU
        self._scales: dict[int, dict] = {}  # what takes loss scales out of gradients there

    def create_update_rule(self) -> UpdateRule:
        return self.rule(self.hyperparam)

    def _move(self, params: list[Parameter]) -> None:
        """On a GPU, move what has the same rates by one launch; what is left moves by itself."""
        if not params or params[0].xp is np:
            return super()._move(params)
        alone: list[Parameter] = []
        groups: dict[tuple, list[tuple[Any, list[Any]]]] = {}
        scaled: dict[float, list[tuple[Any, Any]]] = {}
        for param in params:
            rule: Any = param.update_rule
            row = rule.row(param) if type(rule) is self.rule else None
            if row is None:
                alone.append(param)
                continue
            factor = 1.0
            if param._loss_scale is not None:
                factor = 1.0 / param._loss_scale
                if not rule.has_precise(param):  # the gradient is seen without it from now on
                    scale = param.xp.empty_like(row[1]), row[1]
                    scaled.setdefault(float(param.dtype.type(factor)), []).append(scale)
                    factor, param._loss_scale, param.grad, row[1] = 1.0, None, scale[0], scale[0]
            key = param.device, factor, row[0].dtype, row[1].dtype, len(row), rule.rates()
            groups.setdefault(key, []).append((rule, row))
        super()._move(alone)
        for number, (factor, rows) in enumerate(scaled.items()):
            move_together(self._scales.setdefault(number, {}), "scale", rows, partial(tuple, (1.0, factor)))
        for number, ((device, factor, *kind, _), group) in enumerate(groups.items()):
            with device:
                key = device, number, *kind
                step = self._steps.get(key) or Step(self.rule.kernel, device.xp)
                self._steps[key] = step
                rules = [rule for rule, _ in group]
                fits = _alike(rules) if cuda_graph.is_capturing() else None
                cuda_graph.host(partial(_begin, step, factor, rules), fits)
                step([row for _, row in group])


def _begin(step: Step, factor: float, rules: list[Any]) -> None:
    """What the host does for a step of parameters that move together."""
    step.prepare((factor, *rules[0].rates()))
    for rule in rules:
        rule.t += 1


def _alike(rules: list[Any]) -> Callable[[], bool]:
    """Whether parameters that move together will do so still, so that a captured step holds; asked at every launch."""
    first, own = rules[0], [dict(vars(rule.hyperparam)) for rule in rules]
    if any(values["_parent"] is not own[0]["_parent"] or values.keys() != own[0].keys() for values in own):
        return lambda: False  # equal by chance

    def fits() -> bool:
        t = first.t
        return all(r.enabled and r.t == t and vars(r.hyperparam) == values for r, values in zip(rules, own))

    return fits


class SGDRule(_Rule):
    """The rule of `SGD`."""

    kernel = "sgd"

    def rates(self) -> tuple[float, ...]:
        return (float(self.hyperparam.lr),)

    def update_core_cpu(self, param: Parameter) -> None:
        p = param.array
        p -= float(self.hyperparam.lr) * param.grad


class SGD(_Method):
    """Plain (stochastic) gradient descent: ``p -= lr * g`` (Robbins and Monro, 1951)."""

    rule = SGDRule

    def __init__(self, lr: float = 0.01) -> None:
        super().__init__(lr=lr)


class MomentumSGDRule(_Rule):
    """The rule of `MomentumSGD`."""

    states = ("v",)
    kernel = "momentum_sgd"

    def rates(self) -> tuple[float, ...]:
        return float(self.hyperparam.lr), float(self.hyperparam.momentum)

    def update_core_cpu(self, param: Parameter) -> None:
        p, v = param.array, self.state["v"]
        v *= float(self.hyperparam.momentum)
        v -= float(self.hyperparam.lr) * param.grad
        p += v


class MomentumSGD(_Method):
    """Gradient descent with momentum: ``v = momentum * v - lr * g; p += v``.

    Polyak, Some methods of speeding up the convergence of iteration methods, 1964, as written by Sutskever et al., On
    the importance of initialization and momentum, 2013, equations 1 and 2.
    """

    rule = MomentumSGDRule

    def __init__(self, lr: float = 0.01, momentum: float = 0.9) -> None:
        super().__init__(lr=lr, momentum=momentum)


class CorrectedMomentumSGDRule(_Rule):
    """The rule of `CorrectedMomentumSGD`."""

    states = ("v",)
    kernel = "corrected_momentum_sgd"

    def rates(self) -> tuple[float, ...]:
        return float(self.hyperparam.lr), float(self.hyperparam.momentum)

    def update_core_cpu(self, param: Parameter) -> None:
        v = self.state["v"]
        v *= float(self.hyperparam.momentum)
        v -= param.grad
        param.array[...] += float(self.hyperparam.lr) * v


class CorrectedMomentumSGD(_Method):
    """Momentum whose velocity does not contain the learning rate, so that a change of the rate acts at once.

    ``v = momentum * v - g; p += lr * v``: Goyal et al., Accurate, large minibatch SGD, 2017, equation 9.
    """

    rule = CorrectedMomentumSGDRule

    def __init__(self, lr: float = 0.01, momentum: float = 0.9) -> None:
        super().__init__(lr=lr, momentum=momentum)


class NesterovAGRule(_Rule):
    """The rule of `NesterovAG`."""

    states = ("v",)
    kernel = "nesterov_ag"

    def rates(self) -> tuple[float, ...]:
        lr, momentum = float(self.hyperparam.lr), float(self.hyperparam.momentum)
        return lr, momentum, momentum * momentum, (1.0 + momentum) * lr

    def update_core_cpu(self, param: Parameter) -> None:
        p, g, v = param.array, param.grad, self.state["v"]
        lr, momentum = float(self.hyperparam.lr), float(self.hyperparam.momentum)
        v *= momentum
        v -= lr * g
        p += momentum * momentum * v
        p -= (1.0 + momentum) * lr * g


class NesterovAG(_Method):
    """Nesterov's accelerated gradient: ``v = momentum * v - lr * g; p += momentum**2 * v - (1 + momentum) * lr * g``.

    Bengio et al., Advances in optimizing recurrent networks, 2013, equation 7. The paper has the old v in the second
    formula; these are Chainer's numbers, which old runs must find again.
    """

    rule = NesterovAGRule

    def __init__(self, lr: float = 0.01, momentum: float = 0.9) -> None:
        super().__init__(lr=lr, momentum=momentum)


class AdaGradRule(_Rule):
    """The rule of `AdaGrad`."""

    states = ("h",)
    kernel = "adagrad"

    def rates(self) -> tuple[float, ...]:
        return float(self.hyperparam.lr), float(self.hyperparam.eps)

    def update_core_cpu(self, param: Parameter) -> None:
        g, h = _wide(param.grad), self.state["h"]
        h += g * g
        param.array[...] -= float(self.hyperparam.lr) * g / (param.xp.sqrt(_wide(h)) + float(self.hyperparam.eps))


class AdaGrad(_Method):
    """Steps divided by the root of the sum of all squared gradients: ``h += g**2; p -= lr * g / (sqrt(h) + eps)``.

    Duchi et al., Adaptive subgradient methods, 2011, figure 1 with diagonal matrices.
    """

    rule = AdaGradRule

    def __init__(self, lr: float = 0.001, eps: float = 1e-8) -> None:
        super().__init__(lr=lr, eps=eps)


class AdaDeltaRule(_Rule):
    """The rule of `AdaDelta`."""

    states = ("msg", "msdx")
    kernel = "adadelta"

    def rates(self) -> tuple[float, ...]:
        rho = float(self.hyperparam.rho)
        return rho, 1.0 - rho, float(self.hyperparam.eps)

    def update_core_cpu(self, param: Parameter) -> None:
        rho, eps = float(self.hyperparam.rho), float(self.hyperparam.eps)
        g, msg, msdx = _wide(param.grad), self.state["msg"], self.state["msdx"]
        msg[...] = rho * _wide(msg) + (1.0 - rho) * g * g
        dx = param.xp.sqrt((_wide(msdx) + eps) / (_wide(msg) + eps)) * g
        msdx[...] = rho * _wide(msdx) + (1.0 - rho) * dx * dx
        param.array[...] -= dx


class AdaDelta(_Method):
    """Steps in the unit of the parameter, without a learning rate: ``dx = sqrt((msdx + eps) / (msg + eps)) * g``.

    ``msg = rho * msg + (1 - rho) * g**2`` before and ``msdx = rho * msdx + (1 - rho) * dx**2`` after that; ``p -= dx``.
    Zeiler, ADADELTA, 2012, algorithm 1; the defaults are the paper's.
    """

    rule = AdaDeltaRule

    def __init__(self, rho: float = 0.95, eps: float = 1e-6) -> None:
        super().__init__(rho=rho, eps=eps)


class RMSpropRule(_Rule):
    """The rule of `RMSprop`."""

    states = ("ms",)
    kernel = "rmsprop"

    def rates(self) -> tuple[float, ...]:
        hp = self.hyperparam
        eps = (float(hp.eps), 0.0)
        return float(hp.lr), float(hp.alpha), 1.0 - float(hp.alpha), *(eps if hp.eps_inside_sqrt else eps[::-1])

    def update_core_cpu(self, param: Parameter) -> None:
        hp = self.hyperparam
        lr, alpha, eps, inside = float(hp.lr), float(hp.alpha), float(hp.eps), bool(hp.eps_inside_sqrt)
        xp, p, g, ms = param.xp, param.array, _wide(param.grad), self.state["ms"]
        s = xp.multiply(g, 1.0 - alpha, out=_scratch(p))
        s *= g
        ms *= alpha
        ms += s
        if inside:
            xp.add(ms, eps, out=s)
            xp.sqrt(s, out=s)
        else:
            xp.sqrt(ms, out=s)
            s += eps
        step = lr * g
        step /= s
        p -= step


class RMSprop(_Method):
    """Steps divided by a running root mean square of the gradient.

    ``ms = alpha * ms + (1 - alpha) * g**2; p -= lr * g / (sqrt(ms) + eps)``: Tieleman and Hinton, Neural networks for
    machine learning, 2012, lecture 6.5. ``eps_inside_sqrt`` puts ``eps`` under the root.
    """

    rule = RMSpropRule

    def __init__(self, lr: float = 0.01, alpha: float = 0.99, eps: float = 1e-8, eps_inside_sqrt: bool = False) -> None:
        super().__init__(lr=lr, alpha=alpha, eps=eps, eps_inside_sqrt=eps_inside_sqrt)


class RMSpropGravesRule(_Rule):
    """The rule of `RMSpropGraves`; the mean is called g in files."""

    states = ("n", "g", "delta")
    kernel = "rmsprop_graves"

    def rates(self) -> tuple[float, ...]:
        hp = self.hyperparam
        return float(hp.lr), float(hp.alpha), 1.0 - float(hp.alpha), float(hp.momentum), float(hp.eps)

    def update_core_cpu(self, param: Parameter) -> None:
        hp = self.hyperparam
        alpha, g = float(hp.alpha), _wide(param.grad)
        n, mean, delta = (self.state[key] for key in self.states)
        n[...] = alpha * _wide(n) + (1.0 - alpha) * g * g
        mean[...] = alpha * _wide(mean) + (1.0 - alpha) * g
        spread = param.xp.sqrt(_wide(n) - _wide(mean) ** 2 + float(hp.eps))
        delta[...] = float(hp.momentum) * _wide(delta) - float(hp.lr) * g / spread
        param.array[...] += delta


class RMSpropGraves(_Method):
    """RMSprop by the standard deviation of the gradient, with momentum.

    ``n = alpha * n + (1 - alpha) * g**2; mean = alpha * mean + (1 - alpha) * g``, and then
    ``delta = momentum * delta - lr * g / sqrt(n - mean**2 + eps); p += delta``: Graves, Generating sequences with
    recurrent neural networks, 2013, equations 38 to 45, where the defaults are.
    """

    rule = RMSpropGravesRule

    def __init__(self, lr: float = 1e-4, alpha: float = 0.95, momentum: float = 0.9, eps: float = 1e-4) -> None:
        super().__init__(lr=lr, alpha=alpha, momentum=momentum, eps=eps)


class SMORMS3Rule(_Rule):
    """The rule of `SMORMS3`; mean and square are called g and g2 in files."""

    states = ("mem", "g", "g2")
    start = 1.0
    kernel = "smorms3"

    def rates(self) -> tuple[float, ...]:
        return float(self.hyperparam.lr), float(self.hyperparam.eps)

    def update_core_cpu(self, param: Parameter) -> None:
        xp, g, lr, eps = param.xp, _wide(param.grad), float(self.hyperparam.lr), float(self.hyperparam.eps)
        mem, mean, square = (self.state[key] for key in self.states)
        r = 1.0 / (_wide(mem) + 1.0)
        mean[...] = (1.0 - r) * mean + r * g
        square[...] = (1.0 - r) * square + r * g * g
        x = _wide(mean) ** 2 / (_wide(square) + eps)
        param.array[...] -= g * xp.minimum(lr, x) / (xp.sqrt(_wide(square)) + eps)
        mem[...] = 1.0 + mem * (1.0 - x)


class SMORMS3(_Method):
    """Steps as large as the gradient is sure of its sign.

    ``r = 1 / (mem + 1); mean += r * (g - mean); square += r * (g**2 - square); x = mean**2 / (square + eps)``, and then
    ``p -= g * min(lr, x) / (sqrt(square) + eps); mem = 1 + mem * (1 - x)``, where mem starts at 1: Funk, RMSprop loses
    to SMORMS3, 2015, where the defaults are.
    """

    rule = SMORMS3Rule

    def __init__(self, lr: float = 0.001, eps: float = 1e-16) -> None:
        super().__init__(lr=lr, eps=eps)


def _most_rho(dtype: Any) -> float:
    return 0.9 if dtype == np.float16 else 0.9999  # it is 1 at the first step, where s is rounding alone


class MSVAGRule(_Rule):
    """The rule of `MSVAG`."""

    states = ("m", "v")
    depends_on_t = True
    kernel = "msvag"

    def rates(self) -> tuple[float, ...]:
        hp = self.hyperparam
        rates = tuple(float(rate) for rate in (hp.lr, hp.beta, hp.eta, hp.weight_decay_rate))
        return float(self.t), *rates, _most_rho(self.state["m"].dtype)

    def update_core_cpu(self, param: Parameter) -> None:
        hp, xp, g, p = self.hyperparam, param.xp, _wide(param.grad), param.array
        beta, lr, eta, decay = float(hp.beta), float(hp.lr), float(hp.eta), float(hp.weight_decay_rate)
        for key, value in (("m", g), ("v", g * g)):
            self.state[key] += (1.0 - beta) * (value - _wide(self.state[key]))
        power = beta**self.t
        m, v = (_wide(self.state[key]) / (1.0 - power) for key in self.states)
        rho = ((1.0 - beta) ** 2 * (1.0 - power**2)) / ((1.0 - beta**2) * (1.0 - power) ** 2)
        rho = min(rho, _most_rho(p.dtype))
        square = m * m
        total = xp.maximum(square, square + rho * ((v - square) / (1.0 - rho)))
        p -= eta * (lr * m * (square / xp.where(total > 0.0, total, 1.0)) + decay * p)


class MSVAG(_Method):
    """Momentum, each element damped by the variance of its own gradient.

    ``m += (1 - beta) * (g - m); v += (1 - beta) * (g**2 - v)``; both are divided by ``1 - beta**t``, and then
    ``s = (v - m**2) / (1 - rho); p -= eta * (lr * m * m**2 / (m**2 + rho * s) + weight_decay_rate * p)`` with the share
    of the variance that is left in m, ``rho = (1 - beta) * (1 + beta**t) / ((1 + beta) * (1 - beta**t))``: Balles and
    Hennig, Dissecting Adam, 2018, the method M-SVAG.
    """

    rule = MSVAGRule

    def __init__(self, lr: float = 0.1, beta: float = 0.9, eta: float = 1.0, weight_decay_rate: float = 0) -> None:
        super().__init__(lr=lr, beta=beta, eta=eta, weight_decay_rate=weight_decay_rate)


def _adam_rate(hp: dict[str, Any], t: int) -> float:
    """``alpha * sqrt(1 - beta2**t) / (1 - beta1**t)``: the corrections of both means in one factor (section 2)."""
    if t == 0:
        raise RuntimeError("Adam: the learning rate depends on the step, and there was none yet; call update first")
    return float(hp["alpha"] * math.sqrt(1.0 - hp["beta2"] ** t) / (1.0 - hp["beta1"] ** t))


class AdamRule(_Rule):
    """The rule of `Adam` and of all that are derived from it."""

    kernel = "adam"
    depends_on_t = True

    def __init__(self, parent_hyperparam: Hyperparameter | None = None, *own: Any, **named: Any) -> None:
        super().__init__(parent_hyperparam, *own, **named)
        if self.hyperparam.adabound:
            self.initial_alpha = self.hyperparam.alpha  # the bounds follow later changes of alpha

    def init_state(self, param: Parameter) -> None:
        for key in ("m", "v", "vhat") if self.hyperparam.amsgrad else ("m", "v"):
            self.state[key] = param.xp.zeros_like(param.array)

    def rates(self) -> tuple[float, ...]:
        hp = self.hyperparam.get_dict()
        names = "alpha", "beta1", "beta2", "eps", "eta", "weight_decay_rate"
        bounds = (self._final(hp), float(hp["gamma"])) if hp["adabound"] else (0.0, 0.0)
        return float(self.t), *(float(hp[name]) for name in names), *bounds

    def _final(self, hp: dict[str, Any]) -> float:
        """Where the bounds meet."""
        return float(hp["final_lr"] * hp["alpha"] / self.initial_alpha)

    @property
    def alpha_t(self) -> float:
        """The rate of the present step, both means corrected for their start at zero."""
        return _adam_rate(self.hyperparam.get_dict(), self.t)

    lr = alpha_t

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest factor of ``m`` in this step; both tend to ``final_lr``."""
        if self.t == 0:
            raise RuntimeError("AdaBound: the bounds depend on the step, and there was none yet; call update first")
        hp = self.hyperparam
        final = self._final(hp.get_dict())
        return final * (1.0 - 1.0 / (hp.gamma * self.t + 1)), final * (1.0 + 1.0 / (hp.gamma * self.t))

    def update_core_cpu(self, param: Parameter) -> None:
        hp = self.hyperparam.get_dict()  # once: it takes a small layer as long to ask for each of them as to step
        towards_g, towards_square, eps = 1.0 - float(hp["beta1"]), 1.0 - float(hp["beta2"]), float(hp["eps"])
        eta, decay = float(hp["eta"]), float(hp["eta"] * hp["weight_decay_rate"])
        xp, rate = param.xp, _adam_rate(hp, self.t)
        bounds = self.bounds if hp["adabound"] else None

        def move(p: Any, g: Any, m: Any, v: Any, *vhat: Any) -> None:
            if not vhat and not bounds and (runs := compiled.flat(p, g, m, v)):
                compiled.adam(*runs, *map(p.dtype.type, (towards_g, towards_square, eps, rate, eta, 1.0 - decay)))
                return
            s = _scratch(p)
            xp.subtract(g, m, out=s)
            s *= towards_g
            m += s
            xp.multiply(g, g, out=s)
            s -= v
            s *= towards_square
            v += s
            for largest in vhat:
                xp.maximum(largest, v, out=largest)
            xp.sqrt(vhat[0] if vhat else v, out=s)
            s += eps
            xp.divide(rate, s, out=s)
            if bounds:
                xp.clip(s, *bounds, out=s)
            s *= m
            if eta != 1:
                s *= eta
            if decay:
                p *= 1.0 - decay
            p -= s

        piecewise(move, param.array, param.grad, *self.state.values())


class Adam(_Method):
    """Adam: ``m += (1 - beta1) * (g - m); v += (1 - beta2) * (g**2 - v)``, and then

    ``p -= eta * (alpha_t * m / (sqrt(v) + eps) + weight_decay_rate * p)`` with the rate
    ``alpha_t = alpha * sqrt(1 - beta2**t) / (1 - beta1**t)``: Kingma and Ba, Adam, 2015, algorithm 1 in the order that
    the end of its section 2 gives; the defaults are the paper's.

    Args:
        alpha: step size.
        beta1, beta2: how slowly the means of the gradient and of its square forget.
        eps: a small number against division by zero.
        eta: multiplies the whole step, weight decay included.
        weight_decay_rate: share of the parameter taken off at each step, apart from the gradient (AdamW).
        amsgrad: divide by the root of the largest mean square so far.
        adabound: keep the rate of every element between bounds that close in on ``final_lr`` (Luo et al., 2019).
        final_lr, gamma: where the bounds meet, and how fast.
    """

    rule = AdamRule

    def __init__(
        self, alpha: float = 0.001, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, eta: float = 1.0,
        weight_decay_rate: float = 0, amsgrad: bool = False, adabound: bool = False, final_lr: float = 0.1,
        gamma: float = 0.001,
    ) -> None:  # fmt: skip
        super().__init__(
            alpha=alpha, beta1=beta1, beta2=beta2, eps=eps, eta=eta, weight_decay_rate=weight_decay_rate,
            amsgrad=amsgrad, adabound=adabound, final_lr=final_lr, gamma=gamma,
        )  # fmt: skip

    @property
    def alpha_t(self) -> float:
        """The rate of the last step, both means corrected for their start at zero."""
        return _adam_rate(self.hyperparam.get_dict(), self.t)

    lr = alpha_t


class AdamW(Adam):
    """Adam with a weight decay apart from the gradient, of a share ``eta * weight_decay_rate``.

    Loshchilov and Hutter, Decoupled weight decay regularization, 2019, algorithm 2.
    """

    def __init__(
        self, alpha: float = 0.001, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, eta: float = 1.0,
        weight_decay_rate: float = 0,
    ) -> None:  # fmt: skip
        super().__init__(alpha, beta1, beta2, eps, eta, weight_decay_rate)


class AMSGrad(Adam):
    """Adam with ``vhat = max(vhat, v)`` in place of ``v`` under the root.

    Reddi et al., On the convergence of Adam and beyond, 2018, algorithm 2.
    """

    def __init__(
        self, alpha: float = 0.001, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, eta: float = 1.0
    ) -> None:
        super().__init__(alpha, beta1, beta2, eps, eta, amsgrad=True)


class AdaBound(Adam):
    """Adam that becomes gradient descent with the rate ``final_lr``.

    The factor of ``m`` is clipped to ``final_lr * (1 - 1 / (gamma * t + 1))`` and ``final_lr * (1 + 1 / (gamma * t))``:
    Luo et al., Adaptive gradient methods with dynamic bound of learning rate, 2019, algorithm 2 and section 4. As in
    the authors' program, ``final_lr`` follows later changes of ``alpha``.
    """

    def __init__(
        self, alpha: float = 0.001, beta1: float = 0.9, beta2: float = 0.999, final_lr: float = 0.1,
        gamma: float = 0.001, eps: float = 1e-8, eta: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__(alpha, beta1, beta2, eps, eta, adabound=True, final_lr=final_lr, gamma=gamma)


class AMSBound(Adam):
    """`AdaBound` with the largest mean square so far under the root, as in `AMSGrad`: Luo et al., 2019, algorithm 3."""

    def __init__(
        self, alpha: float = 0.001, beta1: float = 0.9, beta2: float = 0.999, final_lr: float = 0.1,
        gamma: float = 0.001, eps: float = 1e-8, eta: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__(alpha, beta1, beta2, eps, eta, 0, True, True, final_lr, gamma)
