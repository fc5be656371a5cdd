"""What the tests of kernels share: arrays of the emulator, and the ways in which a kernel must be clean."""

import numpy as np
import pytest

from minigan.kernels.emulator import arrays, toolchain

needs_compiler = pytest.mark.skipif(toolchain() is not None, reason=str(toolchain()))
ORDERS = ["forward", "reverse", "random"]


def floats(*shape, dtype=np.float32, seed=0):
    return np.random.RandomState(seed).standard_normal(shape).astype(dtype)


def emulated(x, by_channel=False):
    """x for kernels; by_channel: (N, C, ...) whose memory is (C, N, ...)."""
    return arrays.asarray(np.ascontiguousarray(x.swapaxes(0, 1))).swapaxes(0, 1) if by_channel else arrays.asarray(x)


def sectors(launches, entry, op, argument):
    """Sectors per request of the accesses of one argument, by number, in one entry, and the least that was possible."""
    kernels = [launch for launch in launches if launch.kernel.entry == entry]
    found = [a for launch in kernels for a in launch.report if (a.op, a.argument, a.space) == (op, argument, "global")]
    assert found
    requests = sum(a.requests for a in found)
    return [sum(getattr(a, key) * a.requests for a in found) / requests for key in ("sectors_per_request", "ideal")]
