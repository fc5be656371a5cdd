"""Marks for tests that need what a machine may not have: without it they are skipped."""

from __future__ import annotations

import unittest
from collections.abc import Callable
from typing import Any

from minigan.backends import cuda


def multi_gpu(gpu_num: int) -> Callable[[Any], Any]:
    """Skip the test unless there are `gpu_num` CUDA devices."""
    count = cuda.cupy.cuda.runtime.getDeviceCount() if cuda.available else 0
    return unittest.skipUnless(count >= gpu_num, f"needs {gpu_num} CUDA devices, and there are {count}")


gpu = cudnn = multi_gpu(1)
ideep = unittest.skip("iDeep is not supported")
chainerx = unittest.skip("ChainerX is not supported")


def slow(test: Any) -> Any:
    """Mark a slow test; it runs."""
    return test
