"""Training is what the formulas say: a path worked out by hand is followed, and memory stays flat."""

import gc
import sys

import numpy as np

import minigan.functions as F
import minigan.links as L
from minigan import Chain, Sequential, optimizers

STRIDE, EPS, SLOPE, ALPHA, BETA1, BETA2 = 2, 2e-5, 0.2, 1e-2, 0.5, 0.999


class Net(Chain):
    """Convolution, batch normalisation, leaky ReLU, linear: the pieces of a discriminator."""

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.conv = L.Convolution2D(2, 3, 3, STRIDE, 1)
            self.bn = L.BatchNormalization(3, dtype=np.float64)
            self.fc = L.Linear(27, 1)

    def forward(self, x):
        h = F.leaky_relu(self.bn(self.conv(x)), SLOPE)
        return self.fc(F.reshape(h, (len(x), -1)))


def by_hand(p, x, sign):
    """Loss mean(softplus(-sign D(x))) and its gradients, from loops and the textbook's formulas."""
    n = len(x)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    h = np.zeros((n, 3, 3, 3))
    for i in range(3):
        for j in range(3):
            window = padded[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            h[:, :, i, j] = np.einsum("nckl,ockl->no", window, p["conv/W"]) + p["conv/b"]
    axes, m = (0, 2, 3), n * 9
    mean, var = h.mean(axes, keepdims=True), h.var(axes, keepdims=True)
    xhat = (h - mean) / np.sqrt(var + EPS)
    gamma, beta = p["bn/gamma"][None, :, None, None], p["bn/beta"][None, :, None, None]
    a = gamma * xhat + beta
    r = np.where(a >= 0, a, SLOPE * a)
    flat = r.reshape(n, 27)
    d = flat @ p["fc/W"].T + p["fc/b"]
    loss = np.log1p(np.exp(-sign * d)).mean()

    gd = -sign / (1 + np.exp(sign * d)) / n
    g = {"fc/W": gd.T @ flat, "fc/b": gd.sum(0)}
    ga = (gd @ p["fc/W"]).reshape(r.shape) * np.where(a >= 0, 1, SLOPE)
    g["bn/gamma"], g["bn/beta"] = (ga * xhat).sum(axes), ga.sum(axes)
    gxhat = ga * gamma
    gh = (gxhat - gxhat.sum(axes, keepdims=True) / m - xhat * (gxhat * xhat).sum(axes, keepdims=True) / m) / np.sqrt(
        var + EPS
    )
    g["conv/W"], g["conv/b"] = np.zeros_like(p["conv/W"]), gh.sum(axes)
    for i in range(3):
        for j in range(3):
            window = padded[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            g["conv/W"] += np.einsum("no,nckl->ockl", gh[:, :, i, j], window)
    return loss, g, mean.ravel(), var.ravel() * m / (m - 1)


def test_a_conv_net_follows_the_path_worked_out_by_hand():
    rng = np.random.RandomState(0)
    p = {
        "conv/W": rng.randn(3, 2, 3, 3) * 0.3, "conv/b": np.zeros(3), "bn/gamma": np.ones(3), "bn/beta": np.zeros(3),
        "fc/W": rng.randn(1, 27) * 0.3, "fc/b": np.zeros(1),
    }  # fmt: skip
    net = Net()
    for name, param in net.namedparams():
        param.array = p[name[1:]].copy()
    opt = optimizers.Adam(ALPHA, BETA1, BETA2).setup(net)
    m, v = ({k: np.zeros_like(a) for k, a in p.items()} for _ in range(2))
    running_mean, running_var = np.zeros(3), np.ones(3)
    for t in range(1, 31):
        x, sign = rng.randn(8, 2, 6, 6), 1 if t % 2 else -1
        loss, g, mean, var = by_hand(p, x, sign)
        for k in p:  # Kingma & Ba 2015, algorithm 1, with the step size of its section 2
            m[k] += (1 - BETA1) * (g[k] - m[k])
            v[k] += (1 - BETA2) * (g[k] ** 2 - v[k])
            rate = ALPHA * np.sqrt(1 - BETA2**t) / (1 - BETA1**t)
            if k != "conv/b":  # in front of a normalisation: no true gradient, only rounding noise
                p[k] = p[k] - rate * m[k] / (np.sqrt(v[k]) + 1e-8)
        running_mean += 0.1 * (mean - running_mean)
        running_var += 0.1 * (var - running_var)

        y = F.mean(F.softplus(-sign * net(x)))
        net.cleargrads()
        y.backward()
        np.testing.assert_allclose(net.conv.b.grad, 0, atol=1e-12)
        net.conv.b.cleargrad()
        opt.update()
        np.testing.assert_allclose(y.array, loss, rtol=1e-8)
    for name, param in net.namedparams():
        np.testing.assert_allclose(param.array, p[name[1:]], rtol=1e-6, atol=1e-9, err_msg=name)
    np.testing.assert_allclose(net.bn.avg_mean, running_mean, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(net.bn.avg_var, running_var, rtol=1e-6)


def test_thousands_of_steps_do_not_grow():
    rng = np.random.RandomState(0)
    net = Sequential(L.Linear(4, 8), F.relu, L.Linear(8, 1))
    opt = optimizers.Adam().setup(net)
    x = rng.randn(4, 4).astype("f")

    def train(steps):
        for _ in range(steps):
            opt.update(lambda: F.mean(net(x) ** 2))
        gc.collect()

    train(100)
    blocks, objects = sys.getallocatedblocks(), len(gc.get_objects())
    train(4000)
    # One block in four steps: less than any object; what there is are the interpreter's free lists filling up.
    assert sys.getallocatedblocks() - blocks < 1000
    assert len(gc.get_objects()) - objects < 100
