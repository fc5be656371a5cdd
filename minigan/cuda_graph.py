"""A training step as one launch: captured once as a CUDA graph, then replayed.

    step = cuda_graph.capture(train_on_batch)     # any function of arrays that stays on the GPU
    for batch in batches:
        loss = step(batch)                         # 2 calls as usual, then one capture, then replays

On a GPU a small net spends its time in launching kernels, hundreds of them a step; a graph launches all at once. Python
does not run in a replay, so what a step does on the host besides launching is said to this module: `host` notes what is
to be done before each launch (counting steps, changed hyperparameters), `number` keeps a number on the device that a
replay finds changed. The library's optimizers do so; numbers in code of your own are part of the graph.

On the device @emulator a "graph" is a recording: every replay runs the step again and must do what was recorded, with
the same kernels, grids, numbers and memory. So what is not fit for a graph is found without a GPU.
"""

from __future__ import annotations

import gc
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from minigan.backend import copyto, get_device, get_device_from_array, is_array
from minigan.backends import cuda
from minigan.configuration import config
from minigan.kernels import gemm

MOST_GRAPHS = 8  #: of one step; each holds the memory of a whole step, and the one not used for longest goes first
WARM_UP = 2  #: calls before the capture: compilation, cuBLAS's beginnings, states of optimizers
_LIBRARY = [Path(__file__).parent, Path(gemm.__file__).parent]
_CURE = (
    "a captured step can neither read what the GPU computes nor send it anything: keep the array, and read it after "
    "the step, every so many steps"
)


class CaptureError(RuntimeError):
    """A step that cannot be captured, or that is not the same every time."""


class _Thread(threading.local):
    tape: _Tape | None = None

    def __init__(self) -> None:
        self.streams: dict[int, Any] = {}  # to capture on, one for each device: cuBLAS has a workspace for each


_thread = _Thread()


def is_capturing() -> bool:
    """Whether this thread is capturing a step, so that nothing may be read from the device."""
    return _thread.tape is not None


def host(action: Callable[[], Any], fits: Callable[[], bool] | None = None) -> None:
    """Do ``action()`` now; of a captured step, before every launch instead, in the order of the step.

    The graph is thrown away, and captured anew, once ``fits()`` is false before a launch.
    """
    if _thread.tape is None:
        action()
    else:
        _thread.tape.host(action, fits)


def number(function: Callable[[], float], dtype: Any) -> Any:
    """The number ``function()``; in a captured step, an array () of that dtype which holds it anew at every launch."""
    return function() if _thread.tape is None else _thread.tape.number(function, dtype)


class _Tape:
    """What the host does for a graph: actions in the order of the step, and the numbers that they fill in."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self._actions: list[tuple[Callable[[], Any], Callable[[], bool] | None]] = []
        self._numbers: list[Any] = []
        self._used: int | None = None  #: numbers handed out in a replay that runs Python, else None

    def host(self, action: Callable[[], Any], fits: Callable[[], bool] | None) -> None:
        if self._used is None:
            self._actions.append((action, fits))
            self.graph.at_capture(action)

    def number(self, function: Callable[[], float], dtype: Any) -> Any:
        if self._used is not None:
            self._used += 1
            return self._numbers[self._used - 1]
        slot = self.graph.empty(dtype)
        self._numbers.append(slot)
        self.host(lambda: slot.fill(function()), None)
        return slot

    def fits(self) -> bool:
        return all(fits is None or fits() for _, fits in self._actions)

    def run(self) -> None:
        for action, _ in self._actions:
            action()

    @contextmanager
    def capturing(self, again: bool = False) -> Iterator[None]:
        if is_capturing():
            raise CaptureError("cuda_graph: a captured step calls another one; capture the outer one only")
        self._used, _thread.tape = 0 if again else None, self
        try:
            yield
        finally:
            _thread.tape = None


def _allocator(xp: Any) -> Callable[[int], Any]:
    """What a graph's pool gets its memory from.

    Where there is no more, a pool gives back what it keeps for later, which is what a graph being captured writes to:
    then the capture fails instead.
    """

    def allocate(size: int) -> Any:
        try:
            return xp.cuda.MemoryPointer(xp.cuda.Memory(size), 0)
        except xp.cuda.runtime.CUDARuntimeError as error:
            if is_capturing():
                raise MemoryError(f"cuda_graph: a captured step asks for {size} bytes more: {error}") from error
            raise

    return allocate


class _CupyGraph:
    """The graph itself: a stream to capture on, and a pool of memory that nobody else may use."""

    def __init__(self, xp: Any) -> None:
        if reason := gemm.unavailable_reason():
            raise CaptureError(f"cuda_graph: CuPy's own matrix products cannot be captured, and {reason}")
        self.xp = xp
        self.tape: Any = _Tape(self)
        device = int(xp.cuda.Device().id)
        if device not in _thread.streams:
            _thread.streams[device] = xp.cuda.Stream(non_blocking=True)
        self._stream = _thread.streams[device]
        xp.get_default_memory_pool().free_all_blocks()  # the other pool has no use for what this one keeps for later
        self._pool = xp.cuda.MemoryPool(_allocator(xp))
        self._graph: Any = None
        self._cublas: Any = None  #: whose workspace the graph writes to

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """On the stream, between what was launched before and what comes after, with memory of the pool."""
        current = self.xp.cuda.get_current_stream()
        self._stream.wait_event(current.record())
        try:
            with self.xp.cuda.using_allocator(self._pool.malloc), self._stream:
                yield
        finally:
            current.wait_event(self._stream.record())

    def warm_up(self, step: Callable[[], Any], number: int) -> Any:
        with self._aside():
            return step()

    def capture(self, step: Callable[[], Any]) -> Any:
        gc.collect()
        collecting = gc.isenabled()
        gc.disable()  # a collection could free memory, or destroy an event, in the middle
        try:
            with self._aside(), self.tape.capturing():
                self._cublas = gemm.handle(self.xp)
                self._stream.begin_capture()
                try:
                    result = step()
                except BaseException:
                    with suppress(Exception):  # it is broken, and says so again
                        self._stream.end_capture()
                    raise
                self._graph = self._stream.end_capture()
        finally:
            if collecting:
                gc.enable()
        self.tape.run()
        self._graph.launch()
        return result

    def launch(self, step: Callable[[], Any], result: Any) -> None:
        self.tape.run()
        self._graph.launch()

    def close(self) -> None:
        """Destroy the graph once it has run, and give its memory back."""
        self.xp.cuda.Device().synchronize()
        self.tape = self._graph = self._cublas = None
        self._pool.free_all_blocks()

    def at_capture(self, action: Callable[[], Any]) -> None:
        """Nothing is computed while a graph is captured; the action comes before the first launch."""

    def empty(self, dtype: Any) -> Any:
        return self.xp.empty((), dtype)


class _EmulatedGraph:
    """A recording of what the step does on @emulator, with which every later step is compared."""

    def __init__(self, xp: Any) -> None:
        self.xp = xp
        self.tape: Any = _Tape(self)
        self._recorded: list[Any] = []

    def warm_up(self, step: Callable[[], Any], number: int) -> Any:
        if number == 0:  # everything is allowed to begin in the first step
            return step()
        with _Tape(self).capturing(), self.xp.recording():  # what the capture would refuse is refused here already
            return step()

    def capture(self, step: Callable[[], Any]) -> Any:
        with self.tape.capturing(), self.xp.recording() as self._recorded:
            return step()

    def launch(self, step: Callable[[], Any], result: Any) -> None:
        self.tape.run()
        with self.tape.capturing(again=True), self.xp.recording() as found:
            again = step()
        for i in range(max(len(found), len(self._recorded))):
            was, now = (str(seen[i]) if i < len(seen) else "nothing" for seen in (self._recorded, found))
            if was != now:
                raise CaptureError(
                    f"cuda_graph: the step is not the same each time: operation {i} was {was}; now {now}"
                )
        for target, source in zip(_arrays(result), _arrays(again), strict=True):
            copyto(target, source)

    def close(self) -> None:
        """Forget what was recorded."""
        self.tape, self._recorded = None, []

    def at_capture(self, action: Callable[[], Any]) -> None:
        with self.xp.recording(pause=True):
            action()

    def empty(self, dtype: Any) -> Any:
        with self.xp.recording(pause=True):
            return self.xp.empty((), dtype)


class _Plan:
    """The graph for one kind of arguments: the arrays that it reads, the result that it writes."""

    def __init__(self, device: Any, args: tuple[Any, ...]) -> None:
        self.graph: Any = (_EmulatedGraph if device.xp.__name__ == cuda.EMULATED else _CupyGraph)(device.xp)
        self.args = tuple(device.send(x).copy() if is_array(x) else x for x in args)
        self.calls = 0
        self.result: Any = None

    def __call__(self, step: Callable[..., Any], args: tuple[Any, ...], warm_up: int) -> Any:
        for own, given in zip(self.args, args):
            if is_array(own):
                copyto(own, given)
        self.calls += 1
        if self.calls <= warm_up:
            return self.graph.warm_up(lambda: step(*self.args), self.calls - 1)
        if self.calls == warm_up + 1:
            self.result = self.graph.capture(lambda: step(*self.args))
        else:
            self.graph.launch(lambda: step(*self.args), self.result)
        return self.result

    def close(self) -> None:
        """Give the memory back at once; not that of results which somebody holds."""
        self.args, self.result = (), None
        self.graph.close()


class CapturedStep:
    """``step`` as one launch.

    The first calls (`WARM_UP`) run as usual, the next one is captured, those after it are replays. For arguments of
    other shapes or dtypes, other numbers, another `config.train` and the like it does all that anew, and keeps both,
    but not more than `MOST_GRAPHS`. What the step returns, arrays or Variables in lists and dicts, is overwritten by
    the next call.

    Args:
        step: takes arrays (on the GPU, or to be sent there) and numbers; all else that it needs it finds for itself, in
            arrays that stay where they are.
        device: where it computes; None: where its arrays are.

    Raises `CaptureError`, with the line, for a step that reads the device or sends something to it.
    """

    def __init__(self, step: Callable[..., Any], device: Any = None, warm_up: int = WARM_UP) -> None:
        self.step, self.warm_up = step, warm_up
        self.device = None if device is None else get_device(device)
        self._plans: dict[Any, _Plan] = {}

    def __call__(self, *args: Any) -> Any:
        device = self.device or get_device_from_array(*args)
        if device.xp is np:
            raise CaptureError("cuda_graph: the step is on the CPU, and a graph needs a GPU; send its arrays there")
        args = tuple(getattr(x, "array", x) for x in args)
        for x in args:
            if not is_array(x) and not isinstance(x, (int, float, str, np.generic, type(None))):
                raise TypeError(
                    f"cuda_graph: an argument is a {type(x).__name__}; wanted arrays and numbers one by one"
                )
        modes = config.train, config.enable_backprop, config.debug, str(config.dtype), config.tf32
        key = (device, modes, *((x.shape, x.dtype.str) if is_array(x) else x for x in args))
        with device:
            plan = self._plans.pop(key, None)
            if plan is not None and plan.calls > self.warm_up and not plan.graph.tape.fits():
                plan.close()
                plan = None
            if plan is None:
                while len(self._plans) >= MOST_GRAPHS:
                    self._plans.pop(next(iter(self._plans))).close()
                plan = _Plan(device, args)
            try:
                result = plan(self.step, args, self.warm_up)
                self._plans[key] = plan  # the newest last
                return result
            except BaseException as error:
                plan.graph.tape = None  # without this circle the memory is free as soon as nobody looks at the error
                capturing = plan.calls == self.warm_up + 1 and isinstance(error, RuntimeError)
                if isinstance(error, CaptureError) or not (capturing or isinstance(error, _refusals(device.xp))):
                    raise
                text = f"cuda_graph: the step cannot be captured: {_place(error)}: {error}; {_CURE}"
                raise CaptureError(text) from error


def capture(step: Callable[..., Any], device: Any = None) -> CapturedStep:
    """Return ``step`` as a `CapturedStep`."""
    return CapturedStep(step, device)


def _refusals(xp: Any) -> tuple[type[Exception], ...]:
    """What only a step that is being recorded raises."""
    return (xp.RecordingError,) if xp.__name__ == cuda.EMULATED else ()


def _place(error: BaseException) -> str:
    """The last line of the user's own on the way to an error, else the library's, and what stands there."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if not any(Path(f.filename).is_relative_to(folder) for folder in _LIBRARY)]
    own = [f for f in own if not {"cupy", "cupy_backends", "cupyx", "numpy"} & set(Path(f.filename).parts)]
    inside = [f for f in frames if Path(f.filename).name not in ("cuda_graph.py", "arrays.py")]
    where = (own or inside or list(frames))[-1]
    return f"{where.filename} line {where.lineno}, `{where.line}`"


def _arrays(result: Any) -> Iterator[Any]:
    """The arrays in what a step returned."""
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, (list, tuple)):
        for part in result:
            yield from _arrays(part)
    elif is_array(getattr(result, "array", result)):
        yield getattr(result, "array", result)
