"""Compiling for GPUs without one: figures, budgets, and sentences for what the compiler refuses."""

import concurrent.futures
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from emulated import needs_nvrtc

from minigan.cli import main
from minigan.kernels import compile as compiler
from minigan.kernels import source
from minigan.kernels.source import CompileError

ROOT = Path(__file__).resolve().parents[2]
OWN = sorted((ROOT / "kernels").glob("*.cu"))
HEAD = 'extern "C" __global__ void __launch_bounds__(256) f(float* x)\n'


@needs_nvrtc
@pytest.mark.parametrize("path", OWN, ids=lambda path: path.stem)
def test_our_kernels_compile_for_every_architecture_within_their_budget(path):
    text = source.read(path)
    first, *others = source.variants(text)
    jobs = [(a, first) for a in compiler.ARCHITECTURES] + [("sm_90", v) for v in others]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda job: compiler.compile_source(text, path.name, *job), jobs))
    declared = sorted(k.name for k in source.kernels(text))
    assert all([r.kernel for r in found] == declared for found in results)
    assert [fault for found in results for r in found for fault in r.faults(source.most_registers(text))] == []
    assert [r for found in results for r in found if r.stack] == []  # no local memory


@needs_nvrtc
@pytest.mark.parametrize("name", ["clean", "faults"])
def test_what_the_emulator_is_tested_with_is_cuda(name):
    text = (Path(__file__).parent / "planted" / f"{name}.cu").read_text()
    found = compiler.compile_source(text, name, "sm_90")
    assert [r.kernel for r in found] == sorted(k.name for k in source.kernels(text))


@needs_nvrtc
def test_figures_are_read_from_the_report():
    text = HEAD + "{ __shared__ float a[64]; a[threadIdx.x & 63] = x[0]; __syncthreads(); x[1] = a[5 & threadIdx.x]; }"
    (found,) = compiler.compile_source(text, "f.cu", "sm_90")
    assert (found.kernel, found.architecture, found.shared, found.stack, found.spilled) == ("f", "sm_90", 256, 0, 0)
    assert 4 <= found.registers <= 32 and found.faults(found.registers) == []
    (fault,) = found.faults(found.registers - 1)
    assert fault.startswith(f"f for sm_90: {found.registers} registers a thread; wanted at most {found.registers - 1}")


SPILL = """extern "C" __global__ void __launch_bounds__(1024, 2) spills(float* x)
{
    float v[80];
#pragma unroll
    for (int i = 0; i < 80; ++i) v[i] = x[threadIdx.x + i * 1024];
#pragma unroll
    for (int i = 0; i < 80; ++i) x[threadIdx.x * 80 + i] = v[i] * v[(i * 7 + 3) % 80];
}
"""


@needs_nvrtc
def test_a_spill_is_a_fault(tmp_path):
    (found,) = compiler.compile_source(SPILL, "spills.cu", "sm_80")
    assert found.spilled > 0
    assert any("bytes of registers spilled to memory; wanted at most 0" in fault for fault in found.faults())
    (tmp_path / "spills.cu").write_text(SPILL)
    answer = CliRunner().invoke(main, ["kernels", "compile", str(tmp_path / "spills.cu"), "--arch", "sm_75"])
    assert answer.exit_code == 1 and re.search(r"spills for sm_75: \d+ bytes of registers spilled", answer.stderr)


@needs_nvrtc
@pytest.mark.parametrize(
    "text, message",
    [
        (HEAD + "{\n    x[0] = nothing;\n}", 'f.cu line 3: identifier "nothing" is undefined'),
        ("#error no\n", "f.cu line 1: #error directive: no"),
        (HEAD + "{ __shared__ float a[12289]; a[threadIdx.x] = 1; __syncthreads(); x[0] = a[threadIdx.x * 7 % 9]; }",
         "f.cu: f for sm_90: 49156 bytes of static shared memory; wanted at most 49152; use smaller tiles"),
    ],
)  # fmt: skip
def test_what_does_not_compile_is_a_sentence(text, message):
    with pytest.raises(CompileError) as caught:
        compiler.compile_source(text, "f.cu", "sm_90")
    assert str(caught.value).splitlines()[0] == message


@needs_nvrtc
@pytest.mark.parametrize(
    "head, found",
    [("__global__ void", "_Z1fPf, which nobody finds by its name"), ("template <int> __global__ void", "no kernel")],
)
def test_a_kernel_that_has_no_plain_name_is_refused(head, found):
    with pytest.raises(CompileError, match=f"f.cu has {found}; wanted extern .C. __global__ functions"):
        compiler.compile_source(f"{head} f(float* x) {{ x[0] = 1; }}", "f.cu", "sm_90")


@needs_nvrtc
def test_constants_and_unknown_architectures():
    text = HEAD + "{ x[SEVEN] = 1; }"
    assert compiler.compile_source(text, "f.cu", "sm_75", {"SEVEN": 7})[0].kernel == "f"
    block = "#ifndef REAL\n#define REAL float\n#define SEVEN 7\n#endif\n"  # one of its constants given, not the first
    assert compiler.compile_source(block + HEAD + "{ x[SEVEN] = (REAL)1; }", "f.cu", "sm_75", {"SEVEN": 8})
    with pytest.raises(CompileError, match="f.cu: NVRTC knows no sm_1; it knows sm_75"):
        compiler.compile_source(text, "f.cu", "sm_1")


def test_no_nvrtc_is_said_in_a_sentence(monkeypatch):
    monkeypatch.setattr(compiler.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(compiler.ctypes, "CDLL", lambda name: (_ for _ in ()).throw(OSError(name)))
    compiler._nvrtc.cache_clear()
    try:
        assert compiler.unavailable_reason() == (
            'there is no NVRTC to compile for GPUs with; pip install "minigan[kernels]"'
        )
        with pytest.raises(RuntimeError, match="there is no NVRTC"):
            compiler.compile_source(HEAD, "f.cu", "sm_90")
    finally:
        compiler._nvrtc.cache_clear()


def test_what_a_file_says_of_itself():
    text = """// What this is for.
// variant: K=3 REAL=double
// variant: K=5
// registers: 80
#ifndef K
#define K 4  // taps
#define REAL float
#endif

// Turns a into b. Grid: as many as it takes.
extern "C" __global__ void __launch_bounds__(64) turn(const REAL* __restrict__ a, // read
                                                      REAL* b) {}
// extern "C" __global__ void gone(int n) {}
__global__ __launch_bounds__(32, 2) void other(int n)
{
}
"""
    assert source.constants(text) == {"K": "4", "REAL": "float"}
    assert source.variants(text) == [{}, {"K": "3", "REAL": "double"}, {"K": "5"}]
    assert (source.most_registers(text), source.most_registers("")) == (80, 64)
    assert source.kernels(text)[0] == ("turn", ["const REAL* a", "REAL* b"], "Turns a into b.")
    assert [k.name for k in source.kernels(text)] == ["turn", "other"]
    found = source.defines(text, {"A": True, "B": 0.5, "K": 3})
    assert found == ["-DK=3", "-DREAL=float", "-DA=1", "-DB=0.5"]
