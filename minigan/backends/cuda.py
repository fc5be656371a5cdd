"""The one door to CuPy.

CuPy is imported when somebody first asks for the GPU, never by ``import minigan``. Where there is none, the names
still exist and say why the GPU cannot be used; the reason is found once and kept.
"""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy

EMULATED = "minigan.kernels.emulator.arrays"  #: the module of the arrays on the device @emulator


@functools.lru_cache(maxsize=1)
def _gpu_state() -> tuple[Any, str]:
    """Return ``(cupy, "")`` where a GPU can be used, else ``(None, reason)``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import cupy
    except ImportError as error:
        return None, f"CuPy is not installed ({error}); install minigan[cuda12] or minigan[cuda13]"
    except Exception as error:  # a broken CuPy can raise anything while it loads its libraries
        return None, f"CuPy is broken: {error!r}"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        major = cupy.cuda.runtime.driverGetVersion() // 1000  # 0 if there is none
        cure = f"; that is for CUDA {major}: install minigan[cuda{major}], or a new one" if major else ""
        return None, f"CuPy {cupy.__version__} found no usable driver: {error}{cure}"
    return (cupy, "") if count else (None, f"CuPy {cupy.__version__} found no CUDA device")


def unavailable_reason() -> str:
    """Say in a sentence why the GPU cannot be used; empty where it can."""
    return _gpu_state()[1]


def check_cuda_available() -> None:
    """Raise ``RuntimeError`` with the reason unless a GPU can be used."""
    if reason := unavailable_reason():
        raise RuntimeError(f"CUDA cannot be used: {reason}")


def memory_left() -> str:
    """Say how much memory the current GPU has left; empty where there is none."""
    if (cupy := _gpu_state()[0]) is None:
        return ""
    cupy.get_default_memory_pool().free_all_blocks()  # what CuPy keeps for later is free
    free, total = cupy.cuda.runtime.memGetInfo()
    return f"{free / 2**30:.1f} of the GPU's {total / 2**30:.1f} GB are free"


class _MissingCuPy:
    """Stands where ``cupy`` would: it exists, and fails only when it is used."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"cupy.{name} was used, but CUDA cannot be used: {unavailable_reason()}")


def __getattr__(name: str) -> Any:  # ``available`` and ``cupy`` are found out when first asked for
    if name == "available":
        return _gpu_state()[0] is not None
    if name == "cupy":
        return _gpu_state()[0] or _MissingCuPy()
    if name in ("ndarray", "Device", "Event", "Stream"):
        cupy = _gpu_state()[0]
        return _missing_class(name) if cupy is None else getattr(cupy if name == "ndarray" else cupy.cuda, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@functools.cache
def _missing_class(name: str) -> type:
    """Return a class that stands where CuPy's would: nothing is an instance of it, and it cannot be called."""

    def refuse(self: Any, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError(f"{name}: CUDA cannot be used: {unavailable_reason()}")

    return type(name, (), {"__init__": refuse, "__module__": __name__, "__doc__": "CuPy's, where there is a GPU."})


def _library(x: Any) -> Any:
    """The library of a GPU array, or of one of the emulator's, which stand for them; None for anything else."""
    for name in ("cupy", EMULATED):  # asked for only if somebody imported them
        if (library := sys.modules.get(name)) is not None and isinstance(x, getattr(library, "ndarray", ())):
            return library
    return None


def is_gpu_array(x: Any) -> bool:
    """Say whether ``x`` is a CuPy array, or one on the device @emulator; does not import CuPy."""
    return _library(x) is not None


def is_emulated(x: Any) -> bool:
    """Say whether ``x`` is an array on the device @emulator."""
    library = sys.modules.get(EMULATED)
    return library is not None and library is not sys.modules.get("cupy") and isinstance(x, library.ndarray)


def get_array_module(*args: Any) -> Any:
    """Return ``cupy`` if any argument (array or Variable) lives on a GPU, else ``numpy``."""
    if "cupy" in sys.modules or EMULATED in sys.modules:
        for x in args:
            if library := _library(getattr(x, "array", x)):
                return library
    return numpy


class DummyDeviceType:
    """The device of things on the CPU: every method works and does nothing."""

    id = -1

    def use(self) -> None:
        """Do nothing."""

    def synchronize(self) -> None:
        """Do nothing."""

    def __enter__(self) -> DummyDeviceType:
        return self

    def __exit__(self, *args: Any) -> None:
        pass

    def __int__(self) -> int:
        return -1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DummyDeviceType)

    def __hash__(self) -> int:
        return -1


DummyDevice = DummyDeviceType()


def get_device_from_id(device_id: int | None) -> Any:
    """Return the CUDA device of that number, or ``DummyDevice`` for a negative number or ``None``."""
    if device_id is None or device_id < 0:
        return DummyDevice
    check_cuda_available()
    return _gpu_state()[0].cuda.Device(int(device_id))


def get_device_from_array(*arrays: Any) -> Any:
    """Return the device of the first CuPy array among the arguments, else ``DummyDevice``."""
    for array in arrays:
        if is_gpu_array(array := getattr(array, "array", array)):
            return array.device
    return DummyDevice


def get_device(*args: Any) -> Any:
    """Return the device of a number, an array or a device object (old spelling; see ``minigan.get_device``)."""
    for arg in args:
        if isinstance(arg, (int, numpy.integer)) and not isinstance(arg, bool):
            return get_device_from_id(int(arg))
        if is_gpu_array(getattr(arg, "array", arg)):
            return get_device_from_array(arg)
        if hasattr(arg, "use"):
            return arg
    return DummyDevice


def _map_arrays(function: Any, value: Any, name: str) -> Any:
    if value is None or isinstance(value, (numpy.ndarray, numpy.generic, int, float)) or is_gpu_array(value):
        return None if value is None else function(value)
    if isinstance(value, (list, tuple)):
        return type(value)(_map_arrays(function, v, name) for v in value)
    if hasattr(value, "array"):
        raise TypeError(f"{name}: got a Variable; call its {name}() method, or pass variable.array")
    raise TypeError(f"{name}: got {type(value).__name__}; wanted an array, or a list or tuple of arrays")


def to_cpu(array: Any, stream: Any = None) -> Any:
    """Return ``array`` (or each array of a list or tuple) as a NumPy array; one that is NumPy already is not copied."""
    return _map_arrays(lambda a: a.get(stream) if is_gpu_array(a) else numpy.asarray(a), array, "to_cpu")


def to_gpu(array: Any, device: Any = None, stream: Any = None) -> Any:
    """Return ``array`` (or each array of a list or tuple) as a CuPy array on ``device`` (a number or ``None``).

    Raises ``RuntimeError`` with the reason where there is no GPU.
    """
    check_cuda_available()
    cupy = _gpu_state()[0]
    number = getattr(device, "id", device)
    with cupy.cuda.Device(number) if number is not None else cupy.cuda.Device(), stream or DummyDevice:
        return _map_arrays(cupy.asarray, array, "to_gpu")


def copy(array: Any, out: Any = None, out_device: Any = None, stream: Any = None) -> Any:
    """Return a copy of ``array`` on ``out_device`` (a number; None is its own), or in ``out``."""
    check_cuda_available()
    cupy = _gpu_state()[0]
    if out is not None:
        out[...] = to_gpu(array, out.device.id, stream)
        return out
    device = getattr(array, "device", cupy.cuda.Device()) if out_device is None else cupy.cuda.Device(out_device)
    with device, stream or DummyDevice:
        return cupy.array(array)


# -- kernels written in a script. They are compiled once for each text and device; without a GPU they cannot be made,
# -- but the modules that make them when they are called can be imported.

_memories: list[dict] = []


def memoize(for_each_device: bool = False) -> Callable[[Callable], Callable]:
    """Decorate a function so that it computes once for all equal arguments (and each GPU, if that is asked for)."""

    def decorate(function: Callable) -> Callable:
        memory: dict = {}
        _memories.append(memory)

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            cupy = _gpu_state()[0]
            device = cupy.cuda.Device().id if for_each_device and cupy else None
            key = (device, args, frozenset(kwargs.items()))
            if key not in memory:
                memory[key] = function(*args, **kwargs)
            return memory[key]

        return wrapper

    return decorate


def clear_memo() -> None:
    """Forget what all memoized functions know."""
    for memory in _memories:
        memory.clear()


@memoize()
def _kernel(kind: str, *args: Any, **kwargs: Any) -> Any:
    check_cuda_available()
    return getattr(_gpu_state()[0], kind)(*args, **kwargs)


def elementwise(in_params: str, out_params: str, operation: str, name: str, **kwargs: Any) -> Any:
    """Return a kernel that computes each element by the C++ text ``operation`` (``cupy.ElementwiseKernel``)."""
    return _kernel("ElementwiseKernel", in_params, out_params, operation, name, **kwargs)


def reduce(in_params: str, out_params: str, map_expr: str, reduce_expr: str, post_map_expr: str, identity: Any,
           name: str, **kwargs: Any) -> Any:  # fmt: skip
    """Return a kernel that maps and then reduces (``cupy.ReductionKernel``)."""
    return _kernel(
        "ReductionKernel", in_params, out_params, map_expr, reduce_expr, post_map_expr, identity, name, **kwargs
    )


def raw(code: str, name: str, *args: Any, **kwargs: Any) -> Any:
    """Return the CUDA kernel ``name`` of the text ``code`` (``cupy.RawKernel``)."""
    return _kernel("RawKernel", code, name, *args, **kwargs)


def fuse(*args: Any, **kwargs: Any) -> Any:
    """Decorate a function of arrays so that CuPy makes one kernel of it; without a GPU it stays as it is."""
    if cupy := _gpu_state()[0]:
        return cupy.fuse(*args, **kwargs)
    return args[0] if args else lambda function: function


# -- cuDNN, which is never used here


cudnn_enabled = False
_max_workspace_size = 8 * 1024 * 1024


def get_max_workspace_size() -> int:
    """Return what ``set_max_workspace_size`` set, in bytes; nothing depends on it."""
    return _max_workspace_size


def set_max_workspace_size(size: int) -> None:
    """Accept a size for cuDNN's working memory; nothing depends on it."""
    global _max_workspace_size
    _max_workspace_size = size


def should_use_cudnn(level: str, lowest_version: int = 0) -> bool:
    """Return False: cuDNN is never used here. Raises ``ValueError`` for a level that does not exist."""
    if level not in ("==always", ">=auto"):
        raise ValueError(f"should_use_cudnn: level is {level!r}; wanted '==always' or '>=auto'")
    return False


def should_use_cudnn_tensor_core(dtype: Any) -> bool:
    """Return False: cuDNN is never used here."""
    return False
