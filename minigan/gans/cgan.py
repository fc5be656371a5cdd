"""Conditional GAN: G is told which class to make, D which class an image is said to be of.

    min_G max_D  E_x[log D(x | c)] + E_z[log(1 - D(G(z | c)))]           (equation 2 of the paper)

G's noise ends in the class as a one-hot code. D is told in one of two ways (`conditional.py`): `projection` of its
features on a vector of the class (Miyato and Koyama 2018, arXiv:1802.05637), or `concatenation` of the code to the
image, as in the paper. The losses are those of the first GAN.
"""

from __future__ import annotations

from typing import Any

from minigan.gans.gan import loss_dis, loss_gen

PAPER = "Mirza and Osindero 2014, Conditional Generative Adversarial Nets, arXiv:1411.1784"
EQUATION = "min_G max_D  E[log D(x | c)] + E[log(1 - D(G(z | c)))]"
DEFAULTS: dict[str, Any] = {"arch": "fine", "condition": "projection"}

__all__ = ["DEFAULTS", "EQUATION", "PAPER", "loss_dis", "loss_gen"]
