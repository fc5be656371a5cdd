"""What every data set, iterator and converter is built on, under Chainer's names."""

from minigan.dataset.convert import (
    ConcatWithAsyncTransfer,
    Converter,
    call_converter,
    concat_examples,
    converter,
    to_device,
)
from minigan.dataset.dataset_mixin import DatasetMixin
from minigan.dataset.download import (
    cache_or_load_file,
    cached_download,
    get_dataset_directory,
    get_dataset_root,
    set_dataset_root,
)
from minigan.dataset.errors import DataError
from minigan.dataset.iterator import Iterator
from minigan.dataset.randomness import example_random
from minigan.dataset.tabular import TabularDataset

__all__ = [
    "ConcatWithAsyncTransfer", "Converter", "DataError", "DatasetMixin", "Iterator", "TabularDataset",
    "cache_or_load_file", "cached_download", "call_converter", "concat_examples", "converter", "example_random",
    "get_dataset_directory", "get_dataset_root", "set_dataset_root", "to_device",
]  # fmt: skip
