"""Do 20 training steps on the device end in the weights that they end in on the CPU? Compared, not timed.

Rounding parts any two float32 runs, as Adam turns the sign of a tiny gradient into a whole step. How far is found by a
run in float64: the device may be no more than ``TIMES`` as far from it as the CPU's float32 is.
"""

import numpy as np

from cases import gan_step

TIMED, TIMES = False, 3.0


def rows(device, quick):
    if device == "cpu" and not quick:  # which is what the others are compared with
        return []
    n, size, steps = (2, 12, 3) if quick else (128, 28, 20)
    row = gan_step.row(n, size, f"weights after {steps} steps, batch {n}")
    return [row._replace(arguments={**row.arguments, "steps": steps}, flops=0)]


def data(batch, size, steps):
    return gan_step.data(batch, size)


def check(answers):
    """Raise ``ValueError`` where a run ends too far from that in float64; return how far, as a share of its way."""
    truth, cpu = answers["minigan float64, CPU"], answers["minigan float32, CPU"]
    start, *truth = truth
    way = np.linalg.norm(start - truth[0])

    def distance(answer):
        return float(np.linalg.norm(answer[1] - truth[0]) / way)

    found = {name: distance(answer) for name, answer in answers.items()}
    for name, far in found.items():
        if not far <= TIMES * distance(cpu):
            raise ValueError(f"{name} ends {far:.2g} of the way from float64's weights, the CPU {distance(cpu):.2g}")
    return found
