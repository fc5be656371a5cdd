"""The command line: what is written and printed, bit-for-bit resuming, and one sentence for every kind of bad input.

The nets are tiny and the data is a file of 20 images, so that a few iterations cross the border of an epoch.
"""

import json
import os
import signal
import subprocess
import sys
import zipfile

import click
import numpy
import pytest
from click.testing import CliRunner
from PIL import Image

from minigan.cli import main
from minigan.cli.run_folder import RunFolder
from minigan.cli.sample import draw
from minigan.cli.train import train
from minigan.cli.watch import Stop
from minigan.gans import ARCHITECTURES, GANS, GANUpdater
from minigan.kernels.gemm import CublasError
from minigan.kernels.source import CompileError
from minigan.pictures import read_png
from minigan.reporter import report

TINY = "--width 4 --z-dim 5 --batch-size 8 --sample-every 2 --snapshot-every 3 --log-every 2".split()


@pytest.fixture(scope="session")
def few(tmp_path_factory):
    """A file with 20 training and 10 test images, as Keras' mnist.npz."""
    rng = numpy.random.RandomState(0)
    path = tmp_path_factory.mktemp("data") / "mnist.npz"
    numpy.savez(
        path,
        x_train=rng.randint(0, 256, (20, 28, 28)).astype(numpy.uint8),
        y_train=(numpy.arange(20) % 10).astype(numpy.uint8),
        x_test=rng.randint(0, 256, (10, 28, 28)).astype(numpy.uint8),
        y_test=numpy.arange(10).astype(numpy.uint8),
    )
    return str(path)


pytestmark = pytest.mark.usefixtures("own_place")


def call(*arguments, code=0, env=None):
    result = CliRunner().invoke(main, [str(a) for a in arguments], env=env, prog_name="minigan")
    assert result.exit_code == code, (result.output, result.exception)
    return result


def sentence(result):
    """The one sentence on standard error; nothing like a traceback."""
    assert "Traceback" not in result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1
    return lines[0]


def process(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "minigan", *map(str, arguments)], capture_output=True, text=True, check=False, **options
    )


def log_of(folder):
    entries = json.loads((folder / "log").read_text())
    return [{k: v for k, v in entry.items() if k != "elapsed_time"} for entry in entries]


def arrays_of(file):
    with numpy.load(file) as npz:
        return {name: npz[name] for name in npz.files}


@pytest.fixture(scope="module")
def run(few, tmp_path_factory, plain_charts):
    """A finished run of 7 iterations."""
    out = tmp_path_factory.mktemp("runs") / "a"
    result = CliRunner().invoke(
        main, ["train", "--data", few, "--steps", "7", "--out", str(out), "--arch", "small", "--ema", "0.9", *TINY]
    )
    assert result.exit_code == 0, result.output
    return out


def test_a_run_folder_holds_all_that_is_promised(run):
    assert sorted(p.name for p in run.iterdir()) == [
        "answers.png", "config.json", "gen.npz", "gradients.png", "log", "loss.png", "progress.gif", "samples",
        "snapshot_iter_3", "snapshot_iter_6", "snapshot_iter_7",
    ]  # fmt: skip
    assert [p.name for p in sorted((run / "samples").iterdir())] == [f"iter_000000{i}.png" for i in (0, 2, 4, 6, 7)]
    with Image.open(run / "samples" / "iter_0000002.png") as grid:
        assert grid.size == (238, 238)
    with Image.open(run / "progress.gif") as gif:
        assert gif.n_frames == 5
    settings = json.loads((run / "config.json").read_text())["settings"]
    expected = {
        "gan": "dcgan",
        "arch": "small",
        "steps": 7,
        "batch_size": 8,
        "width": 4,
        "alpha": 2e-3,
        "seed": 0,
        "ema": 0.9,
    }
    assert {k: settings[k] for k in expected} == expected
    assert "'gen/grad/fc1'" in (run / "gradients.png").read_text() and "'dis/real'" in (run / "loss.png").read_text()


def test_the_log_says_what_d_thinks(run):
    log = log_of(run)
    assert [entry["iteration"] for entry in log] == [2, 4, 6]
    for entry in log:
        assert {"gen/loss", "dis/loss", "dis/accuracy", "dis/real", "dis/fake", "epoch"} <= entry.keys()
        assert 0 < entry["dis/real"] < 1 and 0 < entry["dis/fake"] < 1 and 0 <= entry["dis/accuracy"] <= 1


def test_last_line_says_where_to_look(few, tmp_path):
    result = call("train", "gan", "--data", few, "--steps", 2, "--out", tmp_path / "r", *TINY)
    last = result.stdout.splitlines()[-1]
    assert str(tmp_path / "r" / "progress.gif") in last and "iter_0000002.png" in last and "minigan sample" in last
    assert "20 training and 10 test images" in result.stderr
    assert "2/2" in result.stderr


def test_quiet_prints_the_folder_alone(few, tmp_path):
    result = call("train", "--data", few, "--steps", 1, "--out", tmp_path / "r", "--quiet", *TINY)
    assert result.stdout == f"{tmp_path / 'r'}\n"
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("number", "code", "options"),
    [(signal.SIGINT, 130, ["--ema", "0.9"]), (signal.SIGTERM, 143, ["--arch", "book"])],
)
def test_resuming_goes_on_bit_for_bit(few, tmp_path, monkeypatch, number, code, options):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    wanted = ["--data", few, "--steps", 9, *options, *TINY]
    call("train", *wanted, "--out", whole)
    update_core = GANUpdater.update_core

    def interrupted(self):
        if self.iteration == 4:
            os.kill(os.getpid(), number)
        update_core(self)

    with monkeypatch.context() as patch:
        patch.setattr(GANUpdater, "update_core", interrupted)
        result = call("train", *wanted, "--out", broken, code=code)
    assert f"minigan train --resume {broken}" in result.stderr
    assert "after iteration 5 of 9" in result.stderr
    assert (broken / "snapshot_iter_5").exists()
    call("train", "--resume", broken)
    assert log_of(broken) == log_of(whole)
    one, other = arrays_of(whole / "snapshot_iter_9"), arrays_of(broken / "snapshot_iter_9")
    assert one.keys() == other.keys()
    # The log and its clock: the entries were compared above, without the seconds.
    clocks = {"_snapshot_elapsed_time", "extensions/LogReport/_log"}
    assert [k for k in one if k not in clocks and not numpy.array_equal(one[k], other[k])] == []
    for file in sorted((whole / "samples").iterdir()):
        assert file.read_bytes() == (broken / "samples" / file.name).read_bytes()
    for name, weights in arrays_of(whole / "gen.npz").items():
        assert numpy.array_equal(weights, arrays_of(broken / "gen.npz")[name])


def test_a_real_process_is_stopped_by_a_real_signal(few, tmp_path):
    out = tmp_path / "r"
    command = [sys.executable, "-m", "minigan", "train", "--data", few, "--steps", "1000000", "--out", str(out), *TINY]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        for line in child.stderr:
            if "/1000000" in line:
                break
        child.send_signal(signal.SIGTERM)
        _, rest = child.communicate(timeout=60)
    assert child.returncode == 143
    assert f"minigan train --resume {out}" in rest
    assert len(RunFolder(out).snapshots()) >= 1
    done = RunFolder(out).snapshots()[0].name.rpartition("_")[2]
    result = process("train", "--resume", "--out", out, "--steps", int(done) + 2)
    assert result.returncode == 0, result.stderr
    assert f"after iteration {done}" in result.stderr
    for name in ("loss", "gradients", "answers"):
        height, *width = read_png(out / f"{name}.png").shape
        assert height >= 500 and width == [800, 4]


def test_second_signal_ends_at_once():
    with Stop(5) as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.received is signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_resume_without_a_name_takes_the_newest_run(few, tmp_path):
    call("train", "--data", few, "--steps", 2, "--out", tmp_path / "runs" / "one", *TINY)
    call("train", "--data", few, "--steps", 2, "--out", tmp_path / "runs" / "two", *TINY)
    os.utime(tmp_path / "runs" / "one" / "config.json", (1, 1))
    call("train", "--steps", 3, "--resume")
    assert (tmp_path / "runs" / "two" / "snapshot_iter_3").exists()
    assert not (tmp_path / "runs" / "one" / "snapshot_iter_3").exists()


def test_default_folder_is_named_after_the_gan_and_the_time(few, tmp_path):
    call("train", "gan", "--data", few, "--steps", 1, *TINY)
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("gan-20")


def test_resume_refuses_what_would_make_it_another_run(run):
    assert "width 4, not 8" in sentence(call("train", "--resume", run, "--width", 8, "--steps", 9, code=2))
    assert "two folders" in sentence(call("train", "--resume", run, "--out", "elsewhere", code=2))


def copy(run, to):
    to.mkdir()
    for file in run.iterdir():
        if file.is_file():
            (to / file.name).write_bytes(file.read_bytes())
    (to / "samples").mkdir()
    return to


def test_resuming_a_finished_run_only_writes_its_last_files_again(run, tmp_path):
    finished = copy(run, tmp_path / "f")
    for file in (run / "samples").iterdir():
        (finished / "samples" / file.name).write_bytes(file.read_bytes())
    (finished / "loss.png").unlink()
    result = call("train", "--resume", finished)
    assert "pass a larger --steps" in result.stderr
    assert (finished / "loss.png").read_bytes() == (run / "loss.png").read_bytes()
    assert (finished / "snapshot_iter_7").read_bytes() == (run / "snapshot_iter_7").read_bytes()


def test_resume_skips_a_damaged_snapshot(run, tmp_path):
    broken = copy(run, tmp_path / "b")
    newest = broken / "snapshot_iter_7"
    newest.write_bytes(newest.read_bytes()[:1000])
    result = call("train", "--resume", broken, "--steps", 8)
    assert "warning" in result.stderr and "damaged" in result.stderr and "after iteration 6" in result.stderr
    assert (broken / "unusable_snapshot_iter_7").stat().st_size == 1000
    newest = copy(run, tmp_path / "c") / "snapshot_iter_7"
    newest.write_bytes(b"")
    call("train", "--resume", newest.parent)  # iteration 7 is saved again, though it is none of the intervals' ends
    assert zipfile.is_zipfile(newest)


def test_resume_where_the_samples_were_deleted(run, tmp_path):
    thin = copy(run, tmp_path / "t")
    for file in (thin / "samples").glob("*"):
        file.unlink()
    (thin / "samples").rmdir()
    call("train", "--resume", thin)
    assert [p.name for p in (thin / "samples").iterdir()] == ["iter_0000007.png"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"width": "4"}, "width is '4'"), ({"arch": "x"}, "arch is 'x'"), ({"n_dis": 0}, "n_dis is 0"),
     ({"ema": None}, "ema is None"), ({"data": 3}, "data is 3")],
)  # fmt: skip
def test_resume_with_false_settings(run, tmp_path, settings, says):
    false = copy(run, tmp_path / "f")
    config = json.loads((false / "config.json").read_text())
    config["settings"].update(settings)
    (false / "config.json").write_text(json.dumps(config))
    assert says in sentence(call("train", "--resume", false, code=1))
    assert says in sentence(call("sample", false, code=1))


def test_snapshot_of_another_architecture_is_refused(run, few, tmp_path):
    call("train", "--data", few, "--steps", 1, "--out", tmp_path / "wide", *TINY, "--width", 6)
    other = copy(run, tmp_path / "other")
    for file in other.glob("snapshot*"):
        file.write_bytes((tmp_path / "wide" / "snapshot_iter_1").read_bytes())
    text = sentence(call("sample", other, code=1))
    assert "does not fit" in text and "another architecture" in text
    assert "does not fit" in sentence(call("train", "--resume", other, "--steps", 8, code=1))


def test_resume_with_other_data_is_refused(run, tmp_path):
    other = copy(run, tmp_path / "o")
    config = json.loads((other / "config.json").read_text())
    config["data"]["crc32"] += 1
    (other / "config.json").write_text(json.dumps(config))
    assert "not that with which" in sentence(call("train", "--resume", other, "--steps", 8, code=1))


@pytest.mark.parametrize("dry", [["--dry-run"], []])
def test_a_folder_that_holds_a_run_is_refused(run, few, dry):
    text = sentence(call("train", "--data", few, "--out", run, *dry, *TINY, code=1))
    assert "--resume" in text and "--out" in text


def test_dry_run_writes_nothing_and_says_what_would_be(few, tmp_path):
    result = call("train", "--data", few, "--dry-run", "--steps", 50, "--out", "new", *TINY)
    assert '"steps": 50' in result.stdout and "2 iterations went well" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_epochs_become_steps(few, tmp_path):
    call("train", "--data", few, "--epochs", 1.5, "--out", tmp_path / "r", *TINY)
    assert (tmp_path / "r" / "snapshot_iter_4").exists()  # 30 images in batches of 8


@pytest.mark.parametrize("gan", GANS)
def test_every_gan_trains_by_its_name(few, gan):
    result = call("train", gan, "--data", few, "--dry-run", *TINY)
    settings = json.loads(result.stdout[: result.stdout.rindex("}") + 1])
    assert settings["gan"] == gan and GANS[gan].DEFAULTS.items() <= settings.items()


def test_numbers_of_a_gan_are_in_its_run(few, tmp_path):
    call("train", "wgan-gp", "--lam", 2, "--n-dis", 1, "--data", few, "--steps", 1, "--out", tmp_path / "r", *TINY)
    settings = json.loads((tmp_path / "r" / "config.json").read_text())["settings"]
    assert (settings["lam"], settings["n_dis"], settings["norm_dis"]) == (2, 1, "none")
    call("train", "--resume", tmp_path / "r", "--steps", 2, "--quiet")
    assert "lam 2.0, not 3.0" in sentence(call("train", "--resume", tmp_path / "r", "--lam", 3, code=2))


def test_tricks_are_in_the_run_and_go_on_bit_for_bit(few, tmp_path):
    flags = "--smooth 0.1 --label-noise 0.1 --instance-noise 0.2 --augment shift,flip --accumulate 2".split()
    flags += "--clip-gradient 0.5 --weight-decay 1e-4 --schedule step --decay-every 2 --decay-factor 0.5".split()
    call("train", "--data", few, *flags, "--steps", 5, "--out", tmp_path / "whole", "--quiet", *TINY)
    settings = json.loads((tmp_path / "whole" / "config.json").read_text())["settings"]
    assert (settings["augment"], settings["clip_gradient"], settings["accumulate"]) == ("flip,shift", 0.5, 2)
    parted = copy(tmp_path / "whole", tmp_path / "parted")
    (parted / "snapshot_iter_5").unlink()
    call("train", "--resume", parted, "--quiet")
    one, other = (arrays_of(folder / "snapshot_iter_5") for folder in (tmp_path / "whole", parted))
    assert [k for k in one if "updater" in k and not numpy.array_equal(one[k], other[k])] == []
    assert one["extensions/schedule of gen/_last_value"] == 5e-4  # 0.002, halved at 2 and 4


@pytest.mark.parametrize(
    "flags",
    ["--augment shift,brightness --ada 0.6 --r1 0.1 --r1-every 3 --schedule cosine", "--mixed", "began --lam-k 0.5",
     "two-way"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:overflow", "ignore:the gradient of")  # while the loss scale is found
def test_more_runs_that_go_on_bit_for_bit(few, tmp_path, flags):
    call("train", *flags.split(), "--data", few, "--steps", 5, "--out", tmp_path / "whole", "--quiet", *TINY)
    parted = copy(tmp_path / "whole", tmp_path / "parted")
    (parted / "snapshot_iter_5").unlink()
    call("train", "--resume", parted, "--quiet")
    one, other = (arrays_of(folder / "snapshot_iter_5") for folder in (tmp_path / "whole", parted))
    assert [k for k in one if "updater" in k and not numpy.array_equal(one[k], other[k])] == []
    call("sample", parted, "--n", 4, "--out", "s.npy")


@pytest.mark.parametrize("flags", ["cgan", "cgan --condition concatenation", "acgan --lam 0.5", "infogan --n-codes 1"])
def test_a_conditional_gan_makes_the_class_that_is_asked_for(few, tmp_path, flags):
    out = tmp_path / "r"
    call("train", *flags.split(), "--data", few, "--steps", 2, "--out", out, "--quiet", *TINY)
    call("train", "--resume", out, "--steps", 3, "--quiet")
    assert json.loads((out / "config.json").read_text())["settings"]["n_classes"] == 10
    with Image.open(out / "samples" / "iter_0000002.png") as grid:
        assert grid.size == (298, 298)  # a class in each of 10 columns
    call("sample", out, "--n", 25, "--out", "s.npz")
    call("sample", out, "--n", 25, "--label", 3, "--out", "t.npz")
    all_classes, threes = arrays_of("s.npz"), arrays_of("t.npz")
    name = "codes" if "infogan" in flags else "labels"  # which `minigan evaluate` would compare with the classifier's
    assert all_classes[name].tolist() == [i % 10 for i in range(25)] and set(threes[name]) == {3}
    assert numpy.array_equal(all_classes["images"][3::10], threes["images"][3::10])
    assert "classes are 0 to 9" in sentence(call("sample", out, "--label", 10, code=2))


def test_points_on_a_ring(tmp_path):
    """Scatter pictures instead of grids, the modes found in the log, points to compute with."""
    out = tmp_path / "ring"
    call("train", "lsgan", "--data", "ring", "--steps", 4, "--log-every", 2, "--out", out)
    with Image.open(out / "samples" / "iter_0000004.png") as picture:
        assert picture.size == (320, 320)
    assert [set(entry) & {"gen/modes", "gen/good"} for entry in log_of(out)] == [{"gen/modes", "gen/good"}] * 2
    call("train", "--resume", out, "--steps", 5, "--quiet")
    call("sample", out, "--n", 300, "--out", "points.npz")
    assert arrays_of("points.npz")["points"].shape == (300, 2)
    call("sample", out, "--out", "points.png")


def test_flag_before_environment_before_file_before_default(few, tmp_path):
    (tmp_path / "c.toml").write_text('steps = 11\nbatch-size = 6\nlr = 0.001\ngan = "gan"\n')
    wanted = ["train", "--config", "c.toml", "--data", few, "--dry-run", "--steps", 13]
    result = call(*wanted, env={"MINIGAN_TRAIN_STEPS": "12", "MINIGAN_TRAIN_BATCH_SIZE": "7"})
    settings = json.loads(result.stdout[: result.stdout.rindex("}") + 1])
    assert [settings[k] for k in ("steps", "batch_size", "alpha", "gan", "beta1")] == [13, 7, 0.001, "gan", 0.5]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stepps = 3", "no option 'stepps'"),
        ("steps = ", "not a TOML file"),
        ("steps = 'many'", "'many' is not a valid integer"),
        ("steps = [1]", "one value"),
        ("steps = 1.5", "steps is 1.5; wanted one value: integer range"),
        ("steps = true", "steps is True"),
        ("quiet = 1", "quiet is 1; wanted one value: true or false"),
        ("out = 5", "out is 5; wanted one value: path"),
        ("seed = 1979-05-27", "seed is datetime.date"),
        ('out = "\\u0000"', "out is '\\x00'"),
        ("alpha = inf", "inf is not a finite number"),
        ("config = 'x'", "no option 'config'"),
        ("steps = 0", "0 is not in the range"),
    ],
)
def test_bad_configuration_files(tmp_path, text, expected):
    (tmp_path / "c.toml").write_text(text)
    assert expected in sentence(call("train", "--config", "c.toml", code=2))


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["train", "stylegan9"], 2, "is not one of"),
        (["train", "--steps", "0"], 2, "not in the range"),
        (["train", "--epochs", "inf"], 2, "not a finite number"),
        (["train", "--beta1", "nan"], 2, "not a finite number"),
        (["train", "--steps", "5", "--epochs", "1"], 2, "pass one of them"),
        (["train", "--device", "tpu"], 2, "--device tpu"),
        (["train", "--data", "nowhere"], 1, "no such folder or file"),
        (["train", "--data", "mnist:nowhere"], 1, "no such folder or file"),
        (["train", "--batch-size", "9000"], 2, "the data has 8000 images"),
        (["train", "--config", "nowhere.toml"], 2, "'nowhere.toml' does not exist"),
        (["train", "--resume", "nowhere"], 1, "does not exist"),
        (["train", "--resume"], 1, "no run in runs"),
        (["train", "lsgan", "--clip", "1"], 2, "--clip is of wgan; lsgan has no such choice"),
        (["train", "cgan", "--data", "ring"], 2, "--data ring has none: sort pictures into sub-folders"),
        (["train", "acgan", "--condition", "projection"], 2, "--condition is of cgan; acgan has no such choice"),
        (["train", "lsgan", "--smooth", "0.1"], 2, "--smooth is for losses with targets, those of gan, dcgan, dragan"),
        (["train", "--smooth", "0.4", "--label-noise", "0.2"], 2, "less than 0.5 together"),
        (["train", "--schedule", "step"], 2, "belong together"),
        (["train", "--dry-run", "--decay-every", "5"], 2, "belong together"),
        (["train", "--augment", "flip,twist"], 2, "twist is none of flip, shift, brightness"),
        (["train", "--augment", "flip", "--data", "ring"], 2, "ring has points"),
        (["train", "--augment", "flip", "--graph"], 2, "a --graph cannot repeat"),
        (["train", "--ada", "0.6"], 2, "that --augment names"),
        (["train", "wgan-gp", "--ada", "0.6", "--augment", "flip"], 2, "the D of wgan-gp has no right answers"),
        (["train", "wgan", "--mixed"], 2, "wgan would clip in vain"),
        (["train", "--mixed", "--graph"], 2, "looks for overflow"),
        (["train", "began", "--pack", "2"], 2, "draws each image anew"),
        (["train", "began", "--data", "ring"], 2, "two numbers it can always"),
        (["train", "infogan", "--pack", "2"], 2, "a pack has images of several classes"),
        (["train", "cgan", "--n-classes", "5"], 2, "--n-classes is of infogan; cgan has no such choice"),
        (["train", "--arch", "ring"], 2, "the nets ring are for the points"),
        (["train", "--data", "ring", "--arch", "small"], 2, "leave --arch out"),
        (["data", "--data", "ring"], 2, "no files to check"),
        (["data", "--grid", "x.jpg"], 2, "--grid x.jpg: the name must end in .png"),
        (["evaluate", ".", "--nearest", "no/x.png"], 2, "--nearest no/x.png: the folder no does not exist"),
        (["sample", "nowhere"], 1, "does not exist"),
        (["sample", "."], 1, "no run folder"),
        (["sample", ".", "--out", "x.jpg"], 2, ".png or .npz or .npy or .gif"),
        (["sample", ".", "--out", "no/x.png"], 2, "does not exist"),
        (["sample", ".", "--n", "3", "--rows", "4"], 2, "3 rows at most"),
        (["nonsense"], 2, "No such command"),
    ],
)
def test_bad_calls_get_one_sentence(arguments, code, expected):
    assert expected in sentence(call(*arguments, code=code))


def test_missing_gpu_is_named_with_its_reason(few):
    from minigan.backends import cuda

    if cuda.available:
        pytest.skip("there is a GPU")
    text = sentence(call("train", "--data", few, "--device", "cuda:0", code=1))
    assert cuda.unavailable_reason() in text and "leave --device out" in text


@pytest.mark.parametrize("dry", [["--dry-run"], []])
def test_folder_that_cannot_be_made(few, tmp_path, monkeypatch, dry):
    (tmp_path / "file").write_text("")
    wanted = ["train", "--data", few, *dry, *TINY, "--out"]
    said = sentence(call(*wanted, tmp_path / "file" / "r", code=1))
    assert "cannot be written to" in said and f"{tmp_path / 'file'}: Not a directory; a file stands where" in said
    monkeypatch.setattr(os, "access", lambda place, how: place != tmp_path)
    said = sentence(call(*wanted, tmp_path / "new" / "r", code=1))
    assert f"cannot be written to ({tmp_path}: Permission denied; get the right to it" in said
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("damage", [b"", b"PK", b"\x00\x00\x08\x03\x7f\xff\xff\xff"])
def test_damaged_data_is_one_sentence(tmp_path, damage):
    (tmp_path / "mnist.npz").write_bytes(damage)
    assert "mnist.npz" in sentence(call("train", "--data", tmp_path, code=1))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"settings": 3}', '{"settings": {}}'])
def test_damaged_config_of_a_run(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    assert "config.json" in sentence(call("sample", tmp_path, code=1))


def test_run_without_any_weights(run, tmp_path):
    (tmp_path / "config.json").write_bytes((run / "config.json").read_bytes())
    assert "no weights yet" in sentence(call("sample", tmp_path, code=1))
    (tmp_path / "gen.npz").write_bytes((run / "gen.npz").read_bytes())
    assert "no snapshots any more" in sentence(call("train", "--resume", tmp_path, "--steps", 9, code=1))


def test_run_killed_before_its_first_snapshot_begins_again(run, tmp_path):
    killed = tmp_path / "k"
    (killed / "samples").mkdir(parents=True)
    (killed / "config.json").write_bytes((run / "config.json").read_bytes())
    (killed / "samples" / ".iter_0000000.png.abcdefgh.tmp").write_bytes(b"half")
    result = call("train", "--resume", killed)
    assert "it begins again" in result.stderr
    assert (killed / "gen.npz").read_bytes() == (run / "gen.npz").read_bytes()
    assert log_of(killed) == log_of(run)
    assert sorted(p.name for p in killed.rglob("*")) == sorted(p.name for p in run.rglob("*"))


def test_samples_into_an_array(run, tmp_path):
    result = call("sample", run, "--n", 300, "--out", tmp_path / "s.npz")
    assert "snapshot_iter_7" in result.stdout and "300 images of 28 x 28" in result.stdout
    images = arrays_of(tmp_path / "s.npz")["images"]
    assert images.shape == (300, 28, 28) and images.dtype == numpy.uint8
    call("sample", run, "--n", 300, "--out", tmp_path / "t.npz")
    assert numpy.array_equal(images, arrays_of(tmp_path / "t.npz")["images"])
    call("sample", run, "--n", 10, "--out", tmp_path / "t.npy")
    first = numpy.load(tmp_path / "t.npy")
    assert numpy.abs(first.astype(int) - images[:10]).max() <= 1  # a matrix product may round by the size of its batch
    call("sample", run, "--n", 10, "--seed", 1, "--out", tmp_path / "t.npy")
    assert not numpy.array_equal(first, numpy.load(tmp_path / "t.npy"))
    call("sample", run, "--n", 10, "--train-mode", "--out", tmp_path / "t.npy")
    assert not numpy.array_equal(first, numpy.load(tmp_path / "t.npy"))


def test_samples_into_a_grid_from_one_snapshot(run, tmp_path):
    result = call("sample", run / "snapshot_iter_3", "--n", 6, "--rows", 2, "--out", tmp_path / "g.png")
    assert "snapshot_iter_3" in result.stdout
    with Image.open(tmp_path / "g.png") as grid:
        assert grid.size == (88, 58)
    call("sample", run / "gen.npz", "--n", 6, "--rows", 2, "--out", tmp_path / "h.png")
    call("sample", run, "--n", 6, "--rows", 2, "--out", tmp_path / "i.png")
    assert (tmp_path / "h.png").read_bytes() == (tmp_path / "i.png").read_bytes()


def test_more_samples_than_the_memory_holds(run, tmp_path, monkeypatch):
    empty = numpy.empty

    def full(shape, *dtype, **options):
        if shape == (10**9, 28, 28):
            raise MemoryError(f"no room for {shape}")
        return empty(shape, *dtype, **options)

    monkeypatch.setattr(numpy, "empty", full)
    assert "--n" in sentence(call("sample", run, "--n", 10**9, "--out", tmp_path / "s.npz", code=1))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [CompileError("k.cu line 7: expected a ';'"), CublasError("cublasCreate_v2: no")])
def test_a_gpu_that_cannot_draw_says_why(run, tmp_path, monkeypatch, error):
    monkeypatch.setattr(sys.modules["minigan.cli.sample"], "draw", lambda *args: (_ for _ in ()).throw(error))
    assert sentence(call("sample", run, "--out", tmp_path / "s.npz", code=1)) == f"Error: {error}"


def test_samples_are_those_of_the_averaged_generator(run):
    gen, file = RunFolder.open(run).generator()
    stored = arrays_of(file)
    assert numpy.array_equal(gen.fc1.W.array, stored["updater/ema/fc1/W"])
    assert not numpy.array_equal(gen.fc1.W.array, stored["updater/model:gen/fc1/W"])
    assert numpy.array_equal(gen.fc1.W.array, arrays_of(run / "gen.npz")["fc1/W"])


def test_colour_samples_are_channels_last():
    gen, _ = ARCHITECTURES["small"].build(z_dim=3, channels=3, size=28, width=4)
    assert draw(gen, 2, seed=0).shape == (2, 28, 28, 3)


def poisoned(monkeypatch, where, iteration=4):
    """Let a weight of G (at the start or the end of the iteration) or a reported loss be no number any more."""
    update_core = GANUpdater.update_core

    def broken(self):
        due = self.iteration + 1 >= iteration
        if due and where == "start":
            self.gen.fc1.W.array[0, 0] = float("nan")
        update_core(self)
        if due and where == "loss":
            report({"loss": float("inf")}, self.gen)
        elif due:
            self.gen.fc1.W.array[0, 0] = float("nan")

    monkeypatch.setattr(GANUpdater, "update_core", broken)


@pytest.mark.parametrize(("where", "says"), [("loss", "gen/loss is NaN or inf"), ("end", "/fc1/W of optimizer 'gen'")])
def test_divergence_leaves_a_snapshot_from_before(few, tmp_path, monkeypatch, where, says):
    poisoned(monkeypatch, where)
    often = [*TINY, "--snapshot-every", 1, "--log-every", 5]
    result = call("train", "--data", few, "--steps", 20, "--out", tmp_path / "r", *often, code=1)
    text = sentence(result)
    assert says in text and "in iteration 4" in text and "smaller --alpha" in text and "--debug" in text
    assert f"{tmp_path / 'r' / 'snapshot_iter_3'} is from before" in text
    assert [p.name for p in RunFolder(tmp_path / "r").snapshots()] == [f"snapshot_iter_{i}" for i in (3, 2, 1)]
    call("sample", tmp_path / "r", "--n", 4, "--rows", 2, "--out", tmp_path / "s.png")


def test_debug_names_the_function_and_the_link_of_the_first_nan(few, tmp_path, monkeypatch):
    poisoned(monkeypatch, "start", 2)
    result = call("train", "--data", few, "--steps", 9, "--out", tmp_path / "r", "--debug", *TINY, code=1)
    text = sentence(result)
    assert "iteration 2: NaN is detected on forward computation of LinearFunction: the training has diverged" in text
    assert "FailOnNonNumber: after iteration 1, in gen/fc1 (Linear)" in result.stderr


def test_data_says_what_would_be_used(few, tmp_path):
    result = call("data", "--data", few, "--json", "--grid", tmp_path / "d.png")
    facts = json.loads(result.stdout)
    assert facts["training images"] == 20 and facts["test images"] == 10
    assert facts["training images per class"] == [2] * 10
    with Image.open(tmp_path / "d.png") as grid:
        assert grid.size == (148, 118)


def test_data_of_the_environment_is_found(few):
    assert json.loads(call("data", "--json", env={"MINIGAN_DATA": few}).stdout)["training images"] == 20
    assert json.loads(call("data", "--json").stdout)["training images"] == 8000
    assert (
        json.loads(call("data", "--json", "--data", "builtin", env={"MINIGAN_DATA": few}).stdout)["test images"] == 2000
    )


def test_help_of_train_has_each_option_under_one_heading():
    said = call("train", "-h").stdout
    headings = [line[:-1] for line in said.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings == [*train.sections, "Options"]
    options = [line.split()[0].rstrip(",") for line in said.splitlines() if line.startswith("  -")]
    assert sorted(options) == sorted(["-h", *(p.opts[0] for p in train.params if isinstance(p, click.Option))])
    assert "[default: 64; book, ring 128]" in " ".join(said.split())


def test_help_of_everything():
    assert "Start with `minigan train`" in call("-h").stdout
    for name in ("train", "sample", "data", "info"):
        assert name in main.commands
        assert f"Usage: minigan {name}" in call(name, "--help").stdout
    assert "Evaluation mode" in call("sample", "-h").stdout
    assert isinstance(main, click.Group)


def test_a_version_in_the_environment_is_no_option():
    assert "training images" in call("data", env={"MINIGAN_VERSION": "1.2"}).stdout


def test_no_command_is_a_wrong_call():
    call(code=2)


def test_real_processes():
    version = process("--version")
    assert version.returncode == 0 and version.stdout.startswith("minigan, version ")
    facts = json.loads(process("info", "--json").stdout)
    assert {"minigan", "python", "packages", "blas", "cpus", "gpu", "data"} <= facts.keys()
    assert "numpy" in process("info").stdout
    assert "8000" in process("data").stdout
    wrong = process("sample", "nowhere")
    assert wrong.returncode == 1 and wrong.stdout == "" and len(wrong.stderr.splitlines()) == 1


def test_help_loads_nothing_heavy():
    code = "import sys, minigan.cli; print({'matplotlib', 'PIL', 'scipy', 'cupy'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_snapshots_are_plain_zip_archives(run):
    assert zipfile.is_zipfile(run / "snapshot_iter_7")


def test_a_missing_toml_reader_is_named_with_its_cure(tmp_path, monkeypatch):
    (tmp_path / "c.toml").write_text("steps = 1")
    for name in ("tomllib", "tomli"):
        monkeypatch.setitem(sys.modules, name, None)
    assert "minigan[toml]" in sentence(call("train", "--config", tmp_path / "c.toml", code=1))
