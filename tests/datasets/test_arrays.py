import io
import struct
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest

from minigan.dataset import DataError
from minigan.datasets.arrays import read_arrays

X = np.arange(12, dtype=np.uint8).reshape(3, 4)


def npy(header, content=b"", version=1):
    text = header.encode() + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H", len(text)) + text + content


def archive(path, member, name="x.npy", compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr(name, member)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("array", [X, np.asfortranarray(X), X.astype(">i4"), np.uint8(3)])
def test_npz(tmp_path, save, array):
    save(tmp_path / "a.npz", other=np.zeros(2), x=array)
    (result,) = read_arrays(tmp_path / "a.npz", [("x",)])
    np.testing.assert_array_equal(result, array)
    assert result.dtype == array.dtype.newbyteorder("=")


def test_hdf5(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = X
        file.create_dataset("t", data=X, compression="gzip", chunks=(1, 4))
    x, t = read_arrays(tmp_path / "a.h5", [("x",), ("y", "t")])
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(t, X)


def test_the_kind_is_told_by_the_content_not_the_name(tmp_path):
    with open(tmp_path / "a.h5", "wb") as file:
        np.savez(file, x=X)
    np.testing.assert_array_equal(read_arrays(tmp_path / "a.h5", [("x",)])[0], X)


class Bomb:
    """Unpickling this would say so."""

    def __reduce__(self):
        return (pytest.fail, ("a file was unpickled",))


def test_pickled_objects_are_never_loaded(tmp_path):
    with open(tmp_path / "a.npz", "wb") as file:
        np.savez(file, x=np.array([Bomb()], dtype=object))
    with pytest.raises(DataError, match="a.npz: .* 'x' .* pickled Python objects, which are never loaded"):
        read_arrays(tmp_path / "a.npz", [("x",)])


def cases(tmp_path):
    whole = io.BytesIO()
    np.savez_compressed(whole, x=X)
    whole = whole.getvalue()
    damaged = bytearray(whole)
    damaged[len(whole) // 3] ^= 0xFF
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': %s, }"
    return {
        "empty": (b"", "the file is empty"),
        "text": (b"not found", "neither an npz nor an HDF5"),
        "cut": (whole[: len(whole) // 2], "cut short"),
        "damaged": (bytes(damaged), "damaged"),
        "hdf5 cut": (b"\x89HDF\r\n\x1a\n" + b"\0" * 30, "is damaged"),
        "lacks the array": (archive(tmp_path / "1", b"", "y.npy"), r"no array x in the file \(it has y\)"),
        "no arrays": (archive(tmp_path / "2", b"", "readme.txt"), "it has nothing"),
        "no npy": (archive(tmp_path / "3", b"hello hello"), "no .npy file"),
        "huge shape": (archive(tmp_path / "4", npy(header % "(1000000000000, 28)")), "0 bytes follow"),
        "large shape": (archive(tmp_path / "5", npy(header % "(1000000, 784)", b"abc")), "3 bytes follow"),
        "negative shape": (archive(tmp_path / "6", npy(header % "(-1, 784)", b"abc")), "header cannot be read"),
        "no number in the shape": (archive(tmp_path / "13", npy(header % "(True, 3)", b"abc")), "header cannot"),
        "more content": (archive(tmp_path / "7", npy(header % "(2,)", b"abc")), "3 bytes follow"),
        "code in the header": (archive(tmp_path / "8", npy("{'descr': __import__('os')}")), "header cannot be read"),
        "open bracket in the header": (archive(tmp_path / "12", npy(header % "(2,), (" + "  ")), "header cannot"),
        "version 9": (archive(tmp_path / "9", npy(header % "(2,)", b"ab", 9)), "npy version"),
        "fields": (archive(tmp_path / "10", npy("{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (1,), }")),
                   "wanted an array of plain numbers"),
        "text array": (archive(tmp_path / "11", npy("{'descr': '<U4', 'fortran_order': False, 'shape': (0,), }")),
                       "wanted numbers"),
    }  # fmt: skip


CASES = [
    "empty", "text", "cut", "damaged", "hdf5 cut", "lacks the array", "no arrays", "no npy", "huge shape",
    "large shape", "negative shape", "more content", "code in the header", "open bracket in the header",
    "version 9", "fields", "text array",
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_broken_files_give_a_sentence_and_cost_no_memory(tmp_path, case):
    content, says = cases(tmp_path)[case]
    path = content
    if isinstance(content, bytes):
        path = tmp_path / "broken.npz"
        path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=f"^{path}: .*({says})") as caught:
            read_arrays(path, [("x",)])
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name, says",
    [("group", "group is a group"), ("nothing", "no content"), ("text", "array .* of texts"),
     ("hollow", "chunks 60000 are missing"), ("huge", "are missing"), ("lost", "link to another place")],
)  # fmt: skip
def test_hdf5_that_holds_something_else(tmp_path, name, says):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_group("group")
        file["nothing"] = h5py.Empty("f")
        file["text"] = ["a", "b"]
        file.create_dataset("hollow", (60000, 28, 28), "u1", chunks=(1, 28, 28))
        file.create_dataset("huge", (10**12, 28, 28), "u1", chunks=(1, 28, 28))
        file["lost"] = h5py.SoftLink("/moon")
    with pytest.raises(DataError, match=says):
        read_arrays(path, [(name,)])


def test_a_file_that_cannot_be_opened(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_arrays(tmp_path / "nowhere.npz", [("x",)])
