"""The first GAN covers a ring of eight Gaussians: no mode is lost, and most samples lie on one."""

import numpy as np

import minigan.functions as F
import minigan.links as L
from minigan import optimizers, random
from minigan.configuration import no_backprop_mode
from minigan.gans import GANS, GANUpdater
from minigan.gans.nets import Generator
from minigan.iterators import SerialIterator
from minigan.link import Sequential

SIGMA, NOISE, WIDTH = 0.05, 8, 64
CENTRES = np.stack([np.cos(np.arange(8) * np.pi / 4), np.sin(np.arange(8) * np.pi / 4)], 1)


class PointGenerator(Generator):
    """Z -> 64 -> 64 -> a point of the plane."""

    def __init__(self):
        super().__init__()
        self.z_dim = NOISE
        with self.init_scope():
            self.net = Sequential(L.Linear(NOISE, WIDTH), F.relu, L.Linear(WIDTH, WIDTH), F.relu, L.Linear(WIDTH, 2))

    def forward(self, z):
        return self.net(z)


def test_all_modes_of_the_ring_are_found():
    """At least 7 of 8 modes and 80 % of samples within 3 sigma; seeds 0 to 3 gave 8 modes and 90 to 93 %."""
    random.seed(0)
    points = CENTRES[np.random.randint(8, size=4000)] + SIGMA * np.random.randn(4000, 2)
    gen = PointGenerator()
    dis = Sequential(
        L.Linear(2, WIDTH), F.leaky_relu, L.Linear(WIDTH, WIDTH), F.leaky_relu, L.Linear(WIDTH, 1)
    )  # fmt: skip
    opt = {name: optimizers.Adam(1e-3, beta1=0.5).setup(net) for name, net in (("gen", gen), ("dis", dis))}
    updater = GANUpdater(SerialIterator(points.astype("f"), 128), opt, GANS["gan"], ema_decay=0.99)
    for _ in range(4000):
        updater.update()
    with no_backprop_mode():
        made = updater.sampler(updater.sampler.latent(2000)).array
    distance = np.linalg.norm(made[:, None] - CENTRES, axis=2)
    good = distance.min(axis=1) < 3 * SIGMA
    assert len(set(distance.argmin(axis=1)[good])) >= 7
    assert good.mean() >= 0.8
