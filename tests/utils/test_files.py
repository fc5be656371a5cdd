import errno
import os
from pathlib import Path

import pytest

from minigan.utils import files
from minigan.utils.files import atomic_path, atomic_write, file_lock, folder_lock


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_new_file_appears_only_at_the_end(tmp_path):
    target = tmp_path / "a.bin"
    with atomic_write(target) as file:
        file.write(b"abc")
        assert not target.exists()
    assert target.read_bytes() == b"abc"
    assert names(tmp_path) == ["a.bin"]


def test_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        with atomic_write(str(target)) as file:
            file.write(b"new")
            raise KeyboardInterrupt
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_text_is_utf8_with_its_own_line_ends(tmp_path):
    with atomic_write(tmp_path / "log", "w") as file:
        file.write("é\n")
    assert (tmp_path / "log").read_bytes() == b"\xc3\xa9\n"


def test_permissions_are_those_of_a_plain_open_or_of_the_old_file(tmp_path):
    plain, ours, old = tmp_path / "plain", tmp_path / "ours", tmp_path / "old"
    plain.write_bytes(b"")
    old.write_bytes(b"")
    old.chmod(0o640)
    for path in (ours, old):
        with atomic_write(path):
            pass
    assert ours.stat().st_mode == plain.stat().st_mode
    assert old.stat().st_mode & 0o777 == 0o640


def test_symbolic_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    os.symlink(tmp_path / "real", tmp_path / "link")
    with atomic_write(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_missing_folder_folder_as_name_and_append_mode_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        with atomic_write(tmp_path / "missing" / "a"):
            pass
    with pytest.raises(IsADirectoryError, match="folder"):
        with atomic_write(tmp_path):
            pass
    with pytest.raises(ValueError, match="'ab'"):
        with atomic_write(tmp_path / "a", "ab"):
            pass


def test_errors_name_the_file_and_not_the_temporary_one(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        with atomic_write(tmp_path / "missing" / "a.bin"):
            pass
    assert caught.value.filename == str(tmp_path / "missing" / "a.bin")
    with pytest.raises(OSError) as caught:
        with atomic_write(tmp_path / "a.bin"):
            raise OSError(errno.ENOSPC, "No space left on device")  # as a full disk says it
    assert str(caught.value).endswith(f"No space left on device: {str(tmp_path / 'a.bin')!r}")
    assert names(tmp_path) == []


def test_a_path_that_appears_only_at_the_end(tmp_path):
    target = tmp_path / "a.h5"
    with atomic_path(target) as temporary:
        assert os.path.basename(temporary) == "a.h5" and temporary != str(target)
        with open(temporary, "w") as file:
            file.write("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    with pytest.raises(KeyError):
        with atomic_path(target) as temporary:
            with open(temporary, "w") as file:
                file.write("half")
            raise KeyError
    with pytest.raises(FileNotFoundError) as caught:
        with atomic_path(target):
            pass
    assert caught.value.filename == str(target)
    assert target.read_text() == "whole" and names(tmp_path) == ["a.h5"]


def test_what_a_killed_process_left_is_removed_by_the_next_one_in_that_folder(tmp_path):
    old, young = tmp_path / ".log.abcdefgh.tmp", tmp_path / ".log.ijklmnop.tmp"
    folder = tmp_path / ".all.h5.abcdefgh.tmp"
    folder.mkdir()
    for file in (old, young, folder / "all.h5", tmp_path / ".bashrc.tmp", tmp_path / "my.abcdefgh.tmp"):
        file.write_text("half")
    for file in (old, folder):
        os.utime(file, (1, 1))
    with folder_lock(tmp_path):
        assert names(tmp_path) == [".bashrc.tmp", ".lock", ".log.ijklmnop.tmp", "my.abcdefgh.tmp"]
        assert (tmp_path / ".lock").read_text() == str(os.getpid())
        with folder_lock(tmp_path):
            pass
        assert (tmp_path / ".lock").exists()  # it is the outer one's
    assert not (tmp_path / ".lock").exists()


def test_where_there_are_no_locks_nothing_is_locked(tmp_path, monkeypatch):
    def without(descriptor, kind):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files.fcntl, "lockf", without)
    for lock in (folder_lock(tmp_path), file_lock(tmp_path / "a"), folder_lock(tmp_path / "missing")):
        with lock:
            pass


@pytest.mark.parametrize("write", [atomic_write, atomic_path])
def test_content_is_on_the_disk_before_the_name_is_and_both_before_the_end(tmp_path, monkeypatch, write):
    calls, sync, replace = [], os.fsync, os.replace

    def synced(descriptor):
        same = os.path.samestat(os.fstat(descriptor), os.stat(tmp_path))
        calls.append("folder" if same else f"{os.fstat(descriptor).st_size} bytes")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", lambda *names: (calls.append("rename"), replace(*names)))
    with write(tmp_path / "a") as file:
        if write is atomic_write:
            file.write(b"abc")
        else:
            Path(file).write_bytes(b"abc")
    assert calls == ["3 bytes", "rename", "folder"]


def test_a_lock_on_a_file_that_its_owner_has_just_removed_is_none(tmp_path, monkeypatch):
    lock, removed = files.fcntl.lockf, []

    def late(descriptor, kind):
        if not removed:  # between the opening and the locking here, the owner ends, and a third process makes the file
            removed.append(os.remove(tmp_path / ".lock"))
            (tmp_path / ".lock").write_text("1")
        lock(descriptor, kind)

    monkeypatch.setattr(files.fcntl, "lockf", late)
    with folder_lock(tmp_path):
        assert removed and (tmp_path / ".lock").read_text() == str(os.getpid())
