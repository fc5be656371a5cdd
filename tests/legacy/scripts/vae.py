"""A variational autoencoder with chainer.distributions, in the style of Chainer 7's own example."""
import json

import chainer
import chainer.distributions as D
import chainer.functions as F
import chainer.links as L
import numpy as np
from chainer import reporter, training
from chainer.training import extensions


class Encoder(chainer.Chain):
    def __init__(self, n_in, n_latent, n_h):
        super().__init__()
        with self.init_scope():
            self.linear = L.Linear(n_in, n_h)
            self.mu = L.Linear(n_h, n_latent)
            self.ln_sigma = L.Linear(n_h, n_latent)

    def forward(self, x):
        h = F.tanh(self.linear(x))
        return D.Independent(
            D.Normal(loc=self.mu(h), log_scale=self.ln_sigma(h)), reinterpreted_batch_ndims=1)


class Decoder(chainer.Chain):
    def __init__(self, n_in, n_latent, n_h):
        super().__init__()
        with self.init_scope():
            self.linear = L.Linear(n_latent, n_h)
            self.output = L.Linear(n_h, n_in)

    def forward(self, z, inference=False):
        n_batch_axes = 1 if inference else 2
        h = F.tanh(self.linear(z, n_batch_axes=n_batch_axes))
        h = self.output(h, n_batch_axes=n_batch_axes)
        return D.Independent(D.Bernoulli(logit=h, binary_check=False), reinterpreted_batch_ndims=1)


class Prior(chainer.Link):
    def __init__(self, n_latent):
        super().__init__()
        self.loc = np.zeros(n_latent, np.float32)
        self.scale = np.ones(n_latent, np.float32)
        self.register_persistent('loc')
        self.register_persistent('scale')

    def forward(self):
        return D.Independent(D.Normal(self.loc, scale=self.scale), reinterpreted_batch_ndims=1)


class AvgELBOLoss(chainer.Chain):
    def __init__(self, encoder, decoder, prior, k=2):
        super().__init__()
        self.k = k
        with self.init_scope():
            self.encoder, self.decoder, self.prior = encoder, decoder, prior

    def __call__(self, x):
        q_z = self.encoder(x)
        z = q_z.sample(self.k)
        p_x = self.decoder(z)
        reconstr = F.mean(p_x.log_prob(F.broadcast_to(x[None, :], (self.k,) + x.shape)))
        kl_penalty = F.mean(chainer.kl_divergence(q_z, self.prior()))
        loss = -(reconstr - kl_penalty)
        reporter.report({'loss': loss, 'reconstr': reconstr, 'kl_penalty': kl_penalty}, self)
        return loss


if __name__ == '__main__':
    np.random.seed(4)
    data = np.random.uniform(0, 1, (24, 10)).astype(chainer.get_dtype())
    model = AvgELBOLoss(Encoder(10, 3, 8), Decoder(10, 3, 8), Prior(3))
    device = chainer.get_device('@numpy')
    device.use()
    model.to_device(device)
    optimizer = chainer.optimizers.Adam()
    optimizer.setup(model)
    updater = training.updaters.StandardUpdater(
        chainer.iterators.SerialIterator(data, 8), optimizer, device=device, loss_func=model)
    trainer = training.Trainer(updater, (2, 'epoch'), out='result')
    test_iter = chainer.iterators.SerialIterator(data[:8], 8, repeat=False, shuffle=False)
    trainer.extend(extensions.Evaluator(test_iter, model, device=device))
    trainer.extend(extensions.LogReport())
    trainer.extend(extensions.PrintReport(['epoch', 'main/loss', 'validation/main/loss', 'elapsed_time']))
    trainer.run()
    with chainer.using_config('train', False), chainer.no_backprop_mode():
        x1 = model.decoder(model.encoder(data[:2]).mean, inference=True)
        print(json.dumps(float(F.sum(x1.log_prob(data[:2])).array)))
