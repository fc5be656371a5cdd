"""Row 5's training step on one GPU, eager and as one graph, by minigan and by PyTorch, in one process and in turn.

All get the same weights, images and noise, which lie on the GPU, and none has a bias in front of a normalisation.
PyTorch gets what suits it best: channels last, cuDNN's own search, a fused Adam.
"""

import sys
from pathlib import Path

import numpy as np

from minigan import cuda_graph, functions, optimizers
from minigan.configuration import no_backprop_mode
from minigan.core import grad
from minigan.gans.nets import ARCHITECTURES

sys.path.append(str(Path(__file__).resolve().parents[1] / "peers"))
import recipe  # noqa: E402


def variants(device, tf32, compiled, n=recipe.BATCH, width=64):
    """Return name -> (a function that does a step and gives both losses); PyTorch's only where it has a GPU.

    compiled: with ``torch.compile``, too, which takes a minute or two. n, width: images in a batch, and of minigan's
    nets; less is for a look at whether it works.
    """
    batch = [a[:n] for a in recipe.batch(0)]
    found = {
        "minigan eager": ours(device, batch, width),
        "minigan graph": ours(device, batch, width, cuda_graph.capture),
    }
    try:
        import torch
    except ImportError:
        return found
    if device.xp.__name__ == "cupy" and torch.cuda.is_available():
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        torch.backends.cudnn.benchmark = True
        found |= {"torch eager": theirs(torch, batch), "torch graph": theirs(torch, batch, replayed)}
        if compiled:
            found["torch compile"] = theirs(torch, batch, net=lambda x: torch.compile(x, mode="reduce-overhead"))
    return found


def ours(device, batch, width, made=lambda step: step):
    gen, dis = ARCHITECTURES["book"].build(recipe.Z, 1, 28, width)
    weights = iter(recipe.weights())
    for net in (gen, dis):
        for _, param in sorted(net.namedparams(), key=lambda item: order(item[0])):
            if param.ndim > 1:
                param.array[...] = next(weights)[tuple(map(slice, param.shape))]
        net.to_device(device)
    opt_gen, opt_dis = (optimizers.Adam(recipe.ALPHA, recipe.BETA1).setup(net) for net in (gen, dis))

    def step(x, z_dis, z_gen):
        with no_backprop_mode():
            x_fake = gen(z_dis).array
        loss_dis = functions.mean(functions.softplus(-dis(x))) + functions.mean(functions.softplus(dis(x_fake)))
        dis.cleargrads()
        loss_dis.backward()
        opt_dis.update()
        x_fake = gen(z_gen)
        loss_gen = functions.mean(functions.softplus(-dis(x_fake)))
        gen.cleargrads()
        (x_fake.grad_var,) = grad([loss_gen], [x_fake])
        x_fake.backward()
        opt_gen.update()
        return loss_dis.array, loss_gen.array

    step, arrays = made(step), [device.send(a) for a in batch]
    return lambda: step(*arrays)


def order(path):
    """Layers in the order in which they follow each other: /fc1, /dc2 ... and /c1 ... /fc4 by their number."""
    return int("".join(filter(str.isdigit, path)))


def theirs(torch, batch, made=lambda torch, step: step, net=lambda x: x):
    from torch import nn
    from torch.nn.functional import softplus

    act = nn.LeakyReLU(recipe.SLOPE)

    def norm(n):
        return nn.BatchNorm2d(n, eps=recipe.EPS_BN)

    gen = nn.Sequential(
        nn.Linear(recipe.Z, 7 * 7 * 256, bias=False), nn.Unflatten(1, (256, 7, 7)), norm(256), act,
        nn.ConvTranspose2d(256, 128, 3, 2, 1, 1, bias=False), norm(128), act,
        nn.ConvTranspose2d(128, 64, 3, 1, 1, bias=False), norm(64), act,
        nn.ConvTranspose2d(64, 1, 3, 2, 1, 1), nn.Tanh(),
    )  # fmt: skip
    dis = nn.Sequential(
        nn.Conv2d(1, 32, 3, 2, 1), act, nn.Conv2d(32, 64, 3, 2, 1, bias=False), norm(64), act,
        nn.Conv2d(64, 128, 3, 2, 0, bias=False), norm(128), act, nn.Flatten(), nn.Linear(1152, 1),
    )  # fmt: skip
    weights = iter(recipe.weights())
    for layer in [*gen, *dis]:
        if hasattr(layer, "weight") and layer.weight.ndim > 1:
            layer.weight.data = torch.from_numpy(next(weights))
            if layer.bias is not None:
                layer.bias.data.zero_()
    gen, dis = (x.cuda().to(memory_format=torch.channels_last) for x in (gen, dis))
    opt_gen, opt_dis = (
        torch.optim.Adam(x.parameters(), recipe.ALPHA, (recipe.BETA1, 0.999), fused=True, capturable=True)
        for x in (gen, dis)
    )
    run_gen, run_dis = net(gen), net(dis)

    def step(x, z_dis, z_gen):
        torch.compiler.cudagraph_mark_step_begin()
        with torch.no_grad():
            fake = run_gen(z_dis).clone()
        loss_dis = softplus(-run_dis(x)).mean() + softplus(run_dis(fake)).mean()
        opt_dis.zero_grad()
        loss_dis.backward()
        opt_dis.step()
        dis.requires_grad_(False)
        loss_gen = softplus(-run_dis(run_gen(z_gen))).mean()
        opt_gen.zero_grad()
        loss_gen.backward()
        opt_gen.step()
        dis.requires_grad_(True)
        return loss_dis.detach().clone(), loss_gen.detach().clone()

    arrays = [torch.from_numpy(np.ascontiguousarray(a)).cuda() for a in batch]
    arrays[0] = arrays[0].to(memory_format=torch.channels_last)
    return made(torch, lambda: step(*arrays))


def replayed(torch, step):
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
