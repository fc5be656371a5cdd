"""SNGAN: every weight of D is divided by its largest singular value, so that D's slope is bounded; a hinge loss.

    L_D = E_x[max(0, 1 - D(x))] + E_z[max(0, 1 + D(G(z)))]           (equation 16 of the paper)
    L_G = -E_z[D(G(z))]                                              (equation 17)

With leaky ReLUs D's slope is at most the product of the layers' (equations 6 to 8); each becomes 1 by W / sigma(W)
(equation 8), sigma by one step of power iteration for each call (algorithm 1): the hook `SpectralNormalization` on each
layer of D, which has no batch normalization.
"""

from __future__ import annotations

from typing import Any

import minigan.functions as F
from minigan.core import Variable

PAPER = "Miyato et al. 2018, Spectral Normalization for Generative Adversarial Networks, arXiv:1802.05957"
EQUATION = "min_D  E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))],  min_G  -E[D(G(z))],  W <- W / sigma(W)"
DEFAULTS: dict[str, Any] = {"arch": "small", "norm_dis": "spectral", "r1": 0.0}
ON_ARCH: dict[str, dict[str, Any]] = {"ring": {"alpha": 2e-3, "alpha_dis": 3e-2}}  # D's weights are long there


def loss_dis(y_real: Variable, y_fake: Variable) -> Variable:
    """E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))]; 2 where D says 0 everywhere."""
    return F.average(F.relu(1 - y_real)) + F.average(F.relu(1 + y_fake))


def loss_gen(y_fake: Variable) -> Variable:
    """-E[D(G(z))]."""
    return -F.average(y_fake)
