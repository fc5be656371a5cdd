"""Spectral normalisation as public code did it: layers derived from Chainer's, functions imported from their files."""
import json

import chainer
import numpy as np
from chainer import cuda, link, variable
from chainer import functions as F
from chainer import links as L
from chainer.functions.array.broadcast import broadcast_to
from chainer.functions.connection import convolution_2d, embed_id, linear
from chainer.functions.pooling import average_pooling_2d
from chainer.initializers import normal
from chainer.links.connection.convolution_2d import Convolution2D
from chainer.links.connection.embed_id import EmbedID
from chainer.links.connection.linear import Linear
from chainer.utils import argument


def _l2normalize(v, eps=1e-12):
    return v / (((v ** 2).sum()) ** 0.5 + eps)


def max_singular_value(W, u=None, Ip=1):
    xp = cuda.get_array_module(W.data)
    if u is None:
        u = xp.random.normal(size=(1, W.shape[0])).astype(xp.float32)
    _u = u
    for _ in range(Ip):
        _v = _l2normalize(xp.dot(_u, W.data), eps=1e-12)
        _u = _l2normalize(xp.dot(_v, W.data.transpose()), eps=1e-12)
    sigma = F.sum(F.linear(_u, F.transpose(W)) * _v)
    return sigma, _u, _v


class SNConvolution2D(Convolution2D):
    def __init__(self, in_channels, out_channels, ksize, stride=1, pad=0, nobias=False, initialW=None,
                 initial_bias=None, **kwargs):
        argument.check_unexpected_kwargs(kwargs, use_gamma='use_gamma is not an argument of this layer')
        super(SNConvolution2D, self).__init__(
            in_channels, out_channels, ksize, stride, pad, nobias, initialW, initial_bias)
        self.u = np.random.normal(size=(1, out_channels)).astype(dtype='f')
        self.register_persistent('u')

    @property
    def W_bar(self):
        W_mat = self.W.reshape(self.W.shape[0], -1)
        sigma, _u, _ = max_singular_value(W_mat, self.u)
        sigma = broadcast_to(sigma.reshape((1, 1, 1, 1)), self.W.shape)
        self.u[:] = _u
        return self.W / sigma

    def __call__(self, x):
        if self.W.data is None:
            self._initialize_params(x.shape[1])
        return convolution_2d.convolution_2d(x, self.W_bar, self.b, self.stride, self.pad)


class SNLinear(Linear):
    def __init__(self, *args, **kwargs):
        super(SNLinear, self).__init__(*args, **kwargs)
        self.u = np.random.normal(size=(1, self.b.shape[0])).astype(dtype='f')
        self.register_persistent('u')

    @property
    def W_bar(self):
        sigma, self.u[:], _ = max_singular_value(self.W, self.u)
        return self.W / broadcast_to(sigma.reshape((1, 1)), self.W.shape)

    def __call__(self, x):
        return linear.linear(x, self.W_bar, self.b)


class SNEmbedID(EmbedID):
    def __call__(self, x):
        sigma, _, _ = max_singular_value(self.W)
        return embed_id.embed_id(x, self.W / F.broadcast_to(F.reshape(sigma, (1, 1)), self.W.shape))


class ConditionalScale(link.Link):
    """gamma of a class, as the conditional batch normalisations of the time had it."""

    def __init__(self, n_cat, size, initial_gamma=None):
        super(ConditionalScale, self).__init__()
        with self.init_scope():
            if initial_gamma is None:
                initial_gamma = 1
            initializer = chainer.initializers._get_initializer(initial_gamma)
            initializer.dtype = np.dtype('f')
            self.gammas = variable.Parameter(initializer, (n_cat, size))

    def __call__(self, x, c):
        gamma = F.embed_id(c, self.gammas)
        return x * F.broadcast_to(F.reshape(gamma, gamma.shape + (1, 1)), x.shape)


class Block(chainer.Chain):
    def __init__(self, in_channels, out_channels, activation=F.relu, downsample=True):
        super(Block, self).__init__()
        initializer = chainer.initializers.GlorotUniform(2 ** 0.5)
        self.activation, self.downsample = activation, downsample
        with self.init_scope():
            self.c1 = SNConvolution2D(in_channels, out_channels, ksize=3, pad=1, initialW=initializer)
            self.c2 = SNConvolution2D(out_channels, out_channels, ksize=3, pad=1, initialW=initializer)
            self.c_sc = SNConvolution2D(in_channels, out_channels, ksize=1, pad=0, initialW=initializer)

    def residual(self, x):
        h = self.c2(self.activation(self.c1(self.activation(x))))
        return average_pooling_2d.average_pooling_2d(h, 2) if self.downsample else h

    def __call__(self, x):
        shortcut = self.c_sc(x)
        return self.residual(x) + (F.average_pooling_2d(shortcut, 2, 2, 0) if self.downsample else shortcut)


class Projection(chainer.Chain):
    def __init__(self, ch=6, n_classes=4):
        super(Projection, self).__init__()
        with self.init_scope():
            self.block1 = Block(3, ch)
            self.scale = ConditionalScale(n_classes, ch)
            self.block2 = Block(ch, ch, downsample=False)
            self.l = SNLinear(ch, 1, initialW=normal.Normal(0.1))
        self.add_link('l_y', SNEmbedID(n_classes, ch, initialW=chainer.initializers.HeNormal(1.0)))

    def __call__(self, x, y):
        h = F.relu(self.block2(self.scale(self.block1(x), y)))
        h = F.sum(h, axis=(2, 3))
        return self.l(h) + F.sum(self.l_y(y) * h, axis=1, keepdims=True)


if __name__ == '__main__':
    np.random.seed(3)
    dis = Projection()
    opt = chainer.optimizers.Adam(alpha=0.0002, beta1=0.0, beta2=0.9)
    opt.setup(dis)
    x = np.random.uniform(-1, 1, (6, 3, 8, 8)).astype('f')
    y = np.random.randint(0, 4, 6).astype(np.int32)
    losses = []
    for _ in range(4):
        out = dis(x, y)
        loss = F.mean(F.relu(1. - out)) + F.mean(F.relu(1. + dis(x[::-1], y)))
        dis.cleargrads()
        loss.backward()
        opt.update()
        losses.append(float(loss.data))
    names = sorted(name for name, _ in dis.namedparams())
    assert isinstance(dis.block1.c1, L.Convolution2D) and '/block1/c1/W' in names and len(names) == 16, names
    chainer.serializers.save_npz('dis.npz', dis)
    assert 'block1/c1/u' in np.load('dis.npz').files
    print(json.dumps(losses))
