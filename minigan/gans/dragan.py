"""DRAGAN: the game of `gan.py`, with a D whose slope is held at 1 around the real images.

    lambda E_{x, d}[(|grad D(x + d)|_2 - 1)^2]           (section 2.3 of the paper; lambda = 10)

keeps D from the sharp peaks at real images that the authors saw before modes were lost. The paper draws d from
N(0, c I); as in the authors' program, d = c s u here with u from U(0, 1) for each pixel, s the standard deviation of
the real batch and c = 0.5, which suits images of any scale. D is taken as a logit.
"""

from __future__ import annotations

from typing import Any

from minigan.core import Variable
from minigan.gans.gan import loss_dis, loss_gen
from minigan.gans.penalties import gradient_penalty
from minigan.gans.turn import Turn, draw

PAPER = "Kodali et al. 2017, On Convergence and Stability of GANs, arXiv:1705.07215"
EQUATION = "min_G max_D  E[log D(x)] + E[log(1 - D(G(z)))] - lambda E[(|grad D(x + d)|_2 - 1)^2]"
DEFAULTS: dict[str, Any] = {"arch": "small", "norm_dis": "none", "lam": 10.0, "spread": 0.5, "r1": 0.0}
ON_ARCH: dict[str, dict[str, Any]] = {"ring": {"lam": 0.1}}

__all__ = ["DEFAULTS", "EQUATION", "ON_ARCH", "PAPER", "dis_terms", "loss_dis", "loss_gen"]


def dis_terms(turn: Turn) -> dict[str, Variable]:
    """lambda E[(|grad D(x + d)|_2 - 1)^2] at real images with some noise."""
    noise = draw("uniform", turn.dis, turn.x_real.shape)
    near = turn.x_real + turn.options.spread * turn.x_real.std() * noise
    return {"penalty": turn.options.lam * gradient_penalty(turn.dis, near)}
