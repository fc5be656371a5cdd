"""Batch normalisation as a layer: it owns gamma and beta, and remembers the statistics of the batches it has seen."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import numpy as np

from minigan import initializers
from minigan.configuration import config, get_dtype
from minigan.core import Parameter, Variable
from minigan.functions.normalization import batch_normalization, fixed_batch_normalization
from minigan.link import Link

__all__ = ["BatchNormalization"]


class BatchNormalization(Link):
    """y = gamma (x - mean) / sqrt(var + eps) + beta, per channel.

    While training (``config.train``) mean and var are those of the batch, and the running ones follow them:
    ``avg <- decay avg + (1 - decay) new``, with the unbiased variance. Otherwise the running ones are used.
    Fine-tuning replaces the running statistics by the plain mean over the batches that follow: call
    ``start_finetuning()``, then ``link(x, finetune=True)`` for each batch.

    Args:
        size: shape of a channel parameter, an int or a tuple; None waits for the first batch and needs ``axis``.
        decay: of the running statistics.
        eps: added to the variance.
        dtype: of parameters and statistics; ``config.dtype`` by default. Independent of x's.
        use_gamma, use_beta: without them gamma is 1 and beta is 0, and they are no parameters.
        initial_gamma, initial_beta, initial_avg_mean, initial_avg_var: initializers, numbers or arrays; 1, 0, 0, 1.
        axis: the axes to normalise over, ascending, such as (0, 2, 3); by default axis 0 and those behind gamma's.

    Parameters ``gamma`` and ``beta``; persistent ``avg_mean``, ``avg_var`` and ``N``, the batches of fine-tuning.
    Raises ``RuntimeError`` if neither ``size`` nor ``axis`` is given, ``InvalidType`` for x of another size.
    """

    gamma: Parameter | None = None
    beta: Parameter | None = None

    def __init__(
        self,
        size: int | tuple[int, ...] | None = None,
        decay: float = 0.9,
        eps: float = 2e-5,
        dtype: Any = None,
        use_gamma: bool = True,
        use_beta: bool = True,
        initial_gamma: Any = None,
        initial_beta: Any = None,
        axis: int | tuple[int, ...] | None = None,
        initial_avg_mean: Any = None,
        initial_avg_var: Any = None,
    ) -> None:
        super().__init__()
        if size is None and axis is None:
            raise RuntimeError(
                "BatchNormalization: size and axis are both None; give the number of channels, or axis=(0, 2, 3) to "
                "take it from the first batch of images"
            )
        self.decay, self.eps = decay, eps
        self.axis = (int(axis),) if isinstance(axis, int | np.integer) else axis
        self.N = 0
        self._dtype = get_dtype(dtype)
        self._initial_avg_mean = 0 if initial_avg_mean is None else initial_avg_mean
        self._initial_avg_var = 1 if initial_avg_var is None else initial_avg_var
        self.avg_mean: Any = None
        self.avg_var: Any = None
        for name in ("avg_mean", "avg_var", "N"):
            self.register_persistent(name)
        with self.init_scope():
            if use_gamma:
                self.gamma = Parameter(self._initializer(1 if initial_gamma is None else initial_gamma))
            if use_beta:
                self.beta = Parameter(self._initializer(0 if initial_beta is None else initial_beta))
        if size is not None:
            self._initialize((int(size),) if isinstance(size, int | np.integer) else tuple(size))

    def forward(self, x: Any, *, finetune: bool = False) -> Variable:
        """Normalise x; ``finetune`` counts this batch into the plain mean of the statistics (only while training)."""
        if self.avg_mean is None:
            axis = self.axis or ()
            self._initialize(tuple(n for i, n in enumerate(x.shape) if i not in axis))
        gamma = self.xp.ones_like(self.avg_mean) if self.gamma is None else self.gamma
        beta = self.xp.zeros_like(self.avg_mean) if self.beta is None else self.beta
        if not config.train:
            return fixed_batch_normalization(x, gamma, beta, self.avg_mean, self.avg_var, self.eps, self.axis)
        decay = self.decay
        if finetune:
            self.N += 1
            decay = 1 - 1 / self.N
        return batch_normalization(x, gamma, beta, self.eps, self.avg_mean, self.avg_var, decay, self.axis)

    def start_finetuning(self) -> None:
        """Count the batches of ``forward(x, finetune=True)`` from 0 again."""
        self.N = 0

    def _initializer(self, value: Any) -> Any:
        """An initializer that gives this link's dtype."""
        initializer = copy.copy(initializers._get_initializer(value))
        initializer.dtype = self._dtype
        return initializer

    def _initialize(self, shape: tuple[int, ...]) -> None:
        """Make what has no array yet."""
        for parameter in (self.gamma, self.beta):
            if parameter is not None and not parameter.is_initialized:
                parameter.initialize(shape)
        self.avg_mean = self._statistic(self._initial_avg_mean, shape)
        self.avg_var = self._statistic(self._initial_avg_var, shape)

    def _statistic(self, initial: Any, shape: tuple[int, ...]) -> Any:
        return initializers.generate_array(self._initializer(initial), shape, self.xp, device=self.device)

    @property
    def printable_specs(self) -> Iterable[tuple[str, Any]]:
        """Sizes and switches, for ``str(link)``."""
        yield "size", None if self.avg_mean is None else self.avg_mean.shape[0]
        yield "decay", self.decay
        yield "eps", self.eps
        yield "dtype", self._dtype
        yield "use_gamma", self.gamma is not None
        yield "use_beta", self.beta is not None
