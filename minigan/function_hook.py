"""Hooks: code of the user that is called before and after every function, to time it, print it or watch it.

A hook entered by ``with hook:`` is called for every function of this thread; one given to ``function.add_hook(hook)``
for that function only. Without any hook ``FunctionNode.apply`` pays for one look at an empty dict.
"""

from __future__ import annotations

import threading
from typing import Any, ClassVar


class Thread(threading.local):
    """The hooks that one thread has entered, by name."""

    def __init__(self) -> None:
        self.hooks: dict[str, Any] = {}


this_thread = Thread()


def get_function_hooks() -> dict[str, FunctionHook]:
    """Return the hooks of this thread by name, in the order in which they are called."""
    return this_thread.hooks


def register(hooks: dict[str, Any], hook: Any, name: str | None, owner: Any) -> None:
    """Put a hook into a dict under its name and tell it to whom it was added; ``KeyError`` if the name is taken."""
    name = name or hook.name
    if name in hooks:
        raise KeyError(f"hook {name} already exists; give this one another name")
    hooks[name] = hook
    hook.added(owner)


class Hook:
    """What hooks of functions and hooks of links share: how they are entered, and that they are told of it."""

    name: str
    _thread: ClassVar[Thread]

    def __enter__(self) -> Any:
        register(self._thread.hooks, self, None, None)
        return self

    def __exit__(self, *args: Any) -> None:
        self.deleted(None)
        del self._thread.hooks[self.name]

    def added(self, owner: Any) -> None:
        """Called when the hook is added, to a function or link, or (None) to the thread."""

    def deleted(self, owner: Any) -> None:
        """Called when the hook is removed, from a function or link, or (None) from the thread."""


class FunctionHook(Hook):
    """Base of all hooks of functions: override what you need.

    ``in_data`` is the tuple of input arrays (None where ``backward`` no longer has one), ``out_grad`` that of the
    gradients of the outputs (None where there is none).
    """

    name = "FunctionHook"
    _thread = this_thread

    def forward_preprocess(self, function: Any, in_data: tuple) -> None:
        """Called before ``forward``."""

    def forward_postprocess(self, function: Any, in_data: tuple) -> None:
        """Called after ``forward``."""

    def backward_preprocess(self, function: Any, in_data: tuple, out_grad: tuple) -> None:
        """Called before ``backward``."""

    def backward_postprocess(self, function: Any, in_data: tuple, out_grad: tuple) -> None:
        """Called after ``backward``."""
