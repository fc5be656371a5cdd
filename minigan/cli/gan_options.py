"""Options of `minigan train`: the GANs' own numbers, which stand in their `DEFAULTS`, and tricks that help any GAN."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from minigan.cli.options import Number
from minigan.gans import ARCHITECTURES, GANS
from minigan.gans.gan import loss_dis as cross_entropy
from minigan.gans.tricks import AUGMENTATIONS, Tricks


class Names(click.ParamType):
    """Some of the names that are known, with commas between them."""

    name = "names"

    def __init__(self, known: Sequence[str]) -> None:
        self.known = known

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text, in the order of the names that are known."""
        names = {name.strip() for name in value.split(",") if name.strip()}
        if unknown := names - {*self.known}:
            self.fail(f"{', '.join(sorted(unknown))} is none of {', '.join(self.known)}", param, ctx)
        return ",".join(name for name in self.known if name in names)


KNOBS: dict[str, tuple[click.ParamType, str]] = {
    "lam": (Number(0), "Weight of the GAN's further term (lambda)"),
    "lam_codes": (Number(0), "Weight of the codes that are numbers"),
    "n_classes": (click.IntRange(2), "Values of the code that is a class"),
    "n_codes": (click.IntRange(0), "Codes that are numbers"),
    "gamma": (Number(0, 1), "Error of made images, by that of real ones"),
    "lam_k": (Number(0, min_open=True), "Step size of the balance k"),
    "condition": (click.Choice(["projection", "concatenation"]), "How D is told the class"),
    "clip": (Number(0, min_open=True), "Bound of the critic's weights"),
    "spread": (Number(0), "Noise around real images, in their standard deviations"),
    "doublings": (click.IntRange(0, 10), "How often G doubles the side of its first map; 0: from 4 pixels or more"),
    "attention": (click.BOOL, "Each net's middle map attends to itself, as in SAGAN"),
}
"""For each its type and its help; its default is that of the GAN, or of the nets, that have it."""


TRICKS: dict[str, tuple[Any, click.ParamType, str]] = {
    "schedule": ("constant", click.Choice(["constant", "linear", "cosine", "step"]), "How the step sizes fall: linear: "
                 "to 0 in the second half; cosine: to 0 as half a wave; step: by --decay-factor every --decay-every "
                 "steps"),
    "decay_every": (None, click.IntRange(1), "Iterations between falls of the step sizes"),
    "decay_factor": (None, Number(0, 1, min_open=True), "The step sizes' fall, with --decay-every"),
    "clip_gradient": (0.0, Number(0), "Shrink the gradient of each net to this length, if it is longer; 0: never"),
    "weight_decay": (0.0, Number(0), "Add so many times the weights to their gradients"),
    "accumulate": (1, click.IntRange(1), "Batches whose mean gradient makes one step"),
    "pack": (1, click.IntRange(1), "Images that D judges together, stacked along the channels"),
    "minibatch_dis": (False, click.BOOL, "D also sees how near each image is to the others of its batch"),
    "smooth": (0.0, Number(0, 0.5, max_open=True), "Target of real images is 1 minus this (cross entropy only)"),
    "smooth_fake": (0.0, Number(0, 0.5, max_open=True), "Target of made images is this (cross entropy only)"),
    "label_noise": (0.0, Number(0, 0.5, max_open=True), "Targets move towards 1/2 by up to this (cross entropy only)"),
    "instance_noise": (0.0, Number(0), "Noise on all that D sees, falling to 0 in the course of the run"),
    "augment": ("", Names(AUGMENTATIONS), "Changes of all that D sees, with commas: " + ", ".join(AUGMENTATIONS)),
    "ada": (0.0, Number(0, 1, max_open=True), "Do --augment to a share of the images that moves until D is so much "
            "oftener right than wrong of real ones; 0.6 in the paper; 0: to all"),
    "r1": (0.0, Number(0), "Penalty on D's slope at real images: gamma in gamma/2 E[|grad D(x)|^2]"),
    "r1_every": (1, click.IntRange(1), "Iterations for one of which D pays --r1, so many times over"),
    "mixed": (False, click.BOOL, "Compute in float16, with weights in float32; for GPUs"),
}  # fmt: skip
"""For each its default, its type, and its help."""


OF_NETS = ("n_classes", "n_codes", "condition", "doublings", "attention", "pack", "minibatch_dis")
"""Those of both kinds that decide which layers there are."""


def net_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command those options on which the nets depend."""
    return knob_options(command, OF_NETS)


def knob_options(command: Callable[..., Any], names: Sequence[str] = (*KNOBS, *TRICKS)) -> Callable[..., Any]:
    """Give a command one option for each number that some GAN has, and one for each trick."""
    for name in reversed([name for name in TRICKS if name in names]):
        default, kind, text = TRICKS[name]
        values = [str(default)] if default else []
        values += [f"{owner} {value}" for owner, value in _owners(name).items() if value != default]
        shown = f"  [default: {', '.join(values)}]" if values else ""
        command = _option(name, kind, f"{text}.{shown}")(command)
    for name in reversed([name for name in KNOBS if name in names]):
        kind, text = KNOBS[name]
        owners = [owner if default is False else f"{owner} {default}" for owner, default in _owners(name).items()]
        shown = f"[{'of' if kind is click.BOOL else 'default:'} {', '.join(owners)}]"
        command = _option(name, kind, f"{text}.  {shown}")(command)
    return command


def _option(name: str, kind: click.ParamType, text: str) -> Callable[..., Any]:
    more: dict[str, Any] = {"is_flag": True, "default": None} if kind is click.BOOL else {"type": kind}
    return click.option(f"--{name.replace('_', '-')}", name, help=text, **more)


def check_knobs(gan: str, arch: str, given: dict[str, Any]) -> None:
    """Refuse a number that neither the GAN nor the nets have."""
    for name in KNOBS:
        if given.get(name) is not None and not {gan, arch} & _owners(name).keys():
            flag, owners = name.replace("_", "-"), ", ".join(_owners(name))
            whose = arch if {*_owners(name)} <= {*ARCHITECTURES} else gan
            raise click.UsageError(f"--{flag} is of {owners}; {whose} has no such choice: leave it out")


def check_tricks(settings: dict[str, Any]) -> None:
    """Refuse tricks that cannot be, or do nothing, in a run with these settings."""
    name, pack, steps = settings["gan"], settings["pack"], ("decay_every", "decay_factor")
    gan, soft = GANS[name], [trick for trick in ("smooth", "smooth_fake", "label_noise") if settings[trick]]
    few = ", ".join(name for name, module in GANS.items() if module.loss_dis is cross_entropy)
    for wrong, says in (
        (soft and gan.loss_dis is not cross_entropy,
         f"--{''.join(soft[:1]).replace('_', '-')} is for losses with targets, those of {few}; {name} has none: "
         f"leave it out"),
        ({settings[step] is not None for step in steps} != {settings["schedule"] == "step"},
         "--schedule step, --decay-every and --decay-factor belong together; pass all or none"),
        (settings["batch_size"] % pack,
         f"--pack {pack} and --batch-size {settings['batch_size']}: the images make no whole number of packs; pass a "
         f"multiple of {pack}"),
        (pack > 1 and settings.get("condition") in ("projection", "head", "codes"),
         f"--pack {pack}: a pack has images of several classes, and this D of {name} speaks of one; leave --pack out, "
         f"or train cgan with --condition concatenation"),
        (pack > 1 and settings.get("answer") == "autoencoder",
         f"--pack {pack}: the D of {name} draws each image anew for itself; leave it out"),
        (settings["minibatch_dis"] and settings.get("answer") == "autoencoder",
         f"--minibatch-dis: the D of {name} answers with an image, not with a last layer; leave it out"),
        (name == "wgan-gp" and (settings["norm_dis"] == "batch" or settings["minibatch_dis"]),
         f"{'--minibatch-dis' if settings['minibatch_dis'] else '--norm-dis batch'}: wgan-gp holds the critic's slope "
         f"at each image for itself, and so it must judge each for itself; leave it out"),
        (settings.get("answer") == "autoencoder" and settings["data"] == "ring",
         f"--data ring: the D of {name} draws anew what it sees, and two numbers it can always; pass images"),
        (settings["augment"] and settings["data"] == "ring",
         "--augment is for images, and --data ring has points; leave one of them out"),
        (settings["augment"] and settings["graph"],
         "--augment draws on the host, which a --graph cannot repeat; leave one of them out"),
        (settings["ada"] and not settings["augment"],
         "--ada decides how often something is done that --augment names; pass it, too, or leave --ada out"),
        (settings["ada"] and not getattr(gan, "ZERO", True),
         f"--ada asks how often D is right, and the D of {name} has no right answers; leave it out"),
        (settings["mixed"] and "clip" in settings,
         f"--mixed trains rounded copies of the weights, which {name} would clip in vain; leave it out"),
        (settings["mixed"] and settings["graph"],
         "--mixed looks for overflow after each step, which a --graph cannot; leave one of them out"),
    ):  # fmt: skip
        if wrong:
            raise click.UsageError(says)
    try:
        tricks(settings)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def tricks(settings: dict[str, Any]) -> Tricks:
    """What the updater is to do; a run that is from before these options has none."""
    numbers = ("smooth", "smooth_fake", "label_noise", "instance_noise", "accumulate", "ada", "r1", "r1_every")
    augment = tuple(filter(None, settings.get("augment", "").split(",")))
    found = {name: settings.get(name, TRICKS[name][0]) for name in numbers}
    return Tricks(**found, augment=augment, steps=settings["steps"] or 1)


def _owners(name: str) -> dict[str, Any]:
    """The GANs, or the nets, that have this number, and what it is by default."""
    choices = getattr(KNOBS[name][0] if name in KNOBS else None, "choices", None)  # acgan's head is no matter of choice
    own = {gan: module.DEFAULTS[name] for gan, module in GANS.items() if name in module.DEFAULTS}
    own |= {arch: nets.defaults[name] for arch, nets in ARCHITECTURES.items() if name in nets.defaults}
    return {owner: value for owner, value in own.items() if choices is None or value in choices}
