"""The core: graphs, gradients of any order, what is kept and what is freed."""

import contextlib
import copy
import gc
import pickle
import types
import weakref

import numpy as np
import pytest

from minigan import core
from minigan.configuration import config, force_backprop_mode, no_backprop_mode, using_config
from minigan.core import FunctionNode, Parameter, Variable, grad
from minigan.utils.type_check import InvalidType


def leaf(*values, dtype="f"):
    return Variable(np.array(values, dtype))


def scalar(value, dtype="f"):
    return Variable(np.array(value, dtype))


# -- the three graphs that people get wrong


def test_each_node_is_left_once_with_its_whole_gradient():
    a = scalar(3)
    b = a + a
    c = b + b
    c.backward()
    assert a.grad == 4


def test_diamond_of_unequal_arms():
    a = scalar(2)
    b = a * a
    c = b * b * b + b  # a**6 + a**2
    c.backward()
    assert a.grad == 6 * 2**5 + 2 * 2


def test_leaf_backward_gives_one():
    a = scalar(5)
    a.backward()
    assert a.grad == 1


# -- the contract of backward


def test_gradients_add_up_until_cleared():
    a = scalar(3)
    (a * 2).backward()
    (a * 2).backward()
    assert a.grad == 4
    a.cleargrad()
    assert a.grad is None
    with pytest.warns(DeprecationWarning, match="cleargrad"):
        a.zerograd()
    assert a.grad == 0


def test_backward_twice_on_one_graph_adds_twice():
    a = scalar(3)
    y = a * a
    y.backward()
    y.backward()
    assert a.grad == 12


def test_only_leaves_keep_gradients_unless_asked():
    a = leaf(1, 2, 3)
    h = a * 2
    y = core.sum(h)
    y.backward()
    assert h.grad is None and y.grad is None
    np.testing.assert_array_equal(a.grad, [2, 2, 2])
    a.cleargrad()
    y.backward(retain_grad=True)
    np.testing.assert_array_equal(h.grad, [1, 1, 1])
    assert y.grad == 1


def test_start_from_a_given_gradient():
    a = leaf(1, 2, 3)
    y = a * 2
    y.grad = np.array([1, 10, 100], "f")
    y.backward()
    np.testing.assert_array_equal(a.grad, [2, 20, 200])


def test_no_start_is_a_sentence():
    with pytest.raises(TypeError, match=r"shape \(3,\) and no gradient to start from"):
        (leaf(1, 2, 3) * 2).backward()


def test_loss_scale():
    a = scalar(3)
    (a * a).backward(loss_scale=8.0)
    assert a.grad == 48


def test_the_gradient_of_a_sum_can_be_changed_in_place():
    a = leaf(1, 2, 3)
    core.sum(a).backward()
    a.grad += 1
    np.testing.assert_array_equal(a.grad, [2, 2, 2])


def test_backward_of_several_outputs():
    a = scalar(3)
    core.backward([a * 2, a * a], [scalar(1), scalar(10)])
    assert a.grad == 2 + 60
    with pytest.warns(RuntimeWarning, match=r"outputs\[0\] has no grad"):
        core.backward([a * 2])
    assert a.grad == 2 + 60
    with pytest.raises(TypeError, match="put a single one in a list"):
        core.backward(a * 2)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_derivatives_of_any_order(order):
    x = scalar(0.7, "d")
    y = core.exp(x * 2) * x**3 / (x + 1)
    h = 1e-3

    def value(t):
        return np.exp(2 * t) * t**3 / (t + 1)

    for _ in range(order):
        (y,) = grad([y], [x], enable_double_backprop=True)
    weights = {1: [0, 1, -8, 0, 8, -1, 0], 2: [2, -27, 270, -490, 270, -27, 2]}
    if order > 2:  # differences of the derivative two orders below, itself exact
        x0 = x.array

        def lower(t):
            v = scalar(t, "d")
            z = core.exp(v * 2) * v**3 / (v + 1)
            for _ in range(order - 2):
                (z,) = grad([z], [v], enable_double_backprop=True)
            return float(z.array)

        numeric = sum(w * lower(x0 + k * h) for w, k in zip(weights[2], range(-3, 4))) / (180 * h * h)
    elif order == 2:
        numeric = sum(w * value(x.array + k * h) for w, k in zip(weights[2], range(-3, 4))) / (180 * h * h)
    else:
        numeric = sum(w * value(x.array + k * h) for w, k in zip(weights[1], range(-3, 4))) / (12 * h)
    np.testing.assert_allclose(y.array, numeric, rtol=1e-6)


def test_double_backprop_through_grad_var():
    x = scalar(3)
    (x**3).backward(enable_double_backprop=True)
    gx = x.grad_var
    x.cleargrad()
    gx.backward()
    assert x.grad == 6 * 3


# -- grad


def test_grad_touches_nothing_else():
    w, x = scalar(2), scalar(3)
    (gx,) = grad([w * x * x], [x])
    assert gx.array == 12
    assert w.grad is None and x.grad is None and gx.creator is None


def test_grad_walks_only_the_paths_between_its_ends():
    called = []

    class Spy(FunctionNode):
        def __init__(self, tag):
            self.tag = tag

        def forward(self, inputs):
            return (inputs[0] * 1,)

        def backward(self, indexes, grad_outputs):
            called.append(self.tag)
            return (grad_outputs[0] * 1.0,)

    a, b = scalar(1), scalar(1)
    y = Spy("a")(a) * Spy("b")(b)
    grad([y], [a])
    assert called == ["a"]


def test_grad_of_what_is_not_connected_is_none():
    a, b = scalar(1), scalar(2)
    assert grad([a * 2], [a, b])[1] is None


def test_grad_of_an_input_that_depends_on_another():
    a = scalar(3)
    b = a * a
    gb, ga = grad([b * a], [b, a])
    assert gb.array == 3 and ga.array == 27


def test_grad_arguments():
    a = leaf(1, 2)
    y = a * a
    (g,) = grad([y], [a], grad_outputs=[leaf(1, 10)], grad_inputs=[leaf(100, 100)], set_grad=True)
    np.testing.assert_array_equal(g.array, [102, 140])
    np.testing.assert_array_equal(a.grad, [102, 140])
    with pytest.raises(TypeError, match="outputs is a Variable; wanted a list"):
        grad(y, [a])
    with pytest.raises(ValueError, match="grad_outputs must be as long as outputs: it has 2, they are 1"):
        grad([y], [a], [leaf(1, 1)] * 2)
    with pytest.raises(ValueError, match=r"grad_outputs\[0\] has shape \(3,\)"):
        grad([y], [a], grad_outputs=[leaf(1, 2, 3)])


def test_gradient_penalty_by_hand():
    # D(x) = w.x: the penalty (|dD/dx| - 1)^2 is (|w| - 1)^2, its gradient 2 (|w| - 1) w / |w|
    w = Variable(np.array([3.0, 4.0]))
    x = Variable(np.array([0.5, -0.25]))
    (gx,) = grad([core.sum(w * x)], [x], enable_double_backprop=True)
    norm = core.sum(gx * gx) ** 0.5
    ((norm - 1) ** 2).backward()
    np.testing.assert_allclose(w.grad, 2 * 4 * np.array([3, 4]) / 5)


# -- modes


def test_no_backprop_mode_records_nothing():
    a = scalar(1)
    with no_backprop_mode():
        assert (a * 2).creator is None
        with force_backprop_mode():
            assert (a * 2).creator is not None
    assert config.enable_backprop is True


def test_arrays_want_no_gradient_unless_grad_asks_for_it():
    x = Variable(np.ones(2, "f"), requires_grad=False)
    y = core.mul(x, np.full(2, 3, "f"))
    assert not y.requires_grad
    core.sum(y).backward()
    assert x.grad is None
    assert grad([y], [x])[0].array.tolist() == [3, 3]
    indexes = []

    class Spy(FunctionNode):
        def forward(self, inputs):
            return (inputs[0] + inputs[1],)

        def backward(self, indexes_, grad_outputs):
            indexes.extend(indexes_)
            return tuple(grad_outputs[0] for _ in indexes_)

    w = leaf(1, 1)
    core.sum(Spy()(np.ones(2, "f"), w)).backward()
    assert indexes == [1]


def test_debug_mode_names_the_function_that_made_nan():
    x = scalar(0)
    message = "NaN is detected on forward computation of _ / _"
    with using_config("debug", True), np.errstate(invalid="ignore"), pytest.raises(RuntimeError, match=message):
        x / x


# -- operators


def test_numpy_scalars_and_arrays_do_not_widen():
    x = leaf(1, 2, 3)
    for y in (
        x * np.float64(2), np.float64(2) * x, x + np.array(1.0), x + np.ones(3), np.ones(3) + x, 2**x, x**2.0,
        x / 3, 3 / x, 1.5 - x, x // 2, np.float32(1) / x, x**x, -x, abs(x),
    ):  # fmt: skip
        assert isinstance(y, Variable) and y.dtype == np.float32
    assert (x.array / np.float32(3) == (x / 3).array).all()


def test_integer_variables_keep_their_dtype():
    x = Variable(np.array([1, 2]))
    np.testing.assert_array_equal((x + 1.5).array, [2, 3])
    assert (x * 2).dtype == x.dtype


@pytest.mark.parametrize("shape", [(3,), (1, 3), (2, 1), (), (1,), (4, 2, 3)])
def test_broadcasting_is_undone_in_gradients(shape):
    rng = np.random.RandomState(0)
    a, b = Variable(rng.rand(2, 3)), Variable(np.asarray(rng.rand(*shape) + 1))
    y = core.sum(a * b + a / b - b**a)
    y.backward()
    assert a.grad.shape == (2, 3) and b.grad.shape == shape
    h = 1e-6
    direction = np.asarray(rng.randn(*shape))

    def value(t):
        c = b.array + t * direction
        return (a.array * c + a.array / c - c**a.array).sum()

    np.testing.assert_allclose((b.grad * direction).sum(), (value(h) - value(-h)) / (2 * h), rtol=1e-6)


@pytest.mark.parametrize("shapes", [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)),
                                    ((5, 2, 3), (5, 3, 4)), ((3,), (5, 3, 4))])  # fmt: skip
def test_matmul_of_vectors_matrices_and_stacks(shapes):
    rng = np.random.RandomState(0)
    a, b = (Variable(rng.randn(*shape)) for shape in shapes)
    y = a @ b
    np.testing.assert_allclose(y.array, a.array @ b.array)
    core.sum(y * y).backward()
    direction, h = rng.randn(*shapes[1]), 1e-6

    def value(t):
        return ((a.array @ (b.array + t * direction)) ** 2).sum()

    np.testing.assert_allclose((b.grad * direction).sum(), (value(h) - value(-h)) / (2 * h), rtol=1e-6)


def test_indexing():
    x = Variable(np.arange(6.0).reshape(2, 3))
    assert x[0].shape == (3,) and x[0, 1].shape == () and x[:, None].shape == (2, 1, 3)
    y = x[np.array([0, 0, 1])]
    core.sum(y * 2.0).backward()
    np.testing.assert_array_equal(x.grad, [[4, 4, 4], [2, 2, 2]])
    x.cleargrad()
    core.sum(x[x.array > 2]).backward()
    np.testing.assert_array_equal(x.grad, [[0, 0, 0], [1, 1, 1]])
    assert [v.shape for v in x] == [(3,), (3,)]
    with pytest.raises(IndexError):
        x[2]
    with pytest.raises(IndexError, match="use its array"):
        x[Variable(np.array([0]))]


def test_reshape_and_transpose_forms():
    x = Variable(np.arange(6.0).reshape(2, 3))
    assert x.reshape(-1).shape == x.reshape((6,)).shape == (6,)
    assert x.reshape(3, -1).shape == (3, 2) and x.T.shape == x.transpose().shape == x.transpose(1, 0).shape == (3, 2)
    assert x.transpose((1, 0)).shape == (3, 2)
    with pytest.raises(InvalidType, match="6 elements"):
        x.reshape(4, 2)


def test_comparisons_and_truth_are_refused():
    x = leaf(1, 2)
    for f in (lambda: x == x, lambda: x < x, lambda: bool(x), lambda: hash(x)):
        with pytest.raises(TypeError):
            f()


# -- errors are sentences


def test_dtypes_are_checked_in_one_place():
    class Two(FunctionNode):
        name = "two"
        arguments = ("x", "W")

        def forward(self, inputs):
            return (inputs[0] + inputs[1],)

    with pytest.raises(InvalidType, match="two: x is float32 but W is float64; cast"):
        Two()(leaf(1), leaf(1, dtype="d"))
    with pytest.raises(InvalidType, match="two: x is int64; wanted floating point"):
        Two()(np.array([1]), np.array([1]))
    with pytest.raises(InvalidType, match=r"_ \+ _: lhs is float32 but rhs is float64"):
        leaf(1) + leaf(1, dtype="d")
    with pytest.raises(InvalidType, match=r"shapes \(3,\) and \(2,\) do not broadcast"):
        leaf(1, 2, 3) * leaf(1, 2)


def test_wrong_kinds_of_input():
    with pytest.raises(TypeError, match="exp: x is a list; wanted a Variable or an array"):
        core.exp([1.0])
    with pytest.raises(TypeError, match="got str|wanted a number"):
        leaf(1) + "a"
    with pytest.raises(TypeError, match="got list"):
        Variable([1, 2])
    with pytest.raises(ValueError, match="no_backprop_mode"):
        Variable(np.ones(1), volatile=True)
    with pytest.raises(TypeError, match="'test' does not exist"):
        Variable(np.ones(1), test=True)
    with pytest.raises(ValueError, match="exp: x is a parameter without a shape yet"):
        core.exp(Parameter(1.0))


def test_mixed_devices_name_function_arguments_and_cure(monkeypatch):
    class Remote(np.ndarray):
        pass

    remote = np.ones(1, "f").view(Remote)
    monkeypatch.setattr(core, "get_array_module", lambda *xs: "remote" if isinstance(xs[0], Remote) else np)

    class Place:
        def __init__(self, x):
            self.name = "@cupy:0" if isinstance(x, Remote) else "@numpy"

    monkeypatch.setattr(core, "get_device_from_array", Place)
    node = core.Add()
    with pytest.raises(TypeError, match=r"_ \+ _: lhs is on @numpy but rhs is on @cupy:0; move"):
        node.apply((np.ones(1, "f"), remote))


def test_bad_forward_and_backward_of_a_users_function():
    class NoTuple(FunctionNode):
        def forward(self, inputs):
            return inputs[0]

    class TooFew(FunctionNode):
        def forward(self, inputs):
            return (inputs[0] + inputs[1],)

        def backward(self, indexes, grad_outputs):
            return (grad_outputs[0],)

    class WrongShape(FunctionNode):
        def forward(self, inputs):
            return (inputs[0].sum(),)

        def backward(self, indexes, grad_outputs):
            return (grad_outputs[0],)

    with pytest.raises(TypeError, match="NoTuple: forward returned ndarray"):
        NoTuple()(leaf(1))
    with pytest.raises(ValueError, match="TooFew: number of gradients .* is incorrect: 1; wanted a tuple of 2"):
        TooFew()(scalar(1), scalar(1)).backward()
    message = r"WrongShape: shape of gradients .* is incorrect: that of input 0 is \(\), but the input's is \(2,\)"
    with pytest.raises(ValueError, match=message):
        WrongShape()(leaf(1, 2)).backward()


@pytest.mark.parametrize("kind", [tuple, list, iter])
def test_apply_takes_variables_and_arrays_in_any_order_and_from_any_iterable(kind):
    class Product(FunctionNode):
        def forward(self, inputs):
            self.retain_inputs((0, 1))
            return (inputs[0] * inputs[1],)

        def backward(self, indexes, grad_outputs):
            retained = self.get_retained_inputs()
            return tuple(grad_outputs[0] * retained[1 - i] for i in indexes)

    x, w = leaf(2, 3), np.array([5, 7], "f")
    for inputs in ((x, w), (w, x), (x, leaf(5, 7))):
        x.cleargrad()
        (y,) = Product().apply(kind(inputs))
        y.grad = np.ones(2, "f")
        y.backward()
        assert y.array.tolist() == [10, 21] and x.grad.tolist() == [5, 7]


def test_a_function_applied_again_goes_back_to_its_last_inputs():
    class Double(FunctionNode):
        def forward(self, inputs):
            return (2 * inputs[0],)

        def backward(self, indexes, grad_outputs):
            return (2 * grad_outputs[0],)

    node, first, last = Double(), leaf(1, 2), leaf(3, 4)
    y, z = node(first), node(last)
    core.sum(z).backward()
    assert last.grad.tolist() == [2, 2] and first.grad is None
    with pytest.raises(RuntimeError, match="Double was applied again after the output that has a gradient"):
        core.sum(y + z).backward()


def test_whole_numbers_have_no_gradient_to_go_back_with():
    x = Variable(np.array([1, 2]))
    x.backward()
    (x + 1).backward()
    assert x.grad is None


def test_lists_as_indexes():
    # python -c "import chainer, numpy as np; x = np.arange(24).reshape(4, 3, 2);
    # print([chainer.functions.get_item(x, i).shape for i in ([], [1, 0], [[0, 1]], [[0, 1], [1, 0]], [None, 0])])"
    # (Chainer 7.8.1, NumPy 1.23.5)
    x = np.arange(24.0).reshape(4, 3, 2)
    shapes = [core.get_item(x, index).shape for index in ([], [1, 0], [[0, 1]], [[0, 1], [1, 0]], [None, 0])]
    assert shapes == [(0, 3, 2), (2, 3, 2), (2, 3, 2), (2, 2), (1, 3, 2)]
    with pytest.raises(IndexError, match=r"more than one '\.\.\.'"):
        core.get_item(x, (..., ...))
    with using_config("debug", True), pytest.raises(ValueError, match="more than one"):
        core.get_item(x, (..., ...))
    with pytest.raises(ValueError, match="transpose: axes"):
        core.transpose(x, 0)


def test_gradients_are_checked():
    x = leaf(1, 2, 3)
    with pytest.raises(ValueError, match="shape"):
        x.grad = np.ones(4, "f")
    with pytest.raises(TypeError, match="dtype"):
        x.grad = np.ones(3)
    with pytest.raises(TypeError, match="got list"):
        x.grad = [1]


# -- memory


class Keep(FunctionNode):
    """x squared; keeps what ``mode`` says."""

    def __init__(self, mode):
        self.mode = mode

    def forward(self, inputs):
        if self.mode == "input":
            self.retain_inputs((0,))
        elif self.mode == "output":
            self.retain_outputs((0,))
        return (inputs[0] ** 2,)

    def backward(self, indexes, grad_outputs):
        if self.mode == "output":
            return (2.0 * self.get_retained_outputs()[0] ** 0.5 * grad_outputs[0],)
        return (2.0 * self.get_retained_inputs()[0] * grad_outputs[0],)


class Array(np.ndarray):
    """An array that can be watched."""


def watched(*values):
    array = np.array(values, "d").view(Array)
    return array, weakref.ref(array)


def test_what_nobody_retains_is_freed_at_once():
    x = Variable(np.array([1.0, 2.0]))
    array, watch = watched(1, 2)
    h = Variable(array)
    del array
    y = core.add(h, x)
    del h
    assert watch() is None and y.creator is not None


@pytest.mark.parametrize("mode", ["input", "output"])
def test_what_is_retained_lives_as_long_as_the_graph(mode):
    array, watch = watched(1, 2)
    x = Variable(np.array([1.0, 2.0]))
    h = x + array if mode == "output" else Variable(array)
    y = Keep(mode)(h)
    if mode == "output":
        del array
        watch = weakref.ref(y.creator._output_arrays[0])
        z = y * 1.0
        del y, h
        core.sum(z).backward()
        np.testing.assert_allclose(x.grad, [4, 8])
        del z
    else:
        del array, h
        assert watch() is not None
        del y
    assert watch() is None


def test_a_retained_output_may_be_none():
    class Second(FunctionNode):
        def forward(self, inputs):
            self.retain_outputs((0, 1))
            return None, inputs[0] * 3

        def backward(self, indexes, gys):
            none, y = self.get_retained_outputs()
            assert none is None and y.array == 6
            return (gys[1] * 3,)

    x = scalar(2)
    _, y = Second().apply((x,))
    y.backward()
    assert x.grad == 3


def test_retained_outputs_give_second_derivatives_after_the_output_is_gone():
    x = Variable(np.array([3.0]))
    y = Keep("output")(x)
    z = core.sum(y * 1.0)
    del y
    (gx,) = grad([z], [x], enable_double_backprop=True)
    (ggx,) = grad([gx], [x])
    np.testing.assert_allclose(gx.array, 6)
    np.testing.assert_allclose(ggx.array, 2)


def test_a_graph_has_no_reference_circles():
    gc.collect()
    gc.disable()
    try:
        x = Variable(np.array([1.0, 2.0]))
        y = core.sum(core.exp(x * x) / (x + 1.0))
        y.backward(enable_double_backprop=True)
        watches = [weakref.ref(y.node), weakref.ref(y.creator), weakref.ref(x.grad_var.node), weakref.ref(x.node)]
        del y, x
        assert [w() for w in watches] == [None] * 4
    finally:
        gc.enable()


def test_unchain_backward_frees_the_graph():
    x = Variable(np.array(2.0))
    h = core.exp(x)
    watch = weakref.ref(h.creator)
    y = h * h
    y.unchain_backward()
    del h
    assert y.creator is None and watch() is None
    y.backward()
    assert x.grad is None


# -- Variable as a container; parameters


def test_replacing_the_array_replaces_what_is_retained():
    x = Variable(np.array(1.0))
    y = x**2
    x.array = np.array(5.0)
    y.backward()
    assert x.grad == 10


def test_copies():
    x = Variable(np.array([1.0]), name="x")
    x.grad = np.array([2.0])
    shallow, deep = copy.copy(x), copy.deepcopy(x)
    assert shallow.array is x.array and shallow.node is not x.node and shallow.name == "x"
    assert deep.array is not x.array and deep.grad == 2 and deep.node.get_variable() is deep
    again = pickle.loads(pickle.dumps(x))
    assert again.array == 1 and again.grad == 2 and again.name == "x" and again.node.get_variable() is again


def test_text():
    assert repr(leaf(1, 2)) == "variable([1., 2.])"
    assert str(Variable(np.array([1.0]), name="w")) == "variable w([1.])"
    assert leaf(1).label == "(1), float32" and scalar(1).label == "float32"
    assert repr(Variable(np.zeros((2, 2), "f"), name="w")) == "variable w([[0., 0.],\n            [0., 0.]])"
    assert str(Variable(np.zeros((2, 2), "f"))) == "variable([[0. 0.]\n          [0. 0.]])"
    assert repr(Variable(np.zeros((0, 3)))) == "variable([], shape=(0, 3))" and repr(Variable()) == "variable(None)"
    assert leaf(1).summary().startswith("<variable at 0x")
    text = Variable(np.array([1.0, 3.0]), name="w", grad=np.zeros(2)).debug_print().split("\n- ")
    assert text == [
        "<variable w>", "device: CPU", "backend: <class 'numpy.ndarray'>", "shape: (2,)", "dtype: float64",
        "statistics: mean=2.00000000, std=1.00000000", "grad: 0",
    ]  # fmt: skip
    assert Variable().debug_print().count("None") == 6


def test_addgrad_of_another_dtype_is_refused():
    x, y = leaf(1, 2), Variable(np.ones(2))
    y.grad = np.ones(2)
    with pytest.raises(TypeError, match="dtype is float64, but the array's is float32"):
        x.addgrad(y)
    x.grad = np.ones(2, "f")
    with pytest.raises(InvalidType):  # both as Chainer 7.8.1
        x.addgrad(y)


def test_grad_inputs_go_on_to_inputs_that_lead_there():
    x, w = scalar(2), scalar(3)
    h = x * w
    y = h * h
    gx, gh = core.grad([y], [x, h], None, [None, scalar(1)], retain_grad=True)
    # Chainer 7.8.1: print(chainer.grad([y], [x, h], None, [None, one]), x.grad, h.grad, y.grad, retain_grad=True)
    assert (gx.array, gh.array, x.grad, h.grad, y.grad) == (39, 13, None, 13, 1)


def test_one_element_is_not_quite_a_number():
    y = leaf(1) * 2
    with pytest.warns(DeprecationWarning, match=r"starting from shape \(1,\)"):
        y.backward()


def test_addgrad_and_copydata():
    x, y = leaf(1, 2), leaf(3, 4)
    y.grad = np.ones(2, "f")
    x.addgrad(y)
    x.addgrad(y)
    np.testing.assert_array_equal(x.grad, [2, 2])
    x.copydata(y)
    np.testing.assert_array_equal(x.array, [3, 4])


def test_parameter_forms():
    assert Parameter(0.5, (2,)).array.tolist() == [0.5, 0.5]
    array = np.ones((2, 2))
    assert Parameter(array).array is array
    assert np.isnan(Parameter(None, (2,)).array).all()
    p = Parameter(1.0)
    assert not p.is_initialized and p.array is None and p.grad is None
    p.cleargrad()
    p.initialize((2, 3))
    assert p.array.tolist() == [[1] * 3] * 2 and p.dtype == np.float32 and p.grad is None
    assert Parameter(0, shape=3).shape == (3,)


def test_a_deep_copied_parameter_is_a_leaf_of_its_own():
    p = Parameter(np.array([2.0]))
    q = copy.deepcopy(p)
    core.sum(q * q).backward()
    assert p.grad is None and q.grad == 4


# -- as old scripts use it


def test_a_variable_made_without_backprop_is_a_leaf_that_can_be_differentiated():
    w = leaf(1, 2)
    with no_backprop_mode():
        fake = w * 3
    assert fake.creator is None and fake.requires_grad
    (g,) = grad([core.sum(core.reshape(fake, (2, 1)) ** 2)], [fake])
    assert g.array.tolist() == [6, 12]


def test_backward_of_a_function_may_return_a_list():
    class Double(FunctionNode):
        def forward(self, inputs):
            return (inputs[0] * 2,)

        def backward(self, indexes, grad_outputs):
            return [grad_outputs[0] * 2]

    x = leaf(1, 2)
    core.sum(Double().apply((x,))[0]).backward()
    assert x.grad.tolist() == [2, 2]


def test_a_gradient_set_by_hand_in_between_stays_and_is_not_passed_on():
    x = leaf(1, 2)
    h = x * x
    h.grad = np.array([5, 5], "f")
    core.sum(h).backward()
    assert h.grad.tolist() == [5, 5] and x.grad.tolist() == [2, 4]


def test_wrong_index_and_wrong_ends_of_grad_are_named():
    x = leaf(1, 2)
    with pytest.raises(IndexError, match=r"get_item: x has shape \(2,\)"):
        x[5]
    with pytest.raises(TypeError, match=r"grad: inputs\[0\] is a ndarray"):
        grad([x * 2], [x.array])


def test_numpy_integers_are_lengths():
    n = np.int64(3)
    assert Parameter(1.0, n).shape == (3,) and core.broadcast_to(leaf(1), n).shape == (3,)


# -- what Chainer's own Variables and functions do besides


def test_operators_and_their_dtypes():
    # dtypes and errors as of Chainer 7.8.1
    x, i = leaf(1, 2), Variable(np.array([1, 2], "int8"))
    assert (+x) is x and (i + 300).array.tolist() == [45, 46] and (i - 1).dtype == np.int8
    assert (i // 2).array.tolist() == [0, 1] and (i // 2).dtype == np.int8
    y = x // 2
    assert y.array.tolist() == [0, 1] and y.creator is None and not y.requires_grad
    assert (Variable(np.ones((2, 2), "e")) @ Variable(np.ones((2, 2), "f"))).dtype == np.float32
    assert (x @ np.ones(2)).dtype == np.float32
    for f in (lambda: i * i, lambda: 2 / i, lambda: i**2, lambda: i // i, lambda: abs(i), lambda: i @ i,
              lambda: x + Variable(np.ones(2)), lambda: x + leaf(1, 2, 3)):  # fmt: skip
        with pytest.raises(InvalidType):
            f()
    for f in (lambda: x + None, lambda: x * [1], lambda: x @ [1], lambda: "a" - x, lambda: x**1j):
        with pytest.raises(TypeError, match="wanted a number, an array or a Variable"):
            f()
    with pytest.raises(ValueError, match="axes"):
        x.transpose(0, 0)
    assert x.mean().array == 1.5 and x.mean(axis=0, weights=np.array([1, 3], "f"), keepdims=True).shape == (1,)


def test_creators_and_ranks():
    x = leaf(1)
    y = (x * 2) * 3
    assert y.rank == 2
    y.unchain()
    assert y.creator is None and y.rank == 2  # what came after it keeps its place in the order
    node = FunctionNode()
    y.creator = node
    assert y.creator_node is node and y.rank == 1
    y.creator_node = None
    assert y.creator is None
    with pytest.raises(ValueError, match="'grad' does not exist"):
        core.VariableNode(x, "", grad=None)


def test_gradients_of_parameters_that_come_to_exist_later():
    p = Parameter(1.0)
    with pytest.warns(DeprecationWarning):
        p.zerograd()
    p.initialize((2,))
    assert p.grad.tolist() == [0, 0]
    p, q = Parameter(1.0), Parameter(2.0, (2,))
    q.grad = np.ones(2, "f")
    p.addgrad(q)
    assert p.array.tolist() == [1, 1] and p.grad.tolist() == [1, 1]
    p = Parameter(1.0)
    p.copydata(q)
    assert p.array.tolist() == [2, 2]
    q.copydata(Parameter(3.0))
    assert q.array.tolist() == [3, 3]
    Parameter(1.0).copydata(Parameter(1.0))
    assert q.grad_var.requires_grad


def test_backward_accumulate_of_ones_own():
    class MulAdd(FunctionNode):
        def forward(self, inputs):
            self.retain_inputs((0, 1))
            return (inputs[0] * inputs[1] + inputs[2],)

        def backward_accumulate(self, indexes, grad_outputs, grad_inputs):
            a, b = self.get_retained_inputs()
            (gy,) = grad_outputs
            new = [(gy * b, gy * a, gy)[i] for i in indexes]
            return tuple(n if g is None else n + g for n, g in zip(new, grad_inputs))

    a, b = scalar(3), scalar(5)
    (y,) = MulAdd().apply((a, b, a))
    (y * a).backward()  # y a = (a b + a) a: 2 a b + 2 a, a a
    assert a.grad == 36 and b.grad == 9


def test_what_user_functions_may_return_and_leave_out():
    class Echo(FunctionNode):
        def forward(self, inputs):
            self.retain_outputs((0,))
            return inputs

    y, nothing = Echo().apply((leaf(1), None))
    assert nothing.array is None and y.creator.output_data[0] is y.array and y.creator.output_data[1] is None
    assert Echo.apply(type("Empty", (FunctionNode,), {"forward": lambda self, inputs: ()})(), ()) == ()
    with pytest.raises(RuntimeError, match="no output is retained"):
        print(core.exp(leaf(1)).creator.inputs and core.Sum(None, False).output_data)


def test_debug_mode_checks_the_dtype_of_gradients():
    class Wide(FunctionNode):
        def forward(self, inputs):
            return inputs

        def backward(self, indexes, gys):
            return (core.cast(gys[0], "d"),)

    x = scalar(1)
    y = Wide().apply((x,))[0]
    with using_config("debug", True), pytest.raises(ValueError, match="dtype of gradients .* is incorrect: float64"):
        y.backward()


def test_debug_mode_tells_where_the_function_was_applied():
    class Bad(FunctionNode):
        def forward(self, inputs):
            return inputs

        def backward(self, indexes, grad_outputs):
            raise ValueError("not today")

    with using_config("debug", True):
        y = Bad()(scalar(1))  # this line
        with pytest.raises(ValueError, match=r"(?s)not today\nStacktrace of the function is below:.*# this line"):
            y.backward()
    assert Bad().stack is None


def test_a_leaf_remembers_the_loss_scale_of_its_gradient():
    x = Variable(np.ones(3, np.float32))
    y = core.sum(x * 2)
    y.backward(loss_scale=4.0)
    assert (x._loss_scale, y._loss_scale, x.grad.tolist()) == (4.0, None, [8.0] * 3)  # as Chainer 7.8.1
    core.sum(x * 2).backward()
    assert x._loss_scale is None


def test_functions_run_on_the_device_of_their_arrays(monkeypatch):
    """Of two pretended GPUs number 0 is current, and the arrays lie on number 1."""
    current, used = [0], []

    class Array(np.ndarray):
        data = types.SimpleNamespace(device_id=1)

    @contextlib.contextmanager
    def device(number):
        current.append(number)
        yield
        current.pop()

    def ones_like(x):
        used.append(current[-1])
        return np.ones_like(x)

    runtime = types.SimpleNamespace(getDevice=lambda: current[-1])
    cupy = types.SimpleNamespace(__name__="cupy", cuda=types.SimpleNamespace(Device=device, runtime=runtime))
    cupy.ones_like = ones_like
    monkeypatch.setattr(core, "get_array_module", lambda *arrays: cupy)

    class Twice(FunctionNode):
        def forward(self, inputs):
            used.append(current[-1])
            return (inputs[0] * 2,)

        def backward(self, indexes, grad_outputs):
            return Twice().apply(grad_outputs)

    x = Variable(np.ones(()).view(Array))
    y = Twice().apply((x,))[0]
    y.backward()
    assert x.grad.tolist() == 2 and grad([y], [x])[0].array.tolist() == 2
    assert used == [1] * 5 and current == [0]
