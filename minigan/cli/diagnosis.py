"""What the log of a training says in plain words, and what may help: each rule is a few lines.

A rule looks at the end of the log only, and is told once: when it first holds. What it says is a guess with a cure to
try, never a reason to stop.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

from minigan.cli.run_folder import RunFolder
from minigan.gans import GANS
from minigan.training.extension import Extension
from minigan.utils.files import atomic_write

LONG = 500  # iterations for which something must hold
Entry = dict[str, Any]
Log = Sequence[Entry]


def lasting(log: Log, holds: Callable[[Entry, Any], bool], settings: dict[str, Any]) -> int:
    """For how many iterations, up to the last entry, `holds` has been true; 0 if for less than LONG, or 5 entries."""
    start = len(log)
    while start and holds(log[start - 1], settings):
        start -= 1
    n = log[-1]["iteration"] - (log[start - 1]["iteration"] if start else 0)
    return n if n >= LONG and len(log) - start >= 5 else 0


def recent(log: Log, key: str, before: int = 0) -> float:
    """The mean of a key over the LONG iterations that ended `before` iterations ago; 0 if there are not so many."""
    end = log[-1]["iteration"] - before
    values = []
    for entry in reversed(log):
        if entry["iteration"] <= end - LONG:
            break
        if entry["iteration"] <= end and key in entry:
            values.append(entry[key])
    return sum(values) / len(values) if values and end >= LONG else 0.0


class Rule(NamedTuple):
    """What is told where something has held for LONG iterations: {n}, and the settings, stand in the text by name."""

    holds: Callable[[Entry, Any], bool]
    text: str
    of_zero: bool = False  # only where D's answers, one by one, mean real or made


RULES = {
    "D is perfect": Rule(
        lambda e, s: e.get("dis/accuracy", 0) >= 0.995,
        "D's accuracy has been 1.00 for {n} iterations: G gets almost no gradient; try {r1}, a smaller --alpha-dis, "
        "--instance-noise 0.1{smooth}", True,
    ),
    "D knows nothing": Rule(
        lambda e, s: abs(e.get("dis/real", 1) - e.get("dis/fake", 0)) < 0.005,
        "D has answered the same to real and made images for {n} iterations: unless these are as good, try a larger "
        "--alpha-dis, --n-dis 2, or less noise on what D sees", True,
    ),
    "D is wrong": Rule(
        lambda e, s: e.get("dis/accuracy", 1) < 0.4,
        "D has been wrong more often than right for {n} iterations: it cannot follow G; try a smaller --alpha or a "
        "larger --alpha-dis", True,
    ),
    "no gradient": Rule(
        lambda e, s: 0 <= max((v for k, v in e.items() if k.startswith("gen/grad/")), default=-1) < 1e-5,
        "no layer of G has had a gradient longer than 0.00001 for {n} iterations: D is flat where the made images are; "
        "try a smaller --alpha-dis, or another GAN such as wgan-gp",
    ),
    "samples alike": Rule(
        lambda e, s: e.get("gen/variety", 1) < 0.15,
        "the samples have differed from each other by less than a sixth of what real images do for {n} iterations: G "
        "makes one image of all noise (mode collapse); try --pack 2, a smaller --alpha or another GAN such as wgan-gp",
    ),
    "modes missing": Rule(
        lambda e, s: e.get("gen/modes", 8) <= 4,
        "G has made no more than half of the 8 modes for {n} iterations (mode collapse); try --pack 2, a smaller "
        "--alpha, --instance-noise 0.1 or another GAN such as wgan-gp",
    ),
    "clipping idle": Rule(
        lambda e, s: e.get("dis/clipped", 1) < 0.001,
        "less than 0.1 % of the critic's weights have come to their bound for {n} iterations: --clip {clip:g} bounds "
        "nothing; pass a smaller one",
    ),
    "clipping all": Rule(
        lambda e, s: e.get("dis/clipped", 0) > 0.98,
        "over 98 % of the critic's weights have been at their bound for {n} iterations: it is as crude as can be; pass "
        "a larger --clip than {clip:g}, or try wgan-gp",
    ),
    "penalty idle": Rule(
        lambda e, s: e.get("dis/penalty", 0) > s.get("lam", 0) > 0 and s.get("data") != "ring",  # its lam is small
        "D's slope has been more than 1 away from 1 for {n} iterations, penalty or not; try a larger --lam than "
        "{lam:g}, or a smaller --alpha-dis",
    ),
}  # fmt: skip


def g_falls_behind(log: Log) -> str:
    """G's loss rises without end."""
    a, b, c = (recent(log, "gen/loss", k * LONG) for k in (2, 1, 0))
    if not (a and b and c and c >= 4 and b > 1.1 * a and c > 1.1 * b):
        return ""
    return (
        f"G's loss has risen for {2 * LONG} iterations, from {a:.1f} to {c:.1f}: D runs away from it; try a smaller "
        f"--alpha-dis, --augment or --instance-noise 0.1"
    )


def nothing_moves(log: Log) -> str:
    """Both losses stand still, where even the choice of the batch should move them."""
    last = log[-5:]
    for key in ("gen/loss", "dis/loss"):
        values = [entry[key] for entry in last if key in entry]
        if len(values) < 5 or max(values) - min(values) > 1e-4 * max(map(abs, values)):
            return ""
    return (
        f"both losses have stood still since iteration {last[0]['iteration']}: the nets are stuck; start again with "
        f"a smaller --alpha or another --seed"
    )


def diagnosed(log: Log, settings: dict[str, Any], known: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """Give what holds at the end of a log and is not known yet: the rule's name, and what it says."""
    gan = GANS[settings["gan"]]
    zero = getattr(gan, "ZERO", True)
    smooth = " or --smooth 0.1" if gan.loss_dis is GANS["gan"].loss_dis else ""
    r1 = f"a larger --r1 than {settings['r1']:g}" if settings.get("r1") else "--r1 2"
    for name, (holds, text, of_zero) in RULES.items():
        if name not in known and (zero or not of_zero) and (n := lasting(log, holds, settings)):
            yield name, text.format(n=n, smooth=smooth, r1=r1, **{k: settings.get(k) for k in ("clip", "lam")})
    if "G falls behind" not in known and zero and (text := g_falls_behind(log)):
        yield "G falls behind", text
    if "nothing moves" not in known and (text := nothing_moves(log)):
        yield "nothing moves", text


class Diagnosis(Extension):
    """Tell each rule once, when it first holds: by `say` and in the run's diagnosis.txt."""

    priority = 60  # after the log

    def __init__(self, run: RunFolder, settings: dict[str, Any], say: Callable[[str], None]) -> None:
        self.run, self.settings, self.say = run, settings, say
        self.found: dict[str, str] = {}

    @property
    def lines(self) -> list[str]:
        """What was told so far, with its iteration."""
        return list(self.found.values())

    def initialize(self, trainer: Any) -> None:
        """What a run that goes on has told, it need not tell again."""
        log = trainer.get_extension("LogReport").log
        for end in range(1, len(log) + 1):
            self._look(log[:end])

    def __call__(self, trainer: Any) -> None:
        new = self._look(trainer.get_extension("LogReport").log)
        if not new:
            return
        self.say("".join(f"\n{line}" for line in new))
        with atomic_write(self.run.diagnosis, "w") as file:
            file.write("".join(f"{line}\n" for line in self.lines))

    def _look(self, log: Log) -> list[str]:
        new = dict(diagnosed(log, self.settings, self.found))
        self.found |= {name: f"iteration {log[-1]['iteration']}: {text}" for name, text in new.items()}
        return [self.found[name] for name in new]
