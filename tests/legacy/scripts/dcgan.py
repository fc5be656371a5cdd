#!/usr/bin/env python
# -*- coding: utf-8 -*-
"""DCGAN as it was written in 2017: layers as keyword arguments of Chain, __call__, a custom updater."""
from __future__ import print_function
import argparse
import os

import numpy as np

import chainer
import chainer.functions as F
import chainer.links as L
from chainer import Variable, cuda, optimizers, serializers, training
from chainer.training import extensions


class Generator(chainer.Chain):
    def __init__(self, n_hidden=16, bottom=2, ch=16, wscale=0.02):
        w = chainer.initializers.Normal(wscale)
        self.n_hidden, self.bottom, self.ch = n_hidden, bottom, ch
        super(Generator, self).__init__(
            l0=L.Linear(n_hidden, bottom * bottom * ch, initialW=w),
            dc1=L.Deconvolution2D(ch, ch // 2, 4, 2, 1, initialW=w),
            dc2=L.Deconvolution2D(ch // 2, 3, 4, 2, 1, initialW=w),
            bn0=L.BatchNormalization(bottom * bottom * ch),
            bn1=L.BatchNormalization(ch // 2),
        )

    def make_hidden(self, n):
        return np.random.uniform(-1, 1, (n, self.n_hidden, 1, 1)).astype(np.float32)

    def __call__(self, z):
        h = F.reshape(F.relu(self.bn0(self.l0(z))), (len(z), self.ch, self.bottom, self.bottom))
        h = F.relu(self.bn1(self.dc1(h)))
        return F.tanh(self.dc2(h))


class Discriminator(chainer.Chain):
    def __init__(self, ch=16, wscale=0.02):
        w = chainer.initializers.Normal(wscale)
        super(Discriminator, self).__init__()
        with self.init_scope():
            self.c0 = L.Convolution2D(3, ch // 2, 4, 2, 1, initialW=w)
            self.c1 = L.Convolution2D(ch // 2, ch, 4, 2, 1, initialW=w)
            self.bn1 = L.BatchNormalization(ch, use_gamma=False)
            self.l2 = L.Linear(None, 1, initialW=w)

    def __call__(self, x):
        xp = chainer.cuda.get_array_module(x)
        if chainer.config.train:
            x = x + 0.1 * xp.random.randn(*x.shape).astype(np.float32)
        h = F.leaky_relu(self.c0(x))
        h = F.dropout(F.leaky_relu(self.bn1(self.c1(h)), slope=0.2), ratio=0.3)
        return self.l2(h)


class DCGANUpdater(training.StandardUpdater):
    def __init__(self, *args, **kwargs):
        self.gen, self.dis = kwargs.pop('models')
        super(DCGANUpdater, self).__init__(*args, **kwargs)

    def loss_dis(self, dis, y_fake, y_real):
        batchsize = len(y_fake)
        loss = F.sum(F.softplus(-y_real)) / batchsize + F.sum(F.softplus(y_fake)) / batchsize
        chainer.report({'loss': loss}, dis)
        return loss

    def loss_gen(self, gen, y_fake):
        loss = F.sum(F.softplus(-y_fake)) / len(y_fake)
        chainer.report({'loss': loss}, gen)
        return loss

    def update_core(self):
        gen_optimizer = self.get_optimizer('gen')
        dis_optimizer = self.get_optimizer('dis')
        batch = self.get_iterator('main').next()
        x_real = Variable(self.converter(batch, self.device))
        xp = cuda.get_array_module(x_real.data)

        gen, dis = self.gen, self.dis
        y_real = dis(x_real)
        z = Variable(xp.asarray(gen.make_hidden(len(batch))))
        x_fake = gen(z)
        y_fake = dis(x_fake)
        dis_optimizer.update(self.loss_dis, dis, y_fake, y_real)
        gen_optimizer.update(self.loss_gen, gen, y_fake)


def out_generated_image(gen, rows, dst):
    @chainer.training.make_extension()
    def make_image(trainer):
        z = Variable(gen.xp.asarray(gen.make_hidden(rows * rows)))
        with chainer.using_config('train', False):
            x = gen(z)
        x = chainer.cuda.to_cpu(x.data)
        np.save(os.path.join(dst, 'image{:0>4}.npy'.format(trainer.updater.iteration)), x)
    return make_image


def make_optimizer(model, alpha=0.0002, beta1=0.5):
    optimizer = optimizers.Adam(alpha=alpha, beta1=beta1)
    optimizer.setup(model)
    optimizer.add_hook(chainer.optimizer.WeightDecay(0.0001), 'hook_dec')
    return optimizer


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--batchsize', '-b', type=int, default=6)
    parser.add_argument('--gpu', '-g', type=int, default=-1)
    parser.add_argument('--out', '-o', default='result')
    parser.add_argument('--resume', '-r', default='')
    args = parser.parse_args()
    np.random.seed(0)

    gen, dis = Generator(), Discriminator()
    if args.gpu >= 0:
        chainer.cuda.get_device(args.gpu).use()
        gen.to_gpu()
        dis.to_gpu()
    train = np.random.uniform(-1, 1, (24, 3, 8, 8)).astype(np.float32)
    train_iter = chainer.iterators.SerialIterator(train, args.batchsize)
    updater = DCGANUpdater(models=(gen, dis), iterator=train_iter, device=args.gpu,
                           optimizer={'gen': make_optimizer(gen), 'dis': make_optimizer(dis)})
    trainer = training.Trainer(updater, (2, 'epoch'), out=args.out)
    interval = (4, 'iteration')
    trainer.extend(extensions.snapshot(filename='snapshot_iter_{.updater.iteration}.npz'), trigger=interval)
    trainer.extend(extensions.snapshot_object(gen, 'gen_iter_{.updater.iteration}.npz'), trigger=interval)
    trainer.extend(extensions.LogReport(trigger=interval))
    trainer.extend(extensions.PrintReport(['epoch', 'iteration', 'gen/loss', 'dis/loss']), trigger=interval)
    trainer.extend(extensions.ProgressBar(update_interval=2))
    trainer.extend(out_generated_image(gen, 2, args.out), trigger=interval)
    if args.resume:
        serializers.load_npz(args.resume, trainer)
    trainer.run()
    if args.resume:
        return
    again = Generator()
    serializers.load_npz(os.path.join(args.out, 'gen_iter_%d.npz' % updater.iteration), again)
    assert (again.dc1.W.data == gen.dc1.W.data).all() and len(list(again.params())) == 10


if __name__ == '__main__':
    main()
