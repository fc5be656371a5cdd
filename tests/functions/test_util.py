import numpy as np
import pytest

import minigan.functions as F
from minigan.configuration import config
from minigan.core import Parameter, Variable
from minigan.gradient_check import check_backward


@pytest.mark.parametrize("results", [1, 2])
def test_derivatives_are_those_of_the_function(rng, results):
    x, y, *gzs = rng.standard_normal((2 + results, 3, 4))
    check_backward(lambda x, y: F.forget(lambda a, b: (F.tanh(a) * b, a + b)[:results], x, y), (x, y), tuple(gzs))


def test_nothing_is_kept_and_parameters_inside_learn():
    w, x = Parameter(np.ones((2, 3))), Variable(np.full((2, 3), 2.0))
    calls = []

    def function(x):
        calls.append((config.enable_backprop, config._will_recompute, config.in_recomputing))
        return x * w * x

    y = F.forget(function, x)
    assert y.creator.inputs == (x.node,)
    y.grad = np.ones((2, 3))
    y.backward()
    assert (w.grad == 4).all() and (x.grad == 4).all()
    assert calls == [(False, True, False), (True, False, True)]


def test_part_of_the_results_and_forget_within_forget():
    x = Variable(np.array([0.3, -0.2]))
    _, z = F.forget(lambda a: (a, F.forget(lambda b: b * b, a) * a), x)
    F.sum(z).backward()
    np.testing.assert_allclose(x.grad, 3 * x.array**2)


def test_errors():
    v = Variable(np.ones(2))
    with pytest.raises(TypeError, match="func is a int"):
        F.forget(1)
    for result, words in ((1, "as its result, int"), ((1,), "1st of 1 results, int"), ((v,) * 10 + (1,), "11th of 11")):
        with pytest.raises(RuntimeError, match=words):
            F.forget(lambda result=result: result)
    y = F.forget(lambda v: v * v, v)
    y.grad = np.ones(2)
    with pytest.raises(RuntimeError, match="cannot be differentiated again"):
        y.backward(enable_double_backprop=True)
