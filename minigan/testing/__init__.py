"""Helpers for the tests of one's own functions, links and extensions, in Chainer's call forms."""

from __future__ import annotations

import functools
import importlib.metadata
import operator
import os
import random
import re
import tempfile
import unittest
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import Mock, patch

import numpy

from minigan import serializers
from minigan.gradient_check import assert_allclose
from minigan.testing import array, attr, backend, condition, function_link, parameterized
from minigan.testing.backend import BackendConfig, inject_backend_tests
from minigan.testing.distribution import distribution_unittest
from minigan.testing.function_link import (
    FunctionTestCase, InitializerArgument, LinkInitializersTestCase, LinkTestCase, unary_math_function_unittest,
)  # fmt: skip
from minigan.testing.parameterized import (
    from_pytest_parameterize, parameterize, parameterize_pytest, product, product_dict,
)  # fmt: skip
from minigan.training import Trainer

__all__ = [
    "BackendConfig", "FunctionTestCase", "InitializerArgument", "LinkInitializersTestCase", "LinkTestCase", "array",
    "assert_allclose", "assert_warns", "attr", "backend", "condition", "distribution_unittest", "fix_random",
    "from_pytest_parameterize", "function_link", "generate_matrix", "generate_seed", "get_trainer_with_mock_updater",
    "inject_backend_tests", "parameterize", "parameterize_pytest", "parameterized", "patch", "product", "product_dict",
    "run_module", "save_and_load", "save_and_load_hdf5", "save_and_load_npz", "unary_math_function_unittest",
    "with_requires", "without_requires",
]  # fmt: skip


def run_module(name: str, file: str) -> None:
    """Run the tests of a file that is started as a script."""
    if name == "__main__":
        import pytest

        raise SystemExit(pytest.main([file]))


def generate_seed() -> int:
    """Return a seed for NumPy, from NumPy's random numbers; ``CHAINER_SEED`` fixes it."""
    return int(os.environ.get("CHAINER_SEED", numpy.random.randint(0xFFFFFFFF, dtype=numpy.uint32)))


def fix_random() -> Callable[[Any], Any]:
    """Decorator of a test function or a case, from its ``setUp`` on: random numbers start at Chainer's seed, 100.

    Afterwards they go on where they were.
    """

    def decorator(target: Any) -> Any:
        if isinstance(target, parameterized._Bundle):
            return parameterized._Bundle(map(decorator, target))
        if isinstance(target, type):
            set_up = target.setUp  # type: ignore[attr-defined]

            def setUp(self: Any) -> None:
                stack = ExitStack()
                self.addCleanup(stack.close)
                stack.enter_context(_seeded())
                set_up(self)

            target.setUp = setUp  # type: ignore[attr-defined]
            return target

        @functools.wraps(target)
        def test(*args: Any, **kwargs: Any) -> Any:
            with _seeded():
                return target(*args, **kwargs)

        return test

    return decorator


@contextmanager
def _seeded() -> Iterator[None]:
    states = random.getstate(), numpy.random.get_state()
    random.seed(100)
    numpy.random.seed(100)
    try:
        yield
    finally:
        random.setstate(states[0])
        numpy.random.set_state(states[1])


@contextmanager
def assert_warns(expected: type[Warning]) -> Iterator[None]:
    """Fail unless the block warns so."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    if not any(issubclass(w.category, expected) for w in caught):
        raise AssertionError(f"{expected.__name__} was not given")


def _satisfied(requirement: str) -> bool:
    """Whether ``name``, ``name>=1.2`` or ``name>=1.2,<2`` is installed."""
    name, conditions = re.match(r"\s*([\w.-]+)(.*)", requirement).groups()  # type: ignore[union-attr]

    def numbers(version: str) -> list[int]:
        return [int(n) for n in re.findall(r"\d+", version)[:3]]

    try:
        have = numbers(importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return False
    lt, le, gt, ge = operator.lt, operator.le, operator.gt, operator.ge
    signs = {"<": lt, "<=": le, ">": gt, ">=": ge, "==": operator.eq, "!=": operator.ne}
    return all(signs[sign](have, numbers(v)) for sign, v in re.findall(r"([<>=!]=|[<>])\s*([\d.]+)", conditions))


def with_requires(*requirements: str) -> Callable[[Any], Any]:
    """Skip the test unless all these packages are installed: ``with_requires("numpy>=1.20")``."""
    return unittest.skipUnless(all(map(_satisfied, requirements)), f"needs {', '.join(requirements)}")


def without_requires(*requirements: str) -> Callable[[Any], Any]:
    """Skip the test if all these packages are installed."""
    return unittest.skipIf(all(map(_satisfied, requirements)), f"is not for {', '.join(requirements)}")


def save_and_load(src: Any, dst: Any, filename: str, saver: Any, loader: Any) -> None:
    """Save `src` and load the file into `dst`."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, filename)
        saver(path, src)
        loader(path, dst)


def save_and_load_npz(src: Any, dst: Any) -> None:
    """Copy by way of an npz file."""
    save_and_load(src, dst, "tmp.npz", serializers.save_npz, serializers.load_npz)


def save_and_load_hdf5(src: Any, dst: Any) -> None:
    """Copy by way of an HDF5 file."""
    save_and_load(src, dst, "tmp.h5", serializers.save_hdf5, serializers.load_hdf5)


def generate_matrix(shape: Any, dtype: Any = float, *, singular_values: Any) -> Any:
    """Return a random matrix (..., m, n) with these singular values: a number, or (..., min(m, n))."""
    if numpy.dtype(dtype).kind not in "fc":
        raise TypeError(f"generate_matrix: dtype is {numpy.dtype(dtype)} but must be floating")
    if numpy.any(numpy.less(singular_values, 0)):
        raise ValueError(f"generate_matrix: singular values are not negative; got {singular_values}")
    *_, m, n = shape
    x = numpy.random.standard_normal(shape)
    if numpy.dtype(dtype).kind == "c":
        x = x + 1j * numpy.random.standard_normal(shape)
    u, _, vh = numpy.linalg.svd(x, full_matrices=False)
    sigma = numpy.broadcast_to(numpy.asarray(singular_values, float), (*shape[:-2], min(m, n)))
    return numpy.asarray((u * sigma[..., None, :]) @ vh, dtype)


def get_trainer_with_mock_updater(
    stop_trigger: Any = (10, "iteration"), iter_per_epoch: int = 10, extensions: Any = None
) -> Trainer:
    """Return a trainer whose updater only counts."""
    updater = Mock()
    updater.get_all_optimizers.return_value = {}
    updater.iteration = 0
    updater.epoch = 0
    updater.epoch_detail = 0
    updater.previous_epoch_detail = None
    updater.is_new_epoch = True

    def update() -> None:
        updater.previous_epoch_detail = updater.epoch_detail
        updater.iteration += 1
        updater.epoch = updater.iteration // iter_per_epoch
        updater.epoch_detail = updater.iteration / iter_per_epoch
        updater.is_new_epoch = updater.epoch > int(updater.previous_epoch_detail)

    updater.update = update
    return Trainer(updater, stop_trigger, extensions=extensions)
