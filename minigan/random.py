"""The one place that seeds and stores randomness.

Initializers, dropout, shuffles and latent noise all draw from NumPy's global generator (CuPy's and `kernels/philox.py`
on a GPU), as Chainer's do, so that an old script gives its old numbers. A snapshot keeps the state of every generator
as plain arrays, which is what lets a resumed run continue bit for bit.

CuPy lets nobody read the state of its generator. So a run has a seed for the GPU, which is in its snapshots, and begins
every iteration with one made of it and the iteration's number (`start_iteration`), whether or not a snapshot is
written: what an iteration draws never depends on the ones before it. That is for the generator of the current GPU, and
costs CuPy the setting up of its generator in every iteration that draws from it.
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
"""What `get_state` returns."""


def seed(n: int) -> None:
    """Seed Python's `random`, `numpy.random` and what makes numbers on a GPU; `n` is in 0 ... 2**32 - 1."""
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


def fresh_gpu_seed() -> int:
    """Return a new seed for the generators on a GPU, and set it: whoever is told it later sees the same numbers."""
    if cuda.available:
        fresh = int(cuda.cupy.random.randint(0, 2**31 - 1))
    else:  # for the device @emulator; a draw would shift the numbers of a run on the CPU
        fresh = zlib.crc32(pack("numpy", np.random)["numpy"].tobytes())
    _seed_gpu(fresh)
    return fresh


def start_iteration(gpu_seed: int, iteration: int) -> None:
    """Seed what makes numbers on a GPU for one iteration of a run."""
    _seed_gpu(zlib.crc32(f"{gpu_seed} {iteration}".encode()))


def normal(xp: Any, shape: Any, dtype: Any) -> Any:
    """Numbers from N(0, 1) by the stream of the current device of `xp`, which goes on in a captured step, too."""
    numbers = philox.generator(xp).normal(shape, np.promote_types(dtype, np.float32))
    return numbers.astype(dtype, copy=False)


def uniform(xp: Any, shape: Any, dtype: Any) -> Any:
    """Numbers from U(0, 1) by the same stream."""
    numbers = philox.generator(xp).uniform(shape, np.promote_types(dtype, np.float32))
    return numbers.astype(dtype, copy=False)


def get_state(gpu_seed: int | None = None) -> dict[str, np.ndarray]:
    """The state of Python's and NumPy's generators as arrays that an npz file can hold, and a seed for the GPU.

    `python`, `numpy`: uint32 (624,), the words of the Mersenne Twister; `*_position`: int64 (); `*_has_gauss`: bool ();
    `*_gauss`: float64 (), the second normal number of a pair, if one waits; `cupy_seed`: uint32 (), the `gpu_seed` that
    `start_iteration` is called with. Without one it is a fresh one, set at once, so that whoever goes on and whoever
    goes on from these arrays see the same numbers on a GPU, but other ones than without this call.
    """
    _, words, gauss = _python.getstate()
    return {
        **_packed("python", words[:_MT_WORDS], words[_MT_WORDS], gauss is not None, gauss or 0.0),
        **pack("numpy", np.random),
        "cupy_seed": np.array(fresh_gpu_seed() if gpu_seed is None else gpu_seed, np.uint32),
    }


def set_state(state: dict[str, Any]) -> None:
    """Put the generators back to what `get_state` returned; nothing is changed unless all of it is well-formed."""
    key, position, has_gauss, gauss = _unpacked("python", state)
    gpu_seed = np.asarray(state.get("cupy_seed", 0))
    if gpu_seed.shape or gpu_seed.dtype.kind not in "iu" or not 0 <= gpu_seed < 2**32:
        raise ValueError(f"the random state 'cupy_seed' is {gpu_seed}; wanted 0 to 2**32 - 1; take another snapshot")
    unpack("numpy", np.random, state)
    _python.setstate((3, (*(int(word) for word in key), position), gauss if has_gauss else None))
    if "cupy_seed" in state:
        _seed_gpu(int(gpu_seed))


def pack(name: str, generator: Any) -> dict[str, np.ndarray]:
    """The state of `numpy.random` or a `numpy.random.RandomState` as arrays, named as in `get_state`."""
    twister: Any = generator.get_state()
    return _packed(name, *twister[1:])


def unpack(name: str, generator: Any, state: dict[str, Any]) -> None:
    """Put a generator back to what `pack` returned.

    Raises:
        KeyError: a part is missing.
        ValueError: it is no state of a Mersenne Twister; NumPy would take it, and read beyond its words.
    """
    key, position, has_gauss, gauss = _unpacked(name, state)
    generator.set_state(("MT19937", key, position, int(has_gauss), gauss))


def _packed(name: str, key: Any, position: int, has_gauss: Any, gauss: float) -> dict[str, np.ndarray]:
    return {
        name: np.array(key, np.uint32),
        f"{name}_position": np.array(position, np.int64),
        f"{name}_has_gauss": np.array(bool(has_gauss)),
        f"{name}_gauss": np.array(gauss, np.float64),
    }


def _unpacked(name: str, state: dict[str, Any]) -> tuple[np.ndarray, int, bool, float]:
    for part in (name, *(f"{name}_{part}" for part in _PARTS)):
        if part not in state:
            raise KeyError(f"{part!r} is missing in the state of the random generators; pass all of what was saved")
    key = np.asarray(state[name], np.uint32)
    position, has_gauss, gauss = (np.asarray(state[f"{name}_{part}"]).item() for part in _PARTS)
    if key.shape != (_MT_WORDS,) or not 0 <= position <= _MT_WORDS:
        raise ValueError(
            f"the random state {name!r} has shape {key.shape} and position {position} but a Mersenne Twister has "
            f"{_MT_WORDS} words and a position from 0 to {_MT_WORDS}; take another snapshot"
        )
    return key, int(position), bool(has_gauss), float(gauss)
