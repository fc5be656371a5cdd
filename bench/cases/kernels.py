"""Our kernels against plain array formulas of the same library, and against the copy bandwidth of the same run.

Bytes are those that must move: what is read once and written once. Goals: im2col, col2im and batch normalisation at
0.85 of the copy bandwidth or more where an array is larger than the L2 cache.
"""

import itertools
import math

import numpy as np

from minigan.kernels import batch_norm
from minigan.kernels import fused_batch_norm as fused
from minigan.kernels.activation import fused as activation
from minigan.kernels.im2col import Images, Windows, add_columns, columns, get_conv_outsize
from minigan.kernels.launch import turned_off
from minigan.kernels.optimizers import Step
from minigan.kernels.philox import Generator
from minigan.kernels.workspace import array_module

SLOPE = 0.2

IMAGES = {  # images, channels, size, kernel, stride, pad
    "64x64x64 k4 s2": (128, 64, 64, 4, 2, 1), "64x32x32 k4 s2": (128, 64, 32, 4, 2, 1),
    "128x14x14 k3 s1": (128, 128, 14, 3, 1, 1), "64x28x28 k3 s2": (128, 64, 28, 3, 2, 1),
}  # fmt: skip
NORMALISED = {"64x64x64": (128, 64, 64), "64x32x32": (128, 64, 32), "128x14x14": (128, 128, 14)}
QUICK = 16  # what sizes are divided by, to see that everything works


def cases(xp, quick=False):
    """Yield ``(name, variants, bytes)``; every variant returns an array, and all of a case return the same."""
    shrink = QUICK if quick else 1

    def random(*shape):
        return xp.asarray(np.random.RandomState(0).standard_normal(shape).astype("f"))

    for megabytes in (64 // shrink, 512 // shrink):
        source = xp.zeros(megabytes << 18, "f")
        target = xp.empty_like(source)
        yield f"copy {megabytes} MB", {"copy": lambda s=source, t=target: copied(s, t)}, 2 * source.nbytes

    for name, (n, c, size, k, stride, pad) in IMAGES.items():
        n, c = max(1, n // shrink), max(1, c // shrink)
        out = get_conv_outsize(size, k, stride, pad)
        windows = Windows((k, k), (stride,) * 2, (pad,) * 2, (1, 1), (size,) * 2, (out,) * 2)
        x, images = random(c, n, size, size).swapaxes(0, 1), Images(0, n, windows)
        col, y = columns(x, images), xp.empty((c, n, size, size), "f")
        size_of_both = x.nbytes + col.nbytes
        yield f"im2col {name}", two_ways(lambda x=x, i=images: columns(x, i)), size_of_both
        yield f"col2im {name}", two_ways(lambda c=col, y=y, i=images: added(c, y, i)), size_of_both

    for name, (n, c, size) in NORMALISED.items():
        n, c = max(1, n // shrink), max(1, c // shrink)
        x, gy = random(c, n, size, size).swapaxes(0, 1), random(c, n, size, size).swapaxes(0, 1)
        arguments = x, random(c), random(c)
        plan = fused.plan(*arguments, (0, 2, 3), "leaky_relu", SLOPE)
        _, mean, _, inv_std = fused.forward(plan, *arguments, 2e-5)
        yield f"bn+lrelu forward {name}", {
            "minigan": lambda p=plan, a=arguments: fused.forward(p, *a, 2e-5)[0],
            "plain": lambda a=arguments: activated(batch_norm.forward(*a)[0]),
        }, 3 * x.nbytes
        yield f"bn+lrelu backward {name}", {
            "minigan": lambda p=plan, a=(*arguments, mean, inv_std, gy): fused.backward(p, *a)[0],
            "plain": lambda a=(*arguments, mean, inv_std, gy): plain_backward(*a),
        }, 5 * x.nbytes

    numbers = (1 << 26) // shrink**2
    x = random(numbers // 4)
    yield "leaky_relu", {
        "minigan": lambda: activation("leaky_relu", x, numbers=(SLOPE,)), "plain": lambda: activated(x),
    }, 2 * x.nbytes  # fmt: skip
    yield "tanh_grad", {
        "minigan": lambda: activation("tanh_grad", x, x), "plain": lambda: (1 - x * x) * x,
    }, 3 * x.nbytes  # fmt: skip
    stream = Generator(xp, 0)
    yield "philox uniform", {"minigan": lambda: stream.uniform(numbers)}, 4 * numbers
    yield "philox normal", {"minigan": lambda: stream.normal(numbers)}, 4 * numbers
    shapes = [(1152 * 100,), (256, 128, 3, 3), (128, 64, 3, 3), (12544, 100), (64,), (128,)]
    tensors = [[random(*shape) * 0.01, random(*shape), xp.zeros(shape, "f"), xp.ones(shape, "f")] for shape in shapes]
    step, done = Step("adam", xp), itertools.count()
    moved = 28 * sum(math.prod(shape) for shape in shapes)
    yield "adam, 6 parameters", {"minigan": lambda: stepped(step, tensors, next(done))}, moved


def activated(h):
    return array_module(h).where(h > 0, h, h * h.dtype.type(SLOPE))


def plain_backward(x, gamma, beta, mean, inv_std, gy):
    shape = (1, -1, 1, 1)
    h = (x - mean.reshape(shape)) * (gamma * inv_std).reshape(shape) + beta.reshape(shape)
    g = array_module(x).where(h > 0, gy, gy * gy.dtype.type(SLOPE)).astype(x.dtype)
    return batch_norm.backward(x, gamma, mean, inv_std, g)[0]


def copied(source, target):
    target[...] = source
    return target


def added(col, y, images):
    add_columns(col, y, images)
    return y


def stepped(step, tensors, t):
    step(tensors, (1e-3, 0.9, 0.999, 1e-8, 1.0, 0.0, float(t)))
    return tensors[0][0]


def off(call):
    def run():
        with turned_off():
            return call()

    return run


def two_ways(call):
    return {"minigan": call, "plain": off(call)}
