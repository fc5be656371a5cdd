"""Autograd in one file, to be read from top to bottom.

A :class:`FunctionNode` computes arrays from arrays; applying it to :class:`Variable` objects records who made what.
``_walk`` goes back over that record, latest function first, and asks each one for the gradients of its inputs. These
gradients are Variables made by the same functions, so they can be differentiated again, to any order.

The last part holds the arithmetic that the walk itself needs. It is closed under differentiation: every derivative
in this file is written with functions of this file. Everything else (``minigan.functions``) stands on top.
"""

from __future__ import annotations

import copy
import heapq
import itertools
import operator
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any, ClassVar

import numpy

from minigan import initializers
from minigan.backend import CpuDevice, Device, copyto, get_array_module, get_device, get_device_from_array, is_array
from minigan.configuration import config, global_config, is_debug, is_recording, using_config
from minigan.function_hook import FunctionHook, register, this_thread
from minigan.kernels import gemm
from minigan.kernels.launch import on_device_of
from minigan.utils import type_check
from minigan.utils.type_check import InvalidType


def shown(path: str, doc: str) -> Any:
    """Return a property that shows a part's attribute: ``shape = shown("_array.shape", "Lengths of the axes.")``."""
    return property(operator.attrgetter(path), doc=doc)


# --------------------------------------------------------------------------------------------------------------------
# Variables: an array, its gradient, and who made it
# --------------------------------------------------------------------------------------------------------------------


class VariableNode:
    """A Variable's place in the graph, without its array.

    Functions hold the nodes of their inputs, not the Variables: an array that nobody else holds and no function
    retains is freed as soon as the Variable is. ``data`` is the array if a function retains it, else None.
    """

    __slots__ = (
        "__weakref__", "_rank", "_requires_grad", "_variable", "creator_node", "data", "dtype", "name", "shape",
    )  # fmt: skip

    def __init__(self, variable: Variable, name: str | None, requires_grad: bool = True, **old: Any) -> None:
        if old:
            raise ValueError(f"VariableNode: the argument {next(iter(old))!r} does not exist; a Variable holds that")
        self._variable = weakref.ref(variable)
        self._requires_grad = requires_grad
        self.creator_node: FunctionNode | None = None
        self.data: Any = None
        self.name = name
        self._rank = 0
        array = variable._array
        self.shape: Any = None if array is None else array.shape
        self.dtype: Any = None if array is None else array.dtype

    requires_grad = shown("_requires_grad", "Whether a gradient is wanted for this place.")
    rank = shown("_rank", "Longest number of functions between a leaf and here.")

    @property
    def creator(self) -> Any:
        """The function that made it (an old-style one as its ``Function``); None for a leaf."""
        return None if self.creator_node is None else self.creator_node._creator

    def set_creator_node(self, creator_node: FunctionNode | None) -> None:
        """Record that ``creator_node`` made it; None forgets who did."""
        self.creator_node = creator_node
        if creator_node is not None:
            self._rank = creator_node.rank + 1

    def set_creator(self, creator: Any) -> None:
        """Record that ``creator``, a FunctionNode or an old-style Function, made it."""
        self.set_creator_node(getattr(creator, "node", creator))

    def unchain(self) -> None:
        """Forget who made it."""
        self.creator_node = None

    def get_variable_or_none(self) -> Variable | None:
        """Return the Variable of this node if anybody still holds it."""
        return self._variable()

    def get_variable(self) -> Variable:
        """Return the Variable of this node, a new one around the retained array if the old one is gone."""
        variable = self._variable()
        if variable is None:
            variable = Variable(self.data, requires_grad=self._requires_grad)
            variable._node = self
            self._variable = weakref.ref(variable)
        return variable

    def retain_data(self) -> None:
        """Keep the array here, also after the Variable is gone."""
        variable = self._variable()
        if variable is None:
            raise RuntimeError("VariableNode.retain_data: the Variable is gone, and its array with it")
        self.data = variable._array

    @property
    def grad_var(self) -> Variable | None:
        """The gradient held by this node's Variable, if it is alive."""
        variable = self._variable()
        return None if variable is None else variable.grad_var

    @property
    def grad(self) -> Any:
        """The gradient's array, if there is one."""
        gradient = self.grad_var
        return None if gradient is None else gradient.array

    @property
    def label(self) -> str:
        """Shape and dtype in a few words, for pictures of graphs."""
        if self.shape is None:
            return "None"
        return f"({', '.join(map(str, self.shape))}), {self.dtype}" if self.shape else str(self.dtype)


class Variable:
    """An array that remembers how it was computed.

    ``Variable(array)`` is a leaf. Operators and the functions of ``minigan.functions`` give Variables whose
    ``creator`` is the function; ``backward()`` on the last one puts the gradients into ``grad`` of the leaves.

    ``array`` (also ``data``) is the NumPy or CuPy array, ``grad`` its gradient (an array or None), ``grad_var`` the
    same as a Variable, which after ``backward(enable_double_backprop=True)`` can be differentiated again.
    """

    __array_priority__ = 200  # ndarray + Variable asks the Variable
    _loss_scale: float | None = None  # the factor that is in the gradient; an optimizer takes it out
    _has_chainerx_array = False
    _grad_var: Variable | None = None

    def __init__(self, data: Any = None, *, name: str | None = None, grad: Any = None, requires_grad: bool = True,
                 **old: Any) -> None:  # fmt: skip
        if old:
            if "volatile" in old:
                raise ValueError("Variable: volatile does not exist any more; use `with chainer.no_backprop_mode():`")
            raise TypeError(f"Variable: the argument {next(iter(old))!r} does not exist; remove it")
        if type(data) is not numpy.ndarray and data is not None and not is_array(data):
            raise TypeError(
                f"Variable: got {type(data).__name__}; wanted a numpy.ndarray or cupy.ndarray; "
                "make one with numpy.array(x, 'float32')"
            )
        self._array = data
        self._requires_grad = requires_grad
        if name is not None:
            self.name = name
        if grad is not None:
            self.grad = grad

    @classmethod
    def _init_unchecked(cls, data: Any = None, *, is_chainerx_array: bool | None = None, **kwargs: Any) -> Variable:
        """Return ``Variable(data, ...)``: Chainer has a faster way in, which some scripts take."""
        return cls(data, **kwargs)

    # -- what it holds

    def _put(self, array: Any) -> None:
        self._array = array
        node = self._node
        node.shape, node.dtype = (array.shape, array.dtype) if array is not None else (None, None)
        if node.data is not None:
            node.data = array

    array = data = raw_array = property(
        operator.attrgetter("_array"), lambda self, array: self._put(array), None,
        "The array; None for a parameter that has no shape yet.",
    )  # fmt: skip

    @property
    def layout(self) -> None:
        """Chainer's mark of cuDNN's memory layouts, which do not exist here: always None."""

    @property
    def chx_array(self) -> Any:
        """ChainerX does not exist here: raises ``ValueError``."""
        raise ValueError("chx_array: there is no ChainerX here; use array")

    @property
    def grad_var(self) -> Variable | None:
        """The gradient as a Variable, or None."""
        return self._grad_var

    @grad_var.setter
    def grad_var(self, gradient: Variable | None) -> None:
        if gradient is not None:
            self._check_gradient(gradient._array)
        self._grad_var = gradient

    @property
    def grad(self) -> Any:
        """The gradient as an array, or None."""
        return None if self._grad_var is None else self._grad_var._array

    @grad.setter
    def grad(self, gradient: Any) -> None:
        if gradient is not None:
            self._check_gradient(gradient)
        self._grad_var = None if gradient is None else Variable(gradient)

    def _check_gradient(self, gradient: Any) -> None:
        own = self._array
        if own is not None and type(gradient) is type(own):
            if gradient.shape == own.shape and gradient.dtype == own.dtype:
                return
        if not is_array(gradient):
            raise TypeError(f"{self!s:.40}.grad: got {type(gradient).__name__}; wanted an array or None")
        if self._array is None:
            return
        if get_array_module(gradient) is not self.xp:
            raise TypeError(
                f"grad: got a {type(gradient).__module__}.ndarray for an array on {self.device}; move it with to_device"
            )
        if gradient.dtype != self.dtype:
            raise TypeError(f"grad: dtype is {gradient.dtype}, but the array's is {self.dtype}; cast it with astype")
        if gradient.shape != self.shape:
            raise ValueError(f"grad: shape is {gradient.shape}, but the array's is {self.shape}")

    @property
    def name(self) -> str | None:
        """A name for messages and pictures."""
        return self._node.name

    @name.setter
    def name(self, name: str | None) -> None:
        self._node.name = name

    shape = shown("_array.shape", "Lengths of the axes.")
    ndim = shown("_array.ndim", "Number of axes.")
    size = shown("_array.size", "Number of elements.")
    dtype = shown("_array.dtype", "Type of the elements.")

    @property
    def xp(self) -> Any:
        """``numpy`` or ``cupy``, whichever holds the array."""
        return get_array_module(self._array)

    @property
    def device(self) -> Device:
        """Where the array lives."""
        return get_device_from_array(self._array)

    @property
    def T(self) -> Variable:
        """With the axes in reverse order."""
        return transpose(self)

    @property
    def is_initialized(self) -> bool:
        """Whether it has an array."""
        return self._array is not None

    # -- its place in the graph

    @cached_property
    def _node(self) -> VariableNode:  # made when it is asked for: most gradients have none
        return VariableNode(self, None, self._requires_grad)

    node = shown("_node", "The place in the graph.")

    @property
    def creator_node(self) -> FunctionNode | None:
        """The function that made it; None for a leaf."""
        return self._node.creator_node

    @creator_node.setter
    def creator_node(self, creator_node: FunctionNode | None) -> None:
        self._node.set_creator_node(creator_node)

    @property
    def creator(self) -> Any:
        """The function that made it (an old-style one as its ``Function``); None for a leaf."""
        return self._node.creator

    @creator.setter
    def creator(self, creator: Any) -> None:
        self._node.set_creator(creator)

    rank = shown("_node._rank", "Longest number of functions between a leaf and here.")
    requires_grad = shown("_requires_grad", "Whether a gradient is wanted for it.")
    label = shown("_node.label", "Shape and dtype in a few words.")

    def set_creator_node(self, fnode: FunctionNode | None) -> None:
        """Record that ``fnode`` made it."""
        self._node.set_creator_node(fnode)

    def set_creator(self, gen_func: Any) -> None:
        """Record that ``gen_func``, a FunctionNode or an old-style Function, made it."""
        self._node.set_creator(gen_func)

    def retain_data(self) -> None:
        """Let the node keep the array."""
        self._node.retain_data()

    def unchain(self) -> None:
        """Forget which function made it: gradients stop here, and what only that function held is freed."""
        self._node.unchain()

    def unchain_backward(self) -> None:
        """Cut every link of the graph that leads here, so that all of it can be freed."""
        functions = [self._node.creator_node]
        self.unchain()
        while functions:
            function = functions.pop()
            if function is not None and function.inputs is not None:
                functions.extend(x.creator_node for x in function.inputs)
                function.unchain()

    # -- gradients

    def backward(self, retain_grad: bool = False, enable_double_backprop: bool = False,
                 loss_scale: float | None = None) -> None:  # fmt: skip
        """Compute the gradient of this Variable with respect to every leaf that it depends on.

        The gradients are added to ``grad`` of the leaves: call ``cleargrad`` (or ``Link.cleargrads``) before. The
        walk starts from ``self.grad``, or from 1 if that is None and there is one element. The graph stays until the
        Variable goes, so calling ``backward`` twice adds the gradients twice.

        Args:
            retain_grad: keep the gradients of the Variables in between, too.
            enable_double_backprop: record the graph of the gradients, so that they can be differentiated.
            loss_scale: a factor for the first gradient, against underflow in float16.
        """
        whole = self._array is not None and self.dtype.kind != "f" and self._grad_var is None
        if self.requires_grad and not whole:  # places and counts have no gradient: nothing to do
            _backward({self._node: _first_gradient(self)}, retain_grad, enable_double_backprop, loss_scale)

    def cleargrad(self) -> None:
        """Forget the gradient: ``grad`` is None."""
        self._grad_var = None

    def zerograd(self) -> None:
        """Set the gradient to zeros."""
        warnings.warn("Variable.zerograd is deprecated; use cleargrad", DeprecationWarning, stacklevel=2)
        self._zerograd()

    def _zerograd(self) -> None:
        if self._array is not None:
            self.grad = self.xp.zeros_like(self._array)

    def addgrad(self, var: Variable) -> None:
        """Add the gradient of ``var``, from whatever device, to this one's."""
        if var._grad_var is None:
            return
        if self._array is None:
            self.initialize(var.shape)  # type: ignore[attr-defined]  # only a Parameter has no array
        gradient = Variable(self.device.send(var.grad))
        self.grad_var = gradient if self._grad_var is None else self._grad_var + gradient

    def copydata(self, var: Variable) -> None:
        """Copy the elements of ``var``, from whatever device, into this array. Parameters without one get theirs."""
        for one, other in ((self, var), (var, self)):
            if one._array is None and other._array is not None:
                one.initialize(other.shape)  # type: ignore[attr-defined]
        if self._array is not None:
            copyto(self._array, var._array)

    # -- devices

    def to_device(self, device: Any) -> None:
        """Move the array and its gradient to ``device`` (as ``get_device`` takes it)."""
        device = get_device(device)
        if self._array is not None:
            self.array = device.send(self._array)
        if self._grad_var is not None:
            self._grad_var = Variable(device.send(self._grad_var._array), requires_grad=False)

    def to_cpu(self) -> None:
        """Move the array and its gradient to NumPy."""
        self.to_device(CpuDevice())

    def to_gpu(self, device: Any = None) -> None:
        """Move the array and its gradient to CUDA device ``device`` (a number; None is the first)."""
        self.to_device(0 if device is None else device)

    def to_intel64(self) -> None:
        """Move the array to NumPy: there is no iDeep here, and no need of it."""
        self.to_cpu()

    def to_chx(self) -> None:
        """There is no ChainerX here: raises ``RuntimeError``."""
        raise RuntimeError("to_chx: there is no ChainerX here; use to_device('@cupy:0') for a GPU")

    def from_chx(self) -> None:
        """Do nothing: no array is ChainerX's."""

    # -- as a container

    def item(self) -> Any:
        """Return the only element as a Python number."""
        return self._array.item()

    def __len__(self) -> int:
        return len(self._array)

    def _text(self, separator: str) -> str:
        prefix = f"variable {self.name}(" if self.name else "variable("
        if self._array is None:
            return f"{prefix}None)"
        array = CpuDevice().send(self._array)
        shape = f", shape={array.shape}" if separator == ", " and array.size == 0 and array.ndim > 1 else ""
        return f"{prefix}{numpy.array2string(array, separator=separator, prefix=prefix)}{shape})"

    def __repr__(self) -> str:
        return self._text(", ")

    def __str__(self) -> str:
        return self._text(" ")

    def summary(self) -> str:
        """Return its name, or else its place in memory."""
        return f"<variable {self.name}>" if self.name else f"<variable at {id(self):#x}>"

    def debug_print(self) -> str:
        """Return several lines on what it holds: device, kind, shape, dtype, mean and deviation, gradient."""
        array = self._array
        if array is None:
            facts: tuple[Any, ...] = (None,) * 5
        else:
            device = "CPU" if isinstance(array, numpy.ndarray) else array.device
            facts = (device, type(array), array.shape, array.dtype, _statistics(array))
        grad = None if self.grad is None else _statistics(self.grad) if self.grad.any() else 0
        names = ("device", "backend", "shape", "dtype", "statistics", "grad")
        return "\n- ".join([self.summary(), *(f"{name}: {fact}" for name, fact in zip(names, (*facts, grad)))])

    def __copy__(self) -> Variable:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._node = VariableNode(other, self.name, self.requires_grad)
        return other

    def __deepcopy__(self, memo: dict) -> Variable:
        other = object.__new__(type(self))
        memo[id(self)] = other
        state = {k: v for k, v in self.__dict__.items() if k not in ("_node", "_grad_var")}
        other.__dict__.update(copy.deepcopy(state, memo))
        gradient = self._grad_var
        other._grad_var = None if gradient is None else Variable(gradient._array.copy(), requires_grad=False)
        other._node = VariableNode(other, self.name, self.requires_grad)
        return other

    def __reduce__(self) -> tuple:
        state = {k: v for k, v in self.__dict__.items() if k not in ("_node", "_grad_var")}
        return _restore_variable, (type(self), state, self.grad, self.name, self.requires_grad)

    # -- operators

    def __add__(self, other: Any) -> Variable:
        return _binary(Add, self, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Variable:
        number = _number(other)
        return _binary(Sub, self, other) if number is None else _binary(Add, self, -number)

    def __rsub__(self, other: Any) -> Variable:
        return _binary(Sub, other, self)

    def __mul__(self, other: Any) -> Variable:
        return _binary(Mul, self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Variable:
        number = _number(other)
        if not number or self._array is None or self.dtype.kind != "f":  # not a number, or 0, or not exact
            return _binary(Div, self, other)
        return _binary(Mul, self, 1 / number)

    def __rtruediv__(self, other: Any) -> Variable:
        return _binary(Div, other, self)

    def __floordiv__(self, other: Any) -> Variable:
        return _floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Variable:
        return _floor_divide(other, self)

    def __pow__(self, other: Any) -> Variable:
        return _binary(Pow, self, other)

    def __rpow__(self, other: Any) -> Variable:
        return _binary(Pow, other, self)

    def __matmul__(self, other: Any) -> Variable:
        return matmul(self, _operand(other, self, "@"))

    def __rmatmul__(self, other: Any) -> Variable:
        return matmul(_operand(other, self, "@"), self)

    def __neg__(self) -> Variable:
        return neg(self)

    def __pos__(self) -> Variable:
        return self

    def __abs__(self) -> Variable:
        return absolute(self)

    def __getitem__(self, index: Any) -> Variable:
        return get_item(self, index)

    def reshape(self, *shape: Any) -> Variable:
        """Return the same elements in another shape; one length may be -1."""
        return reshape(self, shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape)

    def transpose(self, *axes: Any) -> Variable:
        """Return it with its axes permuted; reversed if none are given."""
        if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], (tuple, list))):
            return transpose(self, axes[0])
        return transpose(self, axes or None)

    def _no_comparison(self, other: Any) -> Any:
        raise TypeError("Variable: comparisons have no gradient and are not defined; compare x.array")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _no_comparison  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise TypeError("Variable: has no truth value; use x.array")


def _statistics(array: Any) -> str:
    return f"mean={float(array.mean()):.8f}, std={float(array.std()):.8f}"


def _restore_variable(kind: type, state: dict, grad: Any, name: str | None, requires_grad: bool) -> Variable:
    variable: Variable = object.__new__(kind)
    variable.__dict__.update(state)
    variable._grad_var, variable._requires_grad, variable.name = None, requires_grad, name
    variable.grad = grad
    return variable


class _Twins(list):
    """References to a parameter and its shallow copies, which have one array: who gets another gets it for all."""

    def __deepcopy__(self, memo: dict) -> _Twins:
        return _Twins()

    def __reduce__(self) -> tuple:
        return _Twins, ()


class Parameter(Variable):
    """A Variable that a Link owns and an optimizer moves.

    Args:
        initializer: an initializer, a number, an array, or a name (see ``minigan.initializers``). An array without
            ``shape`` becomes the parameter itself. None fills with NaN, so that forgetting to set it shows.
        shape: the shape; without it the parameter stays uninitialised (``array`` is None) until ``initialize``.
        name: the name.
        layout: accepted and not used: memory layouts are no business of a script.

    The gradient starts as None. ``update_rule`` is set by ``Optimizer.setup``; ``update()`` applies it.
    """

    def __init__(self, initializer: Any = None, shape: Any = None, name: str | None = None, *,
                 layout: Any = None) -> None:  # fmt: skip
        self.update_rule: Any = None
        self._twins = _Twins()
        self._zerograd_later = False
        self._device: Device = CpuDevice()
        array = None
        if shape is None and is_array(initializer):
            array, self._device = initializer, get_device_from_array(initializer)
            initializer = initializers.Constant(array)
        elif initializer is None:
            initializer = initializers.NaN()
        else:
            initializer = initializers._get_initializer(initializer)
        self.initializer = initializer
        super().__init__(array, name=name)
        if shape is not None:
            self.initialize(shape)

    @property
    def device(self) -> Device:
        """Where the array lives, or will live once there is one."""
        return self._device if self._array is None else super().device

    @property
    def dtype(self) -> Any:
        """Type of the elements; before there is an array, the type that the initializer will give (None: yet unknown).

        Raises `RuntimeError` without an array where the initializer has no ``dtype``.
        """
        if self._array is not None:
            return self._array.dtype
        if not hasattr(self.initializer, "dtype"):
            raise RuntimeError(f"Parameter.dtype: {self.name or 'the parameter'} has no array yet, and its initializer "
                               f"has no dtype; give it one, or call initialize(shape) first")  # fmt: skip
        return self.initializer.dtype

    def initialize(self, shape: Any) -> None:
        """Make the array, of that shape, by the initializer."""
        shape = (shape,) if isinstance(shape, (int, numpy.integer)) else tuple(shape)
        device = self._device
        self.array = initializers.generate_array(self.initializer, shape, device.xp, device=device)
        if self._zerograd_later:
            self._zerograd()

    def _put(self, array: Any) -> None:
        super()._put(array)
        for twin in [reference() for reference in self._twins]:
            if twin is not None and twin is not self and twin._twins is self._twins:
                super(Parameter, twin)._put(array)

    def __copy__(self) -> Parameter:
        other: Any = super().__copy__()
        self._twins[:] = [ref for ref in self._twins if ref() is not None] or [weakref.ref(self)]
        self._twins.append(weakref.ref(other))
        return other

    def cleargrad(self) -> None:
        """Forget the gradient: ``grad`` is None."""
        self._grad_var, self._zerograd_later = None, False

    def _zerograd(self) -> None:
        super()._zerograd()  # now, or as soon as there is an array
        self._zerograd_later = self._array is None

    def to_device(self, device: Any) -> None:
        """Move it; if it has no array yet, make the array there later."""
        if self.device != (device := get_device(device)):
            self._twins = _Twins()
        self._device = device
        super().to_device(device)

    def update(self) -> None:
        """Let the update rule, if there is one, move the parameter along its gradient."""
        if self.update_rule is not None:
            self.update_rule.update(self)


def as_variable(x: Any) -> Variable:
    """Return ``x`` if it is a Variable, else a Variable around the array that wants no gradient."""
    return x if isinstance(x, Variable) else Variable(x, requires_grad=False)


def as_array(x: Any) -> Any:
    """Return the array of a Variable; an array as it is."""
    return x._array if isinstance(x, Variable) else x


# --------------------------------------------------------------------------------------------------------------------
# Functions: arrays in, arrays out, and the way back
# --------------------------------------------------------------------------------------------------------------------


# what every application of a function asks of its inputs and outputs, as quickly as Python can
_array_of = operator.attrgetter("_array")
_node_of = operator.attrgetter("_node")
_rank_of = operator.attrgetter("_rank")
_creator_of = operator.attrgetter("creator_node")
_wants_gradient = operator.attrgetter("_requires_grad")


class FunctionNode:
    """A differentiable function; one object per application.

    A subclass defines ``forward(inputs)``, from a tuple of arrays to a tuple of arrays (or ``forward_cpu`` and
    ``forward_gpu``), and ``backward(indexes, grad_outputs)``, which gives one gradient for each input whose number is
    in ``indexes``. ``backward`` gets and returns Variables (or None for zero), and computes with functions: that
    makes the gradient differentiable. Arrays that ``backward`` needs must be named in ``forward`` by
    ``retain_inputs`` or ``retain_outputs``; nothing else is kept.

        class Square(FunctionNode):
            def forward(self, inputs):
                self.retain_inputs((0,))
                return (inputs[0] ** 2,)

            def backward(self, indexes, grad_outputs):
                (x,) = self.get_retained_inputs()
                return (2.0 * x * grad_outputs[0],)

        (y,) = Square().apply((x,))
    """

    #: Name in messages; the class's own name where it is empty.
    name: ClassVar[str] = ""
    #: Names of the inputs. Where given, ``apply`` demands that they be of one dtype, and floating.
    arguments: ClassVar[tuple[str, ...]] = ()
    #: Whether integers are refused (if ``arguments`` is given).
    floating: ClassVar[bool] = True

    #: Nodes of the inputs and weak references to those of the outputs; None before ``apply`` and after ``unchain``.
    inputs: Any = None
    outputs: Any = None
    rank = 0
    #: Where it was applied (``traceback.extract_stack()``); in debug mode only.
    stack: Any = None
    #: Names that Chainer's functions have; nothing here depends on them.
    lazy_grad_sum = is_elementwise = False
    chainerx_device = None
    _local_function_hooks: dict[str, FunctionHook] | None = None
    _retained_inputs: tuple[int, ...] = ()
    _retained_outputs: tuple[int, ...] = ()
    _output_arrays: Any = None  # by number, those that are retained

    @property
    def label(self) -> str:
        """The function in a few words, for pictures of graphs."""
        return type(self).__name__

    @property
    def _impl_name(self) -> str:
        return type(self).__name__

    @property
    def _creator(self) -> Any:
        return self

    # -- to be defined by subclasses

    def forward(self, inputs: tuple) -> tuple:
        """Compute the outputs. By default goes to ``forward_gpu`` or ``forward_cpu``."""
        return self.forward_cpu(inputs) if get_array_module(*inputs) is numpy else self.forward_gpu(inputs)

    def forward_cpu(self, inputs: tuple) -> tuple:
        """Compute the outputs from NumPy arrays."""
        raise NotImplementedError(f"{type(self).__name__}: neither forward nor forward_cpu is defined")

    def forward_gpu(self, inputs: tuple) -> tuple:
        """Compute the outputs from CuPy arrays."""
        raise NotImplementedError(f"{type(self).__name__}: neither forward nor forward_gpu is defined")

    def backward(self, target_input_indexes: tuple[int, ...], grad_outputs: tuple[Variable | None, ...]) -> tuple:
        """Return the gradients of the inputs numbered in ``target_input_indexes``; by default none has one."""
        return (None,) * len(target_input_indexes)

    def backward_accumulate(self, target_input_indexes: tuple[int, ...], grad_outputs: tuple,
                            grad_inputs: tuple) -> tuple:  # fmt: skip
        """Return the gradients added to those that came by other paths, ``grad_inputs`` (None where there is none)."""
        gradients = self.backward(target_input_indexes, grad_outputs)
        return tuple(_plus(before, gradient) for before, gradient in zip(grad_inputs, gradients))

    def check_type_forward(self, in_types: Any) -> None:
        """Check shapes and dtypes of the inputs, with ``utils.type_check.expect``; by default nothing."""

    def retain_inputs(self, indexes: Iterable[int]) -> None:
        """Call in ``forward``: keep these inputs for ``backward``."""
        self._retained_inputs = tuple(indexes)

    def retain_outputs(self, indexes: Iterable[int]) -> None:
        """Call in ``forward``: keep these outputs for ``backward``."""
        self._retained_outputs = tuple(indexes)

    # -- forwards

    def __call__(self, *inputs: Any) -> Any:
        outputs = self.apply(inputs)
        return outputs[0] if len(outputs) == 1 else outputs

    def apply(self, inputs: Sequence[Any]) -> tuple[Variable, ...]:
        """Compute the outputs and, if a gradient may be wanted, record this function as their creator.

        ``inputs`` are Variables or arrays. Raises ``TypeError`` for inputs on different devices,
        ``utils.type_check.InvalidType`` for wrong shapes and dtypes. Applied again, the function forgets its first
        inputs and outputs; what was drawn for them, a mask say, stays.
        """
        variables = inputs = tuple(inputs)
        try:
            wants = tuple(map(_wants_gradient, variables))
        except AttributeError:  # there are arrays among them
            variables = tuple([x if isinstance(x, Variable) else self._as_variable(i, x) for i, x in enumerate(inputs)])
            wants = tuple(map(_wants_gradient, variables))
        arrays = tuple(map(_array_of, variables))
        if arrays:
            self._check_inputs(arrays, inputs)
        modes = config.__dict__  # of this thread; four times as quick as config.debug
        debug = modes.get("debug", global_config.debug)
        if debug:
            self.stack = traceback.extract_stack()
        hooks = self._hooks() if this_thread.hooks or self._local_function_hooks else ()
        for hook in hooks:
            hook.forward_preprocess(self, arrays)
        if not arrays or type(arrays[0]) is numpy.ndarray:
            outputs = self.forward(arrays)
        else:
            with _device_of(arrays[0]):
                outputs = self.forward(arrays)
        for hook in hooks:
            hook.forward_postprocess(self, arrays)
        if type(outputs) is not tuple:
            raise TypeError(f"{self._title()}: forward returned {type(outputs).__name__}; wanted a tuple of arrays")
        if debug:
            self._check_nan(outputs, "forward")
        wanted = any(wants)
        results = []
        for y in outputs:
            if type(y) is numpy.ndarray:  # the usual case, at a third of the price
                result = object.__new__(Variable)
                result._array, result._requires_grad = y, wanted
            else:
                y = _without_axes(y, arrays[0].dtype) if isinstance(y, numpy.generic) else y
                result = Variable(y, requires_grad=wanted)
            results.append(result)
        if modes.get("enable_backprop", global_config.enable_backprop):
            self._connect(arrays, variables, results)
        return tuple(results)

    def _connect(self, arrays: tuple, variables: Sequence[Variable], results: Sequence[Variable]) -> None:
        self.inputs = nodes = tuple(map(_node_of, variables))
        self.rank = max(map(_rank_of, nodes), default=0)
        made = []
        for y in results:
            node = y._node = VariableNode(y, None, y._requires_grad)
            node.creator_node, node._rank = self, self.rank + 1
            made.append(node)
        self.outputs = tuple(map(weakref.ref, made))
        for i in self._retained_inputs:
            nodes[i].data = arrays[i]
        if self._retained_outputs:
            self._output_arrays = {}
            for i in self._retained_outputs:
                self._output_arrays[i] = made[i].data = results[i]._array

    # -- backwards

    def get_retained_inputs(self) -> tuple[Variable, ...]:
        """Call in ``backward``: the inputs that ``forward`` retained."""
        inputs = self.inputs
        return tuple([inputs[i].get_variable() for i in self._retained_inputs])

    def get_retained_outputs(self) -> tuple[Any, ...]:
        """Call in ``backward``: the outputs that ``forward`` retained; None for one that is None."""
        if not self._retained_outputs:
            return ()
        results = []
        for i in self._retained_outputs:
            node = self.outputs[i]()
            if node is not None:
                variable = node.get_variable()
            else:  # nobody holds the output any more: a new one takes its place
                variable = Variable(self._output_arrays[i])
                variable.set_creator_node(self)
                variable.node.data = self._output_arrays[i]
                self.outputs = self.outputs[:i] + (weakref.ref(variable.node),) + self.outputs[i + 1 :]
            results.append(None if variable._array is None else variable)
        return tuple(results)

    def unchain(self) -> None:
        """Forget inputs and outputs: gradients do not pass any more, and what only this function held is freed."""
        for reference in self.outputs or ():
            node = reference()
            if node is not None:
                node.unchain()
        self.inputs = None
        self._output_arrays = None

    @property
    def output_data(self) -> tuple:
        """Arrays of the outputs; None for those that are not retained. ``RuntimeError`` if none is."""
        if self._output_arrays is None:
            raise RuntimeError(f"{self._title()}: no output is retained; call retain_outputs in forward")
        return tuple([self._output_arrays.get(i) for i in range(len(self.outputs or ()))])

    # -- hooks

    @property
    def local_function_hooks(self) -> dict[str, FunctionHook]:
        """Hooks of this function alone, by name."""
        if self._local_function_hooks is None:
            self._local_function_hooks = {}
        return self._local_function_hooks

    def add_hook(self, hook: FunctionHook, name: str | None = None) -> None:
        """Call ``hook`` before and after this function, there and back."""
        if not isinstance(hook, FunctionHook):
            raise TypeError(f"{self._title()}.add_hook: got {type(hook).__name__}; wanted a FunctionHook")
        register(self.local_function_hooks, hook, name, self)

    def delete_hook(self, name: str) -> None:
        """Stop calling the hook of that name; ``KeyError`` if there is none."""
        if name not in self.local_function_hooks:
            raise KeyError(f"{self._title()}.delete_hook: hook {name} does not exist")
        self.local_function_hooks.pop(name).deleted(self)

    def _hooks(self) -> Sequence[FunctionHook]:
        return tuple({**this_thread.hooks, **(self._local_function_hooks or {})}.values())

    # -- checks: one place for all functions

    def _title(self) -> str:
        return self.name or type(self).__name__

    def _argument(self, index: int) -> str:
        return self.arguments[index] if index < len(self.arguments) else f"input {index}"

    def _as_variable(self, index: int, x: Any) -> Variable:
        # a user's function may have arguments that can be left out
        if not is_array(x) and (x is not None or type(self).__module__.startswith("minigan.functions.")):
            raise TypeError(
                f"{self._title()}: {self._argument(index)} is a {type(x).__name__}; wanted a Variable or an array"
            )
        return Variable(x, requires_grad=False)

    def _check_inputs(self, arrays: tuple, inputs: Sequence[Any]) -> None:
        """Raise a sentence for uninitialised parameters, mixed devices and mixed or wrong dtypes."""
        kind, dtype = type(arrays[0]), getattr(arrays[0], "dtype", None)
        for x in arrays:
            if type(x) is not kind or x is None or x.dtype != dtype or dtype.kind != "f":
                self._check_one_by_one(arrays, inputs)
                break
        if getattr(self.check_type_forward, "__func__", None) is not _checks_nothing and config.type_check:
            type_check.check(self, arrays)

    def _check_one_by_one(self, arrays: tuple, inputs: Sequence[Any]) -> None:
        for i, x in enumerate(arrays):
            if x is None and inputs[i] is not None:
                raise ValueError(
                    f"{self._title()}: {self._argument(i)} is a parameter without a shape yet; "
                    "call its initialize(shape), or pass data through its link once"
                )
            if x is not None and get_array_module(x) is not get_array_module(arrays[0]):
                first, second = (get_device_from_array(a).name for a in (arrays[0], x))
                raise TypeError(
                    f"{self._title()}: {self._argument(0)} is on {first} but {self._argument(i)} is on {second}; "
                    "move the array with backends.cuda.to_gpu(x) or to_cpu(x), or the link with link.to_device(device)"
                )
        if not self.arguments or not config.type_check:
            return
        dtype = arrays[0].dtype
        if self.floating and dtype.kind != "f":
            raise InvalidType(
                f"{self._title()}: {self._argument(0)} is {dtype}; wanted floating point; "
                "cast it with x.astype('float32')"
            )
        for i, x in enumerate(arrays):
            if x.dtype != dtype:
                raise InvalidType(
                    f"{self._title()}: {self._argument(0)} is {dtype} but {self._argument(i)} is {x.dtype}; "
                    f"cast one of them (x.astype({str(dtype)!r}), or F.cast for a Variable)"
                )

    def _check_nan(self, arrays: Iterable[Any], way: str) -> None:
        for x in arrays:
            if x is not None and x.dtype.kind == "f" and bool(get_array_module(x).isnan(x).any()):
                raise RuntimeError(f"NaN is detected on {way} computation of {self.label}")

    def _send_back(self, indexes: tuple[int, ...], gradients: tuple, before: list,
                   debug: bool) -> Sequence[Variable | None]:  # fmt: skip
        """Call ``backward`` (or ``backward_accumulate`` of a user's function, for which ``before`` is) and check it."""
        hooks = self._hooks() if this_thread.hooks or self._local_function_hooks else ()
        if hooks:
            data = tuple([x.data for x in self.inputs])
            arrays = tuple([None if g is None else g._array for g in gradients])
        for hook in hooks:
            hook.backward_preprocess(self, data, arrays)
        try:
            if before:
                results = self.backward_accumulate(indexes, gradients, tuple(before))
            else:
                results = self.backward(indexes, gradients)
            if results is not None and len(results) == len(self.inputs or ()) > len(indexes):
                results = tuple([results[i] for i in indexes])  # those of all inputs are welcome too
            self._check_gradients(results, indexes)
            if debug:
                self._check_nan([None if g is None else g._array for g in results], "backward")
        except Exception as error:
            if self.stack is None:
                raise
            place = "".join(traceback.format_list(self.stack))
            raise type(error)(f"{error}\nStacktrace of the function is below:\n{place}") from error
        for hook in hooks:
            hook.backward_postprocess(self, data, arrays)
        return results

    def _check_gradients(self, results: Any, indexes: tuple[int, ...]) -> None:
        if results is None or len(results) != len(indexes):
            raise (TypeError if results is None else ValueError)(
                f"{self._title()}: number of gradients returned from backward is incorrect: "
                f"{'None' if results is None else len(results)}; "
                f"wanted a tuple of {len(indexes)}, one for each input in {indexes}"
            )
        inputs = self.inputs
        for i, gradient in zip(indexes, results):
            if gradient is None:
                continue
            if not isinstance(gradient, Variable):
                raise ValueError(
                    f"{self._title()}: type of gradients returned from backward is incorrect: that of "
                    f"{self._argument(i)} is a {type(gradient).__name__}; wanted a Variable"
                )
            if gradient._array.shape != inputs[i].shape:
                raise ValueError(
                    f"{self._title()}: shape of gradients returned from backward is incorrect: that of "
                    f"{self._argument(i)} is {gradient.shape}, but the input's is {inputs[i].shape}"
                )


_checks_nothing = FunctionNode.check_type_forward


def _device_of(x: Any) -> AbstractContextManager[Any]:
    """A block in which the GPU of the array x is the current one, where new arrays are made."""
    return on_device_of(get_array_module(x), x)


def _without_axes(y: numpy.generic, dtype: numpy.dtype) -> numpy.ndarray:
    """Return the array without axes for which NumPy gives a number; NumPy 1 also widened it to float64."""
    widened = numpy.__version__.startswith("1.") and dtype.kind == "f" == y.dtype.kind
    return numpy.asarray(y, dtype if widened else None)


# --------------------------------------------------------------------------------------------------------------------
# The walk back
# --------------------------------------------------------------------------------------------------------------------


def _walk(
    start: dict[VariableNode, Variable],
    wants: Callable[[FunctionNode], tuple[int, ...]],
    visit: Callable[[VariableNode, Variable], None],
) -> None:
    """Send gradients from the nodes of ``start`` backwards through the graph.

    Functions are taken by falling rank, each after all functions that used its outputs. That order is the whole
    secret. Take ``b = a + a; c = b + b``: a walk by plain recursion would leave ``b`` twice, the first time with half
    of its gradient, and add the parts of ``a`` wrongly. Here ``b`` is left once, when its gradient is complete.

    ``wants(function)`` gives the numbers of the inputs whose gradient the function need compute. ``visit(node,
    gradient)`` is told the complete gradient of every node.
    """
    pending = dict(start)
    debug = is_debug()
    order = itertools.count()
    heap: list[tuple[int, int, FunctionNode]] = []
    seen: set[int] = set()

    def push(function: FunctionNode) -> None:
        if id(function) not in seen:
            seen.add(id(function))
            heapq.heappush(heap, (-function.rank, next(order), function))

    for node in start:
        if node.creator_node is not None:
            push(node.creator_node)
    while heap:
        function = heapq.heappop(heap)[2]
        inputs = function.inputs
        if inputs is None or function.outputs is None:
            continue
        # hold the output nodes: get_retained_outputs must find them alive
        nodes, gradients = [], []
        for reference in function.outputs:
            node = reference()
            gradient = None if node is None else pending.pop(node, None)
            if gradient is not None:
                visit(node, gradient)
            nodes.append(node)
            gradients.append(gradient)
        indexes = wants(function)
        if not indexes:
            continue
        before = []
        if type(function).backward_accumulate is not FunctionNode.backward_accumulate:
            before = [pending.pop(inputs[i], None) for i in indexes]
        for i, gradient in zip(indexes, function._send_back(indexes, tuple(gradients), before, debug)):
            if gradient is not None:
                node = inputs[i]
                other = pending.get(node)
                pending[node] = gradient if other is None else other + gradient
                if node.creator_node is not None:
                    push(node.creator_node)
    for node, gradient in pending.items():
        if node.creator_node is not None and id(node.creator_node) in seen and node.creator_node.inputs is not None:
            raise RuntimeError(f"{node.creator_node._title()} was applied again after the output that has a gradient")
        visit(node, gradient)


def _plus(a: Variable | None, b: Variable | None) -> Variable | None:
    return b if a is None else a if b is None else a + b


def _first_gradient(variable: Variable) -> Variable:
    gradient = variable._grad_var
    if gradient is None:
        if variable._array is None:
            raise AttributeError("backward: the Variable has no array, so there is nothing to differentiate")
        if variable.size != 1:
            raise TypeError(
                f"backward: the Variable has shape {variable.shape} and no gradient to start from; "
                "set its grad first, or reduce it to one number (F.sum, F.mean)"
            )
        if variable.ndim:
            warnings.warn(
                f"backward: starting from shape {variable.shape} is deprecated; make it a number by F.squeeze, "
                "or set its grad", DeprecationWarning, 3,
            )  # fmt: skip
        with _device_of(variable._array):
            gradient = Variable(variable.xp.ones_like(variable._array), requires_grad=False)
    return gradient


def backward(
    outputs: Sequence[Variable], grad_outputs: Sequence[Variable | None] | None = None, *, retain_grad: bool = False,
    enable_double_backprop: bool = False, loss_scale: float | None = None,
) -> None:  # fmt: skip
    """Compute the gradients of several Variables at once, starting from ``grad_outputs`` or from their ``grad``.

    An output without either is left out, with a warning. See ``Variable.backward``.
    """
    _check_lists("backward", outputs=outputs, grad_outputs=grad_outputs)
    start: dict[VariableNode, Variable] = {}
    for i, y in enumerate(outputs):
        gradient = y._grad_var if grad_outputs is None else grad_outputs[i]
        if gradient is None:
            warnings.warn(f"backward: outputs[{i}] has no grad, so nothing starts from it", RuntimeWarning, 2)
        elif y.requires_grad:
            start[y._node] = _plus(start.get(y._node), gradient)  # type: ignore[assignment]
    _backward(start, retain_grad, enable_double_backprop, loss_scale)


def _backward(start: dict[VariableNode, Variable], retain_grad: bool, enable_double_backprop: bool,
              loss_scale: float | None) -> None:  # fmt: skip
    def wants(function: FunctionNode) -> tuple[int, ...]:
        return tuple(itertools.compress(itertools.count(), map(_wants_gradient, function.inputs)))

    def visit(node: VariableNode, gradient: Variable) -> None:
        variable = node._variable()
        if variable is None:
            return
        if node.creator_node is not None:
            if retain_grad or node in start:
                variable._grad_var = gradient if retain_grad else None
            return
        if node in start:
            variable._grad_var = gradient
            return
        if gradient._array.dtype != node.dtype:
            if is_debug():
                raise ValueError(
                    f"dtype of gradients returned from backward is incorrect: {gradient.dtype} for {node.dtype}"
                )
            variable._check_gradient(gradient._array)
        # a broadcast gradient is a read-only view; users and optimizers change gradients in place
        if not is_recording() and 0 in gradient._array.strides:
            gradient = Variable(gradient._array.copy(), requires_grad=False)
        variable.grad_var = _plus(variable._grad_var, gradient)
        if variable._loss_scale != loss_scale:
            variable._loss_scale = loss_scale

    with using_config("enable_backprop", enable_double_backprop):
        if loss_scale is not None:
            start = {node: gradient * loss_scale for node, gradient in start.items()}
        _walk(start, wants, visit)


def _check_lists(function: str, **arguments: Any) -> None:
    """Raise ``TypeError`` unless each is a list or tuple (or None where it begins with grad_)."""
    for name, value in arguments.items():
        if not isinstance(value, (list, tuple)) and not (value is None and name.startswith("grad_")):
            raise TypeError(
                f"{function}: {name} is a {type(value).__name__}; wanted a list or tuple: put a single one in a list"
            )


def grad(
    outputs: Sequence[Variable], inputs: Sequence[Variable], grad_outputs: Sequence[Variable | None] | None = None,
    grad_inputs: Sequence[Variable | None] | None = None, set_grad: bool = False, retain_grad: bool = False,
    enable_double_backprop: bool = False, loss_scale: float | None = None,
) -> list[Variable | None]:  # fmt: skip
    """Return the gradients of ``outputs`` with respect to ``inputs``, walking only the paths between them.

    Args:
        outputs, inputs: lists of Variables.
        grad_outputs: where to start, one for each output; None stands for ones.
        grad_inputs: gradients of the inputs to which the walk adds; where one input leads to another they go on to it.
        set_grad: put the results into ``grad_var`` of the inputs as well. Other Variables are never touched, unless
            ``retain_grad`` asks for those in between.
        enable_double_backprop: record the graph of the gradients, so that they can be differentiated.
        loss_scale: a factor for the first gradients.

    Returns one Variable for each input, None where no path leads to it.
    """
    _check_lists("grad", outputs=outputs, inputs=inputs, grad_outputs=grad_outputs, grad_inputs=grad_inputs)
    for name, given, names, count in (
        ("grad_outputs", grad_outputs, "outputs", len(outputs)), ("grad_inputs", grad_inputs, "inputs", len(inputs)),
    ):  # fmt: skip
        if given is not None and len(given) != count:
            raise ValueError(f"grad: {name} must be as long as {names}: it has {len(given)}, they are {count}")
    for name, variables in (("outputs", outputs), ("inputs", inputs)):
        for i, x in enumerate(variables):
            if not isinstance(x, Variable):
                raise TypeError(f"grad: {name}[{i}] is a {type(x).__name__}; wanted a Variable, one of the graph")
    targets = {x._node for x in inputs}
    on_path = _functions_between([y._node for y in outputs], targets)
    found: dict[VariableNode, Variable] = {}

    def wants(function: FunctionNode) -> tuple[int, ...]:
        inputs = function.inputs if id(function) in on_path else ()
        return tuple([i for i, x in enumerate(inputs) if id(x.creator_node) in on_path or x in targets])

    def visit(node: VariableNode, gradient: Variable) -> None:
        if node in targets:
            found[node] = gradient
        if retain_grad and node.creator_node is not None:
            variable = node._variable()
            if variable is not None:
                variable._grad_var = gradient

    with using_config("enable_backprop", enable_double_backprop):
        start: dict[VariableNode, Variable] = {}
        for i, y in enumerate(outputs):
            gy = None if grad_outputs is None else grad_outputs[i]
            with _device_of(y._array):
                gradient = Variable(y.xp.ones_like(y._array), requires_grad=False) if gy is None else as_variable(gy)
            if gradient.shape != y.shape:
                raise ValueError(f"grad: grad_outputs[{i}] has shape {gradient.shape}, but outputs[{i}] has {y.shape}")
            if loss_scale is not None:
                gradient = gradient * loss_scale
            start[y._node] = gradient
        for x, gx in zip(inputs, grad_inputs or ()):
            if gx is not None:
                start[x._node] = _plus(start.get(x._node), gx)  # type: ignore[assignment]
        _walk(start, wants, visit)
        results = [found.get(x._node) for x in inputs]
    if set_grad:
        for x, g in zip(inputs, results):
            x.grad_var = g
    return results


def _functions_between(ends: list[VariableNode], targets: set[VariableNode]) -> set[int]:
    """Return the ids of the functions on some path from ``targets`` to ``ends``."""
    functions: dict[int, FunctionNode] = {}
    stack = [node.creator_node for node in ends]
    while stack:
        function = stack.pop()
        if function is not None and id(function) not in functions and function.inputs is not None:
            functions[id(function)] = function
            stack.extend(map(_creator_of, function.inputs))
    on_path: set[int] = set()
    for function in sorted(functions.values(), key=operator.attrgetter("rank")):
        creators = map(_creator_of, function.inputs)
        if not targets.isdisjoint(function.inputs) or not on_path.isdisjoint(map(id, creators)):
            on_path.add(id(function))
    return on_path


# --------------------------------------------------------------------------------------------------------------------
# Arithmetic: the functions that gradients themselves are made of
# --------------------------------------------------------------------------------------------------------------------


class _Binary(FunctionNode):
    """An operator of two operands, with broadcasting. Either may be a constant, which then is no input."""

    floating = False
    arguments = ("lhs", "rhs")
    symbol: ClassVar[str] = "?"
    compute: Any  #: from the arrays of both operands to the result
    keeps: Any = True  #: whether `partial` needs the operands

    def __init__(self, left: Any = None, right: Any = None, dtype: Any = None) -> None:
        self.written = (left, right)
        self.constants = (_constant(left, dtype), _constant(right, dtype))

    @property
    def label(self) -> str:
        words = ["_" if c is None else f"({c})" if c < 0 else str(c) for c in self.written]
        return f"{words[0]} {self.symbol} {words[1]}"

    def _title(self) -> str:
        return self.label

    def operands(self, inputs: Sequence[Any]) -> tuple[Any, Any]:
        """Put inputs and constants in their places."""
        left, right = self.constants
        if left is not None:
            return left, inputs[0]
        return inputs[0], inputs[1] if right is None else right

    def forward(self, inputs: tuple) -> tuple:
        left, right = self.operands(inputs)
        if self.keeps:
            self.retain_inputs(range(len(inputs)))
        try:
            return (self.compute(left, right),)
        except ValueError as error:
            raise InvalidType(f"{self.label}: shapes {left.shape} and {right.shape} do not broadcast") from error

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        retained = self.get_retained_inputs() if self.keeps else [None] * len(self.inputs)
        left, right = self.operands(retained)
        sides = [side for side in (0, 1) if self.constants[side] is None]
        return tuple(
            sum_to(self.partial(sides[i], grad_outputs[0], left, right), self.inputs[i].shape) for i in indexes
        )

    def partial(self, side: int, gy: Any, left: Any, right: Any) -> Any:
        """Return the gradient of the left (0) or right (1) operand, before broadcasting is undone."""
        raise NotImplementedError


def _binary(kind: type[_Binary], left: Any, right: Any) -> Variable:
    """Apply an operator to a Variable and a Variable, an array or a number.

    A constant takes the Variable's dtype: a NumPy float64 number does not turn float32 into float64.
    """
    if isinstance(left, Variable) and isinstance(right, Variable) and left._array is not None:
        return kind().apply((left, right))[0]
    numbers = [_number(left), _number(right)]
    variable = left if isinstance(left, Variable) else right
    inputs = [_operand(x, variable, kind.symbol) for x, number in zip((left, right), numbers) if number is None]
    if variable._array is None:
        raise ValueError(f"_ {kind.symbol} _: the parameter {variable.name or ''} has no shape yet")
    return kind(numbers[0], numbers[1], variable._array.dtype).apply(inputs)[0]


def _operand(value: Any, variable: Variable, symbol: str) -> Any:
    """Return an array in the dtype of the Variable at its side, a Variable as it is."""
    if isinstance(value, Variable):
        return value
    if not is_array(value):
        raise TypeError(f"_ {symbol} _: got {type(value).__name__}; wanted a number, an array or a Variable")
    return value if variable._array is None else value.astype(variable.dtype, copy=False)


def _number(value: Any) -> Any:
    """Return ``value`` as a Python number if it is a real one, else None."""
    if isinstance(value, numpy.generic):
        value = value.item()
    return value if isinstance(value, (int, float)) else None


def _constant(number: Any, dtype: Any) -> Any:
    if number is None or dtype is None:
        return number
    return dtype.type(number) if dtype.kind == "f" else numpy.asarray(number).astype(dtype)[()]  # integers wrap around


class Add(_Binary):
    """a + b."""

    symbol, keeps = "+", False
    compute = staticmethod(operator.add)

    def partial(self, side: int, gy: Any, left: Any, right: Any) -> Any:
        return gy


class Sub(_Binary):
    """a - b."""

    symbol, keeps = "-", False
    compute = staticmethod(operator.sub)

    def partial(self, side: int, gy: Any, left: Any, right: Any) -> Any:
        return gy if side == 0 else -gy


class Mul(_Binary):
    """a b. Whole numbers may be multiplied by a number, not by each other: Chainer has it so."""

    symbol = "*"
    compute = staticmethod(operator.mul)

    @property
    def keeps(self) -> bool:  # type: ignore[override]
        return self.constants == (None, None)

    floating = keeps  # type: ignore[assignment]

    def partial(self, side: int, gy: Any, left: Any, right: Any) -> Any:
        return gy * (right if side == 0 else left)


class Div(_Binary):
    """a / b; whole numbers may be divided by a number, and stay whole."""

    symbol = "/"

    @property
    def keeps(self) -> bool:  # type: ignore[override]
        return self.constants[1] is None

    floating = keeps  # type: ignore[assignment]

    def compute(self, left: Any, right: Any) -> Any:
        return (left / right).astype(left.dtype, copy=False)

    def partial(self, side: int, gy: Any, left: Any, right: Any) -> Any:
        return gy / right if side == 0 else -gy * left / (right * right)


class FloorDiv(_Binary):
    """The largest whole number not above a / b; it has no gradient."""

    symbol, keeps = "//", False
    compute = staticmethod(operator.floordiv)
    floating = Div.floating


def _floor_divide(left: Any, right: Any) -> Variable:
    with using_config("enable_backprop", False):
        return Variable(_binary(FloorDiv, left, right)._array, requires_grad=False)


class Pow(_Binary):
    """a to the power of b."""

    symbol, floating = "**", True
    compute = staticmethod(operator.pow)

    def partial(self, side: int, gy: Any, left: Any, right: Any) -> Any:
        if side == 0:
            return gy * (right * left ** (right - 1))
        logarithm = log(left) if isinstance(left, Variable) else numpy.log(left)
        return gy * (logarithm * left**right)


class Elementwise(FunctionNode):
    """y = value(xp, x) element by element, in the dtype of x; gx = gradient(gy, x, y), in arithmetic of Variables.

    ``gradient`` may leave out x or y: what it does not name is not kept. ``InvalidType`` unless x is floating point.
    A function without arguments is one statement, ``Sin, sin = elementwise("Sin", "sin", "Sine of x.", lambda gy, x:
    gy * cos(x))``; one with arguments is a subclass, in which ``gradient`` is a method with the same parameters.
    """

    arguments = ("x",)
    needs: ClassVar[tuple[str, ...]] = ()
    gradient: ClassVar[Callable[..., Variable]]

    def __init_subclass__(cls) -> None:
        code = cls.gradient.__code__
        cls.needs = code.co_varnames[: code.co_argcount]

    def value(self, xp: Any, x: Any) -> Any:
        """Compute the result from the array ``x``; a wider or narrower dtype is cast to that of x afterwards."""
        raise NotImplementedError

    def forward(self, inputs: tuple) -> tuple:
        (x,) = inputs
        if "x" in self.needs:
            self.retain_inputs((0,))
        if "y" in self.needs:
            self.retain_outputs((0,))
        y = self.value(get_array_module(x), x)
        return (y.astype(x.dtype, copy=False) if x.dtype.kind == "f" else y,)  # integers: with config.type_check off

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        known = {}
        if "x" in self.needs:
            (known["x"],) = self.get_retained_inputs()
        if "y" in self.needs:
            (known["y"],) = self.get_retained_outputs()
        return (self.gradient(grad_outputs[0], **known),)


def elementwise(
    node: str, name: str, doc: str, gradient: Callable[..., Variable], value: Callable[[Any, Any], Any] | None = None,
    label: str | None = None, **attributes: Any,
) -> tuple[type[Elementwise], Callable[[Any], Variable]]:  # fmt: skip
    """Make a node class called ``node`` and the public function ``name(x)`` that applies it.

    ``value(xp, x)`` is ``xp.<name>(x)`` unless given, ``label`` the name of the function.
    """

    def function(x: Any) -> Variable:
        return kind().apply((x,))[0]

    module = gradient.__module__
    kind = type(node, (Elementwise,), {
        "__module__": module, "__doc__": doc, "name": name, "label": label or name, "gradient": staticmethod(gradient),
        "value": staticmethod(value or (lambda xp, x: getattr(xp, name)(x))), **attributes,
    })  # fmt: skip
    function.__module__, function.__name__, function.__qualname__, function.__doc__ = module, name, name, doc
    return kind, function


Neg, neg = elementwise("Neg", "neg", "-x.", lambda gy: -gy, lambda xp, x: -x, "__neg__", floating=False)
Absolute, absolute = elementwise(
    "Absolute", "absolute", "The absolute values; the gradient at 0 is 0.", lambda gy, x: gy * x.xp.sign(x.array),
    label="|_|",
)  # fmt: skip
Exp, exp = elementwise("Exp", "exp", "e to the power of x.", lambda gy, y: gy * y)
Log, log = elementwise("Log", "log", "The natural logarithm of x.", lambda gy, x: gy / x)


gemm.allows_tf32 = lambda: config.tf32  # kernels know nothing of the library


class MatMul(FunctionNode):
    """Products of matrices, the last two axes; the axes before them are broadcast."""

    name = "matmul"

    def forward(self, inputs: tuple) -> tuple:
        a, b = inputs
        if a.dtype.kind != "f" or b.dtype.kind != "f":
            raise InvalidType(f"matmul: a is {a.dtype}, b is {b.dtype}; wanted floating point; cast with F.cast")
        self.retain_inputs((0, 1))
        try:
            return ((numpy.matmul if get_array_module(a) is numpy else gemm.product)(a, b),)
        except ValueError as error:
            raise InvalidType(f"matmul: shapes {a.shape} and {b.shape} do not fit") from error

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        a, b = self.get_retained_inputs()
        (gy,) = grad_outputs
        products = [matmul(gy, _swap(b)) if i == 0 else matmul(_swap(a), gy) for i in indexes]
        return tuple(
            cast(sum_to(product, self.inputs[i].shape), self.inputs[i].dtype)
            for i, product in zip(indexes, products)
        )


class Sum(FunctionNode):
    """The sum over some axes."""

    arguments = ("x",)

    def __init__(self, axis: tuple[int, ...] | None, keepdims: bool) -> None:
        self.axis, self.keepdims = axis, keepdims

    def forward(self, inputs: tuple) -> tuple:
        return (inputs[0].sum(axis=self.axis, keepdims=self.keepdims),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        (gy,) = grad_outputs
        shape = self.inputs[0].shape
        if not self.keepdims and len(shape) != gy.ndim:
            axes = range(len(shape)) if self.axis is None else [a % len(shape) for a in self.axis]
            gy = reshape(gy, tuple(1 if i in axes else n for i, n in enumerate(shape)))
        return (broadcast_to(gy, shape),)


class BroadcastTo(FunctionNode):
    """The array repeated along new axes and axes of length 1."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def forward(self, inputs: tuple) -> tuple:
        try:
            return (get_array_module(inputs[0]).broadcast_to(inputs[0], self.shape),)
        except ValueError as error:
            raise InvalidType(f"broadcast_to: shape {inputs[0].shape} does not broadcast to {self.shape}") from error

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        return (sum_to(grad_outputs[0], self.inputs[0].shape),)


class SumTo(FunctionNode):
    """The sum over all axes that broadcasting would repeat: the reverse of ``BroadcastTo``."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def forward(self, inputs: tuple) -> tuple:
        (x,) = inputs
        extra = x.ndim - len(self.shape)
        axes = tuple(i for i, n in enumerate(x.shape) if i < extra or (self.shape[i - extra] == 1 and n != 1))
        return (x.sum(axis=axes, keepdims=True).reshape(self.shape),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        return (broadcast_to(grad_outputs[0], self.inputs[0].shape),)


class Reshape(FunctionNode):
    """The same elements in another shape."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def forward(self, inputs: tuple) -> tuple:
        try:
            return (inputs[0].reshape(self.shape),)
        except ValueError as error:
            raise InvalidType(
                f"reshape: {inputs[0].size} elements of shape {inputs[0].shape} do not fill shape {self.shape}"
            ) from error

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        return (reshape(grad_outputs[0], self.inputs[0].shape),)


class Transpose(FunctionNode):
    """The axes in another order."""

    def __init__(self, axes: tuple[int, ...] | None) -> None:
        self.axes = axes

    def forward(self, inputs: tuple) -> tuple:
        try:
            return (inputs[0].transpose(self.axes),)
        except ValueError as error:
            raise ValueError(f"transpose: axes {self.axes} do not fit shape {inputs[0].shape}") from error

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        (gy,) = grad_outputs
        if self.axes is None:
            return (transpose(gy),)
        inverse = numpy.argsort([a % gy.ndim for a in self.axes])
        return (transpose(gy, tuple(int(a) for a in inverse)),)


class GetItem(FunctionNode):
    """Part of an array, by any of NumPy's indexes."""

    def __init__(self, index: Any) -> None:
        self.index = index

    def forward(self, inputs: tuple) -> tuple:
        try:
            return (inputs[0][self.index],)
        except IndexError as error:
            raise IndexError(f"get_item: x has shape {inputs[0].shape}: {error}") from error

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        return GetItemGrad(self.index, self.inputs[0].shape).apply((grad_outputs[0],))


class GetItemGrad(FunctionNode):
    """Zeros, with the input added at the places that the index names."""

    def __init__(self, index: Any, shape: tuple[int, ...]) -> None:
        self.index, self.shape = index, shape

    def forward(self, inputs: tuple) -> tuple:
        (gy,) = inputs
        xp = get_array_module(gy)
        gx = xp.zeros(self.shape, gy.dtype)
        if _names_each_place_once(self.index):
            gx[self.index] = gy
        else:
            xp.add.at(gx, self.index, gy)
        return (gx,)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        return (get_item(grad_outputs[0], self.index),)


def _names_each_place_once(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return all(part is None or part is Ellipsis or isinstance(part, (int, numpy.integer, slice)) for part in parts)


class Cast(FunctionNode):
    """The elements in another floating-point type."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = numpy.dtype(dtype)

    def forward(self, inputs: tuple) -> tuple:
        return (inputs[0].astype(self.dtype, copy=False),)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        return (cast(grad_outputs[0], self.inputs[0].dtype),)


# -- the same as functions


def add(*xs: Any) -> Variable:
    """Return the sum of Variables or arrays, with broadcasting."""
    if not xs:
        raise ValueError("add: got no arguments; wanted one or more")
    total = as_variable(xs[0])
    for x in xs[1:]:
        total = total + x
    return total


def sub(lhs: Any, rhs: Any) -> Variable:
    """Return ``lhs - rhs``."""
    return _binary(Sub, *_with_one_variable(lhs, rhs))


def mul(lhs: Any, rhs: Any) -> Variable:
    """Return ``lhs * rhs``."""
    return _binary(Mul, *_with_one_variable(lhs, rhs))


def div(lhs: Any, rhs: Any) -> Variable:
    """Return ``lhs / rhs``."""
    return _binary(Div, *_with_one_variable(lhs, rhs))


def pow(lhs: Any, rhs: Any) -> Variable:
    """Return ``lhs ** rhs``."""
    return _binary(Pow, *_with_one_variable(lhs, rhs))


def _with_one_variable(lhs: Any, rhs: Any) -> tuple[Any, Any]:
    if isinstance(lhs, Variable) or isinstance(rhs, Variable):
        return lhs, rhs
    return (as_variable(lhs), rhs) if is_array(lhs) else (lhs, as_variable(rhs))


def _swap(x: Variable) -> Variable:
    return transpose(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def matmul(a: Any, b: Any) -> Variable:
    """Return the matrix product over the last two axes, as ``numpy.matmul``: vectors are allowed, the rest broadcasts.

    Raises ``InvalidType`` where the shapes do not fit.
    """
    a, b = as_variable(a), as_variable(b)
    if a.ndim == 0 or b.ndim == 0:
        raise InvalidType(f"matmul: shapes {a.shape} and {b.shape}; wanted one axis or more in each; use * for numbers")
    left = reshape(a, (1, a.size)) if a.ndim == 1 else a
    right = reshape(b, (b.size, 1)) if b.ndim == 1 else b
    y = MatMul().apply((left, right))[0]
    if a.ndim > 1 and b.ndim > 1:
        return y
    shape = y.shape[:-2] + (y.shape[-2:-1] if a.ndim > 1 else ()) + (y.shape[-1:] if b.ndim > 1 else ())
    return reshape(y, shape)


def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """Return the sum over ``axis`` (a number, a tuple, or None for all); ``keepdims`` leaves axes of length 1.

    Raises ``InvalidType`` for an axis that ``x`` does not have.
    """
    x = as_variable(x)
    if axis is not None:
        axis = (axis,) if isinstance(axis, (int, numpy.integer)) else tuple(axis)
        try:
            different = {range(x.ndim)[a] for a in axis}
        except IndexError:
            raise InvalidType(f"sum: axis {axis} does not exist in shape {x.shape}") from None
        if len(different) != len(axis):
            raise ValueError(f"sum: axis {axis} names an axis twice")
    return Sum(axis, keepdims).apply((x,))[0]


def broadcast_to(x: Any, shape: Any) -> Variable:
    """Return ``x`` repeated so that it has that shape. On NumPy the result is a read-only view."""
    x = as_variable(x)
    shape = (shape,) if isinstance(shape, (int, numpy.integer)) else tuple(shape)
    return x if x.shape == shape else BroadcastTo(shape).apply((x,))[0]


def sum_to(x: Any, shape: Any) -> Variable:
    """Return ``x`` summed to that shape: the reverse of ``broadcast_to``."""
    x = as_variable(x)
    return x if x.shape == tuple(shape) else SumTo(tuple(shape)).apply((x,))[0]


def reshape(x: Any, shape: Any) -> Variable:
    """Return the same elements in another shape; one length may be -1. Raises ``InvalidType`` if they do not fit."""
    x = as_variable(x)
    shape = (shape,) if isinstance(shape, (int, numpy.integer)) else tuple(shape)
    return x if x.shape == shape else Reshape(shape).apply((x,))[0]


def transpose(x: Any, axes: Any = None) -> Variable:
    """Return ``x`` with its axes in the order ``axes``; reversed for None. ``ValueError`` for others than it has."""
    if isinstance(axes, (int, numpy.integer)):
        axes = (axes,)
    return Transpose(None if axes is None else tuple(axes)).apply((x,))[0]


def get_item(x: Any, slices: Any) -> Variable:
    """Return ``x[slices]``: numbers, slices, None, ``...``, integer or boolean arrays, as in NumPy.

    A list of anything but numbers counts as a tuple, as in Chainer.
    """
    return GetItem(as_index("get_item", slices)).apply((x,))[0]


def as_index(function: str, slices: Any) -> Any:
    """Return the index for NumPy: a list of anything but numbers as a tuple. Raises for a Variable in it."""
    if isinstance(slices, list) and not all(isinstance(part, (int, numpy.generic)) for part in slices):
        slices = tuple(slices)
    parts = slices if isinstance(slices, tuple) else (slices,)
    if any(isinstance(part, Variable) for part in parts):
        raise IndexError(f"{function}: a Variable cannot be an index; use its array")
    if len([part for part in parts if part is Ellipsis]) > 1:
        raise (ValueError if config.debug else IndexError)(f"{function}: the index has more than one '...'")
    return slices


def cast(x: Any, typ: Any) -> Variable:
    """Return ``x`` in the floating-point type ``typ``; the gradient comes back in the type of ``x``."""
    x = as_variable(x)
    return x if x.dtype == numpy.dtype(typ) else Cast(typ).apply((x,))[0]
