"""SciPy's special functions for doubles."""

import cupy
import scipy.special


def __getattr__(name):
    return cupy._made(getattr(scipy.special, name), name)
