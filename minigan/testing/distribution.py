"""Test cases of a probability distribution against its namesake in SciPy."""

from __future__ import annotations

import unittest
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minigan.backends import cuda
from minigan.core import Variable, as_array
from minigan.gradient_check import assert_allclose
from minigan.testing import attr

# What is compared: its name in tests, in minigan, in SciPy; {} is pdf, or pmf where values are not continuous.
MOMENTS = {"mean": ("mean", "mean"), "stddev": ("stddev", "std"), "variance": ("variance", "var"),
           "entropy": ("entropy", "entropy")}  # fmt: skip
VALUES = {"prob": ("prob", "{}"), "log_prob": ("log_prob", "log{}"), "cdf": ("cdf", "cdf"), "icdf": ("icdf", "ppf"),
          "log_cdf": ("log_cdf", "logcdf"), "survival": ("survival_function", "sf"),
          "log_survival": ("log_survival_function", "logsf")}  # fmt: skip
FACTS = {"batch_shape": "shape", "event_shape": "event_shape", "support": "support"}
TARGETS = {*MOMENTS, *VALUES, *FACTS, "sample"}


class distribution_unittest(unittest.TestCase):
    """Checks what ``test_targets`` names, each ``test_..._cpu`` and ``test_..._gpu``, and skips the rest.

    ``setUp_configure()`` sets ``dist``, ``params`` (arrays) and further ``options`` of it, ``scipy_dist`` and
    ``scipy_params``, ``test_targets``, and, where they are not "real", () and True, ``support``, ``event_shape`` and
    ``continuous``. ``sample_for_test()`` gives values; ``shape``, ``sample_shape`` and ``is_variable`` are
    parameters of the case. With ``scipy_onebyone`` SciPy is asked for one member of the batch at a time.
    """

    scipy_onebyone = False
    dist: Any
    params: dict[str, Any]
    scipy_dist: Any
    scipy_params: dict[str, Any]
    shape: Any
    sample_shape: Any
    is_variable = False

    def setUp(self) -> None:
        """Read the configuration; ``ValueError`` for targets that do not exist."""
        self.support, self.event_shape, self.continuous = "real", (), True
        self.test_targets: set[str] = set()
        self.options: dict[str, Any] = {}
        self.setUp_configure()
        if not TARGETS.issuperset(self.test_targets):
            raise ValueError(f"test_targets: got {set(self.test_targets) - TARGETS}; wanted some of {TARGETS}")

    def setUp_configure(self) -> None:
        """Set the attributes that the class describes."""
        raise NotImplementedError("setUp_configure is not implemented.")

    def sample_for_test(self) -> Any:
        """Return values of shape sample_shape + shape + event_shape."""
        raise NotImplementedError("sample_for_test is not implemented.")

    def _make(self, send: Callable[[Any], Any]) -> Any:
        params = {k: Variable(send(v)) if self.is_variable else send(v) for k, v in self.params.items()}
        return self.dist(**{**params, **self.options})

    @property
    def cpu_dist(self) -> Any:
        """The distribution, with parameters in NumPy."""
        return self._make(lambda value: value)

    @property
    def gpu_dist(self) -> Any:
        """The distribution, with parameters in CuPy."""
        return self._make(cuda.to_gpu)

    def scipy_onebyone_params_iter(self) -> Iterator[dict[str, Any]]:
        """SciPy's parameters of each member of the batch."""
        return ({k: np.asarray(v)[i] for k, v in self.scipy_params.items()} for i in np.ndindex(*self.shape))

    def _expected(self, name: str, *x: Any) -> Any:
        """What SciPy's method `name` gives, at the values `x` if there are any."""
        function = getattr(self.scipy_dist, name.format("pdf" if self.continuous else "pmf"))
        if not self.scipy_onebyone:
            return function(*x, **self.scipy_params)
        params = list(self.scipy_onebyone_params_iter())
        if not x:
            one = np.array([function(**p) for p in params])
            return one.reshape((*self.shape, *one.shape[1:]))
        rows = x[0].reshape(-1, len(params), *self.event_shape)
        values = np.array([[function(v, **p) for v, p in zip(row, params)] for row in rows])
        return values.reshape(x[0].shape[: x[0].ndim - len(self.event_shape)])

    def _check(self, target: str, is_gpu: bool) -> None:
        dist, send = (self.gpu_dist, cuda.to_gpu) if is_gpu else (self.cpu_dist, np.asarray)
        if target in FACTS:
            self.assertEqual(getattr(dist, target), getattr(self, FACTS[target]))
        elif target == "sample":
            drawn = cuda.to_cpu(as_array(dist.sample((100000, *self.sample_shape)))).astype(np.float64)
            self.assertEqual(drawn.shape, (100000, *self.sample_shape, *self.shape, *self.event_shape))
            variance, shape = self._expected("var"), drawn.shape[1:]
            error = abs(drawn.mean(axis=0) - self._expected("mean"))
            self.assertTrue((error <= 6 * np.sqrt(variance / 100000) + 1e-4).all(), f"means are off by {error}")
            assert_allclose(drawn.var(axis=0), np.broadcast_to(variance, shape), atol=1e-2, rtol=5e-2)
        elif target in MOMENTS:
            assert_allclose(getattr(dist, MOMENTS[target][0]), self._expected(MOMENTS[target][1]))
        else:
            x = self.sample_for_test()
            if target == "icdf":
                x = np.asarray(np.random.uniform(1e-3, 1 - 1e-3, np.shape(x)), np.float32)
            y = getattr(dist, VALUES[target][0])(send(x))
            assert_allclose(y, self._expected(VALUES[target][1], np.asarray(x)))


def _add(target: str) -> None:
    def check(self: distribution_unittest, is_gpu: bool) -> None:
        self._check(target, is_gpu)

    def run(self: distribution_unittest, is_gpu: bool) -> None:
        if target not in self.test_targets:
            raise unittest.SkipTest(f"{target} is not in test_targets")
        getattr(self, f"check_{target}")(is_gpu)

    def test_cpu(self: distribution_unittest) -> None:
        run(self, False)

    def test_gpu(self: distribution_unittest) -> None:
        run(self, True)

    for name, function in (("check_{}", check), ("test_{}_cpu", test_cpu), ("test_{}_gpu", attr.gpu(test_gpu))):
        setattr(distribution_unittest, name.format(target), function)


for _target in sorted(TARGETS):
    _add(_target)
