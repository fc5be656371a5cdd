"""`minigan info`: what a bug report should say: versions, arithmetic, devices, data."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from typing import Any

import click
import numpy

from minigan._version import __version__
from minigan.backends import cuda
from minigan.cli.data import read
from minigan.dataset.errors import DataError
from minigan.kernels import blas, compiled

PACKAGES = ("numpy", "scipy", "h5py", "click", "matplotlib", "pillow", "cupy", "cupy-cuda12x", "cupy-cuda13x", "numba")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "MINIGAN_BLAS_THREADS")


def facts() -> dict[str, Any]:
    """Collect what `minigan info` prints."""
    return {
        "minigan": __version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "blas": _blas(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads set by": {name: os.environ[name] for name in THREADS if name in os.environ} or "nothing: all CPUs",
        "gpu": _gpu(),
        "data": {name: _data(name) for name in ("builtin", "mnist", "fashion")},
        "loops": "compiled by numba" if compiled.on else "NumPy's",
        "MINIGAN_DATA": os.environ.get("MINIGAN_DATA", "not set"),
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _blas() -> str:
    found = numpy.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})  # type: ignore[union-attr]
    core = f", {blas.library.core}" if blas.library else ""  # it decides about the last digits
    return f"{found.get('name', 'unknown')} {found.get('version', '')}".strip() + core


def _gpu() -> str:
    if not cuda.available:
        return f"none: {cuda.unavailable_reason()}"
    runtime = cuda.cupy.cuda.runtime
    return "; ".join(
        f"@cupy:{i} {runtime.getDeviceProperties(i)['name'].decode()}" for i in range(runtime.getDeviceCount())
    )


def _data(name: str) -> str:
    try:
        return read(name).source
    except DataError as error:
        return f"none: {error}"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(as_json: bool) -> None:
    """Print versions, arithmetic library, devices and the data found: what a bug report should contain."""
    found = facts()
    if as_json:
        click.echo(json.dumps(found))
        return
    for name, value in found.items():
        rows = [f"{k}: {v}" for k, v in value.items()] if isinstance(value, dict) else [str(value)]
        for i, row in enumerate(rows):
            click.echo(f"{'' if i else name:<15} {row}")
