import gzip
import hashlib
import io
import os
from urllib.request import urlopen as real_urlopen

import numpy as np
import pytest

from minigan.dataset import DataError
from minigan.datasets import download_mnist, find_mnist, get_cache_directory, load_mnist, mirrors


@pytest.fixture
def published(monkeypatch, digits, idx):
    """Pretend that the small set of the tests is what was published; return the files of a right mirror."""
    files = {}
    for stem, array in zip(mirrors.STEMS, digits.values(), strict=True):
        raw = idx(array)
        monkeypatch.setitem(mirrors.FILES["mnist"], stem, mirrors.Published(len(raw), hashlib.sha256(raw).hexdigest()))
        files[f"{stem}.gz"] = gzip.compress(raw)
    return files


class Web:
    """An opener that serves files of some hosts and remembers what it was asked for."""

    def __init__(self, **hosts):
        self.hosts = hosts
        self.asked = []

    def __call__(self, url, timeout):
        assert timeout <= 10
        self.asked.append(url)
        host, _, name = url.removeprefix("https://").partition("/")
        files = self.hosts.get(host)
        if files is None:
            raise OSError("no route to host")
        return io.BytesIO(files[name])


def test_files_come_from_the_first_mirror_that_works(published, digits):
    web = Web(good=published, spare=published)
    folder = download_mnist("mnist", mirrors=["https://dead/", "https://good/", "https://spare/"], opener=web)
    assert folder == get_cache_directory("mnist")
    assert sorted(os.listdir(folder)) == sorted(published)
    # The dead mirror is asked once, not for each of the four files; the spare one never.
    assert [url.split("/")[2] for url in web.asked] == ["dead", "good", "good", "good", "good"]
    data = load_mnist()
    np.testing.assert_array_equal(data.x_train, digits["x_train"])
    assert f"minigan's cache {folder}" in data.source


def test_what_is_there_and_intact_is_kept(published):
    download_mnist(mirrors=["https://good/"], opener=Web(good=published))
    damaged = get_cache_directory() / "t10k-labels-idx1-ubyte.gz"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    web = Web(good=published)
    download_mnist(mirrors=["https://good/"], opener=web)
    assert web.asked == ["https://good/t10k-labels-idx1-ubyte.gz"]
    assert damaged.read_bytes() == published["t10k-labels-idx1-ubyte.gz"]


@pytest.mark.parametrize("fault", ["other content", "cut", "rubbish", "plain text", "too long", "bomb"])
def test_a_wrong_file_is_refused_and_nothing_is_left(published, fault, idx, digits):
    name = "train-images-idx3-ubyte.gz"
    raw = idx(digits["x_train"])
    wrong = {
        "other content": gzip.compress(raw[:-1] + b"\0" if raw[-1] else raw[:-1] + b"\1"),
        "cut": published[name][:-20],
        "rubbish": published[name][:10] + b"\xff" * 500,
        "plain text": b"<html>moved</html>",
        "too long": published[name] + b"x" * 10**6,
        "bomb": gzip.compress(raw + bytes(10**8), 1),
    }[fault]
    with pytest.raises(DataError, match="no mirror gave the file .*https://bad/train-images") as caught:
        download_mnist(mirrors=["https://bad/"], opener=Web(bad={name: wrong}))
    assert "\n" not in str(caught.value)
    assert list(get_cache_directory().iterdir()) == []


def test_a_mirror_without_gzip_is_welcome(published):
    """Some servers decompress on the way; the content counts."""
    plain = {name: gzip.decompress(content) for name, content in published.items()}
    download_mnist(mirrors=["https://plain/"], opener=Web(plain=plain))
    assert len(load_mnist().x_train) == 12


def test_a_stopped_download_leaves_whole_files_and_goes_on_later(published):
    class Stopped(Web):
        def __call__(self, url, timeout):
            if len(self.asked) == 2:
                raise KeyboardInterrupt
            return super().__call__(url, timeout)

    with pytest.raises(KeyboardInterrupt):
        download_mnist(mirrors=["https://good/"], opener=Stopped(good=published))
    assert len(os.listdir(get_cache_directory())) == 2
    assert "built-in" in find_mnist().place  # two of four files are no data set, but no error either
    web = Web(good=published)
    download_mnist(mirrors=["https://good/"], opener=web)
    assert len(web.asked) == 2


def test_a_cache_that_cannot_be_written(published, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MINIGAN_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="cannot be written .*MINIGAN_CACHE"):
        download_mnist(mirrors=["https://good/"], opener=Web(good=published))


def test_file_addresses_work_as_mirrors(published, tmp_path):
    source = tmp_path / "mirror"
    source.mkdir()
    for name, content in published.items():
        (source / name).write_bytes(content)
    folder = download_mnist(mirrors=[source.as_uri() + "/"], opener=real_urlopen)
    assert len(os.listdir(folder)) == 4


def test_finding_downloads_only_if_allowed(published):
    web = Web(good=published)
    options = {"mirrors": ["https://good/"], "opener": web}
    assert "built-in" in find_mnist(download=False, **options).place
    assert web.asked == []
    assert "minigan's cache" in find_mnist(download=True, **options).place
    assert "minigan's cache" in find_mnist(download=True, **options).place
    assert len(web.asked) == 4


def test_without_a_connection_the_built_in_digits_are_taken_and_the_reason_is_said():
    place = find_mnist(download=True).place
    assert place.startswith("the built-in subset") and "tests have no network" in place
    with pytest.raises(DataError, match="Fashion-MNIST is not on this machine.*tests have no network.*--data DIR"):
        find_mnist("fashion-mnist", download=True)


def test_mirrors_are_https_and_the_sums_are_sums():
    assert all(any(url.startswith("https://") for url in urls) for urls in mirrors.MIRRORS.values())
    assert set(mirrors.MIRRORS) == set(mirrors.FILES) == {"mnist", "fashion-mnist", "kmnist"}
    assert all(len(bytes.fromhex(f.sha256)) == 32 for files in mirrors.FILES.values() for f in files.values())
