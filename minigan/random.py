"""The one place that seeds and stores randomness.

Initializers, dropout, shuffles and latent noise all draw from NumPy's global generator (CuPy's on a GPU), as Chainer's
do, so that an old script gives its old numbers. A snapshot keeps the state of every generator as plain arrays, which is
what lets a resumed run continue bit for bit.

CuPy gives no access to the state of its generator on the GPU. So a trainer begins every iteration with a seed made of
the run's own and the iteration's number (`start_iteration`), whether or not a snapshot is written: what an iteration
draws never depends on the ones before it. That is for the generator of the current GPU, and costs CuPy the setting up
of its generator in every iteration that draws from it.
"""

from __future__ import annotations

import random as _python
import zlib
from typing import Any

import numpy as np

from minigan.backends import cuda
from minigan.kernels import philox

_MT_WORDS = 624  # 32-bit words in the state of a Mersenne Twister (Matsumoto and Nishimura, 1998)
_PARTS = ("position", "has_gauss", "gauss")
KEYS = (*(f"{name}{part}" for name in ("python", "numpy") for part in ("", *(f"_{p}" for p in _PARTS))), "cupy_seed")
"""What `get_state` returns; the last one only where there is a GPU."""


def seed(n: int) -> None:
    """Seed Python's `random`, `numpy.random` and, where there is a GPU, `cupy.random`; `n` is in 0 ... 2**32 - 1."""
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or not 0 <= n < 2**32:
        raise ValueError(f"seed: n is {n!r} but must be an integer from 0 to 2**32 - 1")
    _python.seed(int(n))
    np.random.seed(int(n))
    _seed_gpu(int(n))


def _seed_gpu(n: int) -> None:
    """Seed the streams of our kernels and, where there is a GPU, CuPy's generator."""
    philox.seed(n)
    if cuda.available:
        cuda.cupy.random.seed(n)


def normal(xp: Any, shape: Any, dtype: Any) -> Any:
    """Numbers from N(0, 1) by the stream of the current device of `xp`, which goes on in a captured step, too."""
    numbers = philox.generator(xp).normal(shape, np.promote_types(dtype, np.float32))
    return numbers.astype(dtype, copy=False)


def get_state(cupy_seed: int | None = None) -> dict[str, np.ndarray]:
    """The state of Python's and NumPy's generators as arrays that an npz file can hold.

    `python`, `numpy`: uint32 (624,), the words of the Mersenne Twister; `*_position`: int64 (); `*_has_gauss`: bool ();
    `*_gauss`: float64 (), the second normal number of a pair, if one waits. With a GPU also `cupy_seed`, uint32 (): the
    one given, if `start_iteration` is to be called with it; else a fresh one is drawn and set at once, so that whoever
    goes on and whoever goes on from these arrays see the same numbers, but other ones than without this call.
    """
    state: dict[str, np.ndarray] = {}
    _, words, gauss = _python.getstate()
    _pack(state, "python", words[:_MT_WORDS], words[_MT_WORDS], gauss is not None, gauss or 0.0)
    twister: Any = np.random.get_state()
    _pack(state, "numpy", *twister[1:])
    if cuda.available:
        if cupy_seed is None:
            cupy_seed = int(cuda.cupy.random.randint(0, 2**31 - 1))
            _seed_gpu(cupy_seed)
        state["cupy_seed"] = np.array(cupy_seed, np.uint32)
    return state


def start_iteration(cupy_seed: int, iteration: int) -> None:
    """Seed what makes numbers on a GPU for one iteration of a run."""
    _seed_gpu(zlib.crc32(f"{cupy_seed} {iteration}".encode()))


def set_state(state: dict[str, Any]) -> None:
    """Put the generators back to what `get_state` returned; nothing is changed unless all of it is well-formed."""
    key, position, has_gauss, gauss = _unpack(state, "python")
    numpy_state = _unpack(state, "numpy")
    _python.setstate((3, (*(int(word) for word in key), position), gauss if has_gauss else None))
    key, position, has_gauss, gauss = numpy_state
    np.random.set_state(("MT19937", key, position, int(has_gauss), gauss))
    if cuda.available and "cupy_seed" in state:
        _seed_gpu(int(state["cupy_seed"]))


def _pack(state: dict[str, np.ndarray], name: str, key: Any, position: int, has_gauss: Any, gauss: float) -> None:
    state[name] = np.array(key, np.uint32)
    state[f"{name}_position"] = np.array(position, np.int64)
    state[f"{name}_has_gauss"] = np.array(bool(has_gauss))
    state[f"{name}_gauss"] = np.array(gauss, np.float64)


def _unpack(state: dict[str, Any], name: str) -> tuple[np.ndarray, int, bool, float]:
    missing = [key for key in (name, *(f"{name}_{part}" for part in _PARTS)) if key not in state]
    if missing:
        raise KeyError(f"set_state: {missing[0]!r} is missing; pass the dict that get_state returned")
    key = np.asarray(state[name], np.uint32)
    position, has_gauss, gauss = (np.asarray(state[f"{name}_{part}"]).item() for part in _PARTS)
    if key.shape != (_MT_WORDS,) or not 0 <= position <= _MT_WORDS:
        raise ValueError(
            f"set_state: {name!r} has shape {key.shape} and position {position} but a Mersenne Twister has {_MT_WORDS} "
            f"words and a position from 0 to {_MT_WORDS}; pass the dict that get_state returned"
        )
    return key, int(position), bool(has_gauss), float(gauss)
