"""Street View House Numbers: 32 x 32 colour images of digits (Netzer et al. 2011), 73,257 + 26,032 + 531,131.

Chainer keeps each part in its cache as an npz file of bytes, which is read here; where that is missing, the original
MATLAB file is fetched, checked and stored there in the same form (for that SciPy is needed).
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy

from minigan import configuration
from minigan.dataset.download import get_dataset_directory
from minigan.dataset.errors import DataError
from minigan.datasets.arrays import read_arrays
from minigan.datasets.mirrors import Published, fetch_one
from minigan.datasets.tuple_dataset import TupleDataset
from minigan.utils.files import atomic_write

_FILES = {
    "train": Published(182040794, "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8", True),
    "test": Published(64275384, "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b", True),
    "extra": Published(1329278602, "a133a4beb38a00fcdda90c9489e0c04f900b660ce8a316a5e854838379a71eb3", True),
}
_URL = "http://ufldl.stanford.edu/housenumbers/{}_32x32.mat"


def get_svhn(withlabel: bool = True, scale: float = 1.0, dtype: Any = None, label_dtype: Any = numpy.int32,
             add_extra: bool = False) -> tuple[Any, ...]:  # fmt: skip
    """Return the training and the test part of SVHN, and with `add_extra` the easy extra part.

    Images are (3, 32, 32), from 0 to `scale`, of `dtype` (`config.dtype` by default); labels are the digits 0 to 9.
    With `withlabel` each part is a `TupleDataset`, else an array. What is not in Chainer's cache
    (`pfnet/chainer/svhn/train.npz` ...) is downloaded unless `$MINIGAN_OFFLINE` is set.

    Raises:
        DataError: the data is not there and cannot be fetched, or is damaged.
    """
    dtype = configuration.get_dtype(dtype)
    parts = []
    for name in ("train", "test", "extra")[: 3 if add_extra else 2]:
        path = Path(get_dataset_directory("pfnet/chainer/svhn", create_directory=False)) / f"{name}.npz"
        x, y = read_arrays(path, [("x",), ("y",)], 1 << 31) if path.is_file() else _fetch(name, path)
        if x.dtype != numpy.uint8 or x.shape != (32, 32, 3, y.size) or y.max(initial=0) > 10:
            raise DataError(f"{path}: images are {x.dtype} of shape {x.shape}; wanted uint8 (32, 32, 3, N) for "
                            f"{y.size} labels of 1 to 10; delete the file and fetch it again")  # fmt: skip
        images = x.transpose(3, 2, 0, 1).astype(dtype, "C")
        images *= scale / 255.0
        labels = y.reshape(-1).astype(label_dtype) % 10  # the file says 10 for the digit 0
        parts.append(TupleDataset(images, labels) if withlabel else images)
    return tuple(parts)


def _fetch(name: str, path: Path) -> tuple[numpy.ndarray, numpy.ndarray]:
    content = fetch_one(_URL.format(name), _FILES[name], f"put what Chainer keeps, an npz of x and y, at {path}")
    import scipy.io

    arrays = scipy.io.loadmat(io.BytesIO(content))
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        numpy.savez_compressed(file, x=arrays["X"], y=arrays["y"].astype(numpy.uint8))
    return arrays["X"], arrays["y"]
