"""The step of ``recipe`` in PyTorch, eager, on the CPU."""

import recipe
import torch
from torch import nn
from torch.nn.functional import softplus


def build():
    def norm(n):
        return nn.BatchNorm2d(n, eps=recipe.EPS_BN)

    act = nn.LeakyReLU(recipe.SLOPE)
    gen = nn.Sequential(
        nn.Linear(recipe.Z, 7 * 7 * 256), nn.Unflatten(1, (256, 7, 7)), norm(256), act,
        nn.ConvTranspose2d(256, 128, 3, 2, 1, 1), norm(128), act,
        nn.ConvTranspose2d(128, 64, 3, 1, 1), norm(64), act,
        nn.ConvTranspose2d(64, 1, 3, 2, 1, 1), nn.Tanh(),
    )  # fmt: skip
    dis = nn.Sequential(
        nn.Conv2d(1, 32, 3, 2, 1), act, nn.Conv2d(32, 64, 3, 2, 1), norm(64), act,
        nn.Conv2d(64, 128, 3, 2, 0), norm(128), act, nn.Flatten(), nn.Linear(1152, 1),
    )  # fmt: skip
    weights = iter(recipe.weights())
    for layer in [*gen, *dis]:
        if hasattr(layer, "weight") and layer.weight.ndim > 1:
            layer.weight.data = torch.from_numpy(next(weights))
            layer.bias.data.zero_()
    return gen, dis


gen, dis = build()
opt_gen, opt_dis = (
    torch.optim.Adam(net.parameters(), recipe.ALPHA, (recipe.BETA1, 0.999)) for net in (gen, dis)
)


def step(x, z_dis, z_gen):
    x, z_dis, z_gen = (torch.from_numpy(a) for a in (x, z_dis, z_gen))
    with torch.no_grad():
        fake = gen(z_dis)
    loss_dis = softplus(-dis(x)).mean() + softplus(dis(fake)).mean()
    opt_dis.zero_grad()
    loss_dis.backward()
    opt_dis.step()
    for p in dis.parameters():
        p.requires_grad_(False)
    loss_gen = softplus(-dis(gen(z_gen))).mean()
    opt_gen.zero_grad()
    loss_gen.backward()
    opt_gen.step()
    for p in dis.parameters():
        p.requires_grad_(True)
    return loss_dis.item(), loss_gen.item()


recipe.run("pytorch", torch.__version__, step)
