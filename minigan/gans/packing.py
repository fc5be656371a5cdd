"""PacGAN: D judges several images together, so that a G which makes few kinds of images is found out.

D sees m images, all real or all made, stacked along the channels, and gives one answer for the pack; losses and G are
what they were. Where G lacks modes, packs of its images are more alike than packs of real ones: what is slight in one
image grows with m (section 2 and theorem 3 of Lin et al. 2018, PacGAN, arXiv:1712.04086).
"""

from __future__ import annotations

from typing import Any

import minigan.functions as F
from minigan.core import Variable
from minigan.link import Chain


class Packed(Chain):
    """A discriminator around another one, `body`, which takes m times the channels of an image."""

    def __init__(self, body: Any, m: int) -> None:
        super().__init__()
        self.m = m
        with self.init_scope():
            self.body = body

    @property
    def last(self) -> Any:
        """The last layer."""
        return self.body.last

    def forward(self, x: Any) -> Variable:
        """Logits (N / m, 1), one for each m images of x (N, C, H, W) that follow each other; or points (N, D)."""
        if len(x) % self.m:
            raise ValueError(f"Packed: there are {len(x)} images for packs of {self.m}; pass a multiple of {self.m}")
        return self.body(F.reshape(x, (len(x) // self.m, self.m * x.shape[1], *x.shape[2:])))
