"""DeZero on the CPU: whole training steps. It cannot leave out the gradients of D's weights in the generator's turn."""

from functools import partial

import dezero
import dezero.functions as F
import dezero.layers as L
import numpy as np

VERSION = dezero.__version__


def setup(device, **_):
    if device != "cpu":
        raise ImportError("it is compared on the CPU only")


def softplus(x):
    return F.log(1 + F.exp(x))


def layer(kind, *arguments, W):
    """A layer that begins with these weights; DeZero keeps W of Linear as (in, out)."""
    made = kind(*arguments)
    made.W.data = W.T.copy() if kind is L.Linear else W
    return made


class Book(dezero.Model):
    def __init__(self, case, data, size, generator):
        super().__init__()
        w = [data[f"W{i}"] for i in range(8)]
        self.slope, self.side, self.generator = case.SLOPE, size // 4, generator
        if generator:
            self.l0 = layer(L.Linear, 256 * self.side**2, True, np.float32, case.Z, W=w[0])
            self.dc1 = layer(L.Deconv2d, 128, 3, 2, 1, True, np.float32, 256, W=w[1])
            self.dc2 = layer(L.Deconv2d, 64, 3, 1, 1, True, np.float32, 128, W=w[2])
            self.dc3 = layer(L.Deconv2d, 1, 3, 2, 1, False, np.float32, 64, W=w[3])
            self.sizes = (size // 2,) * 2, (size,) * 2
        else:
            self.c1 = layer(L.Conv2d, 32, 3, 2, 1, False, np.float32, 1, W=w[4])
            self.c2 = layer(L.Conv2d, 64, 3, 2, 1, True, np.float32, 32, W=w[5])
            self.c3 = layer(L.Conv2d, 128, 3, 2, 0, True, np.float32, 64, W=w[6])
            self.l4 = layer(L.Linear, 1, False, np.float32, w[7].shape[1], W=w[7])
        self.bn0, self.bn1, self.bn2 = L.BatchNorm(), L.BatchNorm(), L.BatchNorm()

    def act(self, x):
        return F.leaky_relu(x, self.slope)

    def forward(self, x):
        if not self.generator:
            h = self.act(self.bn1(self.c2(self.act(self.c1(x)))))
            return self.l4(F.reshape(self.act(self.bn2(self.c3(h))), (len(x), -1)))
        h = self.act(self.bn0(F.reshape(self.l0(x), (len(x), 256, self.side, self.side))))
        h = self.act(self.bn1(F.deconv2d(h, self.dc1.W, None, 2, 1, self.sizes[0])))
        h = self.act(self.bn2(self.dc2(h)))
        return F.tanh(F.deconv2d(h, self.dc3.W, self.dc3.b, 2, 1, self.sizes[1]))


class Layers(dezero.Model):
    def __init__(self, widths, weights, hidden, last):
        super().__init__()
        self.hidden, self.last = hidden, last
        for i, (a, b, W) in enumerate(zip(widths, widths[1:], weights)):
            setattr(self, f"l{i}", layer(L.Linear, b, False, np.float32, a, W=W))

    def forward(self, x):
        return self.last(self.l2(self.hidden(self.l1(self.hidden(self.l0(x))))))


def step_of(case, data, gen, dis):
    opt_gen, opt_dis = (dezero.optimizers.Adam(case.ALPHA, case.BETA1).setup(net) for net in (gen, dis))

    def step(x, z_dis, z_gen):
        with dezero.no_grad():
            fake = gen(z_dis).data
        loss_dis = mean(softplus(-dis(x))) + mean(softplus(dis(fake)))
        dis.cleargrads()
        loss_dis.backward()
        opt_dis.update()
        loss_gen = mean(softplus(-dis(gen(z_gen))))
        gen.cleargrads()
        dis.cleargrads()
        loss_gen.backward()
        opt_gen.update()
        return loss_dis.data, loss_gen.data

    return {"dezero": partial(step, data["x"], data["z_dis"], data["z_gen"])}


def mean(x):
    return F.sum(x) * np.float32(1 / x.size)


def gan_step(case, data, batch, size):
    return step_of(case, data, Book(case, data, size, True), Book(case, data, size, False))


def mlp_step(case, data, batch):
    weights = [data[f"W{i}"] for i in range(6)]
    gen = Layers(case.WIDTHS_GEN, weights[:3], F.relu, F.tanh)
    dis = Layers(case.WIDTHS_DIS, weights[3:], lambda x: F.leaky_relu(x, case.SLOPE), lambda x: x)
    return step_of(case, data, gen, dis)
