import os
from pathlib import Path

import pytest

from minigan.dataset import (
    DataError,
    cache_or_load_file,
    cached_download,
    download,
    get_dataset_directory,
    get_dataset_root,
    set_dataset_root,
)


@pytest.fixture(autouse=True)
def root(tmp_path):
    set_dataset_root(tmp_path / "root")
    yield tmp_path / "root"
    set_dataset_root(None)


def test_the_root_is_what_was_set_then_the_environment_then_home(root, tmp_path, monkeypatch):
    assert get_dataset_root() == str(root)
    set_dataset_root(None)
    monkeypatch.setenv("CHAINER_DATASET_ROOT", "/elsewhere")
    assert get_dataset_root() == "/elsewhere"
    monkeypatch.delenv("CHAINER_DATASET_ROOT")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert get_dataset_root() == str(tmp_path / ".chainer" / "dataset")


def test_directories_are_made_on_demand(root):
    assert get_dataset_directory("a/b", create_directory=False) == str(root / "a" / "b")
    assert not root.exists()
    assert os.path.isdir(get_dataset_directory("a/b"))


def test_a_download_happens_once_and_has_chainers_name(root, tmp_path, capsys):
    source = tmp_path / "source.bin"
    source.write_bytes(b"hello")
    path = cached_download(source.as_uri())
    assert Path(path).read_bytes() == b"hello"
    assert "Downloading" in capsys.readouterr().err
    source.unlink()
    assert cached_download(source.as_uri()) == path
    assert capsys.readouterr().err == ""


def test_the_name_is_the_md5_of_the_address(root):
    # python -c 'import hashlib; print(hashlib.md5(b"http://example.com/a").hexdigest())'
    folder = root / "_dl_cache"
    folder.mkdir(parents=True)
    (folder / "3e27a17e84f5f8486fbc14488e12e6ff").write_bytes(b"x")
    assert cached_download("http://example.com/a") == str(folder / "3e27a17e84f5f8486fbc14488e12e6ff")


def test_a_failed_download_leaves_nothing(root, tmp_path):
    with pytest.raises(DataError, match="no-such-file.* could not be downloaded"):
        cached_download((tmp_path / "no-such-file").as_uri())
    assert os.listdir(root / "_dl_cache") == []


def test_a_download_that_is_cut_leaves_nothing(root, tmp_path, monkeypatch):
    class Cut:
        headers = {"Content-Length": "100"}
        content = [b"only this", b""]

        def read(self, size=-1):
            return self.content.pop(0)

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            pass

    monkeypatch.setattr(download.urllib.request, "urlopen", lambda url, timeout: Cut())
    with pytest.raises(DataError, match="got 9 bytes of 100"):
        cached_download("http://example.com/cut")
    assert os.listdir(root / "_dl_cache") == []


def test_cache_or_load_creates_once_then_loads(tmp_path):
    path = tmp_path / "new" / "folder" / "b.npz"

    def create(temporary):
        assert temporary.endswith("b.npz") and temporary != str(path)
        with open(temporary, "w") as file:
            file.write("v")
        return 1

    assert cache_or_load_file(path, create, lambda p: 2) == 1
    assert path.read_text() == "v"
    assert cache_or_load_file(str(path), create, lambda p: (2, p)) == (2, str(path))
    assert os.listdir(path.parent) == ["b.npz"]


def test_a_creator_that_fails_leaves_nothing(tmp_path):
    def create(temporary):
        with open(temporary, "w") as file:
            file.write("half")
        raise KeyError("stop")

    with pytest.raises(KeyError):
        cache_or_load_file(tmp_path / "new" / "x", create, None)
    assert os.listdir(tmp_path / "new") == []
    with pytest.raises(DataError, match="wrote no file x"):
        cache_or_load_file(tmp_path / "new" / "x", lambda temporary: 1, None)


def test_a_root_that_cannot_be_made_is_a_runtime_error_as_in_chainer(root, tmp_path):
    root.write_text("a file")
    with pytest.raises(RuntimeError, match="CHAINER_DATASET_ROOT"):
        cache_or_load_file(tmp_path / "x", None, None)
