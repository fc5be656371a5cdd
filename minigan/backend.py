"""Which array library, which device: the only module that tells NumPy from CuPy.

``get_array_module(x)`` is how every function stays free of device code; ``get_device("@cupy:0")`` is how a user
names a device. ``CpuDevice`` and ``GpuDevice`` know how to send arrays to themselves.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy

from minigan.backends import cuda
from minigan.backends.cuda import get_array_module, is_gpu_array

__all__ = [
    "CpuDevice", "Device", "GpuDevice", "copyto", "get_array_module", "get_device", "get_device_from_array",
    "is_array", "using_device",
]  # fmt: skip


def is_array(x: Any) -> bool:
    """Say whether ``x`` is an array that the library computes with (NumPy's or CuPy's)."""
    return isinstance(x, numpy.ndarray) or is_gpu_array(x)


class Device(contextlib.AbstractContextManager):
    """A place where arrays live. Compares equal to Chainer's number for it (-1 is the CPU)."""

    name: str
    id: int
    xp: Any

    def send(self, value: Any) -> Any:
        """Return an array, or a list, tuple or dict of arrays, on this device."""
        if isinstance(value, dict):
            return {k: self.send(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self.send(v) for v in value)
        return self._send(value) if is_array(value) else value

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

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} ({self.name.lstrip('@')})>"


class CpuDevice(Device):
    """NumPy."""

    name = "@numpy"
    id = -1
    xp = numpy

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


def get_device(spec: Any = "@numpy") -> Device:
    """Return the device that ``spec`` names.

    ``"@numpy"``, ``"cpu"`` and ``-1`` are the CPU; ``"@cupy:0"``, ``"cuda:0"`` and ``0`` the first GPU; a ``Device`` is
    returned as it is, a CuPy device is wrapped. Raises ``ValueError`` for anything else and ``RuntimeError`` with the
    reason where there is no GPU.
    """
    if isinstance(spec, Device):
        return spec
    if isinstance(spec, cuda.DummyDeviceType):
        return CpuDevice()
    if hasattr(spec, "id") and hasattr(spec, "use"):
        return GpuDevice(spec)
    text = str(spec).lower()
    name, _, number = text.partition(":")
    if name in ("@numpy", "numpy", "cpu", "-1", "@native", "native"):
        return CpuDevice()
    if name in ("@cupy", "cupy", "cuda", "gpu") and (number or "0").isdigit():
        return GpuDevice(int(number or 0))
    if text.isdigit():
        return GpuDevice(int(text))
    raise ValueError(f'get_device: got {spec!r}; wanted "@numpy" (or -1) for the CPU, "@cupy:0" (or 0) for a GPU')


def get_device_from_array(*arrays: Any) -> Device:
    """Return the device of the first GPU array among the arguments, else the CPU."""
    for array in arrays:
        if is_gpu_array(array := getattr(array, "array", array)):
            return GpuDevice(array.device)
    return CpuDevice()


def using_device(spec: Any) -> Device:
    """Return the device as a context manager: new GPU arrays are made on it inside a ``with`` block."""
    return get_device(spec)


def copyto(dst: Any, src: Any) -> None:
    """Copy the elements of ``src`` into ``dst``, from device to device where they differ; ``dst`` keeps its dtype."""
    if is_gpu_array(dst):
        dst[...] = cuda.to_gpu(src, dst.device.id).astype(dst.dtype, copy=False)
    else:
        numpy.copyto(dst, cuda.to_cpu(src), casting="unsafe")
