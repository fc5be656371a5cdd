"""Ready-made link hooks: weights that are normalised at every call, and a timer.

Such a hook puts the normalised weight into the link's attribute for the time of the call and the parameter back after
it: the optimizer, files and `params()` only ever see the parameter.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np

from minigan import function_hooks
from minigan.configuration import config
from minigan.core import Parameter, Variable, as_array
from minigan.core import sum as sum_all
from minigan.functions.normalization import group_normalization
from minigan.link_hook import LinkHook

__all__ = ["SpectralNormalization", "TimerHook", "WeightStandardization"]


class _WeightHook(LinkHook):
    """A hook that replaces the weight of the link it was added to during each call.

    It raises `NotImplementedError` in a `with` statement, for it has to know its link, and `ValueError` if that link
    has no such weight. A weight without a shape gets it from the first x.
    """

    def __init__(self, weight_name: str, name: str | None) -> None:
        self.weight_name = weight_name
        if name is not None:
            self.name = name

    def __enter__(self) -> Any:
        raise NotImplementedError(f"{self.name}: cannot be used in a with statement; use link.add_hook(hook)")

    def added(self, link: Any) -> None:
        """Prepare what depends on the weight's shape, if it has one."""
        if not isinstance(getattr(link, self.weight_name, None), Parameter):
            raise ValueError(f"{self.name}: {type(link).__name__} has no parameter {self.weight_name!r}")
        if getattr(link, self.weight_name).is_initialized:
            self.prepare(link)

    def prepare(self, link: Any) -> None:
        """Make what depends on the weight's shape."""

    def forward_preprocess(self, args: Any) -> None:
        """Put the normalised weight into the place of the parameter."""
        link = args.link
        weight = getattr(link, self.weight_name)
        if isinstance(weight, Parameter):
            self.original_weight = weight
        link.__dict__[self.weight_name] = self.original_weight  # a call that raised has left a Variable there
        if not self.original_weight.is_initialized:
            link._initialize_params(_in_size(link, *args.args, **args.kwargs))
        self.prepare(link)
        link.__dict__[self.weight_name] = self.normalize_weight(link)

    def forward_postprocess(self, args: Any) -> None:
        """Put the parameter back."""
        args.link.__dict__[self.weight_name] = self.original_weight

    def normalize_weight(self, link: Any) -> Variable:
        """Return what takes the weight's place."""
        raise NotImplementedError


def _in_size(link: Any, x: Any, n_batch_axes: int = 1) -> int:
    """What `_initialize_params` asks for: the channels of x, or, where the link has an `in_size`, all of a sample."""
    shape = as_array(x).shape
    return math.prod(shape[n_batch_axes:]) if hasattr(link, "in_size") else shape[1]


class SpectralNormalization(_WeightHook):
    """Divides the weight by its largest singular value: W <- W / sigma (Miyato et al. 2018, algorithm 1).

    With W as a matrix of one row for each output, `n_power_iteration` times at each call while training
    v <- W^T u / |W^T u|, u <- W v / |W v|; then sigma = u^T W v, through which the gradient goes to W alone. Outside
    of training, and when a function is computed anew (`config.in_recomputing`), u and v stay.

    Args:
        n_power_iteration: see there.
        eps: added to the lengths.
        use_gamma: multiply by a parameter `gamma`, which begins as the largest singular value.
        factor: multiply by this number.
        weight_name: the attribute of the link that holds W.
        name: of the hook.

    The link gets the persistent value `<weight_name>_u`, u, and maybe the parameter `gamma`; both go when the hook is
    deleted. A link without a size gets them, and its weight, at the first call.
    """

    name = "SpectralNormalization"

    def __init__(
        self, n_power_iteration: int = 1, eps: float = 1e-6, use_gamma: bool = False, factor: float | None = None,
        weight_name: str = "W", name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(weight_name, name)
        assert n_power_iteration > 0, f"SpectralNormalization: n_power_iteration is {n_power_iteration}"
        self.n_power_iteration, self.eps, self.use_gamma, self.factor = n_power_iteration, eps, use_gamma, factor
        self.vector_name = f"{weight_name}_u"
        self.axis = 0
        self.v: Any = None

    def added(self, link: Any) -> None:
        """Make u (and gamma), unless the weight has no shape yet."""
        self.axis = 1 - getattr(link, "in_axis", 1)  # the weight of a Deconvolution2D is (in, out, kh, kw)
        super().added(link)

    def deleted(self, link: Any) -> None:
        """Take u and gamma away."""
        for name in (self.vector_name, *(["gamma"] if self.use_gamma else [])):
            if hasattr(link, name):
                delattr(link, name)

    def prepare(self, link: Any) -> None:
        """Make u (and gamma) if the link has none yet."""
        if hasattr(link, self.vector_name):
            return
        xp, matrix = link.xp, self.reshape_W(getattr(link, self.weight_name).array)
        if not len(matrix):
            raise ValueError(f"SpectralNormalization: {self.weight_name} has no rows along its axis {self.axis}")
        link.add_persistent(self.vector_name, xp.random.normal(size=len(matrix)).astype(matrix.dtype))
        if self.use_gamma:
            wide = matrix.astype(np.promote_types(matrix.dtype, np.float32), copy=False)
            with link.init_scope():
                link.gamma = Parameter(xp.asarray(xp.linalg.svd(wide, compute_uv=False)[0], matrix.dtype))

    def normalize_weight(self, link: Any) -> Variable:
        """Return factor gamma W / sigma, after moving u and v if it is time to."""
        weight = getattr(link, self.weight_name)
        matrix, kept = self.reshape_W(weight), getattr(link, self.vector_name)
        u = kept
        if self.v is None or not config.in_recomputing:
            for _ in range(self.n_power_iteration):
                self.v = self._unit(_product(u, matrix.array))
                u = self._unit(_product(matrix.array, self.v))
            if config.train:
                kept[...] = u
        sigma = sum_all(matrix * (u[:, None] * self.v))
        normalized = weight / (sigma if self.factor is None else sigma / self.factor)
        return normalized * link.gamma if self.use_gamma else normalized

    def _unit(self, vector: Any) -> Any:
        return vector / (np.sqrt((vector * vector).sum()) + vector.dtype.type(self.eps))

    def reshape_W(self, W: Any) -> Any:
        """The weight, array or Variable, as a matrix of one row for each output."""
        if self.axis:
            W = W.transpose(self.axis, *(i for i in range(W.ndim) if i != self.axis))
        return W if W.ndim == 2 else W.reshape(W.shape[0], math.prod(W.shape[1:]))


def _product(a: Any, b: Any) -> Any:
    """a @ b for a matrix and a vector; on a GPU by sums, since a captured step cannot have CuPy's own products."""
    if isinstance(a, np.ndarray):
        return a @ b
    return (a * b).sum(1) if a.ndim == 2 else (a[:, None] * b).sum(0)


class WeightStandardization(_WeightHook):
    """Gives each W[o] mean 0 and variance 1: W <- (W - mean) / sqrt(var + eps) (Qiao et al. 2019).

    Args:
        eps: added to the variance.
        weight_name: the attribute of the link that holds W.
        name: of the hook.
    """

    name = "WeightStandardization"

    def __init__(self, *, eps: float = 1e-5, weight_name: str = "W", name: str | None = None) -> None:
        super().__init__(weight_name, name)
        self.eps = eps

    def normalize_weight(self, link: Any) -> Variable:
        """Return the standardised weight."""
        weight = getattr(link, self.weight_name)
        ones = link.xp.ones(weight.shape[1], weight.dtype)
        return group_normalization(weight, 1, ones, ones * 0, self.eps)


class TimerHook(LinkHook, function_hooks.TimerHook):
    """Measures the time of every call of a link; a link within another one is in both.

    `call_history` holds `(class name of the link, seconds)`; for the rest see `function_hooks.TimerHook`.
    """

    name = "TimerHook"
    heading = "LinkName"

    def forward_preprocess(self, args: Any) -> None:  # type: ignore[override]
        """Start the clock."""
        self.before(args.link, (args.link.xp.empty(0),))

    def forward_postprocess(self, args: Any) -> None:  # type: ignore[override]
        """Stop it."""
        self.after(SimpleNamespace(_impl_name=type(args.link).__name__), ())
