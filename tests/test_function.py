"""Functions in the style of Chainer 1, as scripts of 2016 to 2018 define them."""

import numpy as np
import pytest

from minigan import FunctionHook, Variable, grad, no_backprop_mode
from minigan import functions as F
from minigan.function import Function, FunctionAdapter
from minigan.utils import type_check


class Scale(Function):
    """factor * x * y, keeping what it needs on itself."""

    def __init__(self, factor=2.0):
        self.factor = np.float32(factor)

    def check_type_forward(self, in_types):
        type_check.expect(in_types.size() == 2, in_types[0].dtype.kind == "f", in_types[0].shape == in_types[1].shape)

    def forward_cpu(self, inputs):
        x, y = inputs
        self.product = self.factor * x
        return (self.product * y,)

    def backward_cpu(self, inputs, grad_outputs):
        x, y = inputs
        (gy,) = grad_outputs
        return gy * self.factor * y, gy * self.product


def variable(*values):
    return Variable(np.array(values, "f"))


def test_forward_and_backward():
    x, y = variable(1, 2), variable(3, 5)
    z = Scale(10)(x, y)
    assert isinstance(z, Variable) and z.array.tolist() == [30, 100] and z.dtype == np.float32
    F.sum(z * z).backward()
    np.testing.assert_array_equal(x.grad, [2 * 30 * 30, 2 * 100 * 50])
    np.testing.assert_array_equal(y.grad, [2 * 30 * 10, 2 * 100 * 20])


def test_one_object_called_several_times_is_several_nodes():
    class Square(Function):
        def forward(self, inputs):
            return (inputs[0] ** 2,)

        def backward(self, inputs, grad_outputs):
            return (2 * inputs[0] * grad_outputs[0],)

    square, x = Square(), variable(3)
    y = square(x)
    z = square(y)
    assert y.creator is square is z.creator and y.creator_node is not z.creator_node
    assert isinstance(z.creator_node, FunctionAdapter) and z.creator_node.function is square
    assert z.rank == 2 and square.rank == 1 and square.inputs == (y.node,) and square.outputs[0]() is z.node
    F.sum(z).backward()
    assert x.grad == 4 * 27
    with no_backprop_mode():
        assert square(x).creator is None


def test_several_outputs_and_gradients_of_none():
    class Split(Function):
        def forward(self, inputs):
            self.retain_inputs(())
            self.retain_outputs((1,))
            (x,) = inputs
            return x[:1].copy(), x[1:].copy()

        def backward(self, inputs, grad_outputs):
            assert inputs == (None,) and self.output_data[0] is None and self.output_data[1].tolist() == [2]
            self.seen = [None if g is None else g.tolist() for g in grad_outputs]
            return (np.concatenate([np.zeros(1, "f") if g is None else g for g in grad_outputs]),)

    split, x = Split(), variable(1, 2)
    a, b = split(x)
    F.sum(b * 3).backward()
    assert split.seen == [None, [3]] and x.grad.tolist() == [0, 3]


def test_what_is_not_retained_is_none():
    class First(Function):
        def forward(self, inputs):
            self.retain_inputs((1,))
            return (inputs[0] + inputs[1],)

        def backward(self, inputs, grad_outputs):
            assert inputs[0] is None and inputs[1].tolist() == [2]
            return grad_outputs * 2

    x, y = variable(1), variable(2)
    F.sum(First()(x, y)).backward()
    assert x.grad == y.grad == 1


def test_a_second_derivative_is_refused():
    x, y = variable(1, 2), variable(3, 5)
    (gx,) = grad([F.sum(Scale()(x, y))], [x], enable_double_backprop=True)
    assert gx.array.tolist() == [6, 10]
    with pytest.raises(RuntimeError, match='cannot twice-differentiate an old style Function "Scale"'):
        F.sum(gx * gx).backward()


@pytest.mark.parametrize(
    "gradient, error",
    [(1, TypeError), (np.ones(2), TypeError), (np.ones(3, "f"), ValueError), (None, None), (np.ones(2, "f"), None)],
)
def test_bad_gradients_name_the_function(gradient, error):
    class Bad(Function):
        label = "my function"

        def forward(self, inputs):
            return inputs

        def backward(self, inputs, grad_outputs):
            return (gradient,)

    x = variable(1, 2)
    y = F.sum(Bad()(x))
    if error is None:
        y.backward()
        assert (x.grad is None) == (gradient is None)
    else:
        with pytest.raises(error, match="my function: backward returned"):
            y.backward()


def test_type_check_says_which_condition_failed():
    with pytest.raises(type_check.InvalidType) as info:
        Scale()(variable(1), variable(1, 2))
    assert str(info.value) == (
        "\nInvalid operation is performed in: Scale (Forward)\n\n"
        "Expect: in_types[0].shape == in_types[1].shape\nActual: (1,) != (2,)"
    )


def test_hooks_unchaining_and_defaults():
    class Count(FunctionHook):
        name = "count"
        calls = 0

        def forward_preprocess(self, function, in_data):
            self.calls += 1

    scale, count = Scale(), Count()
    scale.add_hook(count)
    z = scale(variable(1), variable(2))
    scale(variable(1), variable(2))
    assert count.calls == 2 and list(scale.local_function_hooks) == ["count"]
    z.creator.unchain()
    scale.delete_hook("count")
    assert scale.local_function_hooks == {} and scale.label == "Scale" and scale.stack is None
    with pytest.raises(NotImplementedError, match="neither forward nor forward_cpu"):
        Function()(variable(1))
    assert Function().backward((np.ones(1),), (None,)) == (None,)
