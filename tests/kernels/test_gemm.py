"""What is asked of cuBLAS, against a library in its place that does on the host what its documentation says."""

import contextlib
import ctypes
import gc
import itertools
import sys
import threading
import types

import numpy as np
import pytest

from minigan.backends import cuda
from minigan.kernels import gemm

INT, LONG, POINTER, SIZE = ctypes.c_int, ctypes.c_longlong, ctypes.c_void_p, ctypes.c_size_t
# cublas_api.h, once more and by hand: handle, op(A), op(B), m, n, k, alpha, A, its type, lda, ...
PROTOTYPES = {
    "cublasCreate_v2": [ctypes.POINTER(POINTER)],
    "cublasDestroy_v2": [POINTER],
    "cublasSetPointerMode_v2": [POINTER, INT],
    "cublasSetMathMode": [POINTER, INT],
    "cublasSetStream_v2": [POINTER, POINTER],
    "cublasSetWorkspace_v2": [POINTER, POINTER, SIZE],
    "cublasGemmEx": [POINTER, INT, INT, INT, INT, INT, POINTER, POINTER, INT, INT, POINTER, INT, INT, POINTER, POINTER,
                     INT, INT, INT, INT],
    "cublasGemmStridedBatchedEx": [POINTER, INT, INT, INT, INT, INT, POINTER, POINTER, INT, INT, LONG, POINTER, INT,
                                   INT, LONG, POINTER, POINTER, INT, INT, LONG, INT, INT, INT],
}  # fmt: skip
DTYPES = {0: np.float32, 1: np.float64, 2: np.float16}
COMPUTE = {68: np.float32, 70: np.float64, 77: np.float32}
INVALID = 7


class FakeLibrary:
    """cuBLAS on the host: pointers are addresses of NumPy's arrays, matrices are read column by column."""

    def __init__(self):
        self.calls, self.answer = [], {}
        for name, types_ in PROTOTYPES.items():
            setattr(self, name, ctypes.CFUNCTYPE(INT, *types_)(self.watched(name)))

    def watched(self, name):
        def call(*args):
            self.calls.append((name, *args))
            if name in self.answer:
                return self.answer[name]
            return getattr(self, name.removesuffix("_v2").removeprefix("cublas"))(*args)

        return call

    def Create(self, handle):
        handle[0] = 77
        return 0

    def Destroy(self, handle):
        return 0 if handle == 77 else INVALID

    def SetPointerMode(self, handle, mode):
        return 0 if (handle, mode) == (77, 0) else INVALID

    def SetMathMode(self, handle, mode):
        return 0 if (handle, mode) == (77, 16) else INVALID  # sums are of the compute type

    def SetStream(self, handle, stream):
        return 0

    def SetWorkspace(self, handle, address, size):
        return 0 if address % 256 == 0 and size else INVALID

    def GemmEx(self, handle, ta, tb, m, n, k, alpha, A, kind_a, lda, B, kind_b, ldb, beta, C, kind_c, ldc, *how):
        return self.GemmStridedBatchedEx(
            handle, ta, tb, m, n, k, alpha, A, kind_a, lda, 0, B, kind_b, ldb, 0, beta, C, kind_c, ldc, 0, 1, *how
        )

    def GemmStridedBatchedEx(self, handle, ta, tb, m, n, k, alpha, A, kind_a, lda, step_a, B, kind_b, ldb, step_b, beta,
                             C, kind_c, ldc, step_c, count, compute, algorithm):  # fmt: skip
        shapes = (k, m) if ta else (m, k), (n, k) if tb else (k, n), (m, n)
        if any(ld < max(1, rows) for ld, (rows, _) in zip((lda, ldb, ldc), shapes)) or min(m, n, k, count) < 1:
            return INVALID
        if not kind_a == kind_b or (kind_a, kind_c) not in [(0, 0), (1, 1), (2, 2), (2, 0)]:
            return 15
        if handle != 77 or algorithm != -1:
            return INVALID
        wide = COMPUTE[compute]
        if (wide is np.float64) != (kind_a == 1):
            return 15
        alpha, beta = (np.ctypeslib.as_array((ctypes.c_byte * 8).from_address(p)).view(wide)[0] for p in (alpha, beta))
        for i in range(count):
            a, b, c = (
                columns_first(p, DTYPES[kind], shape, ld, i * step)
                for p, kind, shape, ld, step in zip(
                    (A, B, C), (kind_a, kind_b, kind_c), shapes, (lda, ldb, ldc), (step_a, step_b, step_c)
                )
            )
            result = alpha * ((a.T if ta else a).astype(wide) @ (b.T if tb else b).astype(wide))
            c[...] = result if beta == 0 else result + beta * c
        return 0


def columns_first(pointer, dtype, shape, lead, offset):
    size = np.dtype(dtype).itemsize
    length = ((shape[1] - 1) * lead + shape[0]) * size
    memory = np.ctypeslib.as_array((ctypes.c_byte * length).from_address(pointer + offset * size)).view(dtype)
    return np.lib.stride_tricks.as_strided(memory, shape, (size, lead * size))


def allocate(size):
    memory = np.empty(size + 256, np.uint8)
    return types.SimpleNamespace(ptr=-(-memory.ctypes.data // 256) * 256, memory=memory)


@pytest.fixture
def library(monkeypatch):
    library = FakeLibrary()
    cublas = gemm.Cublas(library, contextlib.nullcontext(), allocate, 4 << 20).use_stream(5)
    monkeypatch.setattr(gemm, "handle", lambda xp: cublas)
    return library


def view(rng, shape, dtype, kind, send=lambda array: array):
    """An array of that shape: as it is made, transposed, a part of a larger one, or with steps and turned round."""

    def normal(*shape):
        return send(rng.standard_normal(shape).astype(dtype))

    *batch, rows, columns = shape
    if kind == "transposed":
        return normal(*batch, columns, rows).swapaxes(-1, -2)
    if kind == "sliced":
        return normal(*batch, rows + 2, columns + 3)[..., 1 : 1 + rows, 2 : 2 + columns]
    if kind == "scattered":
        return normal(*batch, 2 * rows, 3 * columns)[..., ::-2, ::3]
    if kind == "stack last":
        return normal(rows, columns, *batch).transpose(*range(2, len(shape)), 0, 1)
    return normal(*shape)


KINDS = ["plain", "transposed", "sliced", "scattered", "stack last"]
BATCHES = [((), ()), ((4,), (4,)), ((1,), (1,)), ((), (3,)), ((3,), ()), ((1,), (3,)), ((2, 3), (2, 3)), ((2, 1), (3,)),
           ((2, 3), (1, 1)), ((0,), (1,))]  # fmt: skip
SIZES = [(3, 4, 5), (1, 4, 5), (3, 1, 5), (3, 4, 1), (1, 1, 1), (0, 4, 5), (3, 0, 5), (3, 4, 0)]


@pytest.mark.parametrize(
    "batch_a, batch_b, dtype", [(*b, np.float32) for b in BATCHES] + [((), (3,), np.float64), ((), (3,), np.float16)]
)
def test_all_layouts(library, batch_a, batch_b, dtype):
    rng = np.random.default_rng(0)
    for (m, k, n), kind_a, kind_b in itertools.product(SIZES, KINDS, KINDS):
        a, b = view(rng, (*batch_a, m, k), dtype, kind_a), view(rng, (*batch_b, k, n), dtype, kind_b)
        wide = np.float64 if dtype is np.float64 else np.float32
        want = np.matmul(a.astype(wide), b.astype(wide)).astype(dtype)
        precise = {np.float64: 1e-12, np.float32: 1e-5, np.float16: 4e-3}[dtype]
        found = gemm.product(a, b)
        assert found.shape == want.shape and found.dtype == dtype
        np.testing.assert_allclose(found, want, precise, precise)
        for kind in KINDS if kind_a == kind_b else ():
            out = view(rng, want.shape, dtype, kind)
            assert gemm.product(a, b, out=out) is out
            np.testing.assert_allclose(out, want, precise, precise)
            assert gemm.product(a, b, out=out, add=True) is out
            np.testing.assert_allclose(out, want + want, precise, precise)


@pytest.mark.parametrize("by_library", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_halves_are_summed_in_float32_and_may_stay_there(library, monkeypatch, kind, by_library):
    if not by_library:
        monkeypatch.setattr(gemm, "handle", lambda xp: None)
    rng = np.random.default_rng(5)
    a, b = np.ones((2, 3, 4096), np.float16), np.full((4096, 3), 2**-11, np.float16)  # a sum of halves would stay at 1
    for dtype in (np.float16, np.float32):
        out = view(rng, (2, 3, 3), dtype, kind)
        np.testing.assert_array_equal(gemm.product(a, b, out=out), 2)
        np.testing.assert_array_equal(gemm.product(a, b, out=out, add=True), 4)
    fine = view(rng, (2, 3, 3), np.float32, kind)
    a[..., 0] = 1 + 2**-10
    assert gemm.product(a, b, out=fine).ravel()[0] == 2 + 2**-21 and gemm.product(a, b).dtype == np.float16
    assert {args[-2] for name, *args in library.calls if "Gemm" in name} == ({68} if by_library else set())


def test_random_shapes(library):
    rng = np.random.default_rng(1)
    for _ in range(300):
        m, k, n, count = rng.integers(1, 20, 4)
        kind_a, kind_b, kind = rng.choice(KINDS, 3)
        a, b = view(rng, (count, m, k), np.float32, kind_a), view(rng, (count, k, n), np.float32, kind_b)
        out = view(rng, (count, m, n), np.float32, kind)
        np.testing.assert_allclose(gemm.product(a, b, out=out), a @ b, 1e-4, 1e-4)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_on_a_gpu(dtype, monkeypatch):
    if not cuda.available or cuda.cupy.__version__ == "0.double":
        pytest.skip("needs CuPy and a CUDA device: its stand-in has no cuBLAS")
    assert gemm.unavailable_reason() == ""
    rng, cupy, wide = np.random.default_rng(4), cuda.cupy, np.promote_types(dtype, np.float32)
    for tf32 in (False, True):
        monkeypatch.setattr(gemm, "allows_tf32", lambda tf32=tf32: tf32)
        precise = 0.02 if tf32 or dtype is np.float16 else 1e-5
        for (batch_a, batch_b), kind_a, kind_b in itertools.product(BATCHES[:-1], KINDS, KINDS):
            a = view(rng, (*batch_a, 33, 20), dtype, kind_a, cupy.asarray)
            b = view(rng, (*batch_b, 20, 17), dtype, kind_b, cupy.asarray)
            want = np.matmul(a.get().astype(wide), b.get().astype(wide))
            out = view(rng, want.shape, dtype, kind_b, cupy.asarray)
            for found in (gemm.product(a, b), gemm.product(a, b, out=out)):
                np.testing.assert_allclose(found.get(), want, precise, precise * 10)
            gemm.product(a, b, out=out, add=True)
            np.testing.assert_allclose(out.get(), 2 * want, precise, precise * 20)
            wider = gemm.product(a, b, out=cupy.empty(want.shape, wide))
            np.testing.assert_allclose(wider.get(), want, 0.02 if tf32 else 1e-4, 0.2 if tf32 else 1e-4)


def test_vectors_as_numpy(library):
    rng = np.random.default_rng(2)
    a, b, v = rng.standard_normal((2, 3, 4)), rng.standard_normal((2, 4, 5)), rng.standard_normal(4)
    for x, y in ((a, v), (v, b), (v, v), (a[0], v)):
        np.testing.assert_allclose(gemm.product(x, y), np.matmul(x, y))
    gemm.product(v, b[0])
    assert v.ctypes.data in (library.calls[-1][8], library.calls[-1][11])  # a row is no reason for a copy
    out = np.empty((2, 3))
    assert gemm.product(a, v, out=out) is out and np.allclose(out, a @ v)


@pytest.mark.parametrize("kind", ["plain", "transposed", "sliced"])
def test_nothing_is_copied(library, kind):
    """cuBLAS is given the arrays' own addresses, and one matrix shared by a stack has stride 0."""
    rng = np.random.default_rng(3)
    W, x, out = (view(rng, shape, np.float32, kind) for shape in ((6, 5), (3, 5, 7), (3, 6, 7)))
    gemm.product(W, x, out=out)
    name, *args = library.calls[-1]
    assert name == "cublasGemmStridedBatchedEx"
    used = {args[7]: args[10], args[11]: args[14]}  # addresses and strides of A and B
    assert used == {W.ctypes.data: 0, x.ctypes.data: x.strides[0] // 4}
    assert (args[16], args[19], args[20]) == (out.ctypes.data, out.strides[0] // 4, 3)
    ops = {args[7]: args[1], args[11]: args[2]}
    # a transposed result turns both operands round, so that they are as they lie
    assert ops == {W.ctypes.data: 0, x.ctypes.data: 0}
    gemm.product(W, x)
    args = library.calls[-1][1:]
    assert {args[1], args[2]} == {int(kind == "transposed")}


def test_steps_to_what_is_not_there_can_be_anything(library):
    one, row = np.ones(())[None, None], np.ones((4, 1, 3))[1]
    assert one.strides == (0, 0)
    np.testing.assert_array_equal(gemm.product(one, row), row)
    negative = np.arange(6.0)[::-6][:, None]
    assert negative.strides[0] < 0
    np.testing.assert_array_equal(gemm.product(negative, row), 5 * row)


def test_numbers_between_others():
    """A column of records, whose steps are no multiple of its numbers, is copied."""
    records = np.zeros((3, 4), [("tag", "i1"), ("x", "f4")])
    x = records["x"]
    assert gemm._layout(x.shape, x.strides, x.itemsize, ()) is None and gemm._readable(np, x, ())[1].lead == 4


def test_one_product_is_no_stack(library):
    gemm.product(np.ones((1, 2, 3)), np.ones((1, 3, 4)))
    assert library.calls[-1][0] == "cublasGemmEx"


def test_tf32_only_if_asked_for(library, monkeypatch):
    def compute(dtype):
        gemm.product(np.ones((2, 2), dtype), np.ones((2, 2), dtype))
        return library.calls[-1][-2]

    assert [compute(d) for d in "fde"] == [68, 70, 68]
    monkeypatch.setattr(gemm, "allows_tf32", lambda: True)
    assert [compute(d) for d in "fde"] == [77, 70, 68]


def test_stream_then_workspace_and_only_when_the_stream_changes():
    library = FakeLibrary()
    cublas = gemm.Cublas(library, contextlib.nullcontext(), allocate, gemm.WORKSPACE_HOPPER)
    for stream in (5, 5, 6, 5):
        cublas.use_stream(stream)
    names = [(name, args[1]) for name, *args in library.calls if "SetStream" in name or "Workspace" in name]
    assert [n for n, _ in names] == ["cublasSetStream_v2", "cublasSetWorkspace_v2"] * 3
    (_, five), (_, first), _, (_, second), _, (_, again) = names
    assert five == 5 and first == again != second  # a captured graph keeps its workspace
    assert library.calls[-1][-1] == 32 << 20


@pytest.mark.parametrize("status, text", [(13, "the kernel failed on the GPU"), (3, "smaller batch"), (99, "unknown")])
def test_an_error_is_a_sentence(library, status, text):
    library.answer["cublasGemmEx"] = status
    with pytest.raises(gemm.CublasError, match=rf"cublasGemmEx: .*{text}.* \(status {status}\)"):
        gemm.product(np.ones((2, 2)), np.ones((2, 2)))
    del library.answer["cublasGemmEx"]
    np.testing.assert_array_equal(gemm.product(np.ones((2, 2)), np.ones((2, 2))), 2 * np.ones((2, 2)))


def test_a_stream_that_was_refused_is_set_anew():
    library = FakeLibrary()
    cublas = gemm.Cublas(library, contextlib.nullcontext(), allocate, 4096).use_stream(5)
    library.answer["cublasSetWorkspace_v2"] = 7
    with pytest.raises(gemm.CublasError, match="cublasSetWorkspace_v2: an argument is wrong"):
        cublas.use_stream(6)
    library.answer.clear()
    library.calls.clear()
    cublas.use_stream(5)
    assert len(library.calls) == 2


def test_shapes_that_do_not_fit(library):
    with pytest.raises(ValueError, match=r"shapes \(2, 3\) and \(2, 3\) do not fit"):
        gemm.product(np.ones((2, 3)), np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"out has shape \(2, 2\); wanted \(2, 4\)"):
        gemm.product(np.ones((2, 3)), np.ones((3, 4)), out=np.empty((2, 2)))
    with pytest.raises(ValueError, match="one axis or more"):
        gemm.product(np.ones(()), np.ones((3, 4)))
    assert not any("Gemm" in name for name, *_ in library.calls)


def test_numpy_and_what_cublas_cannot_do_go_the_old_way(library, monkeypatch):
    a, b = np.arange(6).reshape(2, 3), np.arange(6).reshape(3, 2)
    np.testing.assert_array_equal(gemm.product(a, b), a @ b)  # integers
    np.testing.assert_array_equal(gemm.product(a.astype("f"), b.astype("d")), a @ b)
    monkeypatch.setattr(gemm, "MOST", 2)
    np.testing.assert_array_equal(gemm.product(a.astype("f"), b.astype("f")), a @ b)
    assert not any("Gemm" in name for name, *_ in library.calls)
    monkeypatch.undo()
    np.testing.assert_array_equal(gemm.product(a.astype("f"), b.astype("f")), a @ b)
    np.testing.assert_array_equal(gemm.product(a.astype("f")[None], b.astype("f")[None]), (a @ b)[None])


class Cupy:
    """As much of CuPy as the choice of the library and the handle asks for: two devices, one of which is current."""

    __name__ = "cupy"

    def __init__(self, monkeypatch, version=13010):
        self.current, self.empty, self.cuda = 0, np.empty, self
        self.runtime = types.SimpleNamespace(getDevice=lambda: self.current, runtimeGetVersion=lambda: version)
        monkeypatch.setitem(sys.modules, "cupy", self)
        monkeypatch.setattr(gemm, "_local", threading.local())

    alloc = staticmethod(allocate)

    def get_current_stream(self):
        return types.SimpleNamespace(ptr=9)

    def Device(self, number):
        @contextlib.contextmanager
        def device():
            self.current, before = number, self.current
            yield
            self.current = before

        context = device()
        context.compute_capability = "90"
        return context


def test_one_handle_for_each_device_and_thread(monkeypatch):
    library, cupy = FakeLibrary(), Cupy(monkeypatch)
    monkeypatch.setattr(gemm, "_library", lambda: (library, ""))
    first = gemm.handle(cupy)
    assert gemm.handle(cupy) is first
    cupy.current = 1
    assert gemm.handle(cupy) is not first
    workspaces = [args[-1] for name, *args in library.calls if "Workspace" in name]
    assert workspaces == [32 << 20] * 2


def test_the_handle_of_a_thread_that_has_ended_is_destroyed_on_its_device(monkeypatch):
    library, cupy = FakeLibrary(), Cupy(monkeypatch)
    monkeypatch.setattr(gemm, "_library", lambda: (library, ""))
    devices, held = [], []
    destroy = library.cublasDestroy_v2
    library.cublasDestroy_v2 = lambda handle: devices.append(cupy.current) or destroy(handle)

    def work():
        cupy.current = 1
        held.append(gemm.handle(cupy))
        cupy.current = 0

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert gemm.handle(cupy) is not held[0] and not devices  # a graph may hold it, and so its workspace
    del held[:], thread
    gc.collect()
    assert devices == [1]


def test_a_product_runs_on_the_device_of_its_arrays(monkeypatch):
    library, cupy = FakeLibrary(), Cupy(monkeypatch)
    used = []
    monkeypatch.setattr(gemm, "_library", lambda: (library, ""))
    monkeypatch.setattr(gemm, "array_module", lambda x: cupy)
    monkeypatch.setattr(cupy, "empty", lambda *args: used.append(cupy.current) or np.empty(*args))

    class Array(np.ndarray):
        data = types.SimpleNamespace(device_id=1)

    a = np.ones((2, 2), "f").view(Array)
    monkeypatch.setattr(gemm, "address", lambda x: used.append(cupy.current) or x.ctypes.data)
    np.testing.assert_array_equal(gemm.product(a, a), 2)
    assert used == [1] * 4 and cupy.current == 0


def test_the_switch(monkeypatch):
    monkeypatch.setattr(gemm, "enabled", False)
    assert "MINIGAN_CUBLAS=0" in gemm.unavailable_reason()
    assert gemm.handle(Cupy(monkeypatch)) is None


@pytest.fixture
def fresh():
    gemm._library.cache_clear()
    yield
    gemm._library.cache_clear()


@pytest.mark.parametrize("version, major", [(12090, 12), (13020, 13)])
@pytest.mark.parametrize("loaded", [True, False])
def test_the_library_of_the_cuda_that_cupy_runs(monkeypatch, tmp_path, fresh, version, major, loaded):
    """Packages for both are there, as PyTorch's and CuPy's may be."""
    for folder, name in (("cublas", "libcublas.so.12"), ("cu13", "libcublas.so.13")):
        (tmp_path / folder / "lib").mkdir(parents=True)
        (tmp_path / folder / "lib" / name).touch()

    def load(path):
        if not loaded and "/" not in path:
            raise OSError("not there")
        return path

    Cupy(monkeypatch, version)
    spec = types.SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(gemm.importlib.util, "find_spec", lambda name: spec)
    monkeypatch.setattr(gemm.ctypes, "CDLL", load)
    path, reason = gemm._library()
    name = f"libcublas.so.{major}"
    assert reason == "" and (path == name if loaded else path.endswith(f"/lib/{name}"))


def test_no_library(monkeypatch, fresh):
    Cupy(monkeypatch, 12090)
    monkeypatch.setattr(gemm.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(gemm.ctypes, "CDLL", lambda name: (_ for _ in ()).throw(OSError(f"{name}: not there")))
    reason = gemm.unavailable_reason()
    assert reason == "cuBLAS for CuPy's CUDA 12 was not found (libcublas.so.12: not there); install minigan[cuda12]"
