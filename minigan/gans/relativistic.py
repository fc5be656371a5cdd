"""Relativistic average GAN: D says how much more real an image is than the average one of the other kind.

With D~(x) = sigmoid(y(x) - E[y(G(z))]) for real and D~(x) = sigmoid(y(x) - E[y(x_real)]) for made images

    L_D = -E_x[log D~(x)] - E_z[log(1 - D~(G(z)))]           (section 4.2 of the paper)
    L_G = -E_z[log D~(G(z))] - E_x[log(1 - D~(x))]

So G gains as much by making real images look less real: its loss needs both.
"""

from __future__ import annotations

from typing import Any

import minigan.functions as F
from minigan.core import Variable
from minigan.functions.logits import opinions, softplus_means
from minigan.gans.turn import Turn

PAPER = "Jolicoeur-Martineau 2018, The relativistic discriminator, arXiv:1807.00734"
EQUATION = "min_D  -E[log s(y_r - E y_f)] - E[log(1 - s(y_f - E y_r))];  G: the same with y_r and y_f exchanged"
DEFAULTS: dict[str, Any] = {"arch": "fine"}
PAIRED = True
ZERO = False  # of D's answers differences alone mean anything


def loss_dis(y_real: Variable, y_fake: Variable) -> Variable:
    """-E[log s(y_r - E y_f)] - E[log(1 - s(y_f - E y_r))]; 2 ln 2 where D says the same everywhere."""
    real = y_real - F.broadcast_to(F.average(y_fake), y_real.shape)
    fake = y_fake - F.broadcast_to(F.average(y_real), y_fake.shape)
    return softplus_means((real, fake), (-1, 1))


def opinion(turn: Turn) -> dict[str, Any]:
    """E[D~(x)] of real and of made images, and how often each is on its side of the average one of the others."""
    real, fake = turn.y_real.array, turn.y_fake.array
    return dict(zip(("real", "fake", "accuracy"), opinions(real - fake.mean(), fake - real.mean())))


def loss_gen(y_fake: Variable, y_real: Variable) -> Variable:
    """D's loss with the two exchanged."""
    return loss_dis(y_fake, y_real)
