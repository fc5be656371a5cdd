"""minigan: Chainer given back, small enough to read, with GANs on top.

The names here are Chainer's. Reading order: ``core`` (autograd), ``functions``, ``link`` and ``links``,
``optimizer``, ``training``, ``gans``.
"""

import importlib.util

if importlib.util.find_spec("minigan.kernels") is None:
    raise ModuleNotFoundError(
        "minigan: this is a source folder, in which minigan.kernels does not lie inside the package; install it by "
        "`python -m pip install -e .`, or start Python in another folder"
    )

from minigan import (
    backend,
    configuration,
    core,
    dataset,
    datasets,
    function,
    functions,
    gradient_check,
    initializers,
    iterators,
    link,
    links,
    optimizer,
    optimizer_hooks,
    optimizers,
    random,
    reporter,
    serializer,
    serializers,
    training,
    utils,
)
from minigan._version import __version__
from minigan.backend import get_device, using_device
from minigan.backends import cuda
from minigan.configuration import (
    config,
    force_backprop_mode,
    get_dtype,
    global_config,
    is_debug,
    no_backprop_mode,
    set_debug,
    using_config,
)
from minigan.core import FunctionNode, Parameter, Variable, as_array, as_variable, backward, grad
from minigan.initializers import Initializer
from minigan.link import Chain, ChainList, Link, Sequential
from minigan.optimizer import GradientMethod, Optimizer, UpdateRule
from minigan.reporter import DictSummary, Reporter, Summary, get_current_reporter, report, report_scope
from minigan.serializer import AbstractSerializer, Deserializer, Serializer

variable = core  # old scripts say chainer.variable.Parameter

__all__ = [
    "AbstractSerializer", "Chain", "ChainList", "Deserializer", "DictSummary", "FunctionNode", "GradientMethod",
    "Initializer", "Link", "Optimizer", "Parameter", "Reporter", "Sequential", "Serializer", "Summary", "UpdateRule",
    "Variable", "__version__", "as_array", "as_variable", "backend", "backward", "config", "configuration", "core",
    "cuda", "dataset", "datasets", "force_backprop_mode", "function", "functions", "get_current_reporter",
    "get_device", "get_dtype", "global_config", "grad", "gradient_check", "initializers", "is_debug", "iterators",
    "link", "links", "no_backprop_mode", "optimizer", "optimizer_hooks", "optimizers", "random", "report",
    "report_scope", "reporter", "serializer", "serializers", "set_debug", "training", "using_config", "using_device",
    "utils", "variable",
]  # fmt: skip
