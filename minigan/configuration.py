"""One door for every mode: training or test, graph or no graph, debug, default dtype.

``global_config`` holds the values of all threads, ``config`` the present thread's view of them: a key that is set on
``config`` hides the global one in this thread only. ``using_config`` sets a key for the length of a ``with`` block.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy


class GlobalConfig:
    """Values that all threads share unless a thread hides them; keys are attributes, unknown keys may be added."""

    train: bool = True
    enable_backprop: bool = True
    type_check: bool = True
    debug: bool = False
    keep_graph_on_report: bool = False
    dtype: Any = numpy.dtype(numpy.float32)

    def show(self, file: Any = None) -> None:
        """Print every key with its value."""
        for key, value in sorted({**_defaults(), **vars(self)}.items()):
            print(f"{key:<21} {value}", file=file or sys.stdout)


def _defaults() -> dict[str, Any]:
    return {key: getattr(GlobalConfig, key) for key in GlobalConfig.__annotations__}


class LocalConfig(threading.local):
    """This thread's view: its own values first, then those of ``global_config``."""

    def __getattr__(self, key: str) -> Any:
        return getattr(global_config, key)

    def show(self, file: Any = None) -> None:
        """Print every key with its value in this thread."""
        for key, value in sorted({**_defaults(), **vars(global_config), **vars(self)}.items()):
            print(f"{key:<21} {value}", file=file or sys.stdout)


global_config = GlobalConfig()
config = LocalConfig()


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


def get_dtype(dtype: Any = None) -> numpy.dtype:
    """Return ``dtype``, or ``config.dtype`` for ``None``, as a NumPy dtype."""
    return numpy.dtype(config.dtype if dtype is None else dtype)


def is_debug() -> bool:
    """Say whether every function looks for NaN in what it computes (``config.debug``)."""
    return bool(config.debug)


def set_debug(debug: bool) -> None:
    """Switch debug mode on or off in this thread."""
    config.debug = debug
