"""Two-way softmax: D gives two numbers, one for real and one for made, and the classes are real and made.

With y_0 for real, y_1 for made and p = softmax(y) = (e^y_0, e^y_1) / (e^y_0 + e^y_1)

    L_D = -E_x[log p_0] - E_z[log p_1],    L_G = -E_z[log p_0]

That is the classifier of K + 1 classes of section 5 of the paper with K = 1. As p_0 is sigmoid(y_0 - y_1), the game is
that of `gan.py` with one weight too many, which the paper notes, too.
"""

from __future__ import annotations

from typing import Any

import minigan.functions as F
from minigan.core import Variable

PAPER = "Salimans et al. 2016, Improved Techniques for Training GANs, arXiv:1606.03498"
EQUATION = "min_G max_D  E[log p_0(x)] + E[log p_1(G(z))],  p = softmax(D)"
DEFAULTS: dict[str, Any] = {"arch": "fine", "answer": "two numbers"}
ON_ARCH: dict[str, dict[str, Any]] = {"ring": {"alpha_dis": 5e-4}}  # y_0 - y_1 moves twice as far as one number


def loss_dis(y_real: Variable, y_fake: Variable) -> Variable:
    """-E[log p_0(x)] - E[log p_1(G(z))] from answers (N, 2); 2 ln 2 where both numbers are the same."""
    return _surprise(y_real, 0) + _surprise(y_fake, 1)


def loss_gen(y_fake: Variable) -> Variable:
    """-E[log p_0(G(z))] from answers (N, 2)."""
    return _surprise(y_fake, 0)


def logit(y: Any) -> Any:
    """y_0 - y_1 (N, 1), by which D's answers are reported."""
    return y[:, :1] - y[:, 1:]


def _surprise(y: Variable, kind: int) -> Variable:
    return F.softmax_cross_entropy(y, y.xp.full(len(y), kind, "i"))
