"""First values of parameters.

An initializer is a callable that fills an array in place. The random ones draw float64 numbers from NumPy's global
generator (CuPy's for a GPU array) and round them to the array's dtype, so that one seed gives the same network at
every precision. ``fan_in`` is the number of inputs that one output sums over, ``fan_out`` the number of outputs that
one input feeds; scaling by them keeps the variance of signals, or of gradients, from layer to layer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from numbers import Number
from typing import Any

import numpy as np

from minigan.backend import copyto, get_array_module, is_array, using_device
from minigan.configuration import get_dtype

_FAN_OPTIONS = ("fan_in", "fan_out")
_ORTHOGONAL_MODES = ("auto", "projection", "embedding", "basis")


class Initializer:
    """Base of all initializers: a callable that fills an array in place.

    Args:
        dtype: dtype of the arrays that ``generate_array`` makes with it; ``config.dtype`` for None.
    """

    def __init__(self, dtype: Any = None) -> None:
        self.dtype = dtype

    def __call__(self, array: Any) -> None:
        """Fill ``array``."""
        raise NotImplementedError(f"{type(self).__name__} does not define __call__(array)")

    def _check_dtype(self, array: Any) -> None:
        if self.dtype is not None and array.dtype != np.dtype(self.dtype):
            raise ValueError(
                f"{type(self).__name__}: the array is {array.dtype} but the initializer was made for "
                f"{np.dtype(self.dtype)}; give both the same dtype"
            )


class Constant(Initializer):
    """Every element is ``fill_value``: a number, or an array of the same shape or one that broadcasts to it."""

    def __init__(self, fill_value: Any, dtype: Any = None) -> None:
        super().__init__(dtype)
        self.fill_value = fill_value

    def __call__(self, array: Any) -> None:
        self._check_dtype(array)
        if is_array(self.fill_value):
            try:
                copyto(array, self.fill_value)
            except ValueError as error:
                raise ValueError(
                    f"Constant: fill_value has shape {self.fill_value.shape} but the array has shape {array.shape}; "
                    "pass a number or an array of that shape"
                ) from error
        else:
            array[...] = self.fill_value


class Zero(Constant):
    """Every element is 0."""

    def __init__(self, dtype: Any = None) -> None:
        super().__init__(0.0, dtype)


class One(Constant):
    """Every element is 1."""

    def __init__(self, dtype: Any = None) -> None:
        super().__init__(1.0, dtype)


class NaN(Constant):
    """Every element is not a number, so that a parameter that nobody set shows at once."""

    def __init__(self, dtype: Any = None) -> None:
        super().__init__(math.nan, dtype)


class Identity(Initializer):
    """``scale`` times the identity matrix; for square matrices only."""

    def __init__(self, scale: float = 1.0, dtype: Any = None) -> None:
        super().__init__(dtype)
        self.scale = scale

    def __call__(self, array: Any) -> None:
        self._check_dtype(array)
        if array.ndim != 2 or array.shape[0] != array.shape[1]:
            raise ValueError(f"Identity: the array has shape {array.shape}; wanted a square matrix")
        array[...] = self.scale * get_array_module(array).identity(len(array))


class _Random(Initializer):
    """What the random initializers share: a scale and, if wanted, a generator of their own."""

    def __init__(self, scale: float, dtype: Any = None, rng: Any = None) -> None:
        super().__init__(dtype)
        self.scale = scale
        self.rng = rng

    def _generator(self, array: Any) -> Any:
        return self.rng or get_array_module(array).random

    def _fill_normal(self, array: Any, deviation: float) -> None:
        self._check_dtype(array)
        array[...] = self._generator(array).normal(loc=0.0, scale=deviation, size=array.shape)

    def _fill_uniform(self, array: Any, bound: float) -> None:
        self._check_dtype(array)
        array[...] = self._generator(array).uniform(low=-bound, high=bound, size=array.shape)


class Normal(_Random):
    """Normal with mean 0 and standard deviation ``scale``."""

    def __init__(self, scale: float = 0.05, dtype: Any = None, *, rng: Any = None) -> None:
        super().__init__(scale, dtype, rng)

    def __call__(self, array: Any) -> None:
        self._fill_normal(array, self.scale)


class LeCunNormal(_Random):
    """Normal with standard deviation ``scale * sqrt(1 / fan_in)`` (LeCun et al., Efficient BackProp, 1998)."""

    def __init__(self, scale: float = 1.0, dtype: Any = None, *, rng: Any = None) -> None:
        super().__init__(scale, dtype, rng)

    def __call__(self, array: Any) -> None:
        fan_in, _ = get_fans(array.shape)
        self._fill_normal(array, self.scale * math.sqrt(1.0 / fan_in))


class GlorotNormal(_Random):
    """Normal with standard deviation ``scale * sqrt(2 / (fan_in + fan_out))`` (Glorot and Bengio, 2010)."""

    def __init__(self, scale: float = 1.0, dtype: Any = None, *, rng: Any = None) -> None:
        super().__init__(scale, dtype, rng)

    def __call__(self, array: Any) -> None:
        fan_in, fan_out = get_fans(array.shape)
        self._fill_normal(array, self.scale * math.sqrt(2.0 / (fan_in + fan_out)))


class HeNormal(_Random):
    """Normal with standard deviation ``scale * sqrt(2 / fan)`` (He et al., 2015).

    ``fan_option`` is ``"fan_in"`` to keep the variance of the signals, ``"fan_out"`` for that of the gradients.
    """

    def __init__(self, scale: float = 1.0, dtype: Any = None, fan_option: str = "fan_in", *, rng: Any = None) -> None:
        super().__init__(scale, dtype, rng)
        if fan_option not in _FAN_OPTIONS:
            raise ValueError(f"HeNormal: fan_option is {fan_option!r} but must be 'fan_in' or 'fan_out'")
        self.fan_option = fan_option

    def __call__(self, array: Any) -> None:
        fan = get_fans(array.shape)[_FAN_OPTIONS.index(self.fan_option)]
        self._fill_normal(array, self.scale * math.sqrt(2.0 / fan))


class Uniform(_Random):
    """Uniform in [-scale, scale)."""

    def __init__(self, scale: float = 0.05, dtype: Any = None, *, rng: Any = None) -> None:
        super().__init__(scale, dtype, rng)

    def __call__(self, array: Any) -> None:
        self._fill_uniform(array, self.scale)


class LeCunUniform(_Random):
    """Uniform within ``scale * sqrt(3 / fan_in)`` of 0: the variance of ``LeCunNormal``."""

    def __init__(self, scale: float = 1.0, dtype: Any = None, *, rng: Any = None) -> None:
        super().__init__(scale, dtype, rng)

    def __call__(self, array: Any) -> None:
        fan_in, _ = get_fans(array.shape)
        self._fill_uniform(array, self.scale * math.sqrt(3.0 / fan_in))


class GlorotUniform(_Random):
    """Uniform within ``scale * sqrt(6 / (fan_in + fan_out))`` of 0: the variance of ``GlorotNormal``."""

    def __init__(self, scale: float = 1.0, dtype: Any = None, *, rng: Any = None) -> None:
        super().__init__(scale, dtype, rng)

    def __call__(self, array: Any) -> None:
        fan_in, fan_out = get_fans(array.shape)
        self._fill_uniform(array, self.scale * math.sqrt(6.0 / (fan_in + fan_out)))


class HeUniform(_Random):
    """Uniform within ``scale * sqrt(6 / fan_in)`` of 0: the variance of ``HeNormal``."""

    def __init__(self, scale: float = 1.0, dtype: Any = None, *, rng: Any = None) -> None:
        super().__init__(scale, dtype, rng)

    def __call__(self, array: Any) -> None:
        fan_in, _ = get_fans(array.shape)
        self._fill_uniform(array, self.scale * math.sqrt(6.0 / fan_in))


class Orthogonal(_Random):
    """``scale`` times a random matrix whose rows or columns (the fewer of them) are orthonormal (Saxe et al., 2014).

    The array is seen as a matrix (first axis, product of the others). ``mode`` says what must hold of it, else
    ``ValueError``: ``"projection"`` no more rows than columns, ``"embedding"`` no fewer, ``"basis"`` as many,
    ``"auto"`` nothing.
    """

    def __init__(self, scale: float = 1.1, dtype: Any = None, mode: str = "auto", *, rng: Any = None) -> None:
        super().__init__(scale, dtype, rng)
        if mode not in _ORTHOGONAL_MODES:
            raise ValueError(f"Orthogonal: mode is {mode!r} but must be one of {', '.join(_ORTHOGONAL_MODES)}")
        self.mode = mode

    def __call__(self, array: Any) -> None:
        self._check_dtype(array)
        if not array.size:
            raise ValueError(f"Orthogonal: the array has shape {array.shape}, without elements; wanted at least one")
        if not array.ndim:
            array[...] = self.scale * self._generator(array).choice([-1, 1])
            return
        rows = len(array)
        columns = array.size // rows
        if (self.mode in ("projection", "basis") and rows > columns) or (
            self.mode in ("embedding", "basis") and rows < columns
        ):
            raise ValueError(
                f"Orthogonal: shape {array.shape} is a matrix of {rows} rows and {columns} columns, which mode "
                f"{self.mode!r} does not allow; use mode='auto'"
            )
        xp = get_array_module(array)
        matrix = self._generator(array).normal(size=(rows, columns))
        # the sign of the diagonal makes the decomposition unique, and the result uniform over all such matrices
        q, r = xp.linalg.qr(matrix if rows >= columns else matrix.T)
        q *= self.scale * xp.sign(xp.diag(r))
        array[...] = (q if rows >= columns else q.T).reshape(array.shape)


class _Interpolation(Initializer):
    """A pyramid over the receptive field, of width ``(k + 1) // 2`` on each side, 1 at its top."""

    _averages = False

    def __init__(self, interpolation: str = "linear", dtype: Any = None) -> None:
        super().__init__(dtype)
        if interpolation != "linear":
            raise ValueError(f"{type(self).__name__}: interpolation is {interpolation!r} but must be 'linear'")
        self.interpolation = interpolation

    def __call__(self, array: Any) -> None:
        self._check_dtype(array)
        out, into, *sizes = array.shape
        if len(set(sizes)) != 1 or into not in (1, out):
            raise ValueError(
                f"{type(self).__name__}: the array has shape {array.shape}; wanted (channels, channels or 1, k, k, ...)"
            )
        half = (sizes[0] + 1) // 2
        ramp = 1.0 - np.abs(np.arange(sizes[0]) - (sizes[0] - 1) / 2) / half
        pyramid = math.prod(np.ix_(*[ramp / half if self._averages else ramp] * len(sizes)))
        array[...] = 0
        for channel in range(out):
            array[channel, channel if into > 1 else 0] = get_array_module(array).asarray(pyramid)


class UpsamplingDeconvFilter(_Interpolation):
    """Weights of a deconvolution (kernel 2 n, stride n) that enlarges every channel by linear interpolation."""


class DownsamplingConvFilter(_Interpolation):
    """Weights of a convolution that averages every channel by the same pyramid; they sum to one."""

    _averages = True


def get_fans(shape: Sequence[int]) -> tuple[int, int]:
    """Return ``(fan_in, fan_out)`` of a weight of that shape: (out, in, ...), where ... is the receptive field."""
    if len(shape) < 2:
        raise ValueError(
            f"get_fans: the shape is {tuple(shape)}; wanted two axes or more, (out, in, ...); use Constant or Normal "
            "for a vector"
        )
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def generate_array(initializer: Any, shape: Any, xp: Any, dtype: Any = None, device: Any = None) -> Any:
    """Return a new array that ``initializer`` filled.

    Its dtype is that of the initializer, else ``dtype``, else ``config.dtype``. ``xp`` is ``numpy`` or ``cupy``,
    ``device`` a device of it.
    """
    own = getattr(initializer, "dtype", None)
    if own is not None and dtype is not None and np.dtype(own) != np.dtype(dtype):
        raise ValueError(f"generate_array: dtype is {np.dtype(dtype)} but the initializer's is {np.dtype(own)}")
    wanted = get_dtype(dtype if own is None else own)
    if device is None:
        array = xp.empty(shape, wanted)
        initializer(array)
    else:
        with using_device(device):
            array = xp.empty(shape, wanted)
            initializer(array)
    return array


_NAMED = {
    cls.__name__.lower(): cls
    for cls in (
        Zero, One, NaN, Identity, Normal, LeCunNormal, GlorotNormal, HeNormal, Uniform, LeCunUniform, GlorotUniform,
        HeUniform, Orthogonal, UpsamplingDeconvFilter, DownsamplingConvFilter,
    )
}  # fmt: skip
_NAMED |= {"zeros": Zero, "ones": One}


def _get_initializer(initializer: Any, dtype: Any = None) -> Any:
    """Return an initializer for whatever may stand for one as ``initialW`` of a link.

    None is ``LeCunNormal()``, a number or an array is a ``Constant``, a string names a class (``"he_normal"``,
    ``"HeNormal"``, ``"zeros"`` ...) with its defaults, and a callable is returned as it is.
    What is made here gets ``dtype``.
    """
    if initializer is None:
        return LeCunNormal(dtype=dtype)
    if isinstance(initializer, str):
        cls = _NAMED.get(re.sub("[_ -]", "", initializer.lower()))
        if cls is None:
            names = ", ".join(sorted(_NAMED))
            raise ValueError(f"initializer: there is none called {initializer!r}; the names are {names}")
        return cls(dtype=dtype)
    if isinstance(initializer, (Number, np.generic)) or is_array(initializer):
        return Constant(initializer, dtype)
    if not callable(initializer):
        raise TypeError(
            f"initializer: got {type(initializer).__name__}; wanted None, a number, an array, a name or a callable"
        )
    return initializer
