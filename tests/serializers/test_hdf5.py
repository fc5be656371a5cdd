"""HDF5 files: round trips, Chainer's layout, damage that leaves the model alone."""

import sys
import tracemalloc
import zlib

import numpy as np
import pytest

from minigan import optimizers, serializers
from minigan.core import Parameter
from minigan.link import Chain, Link, Sequential
from minigan.serializers.hdf5 import HDF5Deserializer, HDF5Serializer, load_hdf5, save_hdf5
from minigan.serializers.npz import FileError
from minigan.utils.hdf5_file import open_hdf5

h5py = pytest.importorskip("h5py")


class Affine(Link):
    def __init__(self, n_in, n_out, fill=0.0):
        super().__init__()
        with self.init_scope():
            self.W = Parameter(fill, None if n_in is None else (n_in, n_out))
            self.b = Parameter(np.full(n_out, fill, np.float32))
        self.add_persistent("mean", np.full(n_out, fill))
        self.add_persistent("count", int(fill))
        self.add_persistent("ready", bool(fill))
        self.add_persistent("kind", f"kind {fill}")


def model(fill=0.0, lazy=None):
    return Chain(first=Affine(2, 3, fill), rest=Sequential(abs, Affine(lazy, 1, fill)))


def values(link):
    return {path: None if param.array is None else param.array.tolist() for path, param in link.namedparams()}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.h5"


def test_round_trip(path):
    source = model(7.0)
    save_hdf5(path, source)
    target = model()
    load_hdf5(path, target)
    assert values(target) == values(source)
    layer = target.rest[1]
    assert (layer.count, layer.ready, layer.kind) == (7, True, "kind 7.0") and type(layer.count) is int
    assert (layer.mean == 7).all() and layer.W.array is None
    save_hdf5(path, model(1.0, lazy=4))
    load_hdf5(path, target)
    assert layer.W.shape == (4, 1) and (layer.W.array == 1).all()


def test_the_layout_is_chainers(path):
    # Chainer 7.8.1: save_hdf5 of the same tree, then h5py's name, shape, dtype, compression_opts of each dataset
    save_hdf5(path, model(7.0), compression=3)
    with h5py.File(path) as file:
        found = {}
        file.visititems(lambda name, entry: found.update({name: entry}) if isinstance(entry, h5py.Dataset) else None)
        assert {name: (entry.shape, entry.compression_opts) for name, entry in found.items()} == {
            "first/W": ((2, 3), 3), "first/b": ((3,), 3), "first/mean": ((3,), 3), "first/count": ((), None),
            "first/ready": ((), None), "first/kind": ((), None), "rest/0/W": (None, None), "rest/0/b": ((1,), None),
            "rest/0/mean": ((1,), None), "rest/0/count": ((), None), "rest/0/ready": ((), None),
            "rest/0/kind": ((), None),
        }  # fmt: skip
        assert found["first/W"].dtype == np.float32 and found["first/count"].dtype == np.int64


def test_optimizers(path):
    def make():
        link = Affine(2, 2)
        return link, optimizers.AdaDelta().setup(link)

    link, optimizer = make()
    link.W.grad = np.ones((2, 2), np.float32)
    optimizer.update()
    save_hdf5(path, optimizer)
    _, other = make()
    load_hdf5(path, other)
    assert other.t == 1
    np.testing.assert_array_equal(other.target.W.update_rule.state["msg"], link.W.update_rule.state["msg"])


def test_groups_and_strictness(path):
    with h5py.File(path, "w") as file:
        child = HDF5Serializer(file)["/part/"]
        assert child.group.name == "/part"
        assert child("/x", 3) == 3
        assert child("none", None) is None
    with h5py.File(path) as file:
        strict, lenient = HDF5Deserializer(file), HDF5Deserializer(file, strict=False)
        assert strict["part"]("x", 0) == 3 and strict["part"]("none", 5) is None
        assert (lenient["nothing"]["below"]("x", 8), lenient("x", 9)) == (8, 9)
        with pytest.raises(KeyError, match="/part/nothing is not in the file"):
            strict["part"]["nothing"]
        with pytest.raises(KeyError, match="x is not in the file"):
            strict("x", 0)


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "npz", "flipped"])
def test_damage_is_a_sentence_and_leaves_the_model_alone(path, damage):
    source = Affine(40, 40, 3.0)
    source.W.array[...] = np.random.RandomState(0).randn(40, 40)
    save_hdf5(path, source)
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        with h5py.File(path) as file:
            start = file["W"].id.get_chunk_info(0).byte_offset
        for i in range(start + 100, start + 200):
            content[i] ^= 0xFF
    elif damage == "npz":
        serializers.save_npz(path, source)
        content = path.read_bytes()
    path.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "text": b"no"}.get(damage, bytes(content)))
    target = Affine(40, 40, 1.0)
    with pytest.raises(FileError, match=r"model\.h5.*is damaged"):
        load_hdf5(path, target)
    assert (target.W.array == 1).all() and (target.b.array == 1).all()


def test_a_model_of_another_structure_is_left_alone(path):
    save_hdf5(path, Chain(a=Affine(2, 3, 3.0), b=Affine(2, 3, 3.0)))
    target = Chain(a=Affine(2, 3, 1.0), b=Affine(5, 3, 1.0))
    with pytest.raises(ValueError, match=r"/b/W has shape \(2, 3\) in the file but \(5, 3\)"):
        load_hdf5(path, target)
    assert (target.a.W.array == 1).all() and (target.a.mean == 1).all()
    with pytest.raises(KeyError, match="c is not in the file"):
        load_hdf5(path, Chain(a=Affine(2, 3), c=Affine(2, 3)))
    with pytest.raises(FileNotFoundError):
        load_hdf5(path.with_name("missing.h5"), target)


def test_a_failed_save_keeps_the_old_file(path):
    save_hdf5(path, Affine(2, 2, 1.0))
    before = path.read_bytes()
    bad = Affine(2, 2)
    bad.mean = object()
    with pytest.raises(TypeError, match="'mean' is a object"):
        save_hdf5(path, bad)
    assert path.read_bytes() == before and [file.name for file in path.parent.iterdir()] == ["model.h5"]


def test_without_h5py(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    for use in (
        lambda: save_hdf5(path, Link()),
        lambda: load_hdf5(path, Link()),
        lambda: HDF5Serializer(None),
        lambda: HDF5Deserializer(None),
    ):
        with pytest.raises(RuntimeError, match="pip install h5py"):
            use()
    assert not path.exists()


def committed(file):
    file["type"] = np.dtype("f4")
    return file["type"]


HOSTILE = {
    "soft link": (lambda file: file.update({"W": h5py.SoftLink("/W")}), "link to another place"),
    "external link": (lambda file: file.update({"W": h5py.ExternalLink("elsewhere", "/x")}), "links are of a kind"),
    "external data": (lambda file: file.create_dataset("W", (2, 2), "f4", external=[("else", 0, 16)]), "in this file"),
    "huge": (lambda file: file.create_dataset("W", (10**12, 3), "f4", chunks=(10, 3)), "are missing"),
    "compound": (lambda file: file.create_dataset("W", (2, 2), np.dtype([("a", "f4")])), "class 6"),
    "committed": (lambda file: file.create_dataset("W", (2, 2), committed(file)), "stored elsewhere"),
    "reference": (lambda file: file.create_dataset("W", (2, 2), h5py.ref_dtype), "class 7"),
    "group": (lambda file: file.create_group("W"), "/W is a group"),
    "filter": (lambda file: file.create_dataset("W", data=np.ones((2, 2), "f4"), compression="lzf"), "filter 32000"),
    "circle": (lambda file: file.update({"W": file["/"]}), "/W is a group"),
    "nothing": (lambda file: file.create_dataset("W", (2, 2), "f4"), "not there"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(path, name):
    make, says = HOSTILE[name]
    with h5py.File(path, "w") as file:
        make(file)
    target = Link(W=(2, 2))
    target.W.array[...] = 1
    with pytest.raises((ValueError, TypeError), match=says):
        load_hdf5(path, target)
    assert (target.W.array == 1).all()


def test_a_chunk_that_inflates_beyond_its_size_takes_no_memory(path):
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("W", (2, 3), "f", chunks=(2, 3), compression="gzip")
        dataset.id.write_direct_chunk((0, 0), zlib.compress(bytes(50_000_000)))
    with open(path, "rb") as stream:
        stored = open_hdf5(stream, "file")["W"]
        tracemalloc.start()
        with pytest.raises(FileError, match="has 25 bytes, wanted 24"):
            stored.read()
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert most < 1_000_000


def test_chunks_far_larger_than_the_array_are_refused(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("W", (2, 3), "f", maxshape=(None, None), chunks=(3000, 3000), compression="gzip")[...] = 1
    with open(path, "rb") as stream, pytest.raises(FileError, match="chunks \\(3000, 3000\\) .* do not fit"):
        open_hdf5(stream, "file")["W"]


def test_every_layout_that_h5py_writes_by_default_is_read(path):
    values = {
        "big endian": np.arange(6, dtype=">i4").reshape(2, 3), "half": np.ones((3, 1), "f2"), "bytes": np.array(b"ab"),
        "flags": np.array([True, False]), "empty": np.zeros((0, 3)), "text": "t\u00e4xt", "long text": "x" * 3000,
        "many chunks": np.arange(3000.0).reshape(100, 30), "edge": np.arange(35, dtype="u1").reshape(7, 5),
    }  # fmt: skip
    options = {"many chunks": {"chunks": (3, 4), "compression": 9, "shuffle": True}, "edge": {"chunks": (4, 4)}}
    with h5py.File(path, "w") as file:
        for i in range(50):
            file.create_group(f"group {i}")  # names need a tree of several nodes
        for name, value in values.items():
            file.create_dataset("deep/" + name, data=value, **options.get(name, {}))
    with open(path, "rb") as stream:
        root = open_hdf5(stream, "file")
        assert len(root) == 51 and set(root["deep"]) == set(values) and "deep/nothing" not in root
        for name, value in values.items():
            stored = root[f"deep/{name}"]
            expected = "ab" if name == "bytes" else value
            np.testing.assert_array_equal(stored.read(), expected)
            assert stored.shape == np.shape(expected)
    with h5py.File(path, "w", libver="latest") as file:
        file["x"] = 1
    with pytest.raises(FileError, match="libver='earliest'"):
        load_hdf5(path, Link())
