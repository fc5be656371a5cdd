"""What a script may name though no machine of today has it: several processes by MPI, ChainerX, iDeep.

`chainermn` is a cluster of one process: every collective operation returns what it was given. ChainerX and iDeep are
absent, and say so as Chainer does where they are not installed.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minigan.backends.cuda import to_cpu as _to_cpu  # noqa: F401  (chainer.backends._cpu)
from minigan.core import Add, Div, Mul, Pow, Sub, Variable
from minigan.dataset.dataset_mixin import DatasetMixin
from minigan.functions.linear_algebra import CooMatrix, get_order, to_coo  # noqa: F401 (Chainer's are in utils)
from minigan.gradient_check import check_backward
from minigan.initializers import Initializer as AbstractInitializer  # noqa: F401  (chainer.types)
from minigan.links.normalization import BatchNormalization

# -- chainermn: one process ------------------------------------------------------------------------------------------


class CommunicatorBase:
    """A communicator of one process, also in the place of its own ``mpi_comm``."""

    rank = intra_rank = inter_rank = 0
    size = intra_size = inter_size = 1
    name = "one process"

    def __init__(self) -> None:
        self._configs: dict[str, Any] = {}

    @property
    def mpi_comm(self) -> CommunicatorBase:
        """The same: what mpi4py's methods of lower case do in one process."""
        return self

    def _same(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the data."""
        return data

    bcast = bcast_obj = allreduce = allreduce_obj = alltoall = reduce = _same

    def gather(self, data: Any, *args: Any, **kwargs: Any) -> list[Any]:
        """Return the data of the one process, as a list."""
        return [data]

    gather_obj = allgather_obj = gather

    def allgather(self, x: Any) -> tuple[Any, ...]:
        """Return the data of the one process, as a tuple."""
        return (x,)

    def scatter(self, xs: Any, root: int = 0) -> Any:
        """Return the part of the one process."""
        return xs[0]

    def _nothing(self, *args: Any, **kwargs: Any) -> None:
        """Nothing to exchange."""

    bcast_data = broadcast_data = multi_node_mean_grad = allreduce_grad = finalize = barrier = Barrier = _nothing

    def send(self, *args: Any, **kwargs: Any) -> Any:
        """There is nobody else: ``RuntimeError``."""
        raise RuntimeError("chainermn: this is a stand-in of one process; there is no other to send to or receive from")

    recv = send_obj = recv_obj = send

    def split(self, color: int = 0, key: int = 0) -> CommunicatorBase:
        """Return itself: one process cannot be split."""
        return self

    def Get_rank(self) -> int:
        """0."""
        return 0

    def Get_size(self) -> int:
        """1."""
        return 1

    def set_config(self, name: str, value: Any = True, **kwargs: Any) -> None:
        """Remember a setting; none has an effect."""
        self._configs[name] = value

    def get_config(self, name: str | None = None) -> Any:
        """Return a setting, or all."""
        return self._configs if name is None else self._configs[name]

    @contextlib.contextmanager
    def config_scope(self) -> Iterator[None]:
        """Nothing to prepare."""
        yield


def create_communicator(communicator_name: str = "pure_nccl", mpi_comm: Any = None, **kwargs: Any) -> CommunicatorBase:
    """Return a communicator of one process, whatever its name."""
    return CommunicatorBase()


def create_multi_node_optimizer(
    actual_optimizer: Any, communicator: Any, double_buffering: bool = False, zero_fill: bool = True
) -> Any:
    """Return the optimizer: one process has nobody to average with."""
    return actual_optimizer


def create_multi_node_evaluator(actual_evaluator: Any, communicator: Any) -> Any:
    """Return the evaluator."""
    return actual_evaluator


def create_multi_node_iterator(actual_iterator: Any, communicator: Any, rank_master: int = 0) -> Any:
    """Return the iterator."""
    return actual_iterator


def create_synchronized_iterator(actual_iterator: Any, communicator: Any) -> Any:
    """Return the iterator."""
    return actual_iterator


class _Part(DatasetMixin):
    def __init__(self, dataset: Any, order: Any) -> None:
        self._dataset, self._order = dataset, order

    def __len__(self) -> int:
        return len(self._order)

    def get_example(self, i: int) -> Any:
        return self._dataset[int(self._order[i])]


def scatter_index(
    n_total_samples: int, comm: Any, root: int = 0, *, force_equal_length: bool = True
) -> tuple[int, int]:
    """Return ``(begin, end)`` of this process's part: all."""
    return 0, n_total_samples


def scatter_dataset(
    dataset: Any, comm: Any, root: int = 0, shuffle: bool = False, seed: int | None = None, max_buf_len: int = 0, *,
    force_equal_length: bool = True,
) -> Any:  # fmt: skip
    """Return this process's part of the data set: all of it, in an order drawn with ``seed`` if ``shuffle``."""
    n = len(dataset)
    return _Part(dataset, np.random.RandomState(seed).permutation(n) if shuffle else np.arange(n))


def create_empty_dataset(dataset: Any) -> list[tuple]:
    """Return as many empty samples as the data set has."""
    return [()] * len(dataset)


class MultiNodeBatchNormalization(BatchNormalization):
    """Batch normalisation over all processes, which is one."""

    def __init__(self, size: Any, comm: Any, *args: Any, communication_backend: str = "auto", **kwargs: Any) -> None:
        super().__init__(size, *args, **kwargs)


def create_mnbn_model(link: Any, comm: Any, communication_backend: str = "auto") -> Any:
    """Return a copy of the link: its batch normalisations see every process already."""
    return link.copy(mode="copy")


def add_hook() -> None:
    """Chainer's hook ends all processes when one fails; one process ends by itself."""


# -- what is never there ---------------------------------------------------------------------------------------------


def is_available() -> bool:
    """ChainerX: no."""
    return False


def is_ideep_available() -> bool:
    """The library iDeep: no."""
    return False


def should_use_ideep(level: str) -> bool:
    """Whether to compute with iDeep: no."""
    return False


def inputs_all_ready(inputs: Any, supported_ndim: Any = (2, 4)) -> bool:
    """Whether iDeep could compute with these arrays: no."""
    return False


class ndarray:
    """The array type of a library that is not there: nothing is one."""


mdarray = ndarray
disable_experimental_feature_warning = False  # scripts set it
# the marks of cuDNN's memory layouts: no array here has any but the first ones, None
CUDNN_CHANNEL_FIRST_X = CUDNN_CHANNEL_FIRST_W = None
CUDNN_CHANNEL_LAST_X, CUDNN_CHANNEL_LAST_W = "CUDNN_CHANNEL_LAST_X", "CUDNN_CHANNEL_LAST_W"


def static_graph(*args: Any, **kwargs: Any) -> Callable[..., Any]:
    """Decorator that Chainer speeds up with: here each call builds its graph, with the same result."""
    return args[0] if args else lambda function: function


static_code = static_graph


# -- private names that Chainer's own `testing` package uses --------------------------------------------------------


def _raise_from(exc_type: type[BaseException], message: str, orig_exc: BaseException) -> None:
    raise exc_type(message) from orig_exc


def _check_is_initializer_like(initializer: Any) -> None:
    if not (initializer is None or np.isscalar(initializer) or callable(initializer) or hasattr(initializer, "shape")):
        raise TypeError(f"initializer: got {initializer!r}; wanted an initializer, a number, an array or None")


def _format_array_props(arrays: Any) -> str:
    return ", ".join(f"{a.shape}:{a.dtype.name}" for a in arrays)


def _check_backward_with_params(
    func: Any, x_data: Any, y_grad: Any, params: Any = (), *, no_grads: Any = None, **kwargs: Any
) -> None:
    n = len(x_data)
    if no_grads is not None:
        no_grads = [*no_grads, *[False] * len(params)]
    arrays = (*x_data, *params)
    check_backward(lambda *xs: func(xs[:n], xs[n:]), arrays, y_grad, no_grads=no_grads, **kwargs)


# -- names of parts of functions that Chainer's own tests use ---------------------------------------------------------

SubFromConstant, DivFromConstant, PowConstVar, PowVarVar = Sub, Div, Pow, Pow
AddConstant, MulConstant, PowVarConst = (functools.partial(node, None) for node in (Add, Mul, Pow))


def _convert_value_to_string(value: Any) -> str:
    if isinstance(value, (Variable, np.ndarray)):
        return "constant array"
    return f"({value})" if value < 0 else str(value)


def _flip(array: Any, axis: int) -> Any:
    return np.flip(array, axis)


def _fp16_mixed_precision_helper(forward: Callable) -> Callable:
    """Let ``forward(self, inputs)`` compute in float32 on float16 inputs; if all are, the outputs are float16, too."""

    @functools.wraps(forward)
    def wrapper(self: Any, inputs: tuple) -> tuple:
        halves = {x.dtype == np.float16 for x in inputs if x.dtype.kind == "f"}
        ys = forward(self, tuple(x.astype(np.float32) if x.dtype == np.float16 else x for x in inputs))
        return tuple(y.astype(np.float16) if y.dtype == np.float32 else y for y in ys) if halves == {True} else ys

    return wrapper
