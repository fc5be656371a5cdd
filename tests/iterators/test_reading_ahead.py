"""Iterators with helpers: the same batches as SerialIterator from one seed, errors raised, threads ended."""

import copy
import gc
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

import minigan.functions as F
import minigan.links as L
from minigan import optimizers, training
from minigan.dataset import example_random
from minigan.iterators import MultiprocessIterator, MultithreadIterator, SerialIterator
from minigan.serializers import DictionarySerializer, NpzDeserializer, load_npz

KINDS = [
    lambda *a, **k: MultithreadIterator(*a, n_threads=3, **k),
    lambda *a, **k: MultiprocessIterator(*a, n_processes=2, **k),
    lambda *a, **k: MultiprocessIterator(*a, n_processes=3, n_prefetch=4, maxtasksperchild=3, **k),
]
every_kind = pytest.mark.parametrize("make", KINDS, ids=["threads", "processes", "prefetch"])


def batches(iterator, n):
    return [next(iterator) for _ in range(n)]


def with_draws(iterator, n):
    """Batches, each with a number that the script draws after it."""
    return [(next(iterator), np.random.rand()) for _ in range(n)]


@every_kind
@pytest.mark.parametrize("shuffle", [None, False])
def test_same_batches_as_serial(make, shuffle):
    data = [x * x for x in range(7)]
    np.random.seed(3)
    expected = with_draws(SerialIterator(data, 3, shuffle=shuffle), 9)
    np.random.seed(3)
    with make(data, 3, shuffle=shuffle) as iterator:
        assert with_draws(iterator, 9) == expected
        assert iterator.epoch == 3
    assert list(make(data, 3, repeat=False, shuffle=False)) == [[0, 1, 4], [9, 16, 25], [36]]


@every_kind
def test_state_goes_through_a_file_and_copies_go_their_own_way(make):
    iterator, file = make(list(range(10)), 4), DictionarySerializer()
    next(iterator)
    iterator.serialize(file)
    other = make(list(range(10)), 4)
    other.serialize(NpzDeserializer(file.target))
    twin = copy.copy(iterator)
    following = next(iterator)
    assert following == next(other) == next(twin)
    before = threading.active_count() + len(multiprocessing.active_children())
    for each in (iterator, other, twin):
        each.finalize()
    assert threading.active_count() + len(multiprocessing.active_children()) < before


class Bad:
    def __len__(self):
        return 4

    def __getitem__(self, i):
        if i == 2:
            raise RuntimeError("cannot read example 2")
        return i


@every_kind
def test_an_error_in_a_worker_is_raised(make):
    with make(Bad(), 4, shuffle=False) as iterator, pytest.raises(RuntimeError, match="cannot read example 2"):
        next(iterator)


@every_kind
def test_after_an_error_the_place_is_kept(make):
    data = Bad()
    with make(data, 2, shuffle=False) as iterator:
        assert next(iterator) == [0, 1]
        for _ in range(2):
            with pytest.raises(RuntimeError, match="example 2"):
                next(iterator)
        assert (iterator.current_position, iterator.epoch_detail) == (2, 0.5)
        iterator.reset()
        assert next(iterator) == [0, 1]


def test_wrong_numbers_and_arguments_of_chainer():
    with pytest.raises(ValueError, match="0 workers"):
        MultithreadIterator([1], 1, n_threads=0)
    with pytest.raises(ValueError, match="-1 workers"):
        MultiprocessIterator([1], 1, n_processes=-1)
    with pytest.raises(ValueError, match="0 tasks"):
        MultiprocessIterator([1], 1, maxtasksperchild=0)
    iterator = MultiprocessIterator([1, 2], 1, True, False, 2, 1, None, None, 30.0, None)
    assert (iterator.n_processes, iterator.n_prefetch, next(iterator)) == (2, 1, [1])
    iterator.finalize()
    with pytest.raises(NotImplementedError, match="reset after finalize"):  # as Chainer's
        iterator.reset()


def test_every_epoch_of_a_sampler_has_one_size():
    for make in (SerialIterator, *KINDS):
        sizes = iter((6, 6, 5))
        iterator = make(list(range(6)), 6, order_sampler=lambda *_, s=sizes: np.arange(next(s)))
        next(iterator)
        with pytest.raises(ValueError, match="returned 5 indices after 6"):
            next(iterator)


# --- snapshots ---


def test_keys_are_chainers():
    # Chainer 7.8.1: DictionarySerializer of the two iterators, with and without shuffle
    common = {"current_position", "epoch", "is_new_epoch", "previous_epoch_detail"}
    for make, key in ((KINDS[0], "_order"), (KINDS[1], "order")):
        file = DictionarySerializer()
        make([1, 2], 1).serialize(file)
        assert set(file.target) == common | {key, "example_seed"}
    file = DictionarySerializer()
    MultithreadIterator([1, 2], 1, shuffle=False).serialize(file)
    assert file.target["_order"].item() is None


@every_kind
def test_snapshots_of_chainer_have_fewer_keys(make):
    iterator, file = make(list(range(6)), 2), DictionarySerializer()
    batches(iterator, 2)
    iterator.serialize(file)
    for key in ("previous_epoch_detail", "example_seed"):
        file.target.pop(key, None)
    other = make(list(range(6)), 2)
    other.serialize(NpzDeserializer(file.target))
    assert other.previous_epoch_detail == 2 / 6 and next(other) == next(iterator)
    iterator.finalize()
    other.finalize()


class Noise:
    """Examples that draw from the global generators, as random crops do."""

    def __len__(self):
        return 7

    def __getitem__(self, i):
        return i, np.random.randint(1 << 30), random.random()


def test_random_examples_are_reproducible_and_go_on_after_a_resume():
    def make(n, seed=5):
        np.random.seed(seed)
        return MultiprocessIterator(Noise(), 3, n_processes=n, n_prefetch=n)

    with make(1) as one, make(3) as three, make(2) as resumed, make(1, 6) as other:
        wanted = batches(one, 4)
        np.random.seed(5)  # the order is drawn in this process
        three.reset()
        assert len({x[1:] for batch in wanted for x in batch}) == 12  # no two examples drew the same numbers
        file = DictionarySerializer()
        state = np.random.get_state()
        one.serialize(file)
        wanted = batches(one, 5)
        np.random.set_state(state)
        resumed.serialize(NpzDeserializer(file.target))
        assert batches(resumed, 5) == wanted
        np.random.set_state(state)
        three.serialize(NpzDeserializer(file.target))
        assert batches(three, 5) == wanted
        assert {x[1] for x in next(other)}.isdisjoint(x[1] for batch in wanted for x in batch)


class Blurred:
    """Labelled examples of a kind, with noise from `draw`."""

    def __init__(self, draw):
        self.draw = draw

    def __len__(self):
        return 20

    def __getitem__(self, i):
        return (self.draw(5) + i % 3).astype(np.float32), np.int32(i % 3)


@pytest.mark.filterwarnings("ignore:MultithreadIterator. the examples draw:RuntimeWarning")
@pytest.mark.parametrize("draw", [np.random.randn, lambda n: example_random().randn(n)], ids=["global", "own"])
@pytest.mark.parametrize(
    "kind, first, then",
    [(SerialIterator, {}, {}), (MultithreadIterator, {"n_threads": 3}, {"n_threads": 2}),
     (MultiprocessIterator, {"n_processes": 2}, {"n_processes": 3, "n_prefetch": 2})],
)  # fmt: skip
def test_a_stopped_training_goes_on_bit_for_bit(tmp_path, kind, first, then, draw):
    def train(steps, resume=None, **workers):
        np.random.seed(1)
        optimizer = optimizers.Adam().setup(L.Classifier(L.Linear(5, 3)))
        iterator = kind(Blurred(draw), 7, **workers)
        trainer = training.Trainer(training.StandardUpdater(iterator, optimizer), (steps, "iteration"), tmp_path)
        trainer.extend(training.extensions.snapshot(filename="of_{.updater.iteration}"), trigger=(4, "iteration"))
        if resume:
            load_npz(tmp_path / resume, trainer)
        trainer.run()
        return optimizer.target.predictor.W.array

    wanted = train(11, **first)
    np.random.rand(3)
    np.testing.assert_array_equal(train(11, "of_4", **then), wanted)


# --- processes ---


class Pid:
    """Examples that tell who made them, slowly enough for all workers to take part."""

    def __len__(self):
        return 40

    def __getitem__(self, i):
        time.sleep(0.002)
        return os.getpid()


def alive(pid):
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] not in "ZX"


def wait_until_gone(pids, seconds=5):
    end = time.monotonic() + seconds
    while any(alive(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.02)
    return not any(alive(pid) for pid in pids)


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc, counts on fork")


@linux
@pytest.mark.parametrize("end", ["finalize", "collect"])
def test_they_are_processes_and_end(end):
    iterator = MultiprocessIterator(Pid(), 8, n_processes=3)
    pids = {pid for batch in batches(iterator, 4) for pid in batch}
    assert len(pids) == 3 and os.getpid() not in pids
    if end == "finalize":
        iterator.finalize()
    del iterator
    gc.collect()
    assert wait_until_gone(pids)


@linux
def test_fresh_processes_after_some_tasks():
    with MultiprocessIterator(Pid(), 8, n_processes=2, maxtasksperchild=1) as iterator:
        assert len({pid for batch in batches(iterator, 4) for pid in batch}) == 8


@linux
def test_a_killed_worker_is_an_error_and_no_hang():
    with MultiprocessIterator(Pid(), 8, n_processes=2) as iterator:
        pids = {pid for batch in batches(iterator, 2) for pid in batch}
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        start = time.monotonic()
        with pytest.raises(RuntimeError, match="a worker process ended by signal SIGKILL while it read examples"):
            batches(iterator, 4)
        assert time.monotonic() - start < 3
        assert pids.isdisjoint(next(iterator))  # fresh ones


@pytest.mark.parametrize("shared_mem", [None, 0, 100])
@pytest.mark.parametrize("shape", [(0,), (), (3, 5), (300, 300)])
def test_arrays_come_whole_and_writable(shared_mem, shape):
    data = [(np.full(shape, i, np.float32), {"label": i}, np.arange(6).reshape(2, 3).T + i) for i in range(9)]
    with MultiprocessIterator(data, 4, shuffle=False, n_processes=2, n_prefetch=2, shared_mem=shared_mem) as iterator:
        got = [x for batch in batches(iterator, 6) for x in batch]
    for i, (x, label, y) in enumerate(got):
        np.testing.assert_array_equal(x, data[i % 9][0])
        np.testing.assert_array_equal(y, data[i % 9][2])
        assert x.dtype == np.float32 and x.flags.writeable and label == {"label": i % 9}


class Odd(Exception):
    """Can be pickled but not unpickled."""

    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")


class Failing:
    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 2

    def __getitem__(self, i):
        if isinstance(self.error, BaseException):
            raise self.error
        return self.error


@pytest.mark.parametrize(
    "error, kind, says",
    [(KeyError("k"), KeyError, "k"), (Odd(1, 2), RuntimeError, "Odd: 1 and 2"), (SystemExit(3), SystemExit, "3"),
     (threading.Lock(), TypeError, "cannot pickle"), (OSError(5, "disk"), OSError, "disk")],
)  # fmt: skip
def test_errors_of_workers_with_their_traceback(error, kind, says):
    with MultiprocessIterator(Failing(error), 2, n_processes=1) as iterator, pytest.raises(kind, match=says) as caught:
        next(iterator)
    assert "in a worker process" in str(caught.value.__cause__) and "Traceback" in str(caught.value.__cause__)


class Slow:
    def __len__(self):
        return 3

    def __getitem__(self, i):
        time.sleep(0.3 * (i == 1))
        return i


def test_a_warning_for_a_data_set_that_takes_long():
    with MultiprocessIterator(Slow(), 1, False, False, 1, 0, dataset_timeout=0.1) as iterator:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert next(iterator) == [0]
        with pytest.warns(MultiprocessIterator.TimeoutWarning, match="no example for 0.1 seconds"):
            assert next(iterator) == [1]
        assert list(iterator) == [[2]]


class Convolving:
    """Works with BLAS and with the threads of the kernels, which a forked process does not have."""

    x, w = np.ones((8, 8, 32, 32), np.float32), np.ones((8, 8, 3, 3), np.float32)

    def __len__(self):
        return 4

    def __getitem__(self, i):
        a = np.ones((300, 300), np.float32)
        return float((a @ a)[0, 0] + F.convolution_2d(self.x, self.w).array.sum())


def test_workers_may_compute_what_this_process_has_computed_before():
    wanted = Convolving()[0]
    with MultiprocessIterator(Convolving(), 4, n_processes=2) as iterator:
        assert next(iterator) == [wanted] * 4
        assert Convolving()[0] == wanted


# --- whole scripts ---

HEAD = """
import os, signal, sys, time
import numpy as np
from {package}.iterators import MultiprocessIterator

class Data:
    def __len__(self):
        return 100
    def __getitem__(self, i):
        if i >= {stuck}:
            time.sleep(1000)
        return os.getpid(), np.ones((100, 100))
"""


def script(tmp_path, body, stuck=1000, package="minigan", legacy=False):
    path = tmp_path / "script.py"
    path.write_text(HEAD.format(stuck=stuck, package=package) + body)
    return subprocess.Popen([sys.executable, *(["-m", "minigan.legacy"] if legacy else []), str(path)],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip


@linux
@pytest.mark.parametrize("legacy", [False, True])
def test_a_script_without_main_guard_ends_with_its_workers(tmp_path, legacy):
    """Two workers hang in the data set at the end; neither the script nor they stay."""
    process = script(tmp_path, """
before = set(os.listdir("/dev/shm"))
iterator = MultiprocessIterator(Data(), 10, shuffle=False, n_processes=2)
print(*{pid for pid, _ in next(iterator) + next(iterator)}, flush=True)
assert set(os.listdir("/dev/shm")) <= before
""", stuck=20, package="chainer" if legacy else "minigan", legacy=legacy)  # fmt: skip
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "") and len(out.split()) == 2
    assert wait_until_gone(out.split())


@linux
@pytest.mark.parametrize("number, code", [(signal.SIGINT, -signal.SIGINT), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_stopped_script_leaves_no_workers(tmp_path, number, code):
    process = script(tmp_path, """
iterator = MultiprocessIterator(Data(), 10, shuffle=False, n_processes=2)
print(*{pid for pid, _ in next(iterator) + next(iterator)}, flush=True)
time.sleep(1000)
""", stuck=20)  # fmt: skip
    pids = process.stdout.readline().split()
    assert len(pids) == 2 and all(alive(pid) for pid in pids)
    process.send_signal(number)  # while the workers hang in the third batch
    _, err = process.communicate(timeout=20)
    assert process.returncode == code and err.count("Traceback") == (number == signal.SIGINT)
    assert wait_until_gone(pids)


@linux
def test_ctrl_c_while_a_batch_is_waited_for(tmp_path):
    process = script(tmp_path, """
iterator = MultiprocessIterator(Data(), 10, shuffle=False, n_processes=2)
print(*{pid for pid, _ in next(iterator)}, flush=True)
try:
    next(iterator)
except KeyboardInterrupt:
    print("stopped at", iterator.current_position)
""", stuck=10)  # fmt: skip
    pids = process.stdout.readline().split()
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (out, err) == ("stopped at 10\n", "") and wait_until_gone(pids)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_other_ways_to_start(tmp_path, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    process = script(tmp_path, f"""
import multiprocessing
if __name__ == "__main__":
    multiprocessing.set_start_method("{method}")
    with MultiprocessIterator(Data(), 10, n_processes=2) as iterator:
        print(len(next(iterator)), next(iterator)[0][1].sum())
    data = Data()
    data.function = lambda x: x
    try:
        next(MultiprocessIterator(data, 10, n_processes=1))
    except TypeError as error:
        print(error)
""")  # fmt: skip
    out, err = process.communicate(timeout=60)
    assert out.startswith("10 10000.0\nMultiprocessIterator: the data set cannot be sent to a process started by")
    assert method in out and err == ""


def test_spawn_without_main_guard_says_so(tmp_path):
    process = script(tmp_path, """
import multiprocessing
multiprocessing.set_start_method("spawn", force=True)
next(MultiprocessIterator(Data(), 10, n_processes=1))
""")  # fmt: skip
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "exit code 1 while it read examples" in err


@linux
@every_kind
def test_a_forked_process_reads_for_itself(make):
    with make(list(range(40)), 4, shuffle=False) as iterator:
        assert next(iterator) == [0, 1, 2, 3]
        child = os.fork()
        if child == 0:
            try:
                seen = batches(iterator, 2)
                iterator.finalize()
                os._exit(0 if seen == [[4, 5, 6, 7], [8, 9, 10, 11]] else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert next(iterator) == [4, 5, 6, 7]


def test_threads_end_with_an_iterator_that_is_dropped_while_they_read():
    before = threading.active_count()
    iterator = MultithreadIterator(Pid(), 20, n_threads=3)
    next(iterator)
    assert threading.active_count() == before + 3
    del iterator
    assert threading.active_count() == before
