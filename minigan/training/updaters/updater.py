"""The face that a trainer sees of an updater, whatever it trains."""

from __future__ import annotations

from typing import Any


class Updater:
    """Base class of updaters.

    A trainer also reads the attributes `iteration`, `epoch`, `epoch_detail` and `previous_epoch_detail`, which a
    subclass must have; `StandardUpdater` has them.
    """

    def connect_trainer(self, trainer: Any) -> None:
        """Called by the trainer that will use this updater; there is nothing to do unless a subclass says so."""

    def finalize(self) -> None:
        """Called when training is over; there is nothing to free unless a subclass says so."""

    def get_optimizer(self, name: str) -> Any:
        """Return the optimizer called `name`."""
        raise NotImplementedError(f"{type(self).__name__} must define get_optimizer(name)")

    def get_all_optimizers(self) -> dict[str, Any]:
        """Return all optimizers by name."""
        raise NotImplementedError(f"{type(self).__name__} must define get_all_optimizers()")

    def update(self) -> None:
        """Do one iteration."""
        raise NotImplementedError(f"{type(self).__name__} must define update()")

    def serialize(self, serializer: Any) -> None:
        """Write the state to a serializer, or read it from a deserializer."""
        raise NotImplementedError(f"{type(self).__name__} must define serialize(serializer)")
