"""DCGAN: the game of `gan.py`, played by convolutional nets.

What the paper adds is in the nets (strided convolutions instead of pooling, batch normalization in both, no hidden
dense layers, ReLU in G and LeakyReLU in D) and in how they are trained (Adam with beta1 0.5, weights from N(0, 0.02)):
section 3 of the paper. The losses are those of the first GAN.
"""

from __future__ import annotations

from typing import Any

from minigan.gans.gan import EQUATION, loss_dis, loss_gen

PAPER = (
    "Radford, Metz and Chintala 2015, Unsupervised Representation Learning with Deep Convolutional Generative "
    "Adversarial Networks, arXiv:1511.06434"
)
DEFAULTS: dict[str, Any] = {"arch": "fine"}

__all__ = ["DEFAULTS", "EQUATION", "PAPER", "loss_dis", "loss_gen"]
