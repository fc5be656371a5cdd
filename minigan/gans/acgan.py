"""AC-GAN: D also guesses the class of each image, and G makes images whose class is guessed right.

With S the source and C the class that D's two heads say (equations 2 and 3 of the paper)

    L_S = E[log P(S = real | x)] + E[log P(S = fake | G(z))]
    L_C = E[log P(C = c | x)] + E[log P(C = c | G(z))]

D maximizes L_S + L_C and G L_C - L_S. `lam` weighs the classes; it is 1 in the paper.
"""

from __future__ import annotations

from typing import Any

import minigan.functions as F
from minigan.core import Variable
from minigan.gans.gan import loss_dis, loss_gen
from minigan.gans.turn import Turn

PAPER = "Odena, Olah and Shlens 2016, Conditional Image Synthesis with Auxiliary Classifier GANs, arXiv:1610.09585"
EQUATION = "max_D  L_S + lambda L_C,  max_G  lambda L_C - L_S,  L_C = E[log P(c | x)] + E[log P(c | G(z))]"
DEFAULTS: dict[str, Any] = {"arch": "fine", "condition": "head", "lam": 1.0}

__all__ = ["DEFAULTS", "EQUATION", "PAPER", "dis_terms", "gen_terms", "loss_dis", "loss_gen"]


def dis_terms(turn: Turn) -> dict[str, Variable]:
    """-lambda L_C: cross entropy of the guesses, of real and of made images."""
    real = F.softmax_cross_entropy(turn.said_real, turn.labels_real)
    return {"classes": turn.options.lam * (real + F.softmax_cross_entropy(turn.said_fake, turn.labels_fake))}


def gen_terms(turn: Turn) -> dict[str, Variable]:
    """-lambda E[log P(c | G(z))]."""
    return {"classes": turn.options.lam * F.softmax_cross_entropy(turn.said_fake, turn.labels_fake)}
