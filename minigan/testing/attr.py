"""Marks for tests that need what a machine may not have: without it they are skipped."""

from __future__ import annotations

import sys
import unittest
import warnings
from collections.abc import Callable
from typing import Any

from minigan.backends import cuda


def marked(name: str, wanting: str = "") -> Callable[[Any], Any]:
    """Return a decorator that marks tests for ``pytest -m name``; they are skipped if something is wanting."""

    def decorator(case: Any) -> Any:
        if not callable(case):  # a mark with an argument: attr.gpu(2)
            return decorator
        case = unittest.skip(wanting)(case) if wanting else case
        if "pytest" in sys.modules:  # which skips by its own marks, where a class is not a TestCase
            import pytest

            with warnings.catch_warnings():  # of marks that are not registered
                warnings.simplefilter("ignore")
                case = getattr(pytest.mark, name)(pytest.mark.skip(wanting)(case) if wanting else case)
        return case

    return decorator


def multi_gpu(gpu_num: int) -> Callable[[Any], Any]:
    """Skip the test unless there are `gpu_num` CUDA devices."""
    count = cuda.cupy.cuda.runtime.getDeviceCount() if cuda.available else 0
    return marked("gpu", f"needs {gpu_num} CUDA devices, and there are {count}" if count < gpu_num else "")


gpu = multi_gpu(1)
cudnn = marked("cudnn", "cuDNN is not used")
ideep = marked("ideep", "iDeep is not supported")
chainerx = marked("chainerx", "ChainerX is not supported")
slow = marked("slow")
