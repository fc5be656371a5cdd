"""The first GAN: a discriminator learns to tell real from made, a generator learns to be believed.

D and G play

    min_G max_D  E_x[log D(x)] + E_z[log(1 - D(G(z)))]           (equation 1 of the paper)

where D = sigmoid(y) and y is the logit that the net gives. With -log sigmoid(y) = softplus(-y) and
-log(1 - sigmoid(y)) = softplus(y) both losses are exact and finite for every logit. G does not descend equation 1
itself, whose slope vanishes while D wins, but maximizes log D(G(z)) (section 3 of the paper: "non-saturating").
"""

from __future__ import annotations

from typing import Any

from minigan.core import Variable
from minigan.functions.logits import softplus_means

PAPER = "Goodfellow et al. 2014, Generative Adversarial Nets, arXiv:1406.2661"
EQUATION = "min_G max_D  E[log D(x)] + E[log(1 - D(G(z)))]"
DEFAULTS: dict[str, Any] = {"arch": "mlp"}


def loss_dis(y_real: Variable, y_fake: Variable) -> Variable:
    """-E[log D(x)] - E[log(1 - D(G(z)))] from logits of any shape; 2 ln 2 where D says one half everywhere."""
    return softplus_means((y_real, y_fake), (-1, 1))


def loss_gen(y_fake: Variable) -> Variable:
    """-E[log D(G(z))], from logits of any shape; ln 2 where D says one half everywhere."""
    return softplus_means((y_fake,), (-1,))
