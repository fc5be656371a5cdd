"""One door for every mode: training or test, graph or no graph, debug, default dtype.

``global_config`` holds the values of all threads, ``config`` the present thread's view of them: a key that is set on
``config`` hides the global one in this thread only. ``using_config`` sets a key for the length of a ``with`` block.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy


class Mixed16:
    """The dtype of mixed precision: arrays are float16, what must not lose digits (parameters, sums) float32."""

    dtype = numpy.dtype(numpy.float16)

    def __repr__(self) -> str:
        return "dtype('mixed16')"


mixed16 = Mixed16()


class GlobalConfig:
    """Values that all threads share unless a thread hides them; keys are attributes, unknown keys may be added.

    ``tf32`` lets a GPU round the factors of float32 products to 11 bits, which is several times faster; ``cuda_graph``
    lets updaters launch an iteration as one graph (`minigan.cuda_graph`).
    The keys from ``autotune`` on are Chainer's for things that do not exist here; they are accepted and do nothing.
    """

    train: bool = True
    enable_backprop: bool = True
    type_check: bool = True
    debug: bool = False
    keep_graph_on_report: bool = False
    dtype: Any = numpy.dtype(numpy.float32)
    use_cudnn: str = "auto"
    use_cudnn_tensor_core: str = "auto"
    warn_nondeterministic: bool = False
    tf32: bool = False
    cuda_graph: bool = False
    autotune: bool = False
    compute_mode: Any = None
    cudnn_deterministic: bool = False
    cudnn_fast_batch_normalization: bool = False
    in_recomputing: bool = False
    lazy_grad_sum: bool = False
    schedule_func: Any = None
    use_ideep: str = "never"
    use_static_graph: bool = True
    _will_recompute: bool = False

    def show(self, file: Any = None) -> None:
        """Print every key that is set, with its value."""
        _show(vars(self), file)


def _show(values: dict[str, Any], file: Any) -> None:
    width = max(map(len, values), default=0)
    for key, value in sorted(values.items()):
        print(f"{key:<{width}} {value}", file=file or sys.stdout)


class LocalConfig(threading.local):
    """This thread's view: its own values first, then those of the global configuration."""

    def __init__(self, global_config: GlobalConfig) -> None:
        self._global = global_config

    def __getattr__(self, key: str) -> Any:
        return getattr(self._global, key)

    def show(self, file: Any = None) -> None:
        """Print every key with its value in this thread."""
        values = {**vars(self._global), **vars(self)}
        del values["_global"]
        _show(values, file)


def _from_environment(key: str, default: Any) -> Any:
    """Return the value of a key: that of the variable CHAINER_DEBUG, CHAINER_DTYPE ... where there is one."""
    text = os.environ.get(f"CHAINER_{key.upper()}")
    if text is None:
        return default
    if key == "dtype":
        if text not in ("mixed16", "float16", "float32", "float64"):
            raise ValueError(f"CHAINER_DTYPE is {text!r}; wanted mixed16, float16, float32 or float64")
        return mixed16 if text == "mixed16" else numpy.dtype(text)
    return bool(int(text)) if isinstance(default, bool) else text


global_config = GlobalConfig()
for _key in GlobalConfig.__annotations__:
    setattr(global_config, _key, _from_environment(_key, getattr(GlobalConfig, _key)))
config = LocalConfig(global_config)


@contextlib.contextmanager
def using_config(name: str, value: Any, config: Any = config) -> Iterator[None]:
    """Set key ``name`` to ``value`` inside a ``with`` block, in this thread; put back what was there before."""
    own = vars(config)
    hidden = name in own
    previous = own.get(name)
    setattr(config, name, value)
    try:
        yield
    finally:
        if hidden:
            setattr(config, name, previous)
        else:
            delattr(config, name)


def no_backprop_mode() -> contextlib.AbstractContextManager[None]:
    """Inside the ``with`` block functions record no graph, so that nothing is kept for a backward pass."""
    return using_config("enable_backprop", False)


def force_backprop_mode() -> contextlib.AbstractContextManager[None]:
    """Inside the ``with`` block functions record the graph, even within ``no_backprop_mode``."""
    return using_config("enable_backprop", True)


def get_dtype(dtype: Any = None, map_mixed16: Any = None) -> numpy.dtype:
    """Return ``dtype``, or ``config.dtype`` for ``None``, as a NumPy dtype.

    ``mixed16`` gives float16, or ``map_mixed16`` where that is given.
    """
    dtype = config.dtype if dtype is None else dtype
    if isinstance(dtype, Mixed16):
        dtype = dtype.dtype if map_mixed16 is None else map_mixed16
    return numpy.dtype(dtype)


def is_debug() -> bool:
    """Say whether every function looks for NaN in what it computes (``config.debug``)."""
    own = config.__dict__  # four times as quick as config.debug, which every application of a function would ask for
    return bool(own["debug"] if "debug" in own else global_config.debug)


def is_recording() -> bool:
    """Say whether functions record the graph (``config.enable_backprop``)."""
    own = config.__dict__
    return bool(own["enable_backprop"] if "enable_backprop" in own else global_config.enable_backprop)


def set_debug(debug: bool) -> None:
    """Switch debug mode on or off in this thread."""
    config.debug = debug


def DebugMode(debug: bool) -> contextlib.AbstractContextManager[None]:
    """Inside the ``with`` block debug mode is on or off."""
    return using_config("debug", debug)


def get_compute_mode() -> Any:
    """Return ``config.compute_mode``; nothing here depends on it."""
    return config.compute_mode
