"""`minigan kernels`: its three commands as processes, the README's example, and harnesses that do not work."""

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from emulated import needs_emulator, needs_nvrtc

from minigan import kernels
from minigan.cli import main
from minigan.kernels import compile as compiler
from minigan.kernels import source
from minigan.kernels.emulator import HarnessError, check, default_harness

SECTION = (Path(__file__).parents[2] / "kernels" / "README.md").read_text().partition("## Kernels without a GPU")[2]
CUDA, PYTHON, PRINTED, FAULT = re.findall(r"```(?:cuda|python|text)\n(.*?)```", SECTION, re.S)[:4]


@pytest.fixture
def scale(tmp_path):
    (tmp_path / "scale_check.py").write_text(PYTHON)
    (tmp_path / "scale.cu").write_text(CUDA)
    return tmp_path / "scale.cu"


def minigan(folder, *arguments):
    command = [sys.executable, "-m", "minigan", "kernels", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@needs_emulator
def test_check_prints_what_the_readme_says(scale):
    right = minigan(scale.parent, "check", "scale.cu")
    assert (right.returncode, right.stdout, right.stderr) == (0, PRINTED, "")
    scale.write_text(CUDA.replace("i < n", "i <= n"))
    wrong = minigan(scale.parent, "check", scale)
    assert (wrong.returncode, wrong.stderr) == (1, FAULT)


@needs_nvrtc
def test_compile_prints_a_table_and_fails_on_what_is_too_much(scale):
    right = CliRunner().invoke(main, ["kernels", "compile", str(scale), "--arch", "sm_80", "--arch", "sm_90"])
    assert right.exit_code == 0, right.stderr
    head, *rows = [line.split() for line in right.stdout.splitlines()]
    assert head == ["file", "kernel", "architecture", "constants", "registers", "shared", "stack", "spilled"]
    assert [row[:4] for row in rows] == [
        ["scale.cu", "scale", architecture, constants]
        for constants in ("-", "FACTOR=0.5f") for architecture in ("sm_80", "sm_90")
    ]  # fmt: skip
    scale.write_text(CUDA + "// registers: 4\n")
    for constant, fault in [
        ("FACTOR=none", r'scale.cu line 11: identifier "none" is undefined \(sm_90\)'),
        ("FACTOR=1", r"scale.cu scale for sm_90: \d+ registers a thread; wanted at most 4; .*"),
    ]:
        wrong = CliRunner().invoke(main, ["kernels", "compile", str(scale), "--arch", "sm_90", "-D", constant])
        assert wrong.exit_code == 1 and re.fullmatch(f"{fault}\nError: 1 fault\n", wrong.stderr)


def test_list_says_what_is_there(scale):
    listed = CliRunner().invoke(main, ["kernels", "list", str(scale)])
    assert (listed.exit_code, listed.stderr) == (0, "")
    assert listed.stdout == f"scale.cu (FACTOR = 2.0f)\n  {'scale':<24} Each thread scales one number.\n"
    assert "im2col.cu" in CliRunner().invoke(main, ["kernels", "list"]).stdout


def faults(scale, harness):
    scale.with_name("scale_check.py").write_text(harness)
    return check(scale).faults


@needs_emulator
def test_a_wrong_result_is_a_fault(scale):
    found = faults(scale, PYTHON.replace("3 * x", "4 * x"))
    assert len(found) == 1 and found[0].endswith("(order: forward, reverse, random)")
    assert found[0].startswith("wrong result after launch 1, scale: scale_check.py line 8: AssertionError: Arrays are")


@needs_emulator
def test_a_fault_of_several_orders_is_told_once(scale):
    scale.write_text(CUDA.replace("y[i] =", "y[i / 2] ="))
    race, gap = check(scale).faults
    assert "scale.cu line 11: race" in race and race.endswith("(order: forward, reverse, random)")
    assert gap.startswith("never written: 500 words") and gap.endswith("(order: forward, reverse, random)")


@needs_emulator
@pytest.mark.parametrize("name", sorted(p.stem for p in Path(kernels.__file__).parent.glob("*.cu")))
def test_our_kernels_are_without_fault(name):
    file = Path(kernels.__file__).with_name(f"{name}.cu")
    found = check(file)
    assert found.faults == []
    assert {entry for entry, _ in found.accesses} == {k.name for k in source.kernels(file.read_text())}


@needs_emulator
def test_a_changed_copy_of_our_kernel_is_checked_by_our_harness(tmp_path):
    own = Path(kernels.__file__).with_name("batch_norm.cu")
    for name, before, after, fault in [
        ("race", "    __syncthreads();\n    if (warp == 0", "    if (warp == 0", "uninitialised read"),
        ("wrong", "scale * (g - base - d * tilt)", "scale * (g - base)", "wrong result after launch"),
    ]:
        (tmp_path / name).mkdir()
        (tmp_path / name / own.name).write_text(own.read_text().replace(before, after))
        found = check(tmp_path / name / own.name).faults
        assert any(fault in text for text in found)
    other = Path(shutil.copy(own, tmp_path / "other.cu"))
    with pytest.raises(HarnessError, match="batch_norm_check.py launches nothing of other.cu"):
        check(other, default_harness(own))


@needs_emulator
@pytest.mark.parametrize(
    "harness, message",
    [
        ("launch = 3\n", "scale_check.py has no function launches()"),
        ("def launches(:\n", "scale_check.py: SyntaxError"),
        ("import nothing_of_this_name\n", "scale_check.py line 1: ModuleNotFoundError"),
        ("def launches():\n    return iter([])\n", "launches nothing of scale.cu"),
        (PYTHON.replace("np.int32(x.size)", "x.size"), "scale_check.py: TypeError: scale: argument 2, 'int n', is int"),
        (PYTHON.replace('"scale"', '"skale"'), "scale.cu has no kernel 'skale'; it has scale"),
        (PYTHON.replace("yield Launch", "yield 1, Launch"), "launches() yields (1, Launch(entry='scale', grid=4"),
        ("def launches():\n    raise RuntimeError('mine')\n", "scale_check.py line 2: RuntimeError: mine"),
        ("def launches():\n    raise SystemExit\n", "scale_check.py line 2: SystemExit"),
    ],
)  # fmt: skip
def test_a_harness_that_does_not_work_is_named(scale, harness, message):
    with pytest.raises(HarnessError) as caught:
        faults(scale, harness)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_harness_is_named(scale):
    scale.with_name("scale_check.py").unlink()
    with pytest.raises(HarnessError, match=r"scale.cu has no harness .*scale_check.py; write a launches\(\) there"):
        check(scale)


def test_missing_tools_are_named(scale, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    answer = CliRunner().invoke(main, ["kernels", "check", str(scale)])
    assert (answer.exit_code, answer.stderr.count("\n")) == (1, 1) and "needs no-such-compiler" in answer.stderr
    monkeypatch.setattr(compiler, "unavailable_reason", lambda: "there is no NVRTC")
    answer = CliRunner().invoke(main, ["kernels", "compile", str(scale)])
    assert (answer.exit_code, answer.stderr) == (1, "Error: there is no NVRTC\n")


@needs_emulator
@pytest.mark.parametrize(
    "before, after, message",
    [
        ("FACTOR * x", "FAKTOR * x", "scale.cu line 11: 'FAKTOR' was not declared"),
        ("y[i] =", 'asm("bar.sync 0;"); y[i] =', "scale.cu line 11: static assertion failed: there is no inline PTX"),
        ('extern "C" ', "template <class T>\n", "scale.cu line 9: a kernel cannot be a template; make its types"),
    ],
)
def test_what_does_not_compile_is_one_sentence(scale, before, after, message):
    scale.write_text(CUDA.replace(before, after))
    answer = CliRunner().invoke(main, ["kernels", "check", str(scale)])
    assert (answer.exit_code, answer.stderr.count("\n")) == (1, 1) and answer.stderr.startswith(f"Error: {message}")


@needs_nvrtc
@pytest.mark.parametrize("command", ["check", "compile", "list"])
def test_what_is_no_text_is_one_sentence(scale, command):
    scale.write_bytes(b"\xff")
    answer = CliRunner().invoke(main, ["kernels", command, str(scale)])
    assert (answer.exit_code, answer.stderr.count("\n")) == (1, 1) and "scale.cu cannot be read: " in answer.stderr


@needs_emulator
def test_an_interrupt_ends_a_kernel_that_never_ends(scale):
    scale.write_text(CUDA.replace("const int i", "for (;;) {} const int i"))
    code = f"""import os, threading
from pathlib import Path
from minigan.kernels.emulator import check, program
run = program.Program._run
def interrupted(self, *args):
    threading.Timer(0.3, os.kill, (os.getpid(), {int(signal.SIGINT)})).start()
    return run(self, *args)
program.Program._run = interrupted
check(Path("scale.cu"))
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=scale.parent, timeout=60).returncode == -signal.SIGINT
