"""Matrix products on a GPU: cuBLAS through ctypes, with a handle and a workspace of our own.

CuPy refuses its own calls of cuBLAS while a graph is captured, copies what is merely transposed, and takes a shared
matrix in a stack by pointers. Here a whole training step can be captured, a transposed or sliced matrix is a flag and a
leading dimension, and one that all products of a stack share has stride 0. Halves are summed in float32. cuBLAS counts
columns first: what lies in memory as C = A B by rows is C^T = B^T A^T to it, so the operands change places and nothing
else does.
``MINIGAN_CUBLAS=0`` in the environment goes back to ``cupy.matmul``; the emulator and NumPy have their own.
"""

from __future__ import annotations

import ctypes
import importlib.util
import math
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minigan.kernels.launch import address, on_device_of
from minigan.kernels.workspace import array_module

enabled = os.environ.get("MINIGAN_CUBLAS", "1") != "0"
allows_tf32: Callable[[], bool] = bool  #: asked at each product of float32; the library's `config.tf32` is put here

MOST = 2**31 - 1  # sizes are C's int
WORKSPACE_HOPPER, WORKSPACE = 32 << 20, 4 << 20  # bytes, as NVIDIA advises: compute capability 9.0 and above, below
_COMPUTE_32F, _COMPUTE_64F, _COMPUTE_32F_FAST_TF32, _DEFAULT_ALGORITHM, _HOST_POINTERS = 68, 70, 77, -1, 0
_NO_SUMS_OF_HALVES = 16  # not even of a few parts of a long sum
_HALF, _FLOAT = np.dtype("f2"), np.dtype("f4")
_TYPES = {np.dtype("f4"): (0, _COMPUTE_32F), np.dtype("f8"): (1, _COMPUTE_64F), np.dtype("f2"): (2, _COMPUTE_32F)}
# alpha and beta, read on the host at the call; doubles for float64, floats for all else
_NUMBERS = {c: (t(0), t(1)) for c, t in {68: ctypes.c_float, 70: ctypes.c_double, 77: ctypes.c_float}.items()}
_ADDRESSES = {c: [*map(ctypes.addressof, numbers)] for c, numbers in _NUMBERS.items()}  # of 0 and of 1
_STATUS = {
    1: "cuBLAS cannot begin; does the driver fit the CUDA version?", 3: "cuBLAS got no memory; use a smaller batch",
    7: "an argument is wrong",
    8: "this GPU lacks what was asked for", 11: "memory cannot be mapped", 13: "the kernel failed on the GPU",
    14: "an internal error of cuBLAS", 15: "this is not supported by cuBLAS", 16: "the licence was refused",
}  # fmt: skip
_int, _long, _pointer = ctypes.c_int, ctypes.c_longlong, ctypes.c_void_p
_PROTOTYPES: dict[str, list[Any]] = {
    "cublasCreate_v2": [_pointer],
    "cublasDestroy_v2": [_pointer],
    "cublasSetPointerMode_v2": [_pointer, _int],
    "cublasSetMathMode": [_pointer, _int],
    "cublasSetStream_v2": [_pointer, _pointer],
    "cublasSetWorkspace_v2": [_pointer, _pointer, ctypes.c_size_t],
    "cublasGemmEx": [_pointer, *[_int] * 5, _pointer, *[_pointer, _int, _int] * 2, _pointer, _pointer, *[_int] * 4],
    "cublasGemmStridedBatchedEx": [
        _pointer, *[_int] * 5, _pointer, *[_pointer, _int, _int, _long] * 2, _pointer, _pointer, _int, _int, _long,
        _int, _int, _int,
    ],
}  # fmt: skip


class CublasError(RuntimeError):
    """What cuBLAS answered when it was not success."""


class _Layout(NamedTuple):
    """How a stack of matrices lies in memory, as cuBLAS reads it, column by column."""

    transposed: bool
    lead: int  #: elements from one column to the next
    stride: int  #: elements from one matrix to the next, 0 for one that all share


def product(a: Any, b: Any, out: Any = None, add: bool = False) -> Any:
    """a @ b as ``numpy.matmul`` does it: vectors are allowed, the axes before the last two broadcast.

    ``out``, of the result's shape and dtype, is filled and returned; with ``add``, added to. Of halves it may be
    float32. Runs on the device of a. Raises ``ValueError`` for shapes that do not fit and `CublasError` with cuBLAS's
    reason.
    """
    xp = array_module(a)
    with on_device_of(xp, a):
        return _product(xp, a, b, out, add)


def _product(xp: Any, a: Any, b: Any, out: Any, add: bool) -> Any:
    cublas = handle(xp)
    into = a.dtype if out is None else out.dtype
    fits = a.dtype == b.dtype and (into == a.dtype or (a.dtype, into) == (_HALF, _FLOAT))
    if cublas is None or a.dtype not in _TYPES or not fits:
        return _fallback(xp, a, b, out, add)
    if a.ndim < 2 or b.ndim < 2:
        return _of_vectors(a, b, out, add)
    if a.shape[-1] != b.shape[-2]:
        raise ValueError(f"product: shapes {a.shape} and {b.shape} do not fit; wanted (..., M, K) and (..., K, N)")
    batch, other = a.shape[:-2], b.shape[:-2]
    if batch != other:
        batch = np.broadcast_shapes(batch, other)
    shape = (*batch, a.shape[-2], b.shape[-1])
    if out is None:
        out = xp.empty(shape, a.dtype)
    elif out.shape != shape:
        raise ValueError(f"product: out has shape {out.shape}; wanted {shape}")
    if 0 in (*shape, a.shape[-1]):
        return out if add else _put(out, 0, add)
    if max(*shape[-2:], a.shape[-1], math.prod(batch)) > MOST:
        return _fallback(xp, a, b, out, add)
    target = _layout(out.shape, out.strides, out.itemsize, batch)
    if target is None:  # its rows lie apart: a product of its own, then a copy
        return _put(out, product(a, b, xp.empty(shape, out.dtype)), add)
    if target.transposed:
        a, b = b.swapaxes(-1, -2), a.swapaxes(-1, -2)
    sizes = b.shape[-1], a.shape[-2], a.shape[-1]
    cublas.multiply(_readable(xp, b, batch), _readable(xp, a, batch), (out, target), sizes, math.prod(batch), add)
    return out


def unavailable_reason() -> str:
    """Why `product` goes to ``cupy.matmul``, as a sentence; empty where it calls cuBLAS itself."""
    return _library()[1] if enabled else "MINIGAN_CUBLAS=0 is set in the environment"


def _put(out: Any, result: Any, add: bool) -> Any:
    if add:
        out += result
    else:
        out[...] = result
    return out


def _fallback(xp: Any, a: Any, b: Any, out: Any, add: bool) -> Any:
    if enabled and hasattr(xp, "gemm"):  # the emulator's stands for cuBLAS
        return xp.gemm(a, b, out, add)
    dtype = a.dtype if out is None else out.dtype
    if half := a.dtype == b.dtype == _HALF:
        a, b = a.astype(np.float32), b.astype(np.float32)
    if add or half and out is not None:
        return _put(out, _fallback(xp, a, b, None, False), add)
    if a.ndim == b.ndim == 3 and len(a) == len(b) == 1:  # CuPy multiplies two matrices without detours
        y = xp.matmul(a[0], b[0], out=None if out is None else out[0])[None]
    else:
        y = xp.matmul(a, b, out=out)
    return y.astype(dtype) if half else y


def _of_vectors(a: Any, b: Any, out: Any, add: bool) -> Any:
    if not a.ndim or not b.ndim:
        raise ValueError(f"product: shapes {a.shape} and {b.shape}; wanted one axis or more in each; use * for numbers")
    y = product(a[None] if a.ndim < 2 else a, b[:, None] if b.ndim < 2 else b)
    y = y[..., 0] if b.ndim < 2 else y
    y = y[..., 0] if a.ndim < 2 and b.ndim < 2 else y[..., 0, :] if a.ndim < 2 else y
    return y if out is None else _put(out, y, add)


@lru_cache(maxsize=4096)  # a step has the same matrices every time
def _layout(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int, batch: tuple[int, ...]) -> _Layout | None:
    """How cuBLAS reads (..., R, C), the stack broadcast to ``batch``; None if it cannot without a copy."""
    if any(s % itemsize for s in strides):
        return None
    *steps, row, column = (s // itemsize for s in strides)
    rows, columns = shape[-2:]
    stride = _stack_stride(shape[:-2], steps, batch)
    if stride is None:
        return None
    ways = (False, column, row, columns, rows), (True, row, column, rows, columns)
    for transposed, near, far, width, count in ways:
        lead = width if count == 1 else far  # the step to what is not there can be anything
        if (near == 1 or width == 1) and width <= lead <= MOST:
            return _Layout(transposed, lead, stride)
    return None


def _stack_stride(shape: tuple[int, ...], steps: list[int], batch: tuple[int, ...]) -> int | None:
    """The one step with which all of ``batch``, in its order, walks over x; None if there is no such step."""
    stride, inner = None, 1  # inner: matrices in the axes behind
    missing = len(batch) - len(shape)
    for axis in reversed(range(len(batch))):
        n = batch[axis]
        if n == 1:
            continue
        step = steps[axis - missing] if axis >= missing and shape[axis - missing] > 1 else 0
        if stride is None:
            stride = step
        if step != stride * inner or step < 0:
            return None
        inner *= n
    return stride or 0


def _readable(xp: Any, x: Any, batch: tuple[int, ...]) -> tuple[Any, _Layout]:
    """x as it lies if cuBLAS can read that, else a copy; a stack of which x shares some axes is written out."""
    if layout := _layout(x.shape, x.strides, x.itemsize, batch):
        return x, layout
    if x.flags.c_contiguous:
        x = xp.broadcast_to(x, (*batch, *x.shape[-2:]))
    return _readable(xp, xp.ascontiguousarray(x), batch)


class Cublas:
    """A handle of cuBLAS for one thread and ``device``; ``allocate(bytes)`` gives memory that lives while it is held.

    Every stream has a workspace of its own: a captured graph keeps the address, and must therefore hold this object;
    and products on two streams may run at the same time. When nobody holds it any more, the thread having ended, the
    handle is destroyed.
    """

    def __init__(self, library: Any, device: Any, allocate: Callable[[int], Any], workspace: int) -> None:
        self._library, self._device, self._allocate, self._bytes = library, device, allocate, workspace
        self._handle = ctypes.c_void_p()
        for name, types in _PROTOTYPES.items():
            getattr(library, name).argtypes = types
        self._stream: int | None = None
        self._workspaces: dict[int, Any] = {}
        self._call("cublasCreate_v2", ctypes.byref(self._handle))
        self._call("cublasSetPointerMode_v2", self._handle, _HOST_POINTERS)
        self._call("cublasSetMathMode", self._handle, _NO_SUMS_OF_HALVES)

    def __del__(self) -> None:
        if self._handle and not sys.is_finalizing():  # CUDA itself may be gone by then
            with self._device:
                self._library.cublasDestroy_v2(self._handle)

    def use_stream(self, stream: int) -> Cublas:
        """Launch on that stream, an address; cuBLAS then forgets the workspace, so that it is named anew."""
        if stream != self._stream:
            if stream not in self._workspaces:
                self._workspaces[stream] = self._allocate(self._bytes)
            self._stream = None  # should one of the two calls fail
            self._call("cublasSetStream_v2", self._handle, stream)
            self._call("cublasSetWorkspace_v2", self._handle, int(self._workspaces[stream].ptr), self._bytes)
            self._stream = stream
        return self

    def multiply(
        self, a: tuple[Any, _Layout], b: tuple[Any, _Layout], c: tuple[Any, _Layout], sizes: tuple[int, int, int],
        count: int, add: bool,
    ) -> None:  # fmt: skip
        """c (m, n) = a (m, k) b (k, n), or that added to c, in cuBLAS's order, ``count`` times; sizes are m, n, k."""
        kind, compute = _TYPES[a[0].dtype]
        if compute == _COMPUTE_32F and kind == 0 and allows_tf32():
            compute = _COMPUTE_32F_FAST_TF32
        zero, one = _ADDRESSES[compute]
        A, B, C = [[address(x), _TYPES[x.dtype][0], layout.lead] for x, layout in (a, b, c)]
        name, counts = "cublasGemmEx", []
        if count > 1:
            name, counts = "cublasGemmStridedBatchedEx", [count]
            for stack, (_, layout) in zip((A, B, C), (a, b, c)):
                stack.append(layout.stride)
        self._call(
            name, self._handle, a[1].transposed, b[1].transposed, *sizes, one, *A, *B, one if add else zero, *C,
            *counts, compute, _DEFAULT_ALGORITHM,
        )  # fmt: skip

    def _call(self, name: str, *args: Any) -> None:
        if status := getattr(self._library, name)(*args):
            raise CublasError(f"{name}: {_STATUS.get(status, 'an unknown error')} (status {status})")


_local = threading.local()


def handle(xp: Any) -> Cublas | None:
    """The handle of this thread for the current device and stream; None where cuBLAS is not to be used."""
    if xp.__name__ != "cupy" or unavailable_reason():
        return None
    handles = _local.__dict__.setdefault("handles", {})
    number = xp.cuda.runtime.getDevice()
    if number not in handles:
        device = xp.cuda.Device(number)
        workspace = WORKSPACE_HOPPER if int(device.compute_capability) >= 90 else WORKSPACE
        handles[number] = Cublas(_library()[0], device, xp.cuda.alloc, workspace)
    return handles[number].use_stream(xp.cuda.get_current_stream().ptr)


@cache
def _library() -> tuple[Any, str]:
    """cuBLAS of the CUDA that CuPy runs, and an empty string; or None and the reason."""
    major = importlib.import_module("cupy").cuda.runtime.runtimeGetVersion() // 1000
    name = f"libcublas.so.{major}"
    with suppress(Exception):  # there may be no pathfinder; what it loads is what CuPy does, or of another CUDA
        importlib.import_module("cuda.pathfinder").load_nvidia_dynamic_lib("cublas")
    spec = importlib.util.find_spec("nvidia")  # NVIDIA's packages; those of another CUDA may be there, too, for PyTorch
    folders = spec.submodule_search_locations or () if spec else ()
    places = [str(path) for folder in folders for path in Path(folder).glob(f"*/lib/{name}")]
    for place in [name, *places]:  # the name alone is what is loaded already, else the system's
        try:
            return ctypes.CDLL(place), ""
        except OSError as error:
            reason = error
    return None, f"cuBLAS for CuPy's CUDA {major} was not found ({reason}); install minigan[cuda{major}]"
