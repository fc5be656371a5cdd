"""The whole loop as ``minigan train`` has it: trainer, iterator, steps of D and G, a log that is written; no pictures.

Time is that of one iteration. Images and noise are drawn in the same order everywhere; a library without a trainer of
its own gets the loop that its tutorials write.
"""

import numpy as np

from cases import Row, gan_step, mlp_step, random

FRESH, TOLERANCE = True, 5e-3  # after many steps, and rounding parts them in each
LOG_EVERY = 5


def rows(device, quick):
    for net, batch, iterations in [("mlp", 4, 10)] if quick else [("mlp", 64, 100), ("book", 128, 5)]:
        arguments = {"net": net, "batch": batch, "iterations": iterations}
        yield Row(f"{net}, batch {batch}", arguments, f"({batch}, 1, 28, 28)")


def data(net, batch, iterations):
    """A data set of 2,000 images as that net wants them, and its weights."""
    case = {"mlp": mlp_step, "book": gan_step}[net]
    found = case.data(batch) if net == "mlp" else case.data(batch, 28)
    images = np.tanh(random(2000, *found["x"].shape[1:]))
    return {"images": images} | {name: a for name, a in found.items() if name.startswith("W")}


def stopwatch(call, loops):
    """A callable does many iterations and gives the milliseconds of one, and the last entry of its log."""
    return call()[0]
