"""Scripts written for Chainer, run as they are, in processes of their own."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).with_name("scripts")

# what the same scripts gave on Chainer 7.8.1: `python SCRIPT`, then the last entry of result/log, or the line printed
LOGS = {
    "dcgan": {"gen/loss": 0.6931809037923813, "dis/loss": 1.407015174627304},
    # without the line `self.device = device` and the converter, which Chainer 7 refuses here
    "wgan_gp": {"critic/penalty": 4.287655830383301, "generator/loss": 0.16664762049913406, "norm": 5.873266943812361},
    "pix2pix": {"enc/loss_rec": 57.704423904418945, "enc/loss_adv": 0.766073882579, "dis/loss": 1.402850270271},
    "vae": {"main/loss": 8.039129257202148, "main/kl_penalty": 0.683449844, "validation/main/loss": 7.905906677246},
}  # fmt: skip
PRINTED = {
    "sngan": [2.5574145317077637, 1.9917140007019043, 1.9523520469665527, 1.855940818786621],
    "functions": [1629.2257080078125, 1367.00537109375, 1202.8096923828125, 448630226944.0, 3883167.25, 0.0, 0.0],
}


def run(*arguments, cwd, code=0, **env):
    """`python -m minigan.legacy ARGUMENTS`; fails unless it ends with `code`."""
    command = [sys.executable, "-m", "minigan.legacy", *map(str, arguments)]
    env = {**{k: v for k, v in os.environ.items() if not k.startswith("MINIGAN")}, "MINIGAN_OFFLINE": "1", **env}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done


def write(folder, text, name="script.py"):
    (folder / name).write_text(text)
    return name


@pytest.mark.parametrize("name", LOGS)
def test_training_scripts_give_chainers_losses(name, tmp_path):
    run(SCRIPTS / f"{name}.py", cwd=tmp_path)
    entry = json.loads((tmp_path / "result" / "log").read_text())[-1]
    assert {k: entry[k] for k in LOGS[name]} == pytest.approx(LOGS[name], rel=1e-4)


@pytest.mark.parametrize("name", PRINTED)
def test_other_scripts_print_chainers_numbers(name, tmp_path):
    done = run(SCRIPTS / f"{name}.py", cwd=tmp_path)
    assert json.loads(done.stdout) == pytest.approx(PRINTED[name], rel=1e-3)


def test_the_script_takes_its_own_arguments_and_resumes(tmp_path):
    run(SCRIPTS / "dcgan.py", "-o", "a", "--batchsize", "12", cwd=tmp_path)
    assert not (tmp_path / "result").exists()
    entries = json.loads((tmp_path / "a" / "log").read_text())
    assert [entry["iteration"] for entry in entries] == [4]
    assert np.load(tmp_path / "a" / "image0004.npy").shape == (4, 3, 8, 8)
    run(SCRIPTS / "dcgan.py", "-o", "b", "-b", "12", "-r", "a/snapshot_iter_4.npz", cwd=tmp_path)


def test_the_s4_script_runs_unchanged(tmp_path):
    """The script of tests/training/test_s4_script.py with the import it was written with, and its losses on Chainer."""
    text = (SCRIPTS.parents[1] / "training" / "s4_script.py").read_text()
    text = text.replace("import minigan as chainer", "import chainer").replace("minigan", "chainer")
    rng = np.random.RandomState(0)
    arrays = {"x_train": rng.randint(0, 256, (96, 28, 28)).astype(np.uint8)}
    arrays["t_train"] = rng.randint(0, 10, 96).astype(np.uint8)
    arrays["x_test"] = rng.randint(0, 256, (40, 28, 28)).astype(np.uint8)
    arrays["t_test"] = rng.randint(0, 10, 40).astype(np.uint8)
    np.savez(tmp_path / "mnist.npz", **arrays)
    done = run(write(tmp_path, text), "mnist.npz", "--batchsize", "16", cwd=tmp_path)
    assert done.stdout.startswith("epoch       main/loss_dis  main/loss_gen  validation/main/loss  elapsed_time\n")
    (entry,) = json.loads((tmp_path / "result" / "log").read_text())
    assert entry["main/loss_dis"] == pytest.approx(1.2433516879876454, rel=1e-4)
    assert entry["main/loss_gen"] == pytest.approx(0.7028202215830485, rel=1e-4)
    assert entry["validation/main/loss"] == pytest.approx(0.44685912132263184, rel=1e-3)


# -- as when run plainly ---------------------------------------------------------------------------------------------

PLAIN = """import sys, os
print(__name__, __file__, sys.argv, os.path.basename(sys.path[0]), __spec__, __package__, __doc__)
print(sys.modules["__main__"].__dict__ is globals(), sorted(k for k in globals() if k.startswith("__")))
import helper
sys.exit(int(sys.argv[1]))
"""


@pytest.mark.parametrize("code", [0, 3])
def test_a_script_sees_what_it_sees_when_run_plainly(tmp_path, code):
    folder = tmp_path / "project"
    folder.mkdir()
    write(folder, "print('helped')", "helper.py")
    write(folder, PLAIN)
    arguments = ["project/script.py", str(code), "--gpu", "-1"]
    plain = subprocess.run([sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True)
    ours = run(*arguments, cwd=tmp_path, code=code)
    assert "helped" in plain.stdout and plain.returncode == code
    drop = re.compile(r"'__annotations__', |, '__annotations__'")  # made by Python before 3.14, when it is asked for
    assert drop.sub("", ours.stdout) == drop.sub("", plain.stdout)


FAILING = """import chainer.functions as F
import numpy as np
class A:
    def __call__(self, x):
        {line}
A()(np.zeros((2, 3), 'f'))
"""


@pytest.mark.parametrize(
    "line",
    ["raise ValueError('of the script')", "F.no_such(x)", "from chainer.links import Nothing", "import chainer.x"],
)
def test_a_traceback_begins_and_ends_in_the_script(tmp_path, line):
    error = run(write(tmp_path, FAILING.format(line=line)), cwd=tmp_path, code=1).stderr
    places = re.findall(r'^  File "(.*?)", line (\d+)', error, re.MULTILINE)
    assert places == [(str(tmp_path / "script.py"), line) for line in "65"], error


def test_an_error_of_the_library_is_shown_below_the_scripts_line(tmp_path):
    error = run(write(tmp_path, FAILING.format(line="F.matmul(x, x)")), cwd=tmp_path, code=1).stderr
    places = re.findall(r'^  File "(.*?)", line', error.split("Traceback")[-1], re.MULTILINE)
    assert places[:2] == [str(tmp_path / "script.py")] * 2 and "minigan/legacy" not in "".join(places)
    assert error.splitlines()[-1].startswith("minigan.utils.type_check.InvalidType: ")


def test_syntax_errors_and_missing_scripts(tmp_path):
    error = run(write(tmp_path, "x = (\n"), cwd=tmp_path, code=1).stderr
    assert 'script.py", line 1' in error and "legacy" not in error and "SyntaxError" in error
    assert "can't open file" in run("none.py", cwd=tmp_path, code=2).stderr
    assert run(cwd=tmp_path, code=2).stderr.startswith("usage: ")
    assert run("--help", cwd=tmp_path).stdout.startswith("usage: ")
    assert "unknown option --nympy1" in run("--nympy1", "x.py", cwd=tmp_path, code=1).stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_ends_as_plainly(tmp_path):
    script = write(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nimport time; time.sleep(9)\n")
    command = [sys.executable, "-m", "minigan.legacy", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == -signal.SIGINT and done.stderr.endswith("KeyboardInterrupt\n"), done


def test_modules_run_too(tmp_path):
    write(tmp_path, "import sys, chainer; print(__name__, sys.argv[1:], chainer.__version__)", "tool.py")
    assert run("-m", "tool", "--x", cwd=tmp_path).stdout == "__main__ ['--x'] 7.8.1\n"


CHILDREN = """import multiprocessing
import numpy as np
import chainer
if multiprocessing.parent_process() is not None:
    np.float  # given back in children too

class Double(chainer.dataset.DatasetMixin):
    def __len__(self):
        return 4
    def get_example(self, i):
        return i * np.float(2)

def work(i):
    return Double()[i], type(chainer.functions.relu(np.array([-1.0, i], 'f'))).__name__

if __name__ == '__main__':
    with multiprocessing.get_context({method!r}).Pool(1) as pool:
        print(pool.map_async(work, [1, 3]).get(60))
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_of_the_script_know_chainer(tmp_path, method):
    if method == "fork" and sys.platform != "linux":
        pytest.skip("no fork here")
    script = write(tmp_path, CHILDREN.format(method=method))
    assert run("--numpy1", script, cwd=tmp_path).stdout == "[(2.0, 'Variable'), (6.0, 'Variable')]\n"


def test_the_command_runs_scripts_too(tmp_path):
    script = write(tmp_path, "import sys, chainer; print(sys.argv); sys.exit(5)")
    command = [sys.executable, "-m", "minigan", "legacy", "--numpy1", script, "--out", "x", "-h"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (5, "['script.py', '--out', 'x', '-h']\n"), done.stderr


# -- what was taken away -----------------------------------------------------------------------------------------------


def test_numpy_names_come_back_when_asked(tmp_path):
    script = SCRIPTS / "old_names.py"
    error = run(script, cwd=tmp_path, code=1).stderr
    assert "has no attribute 'float'" in error and "minigan.legacy --numpy1 SCRIPT" in error.splitlines()[-1]
    assert run("--numpy1", script, cwd=tmp_path).stdout.startswith("127 6 ")
    assert run(script, cwd=tmp_path, MINIGAN_LEGACY="numpy1").stdout.startswith("127 6 ")


def test_pillow_names_come_back_when_asked(tmp_path):
    script = SCRIPTS / "old_names.py"
    error = run("--numpy1", script, "pillow", cwd=tmp_path, code=1).stderr
    assert "ANTIALIAS" in error and "minigan.legacy --pillow9 SCRIPT" in error.splitlines()[-1]
    assert run("--numpy1", "--pillow9", script, "pillow", cwd=tmp_path).stdout.endswith("(4, 4)\n")


def test_chainer_1_is_understood_when_asked(tmp_path):
    script = SCRIPTS / "chainer1.py"
    error = run(script, cwd=tmp_path, code=1).stderr
    assert "wscale" in error and "minigan.legacy --chainer1 SCRIPT" in error.splitlines()[-1]
    done = run("--chainer1", script, cwd=tmp_path)
    # standard deviations: wscale / sqrt(fan in) for 384 weights, times sqrt(fan in) for 256; then the bias
    assert json.loads(done.stdout) == [pytest.approx(0.02, rel=0.1), pytest.approx(0.5, rel=0.1), 0.25]
    said = re.findall(r"^minigan.legacy --chainer1: (\S+)", done.stderr, re.MULTILINE)
    assert [s.split("=")[0].split("(")[0] for s in said] == [
        "wscale", "bias", "test", "train", "optimizer.zero_grads", "volatile",
    ], done.stderr  # fmt: skip


@pytest.mark.parametrize(
    "line", ["F.Convolution2D(1, 2, 3).W.shape", "L.BatchNormalization(2)(np.zeros((3, 2), 'f'), test=True)"]
)
def test_what_chainer_1_would_have_helped_with(tmp_path, line):
    script = tmp_path / "s.py"
    script.write_text(f"import chainer.functions as F, chainer.links as L, numpy as np\nprint({line})\n")
    assert "minigan.legacy --chainer1 SCRIPT" in run(script, cwd=tmp_path, code=1).stderr.splitlines()[-1]
    assert "minigan.legacy --chainer1: " in run("--chainer1", script, cwd=tmp_path).stderr


def test_a_package_that_came_with_chainer_is_named(tmp_path):
    script = tmp_path / "s.py"
    script.write_text("import sys\nsys.modules.pop('six', None)\nsys.path[:] = []\nimport six\n")
    assert run(script, cwd=tmp_path, code=1).stderr.splitlines()[-1].endswith("install six")


def test_a_wrong_word_in_the_environment(tmp_path):
    error = run("--help", cwd=tmp_path, code=1, MINIGAN_LEGACY="nympy1").stderr
    assert "MINIGAN_LEGACY: got 'nympy1'; wanted words of numpy1, pillow9, chainer1" in error
