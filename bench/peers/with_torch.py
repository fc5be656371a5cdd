"""PyTorch: eager; on a GPU also the step as a graph captured by hand, and compiled.

It gets what suits it best: channels last as a variant of the layers, on a GPU for the step, cuDNN's own search and a
fused Adam there.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from functools import partial

import numpy as np
import torch
from chainer_like import latent
from timing import clock
from torch import nn
from torch.nn import functional as F

VERSION, FACTS = torch.__version__, {}
WARM_UP = 5  # three steps before a graph is captured, the capture, a replay
device = torch.device("cpu")


compile_too = False


def setup(device, tf32, compiled):
    global compile_too
    compile_too = compiled
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = True
    if device == "cuda":
        if not torch.cuda.is_available():
            raise ImportError("this build of PyTorch sees no GPU")
        place("cuda")
        FACTS.update(cuda=torch.version.cuda, cudnn=torch.backends.cudnn.version())


def place(name):
    global device
    device = torch.device(name)


def stopwatch(call, loops):
    if device.type == "cpu":
        return clock(call, loops)
    start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(loops):
        call()
    stop.record()
    stop.synchronize()
    return start.elapsed_time(stop) / loops


def device_mb():
    return torch.cuda.max_memory_reserved() / 2**20 if device.type == "cuda" else 0.0


def to_numpy(x):
    return x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else x


def tensors(data):
    return {name: torch.from_numpy(np.array(a)).to(device) for name, a in data.items()}


def roofs(case, data, what, size):
    data = tensors(data)
    if what == "product":
        return {"torch": lambda: data["a"] @ data["b"]}
    target = torch.empty_like(data["a"])
    return {"torch": lambda: target.copy_(data["a"])}


def im2col(case, data, way, n, c, k, stride, pad, size):
    geometry, x = {"kernel_size": k, "stride": stride, "padding": pad}, tensors(data)["x"]
    if way == "im2col":
        return {"torch": (lambda: F.unfold(x, **geometry), lambda col: by_channel(col, n, c, k))}
    col = x.permute(2, 0, 1, 3, 4).reshape(n, c * k * k, -1).contiguous()
    return {"torch": lambda: F.fold(col, (size, size), **geometry)}


def by_channel(col, n, c, k):
    """(N, C kh kw, oh ow) as (C, kh kw, N, oh, ow)."""
    out = round(col.shape[2] ** 0.5)
    return col.reshape(n, c, k * k, out, out).permute(1, 2, 0, 3, 4)


def in_both_layouts(make, data, way):
    """make: from (x, weights...) to y; images as they come, and channels last."""
    found = {}
    for name, layout in (("torch", torch.contiguous_format), ("torch channels last", torch.channels_last)):
        x, *weights, gy = (a.contiguous(memory_format=layout) if a.ndim == 4 else a for a in tensors(data).values())
        if way == "forward":
            found[name] = partial(without_graph, make, x, *weights)
        else:
            inputs = [a.requires_grad_() for a in (x, *weights)]
            found[name] = partial(torch.autograd.grad, make(*inputs), inputs, gy, retain_graph=True)
    return found


def without_graph(make, *inputs):
    with torch.no_grad():
        return make(*inputs)


def batch_norm(case, data, way, **_):
    def make(x, gamma, beta):
        return F.leaky_relu(F.batch_norm(x, None, None, gamma, beta, training=True, eps=case.EPS), case.SLOPE)

    return in_both_layouts(make, data, way)


def convolution(case, data, way, stride, pad, **_):
    return in_both_layouts(lambda x, W: F.conv2d(x, W, None, stride, pad), data, way)


def deconvolution(case, data, way, stride, pad, k, size, **_):
    more = size * stride - (stride * (size - 1) + k - 2 * pad)
    return in_both_layouts(lambda x, W: F.conv_transpose2d(x, W, None, stride, pad, more), data, way)


def elementwise(case, data, what, n):
    data = tensors(data)
    if what == "leaky_relu":
        return {"torch": lambda: F.leaky_relu(data["x"], case.SLOPE)}
    if what == "tanh gradient":
        x = data["x"].requires_grad_()
        return {"torch": partial(torch.autograd.grad, torch.tanh(x), x, data["gy"], retain_graph=True)}
    if what == "normal":
        return {}  # another stream of numbers
    values = [nn.Parameter(data[f"value{i}"]) for i in range(n)]
    for i, value in enumerate(values):
        value.grad = data[f"gradient{i}"]
    optimizer = torch.optim.Adam(values, case.ALPHA, (case.BETA1, case.BETA2), case.EPS, fused=device.type == "cuda")
    return {"torch": lambda: (optimizer.step(), values)[1]}


def book_nets(case, data, size):
    side, act = size // 4, nn.LeakyReLU(case.SLOPE)

    def norm(n):
        return nn.BatchNorm2d(n, eps=case.EPS_BN)

    gen = nn.Sequential(
        nn.Linear(case.Z, 256 * side**2, bias=False), nn.Unflatten(1, (256, side, side)), norm(256), act,
        nn.ConvTranspose2d(256, 128, 3, 2, 1, 1, bias=False), norm(128), act,
        nn.ConvTranspose2d(128, 64, 3, 1, 1, bias=False), norm(64), act,
        nn.ConvTranspose2d(64, 1, 3, 2, 1, 1), nn.Tanh(),
    )  # fmt: skip
    dis = nn.Sequential(
        nn.Conv2d(1, 32, 3, 2, 1), act, nn.Conv2d(32, 64, 3, 2, 1, bias=False), norm(64), act,
        nn.Conv2d(64, 128, 3, 2, 0, bias=False), norm(128), act, nn.Flatten(), nn.Linear(128 * case.top(size) ** 2, 1),
    )  # fmt: skip
    return loaded(data, gen, dis)


def mlp_nets(case, data):
    (a, b, c, d), (e, f, g, h) = case.WIDTHS_GEN, case.WIDTHS_DIS
    act = nn.LeakyReLU(case.SLOPE)
    gen = nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Linear(b, c), nn.ReLU(), nn.Linear(c, d), nn.Tanh())
    return loaded(data, gen, nn.Sequential(nn.Linear(e, f), act, nn.Linear(f, g), act, nn.Linear(g, h)))


def loaded(data, *nets):
    weights = iter([a for name, a in data.items() if name.startswith("W")])
    for layer in [layer for net in nets for layer in net]:
        if hasattr(layer, "weight") and layer.weight.ndim > 1:
            layer.weight.data = torch.from_numpy(next(weights))
            if layer.bias is not None:
                layer.bias.data.zero_()
    layout = torch.channels_last if device.type == "cuda" else torch.preserve_format
    return [net.to(device, memory_format=layout) for net in nets]


def step_of(case, gen, dis, compiled=False):
    """A function of images and two batches of noise that does one training step and returns both losses.

    D pays `r1` times its mean squared slope at the images. The function has its optimizers with it.
    """
    on_gpu, beta2 = device.type == "cuda", getattr(case, "BETA2", 0.999)
    opt_gen, opt_dis = (
        torch.optim.Adam(net.parameters(), alpha, (case.BETA1, beta2), fused=on_gpu, capturable=on_gpu)
        for net, alpha in ((gen, case.ALPHA), (dis, getattr(case, "ALPHA_DIS", case.ALPHA)))
    )
    run_gen, run_dis = (torch.compile(net, mode="reduce-overhead") if compiled else net for net in (gen, dis))

    def step(x, z_dis, z_gen, r1=0.0):
        if compiled:
            torch.compiler.cudagraph_mark_step_begin()
        with torch.no_grad():
            fake = run_gen(z_dis)
        fake = fake.clone() if compiled else fake  # whose memory the next replay takes
        y_real = run_dis(x.requires_grad_() if r1 else x)
        loss_dis = F.softplus(-y_real).mean() + F.softplus(run_dis(fake)).mean()
        if r1:
            (slopes,) = torch.autograd.grad(y_real.sum(), x, create_graph=True)
            loss_dis = loss_dis + r1 * slopes.square().sum() / len(x)
        opt_dis.zero_grad()
        loss_dis.backward()
        opt_dis.step()
        dis.requires_grad_(False)
        loss_gen = F.softplus(-run_dis(run_gen(z_gen))).mean()
        opt_gen.zero_grad()
        loss_gen.backward()
        opt_gen.step()
        dis.requires_grad_(True)
        losses = loss_dis.detach(), loss_gen.detach()
        return [loss.clone() for loss in losses] if compiled else losses

    step.optimizers = opt_gen, opt_dis
    return step


def step_in_forms(case, data, nets):
    arrays = [tensors(data)[name] for name in ("x", "z_dis", "z_gen")]
    if device.type == "cpu":
        return {"torch": partial(step_of(case, *nets()), *arrays)}
    if arrays[0].ndim == 4:
        arrays[0] = arrays[0].contiguous(memory_format=torch.channels_last)
    found = {
        "torch": partial(step_of(case, *nets()), *arrays),
        "torch graph": replayed(partial(step_of(case, *nets()), *arrays)),
    }
    return found | ({"torch compile": partial(step_of(case, *nets(), compiled=True), *arrays)} if compile_too else {})


def replayed(step):
    """PyTorch's manual graph as its documentation makes it: three steps on another stream, capture, replays."""
    graph, results = torch.cuda.CUDAGraph(), []

    def call():
        if len(results) < 3:
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                results.append(step())
            torch.cuda.current_stream().wait_stream(stream)
            return results[-1]
        if len(results) == 3:
            with torch.cuda.graph(graph):
                results.append(step())
        graph.replay()
        return results[3]

    return call


def gan_step(case, data, batch, size):
    return step_in_forms(case, data, lambda: book_nets(case, data, size))


def mlp_step(case, data, batch):
    return step_in_forms(case, data, lambda: mlp_nets(case, data))


def training(case, data, net, batch, iterations):
    """The loop of the tutorials, with a log that is written as often as the others' is."""
    part = case.mlp_step if net == "mlp" else case.gan_step
    gen, dis = mlp_nets(part, data) if net == "mlp" else book_nets(part, data, 28)
    step, images, first, log = step_of(part, gen, dis), torch.from_numpy(data["images"]), [0], []
    np.random.seed(0)
    torch.manual_seed(0)

    def run():
        with tempfile.TemporaryDirectory() as out:
            start, some = time.perf_counter(), []
            for i in range(1, iterations + 1):
                order = torch.arange(first[0], first[0] + batch) % len(images)
                first[0] += batch
                z_dis, z_gen = (torch.from_numpy(latent(batch)).to(device) for _ in range(2))
                some.append(torch.stack(step(images[order].to(device), z_dis, z_gen)))
                if i % case.LOG_EVERY == 0:
                    loss_dis, loss_gen = torch.stack(some).mean(0).tolist()
                    log.append({"iteration": i, "dis/loss": loss_dis, "gen/loss": loss_gen})
                    some.clear()
                    with open(os.path.join(out, "log"), "w") as file:
                        json.dump(log, file)
            return 1e3 * (time.perf_counter() - start) / iterations, log[-1]

    return {"torch": (run, lambda result: np.array([result[1]["dis/loss"], result[1]["gen/loss"]]))}
