"""One training step of row 5's DCGAN ("book"), said once for every library that is compared.

Needs NumPy only. A peer's script builds the nets, loads these weights, and hands ``run`` a function that does one
step; ``run`` checks nothing itself but prints the losses of the first steps, so that the caller can compare them.
"""

import json
import os
import resource
import sys
import time

import numpy as np

BATCH, Z, CHECKED = 128, 100, 3
ALPHA, BETA1, EPS_BN, SLOPE = 2e-4, 0.5, 2e-5, 0.01
# in the order of the layers: generator (linear, three deconvolutions), discriminator (three convolutions, linear)
SHAPES = [(7 * 7 * 256, Z), (256, 128, 3, 3), (128, 64, 3, 3), (64, 1, 3, 3),
          (32, 1, 3, 3), (64, 32, 3, 3), (128, 64, 3, 3), (1, 1152)]  # fmt: skip


def weights():
    rng = np.random.RandomState(0)
    return [(0.02 * rng.randn(*shape)).astype("f") for shape in SHAPES]


def batch(step):
    """Images in [-1, 1], and noise for the discriminator's and the generator's turn."""
    rng = np.random.RandomState(step)
    return (
        rng.uniform(-1, 1, (BATCH, 1, 28, 28)).astype("f"),
        rng.randn(BATCH, Z).astype("f"),
        rng.randn(BATCH, Z).astype("f"),
    )


def run(name, version, step, wait=lambda: None):
    """Do ``CHECKED`` steps and then as many timed ones as the first argument says; print a line of JSON."""
    repeats = int(sys.argv[1])
    losses = [[float(loss) for loss in step(*batch(i))] for i in range(CHECKED)]
    data = batch(CHECKED)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        step(*data)
        wait()
        times.append(1e3 * (time.perf_counter() - start))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    threads = os.environ.get("OMP_NUM_THREADS", "default")
    print(json.dumps(dict(name=name, version=version, threads=threads, losses=losses, times=times, peak_mb=peak)))
