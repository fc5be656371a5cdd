"""Normalisation as layers: they own gamma and beta, and some remember the statistics of the batches they have seen."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from minigan import initializers
from minigan.configuration import config, get_dtype
from minigan.core import Parameter, Variable, as_variable
from minigan.functions.normalization import (
    batch_normalization,
    batch_renormalization,
    fixed_batch_normalization,
    group_normalization,
    layer_normalization,
)
from minigan.functions.whitening import decorrelated_batch_normalization, fixed_decorrelated_batch_normalization
from minigan.link import Link
from minigan.serializer import Deserializer
from minigan.utils.type_check import InvalidType

__all__ = [
    "BatchNormalization", "BatchRenormalization", "DecorrelatedBatchNormalization", "GroupNormalization",
    "LayerNormalization",
]  # fmt: skip


class _Remembering(Link):
    """A link whose running statistics are, while it is fine-tuned, the plain mean over the batches."""

    decay: float
    N: int

    def start_finetuning(self) -> None:
        """Count the batches of ``forward(x, finetune=True)`` from 0 again."""
        self.N = 0

    def _decay(self, finetune: bool) -> float:
        """The decay for this batch, which counts if it is for fine-tuning.

        ``F.forget`` comes a second time with the same batch, and finds the statistics as they were before the first.
        """
        if config._will_recompute:
            self._before = {name: copy.copy(getattr(self, name)) for name in self._persistent}
        elif config.in_recomputing:
            for name, value in self._before.items():
                setattr(self, name, copy.copy(value))
        if not finetune:
            return self.decay
        self.N += 1
        return 1 - 1 / self.N


class BatchNormalization(_Remembering):
    """y = gamma (x - mean) / sqrt(var + eps) + beta, per channel.

    While training (``config.train``) mean and var are those of the batch, and the running ones follow them:
    ``avg <- decay avg + (1 - decay) new``, with the unbiased variance. Otherwise the running ones are used.
    Fine-tuning replaces the running statistics by the plain mean over the batches that follow: call
    ``start_finetuning()``, then ``link(x, finetune=True)`` for each batch.

    Args:
        size: shape of a channel parameter, an int or a tuple; None waits for the first batch and needs ``axis``.
        decay: of the running statistics.
        eps: added to the variance.
        dtype: of parameters and statistics; ``config.dtype`` by default, float32 for mixed16. Independent of x's.
        use_gamma, use_beta: without them gamma is 1 and beta is 0, and they are no parameters.
        initial_gamma, initial_beta, initial_avg_mean, initial_avg_var: initializers, numbers or arrays; 1, 0, 0, 1.
        axis: the axes to normalise over, ascending, such as (0, 2, 3); by default axis 0 and those behind gamma's.

    Parameters ``gamma`` and ``beta``; persistent ``avg_mean``, ``avg_var`` and ``N``, the batches of fine-tuning.
    Raises ``RuntimeError`` if neither ``size`` nor ``axis`` is given, ``InvalidType`` for x of another size.
    """

    gamma: Parameter | None = None
    beta: Parameter | None = None
    frozen = False  #: whether training leaves the running statistics as they are; not in Chainer

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
                f"{type(self).__name__}: size and axis are both None; give the number of channels, or axis=(0, 2, 3) "
                "to take it from the first batch of images"
            )
        self.decay, self.eps = decay, eps
        self.axis = (int(axis),) if isinstance(axis, int | np.integer) else axis
        self.N = 0
        self._highprec_dtype = get_dtype(dtype, map_mixed16=np.float32)
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
            self._initialize_params(size)

    def forward(
        self, x: Any, *, finetune: bool = False, test: None = None, activation: str | None = None, slope: float = 0.2
    ) -> Variable:
        """Normalise x; ``finetune`` counts this batch into the plain mean of the statistics (only while training).

        ``activation``, "relu" or "leaky_relu" with that ``slope``, follows at once, in the same passes over memory.
        """
        if test is not None:
            raise ValueError("BatchNormalization: test= is Chainer 1's; use chainer.using_config('train', False)")
        if self.avg_mean is None:
            axis = self.axis or ()
            self._initialize_params(tuple(n for i, n in enumerate(x.shape) if i not in axis))
        gamma, beta = self._scale()
        behind: dict[str, Any] = {} if activation is None else {"activation": activation, "slope": slope}
        if not config.train:
            statistics = self.avg_mean, self.avg_var
            return fixed_batch_normalization(x, gamma, beta, *statistics, self.eps, self.axis, **behind)
        return self._train(x, gamma, beta, self._decay(finetune and not self.frozen), **behind)

    def _train(self, x: Any, gamma: Any, beta: Any, decay: float, **behind: Any) -> Variable:
        mean, var = (None, None) if self.frozen else (self.avg_mean, self.avg_var)
        return batch_normalization(
            x, gamma, beta, eps=self.eps, running_mean=mean, running_var=var, decay=decay, axis=self.axis, **behind
        )

    def _scale(self) -> tuple[Any, Any]:
        """gamma and beta, or the arrays of 1 and 0 that stand for them."""
        gamma = self.xp.ones_like(self.avg_mean) if self.gamma is None else self.gamma
        return gamma, self.xp.zeros_like(self.avg_mean) if self.beta is None else self.beta

    def _initializer(self, value: Any) -> Any:
        """An initializer that gives this link's dtype."""
        initializer = copy.copy(initializers._get_initializer(value))
        initializer.dtype = self._highprec_dtype
        return initializer

    def _initialize_params(self, shape: int | tuple[int, ...]) -> None:
        """Make what has no array yet."""
        shape = _shape(type(self).__name__, shape)
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
        yield "dtype", self._highprec_dtype
        yield "use_gamma", self.gamma is not None
        yield "use_beta", self.beta is not None


class BatchRenormalization(BatchNormalization):
    """Batch normalisation drawn towards the running statistics while training; see ``F.batch_renormalization``.

    Args:
        size: the number of channels, or the shape of a channel parameter.
        rmax, dmax: how far the batch may be from the running statistics: r in [1 / rmax, rmax], d in [-dmax, dmax].
            With the defaults 1 and 0 it is batch normalisation; the paper raises them slowly.
        others: as for ``BatchNormalization``.
    """

    def __init__(
        self,
        size: int | tuple[int, ...],
        rmax: float = 1,
        dmax: float = 0,
        decay: float = 0.9,
        eps: float = 2e-5,
        dtype: Any = None,
        use_gamma: bool = True,
        use_beta: bool = True,
        initial_gamma: Any = None,
        initial_beta: Any = None,
        initial_avg_mean: Any = None,
        initial_avg_var: Any = None,
    ) -> None:
        super().__init__(
            size, decay, eps, dtype, use_gamma, use_beta, initial_gamma, initial_beta, None, initial_avg_mean,
            initial_avg_var,
        )  # fmt: skip
        self.rmax, self.dmax = rmax, dmax

    def forward(self, x: Any, finetune: bool = False) -> Variable:  # type: ignore[override]
        """Normalise x; ``finetune`` counts this batch into the plain mean of the statistics (only while training)."""
        return super().forward(x, finetune=finetune)

    def _train(self, x: Any, gamma: Any, beta: Any, decay: float, **behind: Any) -> Variable:
        return batch_renormalization(
            x, gamma, beta, self.rmax, self.dmax, self.eps, self.avg_mean, self.avg_var, decay,
            update_statistics=not self.frozen,
        )  # fmt: skip


class DecorrelatedBatchNormalization(_Remembering):
    """Whitening of groups of channels: y = P (x - mean); see ``F.decorrelated_batch_normalization``.

    While training mean and P are those of the batch, and the running ones follow them; otherwise the running ones are
    used. Fine-tuning as in ``BatchNormalization``.

    Args:
        size: the number of channels.
        groups: G, into how many groups they are split.
        decay: of the running statistics.
        eps: added to the variances.
        dtype: of the statistics.

    Persistent ``avg_mean`` (G, size / G), ``avg_projection`` (G, size / G, size / G) and ``N``.
    """

    def __init__(
        self, size: int, groups: int = 16, decay: float = 0.9, eps: float = 2e-5, dtype: Any = np.float32
    ) -> None:
        super().__init__()
        channels = size // groups
        self.groups, self.decay, self.eps, self.N = groups, decay, eps, 0
        self.avg_mean = np.zeros((groups, channels), dtype)
        self.avg_projection = np.tile(np.eye(channels, dtype=dtype), (groups, 1, 1))
        for name in ("avg_mean", "avg_projection", "N"):
            self.register_persistent(name)

    def forward(self, x: Any, *, finetune: bool = False) -> Variable:
        """Whiten x; ``finetune`` counts this batch into the plain mean of the statistics (only while training)."""
        if not config.train:
            return fixed_decorrelated_batch_normalization(x, self.avg_mean, self.avg_projection, self.groups)
        decay = self._decay(finetune)
        return decorrelated_batch_normalization(
            x, groups=self.groups, eps=self.eps, running_mean=self.avg_mean, running_projection=self.avg_projection,
            decay=decay,
        )  # fmt: skip

    def serialize(self, serializer: Any) -> None:
        """As any link; files of old versions of Chainer hold statistics without groups, which every group takes."""
        old = {}
        for name in ("avg_mean", "avg_projection") if isinstance(serializer, Deserializer) else ():
            array, stored = getattr(self, name), serializer(name, None)
            if stored is not None and stored.ndim < array.ndim:
                old[name] = array
                setattr(self, name, array[0])
        super().serialize(serializer)
        for name, array in old.items():
            for statistics in array[1:]:
                serializer(name, statistics)  # and not array[0]: what a deserializer fills it can put back
            setattr(self, name, array)
        if old and self.groups > 1:
            warnings.warn("DecorrelatedBatchNormalization: the file is of an old version, in which every group had the "
                          "same statistics; train again", stacklevel=2)  # fmt: skip


class _Affine(Link):
    """Scale and shift of each channel, which take their size from the first x if it is not given."""

    def __init__(self, size: int | None, eps: float, initial_gamma: Any, initial_beta: Any, dtype: Any) -> None:
        super().__init__()
        self.eps = eps
        with self.init_scope():
            self.gamma = _parameter(1 if initial_gamma is None else initial_gamma, dtype)
            self.beta = _parameter(0 if initial_beta is None else initial_beta, dtype)
        if size is not None:
            self._initialize_params(size)

    def _initialize_params(self, size: int) -> None:
        for parameter in (self.gamma, self.beta):
            if not parameter.is_initialized:
                parameter.initialize(size)


class GroupNormalization(_Affine):
    """``F.group_normalization`` with its own gamma and beta (C,).

    Args:
        groups: a divisor of C.
        size: C; None: taken from the first x.
        eps: added to the variance.
        initial_gamma, initial_beta: initializers, numbers or arrays; 1 and 0.
    """

    def __init__(
        self, groups: int, size: int | None = None, eps: float = 1e-5, initial_gamma: Any = None,
        initial_beta: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(size, eps, initial_gamma, initial_beta, get_dtype(None, map_mixed16=np.float32))
        self.groups = groups

    def forward(self, x: Any) -> Variable:
        """x (N, C, ...) to the same shape."""
        x = as_variable(x)
        if x.ndim < 2:
            raise ValueError(f"GroupNormalization: x has shape {x.shape}; wanted (N, C, ...)")
        self._initialize_params(x.shape[1])
        return group_normalization(x, self.groups, self.gamma, self.beta, self.eps)


class LayerNormalization(_Affine):
    """``F.layer_normalization`` with its own gamma and beta (C,).

    Args:
        size: C; None: taken from the first x.
        eps: added to the variance.
        initial_gamma, initial_beta: initializers, numbers or arrays; 1 and 0.
    """

    def __init__(
        self, size: int | None = None, eps: float = 1e-6, initial_gamma: Any = None, initial_beta: Any = None
    ) -> None:
        super().__init__(size, eps, initial_gamma, initial_beta, None)

    def forward(self, x: Any) -> Variable:
        """x (N, C) to the same shape."""
        x = as_variable(x)
        if x.ndim != 2:
            raise InvalidType(f"LayerNormalization: x has shape {x.shape}; wanted (N, C); reshape it")
        self._initialize_params(x.shape[1])
        return layer_normalization(x, self.gamma, self.beta, self.eps)


def _parameter(initial: Any, dtype: Any) -> Parameter:
    """A parameter without a shape yet, which will be of that dtype (None: of ``config.dtype`` then)."""
    initializer = copy.copy(initializers._get_initializer(initial))
    if dtype is not None:
        initializer.dtype = dtype
    return Parameter(initializer)


def _shape(link: str, size: Any) -> tuple[int, ...]:
    size = (size,) if isinstance(size, int | np.integer) else size
    if not isinstance(size, tuple | list) or not all(isinstance(n, int | np.integer) for n in size):
        raise TypeError(f"{link}: size is {size!r}; wanted an int or a tuple of ints")
    return tuple(int(n) for n in size)
