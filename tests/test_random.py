import random as python_random
import types

import numpy as np
import pytest

from minigan import random, training
from minigan.serializers import load_npz


@pytest.fixture(autouse=True)
def keep_generators():
    states = python_random.getstate(), np.random.get_state()
    yield
    python_random.setstate(states[0])
    np.random.set_state(states[1])


def draw():
    return (
        np.random.randint(0, 2**31, 5).tolist() + np.random.normal(size=3).tolist() + np.random.permutation(9).tolist(),
        [python_random.random(), python_random.gauss(0, 1), python_random.randrange(10**30)],
    )


def test_seed_repeats_and_is_numpys_own():
    random.seed(5)
    first = draw()
    random.seed(5)
    assert draw() == first
    random.seed(6)
    assert draw() != first
    random.seed(5)
    np.testing.assert_array_equal(np.random.rand(3), np.random.RandomState(5).rand(3))


@pytest.mark.parametrize("normals", [0, 1])  # an odd number of normals leaves one waiting in the generator
def test_state_round_trip_is_exact(normals):
    random.seed(1)
    np.random.normal(size=normals)
    [python_random.gauss(0, 1) for _ in range(normals)]
    state = random.get_state()
    assert state["numpy_has_gauss"] == bool(normals)
    assert all(isinstance(v, np.ndarray) and v.dtype != object for v in state.values())
    first = draw()
    assert draw() != first
    random.set_state(state)
    assert draw() == first


def test_reading_the_state_draws_nothing():
    random.seed(1)
    expected = draw()
    random.seed(1)
    random.get_state()
    assert draw() == expected


@pytest.mark.parametrize("n", [-1, 2**32, 1.5, None, "1", True])
def test_bad_seed_is_refused(n):
    with pytest.raises(ValueError, match="seed: n is"):
        random.seed(n)


def test_bad_state_changes_nothing():
    random.seed(3)
    state = random.get_state(0)
    random.seed(4)
    before = random.get_state(0)
    with pytest.raises(KeyError, match="numpy_gauss"):
        random.set_state({k: v for k, v in state.items() if k != "numpy_gauss"})
    with pytest.raises(ValueError, match="shape"):
        random.set_state({**state, "numpy": state["numpy"][:7]})
    for wrong in (2**62, -1, 1.5, [1, 2]):
        with pytest.raises(ValueError, match="cupy_seed"):
            random.set_state({**state, "cupy_seed": np.array(wrong)})
    after = random.get_state(0)
    for key in before:
        np.testing.assert_array_equal(after[key], before[key])


class Hidden:
    """A generator like CuPy's: it can be seeded, but its state can be neither read nor set."""

    def __init__(self, seed):
        self.seed(seed)

    def seed(self, n):
        self._state = np.random.RandomState(n)

    def randint(self, low, high):
        return self._state.randint(low, high)

    def draw(self):
        return self._state.rand()


class Drawing(training.Updater):
    """An updater whose every iteration draws from the generator of the GPU, now more, now less."""

    epoch = epoch_detail = 0
    iteration = 0

    def __init__(self):
        self.drawn = []

    def get_all_optimizers(self):
        return {}

    def update(self):
        self.drawn += [(self.iteration, random.cuda.cupy.random.draw()) for _ in range(1 + self.iteration % 3)]
        self.iteration += 1

    def serialize(self, serializer):
        self.iteration = serializer("iteration", self.iteration)


def drawn(tmp_path, monkeypatch, stop, snapshots_at=None, resume=None, seed=None, chance=0):
    """What the iterations of a run have drawn on a GPU; `chance` is the state that another process begins with."""
    gpu = types.SimpleNamespace(available=True, cupy=types.SimpleNamespace(random=Hidden(chance)))
    monkeypatch.setattr(random, "cuda", gpu)
    if seed is not None:
        random.seed(seed)
    updater = Drawing()
    trainer = training.Trainer(updater, (stop, "iteration"), out=str(tmp_path))
    if snapshots_at:
        trigger = training.triggers.ManualScheduleTrigger(snapshots_at, "iteration")
        trainer.extend(training.extensions.snapshot(), trigger=trigger)
    if resume:
        load_npz(tmp_path / f"snapshot_iter_{resume}", trainer, strict=False)
    trainer.run()
    return updater.drawn


def test_what_a_gpu_draws_depends_on_the_iteration_and_not_on_snapshots(tmp_path, monkeypatch):
    whole = drawn(tmp_path, monkeypatch, 9, seed=3)
    assert len({number for _, number in whole}) == len(whole)
    assert drawn(tmp_path, monkeypatch, 9, seed=4) != whole
    assert drawn(tmp_path, monkeypatch, 9, snapshots_at=[2, 4, 5], seed=3, chance=1) == whole
    for stop in (2, 4, 5):
        assert drawn(tmp_path, monkeypatch, 9, resume=stop, chance=stop) == [d for d in whole if d[0] >= stop]


def test_without_a_gpu_its_seed_follows_numpys_and_draws_nothing():
    seeds, expected = [], np.random.RandomState(2).rand()
    for seed in (1, 2):
        np.random.seed(seed)
        seeds.append(random.fresh_gpu_seed())
    assert seeds[0] != seeds[1]
    assert np.random.rand() == expected


def test_the_state_for_a_loop_without_a_trainer(monkeypatch):
    gpu = types.SimpleNamespace(available=True, cupy=types.SimpleNamespace(random=Hidden(0)))
    monkeypatch.setattr(random, "cuda", gpu)
    state = random.get_state()
    goes_on = [gpu.cupy.random.draw() for _ in range(3)]
    random.set_state(state)
    assert [gpu.cupy.random.draw() for _ in range(3)] == goes_on
    assert set(state) == set(random.KEYS)
