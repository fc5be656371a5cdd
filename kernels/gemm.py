"""Matrix products on a GPU: cuBLAS through ctypes, with a handle and a workspace of our own.

CuPy refuses its own calls of cuBLAS while a graph is captured, copies what is merely transposed, and takes a shared
matrix in a stack by pointers. Here a whole training step can be captured, a transposed or sliced matrix is a flag and a
leading dimension, and one that all products of a stack share has stride 0. cuBLAS counts columns first: what lies in
memory as C = A B by rows is C^T = B^T A^T to it, so the operands change places and nothing else does.
``MINIGAN_CUBLAS=0`` in the environment goes back to ``cupy.matmul``; the emulator and NumPy have their own.
"""

from __future__ import annotations

import ctypes
import importlib
import math
import os
import threading
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from minigan.kernels.launch import address
from minigan.kernels.workspace import array_module

enabled = os.environ.get("MINIGAN_CUBLAS", "1") != "0"
allows_tf32: Callable[[], bool] = bool  #: asked at each product of float32; the library's `config.tf32` is put here

MOST = 2**31 - 1  # sizes are C's int
WORKSPACE_HOPPER, WORKSPACE = 32 << 20, 4 << 20  # bytes, as NVIDIA advises: compute capability 9.0 and above, below
_COMPUTE_32F, _COMPUTE_64F, _COMPUTE_32F_FAST_TF32, _DEFAULT_ALGORITHM, _HOST_POINTERS = 68, 70, 77, -1, 0
_TYPES = {np.dtype("f4"): (0, _COMPUTE_32F), np.dtype("f8"): (1, _COMPUTE_64F), np.dtype("f2"): (2, _COMPUTE_32F)}
# alpha and beta, read on the host at the call; doubles for float64, floats for all else
_ONE = {_COMPUTE_64F: ctypes.c_double(1), _COMPUTE_32F: ctypes.c_float(1), _COMPUTE_32F_FAST_TF32: ctypes.c_float(1)}
_ZERO = {_COMPUTE_64F: ctypes.c_double(0), _COMPUTE_32F: ctypes.c_float(0), _COMPUTE_32F_FAST_TF32: ctypes.c_float(0)}
_STATUS = {
    1: "cuBLAS cannot begin; does the driver fit the CUDA version?", 3: "cuBLAS got no memory; use a smaller batch",
    7: "an argument is wrong",
    8: "this GPU lacks what was asked for", 11: "memory cannot be mapped", 13: "the kernel failed on the GPU",
    14: "an internal error of cuBLAS", 15: "this is not supported by cuBLAS", 16: "the licence was refused",
}  # fmt: skip
_int, _long, _pointer = ctypes.c_int, ctypes.c_longlong, ctypes.c_void_p
_PROTOTYPES: dict[str, list[Any]] = {
    "cublasCreate_v2": [_pointer],
    "cublasSetPointerMode_v2": [_pointer, _int],
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


class _Matrix(NamedTuple):
    """A stack of matrices as cuBLAS reads it, column by column."""

    array: Any
    transposed: bool
    lead: int  #: elements from one column to the next
    stride: int  #: elements from one matrix to the next, 0 for one that all share


def product(a: Any, b: Any, out: Any = None) -> Any:
    """a @ b as ``numpy.matmul`` does it: vectors are allowed, the axes before the last two broadcast.

    ``out``, of the result's shape and dtype, is filled and returned. Raises ``ValueError`` for shapes that do not fit
    and `CublasError` with cuBLAS's reason.
    """
    xp = array_module(a)
    cublas = _current(xp, a)
    if cublas is None or a.dtype not in _TYPES or not a.dtype == b.dtype == (a if out is None else out).dtype:
        return _fallback(xp, a, b, out)
    if a.ndim < 2 or b.ndim < 2:
        return _of_vectors(a, b, out)
    if a.shape[-1] != b.shape[-2]:
        raise ValueError(f"product: shapes {a.shape} and {b.shape} do not fit; wanted (..., M, K) and (..., K, N)")
    batch = () if a.ndim == b.ndim == 2 else np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    shape = (*batch, a.shape[-2], b.shape[-1])
    if out is None:
        out = xp.empty(shape, a.dtype)
    elif out.shape != shape:
        raise ValueError(f"product: out has shape {out.shape}; wanted {shape}")
    if 0 in (*shape, a.shape[-1]):
        out[...] = 0
        return out
    if max(*shape[-2:], a.shape[-1], math.prod(batch)) > MOST:
        return _fallback(xp, a, b, out)
    target = _matrix(out, batch)
    if target is None:  # its rows lie apart: a product of its own, then a copy
        out[...] = product(a, b)
        return out
    if target.transposed:
        a, b = b.swapaxes(-1, -2), a.swapaxes(-1, -2)
    sizes = b.shape[-1], a.shape[-2], a.shape[-1]
    cublas.multiply(_readable(xp, b, batch), _readable(xp, a, batch), target, sizes, math.prod(batch))
    return out


def unavailable_reason() -> str:
    """Why `product` goes to ``cupy.matmul``, as a sentence; empty where it calls cuBLAS itself."""
    return _library()[1] if enabled else "MINIGAN_CUBLAS=0 is set in the environment"


def _fallback(xp: Any, a: Any, b: Any, out: Any) -> Any:
    multiply = getattr(xp, "gemm", xp.matmul) if enabled else xp.matmul  # the emulator's stands for cuBLAS
    if a.ndim == b.ndim == 3 and len(a) == len(b) == 1:  # CuPy multiplies two matrices without detours
        return multiply(a[0], b[0], out=None if out is None else out[0])[None]
    return multiply(a, b, out=out)


def _of_vectors(a: Any, b: Any, out: Any) -> Any:
    if not a.ndim or not b.ndim:
        raise ValueError(f"product: shapes {a.shape} and {b.shape}; wanted one axis or more in each; use * for numbers")
    y = product(a[None] if a.ndim < 2 else a, b[:, None] if b.ndim < 2 else b)
    y = y[..., 0] if b.ndim < 2 else y
    y = y[..., 0] if a.ndim < 2 and b.ndim < 2 else y[..., 0, :] if a.ndim < 2 else y
    if out is None:
        return y
    out[...] = y
    return out


def _matrix(x: Any, batch: tuple[int, ...]) -> _Matrix | None:
    """How cuBLAS reads x (..., R, C), its stack broadcast to ``batch``; None if it cannot without a copy."""
    if any(s % x.itemsize for s in x.strides):
        return None
    *steps, row, column = (s // x.itemsize for s in x.strides)
    rows, columns = x.shape[-2:]
    stride = _stack_stride(x.shape[:-2], steps, batch)
    if stride is None:
        return None
    ways = (False, column, row, columns, rows), (True, row, column, rows, columns)
    for transposed, near, far, width, count in ways:
        lead = width if count == 1 else far  # the step to what is not there can be anything
        if (near == 1 or width == 1) and width <= lead <= MOST:
            return _Matrix(x, transposed, lead, stride)
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


def _readable(xp: Any, x: Any, batch: tuple[int, ...]) -> _Matrix:
    """x as it lies if cuBLAS can read that, else a copy; a stack of which x shares some axes is written out."""
    found = _matrix(x, batch) or _matrix(xp.ascontiguousarray(x), batch)
    return found or _readable(xp, xp.ascontiguousarray(xp.broadcast_to(x, (*batch, *x.shape[-2:]))), batch)


class Cublas:
    """A handle of cuBLAS for one thread and device; ``allocate(bytes)`` gives memory that lives as long as it is held.

    Every stream has a workspace of its own: a captured graph keeps the address, and products on two streams may run at
    the same time.
    """

    def __init__(self, library: Any, allocate: Callable[[int], Any], workspace: int) -> None:
        self._library, self._allocate, self._bytes = library, allocate, workspace
        for name, types in _PROTOTYPES.items():
            getattr(library, name).argtypes = types
        self._handle = ctypes.c_void_p()
        self._stream: int | None = None
        self._workspaces: dict[int, Any] = {}
        self._call("cublasCreate_v2", ctypes.byref(self._handle))
        self._call("cublasSetPointerMode_v2", self._handle, _HOST_POINTERS)

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

    def multiply(self, a: _Matrix, b: _Matrix, c: _Matrix, sizes: tuple[int, int, int], count: int) -> None:
        """c (m, n) = a (m, k) b (k, n) in cuBLAS's order, ``count`` times; sizes are m, n, k."""
        kind, compute = _TYPES[c.array.dtype]
        if compute == _COMPUTE_32F and kind == 0 and allows_tf32():
            compute = _COMPUTE_32F_FAST_TF32
        one, zero = ctypes.addressof(_ONE[compute]), ctypes.addressof(_ZERO[compute])
        A, B, C = ((address(x.array), kind, x.lead) for x in (a, b, c))
        head = (self._handle, int(a.transposed), int(b.transposed), *sizes, one)
        tail = (compute, _DEFAULT_ALGORITHM)
        if count == 1:
            self._call("cublasGemmEx", *head, *A, *B, zero, *C, *tail)
        else:
            stacks = (*A, a.stride, *B, b.stride, zero, *C, c.stride)
            self._call("cublasGemmStridedBatchedEx", *head, *stacks, count, *tail)

    def _call(self, name: str, *args: Any) -> None:
        if status := getattr(self._library, name)(*args):
            raise CublasError(f"{name}: {_STATUS.get(status, 'an unknown error')} (status {status})")


_local = threading.local()


def _current(xp: Any, a: Any) -> Cublas | None:
    """The handle of this thread for the current device and stream; None where cuBLAS is not to be used."""
    if xp.__name__ != "cupy" or unavailable_reason():
        return None
    device = a.data.device_id
    if device != xp.cuda.runtime.getDevice():
        return None
    handles = _local.__dict__.setdefault("handles", {})
    if device not in handles:
        hopper = int(xp.cuda.Device(device).compute_capability) >= 90
        handles[device] = Cublas(_library()[0], xp.cuda.alloc, WORKSPACE_HOPPER if hopper else WORKSPACE)
    return handles[device].use_stream(xp.cuda.get_current_stream().ptr)


@cache
def _library() -> tuple[Any, str]:
    """The library, the one that CuPy would load or the system's, and an empty string; or None and the reason."""
    try:
        pathfinder = importlib.import_module("cuda.pathfinder")
        return ctypes.CDLL(pathfinder.load_nvidia_dynamic_lib("cublas").abs_path), ""
    except Exception:  # no pathfinder, or it found none and has errors of its own
        for name in ("libcublas.so.13", "libcublas.so.12", "libcublas.so"):
            try:
                return ctypes.CDLL(name), ""
            except OSError as error:
                reason = error
    return None, f"the library cuBLAS was not found ({reason}); install minigan[cuda12] or minigan[cuda13]"
