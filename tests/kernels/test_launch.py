"""The launcher: what it refuses, in which words, and that nothing is launched then."""

import contextlib
import types

import numpy as np
import pytest
from emulated import emulated, floats, needs_compiler, needs_emulator

import minigan
from minigan.kernels import batch_norm, fused_batch_norm, im2col, launch
from minigan.kernels.emulator import CompileError, check

WINDOWS = im2col.Windows((3, 3), (2, 2), (1, 1), (1, 1), (5, 5), (3, 3))
SIZES = (0, 2, 5, 5, 3, 3, 1, 1)


def kernel():
    return im2col._window_kernel("im2col", ("col",), np.dtype(np.float32), WINDOWS)


def arguments():
    return [floats(2, 4, 5, 5), floats(4, 9, 2, 3, 3), *SIZES, 100, 25]


def test_signature_is_read_from_the_file():
    x, col, first, *_, channel = kernel().parameters
    assert x[:4] == ("x", np.float32, True, True) and col[:4] == ("col", np.float32, True, False)
    assert first == ("first", np.int32, False, False, -(2**31), 2**31 - 1) and channel.dtype == np.int64
    with pytest.raises(CompileError, match="im2col.cu has no kernel nothing; it has im2col, col2im, col2im_bias"):
        launch.kernel("im2col.cu", "nothing")
    assert kernel() is kernel()


@pytest.mark.parametrize(
    "change, error, text",
    [
        (lambda a: a.pop(), TypeError, "got 11 arguments; wanted 12: x, col, first"),
        (lambda a: a.__setitem__(1, a[1].astype(float)), TypeError, "col is float64; the file says float32"),
        (lambda a: a.__setitem__(0, a[0].swapaxes(0, 1)), ValueError, "x of shape .* is not contiguous"),
        (lambda a: a.__setitem__(0, [1.0]), TypeError, "x is a list; wanted an array of float32"),
        (lambda a: a.__setitem__(1, emulated(a[1])), TypeError, "col is a .*arrays array, another argument"),
        (lambda a: a.__setitem__(3, 2**31), ValueError, "n is 2147483648: int32 cannot hold it"),
    ],
)
def test_arguments_that_do_not_fit(change, error, text):
    args = arguments()
    change(args)
    with pytest.raises(error, match=text):
        launch.launch(kernel(), (1, 4), (256,), args)


@pytest.mark.parametrize(
    "grid, block, shared, text",
    [((1, 4), (2048,), 0, "block of .2048,. threads; wanted 1 to 1024"), ((1, 70000), (256,), 0, "grid of .1, 70000."),
     ((1, 4), (256,), 50000, "50000 bytes of shared memory; a block has 49152")],
)  # fmt: skip
def test_sizes_that_do_not_fit(grid, block, shared, text):
    with pytest.raises(ValueError, match=text):
        launch.launch(kernel(), grid, block, arguments(), shared)


def test_types_are_read_with_the_constants_of_the_file(tmp_path, monkeypatch):
    head = "#ifndef REAL\n#define REAL float\n#endif\n"
    (tmp_path / "k.cu").write_text(head + 'extern "C" __global__ void k(const REAL* x, bool b, size_t n, half* y) {}\n')
    monkeypatch.setattr(launch, "FOLDER", tmp_path)
    with pytest.raises(CompileError, match="k.cu: k: y is an array of half; wanted one of float, double, int"):
        launch.Kernel("k.cu", "k", (), False, {})
    found = launch.Kernel("k.cu", "k", (), False, {"half": "double"}).parameters
    assert [p.dtype for p in found] == [np.float32, np.bool_, np.uint64, np.float64]


def test_an_array_too_long_for_32_bits():
    huge = types.SimpleNamespace(dtype=np.dtype("f"), flags=types.SimpleNamespace(c_contiguous=True), size=2**31)
    narrow = launch.kernel("im2col.cu", "im2col", ("col",), REAL="float")
    with pytest.raises(ValueError, match="x has 2147483648 elements; an index has 32 bits"):
        launch._check_arguments(narrow, [huge, *arguments()[1:]])
    assert kernel().wide


def test_a_struct_goes_by_value(tmp_path, monkeypatch):
    (tmp_path / "k.cu").write_text('struct S { int a; };\nextern "C" __global__ void k(const S s, float* x) {}\n')
    monkeypatch.setattr(launch, "FOLDER", tmp_path)
    structs = launch.Kernel("k.cu", "k", (), False, {})
    record = np.zeros(1, [("a", np.int32)])
    assert launch._check_arguments(structs, [record, floats(2)])[0] is record
    with pytest.raises(TypeError, match="s is a int; wanted a structured array of one record"):
        launch._check_arguments(structs, [1, floats(2)])


class CompileException(Exception):
    pass


def gpu(failing=False):
    """A CuPy of one function, which notes how it is called."""
    calls = []

    class RawModule:
        def __init__(self, code, options):
            calls.append((code, options))

        def compile(self):
            if isinstance(failing, Exception):
                raise failing
            if failing:
                raise CompileException("im2col.cu(7): error: expected a ';'")

        def get_function(self, name):
            built_for = current[-1]

            def function(*args, **kwargs):
                assert current[-1] == built_for  # as on a GPU, where another device does not know it
                calls.append((name, args, kwargs))

            return function

    @contextlib.contextmanager
    def device(number):
        current.append(number)
        yield
        current.pop()

    current = [0]
    runtime = types.SimpleNamespace(
        runtimeGetVersion=lambda: 13010, driverGetVersion=lambda: 12080, getDevice=lambda: current[-1]
    )
    compiler = types.SimpleNamespace(CompileException=CompileException)
    cuda = types.SimpleNamespace(compiler=compiler, runtime=runtime, Device=device)
    return types.SimpleNamespace(__name__="cupy", __version__="14.2", RawModule=RawModule, cuda=cuda), calls


class GpuArray:
    def __init__(self, array, device=0):
        self.array, self.data = array, types.SimpleNamespace(device_id=device, ptr=256)
        self.dtype, self.flags, self.size, self.shape = array.dtype, array.flags, array.size, array.shape


def test_cupy_gets_numbers_of_the_declared_types_and_compiles_once(monkeypatch):
    cupy, calls = gpu()
    monkeypatch.setattr(launch, "array_module", lambda x: cupy)
    fresh = launch.Kernel("im2col.cu", "im2col", (), True, dict(kernel().constants))
    args = [GpuArray(a) if isinstance(a, np.ndarray) else a for a in arguments()]
    for _ in range(2):
        launch.launch(fresh, (1, 4), (256,), args)
    (code, options), *runs = calls
    assert code.startswith('#line 1 "im2col.cu"\n') and "-DKH=3" in options and "-DREAL=float" in options
    assert [name for name, *_ in runs] == ["im2col", "im2col"]
    grid, block, given = runs[0][1]
    assert (grid, block) == ((1, 4), (256,)) and runs[0][2] == {"shared_mem": 0}
    assert [type(a) for a in given[2:]] == [np.int32] * 8 + [np.int64] * 2
    other = [GpuArray(a, device=1) if isinstance(a, np.ndarray) else a for a in arguments()]
    launch.launch(fresh, (1, 4), (256,), other)  # built and run on the arrays' device, which is not the current one
    assert len(calls) == 5 and cupy.cuda.runtime.getDevice() == 0
    args[1] = GpuArray(args[1].array, device=1)
    with pytest.raises(ValueError, match="col is on GPU 1, another argument on GPU 0"):
        launch.launch(fresh, (1, 4), (256,), args)


@pytest.mark.parametrize(
    "driver, text",
    [(12080, "up to 12.8; install minigan[cuda12] or a new driver"), (13020, "up to 13.2; install minigan[cuda13]")],
)
def test_a_compiler_that_is_newer_than_the_driver_or_missing(monkeypatch, driver, text):
    cupy, _ = gpu(failing=RuntimeError("CUDA_ERROR_UNSUPPORTED_PTX_VERSION: compiled with an unsupported toolchain"))
    cupy.cuda.runtime.driverGetVersion = lambda: driver
    monkeypatch.setattr(launch, "array_module", lambda x: cupy)
    fresh = launch.Kernel("im2col.cu", "im2col", (), True, dict(kernel().constants))
    with pytest.raises(CompileError) as caught:
        launch.launch(fresh, (1, 4), (256,), [GpuArray(a) if isinstance(a, np.ndarray) else a for a in arguments()])
    assert "cannot be built: CUDA_ERROR_UNSUPPORTED_PTX_VERSION: " in str(caught.value)
    assert str(caught.value).endswith(f"CuPy 14.2 runs CUDA 13.1, the driver CUDA {text}")


def test_a_kernel_that_does_not_compile_for_cupy_says_where(monkeypatch):
    cupy, _ = gpu(failing=True)
    monkeypatch.setattr(launch, "array_module", lambda x: cupy)
    args = [GpuArray(a) if isinstance(a, np.ndarray) else a for a in arguments()]
    fresh = launch.Kernel("im2col.cu", "im2col", (), True, {"REAL": "float"})
    wanted = r"im2col.cu: im2col with REAL=float does not compile for device 0: im2col.cu line 7: expected a ';'\n"
    with pytest.raises(CompileError, match=wanted):
        launch.launch(fresh, (1, 4), (256,), args)


@needs_compiler
def test_a_kernel_that_does_not_compile_in_the_emulator_says_where(tmp_path, monkeypatch):
    (tmp_path / "k.cu").write_text('extern "C" __global__ void k(float* x)\n{ x[0] = nothing; }\n')
    monkeypatch.setattr(launch, "FOLDER", tmp_path)
    with pytest.raises(CompileError, match="k.cu:2"):
        launch.launch(launch.Kernel("k.cu", "k", (), False, {}), (1,), (1,), [floats(1)])


def test_nothing_is_launched_for_no_blocks():
    launch.launch(kernel(), (0, 4), (256,), [])


@needs_compiler
def test_one_switch_turns_the_kernels_off():
    x, one = emulated(floats(2, 4, 5, 5)), emulated(np.ones(4, np.float32))
    assert launch.available_for(x) and fused_batch_norm.plan(x, one, one, (0, 2, 3))
    with launch.turned_off(), launch.emulation() as launches:
        assert not launch.available_for(x) and fused_batch_norm.plan(x, one, one, (0, 2, 3)) is None
        y, *_ = batch_norm.forward(x, one, one)
        im2col.columns(x, im2col.Images(0, 2, WINDOWS))
    assert not launches and abs(y.get().mean() - 1) < 1e-6
    assert launch.available_for(x) and not launch.available_for(emulated(floats(2).astype(np.float16)))


@needs_emulator
def test_kernels_are_checked_where_they_are_turned_off(tmp_path):
    harness = tmp_path / "harness.py"
    harness.write_text(
        "import numpy as np\nfrom minigan.kernels import im2col\nfrom minigan.kernels.emulator import arrays\n"
        "def launches():\n    w = im2col.Windows((1,), (1,), (0,), (1,), (4,), (4,))\n"
        "    im2col.columns(arrays.asarray(np.ones((1, 1, 4), 'f')), im2col.Images(0, 1, w))\n"
    )
    with launch.turned_off():
        checked = check(launch.FOLDER / "im2col.cu", harness)
        assert not launch.available_for(emulated(floats(1)))
    assert not checked.faults and {entry for entry, _ in checked.accesses} == {"im2col"}


@needs_compiler
def test_device_emulator():
    device = minigan.get_device("@emulator")
    x = device.send(np.arange(3.0))
    assert minigan.get_device(str(device)) == device == minigan.backend.get_device_from_array(x)
    assert minigan.backend.get_array_module(x) is device.xp is not np
    assert device.is_array_supported(x) and not minigan.get_device("@numpy").is_array_supported(x)
    with pytest.raises(TypeError):
        x + np.arange(3.0)
    link = minigan.links.Linear(3, 2).to_device("@emulator")
    assert link.device == device and link.copy("copy").to_cpu().xp is np
    minigan.backend.copyto(link.W.array, np.ones((2, 3)))
    assert (link.W.array.get() == 1).all() and link(x[None].astype(np.float32)).device == device
