"""Which array library, which device: the only module that tells NumPy from CuPy.

``get_array_module(x)`` is how every function stays free of device code; ``get_device("@cupy:0")`` is how a user
names a device. ``CpuDevice`` and ``GpuDevice`` know how to send arrays to themselves.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import platform
import sys
from typing import Any

import numpy

from minigan._version import __version__
from minigan.backends import cuda
from minigan.backends.cuda import get_array_module, is_gpu_array

__all__ = [
    "ChainerxDevice", "CpuDevice", "Device", "GpuDevice", "Intel64Device", "copyto", "from_chx", "get_array_module",
    "get_array_types", "get_cpu_array_types", "get_device", "get_device_from_array", "is_array", "is_arrays_compatible",
    "print_runtime_info", "to_chx", "using_device",
]  # fmt: skip


def is_array(x: Any) -> bool:
    """Say whether ``x`` is an array that the library computes with (NumPy's or CuPy's)."""
    return isinstance(x, numpy.ndarray) or is_gpu_array(x)


class Device(contextlib.AbstractContextManager):
    """A place where arrays live. Compares equal to Chainer's number for it (-1 is the CPU)."""

    name: str
    id: int
    xp: Any

    @staticmethod
    def from_array(array: Any) -> Device | None:
        """Return the device of an array if it is one of this class, else None."""
        return None

    @property
    def supported_array_types(self) -> tuple[type, ...]:
        """The classes of arrays that live on such a device."""
        return (self.xp.ndarray,)

    def is_array_supported(self, array: Any) -> bool:
        """Say whether ``array`` lives on this device."""
        return isinstance(array, self.supported_array_types) and get_device_from_array(array) == self

    def create_context(self) -> Device:
        """Return a context manager that makes this the current device."""
        return self

    def send_array(self, array: Any) -> Any:
        """Return one array on this device."""
        return self._send(array)

    def send(self, value: Any) -> Any:
        """Return an array or a NumPy number, or a list, tuple or dict of them, as arrays on this device.

        Anything else stays as it is. Raises ``TypeError`` for a Variable: its method ``to_device`` moves it.
        """
        if isinstance(value, dict):
            return {k: self.send(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self.send(v) for v in value)
        if hasattr(value, "array"):
            raise TypeError(f"{self!r}.send: got a {type(value).__name__}; call its to_device, or pass variable.array")
        return self._send(value) if is_array(value) or isinstance(value, numpy.generic) else value

    def _send(self, array: Any) -> Any:
        raise NotImplementedError

    def use(self) -> None:
        """Make this the device on which new GPU arrays are made."""

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *args: Any) -> None:
        pass

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Device):
            return self.name == other.name
        return isinstance(other, int) and self.id == other

    def __hash__(self) -> int:
        return hash(self.name)

    def __int__(self) -> int:
        return self.id

    def __reduce__(self) -> Any:  # copies and pickles of a link carry the name, not the module behind it
        return get_device, (self.name,)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} ({self.name.lstrip('@')})>"


class CpuDevice(Device):
    """NumPy."""

    name = "@numpy"
    id = -1
    xp = numpy

    @staticmethod
    def from_array(array: Any) -> Device | None:
        """Return the CPU for a NumPy array, else None."""
        return CpuDevice() if isinstance(array, numpy.ndarray) else None

    def _send(self, array: Any) -> Any:
        return cuda.to_cpu(array)


class GpuDevice(Device):
    """One CUDA device, by its number. Raises ``RuntimeError`` with the reason where there is no GPU."""

    def __init__(self, device: Any = 0) -> None:
        cuda.check_cuda_available()
        self.id = int(getattr(device, "id", device))
        self.name = f"@cupy:{self.id}"
        self.xp = cuda.cupy
        count = self.xp.cuda.runtime.getDeviceCount()
        if not 0 <= self.id < count:
            raise ValueError(f"GpuDevice: there is no CUDA device {self.id}; this machine has 0 to {count - 1}")
        self.device = self.xp.cuda.Device(self.id)

    @staticmethod
    def from_array(array: Any) -> Device | None:
        """Return the device of a CuPy array, None for any other."""
        return GpuDevice(array.device) if is_gpu_array(array) and not cuda.is_emulated(array) else None

    @staticmethod
    def from_device_id(device_id: int) -> GpuDevice:
        """Return the device of that number."""
        return GpuDevice(device_id)

    def _send(self, array: Any) -> Any:
        return cuda.to_gpu(array, self.id)

    def use(self) -> None:
        self.device.use()

    def __enter__(self) -> GpuDevice:
        self.device.__enter__()
        return self

    def __exit__(self, *args: Any) -> None:
        self.device.__exit__(*args)


@functools.cache
def _emulated_library() -> Any:
    if reason := importlib.import_module(cuda.EMULATED.rpartition(".")[0]).toolchain():
        raise RuntimeError(f"the device @emulator cannot be used: {reason}")
    return importlib.import_module(cuda.EMULATED)


class EmulatorDevice(Device):
    """A GPU that is none, for tests: functions take their way for GPUs, kernels run in the emulator, on the processor.

    Its arrays are as strict as CuPy's: nothing is converted unasked. Raises ``RuntimeError`` without a C++ compiler.
    """

    name = "@emulator"
    id = 0

    def __init__(self) -> None:
        self.xp = _emulated_library()

    @staticmethod
    def from_array(array: Any) -> Device | None:
        """Return the emulator for one of its arrays, None for any other."""
        return EmulatorDevice() if cuda.is_emulated(array) else None

    def _send(self, array: Any) -> Any:
        return array if cuda.is_emulated(array) else self.xp.asarray(cuda.to_cpu(array))


class _Absent(Device):
    """A device that Chainer has and that does not exist here."""

    def __init__(self, *args: Any) -> None:
        raise RuntimeError(f"{type(self).__name__}: there is no such device here; use '@numpy' or '@cupy:0'")


class Intel64Device(_Absent):
    """iDeep's device: cannot be made."""


class ChainerxDevice(_Absent):
    """ChainerX's device: cannot be made."""


def to_chx(array: Any) -> Any:
    """There is no ChainerX here: raises ``RuntimeError``."""
    raise RuntimeError("to_chx: there is no ChainerX here; use get_device('@cupy:0').send(array) for a GPU")


def from_chx(array: Any) -> Any:
    """Return ``array``: none is ChainerX's."""
    return array


def get_device(spec: Any = "@numpy") -> Device:
    """Return the device that ``spec`` names.

    ``"@numpy"``, ``"cpu"`` and ``-1`` are the CPU; ``"@cupy:0"``, ``"cuda:0"`` and ``0`` the first GPU; ``"@emulator"``
    runs the GPU's kernels on the CPU, for tests; a ``Device`` is returned as it is, a CuPy device is wrapped. Raises
    ``ValueError`` for other strings and numbers, ``TypeError`` for anything else, and ``RuntimeError`` with the reason
    where there is no GPU.
    """
    if isinstance(spec, Device):
        return spec
    if isinstance(spec, cuda.DummyDeviceType):
        return CpuDevice()
    if hasattr(spec, "id") and hasattr(spec, "use"):
        return GpuDevice(spec)
    if not isinstance(spec, (str, int, numpy.integer)) or isinstance(spec, bool):
        raise TypeError(f"get_device: got a {type(spec).__name__}; wanted a string, a number or a Device")
    text = str(spec).lower()
    name, _, number = text.partition(":")
    if name == "@intel64":
        return Intel64Device()
    if text in ("@numpy", "numpy", "cpu", "-1", "@native", "native", "native:0"):
        return CpuDevice()
    if text == EmulatorDevice.name:
        return EmulatorDevice()
    if name in ("@cupy", "cupy", "cuda", "gpu") and (number or "0").isdigit():
        return GpuDevice(int(number or 0))
    if text.isdigit():
        return GpuDevice(int(text))
    raise ValueError(f'get_device: got {spec!r}; wanted "@numpy" (or -1) for the CPU, "@cupy:0" (or 0) for a GPU')


def get_device_from_array(*arrays: Any) -> Device:
    """Return the device of the first GPU array among the arguments, else the CPU."""
    for array in arrays:
        if is_gpu_array(array := getattr(array, "array", array)):
            return EmulatorDevice() if cuda.is_emulated(array) else GpuDevice(array.device)
    return CpuDevice()


def using_device(spec: Any) -> Device:
    """Return the device as a context manager: new GPU arrays are made on it inside a ``with`` block."""
    return get_device(spec)


def copyto(dst: Any, src: Any) -> None:
    """Copy the elements of ``src`` into ``dst``, from device to device where they differ; ``dst`` keeps its dtype.

    Raises ``TypeError`` unless ``dst`` is an array of the same kind of numbers.
    """
    if not is_array(dst):
        raise TypeError(f"copyto: dst is a {type(dst).__name__}; wanted an array")
    if is_gpu_array(dst):
        dst[...] = get_device_from_array(dst).send_array(src).astype(dst.dtype, copy=False)
    else:
        numpy.copyto(dst, cuda.to_cpu(src), casting="same_kind")


def get_cpu_array_types() -> tuple[type, ...]:
    """Return the classes of arrays on the CPU."""
    return (numpy.ndarray,)


def get_array_types() -> tuple[type, ...]:
    """Return the classes of arrays that the library computes with."""
    return (numpy.ndarray, cuda.ndarray) if cuda.available else (numpy.ndarray,)


def is_arrays_compatible(arrays: Any) -> bool:
    """Say whether all are arrays of one library; None goes with everything."""
    arrays = [x for x in arrays if x is not None]
    return all(isinstance(x, numpy.ndarray) for x in arrays) or all(is_gpu_array(x) for x in arrays)


def print_runtime_info(out: Any = None) -> None:
    """Print platform and versions, for a bug report."""
    reason = cuda.unavailable_reason()
    for name, version in (
        ("Platform", platform.platform()), ("minigan", __version__), ("NumPy", numpy.__version__),
        ("CuPy", f"not available: {reason}" if reason else cuda.cupy.__version__),
    ):  # fmt: skip
        print(f"{name}: {version}", file=out or sys.stdout)
