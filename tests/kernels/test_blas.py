"""NumPy's BLAS: its threads are used where they pay, and the digits do not tell whether they were."""

import itertools

import numpy as np
import pytest

from minigan.kernels import blas

LAYOUTS = list(itertools.product([False, True], repeat=2))


@pytest.fixture
def told(monkeypatch):
    """The numbers of threads that a stand-in for OpenBLAS with AVX-512 was told; it has two."""
    told = []
    monkeypatch.setattr(blas, "library", blas.OpenBLAS(lambda: 2, told.append, "SkylakeX"))
    monkeypatch.setattr(blas, "avx_512", True)
    monkeypatch.setattr(blas, "threads", 2)
    monkeypatch.setattr(blas, "mode", "")
    monkeypatch.setattr(blas, "_account", blas.Account())
    monkeypatch.setattr(blas, "time_of_one_thread", blas.time_of_one_thread.__wrapped__)  # nothing is kept
    return told


def factors(rng, shape, turned=(False, False), dtype=np.float32):
    m, k, n = shape
    return [
        (rng.randn(*size[::-1]).T if turn else rng.randn(*size)).astype(dtype, order="K")
        for size, turn in zip(((m, k), (k, n)), turned)
    ]


SHAPES = [(64, 784, 256), (64, 256, 784), (784, 64, 256), (64, 256, 1), (1, 64, 256), (64, 1, 256), (9, 3000, 400)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("turned", LAYOUTS)
@pytest.mark.parametrize("shape", [*SHAPES, (0, 3, 5), (3, 0, 5), (3, 5, 0), (3, 1, 0)])
@pytest.mark.parametrize("avx_512", [False, True])
def test_it_is_the_product(avx_512, shape, turned, dtype, rng, told, monkeypatch):
    monkeypatch.setattr(blas, "avx_512", avx_512)
    a, b = factors(rng, shape, turned, dtype)
    y = blas.multiply(a, b)
    assert y.dtype == dtype and y.flags.c_contiguous
    rtol = 2e-6 if dtype == np.float32 else 1e-14
    np.testing.assert_allclose(y, a.astype(float) @ b.astype(float), rtol=0, atol=rtol * (1 + shape[1]) ** 0.5 * 5)


def test_mixed_types_give_what_numpy_gives(rng, told):
    a, b = rng.randn(64, 256).astype(np.float32), rng.randn(256, 784)
    np.testing.assert_array_equal(blas.multiply(a, b), a @ b)


needs_avx_512 = pytest.mark.skipif(not blas.avx_512, reason="NumPy's BLAS is not OpenBLAS with kernels for AVX-512")


@needs_avx_512
def test_the_number_of_threads_cannot_be_told_from_the_digits(rng):
    """What `blas` relies on, for shapes at random and layouts of all kinds."""
    shapes = SHAPES + [tuple(np.exp(rng.uniform(np.log(8), np.log(700), 3)).astype(int)) for _ in range(40)]
    before, checked = blas.library.get(), 0
    try:
        for shape, turned in itertools.product(shapes, LAYOUTS):
            if min(shape[0], shape[2]) >= blas.LEAST_ROWS:
                a, b = factors(rng, shape, turned)
                results = []
                for n in (1, 2, 3):
                    blas.library.set(n)
                    results.append(blas._in_parts(a, b))
                assert all(np.array_equal(y, results[0]) for y in results[1:]), (shape, turned)
                checked += 1
    finally:
        blas.library.set(before)
    assert checked > 150


@needs_avx_512
def test_the_time_of_one_thread_is_measured():
    found = blas.time_of_one_thread()
    assert found is None if blas.threads < 2 else 1e-12 < found < 1e-7
    assert blas.library.get() == blas.threads


def test_nothing_is_measured_with_one_thread(told, monkeypatch):
    monkeypatch.setattr(blas, "threads", 1)
    assert blas.time_of_one_thread() is None
    assert told == []


def test_threads_that_add_up_in_another_order_are_not_used(told, monkeypatch):
    calls = itertools.count()
    real = np.matmul
    monkeypatch.setattr(np, "matmul", lambda a, b: real(a, b) + np.float32(next(calls) * 1e-3))
    assert blas.time_of_one_thread() is None


def test_threads_are_used_while_they_save_time(told, rng, monkeypatch):
    a, b = factors(rng, (64, 784, 256))
    monkeypatch.setattr(blas, "time_of_one_thread", lambda: 1.0)  # so slow that everything saves time
    y = blas.multiply(a, b)
    assert told == []
    monkeypatch.setattr(blas, "time_of_one_thread", lambda: 1e-30)  # so quick that everything loses some
    while not told:
        np.testing.assert_array_equal(blas.multiply(a, b), y)
    assert told == [1, 2] and blas._account.resumes > 0


@pytest.mark.parametrize("mode, expected", [("0", [1, 2] * 3), ("1", []), ("", [1, 2] * 2)])
def test_the_switch(mode, expected, told, rng, monkeypatch):
    monkeypatch.setattr(blas, "mode", mode)
    monkeypatch.setattr(blas, "time_of_one_thread", lambda: 1.0)
    blas.multiply(*factors(rng, (64, 784, 256)))
    blas.multiply(*factors(rng, (64, 784, 256), dtype=np.float64))  # another order on two threads
    blas.multiply(*factors(rng, (4, 4, 4)))
    assert told == expected


def test_losses_end_in_a_rest_that_doubles():
    account = blas.Account()
    now = 100.0
    for _ in range(1000):
        account.book(1e-4, now)
    assert account.saved == blas.CREDIT
    account.book(-blas.CREDIT * 1.5, now)
    assert account.resumes == 0, "what was saved pays for one long wait"
    account.book(-blas.CREDIT, now)
    assert account.resumes == now + blas.SHORTEST_REST and account.saved == 0
    rests = []
    for _ in range(12):
        now = account.resumes
        account.book(-1.0, now + 1e-3)
        rests.append(account.rest)
    assert rests[:2] == [2 * blas.SHORTEST_REST, 4 * blas.SHORTEST_REST] and rests[-1] == blas.LONGEST_REST
    now = account.resumes + 11 * blas.LONGEST_REST
    account.book(-1.0, now)
    assert account.rest == blas.SHORTEST_REST and account.resumes == now + blas.SHORTEST_REST


def test_what_one_thread_takes_is_learned_while_threads_rest_and_now_and_then(told, rng, monkeypatch):
    a, b = factors(rng, (64, 784, 256))
    monkeypatch.setattr(blas, "time_of_one_thread", lambda: 1.0)  # everything saves time: they never rest
    for _ in range(blas.SAMPLED):
        assert blas._account.slower == 1 and told == []
        blas.multiply(a, b)
    assert told == [1, 2] and blas._account.slower == pytest.approx(0.9)  # one product, in next to no time
    account = blas.Account()
    for _ in range(100):
        account.learn(2.0)
    assert abs(account.slower - 2) < 1e-3
    account.rest_for(1.0, 0.0)
    assert not account.pays(0.5) and account.pays(1.5)


def test_others_get_the_cores_for_a_while():
    account = blas.Account()
    account.rest_for(2.0, 10.0)
    account.rest_for(1.0, 10.0)
    assert account.resumes == 12.0 and account.rest == blas.SHORTEST_REST


def test_the_setting_of_numpys_own_openblas():
    if blas.library is None:
        pytest.skip("NumPy is not built on its own OpenBLAS here")
    before = blas.library.get()
    with blas.at_most(1):
        assert blas.library.get() == 1
    assert blas.library.get() == before


def test_a_child_process_starts_with_nobody_inside(told):
    outer = blas.at_most(1)
    outer.__enter__()
    blas._start_anew()
    with blas.at_most(1):
        assert told == [1, 1]
    assert told == [1, 1, 2]


def test_the_least_limit_counts(told, monkeypatch):
    monkeypatch.setattr(blas, "threads", 16)
    with blas.at_most(4):
        with blas.at_most(1), blas.at_most(8):
            pass
        assert told == [4, 1, 1, 1, 4]
    assert told[-1] == 16


def test_more_threads_than_pay_are_not_asked(told, rng, monkeypatch):
    monkeypatch.setattr(blas, "threads", 64)
    monkeypatch.setattr(blas, "time_of_one_thread", lambda: 1.0)
    blas.multiply(*factors(rng, (64, 784, 256)))
    assert told == [blas.MOST_THREADS, 64]
