"""VGG networks as feature extractors: layers by name, pictures in, activations out.

The weights are not part of the library. They come from an npz file with Chainer's names, such as the one Chainer makes
of ``VGG_ILSVRC_16_layers.caffemodel``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from minigan.backend import copyto
from minigan.configuration import no_backprop_mode, using_config
from minigan.core import Variable, reshape
from minigan.functions.activation import relu, softmax
from minigan.functions.noise import dropout
from minigan.functions.pooling import max_pooling_2d
from minigan.functions.reduction import average
from minigan.initializers import Normal
from minigan.link import Chain
from minigan.links.connection import Convolution2D, Linear

__all__ = ["VGG16Layers", "VGG19Layers"]

_MEAN = np.array([103.939, 116.779, 123.68], np.float32)  # blue, green, red over ImageNet


class VGGLayers(Chain):
    """Five blocks of 3x3 convolutions and three linear layers, ImageNet pictures to 1000 classes.

    Simonyan and Zisserman, 2015. ``functions`` names each layer with the functions that make it up, in order.

    Args:
        pretrained_model: an npz file; ``"auto"`` for the one that Chainer keeps below its data set folder
            (``CHAINER_DATASET_ROOT``, else ``~/.chainer/dataset``); None for random weights.
    """

    blocks: ClassVar[tuple[int, ...]]
    file: ClassVar[str]

    def __init__(self, pretrained_model: Any = "auto") -> None:
        super().__init__()
        W = 0 if pretrained_model else Normal(0.01)
        channels = 3
        with self.init_scope():
            for block, layers in enumerate(self.blocks, 1):
                for layer in range(layers):
                    conv = Convolution2D(channels, min(32 << block, 512), 3, pad=1, initialW=W)
                    setattr(self, f"conv{block}_{layer + 1}", conv)
                    channels = min(32 << block, 512)
            self.fc6 = Linear(512 * 7 * 7, 4096, initialW=W)
            self.fc7 = Linear(4096, 4096, initialW=W)
            self.fc8 = Linear(4096, 1000, initialW=W)
        if pretrained_model:
            root = os.environ.get("CHAINER_DATASET_ROOT", Path.home() / ".chainer" / "dataset")
            own = Path(root, "pfnet", "chainer", "models", self.file)
            self._load(own if pretrained_model == "auto" else Path(pretrained_model))

    def _load(self, path: Path) -> None:
        kind = type(self).__name__
        if path.suffix == ".caffemodel":
            raise ValueError(f"{kind}: {path} is a Caffe model; convert it with Chainer's convert_caffemodel_to_npz")
        if not path.is_file():
            cure = "put them there, or pass the path of an npz file, or pretrained_model=None for random weights"
            raise FileNotFoundError(f"{kind}: there are no weights at {path}; {cure}")
        with np.load(path) as arrays:
            for name, parameter in self.namedparams():
                copyto(parameter.array, arrays[name[1:]])

    @property
    def functions(self) -> dict[str, list[Callable]]:
        """Name of each layer: its functions, to be called one after the other."""
        layers: dict[str, list[Callable]] = {}
        for block, count in enumerate(self.blocks, 1):
            for name in [f"conv{block}_{layer}" for layer in range(1, count + 1)]:
                layers[name] = [getattr(self, name), relu]
            layers[f"pool{block}"] = [partial(max_pooling_2d, ksize=2, stride=2)]
        layers |= {"fc6": [self.fc6, relu, dropout], "fc7": [self.fc7, relu, dropout]}
        return layers | {"fc8": [self.fc8], "prob": [softmax]}

    @property
    def available_layers(self) -> list[str]:
        """Names of the layers, in order."""
        return list(self.functions)

    def forward(self, x: Any, layers: Sequence[str] | None = None) -> dict[str, Variable]:
        """x (N, 3, 224, 224), prepared, to the activations of ``layers`` (default: ``["prob"]``) by name."""
        wanted = set(["prob"] if layers is None else layers)
        found: dict[str, Variable] = {}
        for name, functions in self.functions.items():
            if len(found) < len(wanted):
                for function in functions:
                    x = function(x)
                if name in wanted:
                    found[name] = x
        return found

    def extract(self, images: Sequence[Any], layers: Sequence[str] | None = None, size: Any = (224, 224)) -> dict:
        """Activations of ``layers`` (default: ``["fc7"]``) for pictures as ``prepare`` takes them.

        As in Chainer, this neither leaves training mode, which means dropout, nor stops recording the graph.
        """
        x = np.stack([prepare(image, size) for image in images])
        return self(self.xp.asarray(x), layers=["fc7"] if layers is None else layers)

    def predict(self, images: Sequence[Any], oversample: bool = True) -> Variable:
        """Probabilities (N, 1000), the mean over ten parts of each picture or, without ``oversample``, its middle."""
        x = np.stack([prepare(image, (256, 256)) for image in images])
        places = [(16, 16), (0, 0), (0, 32), (32, 0), (32, 32)] if oversample else [(16, 16)]
        parts = [x[..., i : i + 224, j : j + 224] for i, j in places]
        parts += [part[..., ::-1] for part in parts] if oversample else []
        with no_backprop_mode(), using_config("train", False):
            y = self(self.xp.asarray(np.concatenate(parts)))["prob"]
            return average(reshape(y, (len(parts), len(x), 1000)), axis=0)


class VGG16Layers(VGGLayers):
    """VGG with 13 convolutions (configuration D)."""

    blocks = (2, 2, 3, 3, 3)
    file = "VGG_ILSVRC_16_layers.npz"


class VGG19Layers(VGGLayers):
    """VGG with 16 convolutions (configuration E)."""

    blocks = (2, 2, 4, 4, 4)
    file = "VGG_ILSVRC_19_layers.npz"


def prepare(image: Any, size: Any = (224, 224)) -> Any:
    """A picture as VGG wants it: float32 (3, height, width), blue first, without the mean colour of ImageNet.

    ``image`` is a PIL image or an array (height, width), (height, width, 3), (3 or 1, height, width) of 0 ... 255;
    ``size`` (width, height) or None to keep its own. Needs Pillow.
    """
    from PIL import Image

    if isinstance(image, np.ndarray):
        if image.ndim == 3 and len(image) in (1, 3):
            image = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
        image = Image.fromarray(image.astype(np.uint8))
    image = image.convert("RGB")
    if size:
        image = image.resize(size)
    return (np.asarray(image, np.float32)[:, :, ::-1] - _MEAN).transpose(2, 0, 1)
