"""Loads files that were made wrong into real objects, and demands an error sentence and an unchanged object.

`python -m tests.fuzz --n 100000 --seed 0`, from the root of the repository. Every input has a number; the same number
and seed give the same input again (`--only NUMBER` keeps it in a file and shows what comes of it). Inputs run in
child processes, each some hundred: what crashes one, takes longer than `SECONDS`, or more memory than `MEMORY`, is
counted against the readers like a wrong error.
"""

import argparse
import collections
import os
import random
import resource
import signal
import sys
import tempfile
import time
import warnings

from .mutations import bomb, change_bytes, change_hdf5, change_idx, change_json_file, change_npz
from .targets import cases, state

SECONDS = 20  # of the clock, on a machine that has other things to do; most take a thousandth
MEMORY = 64 << 20
BATCH = 400
FINE = ("loaded", "refused")
STRUCTURED = {"npz": change_npz, "hdf5": change_hdf5, "idx": change_idx, "json": change_json_file}
OFTEN = {"npz": 1, "hdf5": 1, "idx": 4, "json": 3}


class Fuzzer:
    """The cases, and the input of a number."""

    def __init__(self, seed):
        self.seed, self.cases = seed, cases()
        self.names = [name for name, case in self.cases.items() for _ in range(OFTEN[case.kind])]

    def input(self, number):
        """`(case, mutation, content)` of a number."""
        rng = random.Random(f"{self.seed} {number}")
        case = self.cases[self.names[rng.randrange(len(self.names))]]
        content = case.files[rng.randrange(len(case.files))]
        change = change_bytes if rng.random() < 0.45 else STRUCTURED[case.kind]
        if case.kind == "npz" and rng.random() < 0.003:
            change = bomb
        return case, change, change(rng, content, case.files + [b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"])

    def run(self, number, path):
        """What comes of an input: `"loaded"`, `"refused"`, or a complaint."""
        case, change, content = self.input(number)
        with open(path, "wb") as file:
            file.write(content)
        case.seed()
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        signal.alarm(SECONDS)  # ends the process
        result = self.outcome(case, path)
        signal.alarm(0)
        taken = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) << 10
        if taken > MEMORY + 2 * len(content):
            result = f"took {taken >> 20} MB"
        return result if result in FINE else f"{case.kind} {change.__name__}: {result}"

    def outcome(self, case, path):
        """Load a file, and look at the object after an error."""
        try:
            case.load(path, case.obj)
        except case.errors as error:
            text = str(error.args[0]) if error.args else ""
            if len(text.split()) < 4 or "\n" in text or len(text) > 1500:
                return f"no sentence: {error!r:.300}"
            if not case.changed():
                return "refused"
            case.renew()
            return f"changed in spite of: {error!r:.300}"
        except Exception as error:
            return f"{error!r:.300}"
        if case.obj is not None:
            try:
                state(case.obj)  # whatever was loaded can be saved again
            except Exception as error:
                case.renew()
                return f"loaded, but cannot be saved: {error!r:.300}"
            case.renew()
        return "loaded"


def child(fuzzer, numbers, pipe):
    """Run inputs and write down each result before the next one begins."""
    sys.stderr = open(os.devnull, "w")
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    with tempfile.TemporaryDirectory() as folder:
        for number in numbers:
            os.write(pipe, (fuzzer.run(number, os.path.join(folder, "file"))[:1000].replace("\n", " ") + "\n").encode())
    os._exit(0)


def fuzz(n, seed=0, first=0, fuzzer=None):
    """Run `n` inputs; return counts by result, and `(number, complaint)`s."""
    fuzzer = fuzzer or Fuzzer(seed)
    counts, complaints, number = collections.Counter(), [], first
    while number < first + n:
        numbers = range(number, min(number + BATCH, first + n))
        reading, writing = os.pipe()
        process = os.fork()
        if not process:
            os.close(reading)
            child(fuzzer, numbers, writing)
        os.close(writing)
        with os.fdopen(reading) as lines:
            results = lines.read().splitlines()
        _, status = os.waitpid(process, 0)
        if len(results) < len(numbers):
            results.append("hangs" if status == signal.SIGALRM else f"crashes with status {status}")
        for number, result in zip(numbers, results):
            counts[result if result in FINE else "WRONG"] += 1
            if result not in FINE:
                complaints.append((number, result))
        number += 1
    return counts, complaints


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=10000, help="how many inputs")
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="keep this input as fuzz-NUMBER and show what comes of it")
    given = parser.parse_args(arguments)
    fuzzer = Fuzzer(given.seed)
    if given.only is not None:
        print(fuzzer.input(given.only)[:2])
        print(fuzzer.run(given.only, f"fuzz-{given.only}"))
        return 0
    began, counts, wrong = time.monotonic(), collections.Counter(), 0
    for first in range(given.first, given.first + given.n, 5000):
        more, complaints = fuzz(min(5000, given.first + given.n - first), given.seed, first, fuzzer)
        counts += more
        wrong += len(complaints)
        for number, complaint in complaints:
            print(f"  {number}: {complaint}")
        print(f"{sum(counts.values()):,} inputs, {time.monotonic() - began:.0f} s: {dict(counts)}", flush=True)
    return wrong > 0
