"""What lives on a device and can be moved as a whole: links, and samplers with tables of their own."""

from __future__ import annotations

from typing import Any, TypeVar

from minigan.backend import CpuDevice, Device, get_device

Self = TypeVar("Self", bound="DeviceResident")


class DeviceResident:
    """Base of all that has arrays on a device.

    A subclass shows its arrays to a visitor: `self.x = visitor.visit_array(self.x)` in `device_resident_accept`.
    """

    _device: Device = CpuDevice()

    @property
    def device(self) -> Device:
        """The device that `to_device` was last given; the CPU at first."""
        return self._device

    @property
    def xp(self) -> Any:
        """The array module of the device: `numpy` or `cupy`."""
        return self._device.xp

    @property
    def _device_id(self) -> int | None:
        return None if isinstance(self._device, CpuDevice) else self._device.id

    def to_device(self: Self, device: Any) -> Self:
        """Move parameters, gradients and other arrays to `device`, here and below; returns the object."""
        self.device_resident_accept(_ToDevice(get_device(device), self))
        return self

    def to_cpu(self: Self) -> Self:
        """Move to NumPy."""
        return self.to_device("@numpy")

    def to_gpu(self: Self, device: Any = None) -> Self:
        """Move to CuPy, to the GPU of the number `device` (None: the first)."""
        return self.to_device(0 if device is None else device)

    def to_intel64(self: Self) -> Self:
        """As `to_cpu`: there is no iDeep here."""
        return self.to_cpu()

    def from_chx(self: Self) -> Self:
        """Nothing to do: there is no ChainerX here."""
        return self

    def device_resident_accept(self, visitor: DeviceResidentsVisitor) -> None:
        """Show `visitor` all that lives on a device: this object, then its arrays and Variables, then its parts."""
        visitor.visit_device_resident(self)


class DeviceResidentsVisitor:
    """Base of what goes through everything that lives on a device."""

    def visit_device_resident(self, device_resident: DeviceResident) -> None:
        """Called for each object."""
        raise NotImplementedError(f"{type(self).__name__} does not define visit_device_resident")

    def visit_array(self, arr: Any) -> Any:
        """Called for each array; what it returns takes its place."""
        raise NotImplementedError(f"{type(self).__name__} does not define visit_array")

    def visit_variable(self, param: Any) -> None:
        """Called for each Variable."""
        raise NotImplementedError(f"{type(self).__name__} does not define visit_variable")


class _ToDevice(DeviceResidentsVisitor):
    def __init__(self, device: Device, start: DeviceResident) -> None:
        self._device, self._start = device, start

    def visit_device_resident(self, device_resident: DeviceResident) -> None:
        device_resident._device = self._device
        # old scripts move arrays of their own in to_cpu and to_gpu, which must be called below another link, too
        name, *number = ("to_cpu",) if isinstance(self._device, CpuDevice) else ("to_gpu", self._device.id)
        own = getattr(type(device_resident), name) is not getattr(DeviceResident, name)
        if own and device_resident is not self._start:
            getattr(device_resident, name)(*number)

    def visit_array(self, arr: Any) -> Any:
        return self._device.send(arr)

    def visit_variable(self, param: Any) -> None:
        param.to_device(self._device)
