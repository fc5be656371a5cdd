"""Memory that is used again and again.

A fresh array of many megabytes costs a page fault every four kilobytes, as dear as filling it. Kernels therefore borrow
their temporary matrices here: one buffer per name and thread, which grows to the largest request and then stays. What
is borrowed is valid until the same thread borrows the same name again, so it must never leave a kernel.
"""

from __future__ import annotations

import importlib
import sys
import threading
from typing import Any

import numpy as np

_local = threading.local()


def array_module(x: Any) -> Any:
    """`numpy` for a NumPy array, the emulator's stand-in for CuPy for one of its arrays, otherwise `cupy`."""
    if isinstance(x, np.ndarray):
        return np
    emulated = sys.modules.get("minigan.kernels.emulator.arrays")
    return emulated if emulated and isinstance(x, emulated.ndarray) else importlib.import_module("cupy")


def borrow(xp: Any, name: str, shape: tuple[int, ...], dtype: Any) -> Any:
    """A C-contiguous array of that shape and dtype, contents undefined, valid until `name` is borrowed again.

    On CuPy it is a fresh array: CuPy's memory pool already hands out old memory, in the order of the stream.
    """
    if xp is not np:
        return xp.empty(shape, dtype)
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    buffers = _local.__dict__
    if name not in buffers or buffers[name].nbytes < size:
        buffers[name] = np.empty(size, np.uint8)
    return buffers[name][:size].view(dtype).reshape(shape)
