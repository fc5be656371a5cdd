"""Downloads from a server that is slow, that cuts connections, and that is asked by several processes at once."""

import errno
import gzip
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from minigan.dataset import DataError, cached_download, set_dataset_root
from minigan.datasets import mirrors
from minigan.utils import files

BODY = bytes(range(256)) * 2000


class Server(ThreadingHTTPServer):
    """Gives `body`, once `go` is set; the first `cuts` answers break off in the middle."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.cuts = BODY, 0
        self.asked = []
        self.began, self.go = threading.Semaphore(0), threading.Event()
        self.go.set()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, name=""):
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        cut = len(self.server.asked) <= self.server.cuts
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        half = len(self.server.body) // 2
        self.wfile.write(self.server.body[:half])
        self.server.began.release()
        self.server.go.wait(60)
        if not cut:
            self.wfile.write(self.server.body[half:])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = Server()
    yield server
    server.go.set()
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def root(tmp_path):
    set_dataset_root(tmp_path / "root")
    yield tmp_path / "root"
    set_dataset_root(None)


def another_process(code, *arguments):
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True)


DOWNLOAD = """
import sys
from minigan.dataset import cached_download, set_dataset_root
set_dataset_root(sys.argv[1])
print(cached_download(sys.argv[2]))
"""


def test_a_download_that_was_cut_leaves_nothing_and_can_be_done_again(server, root):
    server.cuts = 1
    with pytest.raises(DataError, match="127.0.0.1.*could not be downloaded"):
        cached_download(server.url())
    assert os.listdir(root / "_dl_cache") == []
    with open(cached_download(server.url()), "rb") as file:
        assert file.read() == BODY
    assert len(os.listdir(root / "_dl_cache")) == 1


def test_two_processes_download_once(server, root):
    server.go.clear()
    both = [another_process(DOWNLOAD, root, server.url()) for _ in range(2)]
    assert server.began.acquire(timeout=60)
    assert not server.began.acquire(timeout=1)  # the other one waits, and does not ask
    server.go.set()
    paths = [process.communicate(timeout=60)[0].strip() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert paths[0] == paths[1] == cached_download(server.url())
    with open(paths[0], "rb") as file:
        assert file.read() == BODY
    assert server.asked == ["/"] and len(os.listdir(root / "_dl_cache")) == 1


def test_a_process_that_is_killed_in_a_download_stops_no_other(server, root):
    server.go.clear()
    process = another_process(DOWNLOAD, root, server.url())
    while not list(root.glob("_dl_cache/.*.tmp")) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    left = os.listdir(root / "_dl_cache")
    assert sorted(name.rpartition(".")[2] for name in left) == ["lock", "tmp"]
    for name in left:
        os.utime(root / "_dl_cache" / name, (1, 1))  # it was long ago
    server.go.set()
    with open(cached_download(server.url()), "rb") as file:
        assert file.read() == BODY
    assert len(os.listdir(root / "_dl_cache")) == 1


def test_where_there_are_no_locks_downloads_work_all_the_same(server, root, monkeypatch):
    def without(descriptor, kind):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files.fcntl, "lockf", without)
    with open(cached_download(server.url()), "rb") as file:
        assert file.read() == BODY


FETCH = """
import sys
from pathlib import Path
from minigan.datasets import mirrors
raw = bytes.fromhex(sys.argv[3])
mirrors.FILES["mnist"] = {"a": mirrors.Published(len(raw), sys.argv[4]), "b": mirrors.Published(len(raw), sys.argv[4])}
mirrors.fetch("mnist", Path(sys.argv[1]), [sys.argv[2]])
"""


def test_two_processes_fetch_each_file_of_a_mirror_once(server, tmp_path):
    raw = b"\0\0\10\1 a small data set"
    server.body = gzip.compress(raw)
    server.go.clear()
    arguments = tmp_path / "cache", server.url(), raw.hex(), hashlib.sha256(raw).hexdigest()
    both = [another_process(FETCH, *arguments) for _ in range(2)]
    assert server.began.acquire(timeout=60)
    server.go.set()
    assert [process.wait(60) for process in both] == [0, 0]
    assert sorted(server.asked) == ["/a.gz", "/b.gz"]
    assert sorted(os.listdir(tmp_path / "cache")) == ["a.gz", "b.gz"]
    assert mirrors._intact(tmp_path / "cache" / "a.gz", mirrors.Published(len(raw), arguments[3]))
    for process in both:
        process.stdout.close()
