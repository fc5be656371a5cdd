"""A stand-in for CuPy without a GPU: its arrays are NumPy's inside, and as strict as CuPy's outside.

What breaks on a GPU is mostly mixing: a NumPy array in a CuPy call, an implicit conversion, a result expected to be a
scalar, a NumPy function that CuPy has not. This module raises for each of these, so that the tests marked `gpu` say
something on a machine that has none. They are also the arrays of the device @emulator, whose kernels run in the
emulator. It knows nothing of speed, or of CuPy's own faults.
"""

from __future__ import annotations

import operator
import sys
import types

import numpy

__version__ = "0.double"
_ABSENT = {"ndarray", "matrix", "nditer", "ndenumerate", "asfarray", "recarray", "char", "rec", "ma", "errstate"}
_TAKES_NUMPY = {"asarray", "array", "ascontiguousarray", "asfortranarray", "asanyarray"}
_AT = {"add", "subtract", "maximum", "minimum", "bitwise_and", "bitwise_or", "bitwise_xor"}


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


def _outside(value):
    """Arrays and NumPy's scalars become doubles: CuPy has no scalars."""
    if isinstance(value, (numpy.ndarray, numpy.generic)):
        return ndarray._of(value)
    if isinstance(value, (list, tuple)) and any(isinstance(v, (numpy.ndarray, numpy.generic)) for v in value):
        return type(value)(_outside(v) for v in value) if type(value) in (list, tuple) else tuple(map(_outside, value))
    return value


def _wrapped(function, host=False):
    def call(*args, **kwargs):
        for name, value in kwargs.items():
            if name == "out" and not isinstance(value, (ndarray, type(None))):
                raise TypeError("out must be a cupy.ndarray")
        given = kwargs.get("out")
        result = function(*_inside(args, host), **_inside(kwargs, host))
        return given if given is not None else _outside(result)

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
        return self._array.copy()

    def set(self, array, stream=None):
        self._array[...] = array

    def __getitem__(self, index):
        return _outside(self._array[_inside(index, host=True)])

    def __setitem__(self, index, value):
        self._array[_inside(index, host=True)] = _inside(value)

    def __getattr__(self, name):
        if name.startswith("_") or name in ("data", "ctypes", "tobytes_"):
            raise AttributeError(f"'cupy.ndarray' has no attribute {name!r}")
        value = getattr(self._array, name)
        return _wrapped(value) if callable(value) else _outside(value)

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
        return repr(self._array)

    __str__ = __repr__

    def __copy__(self):
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
        method = getattr(operator, name)
        return _outside(method(self._array, *_inside(others)))

    def reflected(self, other):
        return _outside(getattr(operator, name)(_inside(other), self._array))

    def in_place(self, other):
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
for _name in ("bool", "int", "float", "complex", "index"):
    setattr(ndarray, f"__{_name}__", lambda self, _name=_name: getattr(self._array, f"__{_name}__")())


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
        return _made(getattr(self._module, name), name)


def _made(value, name):
    if isinstance(value, numpy.ufunc):
        return ufunc(value)
    if isinstance(value, types.ModuleType):
        return _Namespace(value)
    if isinstance(value, type) or not callable(value):
        return value
    return _wrapped(value, host=name in _TAKES_NUMPY)


def __getattr__(name):
    if name in _ABSENT or name.startswith("__"):
        raise AttributeError(f"module 'cupy' has no attribute {name!r}")
    return _made(getattr(numpy, name), name)


def asnumpy(a, stream=None, order="C", out=None):
    """Return the NumPy array of a double."""
    return a.get() if isinstance(a, ndarray) else numpy.asarray(a)


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
    null = None

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
