"""What `minigan kernels check` runs of rates.cu: the first step of each rule that needs them."""

import numpy as np

from minigan.kernels.optimizers import COUNTING, MEASURING
from minigan.kernels.optimizers_check import RULES, check


def launches() -> None:
    """Each such rule once; norms in halves and in double, too."""
    for case in RULES:
        if case[0] in COUNTING or case[0] in MEASURING:
            check(*case)
        if case[0] in MEASURING:
            check(*case, kinds=(np.float16, np.float16))
            check(*case, kinds=(np.float64, np.float64))
