"""`minigan legacy`: run a script that was written for Chainer, or say which of Chainer's names are there."""

from __future__ import annotations

import subprocess
import sys

import click


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--coverage", is_flag=True, help="Print every public name of Chainer 7.8.1 and whether it is there.")
@click.argument("script", nargs=-1, type=click.UNPROCESSED)
def legacy(coverage: bool, script: tuple[str, ...]) -> None:
    """Run a script that was written for Chainer: minigan legacy train.py --its --own flags.

    It is `python -m minigan.legacy`; before the script may stand --numpy1, --pillow9 and --chainer1, which put back
    what NumPy, Pillow and Chainer 2 removed.
    """
    arguments = ["--coverage"] if coverage else list(script or ["--help"])
    sys.exit(subprocess.call([sys.executable, "-m", "minigan.legacy", *arguments]))
