import io
import re

import numpy as np
import pytest

from minigan import Variable, function_hooks, get_function_hooks
from minigan import functions as F
from minigan.backends import cuda
from minigan.function_hook import FunctionHook


class Recorder(FunctionHook):
    name = "recorder"

    def __init__(self):
        self.events = []

    def added(self, function):
        self.events.append(("added", function))

    def deleted(self, function):
        self.events.append(("deleted", function))

    def forward_preprocess(self, function, in_data):
        self.events.append(("forward", function.label, [x.shape for x in in_data]))

    def backward_postprocess(self, function, in_data, out_grad):
        self.events.append(("backward", function.label, [x is None for x in in_data], [g.tolist() for g in out_grad]))


def test_a_thread_hook_sees_every_function():
    x = Variable(np.ones(2, "f"))
    with Recorder() as hook:
        assert get_function_hooks() == {"recorder": hook}
        y = F.sum(x)
        with pytest.raises(KeyError, match="recorder already exists"), Recorder():
            pass
    assert not get_function_hooks()
    y.backward()
    assert hook.events == [("added", None), ("forward", "Sum", [(2,)]), ("deleted", None)]


def test_a_local_hook_sees_its_function_there_and_back():
    x = Variable(np.ones(2, "f"))
    y = x * x
    hook = Recorder()
    y.creator.add_hook(hook, "mine")
    F.sum(y).backward()
    assert hook.events == [("added", y.creator), ("backward", "_ * _", [False, False], [[1, 1]])]
    y.creator.delete_hook("mine")
    assert hook.events[-1] == ("deleted", y.creator)
    with pytest.raises(KeyError, match="mine does not exist"):
        y.creator.delete_hook("mine")
    with pytest.raises(TypeError, match="got int"):
        y.creator.add_hook(3)


def test_timer():
    x = Variable(np.ones((2, 3), "f"))
    with function_hooks.TimerHook() as timer:
        y = F.exp(x)
        F.sum(y * y).backward()
    names = [name for name, _ in timer.call_history]
    assert names[:3] == ["Exp", "Mul", "Sum"] and names.count("Exp") == 2  # there and back
    assert all(seconds > 0 for _, seconds in timer.call_history)
    summary = timer.summary()
    assert summary["Exp"]["occurrence"] == 2
    assert 0 < timer.total_time() < sum(seconds for _, seconds in timer.call_history)  # functions within functions
    file = io.StringIO()
    timer.print_report(file=file)
    lines = file.getvalue().splitlines()
    assert lines[0].split() == ["FunctionName", "ElapsedTime", "Occurrence"] and len(lines) == 1 + len(summary)
    assert re.fullmatch(r" +Exp +[0-9.]+(ns|us|ms|sec) +2", lines[1])
    assert len({line.split()[1].strip("0123456789.") for line in lines[1:]}) == 1
    with pytest.raises(KeyError):
        timer.print_report(unit="hours")
    function_hooks.TimerHook().print_report(file=file)


def test_print():
    file = io.StringIO()
    x = Variable(np.ones((2, 3), "f"))
    with function_hooks.PrintHook(file=file):
        F.sum(x).backward()
    text = file.getvalue()
    assert text.startswith("function\tSum\ninput data\n<variable at 0x")
    assert "- shape: (2, 3)\n- dtype: float32\n- statistics: mean=1.00000000, std=0.00000000\n- grad: None\n" in text
    assert "function\tSum\ninput data\n(removed)\noutput gradient\n" in text
    assert "grad: mean=1.00000000, std=0.00000000" in text


@pytest.mark.skipif(cuda.available, reason="there is a GPU")
@pytest.mark.parametrize("name", ["CUDAProfileHook", "CupyMemoryProfileHook"])
def test_hooks_for_a_gpu_say_that_there_is_none(name):
    with pytest.raises(RuntimeError, match="CUDA cannot be used"):
        getattr(function_hooks, name)()
