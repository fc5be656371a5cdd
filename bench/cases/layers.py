"""The layers of row 5's DCGAN, batch 128: the library's functions against the same sums written plainly."""

import numpy as np

import minigan.functions as F
from minigan.core import Variable

N = 128
CONVOLUTIONS = {  # name: transposed, in, out, stride, pad, size
    "dc1 256-128 s2 7": (True, 256, 128, 2, 1, 7, 14),
    "dc2 128-64 s1 14": (True, 128, 64, 1, 1, 14, 14),
    "c2 32-64 s2 14": (False, 32, 64, 2, 1, 14, 7),
    "c3 64-128 s2 7": (False, 64, 128, 2, 0, 7, 3),
}


def cases(xp):
    """Yield ``(name, variants, gflop)``; every variant returns an array, and all of a case return the same."""
    rng = np.random.RandomState(0)
    for name, (transposed, c_in, c_out, stride, pad, size, out) in CONVOLUTIONS.items():
        x = xp.asarray(rng.randn(N, c_in, size, size).astype("f"))
        W = xp.asarray(rng.randn(*((c_in, c_out) if transposed else (c_out, c_in)), 3, 3).astype("f"))
        gflop = 2e-9 * N * c_in * c_out * 9 * (size if transposed else out) ** 2
        if transposed:
            yield f"deconvolution {name}", {
                "minigan": lambda x=x, W=W, s=stride, p=pad, o=out: F.deconvolution_2d(x, W, None, s, p, (o, o)).array,
                "plain": lambda x=x, W=W, s=stride, p=pad, o=out: plain_deconvolution(xp, x, W, s, p, o),
            }, gflop
        else:
            yield f"convolution {name}", {
                "minigan": lambda x=x, W=W, s=stride, p=pad: F.convolution_2d(x, W, None, s, p).array,
                "plain": lambda x=x, W=W, s=stride, p=pad: plain_convolution(xp, x, W, s, p),
            }, gflop
    for channels, size in ((128, 14), (64, 14)):
        x = xp.asarray(rng.randn(N, size, size, channels).astype("f")).transpose(0, 3, 1, 2)
        gamma, beta = xp.ones(channels, "f"), xp.zeros(channels, "f")
        yield f"batch_normalization {channels}x{size}x{size}", {
            "minigan": lambda x=x, g=gamma, b=beta: F.batch_normalization(Variable(x), g, b).array,
            "plain": lambda x=x: (x - x.mean((0, 2, 3), keepdims=True))
            / xp.sqrt(x.var((0, 2, 3), keepdims=True) + x.dtype.type(2e-5)),
        }, 0.0


def plain_convolution(xp, x, W, stride, pad):
    """Every window against every kernel, as one product of tensors."""
    x = xp.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = xp.lib.stride_tricks.sliding_window_view(x, W.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    return xp.tensordot(windows, W, ((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)


def plain_deconvolution(xp, x, W, stride, pad, out):
    """Every pixel times the kernel, added where it falls."""
    k = W.shape[2]
    parts = xp.tensordot(x, W, ((1,), (0,)))  # N, H, W, O, kh, kw
    y = xp.zeros((len(x), W.shape[1], out + 2 * pad + k, out + 2 * pad + k), x.dtype)
    for i in range(k):
        for j in range(k):
            stop_i, stop_j = i + stride * x.shape[2], j + stride * x.shape[3]
            y[:, :, i:stop_i:stride, j:stop_j:stride] += parts[..., i, j].transpose(0, 3, 1, 2)
    return y[:, :, pad : pad + out, pad : pad + out]
