"""Conditions on shapes and dtypes that can say which of them failed, and the error that they raise.

``check_type_forward(in_types)`` of a user's function calls ``expect(in_types[0].ndim >= 2, ...)``. It runs twice at
most: first on the arrays themselves, where a condition is a plain bool and costs nothing (light mode); only if one
fails once more on expressions, which remember how they were written: ``Expect: in_types[0].ndim >= 2, Actual: 1 < 2``.
The library's own functions check with a plain ``if`` and raise :class:`InvalidType` with a sentence.
"""

from __future__ import annotations

import contextlib
import operator
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy

from minigan.backends.cuda import is_gpu_array


class _Thread(threading.local):
    light = False
    function: Any = None


_thread = _Thread()


class InvalidType(Exception):
    """An argument has a shape, a dtype or a number that the function cannot take.

    ``InvalidType(sentence)``, or ``InvalidType(expect, actual, msg=None)`` as :func:`expect` raises it.
    """

    def __init__(self, expect: str, actual: str | None = None, msg: str | None = None) -> None:
        if msg is None:
            msg = expect if actual is None else f"Expect: {expect}\nActual: {actual}"
            if actual is not None and _thread.function is not None:
                msg = f"\nInvalid operation is performed in: {_thread.function.label} (Forward)\n\n{msg}"
        super().__init__(msg)
        self.expect, self.actual = expect, actual

    def __reduce__(self) -> tuple:
        return InvalidType, (self.expect, self.actual, str(self))


# -- expressions


class Expr:
    """Something that is computed later and can be printed: every operator, attribute, index and call gives another."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, priority: int) -> None:
        self.priority = priority

    def eval(self) -> Any:
        """Return the value."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> GetAttr:
        if name.startswith("__"):
            raise AttributeError(name)
        return GetAttr(self, name)

    def __getitem__(self, key: Any) -> GetItem:
        return GetItem(self, key)

    def __call__(self, *args: Any) -> Call:
        return Call(self, args)

    def __bool__(self) -> bool:
        raise RuntimeError("an Expr has no truth value; compute it first with utils.type_check.eval(...)")


class Testable:
    """A condition, which :func:`expect` can test."""


class Atom(Expr):
    """An expression that never needs parentheses."""

    def __init__(self) -> None:
        super().__init__(8)

    def __iter__(self) -> Any:
        raise TypeError(f"{self} cannot be iterated: its length is not known before it is computed")


class Constant(Atom):
    """A value, printed as it is."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value

    def __str__(self) -> str:
        return _repr(self.value)

    def eval(self) -> Any:
        return self.value


class Variable(Constant):
    """A value with a name, which is what is printed."""

    def __init__(self, value: Any, name: str) -> None:
        super().__init__(value)
        self.name = name

    def __str__(self) -> str:
        return self.name


class GetAttr(Atom):
    """``obj.name``."""

    def __init__(self, obj: Any, name: Any) -> None:
        super().__init__()
        self.obj, self.name = obj, name

    def __str__(self) -> str:
        name = _eval(self.name)
        return f"{_repr(self.obj)}.{name}" if isinstance(name, str) else f"getattr({_repr(self.obj)}, {_repr(name)})"

    def eval(self) -> Any:
        return getattr(_eval(self.obj), _eval(self.name))


class GetItem(Atom):
    """``obj[key]``."""

    def __init__(self, obj: Any, key: Any) -> None:
        super().__init__()
        self.obj, self.key = obj, key

    def __str__(self) -> str:
        keys = self.key if isinstance(self.key, tuple) else (self.key,)
        return f"{_repr(self.obj)}[{', '.join(_subscript(k) for k in keys)}]"

    def eval(self) -> Any:
        return _eval(self.obj)[_eval(self.key)]


class Call(Atom):
    """``obj(*args)``."""

    def __init__(self, obj: Any, args: tuple) -> None:
        super().__init__()
        self.obj, self.args = obj, args

    def __str__(self) -> str:
        return f"{_repr(self.obj)}({', '.join(map(_repr, self.args))})"

    def eval(self) -> Any:
        return _eval(self.obj)(*map(_eval, self.args))


class UnaryOperator(Expr):
    """``exp term``."""

    def __init__(self, priority: int, term: Any, exp: str, func: Callable) -> None:
        super().__init__(priority)
        self.term, self.exp, self.func = term, exp, func

    def __str__(self) -> str:
        return self.exp + _operand(self.term, self.term.priority < self.priority)

    def eval(self) -> Any:
        return self.func(_eval(self.term))


class BinaryOperator(Expr):
    """``lhs exp rhs``."""

    def __init__(self, priority: int, lhs: Any, rhs: Any, exp: str, func: Callable,
                 right_associative: bool = False) -> None:  # fmt: skip
        super().__init__(priority)
        self.lhs, self.rhs, self.exp, self.func = lhs, rhs, exp, func
        self.right_associative = right_associative

    def __str__(self) -> str:
        left, right = (getattr(side, "priority", 8) - self.priority for side in (self.lhs, self.rhs))
        return (
            f"{_operand(self.lhs, left < self.right_associative)} {self.exp} "
            f"{_operand(self.rhs, right < (not self.right_associative))}"
        )

    def eval(self) -> Any:
        return self.func(_eval(self.lhs), _eval(self.rhs))


class BoolBinaryOperator(BinaryOperator, Testable):
    """A comparison; ``inv`` is the sign that holds where it fails."""

    def __init__(self, lhs: Any, rhs: Any, exp: str, inv: str, func: Callable) -> None:
        super().__init__(-1, lhs, rhs, exp, func)
        self.inv = inv

    def expect(self) -> None:
        """Raise :class:`InvalidType`, with what was expected and what there is, unless it holds."""
        left, right = _eval(self.lhs), _eval(self.rhs)
        if not self.func(left, right):
            raise InvalidType(f"{_str(self.lhs)} {self.exp} {_str(self.rhs)}", f"{_str(left)} {self.inv} {_str(right)}")


def _eval(x: Any) -> Any:
    if isinstance(x, (list, tuple)):
        return type(x)([_eval(item) for item in x])
    return x.eval() if isinstance(x, Expr) else x


def _repr(x: Any) -> str:
    if isinstance(x, (list, tuple)):
        text = ", ".join(map(_repr, x))
        return f"[{text}]" if isinstance(x, list) else f"({text},)" if len(x) == 1 else f"({text})"
    return str(x) if isinstance(x, Expr) else repr(x)


def _str(x: Any) -> str:
    return _repr(x) if isinstance(x, (list, tuple)) else str(x)


def _operand(x: Any, parentheses: bool) -> str:
    return f"({_repr(x)})" if parentheses else _repr(x)


def _subscript(key: Any) -> str:
    if key is Ellipsis:
        return "..."
    if not isinstance(key, slice):
        return _repr(key)
    start, stop, step = ("" if part is None else _repr(part) for part in (key.start, key.stop, key.step))
    return f"{start}:{stop}" + (f":{step}" if step else "")


def _add_operators() -> None:
    def binary(symbol: str, priority: int, func: Callable, reflected: bool) -> Callable:
        def method(x: Any, y: Any) -> BinaryOperator:
            return BinaryOperator(priority, *((y, x) if reflected else (x, y)), symbol, func, symbol == "**")

        return method

    def unary(symbol: str, func: Callable) -> Callable:
        return lambda x: UnaryOperator(6, x, symbol, func)

    def comparison(symbol: str, inverse: str, func: Callable) -> Callable:
        return lambda x, y: BoolBinaryOperator(x, y, symbol, inverse, func)

    for priority, row in enumerate(("or |", "xor ^", "and &", "lshift << rshift >>", "add + sub -",
                                    "mul * truediv / floordiv // mod %", "", "pow **")):  # fmt: skip
        words = row.split()
        for name, symbol in zip(words[::2], words[1::2]):
            func = getattr(operator, f"__{name}__")
            setattr(Expr, f"__{name}__", binary(symbol, priority, func, False))
            setattr(Expr, f"__r{name}__", binary(symbol, priority, func, True))
    for name, symbol in (("neg", "-"), ("pos", "+"), ("invert", "~")):
        setattr(Expr, f"__{name}__", unary(symbol, getattr(operator, name)))
    for name, symbol, inverse in (("eq", "==", "!="), ("ne", "!=", "=="), ("lt", "<", ">="), ("le", "<=", ">"),
                                  ("gt", ">", "<="), ("ge", ">=", "<")):  # fmt: skip
        setattr(Expr, f"__{name}__", comparison(symbol, inverse, getattr(operator, name)))


_add_operators()


# -- what a function sees of its inputs


class TypeInfo:
    """Shape and dtype of one input."""

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape, self.dtype, self.ndim = shape, dtype, len(shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return _prod(self.shape)


class TypeInfoTuple(tuple):
    """The inputs as expressions."""

    name = ""

    def size(self) -> Variable:
        """Number of inputs."""
        return Variable(len(self), f"{self.name}.size")


class LightTypeInfoTuple(tuple):
    """The inputs themselves."""

    def size(self) -> int:
        """Number of inputs."""
        return len(self)


def get_types(data: tuple, name: str = "in_types", accept_none: bool = False) -> TypeInfoTuple:
    """Return the inputs as expressions that know their names; None stays None if that is accepted."""
    assert isinstance(data, tuple)
    types = TypeInfoTuple(
        Variable(None if x is None and accept_none else TypeInfo(x.shape, x.dtype), f"{name}[{i}]")
        for i, x in enumerate(data)
    )
    types.name = name
    return types


def get_light_types(data: tuple) -> LightTypeInfoTuple:
    """Return the inputs so that conditions on them are plain bools."""
    return LightTypeInfoTuple(data)


class LightMode:
    """Inside ``with light_mode:`` conditions are plain bools."""

    def __enter__(self) -> None:
        _thread.light = True

    def __exit__(self, *args: Any) -> None:
        _thread.light = False


light_mode = LightMode()


def in_light_mode() -> bool:
    """Say whether conditions are plain bools now."""
    return _thread.light


@contextlib.contextmanager
def get_function_check_context(f: Any) -> Iterator[None]:
    """Inside the ``with`` block errors name the function ``f``."""
    outer = _thread.function
    _thread.function = f
    try:
        yield
    finally:
        _thread.function = outer


def check(function: Any, arrays: tuple) -> None:
    """Call ``check_type_forward`` of a function: on the arrays, and if they do not fit on expressions, for the text."""
    try:
        with light_mode:
            return function.check_type_forward(LightTypeInfoTuple(arrays))
    except InvalidType as error:
        if error.actual is None:  # a sentence already
            raise
    with get_function_check_context(function):
        function.check_type_forward(get_types(arrays))


def expect(*bool_exprs: Any) -> None:
    """Raise :class:`InvalidType` for the first condition that does not hold."""
    for number, condition in enumerate(bool_exprs, 1):
        if isinstance(condition, BoolBinaryOperator):
            condition.expect()
        elif not condition:
            raise InvalidType(f"condition {number} of {len(bool_exprs)}", "it does not hold")


def eval(exp: Any) -> Any:
    """Return the value of an expression; of anything else, the thing itself."""
    return _eval(exp)


def make_variable(value: Any, name: str) -> Any:
    """Return ``value`` as an expression of that name (in light mode: as it is)."""
    return value if _thread.light else Variable(value, name)


def _prod(xs: Sequence[int]) -> int:
    return int(numpy.prod(xs, dtype=int))


def prod(xs: Any) -> Any:
    """Return the product of a shape, as an expression unless in light mode."""
    return _prod(xs) if _thread.light else Call(Variable(_prod, "prod"), (xs,))


def same_types(*arrays: Any) -> bool:
    """Say whether all are arrays of one library."""
    return all(isinstance(x, numpy.ndarray) for x in arrays) or all(map(is_gpu_array, arrays))


def expect_broadcast_shapes(*shape_types: Any) -> None:
    """Raise :class:`InvalidType` unless the shapes broadcast together."""
    shapes = [tuple(_eval(shape)) for shape in shape_types]
    try:
        numpy.broadcast_shapes(*shapes)
    except ValueError:
        lines = "".join(f"\n{_str(t)} = {s}" for t, s in zip(shape_types, shapes))
        message = f"cannot broadcast inputs of the following shapes:{lines}"
        raise InvalidType("shapes that broadcast", "", message) from None


def _argname(in_types: tuple, names: tuple[str, ...]) -> None:
    """Give the inputs names for messages."""
    if len(in_types) != len(names):
        raise InvalidType(f"{len(names)} arguments", f"{len(in_types)} arguments", "Invalid number of arguments")
    if not _thread.light:
        for x, name in zip(in_types, names):
            x.name = name
