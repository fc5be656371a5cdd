"""How many launches a training step takes on a GPU: every operation on the device @emulator is counted."""

import collections

import numpy as np
import pytest
from emulated import needs_emulator

from minigan import config, optimizers, random
from minigan.gans import GANS, GANUpdater
from minigan.gans.nets import ARCHITECTURES
from minigan.iterators import SerialIterator
from minigan.kernels.emulator import arrays

VIEWS = {"empty", "empty_like", "expand_dims", "ravel", "squeeze", "swapaxes", "transpose", "view", "__getitem__"}


def launches(update, monkeypatch):
    """The names of kernels and array operations with their numbers; what only makes a view or memory is left out."""
    counted = collections.Counter()
    note, reshape = arrays._Record.note, lambda self, *shape: arrays.ndarray._of(self._array.reshape(*shape))

    def noted(self, name, *args):
        note(self, name, *args)
        same = name == "ascontiguousarray" and args[0].flags.c_contiguous
        same |= name == "astype" and args[-1] == {"copy": False} and args[0].dtype == np.dtype(args[1])
        if name not in VIEWS and not same:
            counted[name.partition(" with ")[0]] += 1

    def reshaped(self, *shape):
        view = reshape(self, *shape)
        if view.size and not np.shares_memory(view._array, self._array):
            counted["copy of reshape"] += 1
        return view

    monkeypatch.setattr(arrays._Record, "note", noted)
    monkeypatch.setattr(arrays.ndarray, "reshape", reshaped, raising=False)
    with arrays.recording():
        update()
    return counted


# own kernels, matrix products, array operations: as kernels/README.md says
@needs_emulator
@pytest.mark.parametrize("arch, most", [("book", (94, 45, 20)), ("small", (64, 33, 17)), ("mlp", (32, 33, 13))])
def test_a_step_takes_no_more_launches(arch, most, monkeypatch):
    config.cuda_graph = True  # noise of the device
    gen, dis = ARCHITECTURES[arch].build(z_dim=5, channels=1, size=28, width=4)
    both = {name: optimizers.Adam().setup(net) for name, net in (("gen", gen), ("dis", dis))}
    images = SerialIterator(np.random.randn(4, 1, 28, 28).astype(np.float32), 4)
    updater = GANUpdater(images, both, GANS["dcgan"], device="@emulator")
    random.start_iteration(3, 0)
    batch = updater.next_images()
    updater.update_nets([batch])  # makes Adam's states
    found = launches(lambda: updater.update_nets([batch]), monkeypatch)
    own = sum(n for name, n in found.items() if ".cu: " in name)
    counts = own, found["gemm"], sum(found.values()) - own - found["gemm"]
    assert all(a <= b for a, b in zip(counts, most)), found
