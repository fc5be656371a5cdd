"""One test on many devices: a configuration knows where arrays go and which settings hold meanwhile."""

from __future__ import annotations

import contextlib
import inspect
from typing import Any

from minigan.backend import Device, get_device
from minigan.configuration import using_config
from minigan.testing import attr
from minigan.testing.parameterized import bundle

_DEFAULTS = {
    "use_chainerx": False, "chainerx_device": None, "use_cuda": False, "cuda_device": None, "use_cudnn": "never",
    "cudnn_deterministic": False, "autotune": False, "cudnn_fast_batch_normalization": False, "use_ideep": "never",
}  # fmt: skip


class BackendConfig:
    """Where a test runs: ``BackendConfig({"use_cuda": True})``; inside ``with`` its settings hold."""

    use_chainerx: bool
    use_cuda: bool
    cuda_device: int | None
    use_ideep: str

    def __init__(self, params: dict[str, Any]) -> None:
        for key in params:
            if key not in _DEFAULTS:
                raise ValueError(f"BackendConfig: got the key {key!r}; wanted keys of {', '.join(_DEFAULTS)}")
        vars(self).update({**_DEFAULTS, **params})
        self._stack = contextlib.ExitStack()

    @property
    def device(self) -> Device:
        """The device of the arrays."""
        return get_device(self.cuda_device or 0 if self.use_cuda else "@numpy")

    @property
    def xp(self) -> Any:
        """NumPy or CuPy."""
        return self.device.xp

    def get_array(self, array: Any) -> Any:
        """Return an array, or a list or tuple of arrays, on the device; None stays None."""
        return array if array is None else self.device.send(array)

    def mark(self, case: Any) -> Any:
        """Skip the test where the machine lacks what this asks for."""
        if self.use_chainerx:
            return attr.chainerx(case)
        if self.use_ideep != "never":
            return attr.ideep(case)
        return attr.multi_gpu((self.cuda_device or 0) + 1)(case) if self.use_cuda else case

    def __enter__(self) -> BackendConfig:
        for key in ("use_cudnn", "cudnn_deterministic", "autotune", "cudnn_fast_batch_normalization", "use_ideep"):
            self._stack.enter_context(using_config(key, vars(self)[key]))
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.close()

    def __repr__(self) -> str:
        changed = {k: vars(self)[k] for k, v in _DEFAULTS.items() if vars(self)[k] != v}
        return f"BackendConfig({changed})"


def inject_backend_tests(method_names: list[str] | None, params: list[dict[str, Any]]) -> Any:
    """Decorator: run a test case once for each configuration.

    It is the argument of the methods named, with None of every test that takes one, and ``self.backend_config``.
    """

    def variants(case: type) -> list[tuple[str, dict[str, Any], Any]]:
        found = []
        tests = {n: getattr(case, n) for n in dir(case) if n.startswith("test") and callable(getattr(case, n))}
        names = method_names or [n for n, test in tests.items() if len(inspect.signature(test).parameters) > 1]
        for i, param in enumerate(params):
            config = BackendConfig(param)
            members: dict[str, Any] = {"backend_config": config}
            for name in names:
                members[name] = _with_config(getattr(case, name), config)
            found.append((f"backend_{i}", members, config.mark))
        return found

    return bundle(variants)


def _with_config(method: Any, config: BackendConfig) -> Any:
    def test(self: Any) -> None:
        method(self, config)

    test.__doc__ = method.__doc__
    return test
