"""What differs from Chainer, and why names are missing: the one place where it is written down.

`minigan legacy --coverage` prints these notes, and the error of a missing name quotes them. A key is a pattern for
``module.name`` without ``chainer.``; the first that fits counts.
"""

from __future__ import annotations

import fnmatch

_RNN = "recurrent nets are left for later"
_CLASS = "made of other functions here, so it has no class of its own"
_DATA = "left for later: data that no GAN of the survey reads"

# Why a name is missing.
ABSENT = {
    "functions.rnn*": _RNN,
    "functions.*lstm": _RNN,
    "functions.n_step_*": _RNN,
    "links.rnn.*": _RNN,
    "links.*LSTM*": _RNN,
    "links.*GRU*": _RNN,
    "links.*MGU*": _RNN,
    "links.NStepRNN*": _RNN,
    "links.NStepBiRNN*": _RNN,
    "functions*crf1d": "conditional random fields are left for later",
    "links*CRF1d": "conditional random fields are left for later",
    "functions*connectionist_temporal_classification": "CTC is left for later",
    "functions.loss.ctc.*": "CTC is left for later",
    "functions*egative_sampling*": "losses over large vocabularies are left for later",
    "functions.loss.negative_sampling.*": "losses over large vocabularies are left for later",
    "links*NegativeSampling": "losses over large vocabularies are left for later",
    "links*BlackOut": "losses over large vocabularies are left for later",
    "links*HierarchicalSoftmax*": "losses over large vocabularies are left for later",
    "links.loss.hierarchical_softmax.*": "losses over large vocabularies are left for later",
    "functions*roi_*": "pooling over regions is left for later",
    "functions.pooling.roi_*": "pooling over regions is left for later",
    "*theano*": "Theano is no longer maintained",
    "*[Cc]affe*": "Caffe's files are not read",
    "links*Theano*": "Theano is no longer maintained",
    "links.model.vision.*": "ready-made classifiers need their weights",
    "links.GoogLeNet": "ready-made classifiers need their weights",
    "links.ResNet*": "ready-made classifiers need their weights",
    "distributions*": "the survey's GANs use Normal, Bernoulli, Independent",
    "dataset.tabular*": "tabular data sets are left for later",
    "dataset.TabularDataset": "tabular data sets are left for later",
    "dataset*": "the copy to the GPU is not overlapped with the step before",
    "datasets*": _DATA,
    "iterators*": "DALI's iterator and the parts of Chainer's own iterators",
    "graph_optimizations*": "static_graph leaves the function as it is",
    "memory_layouts*": "the layout of the memory is the library's own business",
    "*cudnn_dropout*": "dropout is drawn without cuDNN",
    "*intel64*": "iDeep is not supported",
    "function_hooks*": "CuPy has a memory hook of its own",
    "training.extensions*Writer": "snapshots are written at once, by the process that trains",
    "training.extensions*": "plots of statistics and the outer program dot are left for later",
    "training.updaters.multiprocess*": "one process drives all devices",
    "testing*": "minigan.testing has the documented helpers",
    "chainermn.*": "the stand-in is one process: nothing to send, to gather or to save together",
    "chainermn*": "the stand-in is one process: nothing to send, to gather or to save together",
    "device_resident*": "a Link knows its device itself",
    "DeviceResident": "a Link knows its device itself",
    "functions.*": _CLASS,
    "links.*": _CLASS,
    "utils*": "a part of Chainer's own GPU code",
    "link_hooks*": "parts of one hook of Chainer's",
    "*": "a part of Chainer's own machinery",
}

# What is there, but not quite as in Chainer, on purpose.
DIFFERENT = {
    "training.updaters.StandardUpdater": "updater.device can be set; Chainer 7 refuses it",
    "dataset.concat_examples": "takes an array as a batch, too",
    "iterators.MultiprocessIterator": "its workers are threads of this process",
    "backends._chainerx.ChainerxDevice": "exists, so that isinstance says no; cannot be made",
    "static_graph": "leaves the function as it is",
    "chainermn.create_communicator": "one process, whatever the name",
    "chainermn.create_multi_node_optimizer": "returns the optimizer; the first update is an update, not a broadcast",
}


def _first(notes: dict[str, str], path: str, name: str) -> str:
    full = f"{path}.{name}".removeprefix("chainer.")
    return next((text for pattern, text in notes.items() if fnmatch.fnmatchcase(full, pattern)), "")


def reason(path: str, name: str) -> str:
    """Why Chainer's `path.name` is missing; empty where nothing is noted."""
    return _first(ABSENT, path, name)


def difference(path: str, name: str) -> str:
    """How `path.name` differs from Chainer's; empty where it does not."""
    return _first(DIFFERENT, path, name)
