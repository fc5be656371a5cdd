"""The near end of ``bench/peers/serve.py``: minigan and each peer in a process of its own, asked in turn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SERVE = Path(__file__).parent / "peers" / "serve.py"
LIBRARIES = sorted(path.stem.removeprefix("with_") for path in SERVE.parent.glob("with_*.py"))


class BenchError(Exception):
    """What the benchmark cannot do, as a sentence."""


class Missing(BenchError):
    """A library that is not there."""


class Setting(NamedTuple):
    """What is the same for all libraries."""

    device: str = "cpu"
    threads: int = 1
    tf32: bool = False
    compiled: bool = False

    @property
    def environment(self) -> dict[str, str]:
        names = "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"
        return {**os.environ, **dict.fromkeys(names, str(self.threads))}


class Worker:
    """One library's process. Use as a context manager; ``hello`` holds its version."""

    def __init__(self, name: str, python: str, setting: Setting) -> None:
        self.name, self.python = name, python
        self._log = tempfile.TemporaryFile("w+")
        options = {"device": setting.device, "tf32": setting.tf32, "compiled": setting.compiled}
        command = [python, str(SERVE), name, json.dumps(options)]
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True,
                env=setting.environment, start_new_session=True,  # Ctrl-C is for the one who asks
            )  # fmt: skip
        except OSError as error:
            raise BenchError(f"{name} has no interpreter at {python} ({error.strerror})") from error

    def __enter__(self) -> Worker:
        try:
            self.hello = self.ask("hello")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: Any) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and wait for its reply. Raises ``BenchError`` with what went wrong there."""
        line = ""
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            pass
        if not line.endswith("\n"):
            self._log.seek(0)
            last = (self._log.read().strip().splitlines() or ["it said nothing"])[-1]
            raise BenchError(f"{self.name}'s process ended with status {self._process.wait()}: {last}")
        reply = json.loads(line)
        if "missing" in reply:
            raise Missing(f"{self.name} is not installed in {self.python} ({reply['missing']}): left out")
        if "error" in reply:
            raise BenchError(f"{self.name} failed under {self.python}: {reply['error']}")
        return reply

    def answer(self, variant: str) -> list[np.ndarray]:
        """The arrays that a variant computes."""
        with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
            path = os.path.join(folder, "answer.npz")
            self.ask("answer", variant=variant, path=path)
            try:
                with np.load(path) as arrays:
                    return [arrays[name] for name in arrays.files]
            except (OSError, ValueError) as error:
                raise BenchError(f"{self.name}: {variant} computes no arrays of numbers ({error})") from error


@contextmanager
def team(libraries: Iterable[tuple[str, str]], setting: Setting) -> Iterator[list[Worker]]:
    """A worker for each (name, interpreter), for the length of a ``with`` block."""
    with ExitStack() as stack:
        yield [stack.enter_context(Worker(name, python, setting)) for name, python in libraries]


def parse_peers(text: str) -> list[tuple[str, str]]:
    """``torch,chainer=PYTHON`` as names and interpreters. Raises ``BenchError`` for a name that nobody wrote down."""
    peers = []
    for part in filter(None, text.split(",")):
        name, _, python = part.partition("=")
        if name not in LIBRARIES or name == "minigan":
            known = ", ".join(name for name in LIBRARIES if name != "minigan")
            raise BenchError(f"--peers: there is no {name!r}; there are {known}, each alone or as NAME=PYTHON")
        if name in dict(peers):
            raise BenchError(f"--peers: {name} is there twice")
        peers.append((name, python or sys.executable))
    return peers
