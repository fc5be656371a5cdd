"""Memory that is used again and again.

A fresh array of many megabytes costs a page fault every four kilobytes, as dear as filling it. Kernels therefore borrow
their temporary matrices here: one buffer per name and thread, which grows to the largest request and then stays. What
is borrowed is valid until the same thread borrows the same name again, so it must never leave a kernel.

Results cannot be borrowed. For their sake the C library is told to keep what is freed, for the next array, where it
would hand large pieces back to the system and fetch fresh ones: a step of a DCGAN takes a tenth less time, and the
process stays as large as it once was, up to a gigabyte. Only glibc has that switch. Who sets one of its variables
(``MALLOC_TRIM_THRESHOLD_``, ...) or ``MINIGAN_MALLOC=0`` in the environment is left alone.
"""

from __future__ import annotations

import ctypes
import importlib
import math
import os
import sys
import threading
from typing import Any

import numpy as np

_local = threading.local()


def keep_freed_memory() -> bool:
    """Let glibc take arrays of up to 1 GB from memory that it keeps; return whether it does, from now on."""
    chosen = any(name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ)
    if sys.platform != "linux" or chosen or os.environ.get("MINIGAN_MALLOC") == "0":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    trim_threshold, mmap_threshold = -1, -3  # the names that malloc.h has for these numbers
    return mallopt is not None and all([mallopt(option, 1 << 30) for option in (trim_threshold, mmap_threshold)])


keep_freed_memory()


def array_module(x: Any) -> Any:
    """`numpy` for a NumPy array, the emulator's stand-in for CuPy for one of its arrays, otherwise `cupy`."""
    if isinstance(x, np.ndarray):
        return np
    emulated = sys.modules.get("minigan.kernels.emulator.arrays")
    if emulated and isinstance(x, emulated.ndarray):
        return emulated
    return sys.modules.get("cupy") or importlib.import_module("cupy")


def borrow(xp: Any, name: str, shape: tuple[int, ...], dtype: Any) -> Any:
    """A C-contiguous array of that shape and dtype, contents undefined, valid until `name` is borrowed again.

    On CuPy it is a fresh array: CuPy's memory pool already hands out old memory, in the order of the stream.
    """
    if xp is not np:
        return xp.empty(shape, dtype)
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    buffer = _local.__dict__.get(name)
    if buffer is None or buffer.nbytes < size:
        buffer = _local.__dict__[name] = np.empty(size, np.uint8)
    return np.ndarray(shape, dtype, buffer)
