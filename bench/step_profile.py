"""Where the time of a training step goes, on the CPU: ``python bench/step_profile.py mlp_step``.

The steps are those of the cases of that name. A hook times what each node computes, the rest but Adam is bookkeeping:
Python's, of nodes, links and optimizers. Shares are measured, with the clock's own cost in them, and given as parts of
the median of steps without a clock.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent / "peers")]

import chainer_like as like  # noqa: E402
from cases import gan_step, mlp_step  # noqa: E402

import minigan  # noqa: E402
from minigan.function_hooks import TimerHook  # noqa: E402
from minigan.optimizers import AdamRule  # noqa: E402

KINDS = {
    "Linear": "linear layers", "Convolution": "convolutions", "Deconvolution": "convolutions",
    "BatchNorm": "normalisation", "LeakyReLU": "activations", "ReLU": "activations", "Tanh": "activations",
}  # fmt: skip


class OfNodes(TimerHook):
    """Times what nodes compute. The way back is not timed by itself: it consists of nodes, too."""

    def backward_preprocess(self, *_: Any) -> None:
        pass

    def backward_postprocess(self, *_: Any) -> None:
        pass


def step_of(case: str, batch: int) -> Any:
    """A function that does one step, and its optimizers' rules."""
    module, size = (mlp_step, ()) if case == "mlp_step" else (gan_step, (28,))
    data = module.data(batch, *size)
    nets = (like.mlp_nets if case == "mlp_step" else like.book_nets)(minigan, module, data, *size)
    step = like.step_of(minigan, module, *nets)
    images = [data[name] for name in ("x", "z_dis", "z_gen")]
    step(*images)  # makes the rules and their states
    return lambda: step(*images), [param.update_rule for net in nets for param in net.params()]


def seconds_of(step: Any, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        start = perf_counter()
        step()
        found.append(perf_counter() - start)
    return found


@click.command()
@click.argument("case", type=click.Choice(["gan_step", "mlp_step"]))
@click.option("--batch", type=click.IntRange(1), help="Images.  [default: 128; mlp_step: 64]")
@click.option("--steps", type=click.IntRange(1), help="Steps without and with the clock.  [default: 12; 150]")
def main(case: str, batch: int | None, steps: int | None) -> None:
    """Print where the time of a step of CASE goes."""
    batch, steps = batch or (64 if case == "mlp_step" else 128), steps or (150 if case == "mlp_step" else 12)
    step, rules = step_of(case, batch)
    seconds_of(step, 5)
    median = 1e3 * float(np.median(seconds_of(step, steps)))
    seconds: dict[str, float] = defaultdict(float)

    def timed(rule: AdamRule, param: Any) -> None:
        start = perf_counter()
        AdamRule.update_core_cpu(rule, param)
        seconds["Adam"] += perf_counter() - start

    for rule in rules:
        rule.update_core_cpu = partial(timed, rule)
    with OfNodes() as timer:
        total = sum(seconds_of(step, steps))
    for name, elapsed in timer.call_history:
        seconds[next((kind for start, kind in KINDS.items() if name.startswith(start)), "other arithmetic")] += elapsed
    seconds["bookkeeping"] = total - sum(seconds.values())
    click.echo(f"{case}, batch {batch}: {median:.3g} ms")
    for kind, elapsed in sorted(seconds.items(), key=lambda item: -item[1]):
        click.echo(f"  {kind:<18}{median * elapsed / total:8.3g} ms{100 * elapsed / total:7.1f} %")


if __name__ == "__main__":
    main()
