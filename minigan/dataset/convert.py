"""From a list of examples to the arrays that a model eats.

An iterator yields `[(image, label), ...]`; `concat_examples` turns that into `(images, labels)` with a batch axis in
front, on the device that is asked for. An updater calls its converter through `call_converter`, since old scripts
write converters that expect a device number and new ones a device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy

from minigan import backend


class Converter:
    """Base of callables `(batch, device) -> arrays` that take a `Device` (or None); `@converter()` makes one."""

    def __call__(self, batch: Any, device: Any = None) -> Any:
        """Return the batch as arrays on `device`."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(batch, device)")


class _OfFunction(Converter):
    """What `@converter()` makes of a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__name__ = getattr(function, "__name__", type(function).__name__)
        self.__doc__ = function.__doc__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function; a device given as number or name reaches it as a `Device`."""
        if len(args) > 1:
            args = (args[0], _device(args[1]), *args[2:])
        elif "device" in kwargs:
            kwargs["device"] = _device(kwargs["device"])
        return self.function(*args, **kwargs)


def _device(spec: Any) -> backend.Device | None:
    return None if spec is None else backend.get_device(spec)


def converter() -> Callable[[Callable[..., Any]], _OfFunction]:
    """Return a decorator for a function `(batch, device)`: `device` then always is a `Device` or None."""
    return _OfFunction


def call_converter(function: Callable[..., Any], batch: Any, device: Any) -> Any:
    """Call a converter: one made by `@converter()` gets a `Device`, a plain function the device's number (or None)."""
    if isinstance(function, Converter):
        return function(batch, device)
    return function(batch, None if device is None else int(backend.get_device(device)))


def as_arguments(arrays: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return what a converter gave as the positional arguments of a loss (a tuple, or one array) and those by name."""
    if isinstance(arrays, dict):
        return (), arrays
    return arrays if isinstance(arrays, tuple) else (arrays,), {}


def to_device(device: Any, x: Any) -> Any:
    """Return `x`, an array or a list, tuple or dict of arrays, on `device`; as it is when `device` is None."""
    return x if device is None else backend.get_device(device).send(x)


@converter()
def concat_examples(batch: Any, device: Any = None, padding: Any = None) -> Any:
    """Join a list of examples to arrays with a batch axis in front.

    Args:
        batch: N examples. Arrays of shape S give one array (N, *S); numbers give (N,); tuples give a tuple of arrays,
            dicts a dict of arrays. A whole array (N, ...) is taken for a finished batch.
        device: Where the arrays go; None leaves them where they are.
        padding: A number to fill up with when the shapes differ, or a tuple (dict) with one for each element; None
            wants equal shapes.

    Raises:
        ValueError: the batch is empty, examples have different lengths or keys, or shapes differ without `padding`.
        TypeError: an example is neither an array nor a number.
    """
    if len(batch) == 0:
        raise ValueError("concat_examples: batch is empty; give at least one example")
    if backend.is_array(batch):
        return to_device(device, batch)
    first = batch[0]
    if isinstance(first, tuple):
        for i, example in enumerate(batch):
            if not isinstance(example, tuple) or len(example) != len(first):
                raise ValueError(
                    f"concat_examples: example 0 is a tuple of {len(first)} but example {i} is {_describe(example)}; "
                    f"give examples of one form"
                )
        paddings = padding if isinstance(padding, tuple) else (padding,) * len(first)
        if len(paddings) != len(first):
            raise ValueError(
                f"concat_examples: padding has {len(paddings)} values but an example has {len(first)} elements; "
                f"give one for each"
            )
        return tuple(to_device(device, _concat([e[i] for e in batch], paddings[i])) for i in range(len(first)))
    if isinstance(first, Mapping):
        for i, example in enumerate(batch):
            if not isinstance(example, Mapping) or not all(key in example for key in first):
                raise ValueError(
                    f"concat_examples: example 0 is {_describe(first)} but example {i} is {_describe(example)}; "
                    f"give examples with the same keys"
                )
        fills = padding if isinstance(padding, Mapping) else dict.fromkeys(first, padding)
        if missing := [key for key in first if key not in fills]:
            raise ValueError(f"concat_examples: padding has no value for {missing}; give one for each key")
        return {key: to_device(device, _concat([e[key] for e in batch], fills[key])) for key in first}
    return to_device(device, _concat(batch, padding))


concat_examples_func = concat_examples.function


class ConcatWithAsyncTransfer:
    """`concat_examples` as an object, for scripts that have one; it copies in the current stream."""

    def __init__(self, stream: Any = None, compute_stream: Any = None) -> None:
        self.stream, self.compute_stream = stream, compute_stream

    def __call__(self, batch: Any, device: Any = None, padding: Any = None) -> Any:
        """Return what `concat_examples` does."""
        return concat_examples(batch, device, padding)


def _concat(examples: Sequence[Any], padding: Any) -> Any:
    """Stack arrays of one shape, or numbers, or arrays of different shapes into a padded array."""
    if not backend.is_array(examples[0]):
        return _numbers(examples)
    xp = backend.get_array_module(examples[0])
    shapes = [xp.shape(x) for x in examples]
    if shapes.count(shapes[0]) == len(shapes):
        return xp.stack(examples)
    odd = next(i for i, shape in enumerate(shapes) if shape != shapes[0])
    difference = f"concat_examples: example 0 has shape {shapes[0]} but example {odd} has shape {shapes[odd]}; "
    if padding is None:
        raise ValueError(difference + "make the shapes equal, or pass padding=0 to fill up the smaller ones")
    if any(len(shape) != len(shapes[0]) for shape in shapes):
        raise ValueError(difference + "padding can fill up axes but not add them: give arrays of one ndim")
    largest = tuple(max(lengths) for lengths in zip(*shapes, strict=True))
    result = xp.full((len(examples), *largest), padding, dtype=xp.result_type(*examples))
    for row, example in zip(result, examples, strict=True):
        row[tuple(slice(length) for length in example.shape)] = example
    return result


def _numbers(examples: Sequence[Any]) -> numpy.ndarray:
    try:
        array = numpy.asarray(examples)
    except ValueError:
        array = None
    if array is None or array.dtype.kind not in "biufc":
        raise TypeError(
            f"concat_examples: examples are {_describe(examples[0])}, ...; wanted arrays or numbers of one form, or "
            f"tuples or dicts of these; write a converter of your own for anything else"
        )
    return array


def _describe(example: Any) -> str:
    if isinstance(example, tuple):
        return f"a tuple of {len(example)}"
    if isinstance(example, Mapping):
        return f"a dict with keys {sorted(map(str, example))}"
    return f"of type {type(example).__name__}"
