"""`minigan explain`: pictures of what the papers say in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy

from minigan.cli.options import check_file
from minigan.utils.files import atomic_write


class Game(NamedTuple):
    """The losses of a GAN as functions of the logit y: D's on a real and on a made image, and G's."""

    title: str
    real: Callable[[Any], Any]
    fake: Callable[[Any], Any]
    gen: Callable[[Any], Any]


def _softplus(y: Any) -> Any:
    return numpy.logaddexp(0, y)


def _relu(y: Any) -> Any:
    return numpy.maximum(y, 0)


GAMES = {
    "saturating": Game("saturating\nG: log(1 - D)", lambda y: _softplus(-y), _softplus, lambda y: -_softplus(y)),
    "non-saturating": Game("non-saturating\nG: -log D", lambda y: _softplus(-y), _softplus, lambda y: _softplus(-y)),
    "least squares": Game("least squares\nG: (y - 1)$^2$ / 2", lambda y: (y - 1) ** 2 / 2, lambda y: y**2 / 2,
                          lambda y: (y - 1) ** 2 / 2),
    "wasserstein": Game("Wasserstein\nG: -y", lambda y: -y, lambda y: y, lambda y: -y),
    "hinge": Game("hinge\nG: -y", lambda y: _relu(1 - y), lambda y: _relu(1 + y), lambda y: -y),
}  # fmt: skip
"""Goodfellow 2014 (equation 1 and what section 3 puts in its place), Mao 2016, Arjovsky 2017, Lim and Ye 2017."""


def slope(loss: Callable[[Any], Any], y: Any, step: float = 1e-5) -> Any:
    """The derivative of a loss at the logits y; where it has a corner, the mean of both sides."""
    return (loss(y + step) - loss(y - step)) / (2 * step)


def draw_losses(path: Path) -> None:
    """Draw each game: D's loss over the two logits with the way it moves, G's loss and its slope below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16, 7), layout="constrained")
    FigureCanvasAgg(figure)
    y, coarse = numpy.linspace(-4, 4, 161), numpy.linspace(-3.5, 3.5, 8)
    for column, game in enumerate(GAMES.values()):
        above, below = figure.add_subplot(2, 5, column + 1), figure.add_subplot(2, 5, column + 6)
        surface = game.real(y)[None] + game.fake(y)[:, None]
        filled = above.contourf(y, y, surface, 24, cmap="viridis")
        figure.colorbar(filled, ax=above, shrink=0.8)
        down = -slope(game.real, coarse), -slope(game.fake, coarse)
        along, up = numpy.meshgrid(*down)
        above.quiver(coarse, coarse, along, up, color="white", width=0.008)
        above.set(title=game.title, xlabel="y of a real image", ylabel="y of a made image" if not column else "")
        above.set_aspect("equal")
        below.plot(y, game.gen(y), label="loss of G")
        below.plot(y, -slope(game.gen, y), "--", label="how hard it pushes y up: -slope")
        below.axvspan(-4, -2, alpha=0.12, color="tab:red", label="D sees through G")
        below.set(xlabel="y of a made image", ylim=(-4.5, 8.5))
        below.grid(alpha=0.3)
    figure.legend(*below.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle("Above: loss of D over its logits, and where it moves them. Below: loss of G, and the push it gets")
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=80)


@click.group()
def explain() -> None:
    """Draw what the papers say in words."""


@explain.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("losses.png"), show_default=True,
              help="The picture, a PNG.")  # fmt: skip
def losses(out: Path) -> None:
    """Draw the loss surfaces of five GANs: what D and G descend, and how much push G has left when D wins."""
    check_file("--out", out, ".png")
    draw_losses(out)
    click.echo(f"{out}: where D sees through G (y = -4), -d loss of G / dy is")
    for name, game in GAMES.items():
        click.echo(f"  {name:<15} {-slope(game.gen, -4.0):.3f}")
