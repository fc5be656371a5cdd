"""Random numbers from a counter, Philox4x32-10: the kernels of philox.cu, and the same numbers from NumPy.

A :class:`Generator` is a stream whose state, key and counter, lies where its numbers are made: on a GPU a captured
graph draws new ones at every replay. The integers are the same on every device; so are uniform numbers in [0, 1), which
are exact, and masks; others agree up to rounding. Halves are floats of the stream, rounded. Salmon et al. 2011.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigan.kernels.launch import PACK_BYTES, THREADS, address, contiguous, kernel, launch, stored, types

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)


def philox(counters: np.ndarray, key: int) -> np.ndarray:
    """The four words of each block: uint64 (n,) or uint32 (n, 4), the counters, to uint32 (n, 4)."""
    if counters.ndim == 1:
        zero = np.zeros_like(counters)
        counters = np.stack([counters & 0xFFFFFFFF, counters >> np.uint64(32), zero, zero], axis=1)
    c0, c1, c2, c3 = (counters[:, i].astype(np.uint64) for i in range(4))
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    low = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        a, b = c0 * np.uint64(_MULTIPLIERS[0]), c2 * np.uint64(_MULTIPLIERS[1])
        c0, c1 = (b >> np.uint64(32)) ^ c1 ^ np.uint64(k0), b & low
        c2, c3 = (a >> np.uint64(32)) ^ c3 ^ np.uint64(k1), a & low
        k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + _WEYL[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)


class Generator:
    """A stream of numbers on one device: ``xp`` is NumPy, CuPy or the emulator's stand-in; ``seed`` has 64 bits."""

    def __init__(self, xp: Any, seed: int) -> None:
        self.xp = xp
        self.state = xp.asarray(np.array([seed, 0, 0], np.uint64))

    def uniform(self, shape: Any, dtype: Any = np.float32, low: float = 0.0, high: float = 1.0) -> Any:
        """Numbers from [low, high)."""
        return self._draw("philox_uniform", shape, dtype, low, high - low)

    def normal(self, shape: Any, dtype: Any = np.float32, mean: float = 0.0, deviation: float = 1.0) -> Any:
        """Numbers from N(mean, deviation^2)."""
        return self._draw("philox_normal", shape, dtype, mean, deviation)

    def dropout(self, x: Any, ratio: float) -> tuple[Any, Any]:
        """Return ``(x mask, mask)``, mask being 0 with probability ``ratio`` and 1 / (1 - ratio) elsewhere."""
        scale = x.dtype.type(1 / (1 - ratio))
        if self.xp is np:
            wide = np.promote_types(x.dtype, np.float32)
            mask = (self.uniform(x.shape, wide) >= wide.type(ratio)) * scale
            return x * mask, mask
        x = contiguous(x)
        if address(x) % PACK_BYTES:
            x = x.copy()
        mask, y = self.xp.empty(x.shape, x.dtype), self.xp.empty(x.shape, x.dtype)
        self._launch("philox_dropout", ("mask", "y"), x.dtype, x.size, (x, mask, y), ratio, scale)
        return y, mask

    def _draw(self, entry: str, shape: Any, dtype: Any, shift: float, scale: float) -> Any:
        out = self.xp.empty(shape, dtype)
        if self.xp is np:
            numbers = _uniform(self._words(out.size, out.dtype), np.promote_types(out.dtype, np.float32))
            if entry == "philox_normal":
                numbers = _normal(numbers)
            kind = numbers.dtype.type
            out.reshape(-1)[...] = (kind(shift) + kind(scale) * numbers).reshape(-1)[: out.size]
        else:
            self._launch(entry, ("out",), out.dtype, out.size, (out,), shift, scale)
        return out

    def _words(self, size: int, dtype: np.dtype) -> np.ndarray:
        key, first, _ = (int(n) for n in self.state)
        blocks = -(-size // _numbers(dtype))
        self.state[1] = (first + blocks) % 2**64
        words = philox(np.arange(blocks, dtype=np.uint64) + np.uint64(first), key)
        return words

    def _launch(self, entry: str, outputs: tuple[str, ...], dtype: Any, n: int, arrays: Any, *numbers: float) -> None:
        program = kernel("philox.cu", entry, outputs, **types(dtype), WIDE=int(dtype == np.float64))
        grid, args = (-(-n // (_numbers(dtype) * THREADS)),), (self.state, *map(stored, arrays), n, *numbers)
        launch(program, grid, (THREADS,), args)


def _numbers(dtype: Any) -> int:
    """How many numbers a block of the stream gives."""
    return 2 if dtype == np.float64 else 4


def _uniform(words: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype == np.float32:
        return (words >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
    return ((words[:, ::2] >> np.uint32(5)) * 2.0**26 + (words[:, 1::2] >> np.uint32(6))) * 2.0**-53


def _normal(u: np.ndarray) -> np.ndarray:
    radius, angle = np.sqrt(-2 * np.log(1 - u[:, ::2])), 2 * math.pi * u[:, 1::2].astype(np.float64)
    both = (radius * f(angle).astype(u.dtype) for f in (np.cos, np.sin))
    return np.stack(list(both), axis=2).reshape(u.shape)


# One stream for each device, which dropout draws from -----------------------------------------------------------------

_seed = 0
_generators: dict[tuple[Any, int], Generator] = {}


def generator(xp: Any) -> Generator:
    """The stream of the current device of ``xp``; its key is the seed of :func:`seed` and the number of the device."""
    place = xp, int(xp.cuda.Device().id)
    if place not in _generators:
        _generators[place] = Generator(xp, _seed | place[1] << 32)
    return _generators[place]


def seed(n: int) -> None:
    """Begin all streams anew, from n in 0 ... 2**32 - 1; their states stay where they are in memory."""
    global _seed
    _seed = n
    for (xp, device), stream in _generators.items():
        with xp.cuda.Device(device):
            stream.state[...] = xp.asarray(np.array([n | device << 32, 0, 0], np.uint64))
