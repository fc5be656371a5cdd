"""Each rule of the diagnosis on a made-up log in which it must speak, and once more where it must not."""

import pytest
from click.testing import CliRunner

from minigan.cli import diagnosis, main
from minigan.cli.diagnosis import LONG, RULES, diagnosed
from minigan.gans import GANS
from minigan.pictures import read_png

HEALTHY = {
    "gen/loss": 1.2, "dis/loss": 1.1, "dis/real": 0.6, "dis/fake": 0.4, "dis/accuracy": 0.7, "gen/variety": 0.9,
    "gen/modes": 8, "dis/clipped": 0.3, "dis/penalty": 0.5, "gen/grad/fc1": 0.1, "gen/grad/fc2": 1e-7,
}  # fmt: skip
SETTINGS = {"gan": "gan", "clip": 0.01, "lam": 10.0}


def made_up(changes, until=LONG, every=50):
    """A healthy log whose losses are never quite the same, and what it changes after LONG iterations."""
    log = [{**HEALTHY, "iteration": i, "gen/loss": 1.2 + i % 7 / 10} for i in range(every, LONG + 1, every)]
    return log + [{**log[-1], "gen/loss": 1.2 + i % 7 / 10, "iteration": i, **changes}
                  for i in range(LONG + every, LONG + until + 1, every)]  # fmt: skip


CASES = {
    "D is perfect": ({"dis/accuracy": 0.999}, "accuracy has been 1.00 for 500 iterations"),
    "D knows nothing": ({"dis/real": 0.5, "dis/fake": 0.498}, "the same to real and made images"),
    "D is wrong": ({"dis/accuracy": 0.3}, "cannot follow G"),
    "no gradient": ({"gen/grad/fc1": 1e-6}, "no layer of G"),
    "samples alike": ({"gen/variety": 0.02}, "mode collapse"),
    "modes missing": ({"gen/modes": 3}, "half of the 8 modes"),
    "clipping idle": ({"dis/clipped": 0.0}, "--clip 0.01 bounds nothing"),
    "clipping all": ({"dis/clipped": 0.99}, "larger --clip than 0.01"),
    "penalty idle": ({"dis/penalty": 25.0}, "larger --lam than 10"),
}


def test_every_rule_is_tried():
    assert CASES.keys() == RULES.keys()


@pytest.mark.parametrize(("given", "says"), [({}, "try --r1 2,"), ({"r1": 0.5}, "try a larger --r1 than 0.5,")])
def test_what_keeps_d_from_winning_is_named(given, says):
    ((_, text),) = diagnosed(made_up({"dis/accuracy": 0.999}), {**SETTINGS, **given})
    assert says in text


@pytest.mark.parametrize("name", CASES)
def test_what_lasts_is_told(name):
    changes, says = CASES[name]
    ((found, text),) = diagnosed(made_up(changes), SETTINGS)
    assert found == name and says in text and "500 iterations" in text and "{" not in text
    assert not list(diagnosed(made_up(changes, until=LONG - 50), SETTINGS)), "too early"
    assert not list(diagnosed(made_up(changes), SETTINGS, [name])), "twice"
    gone = {key: value for key, value in HEALTHY.items() if key not in changes}
    assert not list(diagnosed([{**gone, **entry} for entry in made_up({})], SETTINGS))


def test_a_log_without_those_numbers_says_nothing():
    bare = [{"iteration": i, "gen/loss": 1 + i % 3, "dis/loss": 1.0} for i in range(50, 2000, 50)]
    for gan in GANS:
        assert not list(diagnosed(bare, {"gan": gan}))
    assert not list(diagnosed(made_up({"dis/accuracy": 0.999}, until=LONG, every=250), SETTINGS)), "of two entries"


def test_the_penalty_of_the_ring_is_small_on_purpose():
    """The slope of a healthy run of wgan-gp stays above 2 there, with its own --lam 0.01."""
    log = made_up({"dis/penalty": 1.0})
    assert not list(diagnosed(log, {"gan": "wgan-gp", "lam": 0.01, "data": "ring"}))
    assert "penalty idle" in dict(diagnosed(log, {"gan": "wgan-gp", "lam": 0.01, "data": "mnist"}))


def test_a_critic_is_not_asked_how_often_it_is_right():
    log = made_up({"dis/accuracy": 1.0, "dis/real": 0.0, "dis/fake": 0.0})
    assert not list(diagnosed(log, {"gan": "wgan-gp", "lam": 10.0}))
    assert "--smooth" in dict(diagnosed(log, SETTINGS))["D is perfect"]
    assert "--smooth" not in dict(diagnosed(log, {"gan": "sngan"}))["D is perfect"]


@pytest.mark.parametrize(("levels", "told"), [([2, 4, 7], True), ([2, 4, 4.2], False), ([7, 4, 7], False)])
def test_a_loss_of_g_that_rises_and_rises(levels, told):
    log = [{**HEALTHY, "iteration": i, "gen/loss": levels[(i - 1) // LONG] + i % 7 / 10} for i in range(50, 1501, 50)]
    assert ("G falls behind" in dict(diagnosed(log, SETTINGS))) == told
    assert not list(diagnosed(log, {"gan": "wgan"}))
    if told:
        assert "iterations, from 2.3 to 7." in dict(diagnosed(log, SETTINGS))["G falls behind"]


def test_losses_that_stand_still():
    log = [{"iteration": i, "gen/loss": 0.0, "dis/loss": 2.0} for i in range(10, 60, 10)]
    assert "since iteration 10" in dict(diagnosed(log, SETTINGS))["nothing moves"]
    assert not list(diagnosed([*log[:4], {**log[4], "dis/loss": 2.001}], SETTINGS))
    assert not list(diagnosed(log[1:], SETTINGS))


def test_a_run_tells_once_and_writes_it_down(tmp_path, monkeypatch):
    monkeypatch.setattr(diagnosis, "LONG", 2)
    monkeypatch.setattr(diagnosis, "RULES", {"always": diagnosis.Rule(lambda e, s: True, "it runs for {n} iterations")})

    def train(*arguments):
        result = CliRunner().invoke(main, ["train", *map(str, arguments)])
        assert result.exit_code == 0, result.output
        return result.stderr

    run, line = tmp_path / "r", "iteration 5: it runs for 5 iterations\n"
    tiny = "--data ring --width 4 --batch-size 8 --log-every 1".split()
    told = train("gan", *tiny, "--steps", 6, "--out", run)
    assert told.count(line) == 1 and (run / "diagnosis.txt").read_text() == line
    with_notes = read_png(run / "loss.png").shape[0]
    assert "it runs" not in train("--resume", run, "--steps", 8)
    assert (run / "diagnosis.txt").read_text() == line and read_png(run / "loss.png").shape[0] == with_notes
    assert "it runs" not in train("gan", *tiny, "--steps", 6, "--out", tmp_path / "q", "--quiet")
    assert (tmp_path / "q" / "diagnosis.txt").read_text() == line
    train("gan", *tiny, "--steps", 4, "--out", tmp_path / "s")
    assert not (tmp_path / "s" / "diagnosis.txt").exists()
    assert read_png(tmp_path / "s" / "loss.png").shape[0] < with_notes
