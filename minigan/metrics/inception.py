"""Inception as the Frechet Inception distance knows it, with weights that the user brings: nothing is downloaded.

The net is InceptionV3 (Szegedy et al. 2016, arXiv:1512.00567) in the variant of 2015 that FID was defined with:
averages leave the padding out, and the last block takes a maximum. Names and shapes of the weights are those of
pytorch-fid's state dict, whose numbers it gives. Batch normalization is folded into the convolutions.
"""

from __future__ import annotations

import os
import re
import zlib
from pathlib import Path
from typing import Any

import numpy

import minigan.functions as F
import minigan.links as L
from minigan.core import Variable
from minigan.dataset.errors import DataError
from minigan.datasets.arrays import read_arrays
from minigan.link import Chain

SIDE, DIMENSION, LOGITS = 299, 2048, 1008
_EPSILON = 1e-3  # of batch normalization

# A block's branches, whose ends are concatenated, and the steps of each: `NAME WIDTH KERNEL`, a convolution that keeps
# the size, unless it halves it (/2) or has no padding (v); `mean` and `max` of 3 x 3.
_A = ("branch1x1 64 1 | branch5x5_1 48 1, branch5x5_2 64 5 | branch3x3dbl_1 64 1, branch3x3dbl_2 96 3, "
      "branch3x3dbl_3 96 3 | mean, branch_pool {} 1")  # fmt: skip
_B = "branch3x3 384 3/2 | branch3x3dbl_1 64 1, branch3x3dbl_2 96 3, branch3x3dbl_3 96 3/2 | max/2"
_C = ("branch1x1 192 1 | branch7x7_1 {0} 1, branch7x7_2 {0} 1x7, branch7x7_3 192 7x1 | branch7x7dbl_1 {0} 1, "
      "branch7x7dbl_2 {0} 7x1, branch7x7dbl_3 {0} 1x7, branch7x7dbl_4 {0} 7x1, branch7x7dbl_5 192 1x7 | mean, "
      "branch_pool 192 1")  # fmt: skip
_D = ("branch3x3_1 192 1, branch3x3_2 320 3/2 | branch7x7x3_1 192 1, branch7x7x3_2 192 1x7, branch7x7x3_3 192 7x1, "
      "branch7x7x3_4 192 3/2 | max/2")  # fmt: skip
_E = ("branch1x1 320 1 | branch3x3_1 384 1, branch3x3_2a 384 1x3 | branch3x3_1 384 1, branch3x3_2b 384 3x1 | "
      "branch3x3dbl_1 448 1, branch3x3dbl_2 384 3, branch3x3dbl_3a 384 1x3 | branch3x3dbl_1 448 1, "
      "branch3x3dbl_2 384 3, branch3x3dbl_3b 384 3x1 | {}, branch_pool 192 1")  # fmt: skip
_TEXTS = {
    "": "Conv2d_1a_3x3 32 3/2, Conv2d_2a_3x3 32 3v, Conv2d_2b_3x3 64 3, max/2, Conv2d_3b_1x1 80 1, "
        "Conv2d_4a_3x3 192 3v, max/2",
    "Mixed_5b.": _A.format(32), "Mixed_5c.": _A.format(64), "Mixed_5d.": _A.format(64), "Mixed_6a.": _B,
    "Mixed_6b.": _C.format(128), "Mixed_6c.": _C.format(160), "Mixed_6d.": _C.format(160), "Mixed_6e.": _C.format(192),
    "Mixed_7a.": _D, "Mixed_7b.": _E.format("mean"), "Mixed_7c.": _E.format("max"),
}  # fmt: skip
BLOCKS = {name: [tuple(branch.strip().split(", ")) for branch in text.split("|")] for name, text in _TEXTS.items()}
_POOLS = {
    "mean": lambda x: F.average_pooling_nd(x, 3, 1, 1, pad_value=None),
    "max": lambda x: F.max_pooling_2d(x, 3, 1, 1, cover_all=False),
    "max/2": lambda x: F.max_pooling_2d(x, 3, 2, cover_all=False),
}


class Inception(Chain):
    """Images (N, 3, H, W) in [-1, 1], scaled to 299 x 299 -> features (N, 2048) -> logits (N, 1008).

    Its weights are zeros until `load` reads some. The logits have no bias, as in the Inception score.
    """

    batch = 20  # images seen at a time
    shape = None  # of images of bytes: all

    def __init__(self) -> None:
        super().__init__()
        self.layers: dict[str, str] = {}  # the names in the state dict and here
        channels = 3
        with self.init_scope():
            for block, branches in BLOCKS.items():
                ends = {branch: channels for branch in branches}
                for branch in branches:
                    for step in branch:
                        if step not in _POOLS:
                            ends[branch] = self._add(block, step, ends[branch])
                channels = sum(ends.values())
            self.fc = L.Linear(DIMENSION, LOGITS, nobias=True, initialW=0)

    def _add(self, block: str, step: str, channels: int) -> int:
        name, width, kernel = step.split()
        found = re.fullmatch(r"(\d)x?(\d?)(v|/2)?", kernel)
        assert found is not None
        size = int(found[1]), int(found[2] or found[1])
        self.layers[block + name] = link = (block + name).replace(".", "_")
        if not hasattr(self, link):  # two branches may begin alike
            stride, pad = 2 if found[3] == "/2" else 1, (0, 0) if found[3] else (size[0] // 2, size[1] // 2)
            setattr(self, link, L.Convolution2D(channels, int(width), size, stride, pad, initialW=0))
        return int(width)

    def as_input(self, pixels: numpy.ndarray) -> numpy.ndarray:
        """Turn bytes (N, H, W) or (N, H, W, C) into float32 (N, 3, H, W) in [-1, 1]; opacity is left out."""
        colours = numpy.stack([pixels] * 3, axis=1) if pixels.ndim == 3 else pixels[..., :3].transpose(0, 3, 1, 2)
        return colours.astype(numpy.float32) / 127.5 - 1

    def features(self, x: Any) -> Variable:
        """The means of the last block's channels, (N, 2048), never negative."""
        if x.shape[2:] != (SIDE, SIDE):
            x = F.resize_images(x, (SIDE, SIDE), align_corners=False)
        for block, branches in BLOCKS.items():
            made: dict[tuple[str, ...], Any] = {(): x}
            for branch in branches:
                for i, step in enumerate(branch):
                    if branch[: i + 1] not in made:
                        made[branch[: i + 1]] = self._step(block, step)(made[branch[:i]])
            x = F.concat([made[branch] for branch in branches])
        return F.average(x, axis=(2, 3))

    def _step(self, block: str, step: str) -> Any:
        if step in _POOLS:
            return _POOLS[step]
        return lambda x: self[self.layers[block + step.split()[0]]](x, activation="relu")

    def logits(self, features: Any) -> Variable:
        """(N, 1008) of features (N, 2048)."""
        return self.fc(features)

    def forward(self, x: Any) -> Variable:
        return self.logits(self.features(x))


def load(path: str | os.PathLike[str]) -> tuple[Inception, dict[str, Any]]:
    """Return the net with the weights of an npz or HDF5 file with pytorch-fid's names, and what is to be said of it.

    Raises:
        DataError: the file is missing, damaged, or holds something else.
    """
    net = Inception()
    parts = ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")
    names = [*(f"{layer}.{part}" for layer in net.layers for part in parts), "fc.weight"]
    wanted = "the arrays of pytorch-fid's state dict, made an npz as README has it"
    arrays = dict(zip(names, read_arrays(path, [(name,) for name in names], wanted=wanted)))
    for layer, link in net.layers.items():
        weight, gamma, beta, mean, variance = (arrays[f"{layer}.{part}"] for part in parts)
        conv: Any = net[link]
        _check(path, layer, [weight.shape, gamma.shape, beta.shape, mean.shape, variance.shape],
               [conv.W.shape, *[conv.b.shape] * 4])  # fmt: skip
        with numpy.errstate(invalid="ignore"):
            factor = gamma / numpy.sqrt(variance + _EPSILON)
        conv.W.array[...] = weight * factor[:, None, None, None]
        conv.b.array[...] = beta - mean * factor
        if not (numpy.isfinite(conv.W.array).all() and numpy.isfinite(conv.b.array).all()):
            raise DataError(f"{path}: {layer} has NaN or infinity; convert the weights anew")
    _check(path, "fc", [arrays["fc.weight"].shape], [net.fc.W.shape])
    net.fc.W.array[...] = arrays["fc.weight"]
    return net, {"inception": Path(path).name, "crc32": zlib.crc32(Path(path).read_bytes()), "layer": "the last means",
                 "dimension": DIMENSION}  # fmt: skip


def _check(path: Any, layer: str, got: Any, wanted: Any) -> None:
    if got != wanted:
        raise DataError(f"{path}: the arrays of {layer} have shapes {got}; wanted {wanted}, as pytorch-fid has them")
