"""``PYTHON quality_torch.py SETTINGS IMAGES.npy SAMPLES.npz``: minigan's DCGAN in PyTorch, for so many seconds.

Nets, first weights, Adam's numbers, batches, the penalty on D's slope and the averaged generator are those of
`minigan train dcgan`. Its clock, the process's own, starts with the first batch and stops after the last; a step size
that falls is told the time by it. ``bench/quality.py`` asks and measures.
"""

import copy
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

sys.path.append(str(Path(__file__).resolve().parents[1]))

from with_torch import setup, step_of  # noqa: E402

ADAM = ("alpha", "alpha_dis", "beta1", "beta2")
KNOWN = {"gan", "arch", "size", "channels", "width", "z_dim", "batch_size", "ema", "steps", "seed", "n", "parameters",
         "seconds", "r1", "r1_every", "schedule", *ADAM}  # fmt: skip
EPS_BN, SLOPE, LAYERS = 2e-5, 0.2, {"small": 2, "deep": 3, "fine": 3}


def nets(width, z_dim, layers, finer):
    """`SmallGenerator` or `FineGenerator`; `SmallDiscriminator` (2 layers) or `DeepDiscriminator` (3); for 28 x 28."""

    def normalized(c, *layer):
        return [*layer, nn.BatchNorm2d(c, EPS_BN), nn.ReLU()]

    def again(c):
        return normalized(c, nn.Conv2d(c, c, 3, padding=1, bias=False)) if finer else []

    gen = nn.Sequential(
        nn.Linear(z_dim, 2 * width * 49, bias=False), nn.Unflatten(1, (2 * width, 7, 7)),
        *normalized(2 * width), *again(2 * width),
        *normalized(width, nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False)), *again(width),
        nn.ConvTranspose2d(width, 1, 4, 2, 1), nn.Tanh(),
    )  # fmt: skip
    dis = nn.Sequential(nn.Conv2d(1, width, 4, 2, 1), nn.LeakyReLU(SLOPE))
    for c in [width << i for i in range(layers - 1)]:
        dis.extend([nn.Conv2d(c, 2 * c, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * c, EPS_BN), nn.LeakyReLU(SLOPE)])
    dis.extend([nn.Flatten(), nn.Linear(2 * c * (28 >> layers) ** 2, 1)])
    for layer in [*gen, *dis]:
        if getattr(layer, "weight", None) is not None and layer.weight.ndim > 1:
            nn.init.normal_(layer.weight, std=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    nn.init.uniform_(dis[0].bias, -0.25, 0.25)
    return gen, dis


def follow(average, net, step, decay):
    """The average's weights and running statistics move towards the net's."""
    rate = 1 - min(decay, (1 + step) / (10 + step))
    mean, now = ([a for a in each.state_dict().values() if a.is_floating_point()] for each in (average, net))
    torch._foreach_lerp_(mean, now, rate)


def batches(images, size):
    """Images in [-1, 1], each once in an epoch."""
    left = torch.empty(0, dtype=torch.long)
    while True:
        while len(left) < size:
            left = torch.cat([left, torch.randperm(len(images))])
        now, left = left[:size], left[size:]
        yield images[now]


def main(settings, source, target):
    schedule = settings.get("schedule", "constant")
    if settings.keys() - KNOWN or settings["arch"] not in LAYERS or schedule not in ("constant", "linear"):
        sys.exit(f"this loop knows the nets {', '.join(LAYERS)}, step sizes that are constant or fall linearly, and "
                 f"{', '.join(sorted(KNOWN))}; got {settings}")  # fmt: skip
    asked = SimpleNamespace(**settings)
    setup("cpu", False, False)
    torch.manual_seed(asked.seed)
    gen, dis = nets(asked.width, asked.z_dim, LAYERS[asked.arch], asked.arch == "fine")
    counts = [sum(p.numel() for p in net.parameters()) for net in (gen, dis)]
    if counts != asked.parameters:
        sys.exit(f"this net has {counts} weights, minigan's {asked.parameters}: they are not the same")
    images = torch.from_numpy(np.load(source)[:, None].astype("f") / 127.5 - 1)
    case = SimpleNamespace(**{name.upper(): settings[name] for name in ADAM})
    step, average, steps = step_of(case, gen, dis), copy.deepcopy(gen), 0
    feed = batches(images, asked.batch_size)
    started, clock = time.perf_counter(), time.process_time()
    every, gamma, alphas = settings.get("r1_every", 1), settings.get("r1", 0.0), (asked.alpha, asked.alpha_dis)
    while (used := time.process_time() - clock) < asked.seconds:
        if schedule == "linear":  # to 0 in the second half
            for optimizer, alpha in zip(step.optimizers, alphas):
                optimizer.param_groups[0]["lr"] = alpha * min(1, 2 * (1 - used / asked.seconds))
        noise = (torch.randn(asked.batch_size, asked.z_dim) for _ in range(2))
        step(next(feed), *noise, r1=0.0 if steps % every else every * gamma / 2)
        steps += 1
        follow(average, gen, steps, settings.get("ema", 0.0))
    seconds = time.perf_counter() - started
    average.eval()
    with torch.no_grad():
        made = torch.cat([average(torch.randn(250, asked.z_dim)) for _ in range(-(-asked.n // 250))])[: asked.n, 0]
    np.savez_compressed(target, images=((made + 1) * 127.5).round().byte().numpy())
    print(json.dumps({"steps": steps, "seconds": seconds, "processor_seconds": used, "torch": torch.__version__}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), *sys.argv[2:])
