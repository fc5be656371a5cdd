"""The Penn Treebank out of Chainer's cache, or fetched, checked and kept as Chainer keeps it."""

import hashlib
import io

import numpy as np
import pytest

from minigan import dataset
from minigan import datasets as D
from minigan.dataset import DataError
from minigan.datasets import ptb
from minigan.datasets.mirrors import Published

TEXTS = {
    "train": b" the cat sat on the mat \n a dog <unk> N \n\n the  end\n",
    "valid": b" a cat \n the dog",
    "test": b" N \n mat\tthe <unk> end\n",
}
# Chainer 7.8.1: get_ptb_words() and get_ptb_words_vocabulary() with cached_download giving these texts
WORDS = [[0, 1, 2, 3, 0, 4, 5, 6, 7, 8, 9, 5, 5, 0, 10, 5], [6, 1, 5, 0, 7, 5], [9, 5, 4, 0, 8, 10, 5]]
VOCABULARY = ["the", "cat", "sat", "on", "mat", "<eos>", "a", "dog", "<unk>", "N", "end"]


@pytest.fixture
def folder(tmp_path):
    dataset.set_dataset_root(tmp_path)
    return tmp_path / "pfnet" / "chainer" / "ptb"


@pytest.fixture
def net(monkeypatch):
    """The addresses that were asked for; the texts are what was published."""
    asked = []

    def answer(url, timeout):
        asked.append(url)
        return io.BytesIO(next(text for name, text in TEXTS.items() if url == ptb._URL.format(name)))

    monkeypatch.setattr("urllib.request.urlopen", answer)
    for name, text in TEXTS.items():
        monkeypatch.setitem(ptb._FILES, name, Published(len(text), hashlib.sha256(text).hexdigest(), True))
    return asked


def test_fetched_numbered_as_chainer_does_and_kept(folder, net):
    for _ in range(2):
        parts = D.get_ptb_words()
        assert [part.tolist() for part in parts] == WORDS and {part.dtype for part in parts} == {np.dtype("i4")}
        assert D.get_ptb_words_vocabulary() == {word: i for i, word in enumerate(VOCABULARY)}
    assert net == [ptb._URL.format(name) for name in ("train", "valid", "test")]
    assert (folder / "vocab.txt").read_text() == "\n".join(VOCABULARY) + "\n"
    assert sorted(path.name for path in folder.iterdir()) == ["test.npz", "train.npz", "valid.npz", "vocab.txt"]


def test_the_vocabulary_alone(folder, net):
    assert list(D.get_ptb_words_vocabulary()) == VOCABULARY and len(net) == 1


def test_chainers_files(folder, monkeypatch):
    folder.mkdir(parents=True)
    for name in TEXTS:
        np.savez_compressed(folder / f"{name}.npz", x=np.arange(3, dtype=np.int32))
    (folder / "vocab.txt").write_text("a\nb\nc\n")
    assert [part.tolist() for part in D.get_ptb_words()] == [[0, 1, 2]] * 3
    assert D.get_ptb_words_vocabulary() == {"a": 0, "b": 1, "c": 2}
    (folder / "test.npz").unlink()
    monkeypatch.setenv("MINIGAN_OFFLINE", "1")
    with pytest.raises(DataError, match=r"ptb\.test\.txt: not fetched, as \$MINIGAN_OFFLINE is set; .*test\.npz"):
        D.get_ptb_words()


def test_damage(folder, net, monkeypatch):
    D.get_ptb_words()
    for content in (b"", b"a\nb\na\n", b"a\n\nb\n", b"\xff\xfe\n"):
        (folder / "vocab.txt").write_bytes(content)
        with pytest.raises(DataError, match=r"vocab\.txt: .*delete the file"):
            D.get_ptb_words_vocabulary()
    (folder / "vocab.txt").write_text("the\n")
    (folder / "valid.npz").unlink()
    with pytest.raises(DataError, match=r"the valid part says \['<eos>', 'a', .* which is not there"):
        D.get_ptb_words()
    np.savez(folder / "train.npz", x=np.zeros(3))
    with pytest.raises(DataError, match=r"train\.npz: x is float64 of shape \(3,\)"):
        D.get_ptb_words()
    (folder / "train.npz").write_bytes((folder / "test.npz").read_bytes()[:100])
    with pytest.raises(DataError, match=r"train\.npz: the file is damaged"):
        D.get_ptb_words()
    (folder / "train.npz").unlink()
    monkeypatch.setitem(TEXTS, "train", b"another text")
    with pytest.raises(DataError, match="SHA-256 differs"):
        D.get_ptb_words()
    assert not (folder / "train.npz").exists()
