"""`minigan summary`: what each net is made of, as in Keras: layer, output shape, parameters, operations.

No net says so itself: one image goes forward while two hooks watch, one the links and one the functions inside them.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import click

from minigan.cli.data import SIDE, known_channels
from minigan.cli.gan_options import net_options
from minigan.cli.run_folder import RunFolder, build
from minigan.cli.settings import effective_settings
from minigan.configuration import no_backprop_mode, using_config
from minigan.core import MatMul
from minigan.function_hook import FunctionHook
from minigan.functions.connection import ConvolutionND, DeconvolutionND, LinearFunction
from minigan.functions.normalization import FixedBatchNormalization
from minigan.gans import ARCHITECTURES, GANS
from minigan.gans.nets import NORMS
from minigan.link import Chain, Link
from minigan.link_hook import LinkHook

DEFAULT = click.core.ParameterSource.DEFAULT


class Row(NamedTuple):
    """A layer; `shape` is that of what it gives for one image."""

    path: str
    kind: str
    shape: tuple[int, ...]
    params: int
    flops: int


@click.command()
@click.argument("what", metavar="RUN|GAN")
@click.option("--arch", type=click.Choice(list(ARCHITECTURES)), help="Nets, as for `minigan train`.")
@click.option("--size", type=SIDE, default=28, show_default=True, help="Side of the images.")
@click.option(
    "--channels", type=click.IntRange(1, 4), callback=known_channels, default=1, show_default=True,
    help="Of the images.",
)  # fmt: skip
@click.option("--classes", type=click.IntRange(1), default=10, show_default=True, help="Of a conditional GAN.")
@click.option("--z-dim", type=click.IntRange(1), help="Size of the noise.")
@click.option("--width", type=click.IntRange(1), help="Width of the nets.")
@click.option("--norm-dis", type=click.Choice(NORMS), help="Normalization in D.")
@net_options
def summary(what: str, size: int, channels: int, classes: int, **given: Any) -> None:
    """Print the layers of both nets of a run, or of a GAN with these options: shapes, parameters, FLOPs."""
    if what in GANS and not Path(what).exists():
        data = "ring" if given["arch"] == "ring" else "builtin"
        given |= {"gan": what, "data": data, "epochs": None, "alpha": None, "batch_size": given["pack"]}
        settings = effective_settings(given)
        shape = {"size": 1, "channels": 2} if data == "ring" else {"size": size, "channels": channels}
        settings = {"n_classes": classes, **settings, **shape}
    else:
        source = click.get_current_context().get_parameter_source
        ours = [name for name in ("size", "channels", "classes", *given) if source(name) != DEFAULT]
        if ours:
            flag = ours[0].replace("_", "-")
            raise click.UsageError(f"--{flag} is for a GAN's name; a run has its own nets, and {what} is no GAN: "
                                   f"leave it out, or name one of {', '.join(GANS)}")  # fmt: skip
        if not Path(what).exists():
            raise click.UsageError(f"{what} is no run folder, and no GAN; pass one that `minigan train` has made, or "
                                   f"name one of {', '.join(GANS)}")  # fmt: skip
        settings = RunFolder.open(Path(what)).settings()
    try:
        gen, dis = build(settings)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    click.echo("\n\n".join(_table(net, rows) for net, rows in layers(gen, dis, settings.get("pack", 1))))
    one = "one image, of D for one pack," if settings.get("pack", 1) > 1 else "one image,"
    click.echo(f"FLOPs are for {one} drawn after training; a multiply-add counts as 2, and counted are linear layers, "
               f"convolutions, matrix products and batch normalizations")  # fmt: skip


def layers(gen: Any, dis: Any, n: int = 1) -> list[tuple[Chain, list[Row]]]:
    """Return each net with its layers in the order in which n images, made of noise, go through them."""
    z = gen.latent(n)
    more = (gen.labels_of(z),) if getattr(dis, "takes_labels", False) else ()
    with using_config("train", False), no_backprop_mode():
        with _Watch() as of_gen:
            x = gen(z)
        with _Watch() as of_dis:
            dis(x, *more)
    return [(gen, of_gen.rows(gen)), (dis, of_dis.rows(dis))]


class _Watch(LinkHook):
    """Notes each call of a link: what came out, and what it cost besides the links that it called."""

    name = "summary"

    def __init__(self) -> None:
        self.calls: list[tuple[Link, tuple[int, ...], int]] = []
        self.flops: list[int] = []  # of the links that are being called, the innermost last
        self.functions = _Flops(self.flops)

    def added(self, owner: Any) -> None:
        self.functions.__enter__()

    def deleted(self, owner: Any) -> None:
        self.functions.__exit__()

    def forward_preprocess(self, args: Any) -> None:
        self.flops.append(0)

    def forward_postprocess(self, args: Any) -> None:
        out = args.out[0] if isinstance(args.out, tuple) else args.out
        self.calls.append((args.link, out.shape, self.flops.pop()))

    def rows(self, net: Chain) -> list[Row]:
        """Those that have parameters of their own, counted once, or cost something; one may see parts of an image."""
        n = self.calls[-1][1][0]  # answers of the net itself, which ends last
        paths = {id(link): path.lstrip("/") or "(itself)" for path, link in net.namedlinks()}
        own = {id(link): _size(link) - sum(map(_size, link.children())) for link in net.links()}
        rows = [
            Row(paths[id(link)], type(link).__name__, shape[1:] if shape[0] == n else (shape[0] // n, *shape[1:]),
                own.pop(id(link), 0), flops // n)
            for link, shape, flops in self.calls
        ]  # fmt: skip
        return [row for row in rows if row.params or row.flops]


def _size(link: Link) -> int:
    return sum(param.size for param in link.params())


class _Flops(FunctionHook):
    """Adds what a function costs to what the innermost link costs."""

    name = "flops"

    def __init__(self, flops: list[int]) -> None:
        self.flops = flops

    def forward_postprocess(self, function: Any, in_data: tuple) -> None:
        if self.flops:
            self.flops[-1] += flops_of(function, in_data)


def flops_of(function: Any, in_data: tuple) -> int:
    """How many operations it takes, a multiply-add being two; 0 of what is not counted."""
    if isinstance(function, FixedBatchNormalization):
        return 2 * in_data[0].size  # times and plus
    if isinstance(function, MatMul):
        return 2 * in_data[0].size * in_data[1].shape[-1]
    if not isinstance(function, (LinearFunction, ConvolutionND, DeconvolutionND)):
        return 0
    x, w = in_data[:2]
    places: Any = function.outs if isinstance(function, ConvolutionND) else x.shape[2:]  # where all of W is applied
    return 2 * len(x) * math.prod(places) * w.size


def _table(net: Chain, rows: list[Row]) -> str:
    """Say it in columns, with a line of totals."""
    total = _size(net)
    lines = [("layer", "", "output shape", "parameters", "FLOPs")]
    lines += [(r.path, r.kind, " x ".join(map(str, r.shape)), f"{r.params:,}", f"{r.flops:,}") for r in rows]
    if rest := total - sum(row.params for row in rows):
        lines.append(("(not called)", "", "", f"{rest:,}", ""))
    lines.append(("total", "", "", f"{total:,}", f"{sum(row.flops for row in rows):,}"))
    widths = [max(map(len, column)) for column in zip(*lines)]
    text = [
        "  ".join(cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths))).rstrip()
        for line in lines
    ]
    return "\n".join([type(net).__name__, *text])
