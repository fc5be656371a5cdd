"""WGAN-GP with its own iterator (batches are arrays), an updater that writes what Chainer 7 made read-only, and
chainer.grad under double backprop; the critic moves more often than the generator."""
import argparse

import numpy as np

import chainer
from chainer import functions as F
from chainer import links as L
from chainer import reporter, training
from chainer.dataset import convert
from chainer.dataset import iterator as iterator_module
from chainer.training import extensions


class RandomNoiseIterator(iterator_module.Iterator):
    def __init__(self, size, batch_size):
        self.size, self.batch_size = size, batch_size
        self.iteration = 0

    def __next__(self):
        self.iteration += 1
        return np.random.normal(size=(self.batch_size, self.size)).astype(np.float32)


class ArrayIterator(chainer.dataset.Iterator):
    def __init__(self, dataset, batch_size):
        self.dataset, self.batch_size = dataset, batch_size
        self.epoch, self.is_new_epoch, self._at = 0, False, 0

    def __next__(self):
        batch = self.dataset[self._at:self._at + self.batch_size]
        self._at += self.batch_size
        self.is_new_epoch = self._at >= len(self.dataset)
        if self.is_new_epoch:
            self.epoch, self._at = self.epoch + 1, 0
        return batch

    next = __next__

    @property
    def epoch_detail(self):
        return self.epoch + self._at / len(self.dataset)

    def serialize(self, serializer):
        self._at = serializer('_at', self._at)
        self.epoch = serializer('epoch', self.epoch)


class Layers(chainer.ChainList):
    def __init__(self, *sizes):
        super().__init__(*[L.Linear(m, n) for m, n in zip(sizes, sizes[1:])])

    def __call__(self, x):
        for layer in self[:-1]:
            x = F.tanh(layer(x))
        return self[-1](x)


class WassersteinUpdater(training.StandardUpdater):
    def __init__(self, *, iterator, noise_iterator, optimizer_generator, optimizer_critic, device=-1, n_critic=2):
        self._iterators = {'main': iterator, 'z': noise_iterator}
        self._optimizers = {'generator': optimizer_generator, 'critic': optimizer_critic}
        self.generator = optimizer_generator.target
        self.critic = optimizer_critic.target
        self.converter = convert.concat_examples
        self.device = device
        self.iteration = 0
        self.n_critic, self.lam = n_critic, 10

    @property
    def optimizer_critic(self):
        return self._optimizers['critic']

    def next_batch(self, name):
        return chainer.Variable(self.converter(self._iterators[name].next(), self.device))

    def update_core(self):
        for _ in range(self.n_critic):
            x_real = self.next_batch('main')
            x_fake = self.generator(self.next_batch('z'))
            x_fake.unchain_backward()
            eps = np.random.uniform(0, 1, (len(x_real), 1)).astype('f')
            x_mid = chainer.Variable((eps * x_real.data + (1. - eps) * x_fake.data))
            grad, = chainer.grad([self.critic(x_mid)], [x_mid], enable_double_backprop=True)
            norm = F.sqrt(F.batch_l2_norm_squared(grad))
            penalty = self.lam * F.mean_squared_error(norm, np.ones_like(norm.data))
            loss = F.average(self.critic(x_fake)) - F.average(self.critic(x_real)) + penalty
            self.critic.cleargrads()
            loss.backward()
            self.optimizer_critic.update()
        reporter.report({'critic/loss': loss, 'critic/penalty': penalty})

        loss = -F.average(self.critic(self.generator(self.next_batch('z'))))
        self.generator.cleargrads()
        loss.backward()
        self.get_optimizer('generator').update()
        reporter.report({'generator/loss': loss})


class WeightNorms(training.Extension):
    trigger = (1, 'epoch')
    priority = training.PRIORITY_WRITER

    def __init__(self, link):
        self.link = link

    def __call__(self, trainer):
        norm = sum(float((p.data ** 2).sum()) for p in self.link.params())
        chainer.reporter.report({'norm': norm ** .5})


if __name__ == '__main__':
    parser = argparse.ArgumentParser()
    parser.add_argument('--out', default='result')
    args = parser.parse_args()
    np.random.seed(1)
    data = np.random.normal(size=(32, 5)).astype('f') + 3
    optimizers = []
    for link in (Layers(3, 16, 5), Layers(5, 16, 16, 1)):
        optimizers.append(chainer.optimizers.Adam(alpha=1e-3, beta1=0.0, beta2=0.9).setup(link))
    updater = WassersteinUpdater(
        iterator=ArrayIterator(data, 8), noise_iterator=RandomNoiseIterator(3, 8),
        optimizer_generator=optimizers[0], optimizer_critic=optimizers[1])
    trainer = training.Trainer(updater, stop_trigger=(6, 'iteration'), out=args.out)
    trainer.extend(WeightNorms(updater.critic), trigger=(2, 'iteration'))
    trainer.extend(extensions.LogReport(trigger=(2, 'iteration')))
    trainer.extend(extensions.PrintReport(['iteration', 'critic/loss', 'generator/loss', 'norm']))
    trainer.run()
