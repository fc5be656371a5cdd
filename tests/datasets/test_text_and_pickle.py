"""Lines of text; pickles, which are read only on request."""

import io
import multiprocessing
import pickle

import numpy as np
import pytest

from minigan import datasets as D
from minigan.dataset import DataError
from minigan.iterators import MultiprocessIterator


@pytest.fixture
def files(tmp_path):
    (tmp_path / "a").write_bytes(b"one\n\nthree\r\nfour")
    (tmp_path / "b").write_bytes("1\n2\nü\n4\n".encode())
    return str(tmp_path / "a"), str(tmp_path / "b")


def test_lines(files):
    # Chainer 7.8.1 gives the same for the same file
    assert list(D.TextDataset(files[0])) == ["one\n", "\n", "three\n", "four"]
    both = D.TextDataset(files, encoding="utf-8")
    assert both[2] == ("three\n", "ü\n") and len(both) == 4
    assert D.TextDataset(list(files), ["ascii", "utf-8"], [None, "strict"], ["", None])[2] == ("three\r\n", "ü\n")
    assert list(D.TextDataset([files[1]], "ascii", "ignore", filter_func=lambda line: line != "2\n"))[1] == "\n"
    assert list(D.TextDataset(files, "utf-8", filter_func=lambda a, b: a > "p")) == [("three\n", "ü\n")]
    assert pickle.loads(pickle.dumps(both))[3] == ("four", "4\n")
    with pytest.raises(IndexError):
        both[4]
    both.close()
    with pytest.raises(ValueError, match="it is closed"):
        both[0]


def test_wrong_texts(files, tmp_path):
    for arguments in (([],), (files, ["utf-8"]), (files, None, ["strict"] * 3)):
        with pytest.raises(ValueError, match="wanted one path or more"):
            D.TextDataset(*arguments)
    (tmp_path / "c").write_text("only one\n")
    with pytest.raises(ValueError, match=r"the files have \[4, 1\] lines"):
        D.TextDataset([files[0], str(tmp_path / "c")])
    with pytest.raises(FileNotFoundError):
        D.TextDataset("none")
    with pytest.raises(UnicodeDecodeError):
        D.TextDataset(files[1], "ascii")


def test_pickles_are_written_and_read(tmp_path):
    path = tmp_path / "p"
    with D.open_pickle_dataset_writer(path) as writer:
        for i in range(20):
            writer.write({"x": np.arange(i), "i": i})
    with D.open_pickle_dataset(path, allow_pickle=True) as data:
        assert len(data) == 20 and data[3]["x"].tolist() == [0, 1, 2] and data[19]["i"] == 19
        with pytest.raises(IndexError):
            data[20]
        with MultiprocessIterator(data, 10, shuffle=False, n_processes=3) as iterator:
            for _ in range(20):
                assert [x["i"] for x in next(iterator) + next(iterator)] == list(range(20))
    assert data._reader.closed


def test_a_forked_or_unpickled_data_set_reads_for_itself(tmp_path):
    with D.open_pickle_dataset_writer(tmp_path / "p") as writer:
        writer.write("example")
    with D.open_pickle_dataset(tmp_path / "p", allow_pickle=True) as data:
        copy, file = pickle.loads(pickle.dumps(data)), data._reader._file

        def child():
            assert data._reader._file is not file
            assert data[0] == "example"

        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        process.join()
        assert process.exitcode == 0 and data._reader._file is file
    with copy:
        assert copy[0] == "example"


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("the pickle was run",)


def test_pickles_are_not_read_unasked(tmp_path, monkeypatch):
    monkeypatch.delenv("MINIGAN_ALLOW_PICKLE", raising=False)
    file = io.BytesIO()
    D.PickleDatasetWriter(file).write(Bomb())
    with pytest.raises(ValueError, match="runs whatever programs are in it; .* allow_pickle=True"):
        D.PickleDataset(file)
    path = tmp_path / "p"
    path.write_bytes(file.getvalue())
    with pytest.raises(ValueError, match=f"{path} is a pickle"):
        D.open_pickle_dataset(path)
    monkeypatch.setenv("MINIGAN_ALLOW_PICKLE", "1")
    path.write_bytes(pickle.dumps(1) + pickle.dumps([2]))
    with D.open_pickle_dataset(path) as data:
        assert list(data) == [1, [2]]


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_damaged_pickles(tmp_path, cut):
    path = tmp_path / "p"
    path.write_bytes(pickle.dumps(1) + pickle.dumps(np.arange(9))[:-cut])
    with pytest.raises(DataError, match=f"{path}: the example at byte 5 cannot be unpickled"):
        D.open_pickle_dataset(path, True)
