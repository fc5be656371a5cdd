"""What an extension is: a callable that the trainer calls with itself, and a few attributes that say when.

A class derives from `Extension`; a function is decorated with `make_extension`, or handed to `Trainer.extend` as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

PRIORITY_WRITER = 300
"""Priority of an extension that adds values to the observation: called first."""
PRIORITY_EDITOR = 200
"""Priority of an extension that changes values of the observation."""
PRIORITY_READER = 100
"""Priority of an extension that only reads the observation: called last."""


class Extension:
    """Base class of extensions; a subclass must define `__call__(trainer)`.

    Attributes:
        trigger: When it is called, unless `Trainer.extend` says otherwise.
        priority: Extensions of higher priority are called first; see `PRIORITY_WRITER` and its like.
        name: The name under which a trainer knows it; None until then.
        closes_iteration: Whether it must see the iteration finished, and so is called after all others whatever their
            priority. A snapshot of the trainer is the one that needs this.
    """

    trigger: Any = (1, "iteration")
    priority: int = PRIORITY_READER
    name: str | None = None
    closes_iteration: bool = False

    @property
    def default_name(self) -> str:
        """The name that it gets when none is given: that of the class."""
        return type(self).__name__

    def __call__(self, trainer: Any) -> Any:
        """Do what the extension is for; what it returns is not used."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(trainer)")

    def initialize(self, trainer: Any) -> None:
        """Called once, before the first iteration of this run (which is not iteration 1 when a run is resumed)."""

    def on_error(self, trainer: Any, exception: Exception, traceback: Any) -> None:
        """Called when the loop was left by an exception, before `finalize`."""

    def finalize(self) -> None:
        """Called once, when the loop has been left for whatever reason."""

    def serialize(self, serializer: Any) -> None:
        """Write the state to a serializer, or read it from a deserializer; there is none unless a subclass has one."""


def make_extension(
    trigger: Any = None,
    default_name: str | None = None,
    priority: int | None = None,
    finalizer: Callable[[], None] | None = None,
    initializer: Callable[[Any], None] | None = None,
    on_error: Callable[[Any, Exception, Any], None] | None = None,
    **kwargs: Any,
) -> Callable[[Callable[[Any], Any]], Any]:
    """Return a decorator that gives a function `f(trainer)` the attributes of an extension.

    Args:
        trigger: As in `Extension`; None is every iteration.
        default_name: None takes the function's name.
        priority: None is `PRIORITY_READER`.
        finalizer: Becomes `finalize`.
        initializer: Becomes `initialize`.
        on_error: As in `Extension`.
    """
    if kwargs:
        removed = "invoke_before_training" in kwargs
        raise (ValueError if removed else TypeError)(
            f"make_extension: there is no argument {next(iter(kwargs))!r}; to call an extension before training, pass "
            f"call_before_training=True to Trainer.extend"
        )

    def decorate(function: Any) -> Any:
        function.trigger = Extension.trigger if trigger is None else trigger
        function.default_name = function.__name__ if default_name is None else default_name
        function.priority = Extension.priority if priority is None else priority
        function.finalize = finalizer
        function.initialize = initializer
        function.on_error = on_error
        return function

    return decorate
