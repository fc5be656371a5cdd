"""The optimizers: each is a set of hyperparameters and a rule of a few lines, written as in its paper.

The rules work in place with one scratch array. ``p -= lr * m / (sqrt(v) + eps)`` would make four new arrays the size
of the parameter, and fresh memory costs as much as the arithmetic.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigan.backend import get_array_module
from minigan.core import Parameter
from minigan.optimizer import GradientMethod, HyperparameterProxy, UpdateRule


def _scratch(array: Any) -> Any:
    # float16 has no room for an eps of 1e-8; a float32 result is rounded once, when it is added to the parameter
    dtype = np.promote_types(array.dtype, np.float32)
    return get_array_module(array).empty_like(array, dtype=dtype)


class SGDRule(UpdateRule):
    """``p -= lr * g``."""

    is_elementwise = True

    def update_core(self, param: Parameter) -> None:
        p, g = param.array, param.grad
        p -= param.xp.multiply(g, float(self.hyperparam.lr), out=_scratch(p))


class SGD(GradientMethod):
    """Plain (stochastic) gradient descent."""

    lr = HyperparameterProxy("lr")

    def __init__(self, lr: float = 0.01) -> None:
        super().__init__()
        self.hyperparam.lr = lr

    def create_update_rule(self) -> UpdateRule:
        return SGDRule(self.hyperparam)


class MomentumSGDRule(UpdateRule):
    """``v = momentum * v - lr * g; p += v``."""

    is_elementwise = True

    def init_state(self, param: Parameter) -> None:
        assert self.state is not None
        self.state["v"] = param.xp.zeros_like(param.array)

    def update_core(self, param: Parameter) -> None:
        assert self.state is not None
        lr, momentum = float(self.hyperparam.lr), float(self.hyperparam.momentum)
        xp = param.xp
        p, g, s = param.array, param.grad, _scratch(param.array)
        v = self.state["v"]
        v *= momentum
        xp.multiply(g, lr, out=s)
        v -= s
        p += v


class MomentumSGD(GradientMethod):
    """Gradient descent with momentum (Polyak, 1964)."""

    lr = HyperparameterProxy("lr")
    momentum = HyperparameterProxy("momentum")

    def __init__(self, lr: float = 0.01, momentum: float = 0.9) -> None:
        super().__init__()
        self.hyperparam.lr = lr
        self.hyperparam.momentum = momentum

    def create_update_rule(self) -> UpdateRule:
        return MomentumSGDRule(self.hyperparam)


class RMSpropRule(UpdateRule):
    """``ms = alpha * ms + (1 - alpha) * g**2; p -= lr * g / (sqrt(ms) + eps)``."""

    is_elementwise = True

    def init_state(self, param: Parameter) -> None:
        assert self.state is not None
        self.state["ms"] = param.xp.zeros_like(param.array)

    def update_core(self, param: Parameter) -> None:
        assert self.state is not None
        hp = self.hyperparam
        lr, alpha, eps, inside = float(hp.lr), float(hp.alpha), float(hp.eps), bool(hp.eps_inside_sqrt)
        xp = param.xp
        p, g, s = param.array, param.grad, _scratch(param.array)
        ms = self.state["ms"]
        ms *= alpha
        xp.multiply(g, g, out=s)
        s *= 1.0 - alpha
        ms += s
        if inside:
            xp.add(ms, eps, out=s)
            xp.sqrt(s, out=s)
        else:
            xp.sqrt(ms, out=s)
            s += eps
        xp.divide(g, s, out=s)
        s *= lr
        p -= s


class RMSprop(GradientMethod):
    """Steps divided by a running root mean square of the gradient (Tieleman and Hinton, 2012).

    ``eps_inside_sqrt`` puts ``eps`` under the root.
    """

    lr = HyperparameterProxy("lr")
    alpha = HyperparameterProxy("alpha")
    eps = HyperparameterProxy("eps")
    eps_inside_sqrt = HyperparameterProxy("eps_inside_sqrt")

    def __init__(
        self, lr: float = 0.01, alpha: float = 0.99, eps: float = 1e-8, eps_inside_sqrt: bool = False
    ) -> None:
        super().__init__()
        self.hyperparam.lr = lr
        self.hyperparam.alpha = alpha
        self.hyperparam.eps = eps
        self.hyperparam.eps_inside_sqrt = eps_inside_sqrt

    def create_update_rule(self) -> UpdateRule:
        return RMSpropRule(self.hyperparam)


def _adam_rate(hyperparam: Any, t: int) -> float:
    """``alpha * sqrt(1 - beta2**t) / (1 - beta1**t)``: the corrections of both means in one factor (section 2)."""
    if t == 0:
        raise RuntimeError("Adam: the learning rate depends on the step, and there was none yet; call update first")
    return float(hyperparam.alpha * math.sqrt(1.0 - hyperparam.beta2**t) / (1.0 - hyperparam.beta1**t))


class AdamRule(UpdateRule):
    """``m += (1 - beta1) * (g - m); v += (1 - beta2) * (g**2 - v)``,

    then ``p -= eta * (alpha_t * m / (sqrt(v) + eps) + weight_decay_rate * p)``; AMSGrad puts the largest ``v`` so far
    in place of ``v``.
    """

    is_elementwise = True

    def init_state(self, param: Parameter) -> None:
        assert self.state is not None
        for key in ("m", "v", "vhat") if self.hyperparam.amsgrad else ("m", "v"):
            self.state[key] = param.xp.zeros_like(param.array)

    @property
    def alpha_t(self) -> float:
        """The rate of the present step, both means corrected for their start at zero."""
        return _adam_rate(self.hyperparam, self.t)

    lr = alpha_t

    def update_core(self, param: Parameter) -> None:
        assert self.state is not None
        hp = self.hyperparam
        towards_g, towards_square, eps = 1.0 - float(hp.beta1), 1.0 - float(hp.beta2), float(hp.eps)
        rate, decay = float(hp.eta) * self.alpha_t, float(hp.eta * hp.weight_decay_rate)
        xp = param.xp
        p, g, s = param.array, param.grad, _scratch(param.array)
        m, v, *vhat = self.state.values()
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
        xp.divide(m, s, out=s)
        s *= rate
        if decay:
            p *= 1.0 - decay
        p -= s


class Adam(GradientMethod):
    """Adam (Kingma and Ba, 2015, at the end of section 2), AdamW (Loshchilov and Hutter) and AMSGrad (Reddi et al.).

    Args:
        alpha: step size.
        beta1, beta2: how slowly the means of the gradient and of its square forget.
        eps: a small number against division by zero.
        eta: multiplies the whole step, weight decay included.
        weight_decay_rate: share of the parameter taken off at each step, apart from the gradient (AdamW).
        amsgrad: divide by the root of the largest mean square so far.
    """

    alpha = HyperparameterProxy("alpha")
    beta1 = HyperparameterProxy("beta1")
    beta2 = HyperparameterProxy("beta2")
    eps = HyperparameterProxy("eps")
    eta = HyperparameterProxy("eta")
    weight_decay_rate = HyperparameterProxy("weight_decay_rate")
    amsgrad = HyperparameterProxy("amsgrad")

    def __init__(
        self,
        alpha: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        eta: float = 1.0,
        weight_decay_rate: float = 0,
        amsgrad: bool = False,
    ) -> None:
        super().__init__()
        self.hyperparam.alpha = alpha
        self.hyperparam.beta1 = beta1
        self.hyperparam.beta2 = beta2
        self.hyperparam.eps = eps
        self.hyperparam.eta = eta
        self.hyperparam.weight_decay_rate = weight_decay_rate
        self.hyperparam.amsgrad = amsgrad

    def create_update_rule(self) -> UpdateRule:
        return AdamRule(self.hyperparam)

    @property
    def alpha_t(self) -> float:
        """The rate of the last step, both means corrected for their start at zero."""
        return _adam_rate(self.hyperparam, self.t)

    lr = alpha_t


class AdamW(Adam):
    """Adam with a weight decay apart from the gradient (Loshchilov and Hutter, 2019)."""

    def __init__(
        self,
        alpha: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        eta: float = 1.0,
        weight_decay_rate: float = 0,
    ) -> None:
        super().__init__(alpha, beta1, beta2, eps, eta, weight_decay_rate)


class AMSGrad(Adam):
    """Adam divided by the largest mean square so far (Reddi et al., 2018)."""

    def __init__(
        self, alpha: float = 0.001, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, eta: float = 1.0
    ) -> None:
        super().__init__(alpha, beta1, beta2, eps, eta, amsgrad=True)
