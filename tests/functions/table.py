"""The test table: every public function of F, with inputs and an answer from somewhere else.

The rows of a chapter stand in `rows_<chapter>.py`; here is what they are made of.

A row is `row(name, inputs, answer, **arguments)`. `inputs` are makers, called with a random generator; `answer` gets
the same float64 arrays and the same arguments and computes the result in plain NumPy, by the formula or by loops that
nobody can doubt. test_every_function.py does the rest. Inputs stay away from kinks by more than the step of the numeric
derivative.
"""

from typing import Any, NamedTuple

import numpy as np

import minigan.functions as F
from minigan.backend import get_array_module, is_array
from minigan.configuration import using_config
from minigan.core import as_array


def is_float(x):
    """Whether x is an array of floats, on whatever device."""
    return is_array(x) and x.dtype.kind == "f"


def like(v, x):
    """An argument beside the inputs: arrays go where x is; floats take its dtype."""
    if not is_array(v):
        return v
    return get_array_module(x).asarray(v.astype(x.dtype) if is_float(v) else v)


class Row(NamedTuple):
    name: str
    inputs: tuple
    answer: Any
    call: Any  # None: F.<name>
    arguments: dict
    differentiable: bool
    note: str

    def function(self, *xs):
        """F's answer, always a tuple; arrays among the arguments (weights, masks) follow the inputs."""
        arguments = {k: like(v, as_array(xs[0])) for k, v in self.arguments.items()}
        ys = (self.call or getattr(F, self.name))(*xs, **arguments)
        return ys if isinstance(ys, tuple) else (ys,)

    def expected(self, *xs):
        ys = self.answer(*xs, **self.arguments)
        return ys if isinstance(ys, tuple) else (ys,)

    def __str__(self):
        arguments = ",".join(f"{k}={v}" for k, v in self.arguments.items() if not isinstance(v, np.ndarray))
        return "-".join(part for part in (self.name, self.note, arguments.replace(" ", "")) if part)


def row(name, inputs, answer, call=None, differentiable=True, note="", **arguments):
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    return Row(name, inputs, answer, call, arguments, differentiable, note)


# Makers of inputs ------------------------------------------------------------------------------------------------


def normal(*shape):
    return lambda rng: np.asarray(rng.standard_normal(shape))


def positive(*shape):
    return lambda rng: np.asarray(rng.uniform(0.5, 2.0, shape))


def off_zero(*shape):
    """Normal, but at least 0.1 from 0, where relu and its like have their kink."""
    return lambda rng: (lambda x: np.asarray(x + 0.1 * np.sign(x)))(rng.standard_normal(shape))


def distinct(*shape, shift=0.0):
    """Every value once, 1/8 apart and offset by `shift`: no ties, exactly representable in float16."""
    size = int(np.prod(shape))
    return lambda rng: (rng.permutation(size) - size // 2).reshape(shape) / 8.0 + 1 / 16 + shift


def labels(low, high, *shape):
    return lambda rng: rng.randint(low, high, shape).astype(np.int32)


def fixed(value, dtype=np.float64):
    return lambda rng: np.array(value, dtype)


# Helpers of more than one chapter -------------------------------------------------------------------------------


def many(function):
    """A function of a list called as a function of its members, so that each is an input."""
    return lambda *xs, **arguments: function(xs, **arguments)


def in_test_mode(function):
    def call(*xs, **arguments):
        with using_config("train", False):
            return function(*xs, **arguments)

    return call


def pair(x):
    return x if isinstance(x, tuple) else (x, x)
