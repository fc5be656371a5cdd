"""minigan: Chainer given back, small enough to read, with GANs on top.

The names here are Chainer's. Reading order: ``core`` (autograd), ``functions``, ``link`` and ``links``,
``optimizer``, ``training``, ``gans``. What stands above the links is imported when it is first named: ``import
minigan`` is quick, and a script waits only for what it uses.
"""

import importlib
from typing import TYPE_CHECKING, Any

try:
    importlib.import_module("minigan.kernels")
except ModuleNotFoundError:
    raise ModuleNotFoundError(
        "minigan: this is a source folder, in which minigan.kernels does not lie inside the package; install it by "
        "`python -m pip install -e .`, or start Python in another folder"
    ) from None

from minigan import (
    backend, configuration, core, function, function_hook, initializers, link, link_hook, random, reporter, serializer,
    utils,
)  # fmt: skip
from minigan._version import __version__
from minigan.backend import (
    get_array_types, get_cpu_array_types, get_device, is_arrays_compatible, print_runtime_info, using_device,
)  # fmt: skip
from minigan.backends import cuda
from minigan.backends.cuda import should_use_cudnn, should_use_cudnn_tensor_core
from minigan.configuration import (
    DebugMode, config, force_backprop_mode, get_compute_mode, get_dtype, global_config, is_debug, mixed16,
    no_backprop_mode, set_debug, using_config,
)  # fmt: skip
from minigan.core import FunctionNode, Parameter, Variable, as_array, as_variable, backward, grad
from minigan.function import Function, FunctionAdapter
from minigan.function_hook import FunctionHook, get_function_hooks
from minigan.initializers import Initializer
from minigan.link import Chain, ChainList, Link, Sequential
from minigan.link_hook import LinkHook
from minigan.reporter import DictSummary, Reporter, Summary, get_current_reporter, report, report_scope
from minigan.serializer import AbstractSerializer, Deserializer, Serializer

if TYPE_CHECKING:  # the same names for those who read and do not run
    from minigan import (
        computational_graph, cuda_graph, dataset, datasets, distributions, function_hooks, functions, gradient_check,
        iterators, link_hooks, links, optimizer, optimizer_hooks, optimizers, serializers, training,
    )  # fmt: skip
    from minigan.distributions import Distribution, cross_entropy, kl_divergence, register_kl
    from minigan.optimizer import GradientMethod, Optimizer, UpdateRule

_LATER = {
    "computational_graph": "", "cuda_graph": "", "dataset": "", "datasets": "", "distributions": "",
    "function_hooks": "", "functions": "", "gradient_check": "", "iterators": "", "link_hooks": "", "links": "",
    "optimizer": "", "optimizer_hooks": "", "optimizers": "", "serializers": "", "training": "",
    "Distribution": "distributions", "cross_entropy": "distributions", "kl_divergence": "distributions",
    "register_kl": "distributions", "GradientMethod": "optimizer", "Optimizer": "optimizer", "UpdateRule": "optimizer",
}  # fmt: skip

variable = core  # old scripts say chainer.variable.Parameter


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"minigan.{_LATER[name] or name}")
    value = globals()[name] = getattr(module, name) if _LATER[name] else module
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


def _mean(self, axis=None, *, weights=None, keepdims=False):  # type: ignore[no-untyped-def]
    """Return the mean over ``axis``, weighted if ``weights`` are given; see ``functions.average``."""
    return __getattr__("functions").average(self, axis, weights, keepdims)


Variable.mean = _mean  # type: ignore[attr-defined]  # the one method of Variable that stands above core


__all__ = [
    "AbstractSerializer", "Chain", "ChainList", "DebugMode", "Deserializer", "DictSummary", "Distribution", "Function",
    "FunctionAdapter", "FunctionHook", "FunctionNode", "GradientMethod", "Initializer", "Link", "LinkHook", "Optimizer",
    "Parameter", "Reporter", "Sequential", "Serializer", "Summary", "UpdateRule", "Variable", "__version__", "as_array",
    "as_variable", "backend", "backward", "computational_graph", "config", "configuration", "core", "cross_entropy",
    "cuda", "cuda_graph", "dataset", "datasets", "distributions", "force_backprop_mode", "function", "function_hook",
    "function_hooks", "functions", "get_array_types", "get_compute_mode", "get_cpu_array_types", "get_current_reporter",
    "get_device", "get_dtype", "get_function_hooks", "global_config", "grad", "gradient_check", "initializers",
    "is_arrays_compatible", "is_debug", "iterators", "kl_divergence", "link", "link_hook", "link_hooks", "links",
    "mixed16", "no_backprop_mode", "optimizer", "optimizer_hooks", "optimizers", "print_runtime_info", "random",
    "register_kl", "report", "report_scope", "reporter", "serializer", "serializers", "set_debug", "should_use_cudnn",
    "should_use_cudnn_tensor_core", "training", "using_config", "using_device", "utils", "variable",
]  # fmt: skip
