"""Data sets, under Chainer's names."""

from minigan.datasets.cifar import get_cifar10, get_cifar100
from minigan.datasets.images import (
    ImageDataset,
    ImageFolderDataset,
    LabeledImageDataset,
    LabeledZippedImageDataset,
    MultiZippedImageDataset,
    ZippedImageDataset,
)
from minigan.datasets.mnist import (
    DataSource,
    MnistData,
    download_mnist,
    find_mnist,
    get_cache_directory,
    get_fashion_mnist,
    get_fashion_mnist_labels,
    get_kuzushiji_mnist,
    get_kuzushiji_mnist_labels,
    get_mnist,
    load_mnist,
    set_data_directory,
)
from minigan.datasets.pickle_dataset import (
    PickleDataset,
    PickleDatasetWriter,
    open_pickle_dataset,
    open_pickle_dataset_writer,
)
from minigan.datasets.ptb import get_ptb_words, get_ptb_words_vocabulary
from minigan.datasets.stacked import StackedDigits, get_stacked_mnist
from minigan.datasets.svhn import get_svhn
from minigan.datasets.text_dataset import TextDataset
from minigan.datasets.toys import get_ring, ring_coverage
from minigan.datasets.tuple_dataset import DictDataset, TupleDataset
from minigan.datasets.views import (
    ConcatenatedDataset,
    SubDataset,
    TransformDataset,
    get_cross_validation_datasets,
    get_cross_validation_datasets_random,
    split_dataset,
    split_dataset_n,
    split_dataset_n_random,
    split_dataset_random,
)

__all__ = [
    "ConcatenatedDataset", "DataSource", "DictDataset", "ImageDataset", "ImageFolderDataset", "LabeledImageDataset",
    "LabeledZippedImageDataset", "MnistData", "MultiZippedImageDataset", "PickleDataset", "PickleDatasetWriter",
    "StackedDigits", "SubDataset", "TextDataset", "TransformDataset", "TupleDataset", "ZippedImageDataset",
    "download_mnist", "find_mnist", "get_cache_directory", "get_cifar10", "get_cifar100",
    "get_cross_validation_datasets", "get_cross_validation_datasets_random", "get_fashion_mnist",
    "get_fashion_mnist_labels", "get_kuzushiji_mnist", "get_kuzushiji_mnist_labels", "get_mnist", "get_ptb_words",
    "get_ptb_words_vocabulary", "get_ring", "get_stacked_mnist", "get_svhn", "load_mnist", "open_pickle_dataset",
    "open_pickle_dataset_writer", "ring_coverage", "set_data_directory", "split_dataset", "split_dataset_n",
    "split_dataset_n_random", "split_dataset_random",
]  # fmt: skip
