"""What Chainer and minigan share: the same lines for both, ``lib`` being one or the other.

Images come as (N, C, H, W) arrays. In the generator's turn both ask for the gradient of the images first, so that none
of D's parameters is computed, and carry it on from there.
"""

from __future__ import annotations

import importlib
import tempfile
import time
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np


def parts(lib: ModuleType) -> SimpleNamespace:
    names = {"F": "functions", "L": "links", "O": "optimizers", "T": "training", "I": "iterators"}
    found = {short: importlib.import_module(f"{lib.__name__}.{name}") for short, name in names.items()}
    extensions = importlib.import_module(f"{lib.__name__}.training.extensions")
    return SimpleNamespace(**found, extensions=extensions)


def batch_norm(lib, case, data, way, activate, **_):
    """activate: what normalises and activates (x, gamma, beta)."""
    x, gamma, beta, gy = data.values()
    if way == "forward":
        return lambda: activate(x, gamma, beta).array
    inputs = [lib.Variable(a) for a in (x, gamma, beta)]
    return gradients(lib, activate(*inputs), inputs, gy)


def convolution(lib, case, data, way, stride, pad, **_):
    F, (x, W, gy) = parts(lib).F, data.values()
    if way == "forward":
        return lambda: F.convolution_2d(x, W, None, stride, pad).array
    inputs = [lib.Variable(a) for a in (x, W)]
    return gradients(lib, F.convolution_2d(*inputs, None, stride, pad), inputs, gy)


def deconvolution(lib, case, data, way, stride, pad, **_):
    F, (x, W, gy) = parts(lib).F, data.values()
    if way == "forward":
        return lambda: F.deconvolution_2d(x, W, None, stride, pad, gy.shape[2:]).array
    inputs = [lib.Variable(a) for a in (x, W)]
    return gradients(lib, F.deconvolution_2d(*inputs, None, stride, pad, gy.shape[2:]), inputs, gy)


def gradients(lib, y, inputs, gy):
    gy = lib.Variable(gy)
    return lambda: [g.array for g in lib.grad([y], inputs, [gy])]


def elementwise(lib, case, data, what, n, **_):
    F = parts(lib).F
    if what == "leaky_relu":
        return lambda: F.leaky_relu(data["x"], slope=case.SLOPE).array
    if what == "tanh gradient":
        x = lib.Variable(data["x"])
        y, gy = F.tanh(x), lib.Variable(data["gy"])
        return lambda: lib.grad([y], [x], [gy])[0].array
    if what != "adam":
        return None
    link = lib.Link()
    with link.init_scope():
        for i in range(n):
            setattr(link, f"value{i}", lib.Parameter(data[f"value{i}"].copy()))
    link.to_device(lib.backend.get_device_from_array(data["gradient0"]))
    optimizer = parts(lib).O.Adam(case.ALPHA, case.BETA1, case.BETA2, case.EPS).setup(link)
    for i in range(n):
        getattr(link, f"value{i}").grad = data[f"gradient{i}"]

    def step():
        optimizer.update()
        return [getattr(link, f"value{i}").array for i in range(n)]

    return step


def book_nets(lib, case, data, size):
    """The DCGAN of gan_step with its weights."""
    F, L = parts(lib).F, parts(lib).L
    w, side = weights(data), size // 4

    def act(x):
        return F.leaky_relu(x, slope=case.SLOPE)

    def normalise(link, x):  # in minigan one function, the same arithmetic
        own = lib.__name__ == "minigan"
        return link(x, activation="leaky_relu", slope=case.SLOPE) if own else act(link(x))

    class Generator(lib.Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.l0 = L.Linear(case.Z, 256 * side**2, nobias=True, initialW=next(w))
                self.bn0, self.bn1, self.bn2 = (L.BatchNormalization(n) for n in (256, 128, 64))
                self.dc1 = L.Deconvolution2D(256, 128, 3, 2, 1, nobias=True, outsize=2 * (2 * side,), initialW=next(w))
                self.dc2 = L.Deconvolution2D(128, 64, 3, 1, 1, nobias=True, initialW=next(w))
                self.dc3 = L.Deconvolution2D(64, 1, 3, 2, 1, outsize=(size, size), initialW=next(w))

        def forward(self, z):
            h = normalise(self.bn0, F.reshape(self.l0(z), (len(z), 256, side, side)))
            h = normalise(self.bn2, self.dc2(normalise(self.bn1, self.dc1(h))))
            return F.tanh(self.dc3(h))

    class Discriminator(lib.Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.c1 = L.Convolution2D(1, 32, 3, 2, 1, initialW=next(w))
                self.c2 = L.Convolution2D(32, 64, 3, 2, 1, nobias=True, initialW=next(w))
                self.c3 = L.Convolution2D(64, 128, 3, 2, 0, nobias=True, initialW=next(w))
                self.bn2, self.bn3 = L.BatchNormalization(64), L.BatchNormalization(128)
                self.l4 = L.Linear(None, 1, initialW=next(w))

        def forward(self, x):
            h = normalise(self.bn2, self.c2(act(self.c1(x))))
            h = normalise(self.bn3, self.c3(h))
            return self.l4(F.reshape(h, (len(h), -1)))

    return Generator(), Discriminator()


def mlp_nets(lib, case, data):
    """The nets of mlp_step with their weights."""
    F, L, w = parts(lib).F, parts(lib).L, weights(data)

    class Layers(lib.Chain):
        def __init__(self, widths, hidden, last):
            super().__init__()
            self.hidden, self.last = hidden, last
            with self.init_scope():
                self.l1, self.l2, self.l3 = (L.Linear(a, b, initialW=next(w)) for a, b in zip(widths, widths[1:]))

        def forward(self, x):
            return self.last(self.l3(self.hidden(self.l2(self.hidden(self.l1(x))))))

    gen = Layers(case.WIDTHS_GEN, F.relu, F.tanh)
    return gen, Layers(case.WIDTHS_DIS, lambda x: F.leaky_relu(x, slope=case.SLOPE), lambda x: x)


def weights(data):
    return iter([a for name, a in data.items() if name.startswith("W")])


def adam(lib, case, *nets):
    return [parts(lib).O.Adam(case.ALPHA, case.BETA1).setup(net) for net in nets]


def step_of(lib, case, gen, dis):
    """A function of images and two batches of noise that does one training step and returns both losses."""
    F, (opt_gen, opt_dis) = parts(lib).F, adam(lib, case, gen, dis)

    def step(x, z_dis, z_gen):
        with lib.no_backprop_mode():
            x_fake = gen(z_dis).array
        loss_dis = F.mean(F.softplus(-dis(x))) + F.mean(F.softplus(dis(x_fake)))
        dis.cleargrads()
        loss_dis.backward()
        opt_dis.update()
        loss_gen = generator_turn(lib, F, gen, dis, opt_gen, z_gen)
        return loss_dis.array, loss_gen.array

    return step


def generator_turn(lib, F, gen, dis, opt_gen, z):
    x_fake = gen(z)
    loss = F.mean(F.softplus(-dis(x_fake)))
    gen.cleargrads()
    (x_fake.grad_var,) = lib.grad([loss], [x_fake])
    x_fake.backward()
    opt_gen.update()
    return loss


def latent(n, z_dim=100):
    return np.random.standard_normal((n, z_dim)).astype("f")


def plain_updater(lib, iterator, gen, dis, opt_gen, opt_dis):
    """The updater of a Chainer GAN script."""
    F = parts(lib).F

    class Updater(parts(lib).T.StandardUpdater):
        def update_core(self):
            x = self.converter(self.get_iterator("main").next(), self.device)
            with lib.no_backprop_mode():
                x_fake = gen(latent(len(x))).array
            loss_dis = F.mean(F.softplus(-dis(x))) + F.mean(F.softplus(dis(x_fake)))
            dis.cleargrads()
            loss_dis.backward()
            opt_dis.update()
            lib.report({"loss": loss_dis}, dis)
            lib.report({"loss": generator_turn(lib, F, gen, dis, opt_gen, latent(len(x)))}, gen)

    return Updater(iterator, {"gen": opt_gen, "dis": opt_dis})


def training(lib, case, data, net, batch, iterations, updater=plain_updater, book=book_nets):
    """A callable that trains on and gives (milliseconds of an iteration, losses of the last entry in the log)."""
    gen, dis = mlp_nets(lib, case.mlp_step, data) if net == "mlp" else book(lib, case.gan_step, data, 28)
    iterator = parts(lib).I.SerialIterator(data["images"], batch, shuffle=False)
    optimizers = adam(lib, case.mlp_step if net == "mlp" else case.gan_step, gen, dis)
    np.random.seed(0)
    updater = updater(lib, iterator, gen, dis, *optimizers)

    def run():
        with tempfile.TemporaryDirectory() as out:
            trainer = parts(lib).T.Trainer(updater, (updater.iteration + iterations, "iteration"), out)
            log = parts(lib).extensions.LogReport(trigger=(case.LOG_EVERY, "iteration"))
            trainer.extend(log)
            start = time.perf_counter()
            trainer.run()
            return 1e3 * (time.perf_counter() - start) / iterations, log.log[-1]

    return run, losses


def losses(result: tuple[float, Any]) -> np.ndarray:
    return np.array([result[1]["dis/loss"], result[1]["gen/loss"]])
