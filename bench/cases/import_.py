"""How long ``import LIBRARY`` takes in a new process that has imported NumPy already."""

import subprocess
import sys

from cases import Row

CALLS = 0  # there is nothing to compare

CODE = "import numpy, time; start = time.perf_counter(); import {}; print(1e3 * (time.perf_counter() - start))"


def rows(device, quick):
    return [Row("after NumPy's", {}, "")]


def data():
    return {}


def in_a_new_process(library):
    """A callable that gives the milliseconds of one import."""
    command = [sys.executable, "-W", "ignore", "-c", CODE.format(library)]
    return lambda: float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def stopwatch(call, loops):
    return call()
