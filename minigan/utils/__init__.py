"""Small tools that Chainer's scripts import, beside the library's own: names of arrays, arguments, sizes, warnings."""

from collections import abc as collections_abc
from tempfile import TemporaryDirectory as tempdir  # noqa: N813

from minigan.utils.array import force_array, force_type, size_of_shape, sum_to
from minigan.utils.conv import get_conv_outsize, get_deconv_outsize
from minigan.utils.meta import enable_final, experimental, final, nondeterministic
from minigan.utils.walker_alias import WalkerAlias

__all__ = [
    "WalkerAlias", "collections_abc", "enable_final", "experimental", "final", "force_array", "force_type",
    "get_conv_outsize", "get_deconv_outsize", "nondeterministic", "size_of_shape", "sum_to", "tempdir",
]  # fmt: skip
