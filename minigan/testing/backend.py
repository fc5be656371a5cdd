"""One test on many devices: a configuration knows where arrays go and which settings hold meanwhile."""

from __future__ import annotations

import contextlib
import functools
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
        self._params = {**_DEFAULTS, **({"cuda_device": 0} if params.get("use_cuda") else {}), **params}
        vars(self).update(self._params)
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
        """Skip the test where the machine lacks what this asks for. Without iDeep it runs on NumPy, marked `ideep`."""
        if self.use_chainerx:
            return attr.chainerx(case)
        if self.use_cuda:
            return attr.multi_gpu((self.cuda_device or 0) + 1)(case)
        return attr.marked("ideep")(case) if self.use_ideep != "never" else case

    def __enter__(self) -> BackendConfig:
        for key in ("use_cudnn", "cudnn_deterministic", "autotune", "cudnn_fast_batch_normalization", "use_ideep"):
            self._stack.enter_context(using_config(key, vars(self)[key]))
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.close()

    @property
    def suffix(self) -> str:
        """What test cases with this configuration are called."""
        return "_" + "__".join(f"{k}_{str(v).lower() if isinstance(v, bool) else v}" for k, v in self._params.items())

    def __repr__(self) -> str:
        changed = {k: vars(self)[k] for k, v in _DEFAULTS.items() if vars(self)[k] != v}
        return f"BackendConfig({changed})"


def inject_backend_tests(method_names: list[str] | None, params: list[dict[str, Any]]) -> Any:
    """Decorator: run the methods named (None: every test that takes one) once for each configuration, their argument.

    The configuration is ``self.backend_config``, too. Tests that are not named run once.
    """

    def variants(case: type) -> list[tuple[str, dict[str, Any], Any]]:
        tests = {n: getattr(case, n) for n in dir(case) if n.startswith("test") and callable(getattr(case, n))}
        asking = [n for n, test in tests.items() if len(inspect.signature(test).parameters) > 1]
        names = asking if method_names is None else [n for n in method_names if n in tests]
        others = {} if method_names is None else {name: None for name in tests if name not in names}
        found: list[tuple[str, dict[str, Any], Any]] = []
        if others:
            found.append(("", dict.fromkeys(names), lambda case: case))
        if others and not names:  # an outer decorator meets the case of the others
            return found
        for param in params:
            config = BackendConfig(param)
            configured = {name: _with_config(getattr(case, name), config) for name in names}
            found.append((config.suffix, {"backend_config": config, **configured, **others}, config.mark))
        return found

    return bundle(variants)


def _with_config(method: Any, config: BackendConfig) -> Any:
    @functools.wraps(method)
    def test(self: Any, *others: Any, **fixtures: Any) -> None:
        method(self, config, *others, **fixtures)

    signature = inspect.signature(method)  # without the argument that is given here, for the next decorator and pytest
    first, _, *rest = signature.parameters.values()
    test.__signature__ = signature.replace(parameters=[first, *rest])  # type: ignore[attr-defined]
    return test
