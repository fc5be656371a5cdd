"""What all tests share: array modules, a seeded generator, and a configuration that no test leaves changed."""

import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from minigan.backends import cuda
from minigan.configuration import config, global_config

sys.path.append(str(Path(__file__).parent))  # tests share helpers: from functions.table import ROWS
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job, whose processes would ignore Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.fixture(autouse=True)
def _same_start():
    """Every test starts from the same random numbers; what it sets on the configuration is put back."""
    np.random.seed(0)
    before = [(scope, dict(vars(scope))) for scope in (config, global_config)]
    yield
    for scope, values in before:
        vars(scope).clear()
        vars(scope).update(values)
