"""What a GAN's own terms and constraints may look at: all that belongs to one step of D or of G."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy

from minigan import random
from minigan.configuration import config


@dataclass
class Turn:
    """One step. In G's, `y_real` is None unless the GAN is `PAIRED`; in D's, `x_fake` is an array."""

    gen: Any  #: the generator
    dis: Any  #: the discriminator
    options: Any  #: the GAN's own numbers by name: options.lam ...
    x_real: Any  #: real images (N, C, H, W), or points (N, D): an array
    x_fake: Any  #: made ones
    y_real: Any  #: what D says of the real ones
    y_fake: Any  #: what D says of the made ones
    labels_real: Any = None  #: classes (N,), where the GAN has any
    labels_fake: Any = None  #: those that G was asked for
    said_real: Any = None  #: what D says besides, where it says more than a logit
    said_fake: Any = None
    z: Any = None  #: the noise that G made the made ones of


def draw(kind: str, net: Any, shape: tuple[int, ...]) -> Any:
    """Numbers of N(0, 1) or U(0, 1), in the dtype and on the device of `net`; `kind` is "normal" or "uniform".

    They come from NumPy's global generator: unlike CuPy's its state can be saved, so that a run on a GPU, too, is
    resumed bit for bit. With `config.cuda_graph` they are made on the GPU, whose stream begins anew in each iteration
    of a trainer.
    """
    dtype = dtype_of(net)
    if config.cuda_graph and net.xp is not numpy:
        return getattr(random, kind)(net.xp, shape, dtype)
    numbers = numpy.random.standard_normal(shape) if kind == "normal" else numpy.random.random_sample(shape)
    return net.device.send(numbers.astype(dtype))


def one_hot(net: Any, labels: Any, n: int) -> Any:
    """Classes (N,) as rows of an array (N, n), all of which is 0 but the class; dtype and device are those of `net`."""
    return (labels[:, None] == net.xp.arange(n)).astype(dtype_of(net))


def dtype_of(net: Any) -> Any:
    """What a net computes with: float16 where normalizations alone are float32, float32 before it has any weights."""
    known = (param.dtype for param in net.params() if param.dtype is not None)
    return min(known, key=lambda dtype: dtype.itemsize, default=numpy.dtype(numpy.float32))
