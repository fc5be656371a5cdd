"""Where the time of a training step goes, on the CPU: ``python bench/step_profile.py mlp_step``.

The steps are those of the cases of that name. A hook times what each node computes, the rest but Adam is bookkeeping:
Python's, of nodes, links and optimizers. Shares are measured, with the clock's own cost in them, and given as parts of
the median of steps without a clock.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent / "peers")]

import chainer_like as like  # noqa: E402
from cases import gan_step, mlp_step  # noqa: E402

import minigan  # noqa: E402
from minigan.function_hook import FunctionHook  # noqa: E402
from minigan.optimizers import AdamRule  # noqa: E402

KINDS = {
    "Linear": "linear layers", "Convolution": "convolutions", "Deconvolution": "convolutions",
    "BatchNorm": "normalisation", "LeakyReLU": "activations", "ReLU": "activations", "Tanh": "activations",
}  # fmt: skip


class Clock(FunctionHook):
    """Seconds of what the nodes compute, by kind; of Adam, too."""

    name = "clock"

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def forward_preprocess(self, function: Any, inputs: Any) -> None:
        self.start = perf_counter()

    def forward_postprocess(self, function: Any, inputs: Any) -> None:
        name = type(function).__name__
        kind = next((kind for start, kind in KINDS.items() if name.startswith(start)), "other arithmetic")
        self.seconds[kind] += perf_counter() - self.start

    def adam(self, rule: AdamRule, param: Any) -> None:
        """Move the parameter, with a look at the clock."""
        start = perf_counter()
        AdamRule.update_core_cpu(rule, param)
        self.seconds["Adam"] += perf_counter() - start


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
    clock = Clock()
    for rule in rules:
        rule.update_core_cpu = lambda param, rule=rule: clock.adam(rule, param)
    with clock:
        total = sum(seconds_of(step, steps))
    clock.seconds["bookkeeping"] = total - sum(clock.seconds.values())
    click.echo(f"{case}, batch {batch}: {median:.3g} ms")
    for kind, seconds in sorted(clock.seconds.items(), key=lambda item: -item[1]):
        click.echo(f"  {kind:<18}{median * seconds / total:8.3g} ms{100 * seconds / total:7.1f} %")


if __name__ == "__main__":
    main()
