"""LSGAN: D's answers are pulled to a number for real and one for made images, by their squared distance.

With a = 0 for made, b = 1 for real and c = 1 for what G wants (equation 9 of the paper; equation 2 for any a, b, c)

    min_D  1/2 E_x[(D(x) - 1)^2] + 1/2 E_z[D(G(z))^2]
    min_G  1/2 E_z[(D(G(z)) - 1)^2]

Images on the right side, but far from the real ones, still cost something, so that G's slope does not vanish.
"""

from __future__ import annotations

from typing import Any

import minigan.functions as F
from minigan.core import Variable

PAPER = "Mao et al. 2016, Least Squares Generative Adversarial Networks, arXiv:1611.04076"
EQUATION = "min_D  1/2 E[(D(x) - 1)^2] + 1/2 E[D(G(z))^2],  min_G  1/2 E[(D(G(z)) - 1)^2]"
DEFAULTS: dict[str, Any] = {"arch": "fine"}


def loss_dis(y_real: Variable, y_fake: Variable) -> Variable:
    """1/2 E[(D(x) - 1)^2] + 1/2 E[D(G(z))^2]; 1/4 where D says one half everywhere."""
    return 0.5 * F.average(F.square(y_real - 1)) + 0.5 * F.average(F.square(y_fake))


def loss_gen(y_fake: Variable) -> Variable:
    """1/2 E[(D(G(z)) - 1)^2]."""
    return 0.5 * F.average(F.square(y_fake - 1))


def logit(y: Any) -> Any:
    """y - 1/2: the middle between made and real, where D is undecided, becomes 0."""
    return y - 0.5
