"""What the tests of kernels share: where they run, their arrays, and what a kernel's accesses cost.

They run in the emulator; `MINIGAN_KERNEL_TESTS=@cupy:0` runs those that compare results on a GPU instead. Faults of
memory, with threads in every order, are looked for by `minigan kernels check`, which test_emulator_check.py runs.
"""

import os

import numpy as np
import pytest

import minigan
from minigan.kernels import compile as compiler
from minigan.kernels.emulator import arrays as emulated_arrays
from minigan.kernels.emulator import toolchain

DEVICE = os.environ.get("MINIGAN_KERNEL_TESTS", "@emulator")
on_gpu = DEVICE != "@emulator"
needs_compiler = pytest.mark.skipif(not on_gpu and toolchain() is not None, reason=str(toolchain()))
needs_emulator = pytest.mark.skipif(on_gpu or toolchain() is not None, reason=str(toolchain() or "runs on a GPU"))
needs_nvrtc = pytest.mark.skipif(compiler.unavailable_reason() is not None, reason=str(compiler.unavailable_reason()))
arrays = minigan.get_device(DEVICE).xp if on_gpu else emulated_arrays


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
