"""A GAN for MNIST as a Chainer script of the usual kind, run on minigan by its first import alone.

It stands for the script of a tutorial with its faults mended: one optimizer for each net in a dict, batch normalisation
over channels, noise of one distribution throughout, images in [-1, 1] with a channel axis, a generator that does get a
gradient, reported losses, an evaluator that reports too.

    python s4_script.py mnist.npz [--epoch 1] [--batchsize 64] [--out result]
"""

import argparse
import os

import matplotlib
import numpy as np

import minigan as chainer
import minigan.functions as F
import minigan.links as L
from minigan import training
from minigan.training import extensions

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402


class Generator(chainer.Chain):
    """From noise (N, latent_dim) to images (N, 1, 28, 28): 7x7, 14x14, 28x28."""

    def __init__(self, latent_dim, hidden=16):
        super().__init__()
        self.latent_dim = latent_dim
        self.hidden = hidden
        with self.init_scope():
            self.fc1 = L.Linear(latent_dim, hidden * 2 * 7 * 7)
            self.bn1 = L.BatchNormalization(hidden * 2)
            self.deconv2 = L.Deconvolution2D(hidden * 2, hidden, ksize=4, stride=2, pad=1)
            self.bn2 = L.BatchNormalization(hidden)
            self.deconv3 = L.Deconvolution2D(hidden, 1, ksize=4, stride=2, pad=1)

    def forward(self, z):
        h = F.reshape(self.fc1(z), (len(z), self.hidden * 2, 7, 7))
        h = F.relu(self.bn1(h))
        h = F.relu(self.bn2(self.deconv2(h)))
        return F.tanh(self.deconv3(h))

    def make_noise(self, batchsize):
        return np.random.uniform(-1, 1, (batchsize, self.latent_dim)).astype(np.float32)


class Discriminator(chainer.Chain):
    """From images (N, 1, 28, 28) to one number each (N, 1): 14x14, 7x7, 3x3."""

    def __init__(self, hidden=16):
        super().__init__()
        with self.init_scope():
            self.conv1 = L.Convolution2D(1, hidden, ksize=4, stride=2, pad=1)
            self.conv2 = L.Convolution2D(hidden, hidden, ksize=4, stride=2, pad=1)
            self.bn2 = L.BatchNormalization(hidden)
            self.conv3 = L.Convolution2D(hidden, hidden, ksize=4, stride=2, pad=1)
            self.bn3 = L.BatchNormalization(hidden)
            self.fc4 = L.Linear(hidden * 3 * 3, 1)

    def forward(self, x):
        h = F.leaky_relu(self.conv1(x))
        h = F.leaky_relu(self.bn2(self.conv2(h)))
        h = F.leaky_relu(self.bn3(self.conv3(h)))
        return self.fc4(F.reshape(h, (len(h), -1)))


def loss_of_discriminator(y_real, y_fake):
    ones, zeros = np.ones_like(y_real.array), np.zeros_like(y_fake.array)
    return F.mean_squared_error(y_real, ones) + F.mean_squared_error(y_fake, zeros)


class GANUpdater(training.StandardUpdater):
    """Alternates a step of D and a step of G."""

    def __init__(self, *args, **kwargs):
        self.gen, self.dis = kwargs.pop("models")
        super().__init__(*args, **kwargs)

    def update_core(self):
        optimizer_dis = self.get_optimizer("main")
        optimizer_gen = self.get_optimizer("gen")
        batch = self.get_iterator("main").next()
        x_real, _ = self.converter(batch, self.device)

        x_fake = self.gen(self.gen.make_noise(len(x_real)))
        loss_dis = loss_of_discriminator(self.dis(x_real), self.dis(x_fake.array))
        self.dis.cleargrads()
        loss_dis.backward()
        optimizer_dis.update()

        y_fake = self.dis(x_fake)
        loss_gen = F.mean_squared_error(y_fake, np.ones_like(y_fake.array))
        self.gen.cleargrads()
        loss_gen.backward()
        optimizer_gen.update()
        chainer.report({"loss_dis": loss_dis, "loss_gen": loss_gen}, self.dis)


def load_mnist(path):
    """Return the training and the test data as pairs (image (1, 28, 28) in [-1, 1], one-hot label (10,))."""
    with np.load(path) as mnist:
        labels = "y" if "y_train" in mnist else "t"
        parts = [(mnist[f"x_{part}"], mnist[f"{labels}_{part}"]) for part in ("train", "test")]
    return [
        chainer.datasets.TupleDataset(
            (x.reshape(-1, 1, 28, 28) / 127.5 - 1).astype(np.float32), np.eye(10, dtype=np.float32)[t]
        )
        for x, t in parts
    ]


def plot_samples(gen, path):
    with chainer.using_config("train", False), chainer.function.no_backprop_mode():
        generated_samples = gen(gen.make_noise(64)).array.reshape(64, 28, 28)
    figure, axes = plt.subplots(8, 8, figsize=(8, 8))
    for ax, image in zip(axes.flat, generated_samples, strict=True):
        ax.imshow(image, cmap="gray", vmin=-1, vmax=1)
        ax.axis("off")
    figure.savefig(path)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mnist")
    parser.add_argument("--epoch", type=int, default=1)
    parser.add_argument("--batchsize", type=int, default=64)
    parser.add_argument("--latent-dim", type=int, default=100)
    parser.add_argument("--out", default="result")
    args = parser.parse_args()
    np.random.seed(0)

    train, test = load_mnist(args.mnist)
    train_iter = chainer.iterators.SerialIterator(train, args.batchsize)
    test_iter = chainer.iterators.SerialIterator(test, args.batchsize, repeat=False, shuffle=False)

    gen, dis = Generator(args.latent_dim), Discriminator()
    optimizer_gen = chainer.optimizers.Adam(alpha=0.0002, beta1=0.5)
    optimizer_gen.setup(gen)
    optimizer_gen.add_hook(chainer.optimizer.WeightDecay(1e-4))
    optimizer_dis = chainer.optimizers.Adam(alpha=0.0002, beta1=0.5)
    optimizer_dis.setup(dis)
    optimizer_dis.add_hook(chainer.optimizer.WeightDecay(1e-4))

    updater = GANUpdater(train_iter, {"main": optimizer_dis, "gen": optimizer_gen}, device=-1, models=(gen, dis))
    trainer = training.Trainer(updater, (args.epoch, "epoch"), out=args.out)

    def evaluate(image, label):
        loss = loss_of_discriminator(dis(image), dis(gen(gen.make_noise(len(image)))))
        chainer.report({"loss": loss}, dis)

    with chainer.configuration.using_config("an_unknown_key", True):
        trainer.extend(extensions.Evaluator(test_iter, dis, device=-1, eval_func=evaluate))
        trainer.extend(extensions.LogReport())
        trainer.extend(
            extensions.PrintReport(["epoch", "main/loss_dis", "main/loss_gen", "validation/main/loss", "elapsed_time"])
        )
        trainer.extend(extensions.ProgressBar(update_interval=10))
        trainer.run()

    plot_samples(gen, os.path.join(args.out, "samples.png"))


if __name__ == "__main__":
    main()
