"""``python bench/run.py``: verify, then time; print a table and write JSON.

Layers run in this process, whole training steps in a process per library. ``--peer torch=PYTHON`` names an
interpreter that has the other library.
"""

import json
import os
import platform
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from cases import gan_step, gpu_step, kernels, layers  # noqa: E402
from timing import measure, summary  # noqa: E402

from minigan.backend import get_device  # noqa: E402
from minigan.backends import cuda  # noqa: E402
from minigan.configuration import config  # noqa: E402

CASES = "layers", "kernels", "gan_step", "gpu_step"


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--case", "chosen", type=click.Choice(["all", *CASES]), default="all")
@click.option("--device", default="@numpy", help="Where all but gan_step runs: @numpy (no kernels), @cupy:0.")
@click.option("--peer", "peers", multiple=True, metavar="NAME=PYTHON", help="torch or chainer; repeatable.")
@click.option("--repeats", type=click.IntRange(1), default=10)
@click.option("--quick", is_flag=True, help="Two repeats: to see that everything works.")
@click.option("--tf32", is_flag=True, help="Let products of float32 round their factors, in all libraries.")
@click.option("--compiled", is_flag=True, help="gpu_step by torch.compile, too.")
@click.option("--json", "out", type=click.Path(path_type=Path), help="Write the results there.")
def main(chosen, device, peers, repeats, quick, tf32, compiled, out):
    """Verify the variants against each other, then time them."""
    repeats = 2 if quick else repeats
    try:
        device = get_device(device)
        interpreters = dict(parse_peer(peer) for peer in peers)
        results = {"machine": machine(device) | {"tf32": tf32}}
        config.tf32 = tf32
        if chosen in ("all", "layers"):
            results["layers"] = run_layers(device, repeats)
        if chosen == "kernels" or (chosen == "all" and device.id >= 0):
            results["kernels"] = run_kernels(device, repeats, quick)
        if chosen == "gpu_step" or (chosen == "all" and device.id >= 0):
            results["gpu_step"] = run_gpu_step(device, repeats, quick, tf32, compiled)
        if chosen in ("all", "gan_step"):
            results["gan_step"] = run_gan_step(repeats, interpreters)
    except (RuntimeError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    if str(device).startswith("@cupy"):
        results["machine"]["clocks_after"] = gpu_says("clocks.sm,clocks.mem,temperature.gpu", device)
    if out:
        out.write_text(json.dumps(results, indent=1) + "\n")
    if wrong := [name for name, row in results.get("gpu_step", {}).items() if "median_ms" not in row]:
        raise click.ClickException(f"gpu_step: not timed, as their losses are not minigan's: {', '.join(wrong)}")


def parse_peer(text):
    name, _, python = text.partition("=")
    if name not in gan_step.SCRIPTS or not python:
        raise click.BadParameter(f"--peer {text}: wanted NAME=PYTHON with NAME one of {', '.join(gan_step.SCRIPTS)}")
    return name, python


def machine(device):
    commit = said("git", "rev-parse", "HEAD") or os.environ.get("MINIGAN_COMMIT", "unknown")  # where no .git came along
    facts = {
        "device": str(device), "processor": platform.machine(), "cores": os.cpu_count(),
        "python": platform.python_version(), "numpy": np.__version__, "commit": commit,
    }  # fmt: skip
    if str(device).startswith("@cupy"):
        runtime = cuda.cupy.cuda.runtime
        facts |= {
            "gpu": runtime.getDeviceProperties(device.id)["name"].decode(), "cupy": cuda.cupy.__version__,
            "driver": gpu_says("driver_version", device), "cuda_of_driver": runtime.driverGetVersion(),
            "cuda": runtime.runtimeGetVersion(), "power_limit": gpu_says("power.limit", device),
        }  # fmt: skip
        with suppress(PackageNotFoundError):
            facts["torch"] = version("torch")
    return facts


def gpu_says(what, device):
    return said("nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader", f"--id={device.id}")


def said(*command):
    """What a command prints; nothing where there is no such command, or it fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent).stdout.strip()
    except OSError:
        return ""


def run_layers(device, repeats):
    results = {}
    click.echo(f"{'layer':<34}{'variant':<10}{'ms':>9}{'min':>9}{'max':>9}{'GFLOP/s':>10}")
    for name, variants, gflop in layers.cases(device.xp):
        verify(name, variants)
        results[name] = {}
        for variant, times in measure(variants, device.xp, repeats).items():
            row = results[name][variant] = summary(times)
            rate = f"{1e3 * gflop / row['median_ms']:10.1f}" if gflop else ""
            click.echo(f"{name:<34}{variant:<10}{row['median_ms']:9.2f}{row['min_ms']:9.2f}{row['max_ms']:9.2f}{rate}")
    return results


LOOPS = 10  # calls in one measurement: the wait for the GPU is then a small part


def run_kernels(device, repeats, quick):
    if device.id < 0:
        raise ValueError(f"--case kernels: {device} has none; wanted --device @cupy:0, or @emulator --quick")
    results, loops = {}, 1 if quick else LOOPS
    click.echo(f"{'kernel':<34}{'variant':<10}{'ms':>9}{'min':>9}{'max':>9}{'GB/s':>10}{'of copy':>9}")
    for name, variants, nbytes in kernels.cases(device.xp, quick):
        if not name.startswith(("philox", "adam")):  # whose next call gives something else
            verify(name, variants)
        results[name] = {}
        repeated = {variant: lambda call=call: [call() for _ in range(loops)] for variant, call in variants.items()}
        for variant, times in measure(repeated, device.xp, repeats).items():
            row = results[name][variant] = summary([t / loops for t in times])
            rate = row["GB/s"] = nbytes / row["median_ms"] / 1e6
            if name.startswith("copy"):
                copy = rate  # of the larger array
            row["of_copy"] = rate / copy
            click.echo(f"{name:<34}{variant:<10}{row['median_ms']:9.3f}{row['min_ms']:9.3f}{row['max_ms']:9.3f}"
                       f"{rate:10.0f}{row['of_copy']:9.2f}")  # fmt: skip
    return results


def run_gpu_step(device, repeats, quick, tf32, compiled):
    if device.id < 0:
        raise ValueError(f"--case gpu_step: {device} has no graphs; wanted --device @cupy:0, or @emulator --quick")
    results, loops, size = {}, 1 if quick else LOOPS, {"n": 2, "width": 4} if quick else {}
    steps = gpu_step.variants(device, tf32, compiled, **size)
    first = {name: [float(loss) for loss in step()] for name, step in steps.items()}
    for name, losses in first.items():
        if not np.allclose(losses, first["minigan eager"], rtol=0.01):  # the time of the others is worth having
            results[name] = {"losses": losses}
            del steps[name]
    click.echo(f"{'gpu_step (book, batch 128)':<34}{'ms':>9}{'min':>9}{'max':>9}")
    repeated = {name: lambda step=step: [step() for _ in range(loops)] for name, step in steps.items()}
    for name, times in measure(repeated, device.xp, repeats).items():
        row = results[name] = summary([t / loops for t in times]) | {"losses": first[name]}
        click.echo(f"{name:<34}{row['median_ms']:9.3f}{row['min_ms']:9.3f}{row['max_ms']:9.3f}")
    return results


def verify(name, variants):
    """Raise ``ValueError`` unless every variant computes what the first one does."""
    answers = {variant: cuda.to_cpu(call()) for variant, call in variants.items()}
    first = next(iter(answers.values()))
    for variant, answer in answers.items():
        if not np.allclose(answer, first, rtol=1e-3, atol=1e-3 * np.abs(first).max()):
            raise ValueError(f"{name}: {variant} computes something else than {next(iter(answers))}; nothing is timed")


def run_gan_step(repeats, interpreters):
    results = {}
    click.echo(f"{'gan_step (book, batch 128)':<34}{'':<10}{'ms':>9}{'min':>9}{'max':>9}{'peak MB':>10}")
    for name, result in gan_step.run(repeats, interpreters, rounds=1 if repeats < 3 else 3).items():
        row = results[name] = summary(result["times"]) | {k: result[k] for k in ("version", "peak_mb", "losses")}
        click.echo(f"{name + ' ' + result['version']:<44}{row['median_ms']:9.1f}{row['min_ms']:9.1f}"
                   f"{row['max_ms']:9.1f}{row['peak_mb']:10.0f}")  # fmt: skip
    return results


if __name__ == "__main__":
    main()
