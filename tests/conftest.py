"""What all tests share: array modules, a seeded generator, and a configuration that no test leaves changed."""

import functools
import os
import re
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from minigan import pictures
from minigan.backends import cuda
from minigan.configuration import config, global_config
from minigan.kernels import launch, source
from minigan.utils.files import atomic_write

sys.path.append(str(Path(__file__).parent))  # tests share helpers: from functions.table import ROWS
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job, whose processes would ignore Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process of a test compiles all of minigan once more


@pytest.fixture(params=["numpy", pytest.param("cupy", marks=pytest.mark.gpu)])
def xp(request):
    """NumPy always, CuPy where there is a GPU."""
    if request.param == "numpy":
        return np
    if not cuda.available:
        pytest.skip("needs CuPy and a CUDA device, and there is none here")
    return cuda.cupy


@pytest.fixture
def rng():
    return np.random.RandomState(0)


@pytest.fixture
def modules(monkeypatch):
    """The benchmarks' own modules, by name."""
    bench = str(Path(__file__).resolve().parents[1] / "bench")
    monkeypatch.syspath_prepend(bench)
    before = set(sys.modules)
    yield __import__
    for name in set(sys.modules) - before:
        if bench in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture(autouse=True)
def _same_start():
    """Every test starts from the same random numbers; what it sets on the configuration is put back."""
    np.random.seed(0)
    before = [(scope, dict(vars(scope))) for scope in (config, global_config)]
    yield
    for scope, values in before:
        vars(scope).clear()
        vars(scope).update(values)


@pytest.fixture(scope="module")
def plain_charts():
    """The charts of a run are texts of what they would show; drawing takes longer than training for some steps."""

    def written(name, path, *shown):
        with atomic_write(path, "w") as file:
            file.write(f"{name}: {shown}")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("save_curves", "save_gradients", "save_answers"):
            patch.setattr(pictures, name, functools.partial(written, name))
        yield


@pytest.fixture
def own_place(monkeypatch, tmp_path, plain_charts):
    """Nothing of the caller's environment, a working folder of the test's own, where `runs/` may come, plain charts."""
    for name in [n for n in os.environ if n.startswith("MINIGAN")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True, scope="session")
def _declared_constants():
    """A kernel that is launched with constants that `minigan kernels compile` does not know fails the test."""
    emulated, seen = launch.Kernel.emulated, set()

    def checked(kernel, *args):
        if kernel not in seen:
            assert declared(kernel.text, kernel.constants), f"{kernel!r}: no variant of the file says so"
            seen.add(kernel)
        return emulated(kernel, *args)

    launch.Kernel.emulated = checked
    yield
    launch.Kernel.emulated = emulated


def declared(text, constants):
    """Whether one of the file's variants is these constants, but for those of its line `// any:`.

    Of these a number may be any, and a word must be in some variant.
    """
    free = " ".join(re.findall(r"^// any: (.*)$", text, re.M)).split()
    given = source.constants(text) | {name: str(value) for name, value in constants.items()}
    variants = [source.constants(text) | variant for variant in source.variants(text)]
    words = {name: value for name, value in given.items() if name in free and not value.isdigit()}
    return all(any(v[n] == w for v in variants) for n, w in words.items()) and any(
        all(v.get(name) == value for name, value in given.items() if name not in free) for v in variants
    )
