"""Philox: known answers, and the same numbers from NumPy and from the kernels."""

import numpy as np
import pytest
from emulated import arrays, emulated, floats, needs_compiler, needs_emulator, sectors

import minigan
import minigan.functions as F
from minigan.kernels import launch, philox
from minigan.kernels.launch import emulation

DTYPES = [np.float32, np.float64]


# The test vectors that Salmon et al. publish with their library Random123 (kat_vectors: philox4x32 10).
@pytest.mark.parametrize(
    "counter, key, want",
    [
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_known_answers(counter, key, want):
    words = np.array([[int(word, 16) for word in counter.split()]], np.uint32)
    low, high = (int(word, 16) for word in key.split())
    assert [f"{word:08x}" for word in philox.philox(words, low | high << 32)[0]] == want.split()


def draws(xp, dtype, n):
    """Everything that a stream gives, from a counter that is about to pass 2**32."""
    stream = philox.Generator(xp, 0x123456789ABCDEF0)
    stream.state[1] = 2**32 - 3
    x = xp.asarray(floats(n, dtype=dtype))
    found = [stream.uniform(n, dtype), *stream.dropout(x, 0.25), stream.state]
    found += [stream.uniform((n, 1), dtype, -1, 3), stream.normal(n, dtype, 2, 0.5)]
    return [a.get() if xp is arrays else a for a in found]


@needs_compiler
@pytest.mark.parametrize("dtype", [*DTYPES, np.float16])
@pytest.mark.parametrize("n", [1, 1000, 1023])
def test_kernels_give_the_numbers_of_numpy(dtype, n):
    *exact, shifted, normal = draws(arrays, dtype, n)
    *want, want_shifted, want_normal = draws(np, dtype, n)
    for a, b in zip(exact, want):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype
    # a GPU rounds low + width u once; two floats that are nearly one are halves 2^-9 apart
    tolerance = {np.float16: 2**-9, np.float32: 2e-6, np.float64: 1e-14}[dtype]
    for a, b in ((shifted, want_shifted), (normal, want_normal)):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


@needs_compiler
def test_as_many_numbers_as_an_int_counts():  # the first of all their blocks
    stream, out = philox.Generator(arrays, 1), arrays.zeros(1024, np.float32)
    entry = launch.kernel("philox.cu", "philox_uniform", REAL="float", STORE="float", WIDE=0)
    launch.launch(entry, (1,), (256,), (stream.state, out, 2**31 - 1, 0.0, 1.0))
    np.testing.assert_array_equal(out.get(), philox.Generator(np, 1).uniform(1024))
    assert stream.state.get().tolist() == [1, 2**29, 0]


@needs_emulator
def test_sectors():
    with emulation("check") as launches:
        philox.Generator(arrays, 1).uniform(4095)
    assert sectors(launches, "philox_uniform", "store", 1) == [pytest.approx(16, abs=1.5)] * 2


@pytest.mark.parametrize("dtype", DTYPES)
def test_distribution(dtype):
    stream = philox.Generator(np, 1)
    u, z = stream.uniform(100_000, dtype), stream.normal(100_000, dtype)
    assert u.min() >= 0 and u.max() < 1 and abs(u.mean() - 0.5) < 0.004 and abs(u.var() - 1 / 12) < 0.002
    assert abs(z.mean()) < 0.01 and abs(z.var() - 1) < 0.02 and abs((z**4).mean() - 3) < 0.15
    assert len(np.unique(u)) > 99_000 and not set(u) & set(stream.uniform(100, dtype))


@needs_compiler
def test_functions_draw_from_the_stream_of_the_device():
    minigan.random.seed(3)
    x = emulated(floats(4, 50))
    with emulation() as launches:
        y, mask = F.dropout(x, 0.25, return_mask=True)
        F.gaussian(x, x)
    assert [launch.kernel.entry for launch in launches] == ["philox_dropout", "philox_normal"]
    np.testing.assert_array_equal(mask.get(), philox.Generator(np, 3).dropout(floats(4, 50), 0.25)[1])
    np.testing.assert_array_equal(y.array.get(), x.get() * mask.get())


@needs_compiler
def test_an_iteration_draws_the_same_whatever_came_before():
    x = emulated(floats(4, 50))
    minigan.random.start_iteration(5, 7)
    state = philox.generator(arrays).state
    want = [F.dropout(x).array.get() for _ in range(2)]
    assert (want[0] != want[1]).any()
    minigan.random.start_iteration(5, 8)
    assert (F.dropout(x).array.get() != want[0]).any()
    minigan.random.start_iteration(5, 7)
    np.testing.assert_array_equal([F.dropout(x).array.get() for _ in range(2)], want)
    assert philox.generator(arrays).state is state
