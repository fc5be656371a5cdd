"""Hooks that watch links being called: `with MyHook(): model(x)` for all, `link.add_hook(MyHook())` for one.

A hook sees the arguments before `forward` and the result after it; spectral normalisation and timers are hooks.
Without any hook `Link.__call__` pays for one look at an empty dict.
"""

from __future__ import annotations

from typing import Any

from minigan.function_hook import Hook, Thread

_thread = Thread()


def _get_link_hooks() -> dict[str, LinkHook]:
    """Return the hooks of this thread by name, in the order in which they are called."""
    return _thread.hooks


class _ForwardCallbackArgs:
    """What a hook is told of a call: the link, the name of the method, its arguments, and at last its result."""

    def __init__(self, link: Any, forward_name: str, args: tuple, kwargs: dict[str, Any], **out: Any) -> None:
        self.link, self.forward_name, self.args, self.kwargs = link, forward_name, args, kwargs
        self.__dict__.update(out)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {' '.join(f'{name}={value}' for name, value in vars(self).items())}>"


class LinkHook(Hook):
    """Base of the hooks; a subclass overrides the methods that it needs, and `name`.

    `with hook:` makes it watch every link that this thread calls, `link.add_hook(hook)` that link in all threads.
    """

    name = "LinkHook"
    _thread = _thread

    def forward_preprocess(self, args: Any) -> None:
        """Called before `forward`; `args` has `link`, `forward_name`, `args` and `kwargs`."""

    def forward_postprocess(self, args: Any) -> None:
        """Called after `forward`; `args` has the result as `out` too."""
