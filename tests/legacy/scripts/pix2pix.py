"""A small pix2pix: CBR blocks chosen by strings, skip connections, paired images from a DatasetMixin."""
import numpy
import chainer
from chainer import cuda, training
from chainer.training import extensions
import chainer.functions as F
import chainer.links as L
from chainer.dataset import dataset_mixin


class Pairs(dataset_mixin.DatasetMixin):
    def __init__(self, n):
        self.images = numpy.random.uniform(-1, 1, (n, 3, 8, 8)).astype('f')

    def __len__(self):
        return len(self.images)

    def get_example(self, i, crop=8):
        image = self.images[i][:, :crop, :crop]
        return image[:1], image[1:]


class CBR(chainer.Chain):
    def __init__(self, ch0, ch1, bn=True, sample='down', activation=F.relu, dropout=False):
        self.bn, self.activation, self.dropout = bn, activation, dropout
        layers = {}
        w = chainer.initializers.Normal(0.02)
        if sample == 'down':
            layers['c'] = L.Convolution2D(ch0, ch1, 4, 2, 1, initialW=w)
        else:
            layers['c'] = L.Deconvolution2D(ch0, ch1, 4, 2, 1, initialW=w)
        if bn:
            layers['batchnorm'] = L.BatchNormalization(ch1)
        super(CBR, self).__init__(**layers)

    def __call__(self, x):
        h = self.c(x)
        if self.bn:
            h = self.batchnorm(h)
        if self.dropout:
            h = F.dropout(h)
        if self.activation is not None:
            h = self.activation(h)
        return h


class UNet(chainer.Chain):
    def __init__(self, out_ch):
        layers = {'e0': L.Convolution2D(1, 4, 3, 1, 1, initialW=chainer.initializers.Normal(0.02))}
        layers['e1'] = CBR(4, 8, activation=F.leaky_relu)
        layers['e2'] = CBR(8, 8, activation=F.leaky_relu)
        layers['d0'] = CBR(8, 8, sample='up', dropout=True)
        layers['d1'] = CBR(16, 4, sample='up')
        layers['last'] = L.Convolution2D(8, out_ch, 3, 1, 1)
        super(UNet, self).__init__(**layers)

    def __call__(self, x):
        hs = [F.leaky_relu(self.e0(x))]
        for i in range(1, 3):
            hs.append(self['e%d' % i](hs[i - 1]))
        h = self.d0(hs[-1])
        h = self.d1(F.concat([h, hs[1]]))
        return self.last(F.concat([h, hs[0]]))


class Discriminator(chainer.Chain):
    def __init__(self, in_ch, out_ch):
        super(Discriminator, self).__init__()
        with self.init_scope():
            self.a = CBR(in_ch, 4, bn=False, activation=F.leaky_relu)
            self.b = CBR(out_ch, 4, bn=False, activation=F.leaky_relu)
            self.c = CBR(8, 8, activation=F.leaky_relu)
            self.d = L.Convolution2D(8, 1, 3, 1, 1)

    def __call__(self, x, t):
        return self.d(self.c(F.concat([self.a(x), self.b(t)])))


class Updater(chainer.training.StandardUpdater):
    def __init__(self, *args, **kwargs):
        self.enc, self.dis = kwargs.pop('models')
        super(Updater, self).__init__(*args, **kwargs)

    def update_core(self):
        xp = self.enc.xp
        batch = self.get_iterator('main').next()
        x_in = xp.asarray([b[0] for b in batch])
        t_out = xp.asarray([b[1] for b in batch])
        x_out = self.enc(x_in)
        y_fake, y_real = self.dis(x_in, x_out), self.dis(x_in, t_out)

        batchsize, _, w, h = y_fake.data.shape
        loss_dis = (F.sum(F.softplus(-y_real)) + F.sum(F.softplus(y_fake))) / batchsize / w / h
        loss_rec = 100 * F.mean_absolute_error(x_out, t_out)
        loss_adv = F.sum(F.softplus(-y_fake)) / batchsize / w / h
        self.enc.cleargrads()
        (loss_rec + loss_adv).backward()
        self.get_optimizer('enc').update()
        x_in, x_out = chainer.Variable(x_in), x_out.unchain_backward()
        self.dis.cleargrads()
        loss_dis.backward()
        self.get_optimizer('dis').update()
        chainer.report({'loss_rec': loss_rec, 'loss_adv': loss_adv}, self.enc)
        chainer.report({'loss': loss_dis}, self.dis)


def main():
    numpy.random.seed(2)
    enc, dis = UNet(2), Discriminator(1, 2)

    def make_optimizer(model, alpha=0.0002, beta1=0.5):
        optimizer = chainer.optimizers.Adam(alpha=alpha, beta1=beta1)
        optimizer.setup(model)
        optimizer.add_hook(chainer.optimizer.WeightDecay(0.00001), 'hook_dec')
        return optimizer
    iterator = chainer.iterators.SerialIterator(Pairs(8), 2)
    updater = Updater(models=(enc, dis), iterator={'main': iterator}, device=-1,
                      optimizer={'enc': make_optimizer(enc), 'dis': make_optimizer(dis)})
    trainer = training.Trainer(updater, (1, 'epoch'), out='result')
    trainer.extend(extensions.LogReport(trigger=(2, 'iteration')))
    trainer.extend(extensions.PrintReport(['epoch', 'iteration', 'enc/loss_rec', 'enc/loss_adv', 'dis/loss']))
    trainer.extend(extensions.snapshot_object(dis, 'dis_iter_{.updater.iteration}.npz'), trigger=(4, 'iteration'))
    trainer.run()
    assert cuda.to_cpu(enc.last.W.data).dtype == numpy.float32


if __name__ == '__main__':
    main()
