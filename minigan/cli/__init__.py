"""The command `minigan`: train a GAN, draw from it, say what is installed and which data is found.

Results go to standard output, progress and remarks to standard error. Exit status: 0 done; 1 it could not be done, said
in one sentence; 2 the command was called in a wrong way; 130 or 143 stopped by Ctrl-C or SIGTERM after a snapshot was
saved. Every option can be set in the environment (`MINIGAN_TRAIN_STEPS=500`).
"""

from __future__ import annotations

import errno
from typing import Any

import click

from minigan._version import __version__
from minigan.backends.cuda import memory_left
from minigan.cli.data import data
from minigan.cli.evaluate import evaluate
from minigan.cli.explain import explain
from minigan.cli.info import info
from minigan.cli.kernels import kernels
from minigan.cli.legacy import legacy
from minigan.cli.run_folder import RunError, explained
from minigan.cli.sample import sample
from minigan.cli.summary import summary
from minigan.cli.train import train
from minigan.cli.train_classifier import train_classifier
from minigan.dataset.errors import DataError
from minigan.kernels.gemm import CublasError
from minigan.kernels.source import CompileError


class _Sentences(click.Group):
    """A group whose commands end foreseeable failures with one sentence and exit status 1, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (DataError, RunError, CompileError, CublasError) as error:
            raise click.ClickException(str(error)) from error
        except MemoryError as error:
            cure = "; ".join(filter(None, (memory_left(), "ask for less: a smaller --batch-size, --width or --n")))
            raise click.ClickException(f"out of memory ({str(error).rstrip('.')}); {cure}") from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            raise click.ClickException(explained(error)) from error


@click.group(
    cls=_Sentences,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "MINIGAN", "max_content_width": 100},
)
@click.version_option(__version__, prog_name="minigan", allow_from_autoenv=False)
def main() -> None:
    """minigan: train a GAN with one command, on NumPy or CuPy.

    Start with `minigan train`: it needs no option, no data and no GPU. Every option can also be set in the environment,
    as in MINIGAN_TRAIN_STEPS=500.
    """


for command in (train, sample, evaluate, summary, train_classifier, explain, data, info, kernels, legacy):
    main.add_command(command)
