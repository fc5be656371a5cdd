"""WGAN-GP: the critic of `wgan.py`, whose slope is held at 1 by a penalty instead of clipped weights.

    L = E_z[f(G(z))] - E_x[f(x)] + lambda E_x'[(|grad f(x')|_2 - 1)^2]         (equation 3 of the paper)

where x' = e x + (1 - e) G(z), with e from U(0, 1) for each example, lies between a real and a made image (algorithm 1).
The norm is over all axes but the batch: each image has a slope of its own. So the critic must judge each for itself:
no batch normalization (section 4).
"""

from __future__ import annotations

from typing import Any

from minigan.core import Variable
from minigan.gans.penalties import gradient_penalty
from minigan.gans.turn import Turn, draw
from minigan.gans.wgan import ZERO, loss_dis, loss_gen, opinion

PAPER = "Gulrajani et al. 2017, Improved Training of Wasserstein GANs, arXiv:1704.00028"
EQUATION = "min_G max_f  E[f(x)] - E[f(G(z))] - lambda E[(|grad f(x')|_2 - 1)^2]"
DEFAULTS: dict[str, Any] = {
    "arch": "small", "norm_dis": "none", "n_dis": 5, "beta1": 0.0, "beta2": 0.9, "lam": 10.0, "r1": 0.0,
}  # fmt: skip
ON_ARCH: dict[str, dict[str, Any]] = {
    "ring": {"n_dis": 2, "alpha": 4e-3, "alpha_dis": 4e-3, "beta1": 0.5, "beta2": 0.999, "lam": 0.01},
}

__all__ = ["DEFAULTS", "EQUATION", "ON_ARCH", "PAPER", "ZERO", "dis_terms", "loss_dis", "loss_gen", "opinion"]


def dis_terms(turn: Turn) -> dict[str, Variable]:
    """lambda E[(|grad f(x')|_2 - 1)^2] at points x' between real and made images."""
    e = draw("uniform", turn.dis, (len(turn.y_real), *(1 for _ in turn.x_real.shape[1:])))
    e = e.repeat(len(turn.x_real) // len(turn.y_real), 0)  # one for each answer: the images of a pack go together
    between = e * turn.x_real + (1 - e) * turn.x_fake
    return {"penalty": turn.options.lam * gradient_penalty(turn.dis, between)}
