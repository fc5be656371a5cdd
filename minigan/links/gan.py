"""What GANs use and Chainer does not have: more normalisations, spectral-norm layers, and the average of a net.

A spectral-norm layer is the plain layer with the hook `SpectralNormalization` added, and its file is the same.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np

from minigan import cuda_graph
from minigan.backend import copyto
from minigan.configuration import config, get_dtype
from minigan.core import Parameter, Variable, as_array, as_variable, cast, get_item, reshape
from minigan.functions.normalization import fixed_batch_normalization, instance_normalization
from minigan.link import Link
from minigan.link_hooks import SpectralNormalization
from minigan.links.connection import Convolution2D, Deconvolution2D, EmbedID, Linear
from minigan.links.normalization import BatchNormalization, _parameter
from minigan.optimizer_hooks import move_together

__all__ = [
    "ConditionalBatchNormalization", "ExponentialMovingAverage", "InstanceNormalization", "SNConvolution2D",
    "SNDeconvolution2D", "SNEmbedID", "SNLinear",
]  # fmt: skip


class InstanceNormalization(Link):
    """`F.instance_normalization`: every channel of every sample gets mean 0 and variance 1.

    Args:
        size: C; None: taken from the first x.
        eps: added to the variance.
        use_gamma, use_beta: have a scale and a shift (C,) per channel, parameters `gamma` and `beta`.
        track_statistics: remember the means over the samples of mean and unbiased variance in `avg_mean` and
            `avg_var`, and normalise with those outside of training.
        decay: of what is remembered: avg <- decay avg + (1 - decay) new.
        initial_gamma, initial_beta: initializers, numbers or arrays; 1 and 0.
    """

    gamma: Parameter | None = None
    beta: Parameter | None = None

    def __init__(
        self, size: int | None = None, eps: float = 1e-5, use_gamma: bool = False, use_beta: bool = False,
        track_statistics: bool = False, decay: float = 0.9, initial_gamma: Any = None, initial_beta: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.eps, self.track_statistics, self.decay = eps, track_statistics, decay
        self._dtype = get_dtype(None, map_mixed16=np.float32)
        self.avg_mean: Any = None
        self.avg_var: Any = None
        with self.init_scope():
            if use_gamma:
                self.gamma = _parameter(1 if initial_gamma is None else initial_gamma, self._dtype)
            if use_beta:
                self.beta = _parameter(0 if initial_beta is None else initial_beta, self._dtype)
        if track_statistics:
            self.register_persistent("avg_mean")
            self.register_persistent("avg_var")
        if size is not None:
            self._initialize_params(size)

    def _initialize_params(self, size: int) -> None:
        for parameter in self.params(include_uninit=True):
            if not parameter.is_initialized:
                parameter.initialize(size)
        if self.track_statistics and self.avg_mean is None:
            self.avg_mean = self.xp.zeros(size, self._dtype)
            self.avg_var = self.xp.ones(size, self._dtype)

    def forward(self, x: Any) -> Variable:
        """x (N, C, ...) to the same shape."""
        x = as_variable(x)
        self._initialize_params(x.shape[1])
        if self.track_statistics and not config.train:
            ones = self.xp.ones_like(self.avg_mean)
            gamma, beta = (p if q is None else q for p, q in ((ones, self.gamma), (ones * 0, self.beta)))
            return fixed_batch_normalization(x, gamma, beta, self.avg_mean, self.avg_var, self.eps)
        if self.track_statistics:
            axes = tuple(range(2, x.ndim))
            wide = x.array.astype(np.promote_types(x.dtype, np.float32), copy=False)
            self.avg_mean += (1 - self.decay) * (wide.mean(axes).mean(0) - self.avg_mean)
            self.avg_var += (1 - self.decay) * (wide.var(axes, ddof=1).mean(0) - self.avg_var)
        return instance_normalization(x, self.gamma, self.beta, self.eps)


class ConditionalBatchNormalization(BatchNormalization):
    """Batch normalisation whose scale and shift depend on the class: y = gamma[c] (x - mean) / std + beta[c].

    The statistics are those of the whole batch, as in `BatchNormalization` (Dumoulin, Shlens & Kudlur 2017; in GANs
    Miyato & Koyama 2018).

    Args:
        size: C, the number of channels.
        n_categories: K.
        decay, eps, dtype, initial_gamma, initial_beta: as for `BatchNormalization`.

    Parameters `gamma` and `beta` (K, C); persistent `avg_mean`, `avg_var`, `N`.
    """

    def __init__(
        self, size: int, n_categories: int, decay: float = 0.9, eps: float = 2e-5, dtype: Any = None,
        initial_gamma: Any = None, initial_beta: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(size, decay, eps, dtype, use_gamma=False, use_beta=False)
        with self.init_scope():
            self.gamma = _parameter(1 if initial_gamma is None else initial_gamma, self._highprec_dtype)
            self.beta = _parameter(0 if initial_beta is None else initial_beta, self._highprec_dtype)
        for parameter in (self.gamma, self.beta):
            parameter.initialize((n_categories, size))

    def forward(self, x: Any, c: Any, *, finetune: bool = False) -> Variable:  # type: ignore[override]
        """x (N, C, ...) and the classes c (N,), whole numbers below K, to the shape of x."""
        c = as_array(c)
        if c.dtype.kind not in "iu" or c.shape != x.shape[:1]:
            raise ValueError(
                f"ConditionalBatchNormalization: c is {c.dtype} of shape {c.shape}; wanted one whole number for each "
                f"of the {x.shape[0]} samples"
            )
        y = super().forward(x, finetune=finetune)
        shape = (*x.shape[:2], *(1 for _ in x.shape[2:]))
        gamma, beta = (cast(reshape(get_item(table, c), shape), y.dtype) for table in (self.gamma, self.beta))
        return y * gamma + beta

    def _scale(self) -> tuple[Any, Any]:
        ones = self.xp.ones_like(self.avg_mean)
        return ones, ones * 0


class _Spectral(Link):
    """A layer with the hook `SpectralNormalization`; its arguments follow those of the layer, by keyword."""

    def __init__(
        self, *args: Any, n_power_iteration: int = 1, use_gamma: bool = False, factor: float | None = None,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(*args, **kwargs)
        self.add_hook(SpectralNormalization(n_power_iteration, use_gamma=use_gamma, factor=factor))


class SNConvolution2D(_Spectral, Convolution2D):
    """`Convolution2D` with W / sigma(W) for W, sigma being the largest singular value of W as (O, C kh kw)."""


class SNDeconvolution2D(_Spectral, Deconvolution2D):
    """`Deconvolution2D` with W / sigma(W) for W, sigma being the largest singular value of W as (O, C kh kw)."""


class SNLinear(_Spectral, Linear):
    """`Linear` with W / sigma(W) for W, sigma being its largest singular value."""


class SNEmbedID(_Spectral, EmbedID):
    """`EmbedID` with W / sigma(W) for W: the labels of a projection discriminator (Miyato & Koyama 2018)."""


class ExponentialMovingAverage:
    """A copy of a link, `average`, whose weights follow the link's: w <- d w + (1 - d) w_link at every `update`.

    Running statistics, floating arrays like the weights, follow too; counters are taken over as they are. Samples of a
    GAN's averaged generator are better than those of the last one (Yazici et al. 2019).

    Args:
        link: the link to follow.
        decay: d, in [0, 1).

    Calling the object calls `average`; `serialize` writes and reads it as if it stood there itself.
    """

    def __init__(self, link: Link, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"ExponentialMovingAverage: decay is {decay} but must be in [0, 1)")
        self.link, self.decay = link, decay
        self.average: Any = link.copy(mode="copy")
        for param in self.average.params():
            if param.is_initialized and param.dtype == "f2":  # which most steps of an average are too small for
                param.array = param.array.astype("f4")
        self._steps: dict[Any, Any] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.average(*args, **kwargs)

    def update(self, step: int | Callable[[], int] | None = None) -> None:
        """Move towards the link; after `step` steps of it the decay is at most (1 + step) / (10 + step).

        A function is asked for `step` at each launch of a captured step.
        """

        def steps() -> float:
            given = step() if callable(step) else step
            return 1e300 if given is None else given

        @cache
        def rate(dtype: Any) -> Any:
            return cuda_graph.number(lambda: 1 - min(self.decay, (1 + steps()) / (10 + steps())), dtype)

        rows = []
        for mean, now in zip(self.average.params(), self.link.params(), strict=True):
            if now.is_initialized and not mean.is_initialized:
                mean.initialize(now.shape)
                copyto(mean.array, now.array)
            elif now.is_initialized:
                rows.append((mean.array, now.array.astype(mean.dtype, copy=False)))
        for (link, name, mean), (_, _, now) in zip(persistents(self.average), persistents(self.link), strict=True):
            if getattr(mean, "dtype", None) is not None and mean.dtype.kind == "f" and mean.shape:
                rows.append((mean, now))
            else:
                setattr(link, name, copy.copy(now))
        others = move_together(self._steps, "follow", rows, lambda: (1.0, steps() - 1.0, self.decay))  # it counts, too
        for mean, now in others:
            mean += rate(mean.dtype) * (now - mean)

    def serialize(self, serializer: Any) -> None:
        """Write or read the average."""
        self.average.serialize(serializer)


def persistents(link: Link) -> Iterator[tuple[Link, str, Any]]:
    """`(link, name, value)` of what `link` and the links below it remember besides parameters."""
    for below in link.links():
        for name in sorted(below._persistent):
            yield below, name, getattr(below, name)
