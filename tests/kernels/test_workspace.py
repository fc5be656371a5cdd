"""Memory that is used again: what the C library keeps. Buffers are tested with the convolutions that borrow them."""

import os
import subprocess
import sys

import pytest

# Page faults of ten arrays of 40 MB, one after the other, when two have been there before.
FAULTS = """
import ctypes, resource
import numpy as np
from minigan.kernels.workspace import keep_freed_memory

def faults(n):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(n):
        np.ones(10 << 20, np.float32)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults(2)
print(int(hasattr(ctypes.CDLL(None), "mallopt") and keep_freed_memory()), faults(10))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc's malloc can be told to keep what is freed")
def test_freed_arrays_are_used_again_unless_somebody_else_decides():
    for chosen, most in (({}, 10), ({"MINIGAN_MALLOC": "0"}, None), ({"MALLOC_ARENA_MAX": "4"}, None)):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_") and k != "GLIBC_TUNABLES"}
        done = subprocess.run([sys.executable, "-c", FAULTS], env=clean | chosen, capture_output=True, check=True)
        kept, faults = map(int, done.stdout.split())
        if most is None:
            assert not kept
        elif kept:  # musl has no such switch
            assert faults <= most
