"""WGAN: D, here called critic, estimates how far the two distributions are apart, and G moves closer.

By Kantorovich and Rubinstein the Wasserstein-1 distance is (equation 2 of the paper)

    W = max_{|f|_L <= 1}  E_x[f(x)] - E_z[f(G(z))]

The critic ascends this (equation 3, algorithm 1). All its weights are clipped to [-c, c] after each step, which bounds
its slope by some K, so that it finds K W. It moves 5 times for each step of G, to be near the maximum. The paper's
RMSprop is Adam without momentum, but for the correction of its first steps.
"""

from __future__ import annotations

from typing import Any

import minigan.functions as F
from minigan.core import Variable
from minigan.gans.turn import Turn

PAPER = "Arjovsky, Chintala and Bottou 2017, Wasserstein GAN, arXiv:1701.07875"
EQUATION = "min_G max_{|w| <= c}  E[f_w(x)] - E[f_w(G(z))]"
DEFAULTS: dict[str, Any] = {"arch": "small", "norm_dis": "none", "n_dis": 5, "beta1": 0.0, "clip": 0.01, "r1": 0.0}
ZERO = False  # of D's answers differences alone mean anything
ON_ARCH: dict[str, dict[str, Any]] = {
    "ring": {"n_dis": 2, "alpha": 6e-3, "alpha_dis": 4e-3, "clip": 0.2, "steps": 4500},
}


def loss_dis(y_real: Variable, y_fake: Variable) -> Variable:
    """E[f(G(z))] - E[f(x)]: minus the estimate of K W."""
    return F.average(y_fake) - F.average(y_real)


def loss_gen(y_fake: Variable) -> Variable:
    """-E[f(G(z))]."""
    return -F.average(y_fake)


def opinion(turn: Turn) -> dict[str, Any]:
    """E[f(x)] - E[f(G(z))], the estimate of K W, instead of probabilities: it falls as the images get better."""
    return {"distance": turn.y_real.array.mean() - turn.y_fake.array.mean()}


def constrain(turn: Turn) -> None:
    """Clip all weights of the critic to [-c, c] (algorithm 1, line 7)."""
    for param in turn.dis.params():
        param.array[...] = turn.dis.xp.clip(param.array, -turn.options.clip, turn.options.clip)
