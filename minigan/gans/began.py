"""BEGAN: D is an autoencoder; it draws real images well and made ones badly, and G makes images that it draws well.

With L(v) = |v - D(v)| and a balance k_t in [0, 1] (section 3.4 of the paper)

    L_D = L(x) - k_t L(G(z)),    L_G = L(G(z)),    k_{t+1} = k_t + lambda_k (gamma L(x) - L(G(z)))

so that made images cost gamma times as much as real ones, whatever the strength of either net. D's answer is -L, hence
L_D is the critic's loss of `wgan.py` but for (1 - k_t) of made images' part. How far the training is says (3.4.1)

    M = L(x) + |gamma L(x) - L(G(z))|

The paper's lambda_k of 0.001 is for hundreds of thousands of steps. In 600 steps on digits k came to 0.014 with it, and
G made blobs, which D draws well (Frechet distance 487); with 0.1, and a gamma of 0.7, which asks for more variety, it
makes strokes (286).
"""

from __future__ import annotations

from typing import Any

import minigan.functions as F
from minigan.core import Variable
from minigan.gans.turn import Turn
from minigan.gans.wgan import ZERO, loss_dis, loss_gen

PAPER = "Berthelot, Schumm and Metz 2017, BEGAN: Boundary Equilibrium GANs, arXiv:1703.10717"
EQUATION = "min_D  L(x) - k_t L(G(z)),  min_G  L(G(z)),  k_{t+1} = k_t + lambda_k (gamma L(x) - L(G(z)))"
DEFAULTS: dict[str, Any] = {
    "arch": "small", "norm_dis": "none", "answer": "autoencoder", "gamma": 0.7, "lam_k": 0.1, "r1": 0.0,
}  # fmt: skip

__all__ = ["DEFAULTS", "EQUATION", "PAPER", "ZERO", "constrain", "dis_terms", "loss_dis", "loss_gen", "opinion"]


def dis_terms(turn: Turn) -> dict[str, Variable]:
    """(1 - k_t) L(G(z)), which is not D's aim."""
    return {"spared": -(1 - turn.dis.k) * F.average(turn.y_fake)}


def opinion(turn: Turn) -> dict[str, Any]:
    """What is reported instead of probabilities: k, both errors and M."""
    real, fake = -turn.y_real.array.mean(), -turn.y_fake.array.mean()
    far = real + abs(turn.options.gamma * real - fake)
    return {"k": turn.dis.k.copy(), "error_real": real, "error_fake": fake, "convergence": far}


def constrain(turn: Turn) -> None:
    """Move k by lambda_k (gamma L(x) - L(G(z))) within [0, 1]."""
    step = turn.options.lam_k * (turn.y_fake.array.mean() - turn.options.gamma * turn.y_real.array.mean())
    turn.dis.k[...] = turn.dis.xp.clip(turn.dis.k + step, 0, 1)
