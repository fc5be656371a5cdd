"""minigan on the CPU, on a GPU, and on the GPU's way emulated; with it the plain formulas of each case."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import chainer_like as like
import numpy as np
from timing import clock, events

import minigan
from minigan import cuda_graph
from minigan import functions as F
from minigan.backends import cuda
from minigan.configuration import config
from minigan.gans import ARCHITECTURES, GANS, GANUpdater
from minigan.kernels import fused_batch_norm
from minigan.kernels import im2col as windows_of
from minigan.kernels.philox import Generator

VERSION, FACTS = minigan.__version__, {}
WARM_UP = cuda_graph.WARM_UP + 1  # the next call of a captured step is a replay
DEVICES = {"cpu": "@numpy", "cuda": "@cupy:0", "emulator": "@emulator"}
device = minigan.get_device("@numpy")


def setup(device, tf32, **_):
    place(minigan.get_device(DEVICES[device]))
    config.tf32 = tf32
    if device == "cuda":
        runtime = cuda.cupy.cuda.runtime
        FACTS.update(
            gpu=runtime.getDeviceProperties(0)["name"].decode(), cupy=cuda.cupy.__version__,
            cuda=runtime.runtimeGetVersion(), cuda_of_driver=runtime.driverGetVersion(),
        )  # fmt: skip


def place(there):
    global device
    device = there
    there.use()


def stopwatch(call, loops):
    return events(device.xp, call, loops) if device.xp.__name__ == "cupy" else clock(call, loops)


to_numpy = cuda.to_cpu


def device_mb():
    return device.xp.get_default_memory_pool().total_bytes() / 2**20 if device.xp.__name__ == "cupy" else 0.0


def plain(case, data, **arguments):
    """The formulas of the case itself, which are the first that the others are compared with."""
    return case.variants(device.xp, data, **arguments)


def roofs(case, data, what, size):
    """The roof is the fastest of all variants, peers' included."""
    if device.xp is not np:
        data = device.send(data)
        if what == "product":
            return {"minigan": lambda: F.matmul(data["a"], data["b"]).array}
        target = device.xp.empty_like(data["a"])
        return {"CuPy": lambda: device.xp.copyto(target, data["a"])}
    if what == "product":
        return {"NumPy": lambda: data["a"] @ data["b"]}
    threads, target = int(os.environ["OMP_NUM_THREADS"]), np.empty_like(data["a"])
    pool, targets, sources = ThreadPoolExecutor(threads), *(np.array_split(a, threads) for a in (target, data["a"]))
    return {
        "NumPy": lambda: np.copyto(target, data["a"]),
        "NumPy, all threads": lambda: list(pool.map(np.copyto, targets, sources)),
    }


def im2col(case, data, way, k, stride, pad, size, **arguments):
    data = device.send(data)
    found = plain(case, data, way=way, k=k, stride=stride, pad=pad, size=size, **arguments)
    x = data["x"]
    out = windows_of.get_conv_outsize(size, k, stride, pad)
    windows = windows_of.Windows(*((n, n) for n in (k, stride, pad, 1, size, out)))
    if way == "im2col":
        images = windows_of.Images(0, len(x), windows)
        found["minigan"] = lambda: windows_of.columns(x, images)
        if device.xp is not np:
            own = channels_together(x)
            return found | {"minigan own layout": lambda: windows_of.columns(own, images)}
        own = channels_together(x).transpose(0, 2, 3, 1)
        found["minigan own layout"] = lambda: rows_of(own, windows), lambda rows: by_channel(rows, len(x), windows)
        return found
    images = windows_of.Images(0, x.shape[2], windows)
    y = device.xp.empty((x.shape[0], x.shape[2], size, size), x.dtype)
    found["minigan"] = lambda: windows_of.add_columns(x, y, images), lambda _: y.swapaxes(0, 1)
    return found


def rows_of(x, windows):
    """The windows of channels-last images as the rows of a matrix, which a convolution on the CPU multiplies."""
    whole = windows_of.crop(x, [-p for p in windows.pad], [n + 2 * p for n, p in zip(windows.size, windows.pad)])
    return windows_of.im2col(whole, windows.ksize, windows.out_size, windows.stride, windows.dilate, 1)


def by_channel(rows, n, windows):
    """(1, N oh ow, kh kw C) as (C, kh kw, N, oh, ow)."""
    taps = int(np.prod(windows.ksize))
    return rows.reshape(n, *windows.out_size, taps, -1).transpose(4, 3, 0, 1, 2)


def channels_together(a):
    """An image batch as minigan's own layers leave it: channels last on the CPU, channel by channel on a GPU."""
    if device.xp is np:
        return np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return device.xp.ascontiguousarray(a.swapaxes(0, 1)).swapaxes(0, 1)


def in_both_layouts(make, case, data, **arguments):
    """The plain formulas, minigan on images as they come, and on images as its own layers leave them."""
    data = device.send(data)
    own = data | {name: channels_together(data[name]) for name in ("x", "gy")}
    return {**plain(case, data, **arguments), "minigan": make(minigan, case, data, **arguments),
            "minigan own layout": make(minigan, case, own, **arguments)}  # fmt: skip


def batch_norm(case, data, way, **arguments):
    def activate(*inputs):
        return F.batch_normalization(*inputs, eps=case.EPS, activation="leaky_relu", slope=case.SLOPE)

    found = in_both_layouts(like.batch_norm, case, data, way=way, activate=activate, **arguments)
    data = {name: channels_together(a) if a.ndim > 1 else a for name, a in device.send(data).items()}
    inputs, gy = list(data.values())[:3], data["gy"]
    plan = None if device.xp is np else fused_batch_norm.plan(*inputs, (0, 2, 3), "leaky_relu", case.SLOPE)
    if plan is not None:  # without the function around it, which takes longer than the GPU where arrays are small
        _, mean, _, inv_std = fused_batch_norm.forward(plan, *inputs, case.EPS)
        found["minigan kernel"] = {
            "forward": lambda: fused_batch_norm.forward(plan, *inputs, case.EPS)[0],
            "backward": lambda: fused_batch_norm.backward(plan, *inputs, mean, inv_std, gy),
        }[way]
    return found


def convolution(case, data, **arguments):
    return in_both_layouts(like.convolution, case, data, **arguments)


def deconvolution(case, data, **arguments):
    return in_both_layouts(like.deconvolution, case, data, **arguments)


def elementwise(case, data, what, n):
    data = device.send(data)
    found = plain(case, data, what=what, n=n)
    if what == "normal":
        twin, stream = Generator(np, 0), Generator(device.xp, 0)
        return ({} if device.xp is np else {"plain": lambda: twin.normal(n)}) | {"minigan": lambda: stream.normal(n)}
    return found | {"minigan": like.elementwise(minigan, case, data, what=what, n=n)}


def book(lib, case, data, size):
    """The nets of ``minigan train --arch book``, with the weights of the case, on the device."""
    nets = ARCHITECTURES["book"].build(case.Z, 1, size, 64)
    weights = like.weights(data)
    for net in nets:
        for _, param in sorted(net.namedparams(), key=lambda item: int("".join(filter(str.isdigit, item[0])))):
            if param.ndim > 1:  # in the order of the layers, /fc1, /dc2 ... and /c1 ... /fc4
                param.array[...] = next(weights)
        net.to_device(device)
    return nets


def step_in_forms(case, data, nets):
    """As usual and, on a GPU, as one graph; each form has nets of its own."""
    batch = [device.send(data[name]) for name in ("x", "z_dis", "z_gen")]
    found = {"minigan": partial(like.step_of(minigan, case, *nets()), *batch)}
    if device.xp is not np:
        found["minigan graph"] = partial(cuda_graph.capture(like.step_of(minigan, case, *nets())), *batch)
    return found


def gan_step(case, data, batch, size):
    return step_in_forms(case, data, lambda: book(minigan, case, data, size))


def mlp_step(case, data, batch):
    return step_in_forms(case, data, lambda: [net.to_device(device) for net in like.mlp_nets(minigan, case, data)])


def training(case, data, **arguments):
    def updater(lib, iterator, gen, dis, opt_gen, opt_dis):
        gen.latent = lambda n: device.send(like.latent(n))
        return GANUpdater(iterator, {"gen": opt_gen, "dis": opt_dis}, GANS["dcgan"], device=device)

    return {"minigan": like.training(minigan, case, data, updater=updater, book=book, **arguments)}


def agreement(case, data, batch, size, steps):
    """Weights before and after ``steps`` steps: on the CPU in both precisions, and on the device."""

    def run(there, dtype):
        before = device
        place(there)
        try:
            with minigan.using_config("dtype", dtype):
                own = {name: a.astype(dtype) for name, a in data.items()}
                nets = book(minigan, case.gan_step, own, size)
                step = like.step_of(minigan, case.gan_step, *nets)
                images = [there.send(own[name]) for name in ("x", "z_dis", "z_gen")]
                start = weights_of(nets)
                for _ in range(steps):
                    step(*images)
                return [start, weights_of(nets)]
        finally:
            place(before)

    cpu = minigan.get_device("@numpy")
    found = {f"minigan {dtype}, CPU": partial(run, cpu, np.dtype(dtype)) for dtype in ("float64", "float32")}
    return found if device == cpu else found | {f"minigan float32, {device}": partial(run, device, np.dtype("float32"))}


def weights_of(nets):
    params = [param.array for net in nets for _, param in sorted(net.namedparams())]
    return np.concatenate([cuda.to_cpu(a).ravel().astype(np.float64) for a in params])
