"""Functions in the style of Chainer 1: arrays in, arrays out, and a ``backward`` on arrays, which has no second one.

Scripts of 2016 to 2018 subclass :class:`Function`. :class:`FunctionAdapter` is the node that stands for one call of
it in the graph, so that the object itself may be called many times.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import numpy

from minigan.backend import get_array_module, is_array
from minigan.configuration import force_backprop_mode as force_backprop_mode
from minigan.configuration import no_backprop_mode as no_backprop_mode
from minigan.core import FunctionNode, shown
from minigan.function_hook import FunctionHook as FunctionHook


class FunctionAdapter(FunctionNode):
    """The node of one call of an old-style function. All inputs are retained unless ``retain_inputs`` says less."""

    def __init__(self, function: Function) -> None:
        self._function = function

    @property
    def function(self) -> Function:
        """The old-style function."""
        return self._function

    _creator = function

    @property
    def label(self) -> str:
        return self._function.label

    @property
    def _impl_name(self) -> str:
        return type(self._function).__name__

    def check_type_forward(self, in_types: Any) -> None:
        self._function.check_type_forward(in_types)

    def forward(self, inputs: tuple) -> tuple:
        self.retain_inputs(range(len(inputs)))
        return self._function.forward(inputs)

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        retained = dict(zip(self._retained_inputs, self.get_retained_inputs()))
        inputs = tuple([retained[i].array if i in retained else None for i in range(len(self.inputs or ()))])
        arrays = tuple([None if g is None else g.array for g in grad_outputs])
        gradients = self._function.backward(inputs, arrays)
        for i in indexes:
            self._check(i, gradients[i], self.inputs[i])
        found = [gradients[i] for i in indexes if gradients[i] is not None]
        # one further node: whoever differentiates the gradients shall be told that this cannot be done
        sources = [g for g in grad_outputs if g is not None] + list(retained.values())
        barrier = iter(_Gradients(self, found).apply(sources) if found else ())
        return tuple([None if gradients[i] is None else next(barrier) for i in indexes])

    def _check(self, index: int, gradient: Any, node: Any) -> None:
        where = f"{self.label}: backward returned as the gradient of input {index}"
        if gradient is None:
            return
        if not is_array(gradient) and not isinstance(gradient, numpy.generic):
            raise TypeError(f"{where} a {type(gradient).__name__}; wanted an array or None")
        if gradient.dtype != node.dtype:
            raise TypeError(f"{where} an array of dtype {gradient.dtype}, but that input has {node.dtype}")
        if gradient.shape != node.shape:
            raise ValueError(f"{where} an array of shape {gradient.shape}, but that input has {node.shape}")


class _Gradients(FunctionNode):
    """Gradients that an old-style function computed: there is no way back through them."""

    def __init__(self, adapter: FunctionAdapter, arrays: list) -> None:
        self.adapter_label, self.arrays = adapter.label, tuple(arrays)

    def forward(self, inputs: tuple) -> tuple:
        arrays, self.arrays = self.arrays, ()
        return arrays

    def backward(self, indexes: tuple[int, ...], grad_outputs: tuple) -> tuple:
        raise RuntimeError(
            f'cannot twice-differentiate an old style Function "{self.adapter_label}"; write it as a FunctionNode, '
            "whose backward computes with Variables"
        )


class Function:
    """A differentiable function on arrays.

    A subclass defines ``forward(inputs)`` and ``backward(inputs, grad_outputs)`` (or ``forward_cpu``, ``forward_gpu``,
    ``backward_cpu``, ``backward_gpu``), all from tuples of arrays to tuples of arrays. Calling the object applies it
    to Variables or arrays and returns one Variable or a tuple. A second derivative raises ``RuntimeError``.
    """

    _node: Any = None
    _owned_node: FunctionAdapter | None = None

    def __call__(self, *inputs: Any) -> Any:
        node = self.node
        if node.inputs is not None or node.outputs is not None:  # it stands for an earlier call
            node = self._new_node()
        self._owned_node = None
        outputs = node.apply(inputs)
        if all(y.creator_node is None for y in outputs):
            self._owned_node = node  # nobody else holds it
        return outputs[0] if len(outputs) == 1 else outputs

    @property
    def node(self) -> FunctionAdapter:
        """The node of the last call."""
        node: FunctionAdapter | None = None if self._node is None else self._node()
        if node is None:
            node = self._owned_node = self._new_node()
        return node

    def _new_node(self) -> FunctionAdapter:
        node = FunctionAdapter(self)
        node._local_function_hooks = self.local_function_hooks
        self._node = weakref.ref(node)
        return node

    inputs = shown("node.inputs", "Nodes of the inputs of the last call.")
    outputs = shown("node.outputs", "Weak references to the nodes of the outputs of the last call.")
    output_data = shown("node.output_data", "Arrays of the outputs of the last call; None where they are not retained.")
    rank = shown("node.rank", "Longest number of functions between a leaf and here.")
    stack = shown("node.stack", "Where the last call was made; in debug mode only.")

    @property
    def label(self) -> str:
        """The function in a few words."""
        return type(self).__name__

    @property
    def local_function_hooks(self) -> dict:
        """Hooks of this function alone."""
        return self.__dict__.setdefault("_hooks", {})

    def add_hook(self, hook: Any, name: str | None = None) -> None:
        """Call ``hook`` for this function."""
        self.node.add_hook(hook, name)

    def delete_hook(self, name: str) -> None:
        """Stop calling the hook of that name."""
        self.node.delete_hook(name)

    check_type_forward: Any = FunctionNode.check_type_forward
    forward: Any = FunctionNode.forward
    forward_cpu: Any = FunctionNode.forward_cpu
    forward_gpu: Any = FunctionNode.forward_gpu

    def backward(self, inputs: tuple, grad_outputs: tuple) -> tuple:
        """Compute the gradients of all inputs. By default goes to ``backward_gpu`` or ``backward_cpu``."""
        on_cpu = get_array_module(*inputs, *grad_outputs) is numpy
        return self.backward_cpu(inputs, grad_outputs) if on_cpu else self.backward_gpu(inputs, grad_outputs)

    def backward_cpu(self, inputs: tuple, grad_outputs: tuple) -> tuple:
        """Compute the gradients from NumPy arrays; by default there are none."""
        return (None,) * len(inputs)

    def backward_gpu(self, inputs: tuple, grad_outputs: tuple) -> tuple:
        """Compute the gradients from CuPy arrays; by default there are none."""
        return (None,) * len(inputs)

    def retain_inputs(self, indexes: Iterable[int]) -> None:
        """Call in ``forward``: keep these inputs for ``backward`` and no others, which get None."""
        self.node.retain_inputs(indexes)

    def retain_outputs(self, indexes: Iterable[int], retain_after_backward: bool = False) -> None:
        """Call in ``forward``: keep these outputs, for ``self.output_data`` in ``backward``."""
        self.node.retain_outputs(indexes)

    def unchain(self) -> None:
        """Cut the last call out of the graph."""
        self.node.unchain()
