"""Data sets, under Chainer's names."""

from minigan.datasets.mnist import (
    DataSource,
    MnistData,
    download_mnist,
    find_mnist,
    get_cache_directory,
    get_fashion_mnist,
    get_fashion_mnist_labels,
    get_mnist,
    load_mnist,
    set_data_directory,
)
from minigan.datasets.tuple_dataset import TupleDataset

__all__ = [
    "DataSource", "MnistData", "TupleDataset", "download_mnist", "find_mnist", "get_cache_directory",
    "get_fashion_mnist", "get_fashion_mnist_labels", "get_mnist", "load_mnist", "set_data_directory",
]  # fmt: skip
