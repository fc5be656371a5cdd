"""The step of ``recipe`` in the one API that Chainer and minigan share: the first argument names the library.

Chainer walks all paths in the generator's turn, as its own DCGAN example does; minigan's trainer asks for the
generator's gradients only, and so does this script where the library is minigan.
"""

import importlib
import sys
import warnings

warnings.simplefilter("ignore")

import recipe  # noqa: E402

library = importlib.import_module(sys.argv.pop(1))
F = importlib.import_module(library.__name__ + ".functions")
L = importlib.import_module(library.__name__ + ".links")
optimizers = importlib.import_module(library.__name__ + ".optimizers")


def act(x):
    return F.leaky_relu(x, slope=recipe.SLOPE)


class Generator(library.Chain):
    def __init__(self, w):
        super().__init__()
        with self.init_scope():
            self.l0 = L.Linear(recipe.Z, 7 * 7 * 256, initialW=next(w))
            self.bn0 = L.BatchNormalization(256)
            self.dc1 = L.Deconvolution2D(256, 128, 3, 2, 1, outsize=(14, 14), initialW=next(w))
            self.bn1 = L.BatchNormalization(128)
            self.dc2 = L.Deconvolution2D(128, 64, 3, 1, 1, initialW=next(w))
            self.bn2 = L.BatchNormalization(64)
            self.dc3 = L.Deconvolution2D(64, 1, 3, 2, 1, outsize=(28, 28), initialW=next(w))

    def forward(self, z):
        h = F.reshape(self.l0(z), (len(z), 256, 7, 7))
        h = act(self.bn0(h))
        h = act(self.bn1(self.dc1(h)))
        h = act(self.bn2(self.dc2(h)))
        return F.tanh(self.dc3(h))


class Discriminator(library.Chain):
    def __init__(self, w):
        super().__init__()
        with self.init_scope():
            self.c1 = L.Convolution2D(1, 32, 3, 2, 1, initialW=next(w))
            self.c2 = L.Convolution2D(32, 64, 3, 2, 1, initialW=next(w))
            self.bn2 = L.BatchNormalization(64)
            self.c3 = L.Convolution2D(64, 128, 3, 2, 0, initialW=next(w))
            self.bn3 = L.BatchNormalization(128)
            self.l4 = L.Linear(1152, 1, initialW=next(w))

    def forward(self, x):
        h = act(self.c1(x))
        h = act(self.bn2(self.c2(h)))
        h = act(self.bn3(self.c3(h)))
        return self.l4(F.reshape(h, (len(h), -1)))


w = iter(recipe.weights())
gen, dis = Generator(w), Discriminator(w)
opt_gen, opt_dis = (optimizers.Adam(recipe.ALPHA, recipe.BETA1).setup(net) for net in (gen, dis))


def step(x, z_dis, z_gen):
    with library.no_backprop_mode():
        fake = gen(z_dis).array
    loss_dis = F.mean(F.softplus(-dis(x))) + F.mean(F.softplus(dis(fake)))
    dis.cleargrads()
    loss_dis.backward()
    opt_dis.update()
    loss_gen = F.mean(F.softplus(-dis(gen(z_gen))))
    gen.cleargrads()
    if library.__name__ == "minigan":
        library.grad([loss_gen], list(gen.params()), set_grad=True)
    else:
        loss_gen.backward()
    opt_gen.update()
    return loss_dis.array, loss_gen.array


recipe.run(library.__name__, library.__version__, step)
