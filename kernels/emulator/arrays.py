"""A stand-in for CuPy without a GPU: its arrays are NumPy's inside, and as strict as CuPy's outside.

What breaks on a GPU is mostly mixing: a NumPy array in a CuPy call, an implicit conversion, a result expected to be a
scalar, a NumPy function that CuPy has not. This module raises for each of these, so that the tests marked `gpu` say
something on a machine that has none. They are also the arrays of the device @emulator, whose kernels run in the
emulator. It knows nothing of speed, or of CuPy's own faults. `recording` notes what is done, and refuses what a graph
of CUDA cannot hold.
"""

from __future__ import annotations

import contextlib
import operator
import sys
import types

import numpy

__version__ = "0.double"
_ABSENT = {"ndarray", "matrix", "nditer", "ndenumerate", "asfarray", "recarray", "char", "rec", "ma", "errstate"}
_TAKES_NUMPY = {"asarray", "array", "ascontiguousarray", "asfortranarray", "asanyarray"}
_KEEPS_LAYOUT = {
    "array", "asarray", "asanyarray", "asfortranarray", "astype", "copy", "empty", "empty_like", "full_like", "ones",
    "ones_like", "zeros", "zeros_like",
}
_READS = {"item", "tolist", "tobytes", "nonzero", "flatnonzero", "argwhere", "unique", "array_equal", "allclose"}
_CUBLAS = {"matmul", "dot", "vdot", "inner", "tensordot", "einsum"}
_AT = {"add", "subtract", "maximum", "minimum", "bitwise_and", "bitwise_or", "bitwise_xor"}


class RecordingError(RuntimeError):
    """Something that a graph of CUDA cannot hold."""


class _Record:
    """The operations so far, each with what it was given: numbers, and arrays by where they lie.

    Memory that an operation made has a number in order, and is kept, so that none is made in its place; other memory
    was there before, and its address must not change.
    """

    def __init__(self):
        self.operations, self._places, self._kept = [], {}, []

    def note(self, name, *args):
        if name in _READS or name in ("where", "asnumpy") and len(args) == 1:
            raise RecordingError(f"{name}() reads the device")
        if name in _CUBLAS:
            raise RecordingError(f"{name}() is CuPy's call of cuBLAS, which a graph refuses; use a function of minigan")
        if name in _TAKES_NUMPY and not isinstance(args[0], ndarray):
            raise RecordingError(f"{name}() sends a {type(args[0]).__name__} to the device")
        if name.startswith(("numpy.random", "numpy.linalg", "numpy.fft")) and not name.endswith("norm"):
            raise RecordingError(f"{name.replace('numpy', 'cupy')}() calls a library, which a graph refuses")
        if name in ("__getitem__", "__setitem__"):
            self._check_index(args[1] if isinstance(args[1], tuple) else (args[1],))
        self.operations.append((name, *map(self._described, args)))

    def made(self, array):
        owner = _owner(array)
        self._places.setdefault(_address(owner), f"memory {len(self._places)}")
        self._kept.append(owner)

    def _check_index(self, parts):
        for part in parts:
            if isinstance(part, ndarray) and part.dtype.kind == "b" and part.ndim:
                raise RecordingError("an index of booleans reads how many are true")
            if isinstance(part, (list, numpy.ndarray)):
                raise RecordingError(f"an index that is a {type(part).__name__} is sent to the device")

    def seen(self, value):
        owner = _owner(value._array)
        self._kept.append(owner)
        return self._places.setdefault(_address(owner), f"memory at {_address(owner)}") if owner.size else "no memory"

    def _described(self, value):
        if isinstance(value, ndarray):
            place, array, owner = self.seen(value), value._array, _owner(value._array)
            return place, _address(array) - _address(owner), array.shape, array.strides, array.dtype.str
        if isinstance(value, (list, tuple)):
            return [self._described(v) for v in value]
        if isinstance(value, dict):
            return {k: self._described(v) for k, v in value.items()}
        simple = isinstance(value, (int, float, str, slice, numpy.generic, numpy.dtype, type, type(None), type(...)))
        return repr(value) if simple else type(value).__name__


_record = None


@contextlib.contextmanager
def recording(pause=False):
    """Give the list of operations inside the block, which grows; `pause`: do not note what is inside."""
    global _record
    before, _record = _record, None if pause else _Record()
    try:
        yield None if pause else _record.operations
    finally:
        _record = before


def noted(name, *args):
    """Say that something is launched, for those who record."""
    if _record is not None:
        _record.note(name, *args)


def _refused(what):
    if _record is not None:
        raise RecordingError(what)


def _owner(array):
    while isinstance(array.base, numpy.ndarray):
        array = array.base
    return array


def _address(array):
    return array.__array_interface__["data"][0]


def _inside(value, host=False):
    """The NumPy array of a double; containers too. An array of NumPy's own is refused."""
    if isinstance(value, ndarray):
        return value._array
    if isinstance(value, numpy.ndarray) and not host:
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, (list, tuple)):
        return type(value)(_inside(v, host) for v in value)
    if isinstance(value, dict):
        return {k: _inside(v, host) for k, v in value.items()}
    return value


def _outside(value, name=""):
    """Arrays and NumPy's scalars become doubles: CuPy has no scalars, and what it computes lies in order C."""
    if isinstance(value, (numpy.ndarray, numpy.generic)):
        new = value.base is None and name not in _KEEPS_LAYOUT
        return ndarray._of(value.copy() if new and not value.flags.c_contiguous else value)
    if isinstance(value, (list, tuple)) and any(isinstance(v, (numpy.ndarray, numpy.generic)) for v in value):
        parts = [_outside(v, name) for v in value]
        return parts if type(value) is list else tuple(parts)
    return value


def _wrapped(function, host=False, name=None, of=()):
    def call(*args, **kwargs):
        noted(name or getattr(function, "__name__", "call"), *of, *args, *([kwargs] if kwargs else ()))
        for key, value in kwargs.items():
            if key == "out" and not isinstance(value, (ndarray, type(None))):
                raise TypeError("out must be a cupy.ndarray")
        given = kwargs.get("out")
        result = function(*_inside(args, host), **_inside(kwargs, host))
        return given if given is not None else _outside(result, call.__name__)

    call.__name__ = getattr(function, "__name__", "call")
    return call


class ndarray:
    """An array on the pretended device 0."""

    __hash__ = None
    __array_priority__ = 100

    def __init__(self, shape, dtype=float, *args, **kwargs):
        self._array = numpy.empty(shape, dtype)

    @classmethod
    def _of(cls, array):
        self = object.__new__(cls)
        self._array = numpy.asarray(array)
        if self._array.dtype.kind in "OUS":
            raise ValueError(f"Unsupported dtype {self._array.dtype}")
        if _record is not None:
            _record.made(self._array)
        return self

    def __array__(self, *args, **kwargs):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if method != "__call__":
            return NotImplemented
        return _wrapped(ufunc)(*inputs, **kwargs)

    def __array_function__(self, function, kinds, args, kwargs):
        return _wrapped(function)(*args, **kwargs)

    @property
    def __cuda_array_interface__(self):
        return self._array.__array_interface__

    @property
    def device(self):
        return cuda.Device(0)

    def get(self, stream=None, order="C", out=None):
        _refused("get() reads the device")
        return self._array.copy()

    def set(self, array, stream=None):
        _refused("set() sends an array to the device")
        self._array[...] = array

    def __getitem__(self, index):
        noted("__getitem__", self, index)
        return _outside(self._array[_inside(index, host=True)])

    def __setitem__(self, index, value):
        noted("__setitem__", self, index, value)
        self._array[_inside(index, host=True)] = _inside(value)

    def __getattr__(self, name):
        if name.startswith("_") or name in ("data", "ctypes", "tobytes_"):
            raise AttributeError(f"'cupy.ndarray' has no attribute {name!r}")
        if _record is not None:
            _record.seen(self)
        value = getattr(self._array, name)
        return _wrapped(value, of=(self,)) if callable(value) else _outside(value)

    def __setattr__(self, name, value):
        if name == "_array":
            object.__setattr__(self, name, value)
        else:
            setattr(self._array, name, value)

    def __len__(self):
        return len(self._array)

    def __iter__(self):
        return (_outside(row) for row in self._array)

    def __repr__(self):
        _refused("printing reads the device")
        return repr(self._array)

    __str__ = __repr__

    def __copy__(self):
        noted("copy", self)
        return ndarray._of(self._array.copy())

    def __deepcopy__(self, memo):
        return ndarray._of(self._array.copy())

    def __reduce__(self):
        return _restore, (self._array,)


def _restore(array):
    return ndarray._of(array)


def _operator(name):
    def call(self, *others):
        for other in others:
            if getattr(other, "__array_priority__", 0) > self.__array_priority__:
                return NotImplemented
        noted(name, self, *others)
        method = getattr(operator, name)
        return _outside(method(self._array, *_inside(others)))

    def reflected(self, other):
        noted(name, other, self)
        return _outside(getattr(operator, name)(_inside(other), self._array))

    def in_place(self, other):
        noted(f"i{name}", self, other)
        result = getattr(operator, name)(self._array, _inside(other))
        numpy.copyto(self._array, result, casting="same_kind")
        return self

    return call, reflected, in_place


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor"):
    _call, _reflected, _in_place = _operator(_name)
    _plain = _name.strip("_")
    setattr(ndarray, f"__{_plain}__", _call)
    setattr(ndarray, f"__r{_plain}__", _reflected)
    setattr(ndarray, f"__i{_plain}__", _in_place)
for _name in ("lt", "le", "gt", "ge", "eq", "ne", "neg", "pos", "abs", "invert"):
    setattr(ndarray, f"__{_name}__", _operator(_name)[0])


def _conversion(name):
    def call(self):
        _refused(f"{name}() reads the device")
        return getattr(self._array, f"__{name}__")()

    return call


for _name in ("bool", "int", "float", "complex", "index"):
    setattr(ndarray, f"__{_name}__", _conversion(_name))


class ufunc:
    """A ufunc of NumPy's that takes doubles."""

    def __init__(self, function):
        self._function = function
        self.__name__ = function.__name__
        self.nin, self.nout = function.nin, function.nout
        if self.__name__ in _AT:
            self.at = lambda a, index, b=None: function.at(_inside(a), _inside(index, host=True), _inside(b))

    def __call__(self, *args, **kwargs):
        return _wrapped(self._function)(*args, **kwargs)


class _Namespace(types.SimpleNamespace):
    """A module of NumPy's, such as `linalg`, with its functions wrapped."""

    def __init__(self, module):
        self._module = module

    def __getattr__(self, name):
        return _made(getattr(self._module, name), name, f"{self._module.__name__}.{name}")


def _made(value, name, full=None):
    if isinstance(value, numpy.ufunc):
        return ufunc(value)
    if isinstance(value, types.ModuleType):
        return _Namespace(value)
    if isinstance(value, type) or not callable(value):
        return value
    return _wrapped(value, name in _TAKES_NUMPY, full or name)


class _Grid:
    """Grids of indices, made on the device."""

    def __init__(self, grid):
        self._grid = grid

    def __getitem__(self, index):
        return _outside(self._grid[index])


ogrid, mgrid = _Grid(numpy.ogrid), _Grid(numpy.mgrid)


def __getattr__(name):
    if name in _ABSENT or name.startswith("__"):
        raise AttributeError(f"module 'cupy' has no attribute {name!r}")
    return _made(getattr(numpy, name), name)


def asnumpy(a, stream=None, order="C", out=None):
    """Return the NumPy array of a double."""
    return a.get() if isinstance(a, ndarray) else numpy.asarray(a)


def gemm(a, b, out=None, add=False):
    """The product of matrices as cuBLAS computes it for `minigan.kernels.gemm`: the sums of halves are floats."""
    noted("gemm", a, b, out, add)
    half = a.dtype == b.dtype == numpy.float16
    x, y = (m._array.astype(numpy.float32) if half else m._array for m in (a, b))
    if out is None:
        return _outside(numpy.matmul(x, y).astype(a.dtype) if half else numpy.matmul(x, y))
    if add:
        out._array += numpy.matmul(x, y)
    else:
        numpy.matmul(x, y, out=out._array, casting="same_kind")
    return out


def get_array_module(*args):
    """Return this module for its arrays, NumPy for others."""
    return sys.modules[__name__] if any(isinstance(a, ndarray) for a in args) else numpy


def _kernel(*args, **kwargs):
    def launch(*a, **k):
        raise RuntimeError("the stand-in for CuPy compiles no kernels")

    return launch


ElementwiseKernel = ReductionKernel = RawKernel = RawModule = _kernel


class _Device:
    """Device 0."""

    def __init__(self, device=0):
        self.id = 0 if device is None else int(getattr(device, "id", device))

    def use(self):
        pass

    def synchronize(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *args):
        pass

    def __eq__(self, other):
        return isinstance(other, _Device) and self.id == other.id

    def __hash__(self):
        return self.id

    def __int__(self):
        return self.id


class _Stream(_Device):
    null, ptr = None, 0

    def __init__(self, *args, **kwargs):
        pass

    def record(self, event=None):
        return event or _Event()


class _Event(_Stream):
    pass


cuda = types.SimpleNamespace(
    is_available=lambda: True,
    Device=_Device, Stream=_Stream, Event=_Event, get_elapsed_time=lambda a, b: 0.0,
    runtime=types.SimpleNamespace(getDeviceCount=lambda: 1, CUDARuntimeError=RuntimeError,
                                  getDeviceProperties=lambda i: {"name": b"double"}, runtimeGetVersion=lambda: 0,
                                  driverGetVersion=lambda: 0),
    get_current_stream=lambda: _Stream(), driver=types.SimpleNamespace(get_build_version=lambda: 0),
)  # fmt: skip
