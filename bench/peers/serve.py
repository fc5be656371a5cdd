"""One library in a process of its own: ``PYTHON serve.py LIBRARY OPTIONS`` answers requests until its input ends.

A request and its reply are one line of JSON each; results go through files. The far end of ``bench/workers.py``.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import sys
import time
import traceback
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

warnings.simplefilter("ignore")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cases import find  # noqa: E402
from timing import WARM_UP_SECONDS, clock, loops_for  # noqa: E402


class Server:
    """The variants of the row that was prepared last."""

    def __init__(self, library: str, options: dict) -> None:
        self.library, self.cases = library, find()
        self.peer = importlib.import_module(f"with_{library}")
        self.peer.setup(**options)
        self.on_cpu = options["device"] == "cpu"
        self.calls: dict[str, tuple[Any, Any]] = {}
        self.loops: dict[str, tuple[int, bool]] = {}

    def hello(self) -> dict:
        return {"version": self.peer.VERSION, "python": sys.version.split()[0], "numpy": np.__version__,
                **getattr(self.peer, "FACTS", {})}  # fmt: skip

    def prepare(self, case: str, arguments: dict) -> dict:
        """Make the arrays of a row and this library's variants for it; reply with their names."""
        self.case, self.calls, self.loops = self.cases[case], {}, {}
        gc.collect()
        name = getattr(self.case, "NAME", case)
        if case not in getattr(self.peer, "CASES", self.cases):
            found = {}
        elif hasattr(self.case, "in_a_new_process"):
            found = {self.library: self.case.in_a_new_process(self.library)}
        elif hasattr(self.peer, name):
            found = getattr(self.peer, name)(self.cases[name], self.case.data(**arguments), **arguments)
        else:
            found = {}
        self.calls = {n: call if isinstance(call, tuple) else (call, same) for n, call in found.items()}
        return {"variants": list(self.calls), "start_mb": peak_mb()}

    def answer(self, variant: str, path: str) -> dict:
        """Write the results of the first calls."""
        call, view = self.calls[variant]
        calls = [self.flat(view(call())) for _ in range(getattr(self.case, "CALLS", 1))]
        np.savez(path, *([np.array(calls)] if len(calls) > 1 else sum(calls, [])))
        return {}

    def warm(self, variant: str, quick: bool) -> dict:
        """Call until all that is done once is done, and find how many calls make one measurement."""
        call, stopwatch = self.calls[variant][0], self.stopwatch()
        once, begin = quick or hasattr(self.case, "stopwatch"), time.perf_counter()
        for _ in range(1 if quick else getattr(self.peer, "WARM_UP", 2)):
            call()
        while self.on_cpu and not once and time.perf_counter() - begin < WARM_UP_SECONDS:
            call()
        self.loops[variant] = (1, False) if once else loops_for(stopwatch, call)
        return {}

    def time(self, variant: str) -> dict:
        call, (loops, warm) = self.calls[variant][0], self.loops[variant]
        if warm:
            call()  # whose arrays are in the cache is then no matter of who came before
        return {"ms": self.stopwatch()(call, loops)}

    def peak(self) -> dict:
        device = {"device_mb": self.peer.device_mb()} if hasattr(self.peer, "device_mb") else {}
        return {"peak_mb": peak_mb(), **device}

    def stopwatch(self) -> Any:
        return getattr(self.case, "stopwatch", None) or getattr(self.peer, "stopwatch", clock)

    def flat(self, result: Any) -> list[np.ndarray]:
        if isinstance(result, (list, tuple)):
            return [a for part in result for a in self.flat(part)]
        return [np.asarray(getattr(self.peer, "to_numpy", lambda a: a)(result))]


def same(result: Any) -> Any:
    return result


def peak_mb() -> float:
    """The most memory this process has had; the resource module would count that of the one that started it."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints is not a reply
    library, options = sys.argv[1:]
    server = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            server = server or Server(library, json.loads(options))
            reply = getattr(server, request.pop("do"))(**request)
        except ImportError as error:
            reply = {"missing": str(error)}
        except Exception as error:
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(reply) + "\n")


if __name__ == "__main__":
    main()
