"""InfoGAN: a part of the noise is a code that can be read off the images, so that it comes to mean something.

The code is a class c_1 of K equally likely ones and numbers c_2, c_3 ... from U(-1, 1). No image need have a label: D
gets a second head Q, which guesses the code of a made image, and G makes images of which it guesses right. How right is
a lower bound of the mutual information of code and image (equations 4 and 5 of the paper),

    L_I(G, Q) = E_{c, G(z, c)}[log Q(c | x)] + H(c) <= I(c; G(z, c))
    min_{G, Q} max_D  V(D, G) - lambda L_I(G, Q)           (equation 6)

with Q(c_1 | x) a softmax and Q(c_i | x) a normal density whose mean and variance Q gives (section 6); H is log K for
the class and log 2 for each number. `lam` weighs the class, `lam_codes` the numbers, for which the authors advise less.
"""

from __future__ import annotations

import math
from typing import Any

import minigan.functions as F
from minigan.core import Variable
from minigan.gans.gan import loss_dis, loss_gen
from minigan.gans.turn import Turn

PAPER = "Chen et al. 2016, InfoGAN: Interpretable Representation Learning, arXiv:1606.03657"
EQUATION = "min_{G,Q} max_D  E[log D(x)] + E[log(1 - D(G(z, c)))] - lambda (E[log Q(c | G(z, c))] + H(c))"
DEFAULTS: dict[str, Any] = {
    "arch": "fine", "condition": "codes", "n_classes": 10, "n_codes": 2, "lam": 1.0, "lam_codes": 0.1,
}  # fmt: skip

__all__ = ["DEFAULTS", "EQUATION", "PAPER", "dis_terms", "gen_terms", "loss_dis", "loss_gen"]


def dis_terms(turn: Turn) -> dict[str, Variable]:
    """-lambda L_I in nats, by which Q learns in D's step; of the class 0 for guesses at random."""
    k, n = turn.gen.n_classes, turn.gen.n_codes
    classes, means, log_variances = F.split_axis(turn.said_fake, (k, k + n), axis=1)
    terms = {"class": turn.options.lam * (F.softmax_cross_entropy(classes, turn.labels_fake) - math.log(k))}
    if n:
        surprise = F.gaussian_nll(turn.z[:, -n:], means, log_variances) / len(turn.z)
        terms["codes"] = turn.options.lam_codes * (surprise - n * math.log(2))
    return terms


gen_terms = dis_terms
