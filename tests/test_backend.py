import sys
import types

import numpy as np
import pytest

import minigan
from minigan import Variable, backend
from minigan.backends import cuda

needs_no_gpu = pytest.mark.skipif(cuda.available, reason="there is a GPU")


@pytest.mark.parametrize("spec", ["@numpy", "numpy", "cpu", "native:0", -1, "-1", np.int32(-1), cuda.DummyDevice])
def test_names_of_the_cpu(spec):
    device = backend.get_device(spec)
    assert device == backend.CpuDevice() == -1 and device.xp is np and device.name == str(device) == "@numpy"
    assert device.is_array_supported(np.ones(1)) and not device.is_array_supported(1)
    with backend.using_device(spec) as current:
        assert current == device


@pytest.mark.parametrize("spec", ["@foo", "@numpy:0", -2, "x"])
def test_names_of_no_device(spec):
    with pytest.raises(ValueError, match="get_device: got"):
        backend.get_device(spec)


@pytest.mark.parametrize("spec", [None, np.ones(1), 1.5, (np, 0)])
def test_what_names_no_device_at_all(spec):
    with pytest.raises(TypeError, match="wanted a string, a number or a Device"):
        backend.get_device(spec)


def test_sending():
    x = np.ones(2, "f")
    device = backend.CpuDevice()
    assert device.send(x) is x is device.send_array(x) and device.send([x, (x, None)])[1][0] is x
    assert device.send({"x": x, "n": "name"}) == {"x": x, "n": "name"}
    assert [(type(y), np.shape(y)) for y in device.send([np.float16(1), 1])] == [(np.ndarray, ()), (int, ())]
    with pytest.raises(TypeError, match="got a Variable; call its to_device"):
        device.send(Variable(x))
    assert backend.CpuDevice.from_array(x) == device and backend.GpuDevice.from_array(x) is None
    assert backend.from_chx(x) is x


def test_copyto():
    x = np.zeros(2, "f")
    backend.copyto(x, np.ones(2))
    assert x.tolist() == [1, 1]
    with pytest.raises(TypeError, match="dst is a NoneType"):
        backend.copyto(None, x)
    with pytest.raises(TypeError, match="same_kind"):
        backend.copyto(np.zeros(2, int), x)


def test_what_chainer_has_and_what_is_not_here():
    for device in (backend.Intel64Device, backend.ChainerxDevice):
        assert device.from_array(np.ones(1)) is None
        with pytest.raises(RuntimeError, match="no such device here"):
            device()
    with pytest.raises(RuntimeError, match="no ChainerX"):
        backend.to_chx(np.ones(1))
    x = Variable(np.ones(1))
    with pytest.raises(RuntimeError, match="no ChainerX"):
        x.to_chx()
    with pytest.raises(ValueError, match="chx_array"):
        x.chx_array  # noqa: B018
    x.from_chx()
    x.to_intel64()
    assert x.layout is None and x.raw_array is x.array


def test_kinds_of_arrays():
    x = np.ones(1)
    assert np.ndarray in backend.get_array_types() and backend.get_cpu_array_types() == (np.ndarray,)
    assert backend.is_arrays_compatible([x, None, x]) and not backend.is_arrays_compatible([x, 1])


def test_runtime_info(capsys):
    minigan.print_runtime_info()
    names = [line.split(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert names == ["Platform", "minigan", "NumPy", "CuPy"]


def test_memoize():
    calls = []

    @cuda.memoize(for_each_device=True)
    def double(x, times=2):
        calls.append(x)
        return x * times

    assert [double(3), double(3), double(3, times=3)] == [6, 6, 9] and calls == [3, 3]
    cuda.clear_memo()
    assert double(3) == 6 and calls == [3, 3, 3]


@needs_no_gpu
def test_names_of_cuda_fail_only_when_they_are_called():
    assert cuda.fuse(len) is cuda.fuse()(len) is len
    assert cuda.ndarray is cuda.ndarray and not isinstance(np.ones(1), cuda.ndarray)
    for call in (
        lambda: cuda.elementwise("T x", "T y", "y = x", "f"), lambda: cuda.raw("code", "f"), cuda.Stream, cuda.Event,
        lambda: cuda.reduce("T x", "T y", "x", "a + b", "y = a", "0", "f"), lambda: cuda.Device(0),
        lambda: cuda.copy(np.ones(1)), lambda: cuda.to_gpu(np.ones(1)), lambda: backend.get_device("@cupy:0"),
    ):  # fmt: skip
        with pytest.raises(RuntimeError, match="CUDA cannot be used: CuPy is"):
            call()


def test_cudnn_is_never_used():
    assert not cuda.cudnn_enabled and not cuda.should_use_cudnn(">=auto", 5000)
    with pytest.raises(ValueError, match="level is 'x'"):
        cuda.should_use_cudnn("x")
    size = cuda.get_max_workspace_size()
    cuda.set_max_workspace_size(3)
    assert cuda.get_max_workspace_size() == 3
    cuda.set_max_workspace_size(size)


class _Runtime:
    def __init__(self, answer):
        self.answer = answer

    def driverGetVersion(self):
        return 12080 if self.answer is OLD else 0

    def getDeviceCount(self):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


OLD = RuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version")


@pytest.mark.parametrize(
    "answer, text",
    [
        (OLD, f"CuPy 14.2 found no usable driver: {OLD}; that is for CUDA 12: install minigan.cuda12., or a new one$"),
        (RuntimeError("no libcuda"), "CuPy 14.2 found no usable driver: no libcuda$"),
        (0, "CuPy 14.2 found no CUDA device"),
        (None, "CuPy is not installed"),
    ],
)
def test_why_there_is_no_gpu(answer, text, monkeypatch):
    cupy = types.ModuleType("cupy")
    cupy.__version__, cupy.cuda = "14.2", types.SimpleNamespace(runtime=_Runtime(answer))
    monkeypatch.setitem(sys.modules, "cupy", None if answer is None else cupy)
    cuda._gpu_state.cache_clear()
    try:
        with pytest.raises(RuntimeError, match=f"CUDA cannot be used: {text}"):
            cuda.to_gpu(np.ones(2))
        with pytest.raises(RuntimeError, match=text):
            backend.get_device("@cupy:0")
    finally:
        cuda._gpu_state.cache_clear()


def test_memory_that_is_left(monkeypatch):
    asked = []
    runtime = types.SimpleNamespace(memGetInfo=lambda: (2**28, 8 * 2**30))
    pool = types.SimpleNamespace(free_all_blocks=lambda: asked.append("free"))
    cupy = types.SimpleNamespace(cuda=types.SimpleNamespace(runtime=runtime), get_default_memory_pool=lambda: pool)
    monkeypatch.setattr(cuda, "_gpu_state", lambda: (cupy, ""))
    assert cuda.memory_left() == "0.2 of the GPU's 8.0 GB are free" and asked == ["free"]
    monkeypatch.setattr(cuda, "_gpu_state", lambda: (None, "CuPy is not installed"))
    assert cuda.memory_left() == ""
