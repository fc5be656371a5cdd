"""Chainer on the CPU."""

from functools import partial

import chainer
import chainer_like as like
import numpy as np
from chainer import functions as F
from chainer.utils import conv

VERSION = chainer.__version__


def setup(device, **_):
    if device != "cpu":
        raise ImportError("it is compared on the CPU only")


def im2col(case, data, way, k, stride, pad, size, **_):
    x, s = data["x"], (k, k, stride, stride, pad, pad)
    if way == "im2col":
        return {"chainer": (lambda: conv.im2col_cpu(x, *s), by_channel)}
    x = np.ascontiguousarray(x.reshape(x.shape[0], k, k, *x.shape[2:]).transpose(3, 0, 1, 2, 4, 5))
    return {"chainer": lambda: conv.col2im_cpu(x, *s[2:], size, size)}


def by_channel(col):
    """(N, C, kh, kw, oh, ow) as (C, kh kw, N, oh, ow)."""
    n, c, k, _, *out = col.shape
    return col.reshape(n, c, k * k, *out).transpose(1, 2, 0, 3, 4)


def batch_norm(case, data, **arguments):
    def activate(*inputs):
        return F.leaky_relu(F.batch_normalization(*inputs, eps=case.EPS), slope=case.SLOPE)

    return {"chainer": like.batch_norm(chainer, case, data, activate=activate, **arguments)}


def convolution(case, data, **arguments):
    return {"chainer": like.convolution(chainer, case, data, **arguments)}


def deconvolution(case, data, **arguments):
    return {"chainer": like.deconvolution(chainer, case, data, **arguments)}


def elementwise(case, data, **arguments):
    call = like.elementwise(chainer, case, data, **arguments)
    return {"chainer": call} if call else {}


def gan_step(case, data, batch, size):
    step = like.step_of(chainer, case, *like.book_nets(chainer, case, data, size))
    return {"chainer": partial(step, data["x"], data["z_dis"], data["z_gen"])}


def mlp_step(case, data, batch):
    step = like.step_of(chainer, case, *like.mlp_nets(chainer, case, data))
    return {"chainer": partial(step, data["x"], data["z_dis"], data["z_gen"])}


def training(case, data, **arguments):
    return {"chainer": like.training(chainer, case, data, **arguments)}
