"""The emulator: every kind of fault is caught in its line, what is right is clean in every order, memory is counted."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from emulated import needs_emulator

from minigan.kernels import emulator
from minigan.kernels.emulator import CompileError, In, InOut, KernelFault, Out, Program, translate
from minigan.kernels.emulator.program import ORDERS

PLANTED = Path(__file__).parent / "planted"
N = 100

pytestmark = needs_emulator


@pytest.fixture(scope="module", params=["fast", "check"])
def clean(request):
    return Program(PLANTED / "clean.cu", mode=request.param)


@pytest.fixture(scope="module")
def checked():
    return Program(PLANTED / "clean.cu", mode="check")


@pytest.fixture(scope="module")
def faulty():
    return Program(PLANTED / "faults.cu", mode="check")


def marked():
    """{kernel: (kind, line)} of faults.cu: the first comment behind code in a kernel or in the function before it."""
    found, above, kernel = {}, None, None
    for number, line in enumerate((PLANTED / "faults.cu").read_text().splitlines(), 1):
        if "__device__" in line:
            kernel = None
        if m := re.search(r"__global__ void (\w+)", line):
            kernel, above = m[1], found.update({m[1]: above} if above else {})
        if m := re.search(r"[;)}]  // ([\w -]+)", line):
            if kernel:
                found.setdefault(kernel, (m[1], number))
            else:
                above = m[1], number
    return found


MARKED = marked()
SLOW = {("spins", "reverse"), ("spins", "random")}  # a second each
OUTPUTS = {"reads_its_output", "leaves_a_gap"}


def run(program, entry, grid=2, block=64, shared=0, **how):
    x, y = np.arange(N, dtype=np.float32), np.zeros(N, np.float32)
    y = Out(y) if entry in OUTPUTS else InOut(y)
    program.launch(entry, grid, block, [In(x), y, np.int32(N)], shared, **how)


@pytest.mark.parametrize("entry, order", [(e, o) for e in MARKED for o in ORDERS if (e, o) not in SLOW])
def test_every_fault_is_found_in_its_line(faulty, entry, order):
    with pytest.raises(KernelFault) as caught:
        run(faulty, entry, shared=63 * 4 if "dynamic" in entry else 0, order=order)
    kind, line = MARKED[entry]
    found = [(f.kind, f.line) for f in caught.value.faults]
    assert (kind, line) in found
    assert f"faults.cu line {line}: {kind}" in str(caught.value)


def test_the_readme_explains_every_kind():
    readme = (Path(translate.__file__).parents[1] / "README.md").read_text()
    table = readme.partition("| kind |")[2].partition("\n\n")[0]
    assert all(kind in table for kind in {kind for kind, _ in MARKED.values()} | {"never written"})


def test_all_planted_kernels_are_tested(faulty):
    assert set(faulty.entries) == {*MARKED, "leaves_a_gap"}
    assert len({kind for kind, _ in MARKED.values()}) == 17


def faults_of(program, entry, **how):
    with pytest.raises(KernelFault) as caught:
        run(program, entry, **how)
    return caught.value.faults


def test_a_fault_names_argument_offset_block_and_thread(faulty):
    (fault,) = faults_of(faulty, "reads_past")
    assert (fault.argument, fault.offset, fault.block, fault.thread) == (0, 4 * N, (1, 0, 0), (35, 0, 0))
    assert fault.text == (
        f"faults.cu line {fault.line}: out-of-bounds read of 4 bytes at byte 400 of argument 0, 'const float* x' (400 "
        "bytes), in block (1, 0, 0), thread (35, 0, 0)"
    )
    (fault,) = faults_of(faulty, "reads_before")
    assert (fault.argument, fault.offset, fault.block, fault.thread) == (0, -4, (0, 0, 0), (0, 0, 0))
    (fault,) = faults_of(faulty, "overruns_by_a_pointer")
    assert (fault.argument, fault.offset, fault.thread) == ("part", 256, (63, 0, 0))
    (fault,) = faults_of(faulty, "follows_null")
    assert (fault.argument, fault.offset) == (None, None) and "an address in no argument" in fault.text


def test_a_race_names_both_sides(faulty):
    line = MARKED["forgets_the_second_barrier"][1]
    race = next(f for f in faults_of(faulty, "forgets_the_second_barrier") if f.line == line)
    assert f"; the other: line {race.line + 2}, block (0, 0, 0), thread (" in race.text
    (race,) = faults_of(faulty, "blocks_share_a_word")
    assert (race.block, race.argument) == ((1, 0, 0), 1) and "; the other: line" in race.text


def test_words_never_written_are_counted(faulty):
    (fault,) = faults_of(faulty, "leaves_a_gap")
    assert (fault.kind, fault.argument, fault.offset, fault.times) == ("never written", 1, 280, 1)
    out = Out(np.zeros(N, np.float32), partial=True)
    faulty.launch("leaves_a_gap", 2, 64, [np.ones(N, np.float32), out, np.int32(N)])
    assert out.array.sum() == N - 1


def test_repeated_faults_are_one_with_a_count(faulty):
    (fault,) = [f for f in faults_of(faulty, "reads_its_output") if f.kind == "uninitialised read"]
    assert fault.times == N and fault.text.endswith("; 100 times")


def test_a_program_works_after_a_fault_and_arrays_keep_what_was_done(faulty, checked):
    y = np.zeros(N, np.float32)
    with pytest.raises(KernelFault):
        faulty.launch("writes_past", 2, 64, [np.full(N, 3, np.float32), y, np.int32(N)])
    assert (y == 3).all()
    run(faulty, "diverges_at_a_barrier", block=32)


def test_barriers_are_watched_in_fast_mode_too():
    fast = Program(PLANTED / "faults.cu")
    with pytest.raises(KernelFault, match="barrier after exit, in block .*; the other: block .1, 0, 0., thread .63"):
        run(fast, "leaves_before_a_barrier")
    for entry in ("diverges_at_a_barrier", "waits_for_nobody", "asks_who_has_left", "asserts", "diverges_in_a_warp"):
        with pytest.raises(KernelFault, match=f"line {MARKED[entry][1]}: {MARKED[entry][0]}"):
            run(fast, entry)
    assert fast.accesses == []


SIZES = np.dtype([("n", "i4"), ("pad", "i4"), ("stride", "i8")])


class Sizes(ctypes.Structure):
    _fields_ = [("n", ctypes.c_int), ("pad", ctypes.c_int), ("stride", ctypes.c_longlong)]


@pytest.mark.parametrize("order", ORDERS)
class TestCleanKernels:
    def test_structs_by_value(self, clean, order):
        x = np.arange(N, dtype=np.float32)
        for sizes in (Sizes(N, 0, 1), np.array([(N, 0, 1)], SIZES)):
            y = np.empty_like(x)
            clean.launch("scale", 2, 64, [In(x), Out(y), np.float32(3), sizes], order=order, seed=1)
            assert (y == 3 * x).all()

    def test_reductions(self, clean, order):
        x = np.random.RandomState(0).randint(-9, 9, 1000).astype(np.float32)  # whole numbers: any order gives this sum
        out, part, arrived = np.empty((3, 2), np.float32), np.empty(5, np.float32), np.zeros(1, np.uint32)
        clean.launch("sum_and_squares", 3, 256, [In(x), Out(out), np.int32(1000)], order=order)
        assert out.sum(0).tolist() == [x.sum(), (x * x).sum()]
        for _ in range(2):
            total = np.empty(1, np.float32)
            arguments = [In(x), Out(part), arrived, Out(total), np.int32(1000)]
            clean.launch("sum_in_one_launch", 5, 224, arguments, order=order)
            assert (total[0], arrived[0]) == (x.sum(), 0)

    def test_two_axes(self, clean, order):
        x = np.random.RandomState(0).randn(70, 45).astype(np.float32)
        y = np.empty((45, 70), np.float32)
        arguments = [In(x), Out(y), np.int32(70), np.int32(45)]
        clean.launch("transpose", (2, 3), (32, 8), arguments, order=order)
        assert (y == x.T).all()

    def test_atomics_dynamic_memory_and_bytes(self, clean, order):
        x, counts, even = np.arange(1000).astype(np.uint8), np.zeros(16, np.int32), np.empty(1000, np.uint8)
        arguments = [In(x), counts, Out(even), np.int32(1000)]
        clean.launch("histogram", 4, 256, arguments, shared=64, order=order)
        assert (counts == np.bincount(x % 16)).all() and (even == 1 - x % 2).all()

    def test_vectors_and_the_same_array_twice(self, clean, order):
        x = np.arange(N, dtype=np.float32)
        clean.launch("add_four", 1, 32, [x, x, np.int32(25)], order=order)
        assert (x == 2 * np.arange(N)).all()

    def test_bytes_of_shared_memory(self, clean, order):
        x, y, i = np.arange(64).astype(np.uint8), np.empty(64, np.uint8), np.arange(64)
        clean.launch("turn_bytes", 1, 64, [In(x), Out(y)], shared=64, order=order)
        assert (y == 63 - i + 2 * (1 - i % 2) + 1).all()

    def test_tables_and_masks(self, clean, order):
        y, i = np.empty(32, np.int32), np.arange(32)
        clean.launch("tables_and_masks", 1, 32, [Out(y), np.uint64(32)], order=order)
        assert (y == 14 * i & (-1 << i % 4)).all()

    def test_atomics(self, clean, order):
        ones = 2**32 - 1
        y, sums = np.array([0, 1000, ones, 0, 0, 0, ones, 0, 0, 0, 0], np.uint32), np.zeros(2, np.float32)
        clean.launch("atomics", 2, 64, [y, sums], order=order)
        assert y.tolist() == [384, 872, 5, 127, 8, 2, 1 << 31, 2**31 - 1, 4, 7, 127] and sums.tolist() == [64, 2]

    def test_intrinsics(self, clean, order):
        y, z, x = np.empty(10, np.float32), np.empty(4, np.uint64), 1.5
        clean.launch("intrinsics", 1, 1, [In(np.full(1, x, np.float32)), Out(y), Out(z)], order=order)
        want = [np.exp(x), np.log(x), np.sin(x), np.cos(x), x**3, 1 / x, 1 / x, 1, x**-0.5, x]
        np.testing.assert_allclose(y, want, rtol=2e-7)
        assert y[9] > x and z.tolist() == [2**64 - 256, 65536, 5, 10]

    def test_tables_of_addresses(self, clean, order):
        arrays = [np.zeros(n, np.float32) for n in (5, 100, 33)]
        tables = np.array([a.ctypes.data for a in arrays], np.uint64)
        sizes = np.array([a.size for a in arrays], np.int32)
        clean.launch("add_to_all", 3, 64, [In(tables), In(sizes), np.float32(2)], order=order, reach=arrays)
        assert all((a == 2).all() for a in arrays)

    def test_a_fence_and_a_counter_order_threads(self, clean, order):
        x, copy, arrived, out = np.arange(N, dtype="i"), np.empty(N, "i"), np.zeros(1, "i"), np.empty(1, "i")
        clean.launch("last_thread", 4, 32, [In(x), Out(copy), arrived, Out(out), np.int32(N)], order=order)
        assert out[0] == x.sum()

    def test_parts_of_a_warp_meet(self, clean, order):
        out = np.empty(32, np.int32)
        clean.launch("halves", 1, 32, [Out(out)], order=order)
        lane = np.arange(32)
        assert (out[::-1] == np.where(lane < 16, lane ^ 1, lane)).all()

    def test_collectives(self, clean, order):
        out = np.empty((12, 64), np.int32)
        clean.launch("collectives", 1, 64, [Out(out)], order=order)
        lane = np.arange(64) % 32
        assert (out[0] == 5).all()
        assert (out[1] == np.where(lane < 3, lane, lane - 3)).all()
        assert (out[2] == np.where(lane > 28, lane, lane + 3)).all()
        assert (out[3] == (lane ^ 1)).all()
        assert (out[4] == lane // 8 * 8 + 1).all()
        assert (out[5].view(np.uint32) == sum(1 << i for i in range(0, 32, 3))).all()
        assert (out[6] == 2).all() and (out[7] == 10 + 1000 + 2000).all()
        assert (out[8] == np.where(lane < 8, 7 - lane, -1)).all() and (out[9] == 7).all()
        assert (out[10] == (0xDEADBEEF * 0x12345678 >> 32)).all()
        assert (out[11] == np.float32(0.5).view(np.int32) + np.maximum(3, lane) + 8 + 31 + 4).all()


def test_constants_are_macros(tmp_path):
    doubles = Program(PLANTED / "clean.cu", {"REAL": "double", "PAD": 0})
    x = np.arange(N, dtype=np.float64)
    y = np.empty_like(x)
    doubles.launch("scale", 2, 64, [x, y, np.float64(0.1), Sizes(N, 0, 1)])
    assert (y == 0.1 * x).all()


def strides(checked, stride):
    x, y = np.zeros(1024, np.float32), np.zeros(1024, np.float32)
    arguments = [In(x), Out(y), np.int32(1024), np.int32(stride)]
    return {a.op: a for a in checked.launch("strided", 4, 256, arguments)}


@pytest.mark.parametrize("stride, sectors", [(1, 4), (2, 4), (8, 8), (32, 32)])
def test_sectors_of_a_request_show_coalescing(checked, stride, sectors):
    store = strides(checked, stride)["store"]
    assert (store.space, store.argument, store.requests) == ("global", 1, 32)
    assert (store.sectors_per_request, store.ideal) == (sectors, 4)
    assert strides(checked, stride)["load"].sectors_per_request == 4


def test_wide_accesses_are_ideal(checked):
    x, y = np.zeros(1024, np.float32), np.zeros(1024, np.float32)
    accesses = checked.launch("add_four", 1, 256, [In(x), y, np.int32(256)])
    assert {(a.op, a.argument, a.sectors_per_request, a.ideal) for a in accesses} == {
        ("load", 0, 16, 16), ("load", 1, 16, 16), ("store", 1, 16, 16)}  # fmt: skip


def test_narrow_accesses(checked):
    arguments = [In(np.zeros(1024, np.uint8)), np.zeros(16, np.int32), Out(np.empty(1024, np.uint8)), np.int32(1024)]
    accesses = checked.launch("histogram", 4, 256, arguments, shared=64)
    (store,) = (a for a in accesses if a.argument == 2)
    assert (store.sectors_per_request, store.ideal) == (1, 1)


@pytest.mark.parametrize("pad, conflicts", [(0, 31), (1, 0)])
def test_bank_conflicts_are_counted(pad, conflicts):
    program = Program(PLANTED / "clean.cu", {"PAD": pad}, mode="check")
    x, y = np.zeros((32, 32), np.float32), np.zeros((32, 32), np.float32)
    accesses = program.launch("transpose", (1, 1), (32, 8), [In(x), Out(y), np.int32(32), np.int32(32)])
    shared = {a.op: a for a in accesses if a.space == "shared"}
    assert (shared["store"].bank_conflicts, shared["load"].bank_conflicts) == (0, conflicts)
    assert shared["load"].argument == "tile"


FLOATS, INT = np.zeros(4, np.float32), np.int32(4)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ([FLOATS, FLOATS], TypeError, r"scale: got 2 arguments; wanted 4: const REAL\* x, REAL\* y, REAL factor"),
        ([FLOATS.astype("d"), FLOATS, INT, INT], TypeError, "argument 0, .*, is float64; wanted float32"),
        ([FLOATS, 3, INT, INT], TypeError, "argument 1, .* is a int; wanted an array of float32"),
        ([FLOATS, FLOATS, 3.0, INT], TypeError, r"argument 2, .* is float; wanted numpy.float32\(...\)"),
        ([FLOATS, FLOATS, np.float64(3), INT], TypeError, "argument 2, .* is float64; wanted"),
        ([FLOATS, FLOATS, np.float32(3), INT], TypeError, "argument 3, .* is a int32; wanted a struct of 16 bytes"),
        ([Out(FLOATS), FLOATS, np.float32(3), Sizes()], TypeError, "argument 0, .* is an Out, but const"),
        ([FLOATS[::2], FLOATS, np.float32(3), Sizes()], ValueError, r"argument 0, .*\(2,\) is not contiguous"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, error, message, checked):
    with pytest.raises(error, match=message):
        checked.launch("scale", 1, 64, arguments)


def test_an_array_that_cannot_be_written_to_is_refused(checked):
    fixed = np.zeros(4, np.float32)
    fixed.flags.writeable = False
    with pytest.raises(ValueError, match="argument 1, .* is an array that cannot be written to"):
        checked.launch("scale", 1, 64, [fixed, fixed, np.float32(3), Sizes(4, 0, 1)])


def test_threads_of_python_take_turns(checked):
    def run(n):
        x = np.full(N, n, np.float32)
        y = np.empty_like(x)
        checked.launch("scale", 2, 64, [In(x), Out(y), np.float32(2), Sizes(N, 0, 1)])
        return (y == 2 * n).all()

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(run, range(40)))


def test_launches_that_do_not_fit_are_refused(checked):
    arguments = [FLOATS, FLOATS.copy(), np.float32(3), Sizes(4, 0, 1)]
    for how, message in [
        (dict(grid=1, block=65), "wanted 1 to 64 in all"), (dict(grid=0, block=32), "a grid of"),
        (dict(grid=(1, 1, 1, 1), block=32), "1 to 3 whole"), (dict(grid=(1, 2.5), block=32), "1 to 3 whole"),
        (dict(grid=1, block=32, shared=0.5), "0.5 bytes"), (dict(grid=(1, 70000), block=32), "at most 65535"),
        (dict(grid=1, block=32, shared=1 << 20), "dynamic shared memory"), (dict(grid=1, block=1, order="x"), "order"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=message):
            checked.launch("scale", args=arguments, **how)
    with pytest.raises(ValueError, match="clean.cu has no kernel 'scales'; it has add_four, "):
        checked.launch("scales", 1, 32, arguments)
    with pytest.raises(ValueError, match="mode is 'slow'"):
        Program(PLANTED / "clean.cu", mode="slow")
    whole = np.zeros(8, np.float32)
    with pytest.raises(ValueError, match="arguments 0 and 1 overlap"):
        checked.launch("scale", 1, 32, [whole[:6], whole[2:], *arguments[2:]])


def test_a_compile_error_is_a_sentence_with_file_and_line():
    with pytest.raises(CompileError) as caught:
        Program('extern "C" __global__ void f(float* x)\n{\n    x[threadIdx.x] = nothing;\n}\n')
    assert str(caught.value).splitlines()[0] == "kernel.cu line 3: 'nothing' was not declared in this scope"


def test_lines_survive_the_translation():
    text = '/* two\nlines */ extern "C" __global__ void\n__launch_bounds__(64)\nf(int a, // one\n  int b)\n{\n}\n'
    translated = translate.translate(text, "f.cu")
    assert translated.count("\n") == text.count("\n") + 2  # #line and a last end of line
    assert translated.splitlines()[4].startswith("f(int a,")


def test_what_is_compiled_is_kept_and_can_be_made_by_two_at_once(checked, tmp_path, monkeypatch):
    before = translate.cache_folder()
    monkeypatch.setenv("MINIGAN_KERNEL_CACHE", str(tmp_path / "kept"))
    shutil.copytree(before, tmp_path / "kept", ignore=lambda _, names: {n for n in names if not n.endswith("r.o")})
    text = 'extern "C" __global__ void f(float* x) { x[0] = SEVEN; }\n'
    code = f"from minigan.kernels.emulator import Program; print(Program({text!r}, dict(SEVEN=7)).entries)"
    processes = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [p.communicate()[0] for p in processes] == ["['f']\n"] * 2
    kept = [name.partition("-")[2] for name in os.listdir(tmp_path / "kept") if not name.endswith("r.o")]
    assert sorted(kept) == ["kernel.o", "kernel.so"]
    next((tmp_path / "kept").glob("*-kernel.so")).write_bytes(b"damaged")
    x = np.zeros(1, np.float32)
    Program(text, {"SEVEN": 7}).launch("f", 1, 1, [x])
    assert x[0] == 7
    monkeypatch.setattr(translate.subprocess, "run", None)  # nothing is compiled again
    assert Program(text, {"SEVEN": 7}).entries == ["f"]


def test_a_cache_that_cannot_be_written_to_is_said_in_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MINIGAN_KERNEL_CACHE", str(tmp_path / "file"))
    with pytest.raises(RuntimeError, match="cannot keep what it compiles .*; set MINIGAN_KERNEL_CACHE to a folder"):
        Program("\n")
    monkeypatch.delenv("MINIGAN_KERNEL_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path / "file"))  # no home to write to: a folder that ends with the process
    folder = translate.cache_folder()
    assert folder == translate.cache_folder() and folder.is_dir() and os.access(folder, os.W_OK)


def test_no_compiler_is_said_in_a_sentence(monkeypatch):
    monkeypatch.setenv("CXX", "env -i g++")
    assert emulator.toolchain() is None
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "needs no-such-compiler, which is not on PATH" in emulator.toolchain()
    with pytest.raises(RuntimeError, match="needs no-such-compiler"):
        Program("\n")
    monkeypatch.setattr(translate.sys, "platform", "win32")
    assert emulator.toolchain().startswith("the emulator runs on Linux")
