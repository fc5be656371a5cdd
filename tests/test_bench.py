"""The benchmark verifies before it times, keeps what is done, and says what it ran on."""

import copy
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from emulated import needs_compiler, on_gpu

BENCH = Path(__file__).resolve().parents[1] / "bench"
CASES = [
    "agreement", "batch_norm", "convolution", "deconvolution", "elementwise", "gan_step", "im2col", "import",
    "mlp_step", "roofs", "scaling", "training",
]  # fmt: skip


def command(*arguments, bench=BENCH):
    return [sys.executable, str(bench / "run.py"), *map(str, arguments)]


def run(*arguments, bench=BENCH):
    return subprocess.run(command(*arguments, bench=bench), capture_output=True, text=True)


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """A run of all cases, small: (what it printed, its JSON, its folder)."""
    folder = tmp_path_factory.mktemp("bench")
    done = run("--quick", "--json", folder / "out.json", "--plot", folder / "plot.png")
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads((folder / "out.json").read_text()), folder


def test_every_case_finds_itself_and_is_timed(quick):
    _, results, _ = quick
    assert sorted(results["cases"]) == CASES
    for case, part in results["cases"].items():
        assert part["about"] and part["rows"]
        for row in part["rows"].values():
            assert bool(row["variants"]) == (case != "agreement")
            for figures in row["variants"].values():
                assert 0 < figures["min_ms"] <= figures["low_ms"] <= figures["median_ms"] <= figures["max_ms"]
                assert figures["repeats"] == 2
    loops = results["cases"]["im2col"]["rows"]["im2col 3x8x8 k3 s2"]["variants"]
    assert loops.keys() == {"plain", "loops", "minigan", "minigan own layout"} and loops["plain"]["GB/s"] > 0
    assert results["cases"]["convolution"]["rows"]["forward 4-6 s2 8"]["variants"]["minigan"]["of_roof"] > 0
    assert all(
        row["variants"]["minigan"]["peak_mb"] > 10
        for case in ("gan_step", "mlp_step", "scaling", "training") for row in results["cases"][case]["rows"].values()
    )  # fmt: skip


def test_a_run_says_what_it_ran_on(quick):
    printed, results, _ = quick
    machine = results["machine"]
    assert machine.keys() >= {"processor", "cores", "threads", "python", "numpy", "commit", "date", "seed", "device"}
    assert results["versions"]["minigan"]["version"] and results["roofs"].keys() == {"GB/s", "GFLOP/s"}
    assert ("too noisy" in printed) == (not results["quiet"]["trusted"]) == bool(results["quiet"]["reasons"])


def test_plots_are_drawn(quick):
    for name in ("bars", "roofline", "scaling"):
        assert (quick[2] / f"plot_{name}.png").stat().st_size > 10_000


@needs_compiler
@pytest.mark.parametrize(
    "device, case, variants",
    [
        ("emulator", "im2col", ["plain", "minigan", "minigan own layout"]),
        ("cuda", "mlp_step", ["minigan", "minigan graph"]),
    ],
)
def test_the_gpus_way_is_verified_and_timed(device, case, variants, monkeypatch, tmp_path):
    """For cuda a strict stand-in takes CuPy's place, with its events and its pool of memory."""
    if not on_gpu:
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "doubles"))
    done = run("--device", device, "--case", case, "--quick", "--json", tmp_path / "out.json")
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "out.json").read_text())
    row = next(iter(results["cases"][case]["rows"].values()))
    assert list(row["variants"]) == variants and all(found["median_ms"] > 0 for found in row["variants"].values())
    assert device != "cuda" or results["versions"]["minigan"]["gpu"]


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--case", "im2col,im2row"], "there is no 'im2row'; there are agreement, batch_norm, convolution"),
        (["--peers", "theano"], "--peers: there is no 'theano'; there are chainer, dezero, numba, torch"),
        (["--peers", "minigan"], "there is no 'minigan'"),
        (["--case", ","], "',' names no case; there are agreement"),
        (["--case", "roofs", "--quick", "--peers", "torch,torch=x"], "--peers: torch is there twice"),
        (["--case", "roofs", "--quick", "--peers", "torch=nowhere"], "torch has no interpreter at nowhere"),
        (["--json", "nowhere/out.json"], "there is no folder nowhere to write out.json into"),
        (["--json", "."], ". is a folder; a file's name is wanted"),
        (["--compare", BENCH / "README.md"], "README.md is not what --json writes"),
        (["--compare", BENCH], "bench cannot be read (Is a directory)"),
        (["--device", "tpu"], "'tpu' is not one of 'cpu', 'cuda', 'emulator'"),
        (["--device", "emulator", "--peers", "torch"], "--peers: the emulator is minigan's own"),
    ],
)
def test_what_cannot_be_run_is_a_sentence(arguments, sentence):
    done = run(*arguments)
    assert done.returncode not in (0, 130) and sentence in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


@pytest.fixture
def own(tmp_path):
    """A copy of the benchmark, to which a test adds peers and cases."""
    shutil.copytree(BENCH, tmp_path / "bench", ignore=shutil.ignore_patterns("__pycache__", "results"))
    return tmp_path / "bench"


WRONG = """
VERSION = "1"
def setup(**_): pass
def elementwise(case, data, what, n):
    return {"wrong": lambda: 0.99 * data["x"]} if what == "leaky_relu" else {}
"""


def test_a_wrong_variant_is_an_error_and_nothing_is_timed(own, tmp_path):
    (own / "peers" / "with_wrong.py").write_text(WRONG)
    done = run("--quick", "--case", "roofs,elementwise", "--peers", "wrong", "--json", tmp_path / "out.json", bench=own)
    assert done.returncode == 1
    assert "elementwise, leaky_relu: wrong computes something else than plain" in done.stderr
    assert "nothing is timed" in done.stderr and done.stdout == "" and not (tmp_path / "out.json").exists()


def test_a_peer_that_is_not_installed_is_named_and_left_out(own, tmp_path):
    (own / "peers" / "with_absent.py").write_text("import a_library_that_nobody_has\n")
    arguments = ["--quick", "--case", "elementwise", "--peers", f"absent={sys.executable}"]
    done = run(*arguments, "--json", tmp_path / "out.json", bench=own)
    assert done.returncode == 0 and f"absent is not installed in {sys.executable}" in done.stdout
    results = json.loads((tmp_path / "out.json").read_text())
    assert "a_library_that_nobody_has" in results["left_out"][0] and list(results["versions"]) == ["minigan"]
    assert "--peers absent=PYTHON --json" in results["command"]


def test_a_python_without_matplotlib_says_so_before_it_measures(tmp_path):
    code = "import runpy, sys; del sys.argv[0]; sys.modules['matplotlib'] = None; runpy.run_path(sys.argv[0])['main']()"
    done = subprocess.run(
        [sys.executable, "-c", code, BENCH / "run.py", "--plot", tmp_path / "p"], capture_output=True, text=True
    )
    assert done.returncode == 2 and "the pictures want matplotlib" in done.stderr and "Traceback" not in done.stderr


FOREVER = '''
"""Never ends."""
import time
from cases import Row
CALLS = 0
def rows(device, quick): return [Row("row", {}, "")]
def data(): return {}
'''


@pytest.fixture
def endless(own, tmp_path):
    """A run that never ends of itself: its process, and its JSON."""
    (own / "cases" / "forever.py").write_text(FOREVER)
    with open(own / "peers" / "with_minigan.py", "a") as file:
        file.write("\ndef forever(case, data):\n    return {'minigan': lambda: case.time.sleep(100)}\n")
    arguments = command("--quick", "--case", "roofs,forever", "--json", tmp_path / "out.json", bench=own)
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process, tmp_path / "out.json"
        process.kill()


@pytest.mark.parametrize("sent, status", [([signal.SIGINT] * 3, 130), ([signal.SIGTERM], 143)])
def test_ctrl_c_keeps_what_is_done(endless, sent, status):
    process, path = endless
    while "product" not in process.stdout.readline():
        assert process.poll() is None
    for number in sent:  # whoever is impatient loses nothing by it
        process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    results = json.loads(path.read_text())
    assert process.returncode == status and "what is done is kept" in errors and "Traceback" not in errors
    assert results["interrupted"] and list(results["cases"]) == ["roofs"]


def test_a_run_stopped_before_anything_is_timed_leaves_the_earlier_results(endless):
    process, path = endless
    path.write_text("earlier")
    assert "comparing" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130 and errors == "\nstopped; nothing was timed\n" and path.read_text() == "earlier"


def test_a_disk_that_is_full_loses_nothing_of_before(tmp_path):
    """A limit for the files of the process stands for the disk."""
    (tmp_path / "out.json").write_text("earlier")
    code = "import resource, runpy, sys; del sys.argv[0]; main = runpy.run_path(sys.argv[0])['main']; "
    code += "resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500)); main()"
    arguments = command("--quick", "--case", "roofs", "--json", tmp_path / "out.json")
    done = subprocess.run([sys.executable, "-c", code, *arguments[1:]], capture_output=True, text=True)
    assert done.returncode == 1 and "Error: nothing could be written: [Errno 27]" in done.stderr, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]
    assert (tmp_path / "out.json").read_text() == "earlier"


DYING = """
import os
VERSION, calls = "0", []
def setup(**_): pass
def roofs(case, data, **_):
    return {"dying": lambda: calls.append(1) or len(calls) > 3 and os._exit(9)}
"""


def test_what_was_timed_before_a_peer_died_is_kept(own, tmp_path):
    (own / "peers" / "with_dying.py").write_text(DYING)
    done = run("--quick", "--case", "roofs", "--peers", "dying", "--json", tmp_path / "out.json", bench=own)
    assert done.returncode == 1 and "dying's process ended with status 9" in done.stderr
    results = json.loads((tmp_path / "out.json").read_text())
    assert list(results["cases"]["roofs"]["rows"]) == ["copy"] and "dying" in results["failed"]


def results_with(ms, spread=0.1, **machine):
    """What a run writes, of one variant; spread: from the first tenth to the last."""
    figures = {"median_ms": ms, "low_ms": ms * (1 - spread / 2), "high_ms": ms * (1 + spread / 2)}
    rows = {"forward": {"variants": {"minigan": figures}}}
    return {
        "machine": {"device": "cpu", "cores": 2, "commit": "abc", **machine}, "versions": {},
        "quiet": {"reasons": []}, "cases": {"convolution": {"rows": rows}},
    }  # fmt: skip


@pytest.mark.parametrize(
    "factor, line", [(1.3, "SLOWER 1.30 x: convolution, forward, minigan"), (1 / 1.3, "faster 1.30 x"), (1.05, None)]
)
def test_compare_marks_what_changed_by_more_than_the_spread(modules, factor, line):
    lines = "\n".join(modules("compare").compared(results_with(10.0), results_with(10.0 * factor)))
    assert (line is None or line in lines) and ("x:" in lines) == (line is not None)
    assert f"1 variants are in both runs, {int(line is not None)} have changed" in lines


@pytest.mark.parametrize("repeats, factor, changed", [(2, 1.9, 0), (2, 2.1, 1), (5, 1.9, 1)])
def test_compare_of_few_measurements_wants_a_factor_of_2(modules, repeats, factor, changed):
    old, new = results_with(10.0), results_with(10.0 * factor)
    new["cases"]["convolution"]["rows"]["forward"]["variants"]["minigan"]["repeats"] = repeats
    assert len(modules("compare").changes(old, new)) == len(modules("compare").changes(new, old)) == changed


def test_compare_finds_a_planted_slow_down_in_a_real_run(modules, quick):
    results = quick[1]
    slow = copy.deepcopy(results)
    figures = slow["cases"]["mlp_step"]["rows"]["784-256-256, batch 4"]["variants"]["minigan"]
    factor = 2 * figures["high_ms"] / figures["low_ms"]
    figures.update({key: figures[key] * factor for key in ("median_ms", "low_ms", "high_ms")})
    assert modules("compare").changes(results, results) == []
    ((what, before, now),) = modules("compare").changes(results, slow)
    assert what == "mlp_step, 784-256-256, batch 4, minigan" and now == pytest.approx(factor * before)


@pytest.mark.parametrize("figure", [float("nan"), 0.0, -1.0, "12", None])
def test_compare_takes_no_figures_that_are_none(modules, tmp_path, figure):
    results = results_with(10.0)
    results["cases"]["convolution"]["rows"]["forward"]["variants"]["minigan"]["low_ms"] = figure
    (tmp_path / "old.json").write_text(json.dumps(results))
    with pytest.raises(modules("workers").BenchError, match="old.json is not what --json writes"):
        modules("compare").read(tmp_path / "old.json")


def test_compare_says_what_is_gone_and_takes_rows_of_other_shapes_for_others(modules):
    old, new = results_with(10.0), results_with(30.0)
    old["cases"]["convolution"]["rows"]["forward"]["shapes"] = "1x1"
    lines = "\n".join(modules("compare").compared(old, new))
    assert "1 variants of that run are not in this one, the first of them convolution, forward, minigan, 1x1" in lines
    assert "0 variants are in both runs, 0 have changed" in lines


def test_compare_says_that_machines_differ(modules):
    lines = "\n".join(modules("compare").compared(results_with(10.0), results_with(10.0, cores=64)))
    assert "not the same machine: cores was 2, is 64" in lines


def test_a_noisy_machine_is_not_trusted(modules):
    watch = modules("machine").Watch()
    watch.loops = [1.0] * 5 + [2.0] * 5
    verdict = watch.verdict()
    assert not verdict["trusted"] and "took 1.00 to 2.00 ms" in verdict["reasons"][0]


def test_what_is_verified(modules):
    verify, case = modules("verify").verify, modules("cases").find()["gan_step"]
    good = np.ones((5, 2))
    verify("step", case, {"a": [good], "b": [good + 1e-4]})
    late, nan = good.copy(), good * np.nan
    late[3] += 0.01  # of a captured step the fourth call is a replay
    for bad in (late, nan, good[:, :1]):
        with pytest.raises(modules("workers").BenchError, match="step: b computes .* nothing is timed"):
            verify("step", case, {"a": [good], "b": [bad]})


def test_goals_are_met_missed_or_unmeasured(modules, tmp_path):
    step = {"minigan graph": 1.0, "torch graph": 0.8, "minigan": 1.0, "torch": 2.0}
    rows = {"book": {"variants": {name: {"median_ms": ms} for name, ms in step.items()}}}
    (tmp_path / "gpu_step.json").write_text(json.dumps({"cases": {"gan_step": {"rows": rows}}}))
    lines = modules("goals").goals(tmp_path)
    assert lines == [
        "MISSED: A, step, book: minigan graph / torch graph is 1.250 (wanted 1.0 or less)",
        "unmeasured: A, step, book: minigan graph / torch compile (wanted 1.0 or less)",
        "met: A, step, book: minigan / torch is 0.500 (wanted 0.6 or less)",
        "unmeasured: B", "unmeasured: C", "unmeasured: D",
    ]  # fmt: skip


def test_libraries_are_compared_measurement_by_measurement(modules):
    ratio = modules("timing").ratio
    host = [1.0, 2.0, 2.0, 1.0, 1.0]  # quick at first, then slow, then quick
    assert ratio([0.5 * t for t in host], host) == (0.5, 0.5, 0.5)
    assert ratio([2.0, 1.0], [1.0, 1.0]) == (1.5, 1.0, 2.0)
    # Conover's table A3: of 20 values, the 6th and the 15th lie about the median with a probability of 95.9 %
    assert ratio([float(n) for n in range(20, 0, -1)], [1.0] * 20) == (10.5, 6.0, 15.0)


@pytest.mark.parametrize("file, made", [("README.md", "brief"), ("bench/README.md", "whole")])
def test_the_tables_are_what_the_command_writes(modules, file, made):
    table = modules("table")
    text = (BENCH.parent / file).read_text()
    assert table.written(text, getattr(table, made)(json.loads(table.RESULTS.read_text()))) == text
    assert table.BEGIN in text and table.END in text


def test_the_fastest_of_a_row_is_bold_and_losses_stay_in(modules):
    results = results_with(12.0)
    machine = results["machine"] | {"processor": "P", "threads": 2, "date": "2026-01-01T00:00"}
    results |= {"machine": machine, "command": "run", "quiet": {"reasons": ["it was loud"]}}
    results["versions"] = {"minigan": {"version": "1"}, "torch": {"version": "2+cpu"}}
    row = results["cases"]["convolution"]["rows"]["forward"]["variants"]
    row |= {"torch": {"median_ms": 10.0, "times_ms": [9, 10]}, "torch channels last": {"median_ms": 11.0}}
    row |= {"numba": {"median_ms": 11.0, "times_ms": [9, 12]}}
    row |= {"chainer": {"median_ms": 1234.5, "times_ms": [1230, 1239]}}
    row["minigan"] |= {"GB/s": 1.0, "times_ms": [11.7, 11]}
    table = modules("table")
    line = "| convolution: forward | 12 | 11 | **10** | 1234 | 1.20 (1.10 to 1.30) | 1.10 (1.00 to 1.20) |"
    assert line in table.whole(results)
    brief = table.brief(results)
    assert (
        "Not to be trusted: it was loud." in brief
        and "as a multiple of PyTorch's time: convolution 1.20 to 1.20." in brief
    )


@pytest.mark.parametrize(
    "case, kinds",
    [("mlp_step", {"linear layers"}), ("gan_step", {"linear layers", "convolutions", "normalisation"})],
)  # fmt: skip
def test_the_profile_of_a_step_adds_up(case, kinds):
    program = [sys.executable, str(BENCH / "step_profile.py"), case, "--batch", "2", "--steps", "2"]
    done = subprocess.run(program, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, *rows = done.stdout.splitlines()
    found = {row[:20].strip(): row[20:].split() for row in rows}
    assert first.startswith(f"{case}, batch 2: ")
    assert found.keys() == kinds | {"activations", "Adam", "bookkeeping", "other arithmetic"}
    total = float(first.split()[-2])
    assert sum(float(ms) for ms, *_ in found.values()) == pytest.approx(total, rel=0.02)
    assert sum(float(share) for *_, share, _ in found.values()) == pytest.approx(100, abs=0.5)


def test_the_profile_of_another_case_is_refused():
    done = subprocess.run([sys.executable, str(BENCH / "step_profile.py"), "im2col"], capture_output=True, text=True)
    assert done.returncode == 2 and "gan_step" in done.stderr and "Traceback" not in done.stderr
