import io
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest

from minigan.core import Parameter
from minigan.link import Chain, Link
from minigan.serializer import AbstractSerializer, Deserializer, Serializer
from minigan.serializers import DictionarySerializer, NpzDeserializer, load_npz, save_npz
from minigan.serializers.npz import FileError, serialize

# python -c "import pickle, numpy; print(pickle.dumps(numpy.asarray(None), protocol=3))", NumPy 1.23.5
NONE_1 = (
    b"\x80\x03cnumpy.core.multiarray\n_reconstruct\nq\x00cnumpy\nndarray\nq\x01K\x00\x85q\x02C\x01bq\x03\x87q\x04Rq\x05"
    b"(K\x01)cnumpy\ndtype\nq\x06X\x02\x00\x00\x00O8q\x07\x89\x88\x87q\x08Rq\t(K\x03X\x01\x00\x00\x00|q\nNNNJ\xff\xff"
    b"\xff\xffJ\xff\xff\xff\xffK?tq\x0bb\x89]q\x0cNatq\rb."
)
# the same with protocol=4, NumPy 2.4.6 (what numpy.savez writes there)
NONE_2 = (
    b"\x80\x04\x95\x87\x00\x00\x00\x00\x00\x00\x00\x8c\x16numpy._core.multiarray\x94\x8c\x0c_reconstruct\x94\x93\x94\x8c"
    b"\x05numpy\x94\x8c\x07ndarray\x94\x93\x94K\x00\x85\x94C\x01b\x94\x87\x94R\x94(K\x01)h\x03\x8c\x05dtype\x94\x93\x94"
    b"\x8c\x02O8\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01|\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?t\x94b\x89]\x94Nat"
    b"\x94b."
)


def npy(descr, shape, content, order=False):
    """A .npy file with a header that says what we like."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": order, "shape": shape})
    return stream.getvalue() + content


def archive(**members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return io.BytesIO(stream.getvalue())


class Values:
    """Serializes whatever it is given."""

    def __init__(self, **values):
        self.values = values

    def serialize(self, serializer):
        for key, value in self.values.items():
            self.values[key] = serializer(key, value)


def model():
    chain = Chain(l=Link(W=(2, 3), b=(3,)), k=Link(W=None))
    chain.l.add_persistent("N", 0)
    for i, param in enumerate(chain.params(include_uninit=False)):
        param.array[...] = np.arange(param.size, dtype=np.float32).reshape(param.shape) + 10 * i
    return chain


def arrays(chain):
    return {path: param.array for path, param in chain.namedparams()}


# What is written


@pytest.mark.parametrize("compression", [True, False])
def test_members_are_paths_and_numpy_reads_them(tmp_path, compression):
    chain = model()
    chain.l.N = 5
    path = tmp_path / "snapshot_iter_1"
    save_npz(path, chain, compression)
    assert [p.name for p in tmp_path.iterdir()] == ["snapshot_iter_1"]
    with zipfile.ZipFile(path) as file:
        infos = {info.filename: info for info in file.infolist()}
        none = file.read("k/W.npy")
    assert set(infos) == {"k/W.npy", "l/W.npy", "l/b.npy", "l/N.npy"}
    assert {i.compress_type for i in infos.values()} == {zipfile.ZIP_DEFLATED if compression else zipfile.ZIP_STORED}
    with np.load(path) as stored:
        np.testing.assert_array_equal(stored["l/W"], chain.l.W.array)
        assert stored["l/W"].dtype == np.float32 and stored["l/N"].dtype == np.int64 and stored["l/N"].shape == ()
    # Chainer writes 278 bytes for None with NumPy 1.23: a header of 128 and a pickle of 150
    assert len(none) == 278 and none[128:] == NONE_1
    assert pickle.loads(NONE_1) == np.asarray(None)  # these bytes are our own


def test_files_and_file_objects_hold_the_same_bytes(tmp_path):
    stream = io.BytesIO()
    save_npz(stream, model())
    save_npz(str(tmp_path / "a.npz"), model())
    assert (tmp_path / "a.npz").read_bytes() == stream.getvalue()


def test_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.npz"
    save_npz(path, model())
    before = path.read_bytes()
    with pytest.raises(TypeError, match="'x' is a dict"):
        save_npz(path, Values(x={}))
    assert path.read_bytes() == before


def test_only_plain_values_are_saved():
    serializer = DictionarySerializer()
    assert serializer("/a", 3) == 3
    assert serializer["b"]["/c/"]("d", "text") == "text"
    assert serializer("n", None) is None
    assert {k: v.item() for k, v in serializer.target.items()} == {"a": 3, "b/c/d": "text", "n": None}
    for value in ({}, object(), np.array([None, 1]), Parameter(np.ones(2, np.float32)), [None]):
        with pytest.raises(TypeError, match="pickling"):
            serializer("x", value)
    assert "x" not in serializer.target


# What is read


@pytest.mark.parametrize("as_path", [True, False])
def test_round_trip(tmp_path, as_path):
    chain = model()
    chain.l.N = 5
    file = tmp_path / "a" if as_path else io.BytesIO()
    save_npz(file, chain)
    if not as_path:
        file.seek(0)
    other = Chain(l=Link(W=None, b=((3,), np.float64)), k=Link(W=(2,)))
    other.l.add_persistent("N", 0)
    kept, held = other.k.W.array, other.l.b.array
    with pytest.warns(UserWarning, match="W had no shape yet when it was saved"):
        load_npz(file, other)
    np.testing.assert_array_equal(other.l.W.array, chain.l.W.array)  # had no shape
    assert other.l.b.array is held and held.dtype == np.float64 and held.tolist() == chain.l.b.array.tolist()
    assert other.l.N == 5 and type(other.l.N) is int
    assert other.k.W.array is kept and np.isnan(kept).all()  # None in the file


@pytest.mark.parametrize("payload", [NONE_1, NONE_2, *(pickle.dumps(np.asarray(None), p) for p in (2, 3, 4, 5))])
def test_every_numpys_none_is_known_without_unpickling(payload, monkeypatch):
    monkeypatch.setattr(pickle, "load", None)
    monkeypatch.setattr(pickle, "loads", None)
    values = Values(x=1)
    load_npz(archive(x=npy("|O", (), payload)), values)
    assert values.values == {"x": None}


@pytest.mark.parametrize(
    "content",
    [
        npy("|O", (), pickle.dumps(np.asarray({}, object), 3)),
        npy("|O", (), NONE_1 + b"."),
        npy("|O", (1,), NONE_1),
        npy("|O", (), b""),
        npy([("a", "|O")], (), NONE_1),
    ],
)
def test_other_pickles_are_refused(content):
    with pytest.raises(FileError, match="'x'.*(pickled|plain numbers)"):
        load_npz(archive(x=content), Values(x=1))


def test_pickle_is_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return open, (str(tmp_path / "boom"), "w")

    with pytest.raises(FileError, match="never loaded"):
        load_npz(archive(x=npy("|O", (), pickle.dumps(Bomb()))), Values(x=1))
    assert not (tmp_path / "boom").exists()


def test_part_of_a_snapshot():
    chain, stream = model(), io.BytesIO()
    save_npz(stream, Chain(gen=chain, dis=Link(W=(1,))))
    for path in ("gen/", "gen"):
        other = model()
        other.l.W.array[...] = 0
        load_npz(stream, other, path=path)
        np.testing.assert_array_equal(other.l.W.array, chain.l.W.array)
    with pytest.raises(KeyError, match="below 'net/'"):
        load_npz(stream, chain, path="net")


def test_missing_and_ignored_entries():
    stream = io.BytesIO()
    save_npz(stream, Link(a=(1,), b=(1,), c=(1,)))
    with pytest.raises(KeyError, match="d is not in the file.*strict=False"):
        load_npz(stream, Link(a=(1,), d=(1,)))
    stored = {"a": np.ones(1), "sub/b": np.ones(1)}
    for ignore in ("sub/b", ["sub/b"], lambda path: path == "sub/b", [lambda path: path.endswith("b"), "x"]):
        deserializer = NpzDeserializer(stored, ignore_names=ignore)
        assert deserializer["sub"]("b", 7) == 7 and deserializer("a", None)[0] == 1
    loose = NpzDeserializer(stored, strict=False)
    assert loose["sub"]("c", "kept") == "kept"
    assert NpzDeserializer(stored, path="sub/")("b", 0.0) == 1.0


# From chainer 7.8.1: NpzDeserializer({"x": stored})("x", value)
@pytest.mark.parametrize(
    "stored, value, expected",
    [
        (3, 0, 3),
        (3, 0.0, 3.0),
        (3, "", "3"),
        (3, np.int64(1), np.int64(3)),
        (2.5, 0.0, 2.5),
        (2.5, "", "2.5"),
        (True, 0, 1),
        (True, False, True),
        (True, np.float32(0), np.float32(1)),
        ("abc", "", "abc"),
        ([4], 0, 4),
        (3, False, TypeError),
        (3, np.float32(0), TypeError),
        (2.5, 0, TypeError),
        (2.5, False, TypeError),
        (2.5, np.zeros((), np.int32), TypeError),
        ("abc", 0, ValueError),
        ("abc", np.zeros(()), TypeError),
        ([0.0, 1.0], 0.0, TypeError),
    ],
)
def test_stored_value_becomes_the_type_of_the_present_one(stored, value, expected):
    deserializer = NpzDeserializer({"x": np.asarray(stored)})
    if isinstance(expected, type):
        with pytest.raises(expected):
            deserializer("x", value)
    else:
        result = deserializer("x", value)
        assert result == expected and type(result) is type(expected)


def test_arrays_are_filled_in_place_and_never_broadcast():
    value = np.zeros((2, 1), np.float32)
    assert NpzDeserializer({"x": np.ones((2, 1))})("x", value) is value and (value == 1).all()
    with pytest.raises(ValueError, match=r"x has shape \(1,\) in the file but \(2, 1\)"):
        NpzDeserializer({"x": np.zeros(1)})("x", value)
    assert (value == 1).all()


def test_fortran_order_empty_arrays_and_writable_results():
    values = Values(f=None, empty=None, text=None)
    content = np.arange(6.0).tobytes()
    members = {
        "f": npy("<f8", (2, 3), content, order=True),
        "empty": npy("<f4", (0, 3), b""),
        "text": npy("<U1", (), b"\0\0\0\0"),
    }
    load_npz(archive(**members), values)
    np.testing.assert_array_equal(values.values["f"], np.arange(6.0).reshape(3, 2).T)
    assert values.values["empty"].shape == (0, 3) and str(values.values["text"]) == ""
    values.values["f"][...] = 0


def test_npzfile_of_numpy_is_read_without_its_pickles(tmp_path):
    save_npz(tmp_path / "a", model())
    with np.load(tmp_path / "a") as stored:
        deserializer = NpzDeserializer(stored)
        assert deserializer["k"]("W", None) is None and deserializer["l"]("b", None).shape == (3,)


# Damage


def damaged():
    stream = io.BytesIO()
    save_npz(stream, model())
    good = stream.getvalue()
    middle = good.index(b"l/W.npy") + 60
    yield "empty", b""
    yield "text", b"hello\n" * 100
    yield "npy", npy("<f4", (1,), b"\0\0\0\0")
    for cut in (10, len(good) // 2, len(good) - 30):
        yield f"cut at {cut}", good[:cut]
    yield "flipped", good[:middle] + bytes([good[middle] ^ 255]) + good[middle + 1 :]
    for name, content in {
        "short content": npy("<f4", (3,), b"\0" * 8),
        "long content": npy("<f4", (3,), b"\0" * 16),
        "huge": npy("<f4", (1 << 40,), b"\0" * 8),
        "overflow": npy("<f4", (1 << 40, 1 << 40), b"\0" * 8),
        "negative": npy("<f4", (-1, -2), b"\0" * 8),
        "no size": npy("|V0", (1 << 40,), b""),
        "not a dtype": npy("zebra", (1,), b"\0" * 4),
        "no header": b"\x93NUMPY\x01\x00",
        "brackets for a header": b"\x93NUMPY\x01\x00\x80\x00" + b"(" * 127 + b"\n",
        "no magic": b"\0" * 200,
        "version": b"\x93NUMPY\x09\x00" + b"\0" * 200,
        "code": b"\x93NUMPY\x01\x00\x10\x00__import__('os')",
    }.items():
        members = {"l/W": npy("<f4", (2, 3), b"\0" * 24), "l/N": npy("<i8", (), b"\0" * 8)}
        yield name, archive(**members, **{"k/W": npy("|O", (), NONE_1), "l/b": content}).getvalue()


@pytest.mark.parametrize("content", [pytest.param(content, id=name) for name, content in damaged()])
def test_damaged_files_give_one_error_and_change_nothing(tmp_path, content):
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    chain, before = model(), arrays(model())
    with pytest.raises(FileError, match="bad.npz"):
        load_npz(path, chain)
    for key, value in arrays(chain).items():
        np.testing.assert_array_equal(value, before[key])


def test_lying_zip_directory_takes_no_memory():
    good = archive(x=npy("<f4", (1 << 28,), b"\0" * 8)).getvalue()
    size = (128 + (4 << 28)).to_bytes(4, "little")
    lying = good.replace((136).to_bytes(4, "little"), size)
    assert lying != good
    with pytest.raises(FileError, match="x is float32 .*1,073,741,824 bytes.* no bomb"):
        load_npz(io.BytesIO(lying), Values(x=None))


def test_wrong_shape_or_missing_entry_puts_everything_back():
    stream = io.BytesIO()
    save_npz(stream, Link(a=(2,), b=(3,)))
    for link in (Link(a=(2,), b=(4,)), Link(a=(2,), c=(3,))):
        link.a.array[...] = 5
        with pytest.raises((ValueError, KeyError)):
            load_npz(stream, link)
        assert link.a.array.tolist() == [5, 5]


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_npz(tmp_path / "missing", model())


def test_protocol_classes():
    assert issubclass(DictionarySerializer, Serializer) and issubclass(NpzDeserializer, Deserializer)
    with pytest.raises(NotImplementedError):
        AbstractSerializer()("key", 1)
    with pytest.raises(NotImplementedError):
        AbstractSerializer()["key"]


def test_the_contents_of_a_file_as_a_dict(tmp_path):
    link = Link(W=2)
    link.W.array[...] = 3
    assert {path: array.tolist() for path, array in serialize(link).items()} == {"W": [3, 3]}
    save_npz(tmp_path / "model", link)
    link.cleargrads()
    link.W.array[...] = 0
    load_npz(tmp_path / "model", link, False)  # old scripts pass `strict` where `path` is now
    assert link.W.array.tolist() == [3, 3]


def hostile():
    good = archive(W=npy("<f4", (2,), b"\0" * 8)).getvalue()
    directory = good.rindex(b"PK\x01\x02")
    yield "encrypted", good[: directory + 8] + b"\x01" + good[directory + 9 :], "encrypted"
    yield "directory", good[:-10] + (1 << 30).to_bytes(4, "little") + good[-6:], "damaged or cut short"
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", method) as file:
            file.writestr("W.npy", npy("<f4", (2,), b"\0" * 8))
        yield f"method {method}", stream.getvalue(), f"method {method}, which NumPy does not use"
    stream = io.BytesIO()
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(stream, "w") as file:
        for value in (b"\1", b"\2"):
            file.writestr("W.npy", npy("<f4", (2,), value * 8))
    yield "twice", stream.getvalue(), "'W' is there twice"
    yield "bomb", archive(W=npy("<f4", (1 << 21,), bytes(1 << 23))).getvalue(), r"shape \(2097152,\) in the file"
    header = b"\x93NUMPY\x02\0" + (1 << 23).to_bytes(4, "little") + b" " * (1 << 23)
    yield "long header", archive(W=header).getvalue(), "header cannot be read"
    yield "date", archive(W=npy("<M8[s]", (2,), bytes(16))).getvalue(), "header cannot be read"


KINDS = ["encrypted", "directory", "method 12", "method 14", "twice", "bomb", "long header", "date"]


@pytest.mark.parametrize("name", KINDS)
def test_hostile_archives_are_refused_and_take_no_memory(name):
    _, content, says = next(case for case in hostile() if case[0] == name)
    link = Link(W=(2,))
    tracemalloc.start()
    with pytest.raises(ValueError, match=says):
        load_npz(io.BytesIO(content), link)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()
    assert np.isnan(link.W.array).all()


def test_what_nobody_asks_for_is_not_read():
    stream = archive(W=npy("<f4", (2,), b"\0" * 8), bomb=npy("<f4", (1 << 21,), bytes(1 << 23)), junk=b"junk")
    link = Link(W=(2,))
    tracemalloc.start()
    load_npz(stream, link)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()
    assert (link.W.array == 0).all()


def test_lists_go_to_a_file_and_back():
    values = Values(sizes=[1, 2], pair=(0.5, 2.5))
    stream = io.BytesIO()
    save_npz(stream, values)
    target = Values(sizes=[0], pair=())
    load_npz(stream, target)
    assert target.values == values.values
